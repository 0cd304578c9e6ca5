// The 3D view: unpacks the face that was clicked, shows it with three.js, and writes it as a GLB file.

const CLAY = 0xb9b2a8, CLAY_RGB = [0xb9, 0xb2, 0xa8];

async function unpackBytes(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Rows of integers as packing.py wrote them: differences in three planes of bytes, the sign in the lowest bit.
async function unpack(text, rows) {
  const bytes = await unpackBytes(text), size = bytes.length / 3, columns = size / rows;
  const values = new Int32Array(size);
  for (let start = 0; start < size; start += columns) {
    for (let i = start, sum = 0; i < start + columns; i++) {
      const zigzag = bytes[i] | (bytes[size + i] << 8) | (bytes[2 * size + i] << 16);
      values[i] = sum += (zigzag >>> 1) ^ -(zigzag & 1);
    }
  }
  return values;
}

const once = (make) => { let made; return (...given) => (made ??= make(...given)); };

const loadThree = once(async () => {
  const source = async (name) => new TextDecoder().decode(
    await unpackBytes(document.querySelector(`[data-module="${name}"]`).textContent));
  const address = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const core = address(await source("three.module.min.js"));
  const controls = address((await source("OrbitControls.js")).replace(/from 'three'/, `from '${core}'`));
  return { ...(await import(core)), ...(await import(controls)) };
});

const shared = new Map(); // number of a shared mesh: what unpackShared made of it
async function unpackShared(number) {
  const data = JSON.parse(document.querySelector(`[data-shared="${number}"]`).textContent);
  const corners = Uint32Array.from(await unpack(data.corners, 1));
  return { ...data, corners, reference: await unpack(data.reference, 3) };
}

// One card's face: positions and normals are made of millimetres, uv is where the card's picture shows a vertex.
async function unpackFace(card) {
  const number = card.closest(".gallery").dataset.mesh;
  if (!shared.has(number)) shared.set(number, unpackShared(number));
  const mesh = await shared.get(number);
  const data = JSON.parse(card.querySelector("script.face").textContent);
  const steps = await unpack(data.positions, 3), bits = await unpackBytes(data.seen), count = mesh.vertices;
  const positions = new Float32Array(3 * count), seen = new Float32Array(count), pixels = new Float32Array(2 * count);
  const [a, b, c, d, e, f, g, h] = data.camera;
  for (let i = 0; i < count; i++) {
    for (let axis = 0; axis < 3; axis++) {
      positions[3 * i + axis] = (mesh.reference[axis * count + i] + steps[axis * count + i]) * mesh.grid;
    }
    const [x, y, z] = positions.subarray(3 * i, 3 * i + 3);
    pixels[2 * i] = a * x + b * y + c * z + d;
    pixels[2 * i + 1] = e * x + f * y + g * z + h;
    seen[i] = (bits[i >> 3] >> (i & 7)) & 1;
  }
  const photo = card.querySelector("img.photo");
  const picture = photo && new Image();
  if (photo) {
    picture.src = photo.src;
    await picture.decode();
  }
  return { mesh, positions, seen, pixels, picture, rotation: data.rotation };
}

// Where the surface turns away from the camera the photo shows it ever more coarsely: there it fades into clay.
function fadeAtTheEdge({ seen, normals, rotation: [, , , , , , g, h, i] }) {
  for (let v = 0; v < seen.length; v++) {
    const facing = g * normals[3 * v] + h * normals[3 * v + 1] + i * normals[3 * v + 2];
    const share = Math.min(Math.max((facing - 0.12) / 0.2, 0), 1);
    seen[v] *= share * share * (3 - 2 * share);
  }
}

// The view itself: one canvas for all faces, drawn only when something changes.
function makeStage(THREE, host) {
  const renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
  renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
  host.prepend(renderer.domElement);
  const scene = new THREE.Scene(), camera = new THREE.PerspectiveCamera(22, 1, 50, 5000);
  const ambient = new THREE.AmbientLight(0xffffff), lamp = new THREE.DirectionalLight(0xffffff);
  camera.add(lamp);
  lamp.position.set(-0.35, 0.45, 1);
  scene.add(camera, ambient);
  const controls = new THREE.OrbitControls(camera, renderer.domElement);
  controls.minDistance = 150;
  controls.maxDistance = 2500;
  const surface = new THREE.MeshLambertMaterial({ side: THREE.DoubleSide });
  // The photo is laid on what it shows; what it does not show stays clay.
  surface.onBeforeCompile = (shader) => {
    shader.vertexShader = shader.vertexShader
      .replace("#include <common>", "#include <common>\nattribute float seen;\nvarying float vSeen;")
      .replace("#include <begin_vertex>", "#include <begin_vertex>\nvSeen = seen;");
    shader.fragmentShader = shader.fragmentShader
      .replace("#include <common>", "#include <common>\nvarying float vSeen;")
      .replace("#include <map_fragment>", `vec3 clay = diffuseColor.rgb;
        #include <map_fragment>
        #ifdef USE_MAP
        diffuseColor.rgb = mix(clay, diffuseColor.rgb / clay, vSeen);
        #endif`);
  };
  const body = new THREE.Mesh(new THREE.BufferGeometry(), surface);
  const dots = new THREE.InstancedMesh(new THREE.SphereGeometry(1.4, 16, 12),
    new THREE.MeshLambertMaterial({ color: 0x2f7bff, emissive: 0x123c8c }), 68);
  dots.frustumCulled = false;
  const head = new THREE.Group().add(body, dots);
  scene.add(head);
  let waiting = 0;
  const draw = () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      renderer.render(scene, camera);
    });
  };
  const resize = () => {
    const { clientWidth: width, clientHeight: height } = host;
    if (!width || !height) return;
    renderer.setSize(width, height);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
    draw();
  };
  new ResizeObserver(resize).observe(host);
  controls.addEventListener("change", draw);

  let turned = new THREE.Matrix4(), texture = null;
  return {
    canvas: renderer.domElement,
    show(face) {
      body.geometry.dispose();
      texture?.dispose();
      const geometry = (body.geometry = new THREE.BufferGeometry());
      const uv = new Float32Array(face.pixels.length);
      const { naturalWidth: width, naturalHeight: height } = face.picture ?? { naturalWidth: 1, naturalHeight: 1 };
      for (let i = 0; i < uv.length; i += 2) {
        uv[i] = (face.pixels[i] + 0.5) / width;
        uv[i + 1] = 1 - (face.pixels[i + 1] + 0.5) / height;
      }
      geometry.setAttribute("position", new THREE.BufferAttribute(face.positions, 3));
      geometry.setAttribute("uv", new THREE.BufferAttribute(uv, 2));
      geometry.setIndex(new THREE.BufferAttribute(face.mesh.corners, 1));
      geometry.computeVertexNormals();
      face.normals = geometry.attributes.normal.array;
      fadeAtTheEdge(face);
      geometry.setAttribute("seen", new THREE.BufferAttribute(face.seen, 1));
      geometry.computeBoundingBox();
      const centre = geometry.boundingBox.getCenter(new THREE.Vector3());
      face.size = geometry.boundingBox.getSize(new THREE.Vector3());
      for (const part of [body, dots]) part.position.copy(centre).negate();
      face.mesh.landmarks.forEach((vertex, i) => dots.setMatrixAt(
        i, new THREE.Matrix4().makeTranslation(...face.positions.subarray(3 * vertex, 3 * vertex + 3))));
      dots.instanceMatrix.needsUpdate = true;
      texture = face.picture && new THREE.Texture(face.picture);
      if (texture) Object.assign(texture, { colorSpace: THREE.SRGBColorSpace, needsUpdate: true, anisotropy: 4 });
      const [a, b, c, d, e, f, g, h, i] = face.rotation;
      turned = new THREE.Matrix4().set(a, b, c, 0, d, e, f, 0, g, h, i, 0, 0, 0, 0, 1);
    },
    paint(kind) {
      const photo = kind === "photo" && texture !== null;
      surface.map = photo ? texture : null;
      surface.wireframe = kind === "wire";
      surface.color.set(kind === "wire" ? 0x2f9c9a : CLAY);
      ambient.intensity = photo ? 2.3 : 0.75;
      lamp.intensity = photo ? 0.9 : 2.5;
      surface.needsUpdate = true;
      draw();
    },
    dots(on) {
      dots.visible = on;
      draw();
    },
    look(from) {
      head.setRotationFromMatrix(from === "photo" ? turned : new THREE.Matrix4());
      const far = 270 / Math.tan((camera.fov * Math.PI) / 360) / 2 / Math.min(1, camera.aspect * 1.15);
      camera.position.set(...(from === "side" ? [far, 0, 0] : [0, 0, far]));
      controls.target.set(0, 0, 0);
      controls.update();
      draw();
    },
    turn(across, up, nearer) {
      const place = new THREE.Spherical().setFromVector3(camera.position.clone().sub(controls.target));
      place.theta += across;
      place.phi = Math.min(Math.max(place.phi + up, 0.05), Math.PI - 0.05);
      place.radius = Math.min(Math.max(place.radius * nearer, controls.minDistance), controls.maxDistance);
      camera.position.setFromSpherical(place).add(controls.target);
      controls.update();
      draw();
    },
  };
}

