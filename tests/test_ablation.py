"""`train ablate`: its rows, its restarts and refusals with tiny trainings; its statistics on paper."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from filelock import FileLock

from tests.command import run_command
from tests.toy_sets import write_labelled, write_wild
from twodasl.evaluation.ablation import RowScores, deciding, document, text, worth
from twodasl.evaluation.seeds import paired, seed_mean
from twodasl.models.library import bundled_model
from twodasl.models.training.ablation import LOCK, TERMS, plan_jobs, plan_rows
from twodasl.models.training.run import Asked, split
from twodasl.models.training.settings import OPEN, with_changes

SMALL = ("--width", 0.125, "--batch", 4, "--workers", 0, "--steps", 2)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`labelled.h5`, `wild.h5`, and `empty.h5`, which `write_set` would not write."""
    place = tmp_path_factory.mktemp("sets")
    write_labelled(place / "labelled.h5", bundled_model(), 24)
    write_wild(place / "wild.h5", 8)
    write_wild(place / "empty.h5", 1)
    with h5py.File(place / "empty.h5", "r+") as file:
        for array in file.values():
            array.resize(0, axis=0)
    return place


def ablate(sets: Path, output: Path, *more: Any, code: int = 0, wild: str = "wild.h5") -> tuple[str, str]:
    got, out, err = run_command(
        "train", "ablate", "--labelled", sets / "labelled.h5", "--wild", sets / wild, "-o", output, *SMALL, *more
    )
    assert got == code, err
    assert "Traceback" not in err
    return out, err


# Toy faces are so few that a tenth of them may be none at all; a fifth holds some out.
HELD = ("--set", "validation.share=0.2")


def losses(folder: Path) -> dict[str, float]:
    written = json.loads((folder / "settings.json").read_text())["settings"]["losses"]
    return {name: written[name] for name in TERMS}


def test_rows_add_one_thing_each() -> None:
    rows = plan_rows(("labelled", "landmarks", "cycle"), ("human", "detector-like"), (1, 0.25))
    by_name = {row.name: row for row in rows}
    assert list(by_name) == [
        "labelled", "landmarks-human", "cycle-human", "landmarks-detector-like", "cycle-detector-like",
        "labelled-0.25", "cycle-human-0.25", "cycle-detector-like-0.25",
    ]  # fmt: skip
    for row in rows[1:]:
        before = by_name[row.before]
        changed = {row.points != before.points, row.terms != before.terms, row.share != before.share} - {False}
        assert changed
        if row.points == before.points:
            assert (row.terms == before.terms) != (row.share == before.share)
    assert by_name["labelled"].terms == by_name["landmarks-human"].terms == ("landmarks",)
    assert [row.before for row in rows] == [
        "", "labelled", "landmarks-human", "labelled", "landmarks-detector-like",
        "labelled", "labelled-0.25", "labelled-0.25",
    ]  # fmt: skip


def test_every_training_differs_in_its_row_only() -> None:
    asked = Asked(preset="open", labelled=Path("l.h5"), wild=Path("w.h5"), changes=("losses.cycle=0.5",))
    jobs = plan_jobs(Path("out"), asked, plan_rows(("labelled", *TERMS), ("human",), (1,)), (0, 7))
    assert [job.folder for job in jobs[:2]] == [Path("out/labelled/seed0"), Path("out/landmarks-human/seed0")]
    assert [job.seed for job in jobs] == [job.settings.seed for job in jobs] == [0] * 6 + [7] * 6
    assert all((job.asked.wild is None) == (job.row.name == "labelled") for job in jobs)
    last = jobs[5].settings.losses
    assert (last.landmarks, last.critic, last.cycle) == (10.0, 0.005, 0.5)  # the preset's, the paper's, the given
    for number, job in enumerate(jobs[:6]):
        on = [term for term in TERMS if getattr(job.settings.losses, term)]
        assert on == list(TERMS[: max(1, number)])
        assert (job.settings.steps, job.settings.batch) == (OPEN.steps, OPEN.batch)


