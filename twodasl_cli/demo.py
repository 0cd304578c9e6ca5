"""`twodasl demo`: everything, on what is in the package."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, model_option, note, progress

if TYPE_CHECKING:
    import numpy as np

    from twodasl.evaluation.result import NmeResult
    from twodasl.models.morphable import MorphableModel
    from twodasl.models.runs import Run
    from twodasl.rendering.page import Section

SAMPLES = 12
NOISE_PX = 3.0  # of the samples' landmarks, about what detectors are off

ASTRONAUT = (
    "The photo is scikit-image's astronaut (NASA, public domain). No network looks at it: its 68 points are stored "
    "beside the demo as a noisy input, found once by MediaPipe's Face Mesh, and the face model is fitted to them."
)


@click.command()
@click.option("-o", "--output", type=FILE, default=Path("demo"), show_default=True, help="Folder to write.")
@model_option
def demo(output: Path, model_path: Path | None) -> None:
    """Reconstruct a face and score twelve others, on what the package holds: open index.html in the folder.

    Landmarks are fitted without a network; the pictures, the meshes, the run files and the NME table in the folder are
    what 'fit', 'render' and 'eval' write. Files of an earlier demo are replaced.
    """
    from twodasl.models.files import make_folder
    from twodasl.models.library import default_model
    from twodasl.rendering.page import write_page

    model = default_model(model_path)
    make_folder(output)
    with progress("demo", 3) as step:
        run, photo = _astronaut(output, model)
        step(1)
        result, pictures = _samples(output, model)
        step(1)
        sections = [*_face_sections(output, run, photo, model), *_score_sections(result, pictures)]
        write_page(
            output / "index.html",
            "twodasl demo",
            f"Landmarks become faces of {model.name}, faces become numbers, pictures and meshes.",
            sections,
            run.info.terms,
        )
        step(1)
    summary = result.summary
    error = "-" if summary.mean_over_images is None else f"{100 * summary.mean_over_images:.2f} %"
    click.echo(f"{SAMPLES} invented faces fitted to landmarks {NOISE_PX:g} px off: 2D NME {error} (mean of images)")
    click.echo(f"Open {output / 'index.html'}")
    note(f"Terms: {run.info.terms}")


def _astronaut(output: Path, model: "MorphableModel") -> "tuple[Run, np.ndarray]":
    """The stored landmarks fitted: photo and run files, and both as values."""
    from importlib.resources import as_file, files

    import numpy as np
    from skimage.data import astronaut

    from twodasl.models.fitting.runs import fit_run, read_points
    from twodasl.rendering.images import write_image

    photo = np.ascontiguousarray(astronaut()[:, :, :3])
    write_image(output / "astronaut.png", photo)
    with as_file(files("twodasl.models") / "assets" / "astronaut_landmarks.jsonl") as landmarks:
        inputs = read_points(landmarks, None, np.arange(68), "photo", 0)
    run = fit_run(inputs, model, inputs.settings, _semantic(model)).run
    run.save(output / "astronaut.h5")
    return run, photo


def _semantic(model: "MorphableModel") -> str | None:
    """The list of landmarks that lie on the features as seen, where the model has several."""
    return "semantic" if "semantic" in model.named_landmarks else None


def _samples(output: Path, model: "MorphableModel") -> "tuple[NmeResult, list[tuple[str, np.ndarray]]]":
    """Invented faces in AFLW2000-3D's layout, fitted to noisy 2D landmarks and scored; with a mask of each."""
    import numpy as np

    from twodasl.evaluation.protocols import PROTOCOLS
    from twodasl.evaluation.sparse import evaluate_sparse
    from twodasl.models.annotations import read_annotation
    from twodasl.models.fitting.runs import fit_run, read_points
    from twodasl.models.inputs import InputOptions
    from twodasl.models.photos import read_photo
    from twodasl.rendering.images import mask_overlay
    from twodasl.rendering.samples import write_samples

    truth = output / "samples"
    names = write_samples(truth, model, SAMPLES)
    rng = np.random.default_rng(1)
    lines = []
    for name in names:
        points = read_annotation(truth / f"{name}.mat").landmarks[:, :2] + rng.normal(0, NOISE_PX / 1.25, (68, 2))
        lines.append(",".join([name, *(f"{value:.2f}" for value in points.ravel())]))
    (output / "samples_landmarks.csv").write_text("\n".join(lines) + "\n")
    inputs = read_points(output / "samples_landmarks.csv", None, np.arange(68), "photo", 1)
    run = fit_run(inputs, model, inputs.settings, _semantic(model)).run
    run.save(output / "samples.h5")
    model_file = output / "model.h5"
    model.save(model_file)
    options = InputOptions(model=model_file, points=_semantic(model))
    result = evaluate_sparse(output / "samples.h5", truth, PROTOCOLS["exact"], options=options)[0]
    model_file.unlink()
    pictures = []
    for row, name in enumerate(run.names):
        photo = read_photo(truth / f"{name}.jpg")
        drawn = mask_overlay(photo, run.vertices(row, model), model.triangles, 0.75) if run.valid[row] else photo
        pictures.append((name, drawn))
    return result, pictures


