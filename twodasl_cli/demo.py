"""`twodasl demo`: everything, on what is in the package."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import FILE, model_option, note, progress

if TYPE_CHECKING:
    import numpy as np

    from twodasl.models.morphable import MorphableModel
    from twodasl.models.runs import Run
    from twodasl.rendering.page import Section, SharedMesh

    from .render_page import Scores

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
    from twodasl.rendering.page import Page, write_page
    from twodasl.rendering.page.faces import mean_mesh

    from .render_page import page_terms, score_numbers, score_sections

    model = default_model(model_path)
    make_folder(output)
    with progress("demo", 4) as step:
        run, photo = _astronaut(output, model)
        step(1)
        samples = _samples(output, model)
        step(1)
        scores = _score(output, samples, model)
        results = scores[0]
        step(1)
        mesh = mean_mesh(samples, model)
        write_page(
            output / "index.html",
            Page(
                title="twodasl demo",
                intro=f"Landmarks become faces of {model.name}, faces become numbers, pictures and meshes.",
                sections=[
                    _face_section(output, run, photo, model, mesh),
                    _samples_section(output, samples, model, mesh, scores),
                    *score_sections(results),
                ],
                numbers=[("faces", f"{1 + SAMPLES}"), *score_numbers(results)],
                terms=page_terms(run.info.terms),
            ),
        )
        step(1)
    mean = results[0].summary.mean_over_images
    error = "-" if mean is None else f"{100 * mean:.2f} %"
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


def _samples(output: Path, model: "MorphableModel") -> "Run":
    """Invented faces in AFLW2000-3D's layout, fitted to noisy 2D landmarks: photo, annotation and run files."""
    import numpy as np

    from twodasl.models.annotations import read_annotation
    from twodasl.models.fitting.runs import fit_run, read_points
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
    return run


def _score(output: Path, run: "Run", model: "MorphableModel") -> "Scores":
    """The samples' errors, and what each of their cards shows of the truth."""
    from .render_page import score_rows

    model_file = output / "model.h5"
    model.save(model_file)
    rows = list(range(len(run)))
    scores = score_rows(run, output / "samples.h5", rows, output / "samples", "exact", _semantic(model), model_file)
    model_file.unlink()
    return scores


def _face_section(
    output: Path, run: "Run", photo: "np.ndarray", model: "MorphableModel", mesh: "SharedMesh"
) -> "Section":
    """Pictures and meshes of the one face, written beside the page and shown in it."""
    from twodasl.models.coefficients import split
    from twodasl.rendering.depth import depth_picture, points_overlay
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.gltf import write_glb
    from twodasl.rendering.images import landmarks_overlay, mask_overlay, vertex_colors, write_image
    from twodasl.rendering.meshes import write_obj, write_ply
    from twodasl.rendering.page import Gallery, Picture, Section
    from twodasl.rendering.page.faces import run_cards

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
    close = [Picture(image[top:bottom, left:right], name) for name, image in drawn.items()]
    links = [(f"astronaut.{suffix}", f"astronaut.{suffix}") for suffix in ("obj", "ply", "glb", "h5")]
    cards = run_cards(run, model, [0], Photos(output), {})
    return Section("One photo", [ASTRONAUT], Gallery(cards, mesh=mesh), close, links=links)


def _samples_section(
    output: Path, run: "Run", model: "MorphableModel", mesh: "SharedMesh", scores: "Scores"
) -> "Section":
    from twodasl.rendering.faces import Photos
    from twodasl.rendering.page import Gallery, Section
    from twodasl.rendering.page.faces import run_cards

    from .render_page import error_names

    text = (
        f"Twelve invented faces with exact annotations, fitted to 2D landmarks about {NOISE_PX:g} px off and scored "
        "against the annotations. They show that the whole road works; they are no benchmark."
    )
    results, known = scores
    cards = run_cards(run, model, list(range(len(run))), Photos(output / "samples"), known)
    return Section("Twelve faces", [text], Gallery(cards, error_names(results), mesh))
