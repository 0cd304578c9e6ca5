"""`twodasl train ablate`: what each part of the training brings, row by row and seed by seed."""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .main import EXIT_INTERRUPTED
from .options import FILE, json_option, note, output_option
from .train_options import recipe_options, work_options

if TYPE_CHECKING:
    from rich.progress import Progress

    from twodasl.evaluation.trained import HeldBack
    from twodasl.models.training.ablation import Job
    from twodasl.models.training.trainer import Report, Trainer

TEST = "test.json"  # in a training's folder: its scores on the test photos


def _listed(kind: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str], tuple[Any, ...]]:
    def parse(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[Any, ...]:
        try:
            return tuple(kind(part.strip()) for part in value.split(","))
        except ValueError as error:
            raise click.BadParameter(f"{value!r}: values with commas between them are expected") from error

    return parse


@click.command()
@recipe_options
@work_options
@output_option("Folder of all trainings and of the table: ablation.md, .json, .png.")
@click.option("--rows", callback=_listed(str), default="labelled,landmarks,self_2d,self_3d,cycle,critic",
              show_default=True, help="Each adds its loss to those before it.")  # fmt: skip
@click.option("--seeds", callback=_listed(int), default="0,1,2", show_default=True)
@click.option("--wild-points", callback=_listed(str), default="human,detector-like", show_default=True,
              help="What is known of wild faces: points as annotated, or as far off as a detector's.")  # fmt: skip
@click.option("--labelled-share", "shares", callback=_listed(float), default="1", show_default=True,
              help="1,0.25,0.05: also the first and the last row with fewer labelled faces.")  # fmt: skip
@click.option("--test-crops", type=FILE, help="Test photos: a folder of crops, ...")
@click.option("--test-boxes", type=FILE, help="... their boxes, as `infer --boxes` takes them, ...")
@click.option("--truth", type=FILE, help="... and their truth, as `eval nme` takes it.")
@click.option("--test-landmarks", type=FILE, help="Input landmarks of the test photos, as a detector finds them.")
@click.option("--test-rows", type=FILE, help="List of names: the rows of arrays handed over.")
@click.option("--test-only", type=FILE, help="List of names: test on these photos only.")
@json_option
def ablate(
    output: Path, rows: tuple[str, ...], seeds: tuple[int, ...], wild_points: tuple[str, ...],
    shares: tuple[float, ...], as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Train the same network many times, with one part more in each row, and say what each part brought.

    Row `labelled` has labelled faces alone; `landmarks` adds wild photos with a plain loss on their 2D points; the others
    add the four self-supervision schemes, one by one. All have the same steps and batches. A loss that the preset leaves
    out counts as in the paper (landmarks: 1). The command given again goes on where it was stopped, and more rows, seeds
    or shares are added to what is there; the table is written after every training. Given in several shells at once, for
    several cores or GPUs, each takes trainings that no other is at.
    """
    test = _held_back(options)
    from twodasl.models.errors import SettingsError
    from twodasl.models.training.ablation import check_jobs, labelled_faces, plan_jobs, plan_rows
    from twodasl.models.training.run import Asked

    asked = Asked(**options)
    if len(rows) > 1 and asked.wild is None:
        raise click.UsageError(f"row {rows[1]} needs wild faces: --wild, or --rows labelled")
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise SettingsError(f"seeds {','.join(map(str, seeds))}: each once, 0 or more, is expected")
    jobs = plan_jobs(output, asked, plan_rows(rows, wild_points, shares), seeds)
    faces = labelled_faces(jobs)
    check_jobs(jobs)
    if test is not None:
        _check_test(test, jobs)
    table = _Table(output, jobs, faces, test, asked.device)
    table.catch_up()
    if table.known:
        note(f"{len(table.known)} of {len(jobs)} trainings are done already")
    stopped_by, left = _train_all(jobs, table)
    if table.trained:
        table.write()
        click.echo(json.dumps(table.document()) if as_json else table.text(), nl=as_json)
        note(f"{output}: ablation.md, ablation.json, ablation.png")
    if left and not stopped_by:
        note(f"Other processes are at {left} trainings; the same command shows the whole table when they are done.")
    if stopped_by:
        note("Stopped. The same command goes on.")
        sys.exit(EXIT_INTERRUPTED if stopped_by[0] == signal.SIGINT else 128 + stopped_by[0])


def _held_back(options: dict[str, Any]) -> "HeldBack | None":
    """The test photos, taken out of the options."""
    from twodasl.evaluation.trained import HeldBack

    given = {name: options.pop(f"test_{name}") for name in ("crops", "boxes", "landmarks", "rows", "only")}
    given["truth"] = options.pop("truth")
    if not any(given.values()):
        return None
    if not all(given[name] for name in ("crops", "boxes", "truth")):
        raise click.UsageError("--test-crops, --test-boxes and --truth go together")
    return HeldBack(**given)


def _check_test(test: "HeldBack", jobs: "Sequence[Job]") -> None:
    from twodasl.evaluation.truth import open_truth

    open_truth(test.truth, "original", [item.name for item in test.inputs])
    if jobs[0].settings.map_kind != "none" and test.landmarks is None:
        raise click.UsageError("the networks take landmarks as a fourth channel: --test-landmarks, or --map none")


class _Table:
    """The rows' scores so far, and the three files that show them."""

    def __init__(
        self, folder: Path, jobs: "Sequence[Job]", faces: dict[str, int], test: "HeldBack | None", device: str
    ) -> None:
        from twodasl.evaluation.ablation import RowScores

        self._folder, self._jobs, self._test, self._device = folder, jobs, test, device
        self._protocol = ""
        self.known: set[Path] = set()  # folders of the trainings that are in the table
        self.rows: dict[str, RowScores] = {}
        for job in jobs:
            row, losses = job.row, job.settings.losses
            weights = {name: getattr(losses, name) for name in ("landmarks", "self_2d", "self_3d", "cycle", "critic")}
            self.rows[row.name] = RowScores(row.name, row.before, row.points, row.share, faces[row.name], weights)

    @property
    def trained(self) -> bool:
        return any(row.seconds for row in self.rows.values())

    def add(self, job: "Job") -> None:
        """Take in a finished training, tested where there are test photos, and write the files anew."""
        self._take(job)
        self.catch_up()
        self.write()

    def catch_up(self) -> None:
        """Take in what was finished and tested before, or by others."""
        from twodasl.models.training.ablation import finished

        for job in self._jobs:
            tested = self._test is None or (job.folder / TEST).exists()
            if job.folder not in self.known and tested and finished(job) is not None:
                self._take(job)

    def _take(self, job: "Job") -> None:
        from twodasl.evaluation.trained import kept_scores
        from twodasl.models.checkpoints import Weights
        from twodasl.models.library import open_model
        from twodasl.models.training.ablation import read_progress
        from twodasl.models.training.state import BEST

        progress, row = read_progress(job.folder), self.rows[job.row.name]
        found: dict[str, float | None] = {"validation": progress.best}
        if self._test is not None:
            weights = job.folder / BEST
            model = open_model(job.asked.model_path, Weights.load(weights).basis_id, str(weights))
            kept = kept_scores(job.folder / TEST, weights, progress.step, model, self._test, self._device)
            self._protocol = f"protocol {kept['protocol']}, {kept['labels']} labels"
            found |= {"bins": kept["summary"]["mean_over_bins"], "images": kept["summary"]["mean_over_images"]}
        row.seconds[job.seed] = progress.seconds
        for measure, value in found.items():
            if value is not None:
                row.scores.setdefault(measure, {})[job.seed] = value
        self.known.add(job.folder)

    def document(self) -> dict[str, Any]:
        from twodasl.evaluation.ablation import document
        from twodasl.models.training.run import inputs_of

        settings = self._jobs[-1].settings.as_dict()
        about = {"inputs": inputs_of(self._jobs[-1].asked), "settings_of_last_row": settings}
        if self._test is not None:
            about["test"] = self._test.as_dict() | {"photos": len(self._test.inputs), "scored_by": self._protocol}
        return document(list(self.rows.values()), len(self._jobs), about)

    def text(self) -> str:
        from twodasl.evaluation.ablation import text

        settings = self._jobs[-1].settings
        network = settings.network
        lines = [
            f"Preset {settings.preset}, {network.name} x{network.width:g}, {settings.steps} steps of "
            f"{settings.batch} faces in every row."
        ]
        if self._test is not None:
            lines.append(f"Tested on {len(self._test.inputs)} photos, 68 points in 2D, {self._protocol}.")
        return text(list(self.rows.values()), len(self._jobs), lines)

    def write(self) -> None:
        """ablation.json, ablation.md and ablation.png, of what is known."""
        from twodasl.evaluation.ablation import figure
        from twodasl.evaluation.plots import style, write_figure
        from twodasl.models.files import whole_file

        for name, content in (("ablation.json", json.dumps(self.document(), indent=2) + "\n"),
                              ("ablation.md", self.text())):  # fmt: skip
            with whole_file(self._folder / name) as temporary:
                temporary.write_text(content, encoding="utf-8")
        with style():
            write_figure(self._folder / "ablation.png", figure(list(self.rows.values())), ["twodasl train ablate"])


def _train_all(jobs: "Sequence[Job]", table: _Table) -> tuple[list[int], int]:
    """Do the jobs that no other process does, one after the other: the number of the signal that stopped them, if one
    did, and how many others are at."""
    from twodasl.models.training.ablation import claimed, do_job, finished

    with _stopping() as stop, _bar() as bar:
        every = bar.add_task("trainings", total=len(jobs), completed=len(table.known))
        one = bar.add_task("", total=None)
        for job in jobs:
            if stop.by:
                break
            if job.folder in table.known:
                continue
            with claimed(job) as ours:
                if not ours:
                    continue
                if finished(job) is None:
                    bar.reset(one, description=f"{job.row.name}, seed {job.seed}", total=job.settings.steps)
                    do_job(job, lambda trainer, _: stop.run(trainer, lambda made: bar.update(one, completed=made.step)))
                if finished(job) is not None:
                    table.add(job)
            bar.update(every, completed=len(table.known))
    table.catch_up()
    return stop.by, len(jobs) - len(table.known)


class _Stop:
    """Ctrl-C and SIGTERM stop the training that is under way; asked twice, at once."""

    def __init__(self) -> None:
        self.by: list[int] = []
        self._trainer: Trainer | None = None

    def ask(self, number: int, _frame: Any) -> None:
        if self.by:
            raise KeyboardInterrupt
        self.by.append(number)
        note("Stopping after this step; once more stops at once, without saving.")
        if self._trainer is not None:
            self._trainer.stop()

    def run(self, trainer: "Trainer", on_report: "Callable[[Report], None]") -> None:
        from twodasl.models.training.log import Log
        from twodasl.models.training.trainer import Budget

        self._trainer = trainer
        if self.by:
            trainer.stop()
        with Log(trainer.folder, trainer.progress.step) as log:
            trainer.train(log, Budget(), on_report)
        self._trainer = None


@contextmanager
def _stopping() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, redirect_stdout=False)
