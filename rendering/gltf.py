"""Binary glTF files (.glb): one mesh in metres, plain, with vertex colours or with a texture."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..models.files import PNG, whole_file
from .colors import light_from_srgb
from .meshes import Skin, check_colors, check_drawable, check_skin
from .shading import vertex_normals

# Numbers of the glTF 2.0 specification.
FLOAT, UINT32 = 5126, 5125  # kinds of numbers
OF_VERTICES, OF_TRIANGLES = 34962, 34963  # what a part of the buffer is for
SMOOTH_TO_THE_EDGE = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}
TYPES = {2: "VEC2", 3: "VEC3"}

GREY = 0.7  # of a plain mesh, linear light
ROUGHNESS = 0.8  # of skin; nothing of a face is metal, which is what glTF takes where nothing is said


def write_glb(
    path: Path,
    vertices: np.ndarray,
    triangles: np.ndarray,
    colors: np.ndarray | None = None,
    terms: str = "",
    skin: Skin | None = None,
    extras: Mapping[str, str] | None = None,
) -> None:
    """Write a binary glTF file, vertices in order, float32, with their normals.

    vertices: (N, 3), metres, x right, y up, z to the viewer: glTF's own axes. triangles: (T, 3) int from 0,
    counter-clockwise seen from outside. colors: (N, 3), sRGB 0..1; the file has them as linear light. skin: instead of
    colors. terms: stand in `asset.copyright`. extras: more facts, in `asset.extras`. Raises as `write_obj` does.
    """
    check_drawable(vertices, triangles)
    asset: dict[str, Any] = {"version": "2.0", "generator": "twodasl"}
    asset |= ({"copyright": terms} if terms else {}) | ({"extras": dict(extras)} if extras else {})
    tree: dict[str, Any] = {"asset": asset, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
    values = {"POSITION": vertices, "NORMAL": vertex_normals(vertices, triangles, "model")}
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS}
    picture = b""
    if skin is not None:
        check_skin(skin, len(vertices))
        values["TEXCOORD_0"] = skin.uv * [1, -1] + [0, 1]  # v down here
        surface["baseColorTexture"] = {"index": 0}
        picture = _png(skin.texture)
        tree |= {"textures": [{"source": 0, "sampler": 0}], "samplers": [SMOOTH_TO_THE_EDGE]}
        tree["images"] = [{"mimeType": "image/png", "bufferView": len(values) + 1}]
    elif colors is not None:
        check_colors(colors, len(vertices))
        values["COLOR_0"] = light_from_srgb(colors)
    else:
        surface["baseColorFactor"] = [GREY, GREY, GREY, 1.0]
    arrays = [np.asarray(array, "<f4") for array in values.values()]
    accessors = [_accessor(array) for array in arrays]
    accessors[0] |= {"min": arrays[0].min(axis=0).tolist(), "max": arrays[0].max(axis=0).tolist()}
    accessors.append({"componentType": UINT32, "count": triangles.size, "type": "SCALAR"})
    primitive = {"attributes": {name: number for number, name in enumerate(values)}, "indices": len(values)}
    tree["meshes"] = [{"primitives": [primitive | {"material": 0}]}]
    tree["materials"] = [{"pbrMetallicRoughness": surface}]
    tree["accessors"] = [accessor | {"bufferView": number} for number, accessor in enumerate(accessors)]
    blobs = [array.tobytes() for array in arrays] + [triangles.astype("<u4").tobytes()]
    views = [{"target": OF_VERTICES} for _ in arrays] + [{"target": OF_TRIANGLES}]
    if picture:
        blobs.append(picture)
        views.append({})
    starts = np.cumsum([0, *(len(blob) for blob in blobs)]).tolist()
    tree["bufferViews"] = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(blob)} | view
        for start, blob, view in zip(starts[:-1], blobs, views, strict=True)
    ]
    tree["buffers"] = [{"byteLength": starts[-1]}]
    with whole_file(path) as temporary:
        temporary.write_bytes(
            _container(json.dumps(tree, ensure_ascii=False).encode(errors="replace"), b"".join(blobs))
        )


def _accessor(array: np.ndarray) -> dict[str, Any]:
    return {"componentType": FLOAT, "count": len(array), "type": TYPES[array.shape[1]]}


def _png(texture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(texture).save(content, "png", **PNG)
    return content.getvalue()


def _container(text: bytes, binary: bytes) -> bytes:
    """The two chunks of a .glb, each filled up to four bytes."""
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = [(b"JSON", text), (b"BIN\0", binary)]
    body = b"".join(len(chunk).to_bytes(4, "little") + kind + chunk for kind, chunk in chunks)
    return b"glTF" + (2).to_bytes(4, "little") + (12 + len(body)).to_bytes(4, "little") + body