def test_a_smaller_share_is_a_part_of_a_larger_one() -> None:
    names = [f"face{number}" for number in range(400)]
    held, rest = split(names, OPEN)
    shares = {share: split(names, with_changes(OPEN, labelled_share=share)) for share in (0.5, 0.1)}
    for share, (also_held, few) in shares.items():
        np.testing.assert_array_equal(also_held, held)
        assert len(few) == round(share * len(rest))
    assert set(shares[0.1][1]) < set(shares[0.5][1]) < set(rest)
    assert not set(held) & set(rest)


def test_trains_goes_on_and_adds(sets: Path, tmp_path: Path) -> None:
    more = [*HELD, "--rows", "labelled,landmarks,cycle", "--wild-points", "human", "--seeds", "0"]
    out, _ = ablate(sets, tmp_path, *more, "--json")
    first = json.loads(out)
    assert first["trainings"] == {"planned": 3, "done": 3}
    assert [row["name"] for row in first["rows"]] == ["labelled", "landmarks-human", "cycle-human"]
    assert first["rows"][1]["means"]["validation"]["low"] is None
    assert losses(tmp_path / "cycle-human" / "seed0") == dict.fromkeys(TERMS, 0.0) | {"landmarks": 10.0, "cycle": 1.0}
    assert "One seed has no interval" in (tmp_path / "ablation.md").read_text()
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")

    # One training is lost, one was stopped before its end; the rest is left as it is, and a seed is added.
    stopped, lost = tmp_path / "landmarks-human" / "seed0", tmp_path / "labelled" / "seed0"
    whole = (stopped / "last.safetensors").read_bytes()
    state = torch.load(stopped / "state.pt", weights_only=True)
    progress = json.loads(state["progress"])
    (lost / "state.pt").unlink()
    kept = (tmp_path / "cycle-human" / "seed0" / "state.pt").stat().st_mtime_ns
    state["progress"] = json.dumps(progress | {"steps": 3})
    torch.save(state, stopped / "state.pt")
    out, err = ablate(sets, tmp_path, *more[:-1], "0,1", "--json")
    assert "1 of 6 trainings are done already" in err
    assert json.loads(out)["trainings"] == {"planned": 6, "done": 6}
    assert json.loads(out)["rows"][1]["difference"]["validation"]["n"] == 2
    assert (tmp_path / "cycle-human" / "seed0" / "state.pt").stat().st_mtime_ns == kept
    assert (stopped / "last.safetensors").read_bytes() != whole
    assert (lost / "state.pt").exists()
    assert "± " in (tmp_path / "ablation.md").read_text()


def test_another_process_is_left_to_its_training(sets: Path, tmp_path: Path) -> None:
    more = [*HELD, "--rows", "labelled,landmarks", "--wild-points", "human", "--seeds", "0"]
    with FileLock(tmp_path / "labelled" / "seed0" / LOCK):
        out, err = ablate(sets, tmp_path, *more, "--json")
    assert json.loads(out)["trainings"] == {"planned": 2, "done": 1}
    assert "Other processes are at 1 trainings" in err
    assert not (tmp_path / "labelled" / "seed0" / "state.pt").exists()
    out, err = ablate(sets, tmp_path, *more, "--json")
    assert json.loads(out)["trainings"] == {"planned": 2, "done": 2}
    assert "Other processes" not in err


