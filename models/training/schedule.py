"""How fast to learn at each step."""

import math

from .settings import OptimiserSettings, Stage


def learning_rate(settings: OptimiserSettings, stage: Stage, step: int, steps: int) -> float:
    """The rate of a step, from 0, of a training of `steps`: warm-up, then down to `final` of the peak, times the
    stage's own factor."""
    warm = settings.warm_up * steps
    if step < warm:
        return settings.lr * stage.lr * (step + 1) / (warm + 1)
    done = min(1.0, (step - warm) / max(1.0, steps - warm))
    if settings.schedule == "cosine":
        factor = settings.final + (1 - settings.final) * 0.5 * (1 + math.cos(math.pi * done))
    elif settings.schedule == "exponential":
        factor = settings.final**done
    else:
        factor = 1.0
    return settings.lr * stage.lr * factor