def _face_sections(output: Path, run: "Run", photo: "np.ndarray", model: "MorphableModel") -> "list[Section]":
    """Pictures and meshes of the one face, written beside the page and shown in it."""
    from twodasl.models.coefficients import split
    from twodasl.rendering.depth import depth_picture, points_overlay
    from twodasl.rendering.images import landmarks_overlay, mask_overlay, vertex_colors, write_image
    from twodasl.rendering.meshes import write_glb, write_obj, write_ply
    from twodasl.rendering.page import Picture, Section

    vertices = run.vertices(0, model)
    height, width = photo.shape[:2]
    drawn = {
        "photo": photo,
        "landmarks": landmarks_overlay(photo, run.landmarks[0]),
        "mask": mask_overlay(photo, vertices, model.triangles),
        "points": points_overlay(photo, vertices, model.triangles),
        "depth": depth_picture(vertices, model.triangles, width, height),
    }
    for name, image in drawn.items():
        if name != "photo":
            write_image(output / f"astronaut_{name}.png", image)
    colors = vertex_colors(photo, vertices)
    comments = ("astronaut, written by twodasl demo", f"face model: {model.name}", f"terms: {run.info.terms}")
    write_obj(output / "astronaut.obj", vertices * [1, -1, 1], model.triangles, colors, comments)
    write_ply(output / "astronaut.ply", vertices * [1, -1, 1], model.triangles, colors, comments)
    _, identity, expression = split(run.coefficients[0], run.info.n_identity)
    write_glb(
        output / "astronaut.glb", model.vertices(identity, expression) / 1e6, model.triangles, colors, run.info.terms
    )
    left, top = (int(max(0, value)) for value in vertices[:, :2].min(axis=0) - 60)
    right, bottom = (int(value) for value in vertices[:, :2].max(axis=0) + 60)
    close = {name: image[top:bottom, left:right] for name, image in drawn.items()}
    links = [(f"astronaut.{suffix}", f"astronaut.{suffix}") for suffix in ("obj", "ply", "glb", "h5")]
    return [
        Section("One photo", [ASTRONAUT], [Picture(image, name) for name, image in close.items()], 170, links=links)
    ]


def _score_sections(result: "NmeResult", pictures: "list[tuple[str, np.ndarray]]") -> "list[Section]":
    from twodasl.evaluation.report import table
    from twodasl.rendering.page import Picture, Section

    values: dict[str, Any] = dict(zip(result.names, result.values, strict=True))
    captions = [Picture(image, f"{name}: {100 * values[name]:.2f} %") for name, image in pictures]
    text = (
        f"Twelve invented faces with exact annotations, fitted to 2D landmarks about {NOISE_PX:g} px off and scored "
        "against the annotations. They show that the whole road works; they are no benchmark."
    )
    return [Section("A score", [text], captions, 150, code=table(result))]