def test_photos_are_scored_once(sets: Path, data: Path, tmp_path: Path) -> None:
    """On a dozen real photos: what `infer` and `eval nme` say of the same weights."""
    place = data / "aflw2000"
    names = (place / "AFLW1998-3D_crop.list").read_text().split()[:12]
    (tmp_path / "few.list").write_text("\n".join(names) + "\n")
    given = {
        "boxes": place / "test.configs" / "AFLW2000-3D_crop.roi_box.npy", "rows": place / "AFLW2000-3D_crop.list",
        "only": tmp_path / "few.list", "landmarks": place / "detect_testData_1998.txt",
    }  # fmt: skip
    test = ["--truth", place, "--test-crops", place / "AFLW2000-3D_crop"]
    test += [word for name, path in given.items() for word in (f"--test-{name}", path)]
    out, _ = ablate(sets, tmp_path / "a", "--rows", "labelled", "--seeds", "0", "--json", *test)
    found = json.loads(out)
    run = tmp_path / "run.h5"
    infer = [word for name, path in given.items() for word in (f"--{name}", path)]
    weights = tmp_path / "a" / "labelled" / "seed0" / "best.safetensors"
    assert run_command(
        "infer", place / "AFLW2000-3D_crop", "--cropped", "--weights", weights, "-o", run, *infer
    )[0] == 0  # fmt: skip
    code, out, _ = run_command("eval", "nme", "--sparse", run, "--truth", place, "--json")
    assert code == 0
    assert found["rows"][0]["seeds"]["images"]["0"] == json.loads(out)["summary"]["mean_over_images"]
    kept = tmp_path / "a" / "labelled" / "seed0" / "test.json"
    before = kept.stat().st_mtime_ns
    ablate(sets, tmp_path / "a", "--rows", "labelled", "--seeds", "0", *test)
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--rows", "labelled,circle"], 1, "no row called circle"),
        (["--rows", "cycle,labelled"], 1, "'labelled' first"),
        (["--wild-points", "guessed"], 1, "wild points 'guessed'"),
        (["--labelled-share", "0.5"], 1, "labelled shares 0.5: 1, and others"),
        (["--labelled-share", "1,0.05"], 1, "row labelled-0.05 has 1 labelled faces, fewer than the 4 of a batch"),
        (["--map", "none"], 1, "feeds landmarks back"),
        (["--seeds", "0,0"], 1, "seeds 0,0"),
        (["--seeds", "one"], 2, "values with commas"),
        (["--test-crops", "there"], 2, "go together"),
    ],
)
def test_bad_input(more: list[str], code: int, message: str, sets: Path, tmp_path: Path) -> None:
    _, err = ablate(sets, tmp_path / "out", *more, code=code)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_sets_that_do_not_serve(sets: Path, tmp_path: Path) -> None:
    _, err = ablate(sets, tmp_path / "out", wild="empty.h5", code=1)
    assert "no wild faces" in err
    _, err = ablate(sets, tmp_path / "out", wild="labelled.h5", code=1)
    assert "have coefficients" in err
    assert not (tmp_path / "out").exists()
    code, _, err = run_command("train", "ablate", "--labelled", sets / "labelled.h5", "-o", tmp_path / "out", *SMALL)
    assert (code, "needs wild faces" in err) == (2, True)


def test_other_settings_are_refused(sets: Path, tmp_path: Path) -> None:
    ablate(sets, tmp_path, "--rows", "labelled", "--seeds", "0")
    _, err = ablate(sets, tmp_path, "--rows", "labelled", "--seeds", "0", "--lr", 0.5, code=1)
    assert "labelled/seed0 holds a training with other settings: optimiser.lr was 0.008 and is 0.5;" in err


