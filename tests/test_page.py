"""The page: what is in the file, and what it does in a real browser."""

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.io import savemat

from tests.browser import CHROMIUM, Browser, browser
from tests.command import run_command
from tests.conftest import ROOT
from tests.html_reader import Reader
from tests.toy_faces import ToyFaces
from twodasl.models.errors import ShapeError
from twodasl.models.morphable import MorphableModel
from twodasl.rendering.faces import Photos
from twodasl.rendering.page import Card, Figure, Gallery, Page, Picture, Section, SharedMesh, Table, write_page
from twodasl.rendering.page.faces import run_cards
from twodasl.rendering.page.packing import GRID_MM, pack, pack_bits

ODD = """<b>&"'ü</b>"""


def unpacked(text: str, rows: int) -> np.ndarray:
    """The inverse of `pack`, written from its description."""
    low, middle, high = np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(3, -1).astype(np.int64)
    zigzag = low + 256 * middle + 65536 * high
    steps = np.where(zigzag % 2, -(zigzag + 1) // 2, zigzag // 2)
    return np.cumsum(steps.reshape(rows, -1), axis=1)


def test_packed_numbers_come_back() -> None:
    numbers = np.array([[0, -1, 1, 300, -70_000], [5, 5, 5, 8_000_000, 8_000_001]])
    np.testing.assert_array_equal(unpacked(pack(numbers), 2), numbers)
    assert pack(numbers) == pack(numbers.astype(np.int32))
    with pytest.raises(ShapeError, match="too large"):
        pack(np.array([[0, 1 << 23]]))
    bits = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1], bool)
    assert gzip.decompress(base64.b64decode(pack_bits(bits))) == bytes([1, 2])


# --- the document -----------------------------------------------------------------------------------------------------


def odd_page() -> Page:
    """Everything a page can hold, each text full of HTML."""
    image = np.full((8, 8, 3), 200, np.uint8)
    card = Card(ODD, status="no-face", note=ODD, yaw_degrees=-12.4, errors=[3.25], photo=image)
    section = Section(
        ODD,
        [ODD],
        Gallery([card, Card("plain", mask=image, landmarks=np.full((68, 2), 4.0))], [ODD]),
        [Picture(image, ODD), Figure('<svg xmlns="http://www.w3.org/2000/svg"/>', ODD)],
        table=Table([ODD, "b"], [[ODD, "1"]], ODD),
        facts=[(ODD, ODD)],
        code=ODD,
        links=[(ODD, "face.obj")],
    )
    return Page(ODD, ODD, [section, Section("two"), Section("three")], [(ODD, ODD)], [ODD], [(ODD, ODD)])


