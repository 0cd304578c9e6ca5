"""The report of `eval ... -o DIR`: its files, what stands in them, the same bytes twice, nothing half-written."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.browser import CHROMIUM, browser
from tests.command import run_command
from tests.html_reader import Reader
from tests.test_dense import NAMES, annotate, write_meshes
from tests.test_eval_compare import result
from tests.toy import toy_face_model
from tests.toy_faces import ToyFaces
from twodasl.evaluation.curves import cumulative, original_counts, running_median
from twodasl.evaluation.paper import latex_escape, latex_tables, markdown_escape, markdown_tables
from twodasl.evaluation.plots import ced_figure, original_figure, style, svg_text, yaw_figure
from twodasl.evaluation.result import NmeResult
from twodasl.evaluation.summary import summarise
from twodasl.models.morphable import MorphableModel
from twodasl_cli.report_figures import file_names
from twodasl_cli.report_heat import REACH, every_vertex, heat_picture

ODD = r"_A&B <i>50% $\x$ {1|2} #\^~"  # a method's name that each format would read as its own
PROTOCOL = "standard"
NORMALISER = "sqrt(width * height) of the x-y box of the truth's 68 points"


VALUES = {"perfect": np.zeros(6), "absent": np.full(6, np.nan)}


# --- curves -----------------------------------------------------------------------------------------------------------


def test_failures_are_misses_of_the_curve() -> None:
    errors, shares = cumulative(np.array([0.03, np.nan, 0.01, 0.2]))
    assert errors.tolist() == [0.01, 0.03, 0.2]
    assert shares.tolist() == [0.25, 0.5, 0.75]


@given(seed=st.integers(0, 1000), failed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_area_under_the_curve_is_the_tables(seed: int, failed: int) -> None:
    """The step curve's area up to 10 % is the AUC, and what it lacks to 1 at 10 % the failure rate."""
    values = np.concatenate([np.random.default_rng(seed).gamma(2, 0.03, 20), np.full(failed, np.nan)])
    errors, shares = cumulative(values)
    edges = np.concatenate([[0], np.clip(errors, 0, 0.1), [0.1]])
    area = (np.diff(edges) * np.concatenate([[0], shares])).sum() / 0.1
    summary = summarise(values, None)
    assert area == pytest.approx(summary.auc)
    assert 1 - shares[errors <= 0.1].max(initial=0) == pytest.approx(summary.failure_rate)


def test_running_median_on_paper() -> None:
    """Seven values in windows of five, out of order, one of them a failure."""
    found = running_median(np.array([6.0, 1, 2, 3, 9, 4, 5, 7]), np.array([60.0, 10, 20, 30, np.nan, 40, 50, 0]))
    assert found is not None
    assert found.window == 5
    assert found.at.tolist() == [3, 4, 5]
    assert found.median.tolist() == [30, 40, 40]
    assert (found.low.tolist(), found.high.tolist()) == ([20, 30, 30], [40, 50, 50])
    assert running_median(np.arange(4.0), np.arange(4.0)) is None


def test_the_originals_curve_counts_from_0() -> None:
    errors, counts = original_counts(np.array([0.05, 0.02, np.nan]))
    assert (errors.tolist(), counts.tolist()) == ([2, 5], [0, 1])


def test_figures_show_what_they_say() -> None:
    """Axis limits of the original for what it plotted, a legend with the numbers, and no |yaw| without a yaw."""
    good, bad = result("2DASL", np.array([0.02, 0.04, np.nan])), result(ODD, np.full(3, 0.2))
    with style():
        ced = ced_figure([good, bad]).axes[0]
        original = original_figure([good, bad])
        assert original is not None
        assert yaw_figure([good]) is None
        axes = original.axes[0]
    legend = ced.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == "2DASL   AUC 46.67 %, failures 33.33 %"
    assert texts[1].strip() == f"{ODD}   AUC 0.00 %, failures 100.00 %"
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 8), (0, 40))
    assert axes.get_lines()[0].get_color() == "green"
    with style():
        assert original_figure([result("a", np.full(3, 0.2), dims=1)]) is None


def test_figures_of_perfect_and_of_absent_predictions() -> None:
    perfect, absent = (replace(result(name, values), yaw_degrees=np.arange(6.0)) for name, values in VALUES.items())
    with style():
        for figure in (
            ced_figure([perfect, absent]),
            yaw_figure([perfect, absent]),
            original_figure([perfect, absent]),
        ):
            assert figure is not None
            assert svg_text(figure).startswith("<?xml")
        assert yaw_figure([absent]) is None


# --- tables -----------------------------------------------------------------------------------------------------------