def test_statistics_on_paper() -> None:
    """Student's t for 2 degrees of freedom, 97.5 %: 4.3027; of 1, 2, 3 the deviation is 1."""
    mean = seed_mean([1, 2, 3])
    assert mean.mean == 2
    assert mean.high == pytest.approx(2 + 4.3027 / np.sqrt(3), abs=1e-4)
    assert mean.low == pytest.approx(2 - 4.3027 / np.sqrt(3), abs=1e-4)
    assert (seed_mean([5]).low, seed_mean([5]).undecided) == (None, True)
    found = paired({0: 1.0, 1: 2.0, 5: 9.0}, {0: 0.5, 1: 1.5, 2: 7.0})
    assert found is not None
    assert (found.n, found.mean, found.low, found.undecided) == (2, 0.5, 0.5, False)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_what_wild_photos_are_worth() -> None:
    curve = {10: 0.08, 100: 0.06, 1000: 0.04}
    assert worth(0.05, curve) == pytest.approx(np.sqrt(100 * 1000))
    assert worth(0.06, curve) == pytest.approx(100)
    assert worth(0.03, curve) == "more than 1000"
    assert worth(0.09, curve) == "fewer than 10"
    bent = {10: 0.08, 100: 0.05, 1000: 0.06, 10000: 0.04}  # more labels did not always help: the fewest count
    assert worth(0.065, bent) == pytest.approx(np.sqrt(10 * 100))
    assert worth(0.05, bent) == pytest.approx(100)
    assert worth(0.045, bent) == pytest.approx(1000 * 10**0.75)
    assert worth(0.08, bent) == pytest.approx(10)
    assert worth(0.05, {10: 0.05, 100: 0.06}) == pytest.approx(10)
    assert worth(0.05, {10: 0.05}) is None


def test_the_table_tells_what_is_decided() -> None:
    def row(name: str, before: str, values: list[float], **more: Any) -> RowScores:
        seeds = dict(enumerate(values))
        scores = {"validation": seeds, "bins": seeds, **more}
        return RowScores(name, before, "human" if before else "", 1.0, 90, {}, scores, dict.fromkeys(seeds, 60.0))

    rows = [row("labelled", "", [0.05, 0.06, 0.07]), row("landmarks-human", "labelled", [0.04, 0.051, 0.059])]
    made = document(rows, 6, {})
    assert made["rows"][1]["difference"]["bins"]["mean"] == pytest.approx(-0.01)
    shown = text(rows, 6, ["A line."])
    assert "-1.000 ± 0.248 |" in shown
    rows.append(row("cycle-human", "landmarks-human", [0.03, 0.06, 0.061]))
    assert "(0) |" in text(rows, 9, [])
    assert deciding(rows) == "bins"
    del rows[0].scores["bins"][2]
    assert deciding(rows) == "validation"


def test_what_the_terms_bring_together_on_paper() -> None:
    def row(name: str, points: str, values: list[float]) -> RowScores:
        seeds = dict(enumerate(values))
        return RowScores(name, "x", points, 1.0, 90, {}, {"validation": seeds}, dict.fromkeys(seeds, 60.0))

    rows = [
        row("labelled", "", [0.06, 0.07]),
        *(row(f"{name}-human", "human", values) for name, values in
          (("landmarks", [0.05, 0.06]), ("cycle", [0.04, 0.06]), ("critic", [0.04, 0.04]))),
        *(row(f"{name}-detector-like", "detector-like", values) for name, values in
          (("landmarks", [0.05, 0.05]), ("cycle", [0.04, 0.03]), ("critic", [0.05, 0.05]))),
    ]  # fmt: skip
    cycle, critic = document(rows, 14, {})["together"]
    assert (cycle["row"], critic["row"]) == ("cycle", "critic")
    assert cycle["by_points"]["human"]["mean"] == pytest.approx(-0.005)
    assert cycle["by_points"]["detector-like"]["mean"] == pytest.approx(-0.015)
    assert cycle["all"]["mean"] == pytest.approx(-0.01)
    assert cycle["all"]["n"] == 4
    assert critic["all"]["mean"] == pytest.approx((-0.01 - 0.02 + 0 + 0) / 4)
    shown = text(rows, 14, [])
    assert "against row landmarks:" in shown
    assert "| cycle " in shown
    assert "together" not in text(rows[:2], 14, [])


def test_help_loads_no_library() -> None:
    assert run_command("train", "ablate", "--help")[0] == 0
