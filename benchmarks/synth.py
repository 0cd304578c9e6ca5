"""How long does a synthetic face take, where does the time go, and how much does the way it is drawn save?

    OMP_NUM_THREADS=1 python benchmarks/synth.py [--count 60] [--level 1] [--json]

Process time of one thread, warm, with the JPEG, the least of three for each face: other programs show less in it than in
wall time. Stages are timed by wrapping the functions that make them, once a face. The plain way is the prototype's: four drawn pixels along each pixel and
the z-buffer and strands in NumPy. Checked first: labels give their landmarks back, and NumPy alone draws the same face.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from twodasl.models.training.check import label_error
from twodasl.rendering.synthetic import develop, scene
from twodasl.rendering.synthetic.head import Head, load_head
from twodasl.rendering.synthetic.scene import draw_face
from twodasl.rendering.synthetic.sets import synthetic_example, synthetic_info
from twodasl.rendering.synthetic.settings import SynthSettings

STAGES = {
    "hair, brows, beard": ("grow_hair", "grow_brows", "grow_lashes", "grow_beard"),
    "skin": ("paint_skin",),
    "z-buffer": ("rasterize",),
    "shadow map": ("cast_shadows",),
    "light on skin and cloth": ("shade_pixels",),
    "light on hair": ("shade_strands",),
    "drawing strands": ("draw_strands",),
    "background": ("draw_background",),
}

REPEATS = 3


def check(head: Head, settings: SynthSettings) -> None:
    example = synthetic_example(settings, head, 0)
    info = synthetic_info(settings)
    error = label_error(example.coefficients[None], example.landmarks[None], info, head.truth)
    assert error[0] < 1e-6, f"the label is off by {error[0]}"
    one, two = (draw_face(settings.rng(0), head, settings, compiled=compiled) for compiled in (True, False))
    assert np.abs(one.picture.astype(int) - two.picture).max() <= 1, "NumPy alone draws another picture"


def process_ms(work: Callable[[int], Any], count: int) -> list[float]:
    """Process time of each call, the least of REPEATS, milliseconds."""

    def once(index: int) -> float:
        start = time.process_time()
        work(index)
        return 1000 * (time.process_time() - start)

    return [min(once(index) for _ in range(REPEATS)) for index in range(count)]


def stage_ms(head: Head, settings: SynthSettings, count: int) -> dict[str, float]:
    """Mean process time of each stage of a face, milliseconds."""
    spent = dict.fromkeys(STAGES, 0.0)
    originals = {name: getattr(scene, name) for names in STAGES.values() for name in names}

    def timed(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return work(*arguments, **options)
            finally:
                spent[stage] += 1000 * (time.process_time() - start)

        return call

    for stage, names in STAGES.items():
        for name in names:
            setattr(scene, name, timed(stage, originals[name]))
    spent["blur, colour, noise"] = spent["JPEG"] = 0.0
    developed = develop.develop
    develop.develop = timed("blur, colour, noise", developed)
    encode = timed("JPEG", develop.jpeg)
    for index in range(count):
        rng = settings.rng(index)
        encode(rng, draw_face(rng, head, settings).picture)
    develop.develop = developed
    for name, work in originals.items():
        setattr(scene, name, work)
    return {stage: value / count for stage, value in spent.items()}


def plain_ms(head: Head, settings: SynthSettings, count: int) -> list[float]:
    """The same faces with four drawn pixels along each, and NumPy alone."""
    fine = scene.FINE
    scene.FINE = 4
    times = process_ms(lambda index: draw_face(settings.rng(index), head, settings, compiled=False), count)
    scene.FINE = fine
    return times


def measure(count: int, level: int) -> dict[str, Any]:
    start = time.process_time()
    head = load_head(level)
    shared = time.process_time() - start
    settings = SynthSettings(seed=11, level=level)
    check(head, settings)
    faces = process_ms(lambda index: synthetic_example(settings, head, index), count)
    plain = plain_ms(head, settings, max(4, count // 8))
    same = faces[: len(plain)]
    return {
        "faces": count,
        "level": level,
        "hardware": f"{platform.processor() or platform.machine()}, 1 thread",
        "seconds_once": shared,
        "ms_per_face": {"mean": float(np.mean(faces)), "median": float(np.median(faces)), "least": min(faces)},
        "stages_ms": stage_ms(head, settings, count),
        "plain_ms_per_face": float(np.mean(plain)),
        "times_faster_than_plain": float(np.mean(plain) / np.mean(same)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--level", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = measure(arguments.count, arguments.level)
    if arguments.json:
        print(json.dumps(measured))
        return
    print(f"{measured['faces']} faces of 120 x 120 pixels, level {measured['level']}, {measured['hardware']}")
    times = measured["ms_per_face"]
    print(f"{times['mean']:.1f} ms a face (median {times['median']:.1f}, least {times['least']:.1f}), process time")
    for stage, value in measured["stages_ms"].items():
        print(f"  {stage:26} {value:6.1f} ms")
    print(f"made once: {measured['seconds_once']:.1f} s")
    print(f"plain way {measured['plain_ms_per_face']:.0f} ms: {measured['times_faster_than_plain']:.1f} times as slow")


if __name__ == "__main__":
    main()