def test_page_is_whole_escaped_and_self_contained(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", odd_page())
    text = (tmp_path / "page.html").read_text("utf-8")
    page = Reader(text)
    assert "b" not in page.tags[page.tags.index("body") :][:6]
    assert text.count("<b>") == 2  # the numbers of a card, ours
    assert page.text.count(ODD) >= 15
    assert all(target.startswith(("data:", "#")) or target == "face.obj" for target in page.targets)
    assert "://" not in re.sub(r"data:[^\"]+", "", text)
    assert [card["data-error0"] for card in page.cards if card["data-name"] == ODD] == ["3.2500"]


def test_only_the_pages_own_script_and_style_may_run(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", odd_page())
    text = (tmp_path / "page.html").read_text("utf-8")
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert found
    policy = found[1]
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert " style=" not in text  # the policy would drop them
    assert not re.search(r" on[a-z]+=", text.split("</script>")[1])


def test_data_for_the_script_cannot_end_it(tmp_path: Path, toy_model: MorphableModel) -> None:
    mesh = SharedMesh(toy_model.mean / 1000, toy_model.triangles, toy_model.landmark_ids, ODD, "</script><i>")
    write_page(tmp_path / "page.html", Page("t", "", [Section("s", gallery=Gallery([], mesh=mesh))]))
    page = Reader((tmp_path / "page.html").read_text("utf-8"))
    assert "i" not in page.tags
    assert "b" not in page.tags


def test_a_name_that_is_no_unicode_is_written(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", Page("caf\udce9", "", []))
    assert "caf?" in (tmp_path / "page.html").read_text("utf-8")


def test_nothing_is_left_of_a_page_that_fails(tmp_path: Path) -> None:
    picture = Picture(np.zeros((2, 2), np.uint8), "grey")
    with pytest.raises(ShapeError):
        write_page(tmp_path / "page.html", Page("t", "", [Section("s", pictures=[picture])]))
    assert list(tmp_path.iterdir()) == []


def test_vendored_files_are_the_published_ones() -> None:
    folder = ROOT / "rendering" / "assets" / "three"
    stated = re.findall(r"^([0-9a-f]{64})  (\S+)$", (folder / "SOURCE.txt").read_text(), re.MULTILINE)
    assert {Path(name).name for _, name in stated} == {path.name for path in folder.iterdir()} - {"SOURCE.txt"}
    for digest, name in stated:
        assert hashlib.sha256((folder / Path(name).name).read_bytes()).hexdigest() == digest


# --- the faces of a run -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces(toy_model: MorphableModel) -> ToyFaces:
    return ToyFaces(toy_model)


def test_everything_on_a_card_is_in_its_pictures_pixels(faces: ToyFaces, tmp_path: Path) -> None:
    """Landmarks, the 3D view's camera and the pictures agree; a marked pixel of the photo is where it should be."""
    photos = faces.write_photos(tmp_path)
    for index, card in enumerate(run_cards(faces.run(), faces.model, [0, 1, 2], Photos(photos), {})):
        assert card.photo is not None
        assert card.mask is not None
        assert card.mesh is not None
        assert card.landmarks is not None
        assert card.photo.shape == card.mask.shape
        assert max(card.photo.shape) == 320
        placed = card.mesh.vertices @ card.mesh.camera[:, :3].T + card.mesh.camera[:, 3]
        np.testing.assert_allclose(placed[faces.model.landmark_ids], card.landmarks, atol=1e-6)
        # The toy photo's red and green are its own column and row: sampled, they give the photo's pixels back.
        at = np.rint(placed).astype(int)
        height, width = card.photo.shape[:2]
        inside = ((at > 4) & (at < np.array([width, height]) - 5)).all(axis=1) & card.mesh.seen
        assert inside.sum() > 100
        there = card.photo[at[inside, 1], at[inside, 0], :2].astype(float)
        np.testing.assert_allclose(there, faces.photo(index)[inside, :2], atol=1.0)


def test_a_face_without_its_photo_has_no_colours(faces: ToyFaces, tmp_path: Path) -> None:
    photos = faces.write_photos(tmp_path, ["ann", "cyd"])
    cards = list(run_cards(faces.run(), faces.model, [0, 1], Photos(photos), {}))
    assert "no photo of bob" in cards[1].note
    assert cards[1].photo is None
    assert cards[1].mask is not None
    assert cards[1].mesh is not None
    assert not cards[1].mesh.seen.any()
    assert cards[0].note == ""


# --- the command ------------------------------------------------------------------------------------------------------


def write_truth(folder: Path, faces: ToyFaces, *names: str) -> Path:
    """Annotations 2 px to the right of the faces of these names; 30, 31, ... degrees yaw."""
    folder.mkdir()
    for name in names:
        index = faces.names.index(name)
        landmarks = faces.photo(index)[faces.model.landmark_ids] + [1 + 2, 1, 0]
        pose = np.array([[0, np.deg2rad(30 + index), 0, 0, 0, 0, 1]])
        savemat(folder / f"{name}.mat", {"pt3d_68": landmarks.T, "Pose_Para": pose})
    return folder


@pytest.fixture
def arguments(faces: ToyFaces, tmp_path: Path) -> list[str]:
    """A run of three faces, its model and photos."""
    faces.model.save(tmp_path / "model.h5")
    faces.write_photos(tmp_path)
    return ["render", "page", *faces.write_run(tmp_path), "--model", str(tmp_path / "model.h5")]


def written(path: Path) -> Reader:
    return Reader(path.read_text("utf-8"))


def test_page_of_a_run(arguments: list[str], faces: ToyFaces, tmp_path: Path) -> None:
    truth = write_truth(tmp_path / "truth", faces, "ann", "bob", "cyd")
    code, _, err = run_command(*arguments, "--truth", truth, "--protocol", "2dasl", "-o", tmp_path / "page")
    assert code == 0, err
    page = written(tmp_path / "page" / "index.html")
    assert [card["data-name"] for card in page.cards] == list(faces.names)
    there, target = (points[faces.model.landmark_ids] for points in (faces.matlab_photo(0), faces.photo(0) + [3, 1, 0]))
    size = np.sqrt(np.ptp(target[:, :2], axis=0).prod())
    expected = 100 * np.linalg.norm((there - target)[:, :2], axis=1).mean() / size
    assert float(page.cards[0]["data-error0"] or "nan") == pytest.approx(expected, rel=1e-4)
    source = (tmp_path / "page" / "index.html").read_text()
    (found, truth_dot) = (
        re.findall(rf'class="{kind} dots" d="M([0-9.-]+) ([0-9.-]+)', source)[0] for kind in ("found", "truth")
    )
    across, down = (float(b) - float(a) for a, b in zip(found, truth_dot, strict=True))
    assert across > 2.1  # 2 px of the photo, enlarged
    assert abs(down) < 0.11  # both are rounded to a tenth
    for text in ("2D NME", "3D NME", "protocol 2dasl", "the original 2DASL scripts", "invented, free to use", "MIT"):
        assert text in page.text
    assert f"twodasl {run_command('--version')[1].split()[1]}" in page.text


def test_failed_inputs_and_gaps_are_shown(arguments: list[str], faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_run(tmp_path, failed=["bob"])
    (tmp_path / "photos" / "cyd.png").unlink()
    truth = write_truth(tmp_path / "truth", faces, "ann", "bob")
    code, _, err = run_command(*arguments, "--truth", truth, "-o", tmp_path / "all.html")
    assert code == 3
    assert "1 failed" in err
    assert "1 without their photo: cyd" in err
    page = written(tmp_path / "all.html")
    assert [card["data-status"] for card in page.cards] == ["ok", "unreadable", "ok"]
    assert ["data-error0" in card for card in page.cards] == [True, False, False]
    assert "The truth knows 2 of these 3 images" in page.text
    assert "the photo is missing, empty, truncated or no picture" in page.text
    assert "the photo of cyd is no longer at" in page.text


def test_names_are_escaped(arguments: list[str], faces: ToyFaces, tmp_path: Path) -> None:
    odd = """x"><script>alert(1)</script>&'ü"""
    replace(faces.run(), names=(odd, "bob", "cyd")).save(tmp_path / "run.h5")
    code, _, err = run_command(*arguments, "-o", tmp_path / "page")
    assert code == 3, err  # no photo of that name is known
    page = written(tmp_path / "page" / "index.html")
    assert page.cards[0]["data-name"] == odd
    assert odd in page.text
    assert "<script>alert" not in (tmp_path / "page" / "index.html").read_text()


def test_a_part_of_a_run(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "two.list").write_text("cyd.jpg\nann.jpg\n")
    assert run_command(*arguments, "--only", tmp_path / "two.list", "-o", tmp_path / "a.html")[0] == 0
    assert [card["data-name"] for card in written(tmp_path / "a.html").cards] == ["ann", "cyd"]
    assert run_command(*arguments, "--limit", 1, "-o", tmp_path / "b.html")[0] == 0
    assert [card["data-name"] for card in written(tmp_path / "b.html").cards] == ["ann"]


def test_no_page_is_replaced_unasked(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("mine")
    code, _, err = run_command(*arguments, "-o", tmp_path / "page")
    assert (code, err.count("\n")) == (1, 1)
    assert "--overwrite" in err
    assert (tmp_path / "page" / "index.html").read_text() == "mine"
    assert run_command(*arguments, "-o", tmp_path / "page", "--overwrite")[0] == 0
    assert (tmp_path / "page" / "index.html").read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--truth", "empty"], "holds no annotation (.mat) of ann, bob, cyd"),
        (["--truth", "nowhere"], "nowhere is not a folder"),
        (["--photos", "nowhere"], "--photos nowhere is not a folder"),
        (["--only", "other.list"], "run.h5 has no image called dan"),
        (["--model", "run.h5"], "holds a run; a face model is expected"),
    ],
)
def test_bad_input(
    options: list[str], message: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.list").write_text("dan\n")
    monkeypatch.chdir(tmp_path)
    code, _, err = run_command(*arguments, *options, "-o", "page")
    assert code == 1
    assert message in err
    assert not Path("page").exists()


def test_a_run_without_faces(arguments: list[str], faces: ToyFaces, tmp_path: Path) -> None:
    faces.write_run(tmp_path, failed=faces.names)
    code, _, err = run_command(*arguments, "-o", tmp_path / "page")
    assert code == 1
    assert "holds no face to show among 3 inputs (unreadable)" in err
    assert not (tmp_path / "page").exists()


# --- in a browser -----------------------------------------------------------------------------------------------------

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to open the page in")


@pytest.fixture(scope="module")
def page(toy_model: MorphableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of three toy faces, one without truth."""
    folder = tmp_path_factory.mktemp("page")
    faces = ToyFaces(toy_model)
    toy_model.save(folder / "model.h5")
    faces.write_photos(folder)
    truth = write_truth(folder / "truth", faces, "ann", "cyd")
    arguments = [*faces.write_run(folder), "--model", folder / "model.h5", "--truth", truth, "-o", folder / "out"]
    assert run_command("render", "page", *arguments)[0] == 0
    return folder / "out" / "index.html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def opened(tab: Browser, page: Path) -> Iterator[Browser]:
    """The page, freshly opened; afterwards its console was silent and it asked for nothing but itself."""
    tab.messages.clear()
    tab.requests.clear()
    tab.open(page)
    yield tab
    assert tab.messages == []
    assert set(tab.requests) <= {page.as_uri()}


SHOWN = "[...document.querySelectorAll('.card:not([hidden])')].map(card => card.dataset.name)"


def choose(tab: Browser, selector: str, value: str) -> None:
    """What a person's choice or typing in a field does."""
    tab.js(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
        "e.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )


def open_3d(tab: Browser, name: str) -> None:
    tab.click(f'.card[data-name="{name}"] .open')
    tab.wait(f"document.querySelector('.viewer .canvas').dataset.ready === {json.dumps(name)}")


def pixels(tab: Browser) -> np.ndarray:
    """What the window shows, (H, W, 3), after two more frames."""
    tab.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    return np.asarray(Image.open(io.BytesIO(tab.screenshot())).convert("RGB")).astype(int)


def changed(first: np.ndarray, second: np.ndarray) -> float:
    """The share of pixels that differ plainly."""
    return float((abs(first - second).max(axis=2) > 24).mean())


@needs_chromium
def test_filters_and_order(opened: Browser) -> None:
    assert opened.js(SHOWN) == ["ann", "bob", "cyd"]
    choose(opened, "[data-filter=text]", "B")
    assert opened.js(SHOWN) == ["bob"]
    assert opened.js("document.querySelector('.count').value") == "1 of 3 shown"
    choose(opened, "[data-filter=text]", "nobody")
    assert opened.js("document.querySelector('.none').offsetHeight > 0")
    opened.click(".none button")
    opened.wait(f"({SHOWN}).length === 3")
    errors = opened.js("[...document.querySelectorAll('.card')].map(card => Number(card.dataset.error0))")
    by_error = ["ann", "cyd"] if errors[0] < errors[2] else ["cyd", "ann"]
    choose(opened, "[data-sort]", "error0")
    assert opened.js(SHOWN) == [*by_error, "bob"]
    opened.click("[data-descending]")
    assert opened.js(SHOWN) == [*by_error[::-1], "bob"]  # without an error: last all the same
    choose(opened, "[data-filter=least]", str((errors[0] + errors[2]) / 2))
    assert opened.js(SHOWN) == [by_error[1]]
    opened.js("document.querySelector('.tools').reset()")
    opened.wait(f"({SHOWN}).join() === 'ann,bob,cyd'")
    choose(opened, "[data-filter=yaw]", "60 360")
    yaws = opened.js("[...document.querySelectorAll('.card')].map(card => Number(card.dataset.yaw))")
    assert opened.js(f"({SHOWN}).length") == sum(abs(yaw) > 60 for yaw in yaws)


@needs_chromium
def test_layers(opened: Browser) -> None:
    shown = "[...document.querySelectorAll('.card')].map(c => [...c.querySelectorAll('img')].filter(i => i.offsetWidth).map(i => i.className).join())"
    assert opened.js(shown) == ["mask"] * 3
    opened.click(".tools [data-show=depth]")
    assert opened.js(shown) == ["depth"] * 3
    opened.click('.card[data-name="bob"] [data-show=photo]')
    assert opened.js(shown) == ["depth", "photo", "depth"]
    drawn = "[...document.querySelectorAll('.card')].map(c => [...c.querySelectorAll('path')].filter(p => p.getBoundingClientRect().width).length)"
    assert opened.js(drawn) == [0, 0, 0]
    opened.click(".tools [data-points=found]")
    assert opened.js(drawn) == [2, 2, 2]
    opened.click(".tools [data-points=truth]")
    assert opened.js(drawn) == [4, 2, 4]


@needs_chromium
def test_the_face_turns_in_3d(opened: Browser) -> None:
    before = pixels(opened)
    open_3d(opened, "ann")
    first = pixels(opened)
    assert changed(before, first) > 0.2
    opened.drag((600, 400), (760, 420))
    turned = pixels(opened)
    assert changed(first, turned) > 0.03
    opened.js("document.querySelector('[data-do=reset]').click()")
    assert changed(first, pixels(opened)) < 0.002
    opened.js("document.querySelector('[data-surface=clay]').click()")
    assert changed(first, pixels(opened)) > 0.03
    opened.js("document.querySelector('.canvas').focus()")
    clay = pixels(opened)
    opened.key("ArrowLeft", 37)
    assert changed(clay, pixels(opened)) > 0.005
    opened.key("n", 78, "n")
    opened.wait("document.querySelector('.viewer .canvas').dataset.ready === 'bob'")
    assert opened.js("location.hash") == "#face=bob"
    opened.key("Escape", 27)
    opened.wait("!document.querySelector('.viewer').open")


@needs_chromium
def test_gaps_do_no_harm(tab: Browser, faces: ToyFaces, arguments: list[str], tmp_path: Path) -> None:
    """A failed input without a photo, and a face without one."""
    faces.write_run(tmp_path, failed=["bob"])
    for name in ("bob", "cyd"):
        (tmp_path / "photos" / f"{name}.png").unlink()
    run_command(*arguments, "-o", tmp_path / "page.html")
    tab.messages.clear()
    tab.open(tmp_path / "page.html")
    choose(tab, "[data-filter=status]", "unreadable")
    assert tab.js(SHOWN) == ["bob"]
    choose(tab, "[data-filter=status]", "ok")
    open_3d(tab, "cyd")
    assert tab.js("document.querySelector('[data-surface=photo]').disabled")
    assert tab.js("document.querySelector('[data-surface=clay]').ariaPressed") == "true"
    tab.key("n", 78, "n")
    tab.wait("document.querySelector('.viewer .canvas').dataset.ready === 'ann'")
    assert tab.js("document.querySelector('[data-surface=photo]').ariaPressed") == "true"
    assert tab.messages == []


@needs_chromium
def test_keyboard_alone_opens_a_face(opened: Browser) -> None:
    opened.js("document.querySelector('.card[data-name=\"cyd\"] .open').focus()")
    opened.key("Enter", 13, "\r")
    opened.wait("document.querySelector('.viewer .canvas').dataset.ready === 'cyd'")
    opened.key("Escape", 27)
    opened.wait("document.activeElement.closest('.card')?.dataset.name === 'cyd'")


@needs_chromium
def test_a_link_opens_its_face(tab: Browser, page: Path) -> None:
    tab.open(page, "#face=bob")
    tab.wait("document.querySelector('.viewer .canvas').dataset.ready === 'bob'")


@needs_chromium
def test_the_glb_is_the_face(opened: Browser, toy_model: MorphableModel, tmp_path: Path) -> None:
    """Read by trimesh: the model's vertices in order, in metres, the toy photo's colours where it shows them."""
    opened("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    open_3d(opened, "ann")
    opened.click("[data-do=download]")
    opened.wait("new Promise(done => setTimeout(() => done(true), 300))")
    for _ in range(100):
        if (tmp_path / "ann.glb").exists():
            break
        opened.wait("new Promise(done => setTimeout(() => done(true), 100))")
    faces = ToyFaces(toy_model)
    (card,) = run_cards(faces.run(), toy_model, [0], Photos(), {})
    assert card.mesh is not None
    scene: Any = trimesh.load(tmp_path / "ann.glb", process=False)
    (mesh,) = scene.geometry.values()
    np.testing.assert_allclose(mesh.vertices, card.mesh.vertices / 1000, atol=0.51e-3 * GRID_MM + 1e-8)
    np.testing.assert_array_equal(mesh.faces, toy_model.triangles)
    data = (tmp_path / "ann.glb").read_bytes()
    tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert "invented, free to use" in tree["asset"]["copyright"]
    colors = np.asarray(mesh.visual.vertex_attributes["color"], float)[:, :3] / 255
    seen = np.flatnonzero(colors[:, 2] < 0.1)  # the toy photo has little blue, clay has much
    assert len(seen) > 200
    levels = 255 * np.where(colors <= 0.0031308, 12.92 * colors, 1.055 * colors ** (1 / 2.4) - 0.055)
    off = levels[seen, :2] - faces.photo(0)[seen, :2]  # its red and green are its columns and rows
    assert (np.abs(np.median(off, axis=0)) < 1).all()


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_fits_every_window(opened: Browser, width: int, dark: bool) -> None:
    opened.size(width, 800, mobile=width < 500)
    opened.dark(dark)
    try:
        assert opened.js("document.documentElement.scrollWidth") <= width
        corner = pixels(opened)[4, 4]
        assert (corner.mean() < 60) == dark
        open_3d(opened, "ann")
        assert opened.js("document.querySelector('.viewer').scrollWidth") <= width
        assert opened.js("document.querySelector('.canvas').clientHeight") > 300
    finally:
        opened.dark(False)
        opened.size(1280, 900)


@needs_chromium
def test_every_control_has_a_name(opened: Browser) -> None:
    nameless = opened.js(
        "[...document.querySelectorAll('button, input, select, img')].filter(e => !(e.alt ?? '') && !e.ariaLabel"
        " && !e.textContent.trim() && !e.closest('label') && !e.matches('.inset')).map(e => e.outerHTML)"
    )
    assert nameless == []


@needs_chromium
def test_the_page_cannot_reach_the_network(tab: Browser, page: Path) -> None:
    tab.open(page)
    tab.messages.clear()
    assert tab.js("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    assert any("Content Security Policy" in message for message in tab.messages)