def test_names_are_escaped() -> None:
    assert latex_escape(r"a_b & 50% $x$ {1} \n ^~#") == (
        r"a\_b \& 50\% \$x\$ \{1\} \textbackslash{}n \textasciicircum{}\textasciitilde{}\#"
    )
    assert markdown_escape("a|b *c* <i>\n[x](y)") == r"a\|b \*c\* \<i\> \[x\](y)"


def test_tables_of_an_odd_method() -> None:
    results = [result(ODD, np.array([0.02, 0.04])), result("plain", np.array([0.03, np.nan]))]
    latex, markdown = latex_tables(results, []), markdown_tables(results, [])
    assert latex_escape(ODD) in latex
    assert latex.count("&") == 9 * 3 + latex.count(r"\&")  # ten columns, three rows
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {11}
    assert "plain: without a valid prediction: face1" in latex.replace(r"\_", "_")
    assert "plain: without a valid prediction: face1" in markdown


def test_file_names_are_plain_and_different() -> None:
    assert file_names(["2DASL", "a/b", "a?b", "A_B", "..", "é"]) == [
        "2DASL",
        "a_b",
        "a_b_2",
        "A_B_3",
        "method",
        "method_2",
    ]


# --- error on the mean face -------------------------------------------------------------------------------------------


def measured_at(model: MorphableModel, ids: np.ndarray | None, errors: np.ndarray) -> NmeResult:
    values = np.array([0.1])
    choices = {"name": "standard", "summary": "", "labels": "exact truth", "points": 3}
    return NmeResult(
        "nme_dense", "m", choices, 2, ("a",), None, values, summarise(values, None), per_vertex=errors, vertex_ids=ids
    )