// Colours of the vertices, (N, 4) bytes of linear light as glTF has them: the picture's where it shows the vertex.
function vertexColors(face) {
  const light = (level) => (level <= 10 ? level / 3294.6 : ((level / 255 + 0.055) / 1.055) ** 2.4);
  const { naturalWidth: width = 1, naturalHeight: height = 1 } = face.picture ?? {};
  const sheet = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  if (face.picture) sheet.drawImage(face.picture, 0, 0);
  const { data } = sheet.getImageData(0, 0, width, height);
  const colors = new Uint8Array(4 * face.seen.length).fill(255);
  for (let i = 0; i < face.seen.length; i++) {
    const x = Math.round(Math.min(Math.max(face.pixels[2 * i], 0), width - 1));
    const y = Math.round(Math.min(Math.max(face.pixels[2 * i + 1], 0), height - 1));
    for (let k = 0; k < 3; k++) {
      const clay = light(CLAY_RGB[k]), photo = light(data[4 * (y * width + x) + k]);
      colors[4 * i + k] = Math.round(255 * (clay + (photo - clay) * face.seen[i]));
    }
  }
  return colors;
}

// The face as binary glTF 2.0, metres, the model's axes, every vertex in the model's order.
function glb(face, name) {
  const positions = face.positions.map((value) => value / 1000);
  const parts = [positions, face.normals, vertexColors(face), face.mesh.corners];
  const low = [0, 1, 2].map((k) => positions.reduce((least, v, i) => (i % 3 === k && v < least ? v : least), Infinity));
  const high = [0, 1, 2].map((k) => positions.reduce((most, v, i) => (i % 3 === k && v > most ? v : most), -Infinity));
  let offset = 0;
  const views = parts.map((part, i) => {
    const view = { buffer: 0, byteOffset: offset, byteLength: part.byteLength, target: i === 3 ? 34963 : 34962 };
    offset += part.byteLength;
    return view;
  });
  const count = face.seen.length, float = 5126;
  const tree = {
    asset: { version: "2.0", generator: face.mesh.generator, copyright: face.mesh.terms },
    scene: 0, scenes: [{ nodes: [0] }], nodes: [{ mesh: 0, name }],
    meshes: [{ name, primitives: [{ attributes: { POSITION: 0, NORMAL: 1, COLOR_0: 2 }, indices: 3, material: 0 }] }],
    materials: [{ doubleSided: true, pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 0.9 } }],
    accessors: [
      { bufferView: 0, componentType: float, count, type: "VEC3", min: low, max: high },
      { bufferView: 1, componentType: float, count, type: "VEC3" },
      { bufferView: 2, componentType: 5121, normalized: true, count, type: "VEC4" },
      { bufferView: 3, componentType: 5125, count: face.mesh.corners.length, type: "SCALAR" },
    ],
    bufferViews: views, buffers: [{ byteLength: offset }],
  };
  const text = new TextEncoder().encode(JSON.stringify(tree));
  const padded = new Uint8Array(Math.ceil(text.length / 4) * 4).fill(32);
  padded.set(text);
  const head = (...numbers) => new Uint32Array(numbers);
  const total = 12 + 8 + padded.length + 8 + offset;
  const chunks = [head(0x46546c67, 2, total), head(padded.length, 0x4e4f534a), padded, head(offset, 0x004e4942), ...parts];
  return new Blob(chunks, { type: "model/gltf-binary" });
}

