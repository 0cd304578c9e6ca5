"""Several methods at once: paired differences, intervals, sentences, sets of images that differ, and the report's files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.command import run_command
from tests.test_dense import NAMES, annotate, write_meshes
from twodasl.evaluation.compare import bootstrap_means, compare, worst
from twodasl.evaluation.methods import Method, parse_method
from twodasl.evaluation.result import NmeResult
from twodasl.evaluation.summary import summarise
from twodasl.models.morphable import MorphableModel


def result(method: str, values: np.ndarray, names: tuple[str, ...] | None = None, dims: int = 2) -> NmeResult:
    listed = names or tuple(f"face{row}" for row in range(len(values)))
    choices = {"name": "standard", "summary": "x", "labels": "original", "points": 68}
    return NmeResult("nme_sparse", method, choices, dims, listed, None, values, summarise(values, None))


def test_differences_on_paper() -> None:
    """0.01 better on every image: the interval of the difference is that number, though the means scatter widely."""
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.02, 0.08, 30)
    (found,) = compare([result("A", errors - 0.01), result("B", errors)])
    assert found.difference.mean == pytest.approx(-0.01)
    assert (found.difference.low, found.difference.high) == (pytest.approx(-0.01), pytest.approx(-0.01))
    assert found.overlap
    assert not found.undecided
    assert found.sentence().endswith(": A is better image by image, although the intervals of the two means overlap")
    (apart,) = compare([result("A", errors), result("B", errors + 0.5)])
    assert not apart.overlap
    assert apart.sentence().endswith(": A is better")
    (same,) = compare([result("A", errors), result("B", rng.permutation(errors))])
    assert same.undecided
    assert "do not tell which of the two is better" in same.sentence()


def test_only_what_both_have_is_compared() -> None:
    nan = np.nan
    (found,) = compare(
        [
            result("A", np.array([0.1, 0.2, nan]), ("a", "b", "c")),
            result("B", np.array([0.3, 0.1, 0.5]), ("b", "c", "d")),
        ]
    )
    assert found.names == ("b",)
    assert found.differences.tolist() == [pytest.approx(-0.1)]
    assert found.only == (1, 2)
    assert compare([result("A", np.array([0.1])), result("B", np.array([nan]))]) == []
    assert compare([result("A", np.array([0.1]), dims=2), result("B", np.array([0.1]), dims=3)]) == []


def test_most_different_and_worst() -> None:
    first, second = result("A", np.array([0.1, 0.5, np.nan, 0.2])), result("B", np.array([0.2, 0.1, 0.9, 0.2]))
    assert worst(first) == (("face1", 0.5), ("face3", 0.2), ("face0", 0.1))
    (found,) = compare([first, second])
    assert [name for name, _ in found.most_different] == ["face1", "face0", "face3"]
    assert dict(found.most_different)["face0"] == pytest.approx(-0.1)


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_intervals_are_as_wide_as_theory_says(seed: int) -> None:
    """For the mean of 40 images about 2 * 1.96 * sigma / sqrt(40)."""
    rng = np.random.default_rng(seed)
    errors = rng.gamma(2, 0.02, 40)
    (found,) = compare([result("A", errors), result("B", errors + rng.normal(0, 0.01, 40))])
    assert found.difference.low <= found.difference.mean <= found.difference.high
    width = found.means[0].high - found.means[0].low
    assert width == pytest.approx(2 * 1.96 * errors.std() / np.sqrt(40), rel=0.25)


def test_the_same_resamples_for_every_column() -> None:
    columns = np.random.default_rng(1).normal(size=(25, 3))
    means = bootstrap_means(columns, 450, seed=3)
    assert means.shape == (450, 3)
    np.testing.assert_array_equal(means, bootstrap_means(columns, 450, seed=3))
    np.testing.assert_allclose(means[:, :1], bootstrap_means(columns[:, :1], 450, seed=3), rtol=1e-12)
    assert (means != bootstrap_means(columns, 450, seed=4)).any()


def test_names_of_methods(tmp_path: Path) -> None:
    (tmp_path / "a=b.npy").write_bytes(b"x")
    assert parse_method("2DASL=runs/x.h5") == Method("2DASL", Path("runs/x.h5"))
    assert parse_method("runs/x.h5") == Method("", Path("runs/x.h5"))
    assert parse_method(str(tmp_path / "a=b.npy")) == Method("", tmp_path / "a=b.npy")
    assert parse_method("dir/a=b") == Method("", Path("dir/a=b"))


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def two_methods(tmp_path: Path, toy_model: MorphableModel) -> list[str]:
    """Good, and Bad on the first two images only; the arguments for both."""
    toy_model.save(tmp_path / "toy.h5")
    truth = annotate(tmp_path / "truth", toy_model)
    good = write_meshes(tmp_path / "good", truth + [1, 0, 0])
    bad = write_meshes(tmp_path / "bad", truth[:2] + [6, 8, 0], NAMES[:2])
    return [
        f"Good={good}", f"Bad={bad}", "--truth", str(tmp_path / "truth"), "--model", str(tmp_path / "toy.h5"),
    ]  # fmt: skip


def test_methods_with_different_images(tmp_path: Path, two_methods: list[str]) -> None:
    """The third image is scored for both: a failure of Bad. The difference is over the two that both have, and said."""
    code, out, err = run_command(
        "eval", "nme", "--sparse", "--dense", "--recon", "--dims", "2,3", *two_methods, "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    kinds = [(one["metric"], one["dims"], one["method"]) for one in found["results"]]
    assert len(kinds) == len(set(kinds)) == 10
    bad = next(one for one in found["results"] if one["method"] == "Bad")
    assert bad["failed"] == ["cyd"]
    assert bad["summary"]["failure_rate"] >= 1 / 3
    assert list(bad["worst"]) and set(bad["worst"]) <= {"ann", "bob"}
    sparse = next(one for one in found["comparisons"] if (one["metric"], one["dims"]) == ("nme_sparse", 2))
    assert sparse["methods"] == ["Good", "Bad"]
    assert (sparse["n"], sparse["only_in_first"], sparse["only_in_second"]) == (2, 1, 0)
    assert sparse["difference"]["mean"] < 0
    assert "Bad: 1 images without a valid prediction: cyd" in err
    _, out, _ = run_command("eval", "nme", "--sparse", *two_methods)
    assert "compared on the images both have; 1 more only in Good, 0 only in Bad" in out
    assert out.count("protocol standard") == 1
    assert "\nGood: worst images: " in out
    assert "\nBad" in out


def test_the_reports_files(tmp_path: Path, two_methods: list[str]) -> None:
    command = ["eval", "nme", "--sparse", *two_methods, "-o", tmp_path / "report"]
    code, _, err = run_command(*command)
    assert code == 0, err
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [one["protocol"]["name"] for one in report["results"]] == ["standard", "standard"]
    assert len(report["comparisons"]) == 1
    rows = list(csv.DictReader((tmp_path / "report" / "per_image.csv").read_text().splitlines()))
    assert [(row["method"], row["name"]) for row in rows[:3]] == [("Good", name) for name in NAMES]
    assert rows[-1]["nme"] == ""
    code, _, err = run_command(*command)
    assert code == 1
    assert "--overwrite" in err
    assert run_command(*command, "--overwrite")[0] == 0


def test_options_that_one_method_cannot_read_are_the_others(
    tmp_path: Path, toy_model: MorphableModel, two_methods: list[str]
) -> None:
    """--rows and --boxes go with coefficients; vertex files in the photo beside them leave them unread."""
    from tests.toy_faces import ToyFaces

    coefficients, *rest = ToyFaces(toy_model).write_coefficients(tmp_path)
    code, out, err = run_command(
        "eval", "nme", "--sparse", f"C={coefficients}", *rest, "--convention", "3ddfa", *two_methods, "--json"
    )
    assert code == 0, err
    assert [one["method"] for one in json.loads(out)["results"]] == ["C", "Good", "Bad"]
    assert len(json.loads(out)["comparisons"]) == 3


def test_options_that_no_method_can_read_are_refused(two_methods: list[str]) -> None:
    code, _, err = run_command("eval", "nme", "--sparse", *two_methods, "--origin", "0")
    assert code == 1
    assert "--origin cannot be given for any of these inputs" in err


def test_table_of_three_methods_on_real_data(data: Path, bfm_path: Path, parity: dict, tmp_path: Path) -> None:
    """The command of the README: every sparse number is the original's, methods side by side."""
    folder = data / "aflw2000" / "evaluation"
    code, out, err = run_command(
        "eval", "nme", "--sparse", "--dims", "2,3", f"2DASL={folder / '2DASL_results'}",
        f"3DDFA={folder / '3DDFA_results'}", f"PRNet={folder / 'PRNet_results' / 'kpt'}", "--model", bfm_path,
        "--truth", data / "aflw2000" / "AFLW-2000-3D", "-o", tmp_path / "report", "--json",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    for one in found["results"]:
        (reference,) = [
            metric["mean_double"]
            for metric in parity["metrics"]
            if (metric["metric"], metric["method"]) == (f"sparse_nme_{one['dims']}d", one["method"])
        ]
        assert one["summary"]["mean_over_images"] == pytest.approx(reference, abs=1e-9)
    assert len(found["comparisons"]) == 6
    assert (tmp_path / "report" / "report.json").is_file()
