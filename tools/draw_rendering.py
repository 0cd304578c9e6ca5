"""Draw docs/images/rendering.jpg: one face in every kind of picture, from the folder that `twodasl demo` wrote.

python tools/draw_rendering.py twodasl-demo docs/images/rendering.jpg
"""

import sys
from pathlib import Path

import numpy as np

from twodasl.models.inputs import InputOptions
from twodasl.models.library import bundled_model
from twodasl.models.photos import read_photo
from twodasl.rendering.contact import contact_sheet
from twodasl.rendering.faces import open_faces
from twodasl.rendering.images import write_image
from twodasl.rendering.layers import LAYERS, layer_maker
from twodasl.rendering.texture import face_colors, face_texture, layout, unwrap
from twodasl.rendering.turntable import turntable

CELL = 200
WINDOW = slice(0, 250), slice(100, 350)  # rows and columns of the photo around the face


def main() -> None:
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    faces = open_faces(folder / "astronaut.h5", InputOptions())
    photo, model = read_photo(folder / "astronaut.png"), bundled_model()
    vertices = faces.photo_vertices(0)
    pictures = {layer: layer_maker(faces, folder, layer)([0])[WINDOW] for layer in LAYERS}
    pictures["uv"] = unwrap(photo, vertices, model.triangles, layout(model), 512).colors
    pictures["uv --complete"] = face_texture(photo, vertices, model, 512)
    colors = face_colors(photo, vertices, model)
    for label, tints in (("turntable", None), ("turntable --colors", colors)):
        movie = list(turntable(faces.model_vertices(0), model.triangles, tints, count=8, size=400, sway=45))
        pictures[label] = np.asarray(movie[1])
    write_image(output, contact_sheet(list(pictures.values()), list(pictures), columns=6, cell=CELL))


if __name__ == "__main__":
    main()