const startViewer = once(() => {
  const dialog = document.querySelector(".viewer");
  const host = dialog.querySelector(".canvas"), state = dialog.querySelector(".state");
  const act = (name) => dialog.querySelector(`[data-do=${name}]`);
  let stage = null, card = null, face = null, kind = "photo", dots = false;

  function paint() {
    const shown = kind === "photo" && !face?.picture ? "clay" : kind;
    for (const button of dialog.querySelectorAll("[data-surface]")) toggle(button, button.dataset.surface === shown);
    stage?.paint(shown);
  }

  async function open(chosen) {
    card = chosen;
    face = null;
    dialog.querySelector("h2").textContent = card.dataset.name;
    dialog.querySelector(".values").replaceChildren(...[...card.querySelectorAll(".values > *")].map((n) => n.cloneNode(true)));
    state.textContent = "Unpacking …";
    if (!dialog.open) dialog.showModal();
    history.replaceState(null, "", `#face=${encodeURIComponent(card.dataset.name)}`);
    host.dataset.ready = "";
    try {
      const [made, THREE] = await Promise.all([unpackFace(chosen), loadThree()]);
      if (card !== chosen) return; // another face was asked for meanwhile
      stage ??= makeStage(THREE, host);
      stage.show((face = made));
    } catch (error) {
      state.textContent = `This browser shows no 3D view: ${error.message}`;
      return;
    }
    const inset = dialog.querySelector(".inset");
    inset.hidden = !face.picture;
    if (face.picture) inset.src = face.picture.src;
    dialog.querySelector("[data-surface=photo]").disabled = !face.picture;
    paint();
    stage.dots(dots);
    stage.look("photo");
    state.textContent = "";
    const [width, height, depth] = [face.size.x, face.size.y, face.size.z].map((side) => side.toFixed(0));
    dialog.querySelector("footer p").textContent = `${width} × ${height} × ${depth} mm in the axes of the face model `
      + `${face.mesh.name}: x right, y up, z to the viewer. ${face.mesh.terms}`;
    host.dataset.ready = card.dataset.name;
  }

  function step(by) {
    const faces = [...document.querySelectorAll(".card:not([hidden])")].filter((other) => other.querySelector("script.face"));
    const place = faces.indexOf(card) + by;
    open(faces[(place + faces.length) % faces.length]);
  }

  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(glb(face, card.dataset.name));
    link.download = `${card.dataset.name}.glb`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  const actions = {
    previous: () => step(-1),
    next: () => step(1),
    close: () => dialog.close(),
    reset: () => stage?.look("photo"),
    front: () => stage?.look("front"),
    side: () => stage?.look("side"),
    landmarks: () => {
      toggle(act("landmarks"), (dots = !dots));
      stage?.dots(dots);
    },
    download: () => face && download(),
  };
  dialog.addEventListener("click", (event) => {
    const { do: name, surface } = event.target.closest("button")?.dataset ?? {};
    if (name) actions[name]();
    if (surface) {
      kind = surface;
      paint();
    }
  });
  const keys = { p: "previous", n: "next", r: "reset", f: "front", s: "side" };
  const turns = { ArrowLeft: [-0.12, 0, 1], ArrowRight: [0.12, 0, 1], ArrowUp: [0, -0.12, 1], ArrowDown: [0, 0.12, 1],
    "+": [0, 0, 0.9], "=": [0, 0, 0.9], "-": [0, 0, 1.1] };
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys[event.key.toLowerCase()]) actions[keys[event.key.toLowerCase()]]();
    else if (turns[event.key] && event.target === host) {
      stage?.turn(...turns[event.key]);
      event.preventDefault();
    }
  });
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  return open;
});

function openViewer(card) {
  startViewer()(card);
}

document.addEventListener("DOMContentLoaded", () => {
  const wanted = new URLSearchParams(location.hash.slice(1)).get("face");
  const card = wanted && [...document.querySelectorAll(".card")].find((one) => one.dataset.name === wanted);
  if (card?.querySelector("script.face")) openViewer(card);
});