def test_errors_between_measured_vertices(toy_model: MorphableModel) -> None:
    """Measured vertices keep theirs, the others lie between, and what is far from all is unknown."""
    count = len(toy_model.mean)
    every = np.linspace(0, 1, count)
    np.testing.assert_array_equal(every_vertex(toy_model, measured_at(toy_model, None, every)), every)
    ids = np.arange(0, count // 2, 2)
    found = every_vertex(toy_model, measured_at(toy_model, ids, every[ids]))
    np.testing.assert_allclose(found[ids], every[ids], atol=1e-6)
    known = np.isfinite(found)
    assert (found[known] <= every[ids].max()).all()
    nearest = np.linalg.norm(toy_model.mean[:, None] - toy_model.mean[ids], axis=2).min(axis=1)
    np.testing.assert_array_equal(known, nearest <= REACH)
    assert not known.all()


def test_heat_has_the_scales_colours(toy_model: MorphableModel) -> None:
    """The left of the face without error is yellow, the right at the end of the scale blue; unknown is grey."""
    left = toy_model.mean[:, 0] < 0
    picture = heat_picture(toy_model, np.where(left, 0.0, 1.0), 0.0)
    middle = picture[len(picture) // 2].astype(int)
    assert (middle[0] == 255).all()
    assert middle[200, 1] > 180
    assert middle[200, 2] < 80
    assert middle[320, 1] < 30
    assert middle[320, 2] > 80
    grey = heat_picture(toy_model, np.full(len(toy_model.mean), np.nan), 50.0)
    assert (np.ptp(grey, axis=2) == 0).all()


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A truth with photos, a good method with an odd name, one that lacks an image; and their report."""
    folder, model = tmp_path_factory.mktemp("report"), toy_face_model()
    model.save(folder / "toy.h5")
    truth = annotate(folder / "truth", model)
    for name in NAMES:
        Image.new("RGB", (450, 450), (90, 110, 130)).save(folder / "truth" / f"{name}.jpg")
    write_meshes(folder / "good", truth + [1, 0, 0])
    write_meshes(folder / "bad", truth[:2] + [6, 8, 0], NAMES[:2])
    code, _, err = evaluate(folder, "report")
    assert code == 0, err
    assert "open" in err
    return folder


ALL = ("--sparse", "--dense", "--recon", "--align", "landmark7", "--distance", "index", "--original-curve")


def evaluate(folder: Path, output: str, *more: Any, kinds: tuple[str, ...] = ALL) -> tuple[int, str, str]:
    return run_command(
        "eval", "nme", *kinds, f"{ODD}={folder / 'good'}", f"Bad={folder / 'bad'}", "--truth", folder / "truth",
        "--model", folder / "toy.h5", "-o", folder / output, *more,
    )  # fmt: skip


KINDS = ("sparse_2d", "dense_2d", "recon_3d")


def test_every_file_is_there(work: Path) -> None:
    curves = [f"{kind}_{key}.{suffix}" for kind in ("ced", "original") for key in KINDS for suffix in ("png", "pdf")]
    heats = [f"heat_{key}_{name}.png" for key in KINDS[1:] for name in file_names([ODD, "Bad"])]
    texts = ["index.html", "report.json", "per_image.csv", "tables.tex", "tables.md"]
    assert {file.name for file in (work / "report").iterdir()} == {*curves, *heats, *texts}


def test_the_protocol_is_in_every_file(work: Path) -> None:
    """The normaliser and the deviation of --align, in words, wherever numbers are."""
    report = work / "report"
    for name in ("report.json", "per_image.csv", "tables.tex", "tables.md"):
        text = (report / name).read_text()
        assert PROTOCOL in text, name
        assert NORMALISER in text, name
        assert "--align landmark7" in text, name
    page = Reader((report / "index.html").read_text()).text
    assert NORMALISER in page
    assert "DEVIATION from the protocol: --align landmark7" in page
    for path in report.glob("*.png"):
        with Image.open(path) as picture:
            about = picture.info["Description"]
        assert "protocol standard" in about
        assert ("DEVIATION" in about) == ("recon" in path.name)
    for path in report.glob("*.pdf"):
        assert b"/Subject" in path.read_bytes()
        assert b"CreationDate" not in path.read_bytes()


def numbers(one: dict[str, Any]) -> list[str]:
    """What a row of a table shows of a result of `report.json`."""
    summary = one["summary"]
    keys = ("mean_over_bins", "std_over_bins", "mean_over_images", "median", "auc", "failure_rate")
    values = [*summary["bins"].values(), *(summary[key] for key in keys)]
    return ["-" if value is None else f"{100 * value:.3f}" for value in values]


def test_tables_hold_the_numbers_of_the_json(work: Path) -> None:
    report = work / "report"
    found = json.loads((report / "report.json").read_text())
    latex, markdown = (report / "tables.tex").read_text(), (report / "tables.md").read_text()
    page = (report / "index.html").read_text()
    assert len(found["results"]) == 6
    for one in found["results"]:
        cells = numbers(one)
        assert f"{latex_escape(one['method'])} & {' & '.join(cells)} " in latex
        assert f"| {markdown_escape(one['method'])} | {' | '.join(map(markdown_escape, cells))} |" in markdown
        name = Reader("".join(f"<td>{cell}</td>" for cell in cells))
        assert name.text.replace(" ", "") in Reader(page).text
    for pair in found["comparisons"]:
        assert f"{100 * pair['difference']['mean']:+.3f}" in latex
        assert pair["sentence"] in Reader(page).text


def test_one_line_an_image(work: Path) -> None:
    rows = list(csv.DictReader((work / "report" / "per_image.csv").read_text().splitlines()))
    assert len(rows) == 6 * 3
    assert sum(row["nme"] == "" for row in rows) == 3
    assert {row["method"] for row in rows} == {ODD, "Bad"}


def test_failures_are_counted_and_drawn_first(work: Path) -> None:
    found = json.loads((work / "report" / "report.json").read_text())
    bad = [one for one in found["results"] if one["method"] == "Bad"]
    assert [one["failed"] for one in bad] == [["cyd"]] * 3
    assert all(one["summary"]["failure_rate"] >= 1 / 3 for one in bad)
    page = Reader((work / "report" / "index.html").read_text())
    assert page.text.count("Bad: without a valid prediction: cyd") == 3
    names = [card["data-name"] or "" for card in page.cards]
    assert names == [
        f"{name} · {of}" for name in ("cyd", *(names[3][:3], names[6][:3])) for of in ("truth", ODD, "Bad")
    ]
    status = {card["data-name"]: card["data-status"] for card in page.cards}
    assert status["cyd · Bad"] == "failed"
    assert list(status.values()).count("ok") == 8


def test_page_is_whole_and_self_contained(work: Path) -> None:
    text = (work / "report" / "index.html").read_text()
    page = Reader(text)
    links = [target for target in page.targets if not target.startswith(("data:", "#"))]
    assert set(links) == {file.name for file in (work / "report").iterdir()} - {"index.html"}
    assert page.tags.count("i") == 0  # of the method's name
    assert str(work) not in text


def test_the_same_bytes_twice(work: Path) -> None:
    code, _, err = evaluate(work, "again", "--jobs", "2")
    assert code == 0, err
    for file in (work / "report").iterdir():
        assert (work / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_report_is_not_replaced_by_accident(work: Path) -> None:
    shutil.copytree(work / "report", work / "kept")
    (work / "kept" / "notes.txt").write_text("mine")
    (work / "kept" / "report.json").write_text("old")
    code, out, err = evaluate(work, "kept")
    assert (code, out) == (1, "")
    assert "index.html exists already; --overwrite replaces it" in err
    assert (work / "kept" / "report.json").read_text() == "old"
    assert evaluate(work, "kept", "--overwrite", kinds=("--sparse",))[0] == 0
    assert len(json.loads((work / "kept" / "report.json").read_text())["results"]) == 2
    assert (work / "kept" / "notes.txt").read_text() == "mine"


def test_nothing_half_written(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that fails at its last file leaves no folder and no hidden one."""
    from twodasl.rendering import page

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "write_page", full)
    before = sorted(file.name for file in work.iterdir())
    code, out, err = evaluate(work, "broken", kinds=("--sparse",))
    assert (code, out) == (1, "")
    assert "cannot write the report" in err
    assert "No space left on device" in err
    assert sorted(file.name for file in work.iterdir()) == before


def test_a_file_in_the_way(work: Path) -> None:
    code, _, err = evaluate(work, "toy.h5", "--overwrite")
    assert code == 1
    assert "toy.h5 is a file; -o names a folder for the report" in err


def test_photos_that_are_not_there(work: Path) -> None:
    code, _, err = evaluate(work, "unseen", "--photos", work / "nowhere")
    assert code == 1
    assert "--photos" in err
    assert "nowhere is not a folder" in err
    assert not (work / "unseen").exists()


def test_options_of_a_report_without_one(work: Path) -> None:
    code, _, err = run_command("eval", "nme", "--sparse", work / "good", "--truth", work / "truth", "--original-curve")
    assert code == 2
    assert "-o FOLDER" in err


def test_faces_without_photos(work: Path, tmp_path: Path) -> None:
    """They are drawn on grey and say so; landmarks alone have no mask and no mean face."""
    rows = ",".join(f"{value:.3f}" for value in np.linspace(100, 200, 136))
    (tmp_path / "points.csv").write_text("".join(f"{name},{rows}\n" for name in NAMES))
    (tmp_path / "empty").mkdir()
    code, _, err = run_command(
        "eval", "nme", "--sparse", tmp_path / "points.csv", "--truth", work / "truth", "--origin", "1",
        "--photos", tmp_path / "empty", "-o", tmp_path / "report",
    )  # fmt: skip
    assert code == 0, err
    page = Reader((tmp_path / "report" / "index.html").read_text())
    assert page.text.count("no photo found") == 3
    assert not list((tmp_path / "report").glob("heat*"))


def test_reports_of_other_errors(tmp_path: Path, work: Path, toy_model: MorphableModel) -> None:
    """`eval pose -o`: numbers, a curve and a page that say how they were measured."""
    run = ToyFaces(toy_model).write_run(tmp_path, failed=["bob"])
    command = ["eval", "pose", *run, "--truth", work / "truth", "--model", work / "toy.h5", "-o", tmp_path / "pose"]
    code, _, err = run_command(*command)
    assert code == 0, err
    files = {file.name for file in (tmp_path / "pose").iterdir()}
    assert files == {"index.html", "report.json", "per_image.csv", "curve.png", "curve.pdf"}
    (found,) = json.loads((tmp_path / "pose" / "report.json").read_text())["results"]
    page = Reader((tmp_path / "pose" / "index.html").read_text()).text
    assert f"{found['summary']['geodesic_mean']:.3f}" in page
    assert "R = Rz(roll) Ry(yaw) Rx(pitch)" in page
    assert "without a valid prediction: bob" in page
    rows = list(csv.DictReader((tmp_path / "pose" / "per_image.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == list(NAMES)
    assert rows[1]["pose"] == ""
    assert "Rz(roll)" in rows[0]["choices"]
    assert run_command(*command)[0] == 1
    assert run_command(*command, "--overwrite")[0] == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")
def test_the_report_in_a_browser(work: Path, tmp_path: Path) -> None:
    """Every picture loads, nothing is asked of a network, points are shown from the start, search finds a method."""
    with browser(tmp_path) as tab:
        tab.open(work / "report" / "index.html")
        tab.js("for (const image of document.images) image.loading = 'eager'")
        tab.wait("[...document.images].every(image => image.complete)")
        assert tab.js("[...document.images].filter(image => image.naturalWidth === 0).length") == 0
        assert tab.js("document.querySelectorAll('.card[data-found][data-truth]').length") == 9
        assert tab.js("document.querySelectorAll('[data-show=depth]').length") == 0
        tab.js(
            "(() => { const field = document.querySelector('[data-filter=text]'); field.value = 'bad';"
            "field.dispatchEvent(new Event('input', {bubbles: true})) })()"
        )
        assert tab.js("document.querySelectorAll('.card:not([hidden])').length") == 3
        tab.size(390, 800, mobile=True)
        assert tab.js("document.documentElement.scrollWidth") == 390
        assert tab.messages == []
        assert all(url.startswith("file:") for url in tab.requests)
