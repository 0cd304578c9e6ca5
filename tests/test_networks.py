"""The two networks: their sizes, what their pooling sees, and 3DDFA_V2's published outputs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from twodasl.models.coefficients import read_whitening
from twodasl.models.errors import ShapeError
from twodasl.models.networks import (
    Architecture,
    ArchitectureError,
    DepthwiseSeparable,
    MobileNetV1,
    ResNet50,
)

EPS = 1e-5


def with_lively_batch_norm(network: nn.Module, seed: int = 0) -> nn.Module:
    """Fresh batch norm does next to nothing in evaluation mode: give it statistics, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for vector in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert vector is not None
                vector.copy_(torch.rand(vector.shape, generator=generator) * 0.5 + 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return with_lively_batch_norm(Architecture("resnet-50").build())


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    """One thread each: tests may run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def images(channels: int, size: int = 120, count: int = 1) -> Tensor:
    return torch.rand((count, channels, size, size), generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_resnet_has_the_published_size(resnet: nn.Module) -> None:
    """Original pipeline, sections 7 and 8."""
    assert sum(parameter.numel() for parameter in resnet.parameters()) == 23_638_206
    state = resnet.state_dict()
    assert len(state) == 320
    assert len([name for name in state if not name.endswith("num_batches_tracked")]) == 267
    assert state["conv1.weight"].shape == (64, 4, 7, 7)
    assert state["layer4.0.downsample.0.weight"].shape == (2048, 1024, 1, 1)


def test_resnet_starts_as_section_7_says() -> None:
    torch.manual_seed(3)
    state = ResNet50().state_dict()
    assert (state["layer2.0.bn1.weight"] == 1).all() and (state["layer2.0.bn1.bias"] == 0).all()
    weight = state["layer3.1.conv2.weight"]  # 256 x 256 x 3 x 3: its spread is known to 0.1 %
    assert float(weight.std()) == pytest.approx(np.sqrt(2 / (9 * 256)), rel=0.01)
    assert float(weight.abs().max() / weight.std()) > 4  # a uniform distribution ends at 1.7
    assert float(state["conv1.weight"].std()) == pytest.approx(np.sqrt(2 / (49 * 64)), rel=0.05)


def test_resnet_against_a_second_writing(resnet: nn.Module) -> None:
    """Section 7 written once more with functions only, from the tensors' names."""
    state = resnet.state_dict()

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + EPS).sqrt() * weight + bias

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)

    crops = images(4)
    x = functional.relu(norm(conv(crops, "conv1", 2, 3), "bn1"))
    assert x.shape[2:] == (60, 60)
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage, (blocks, stride, size) in enumerate([(3, 1, 30), (4, 2, 15), (6, 2, 8), (3, 1, 8)], start=1):
        for block in range(blocks):
            at, step = f"layer{stage}.{block}", stride if block == 0 else 1
            y = functional.relu(norm(conv(x, f"{at}.conv1"), f"{at}.bn1"))
            y = functional.relu(norm(conv(y, f"{at}.conv2", step, 1), f"{at}.bn2"))
            y = norm(conv(y, f"{at}.conv3"), f"{at}.bn3")
            if block == 0:
                x = norm(conv(x, f"{at}.downsample.0", step), f"{at}.downsample.1")
            x = functional.relu(x + y)
        assert x.shape[2:] == (size, size)
    expected = x[:, :, :7, :7].mean(dim=(2, 3)) @ state["fc.weight"].T + state["fc.bias"]
    torch.testing.assert_close(resnet(crops), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_last_row_and_column_of_the_map_change_nothing(resnet: nn.Module) -> None:
    """Q5: the published weights were trained with this pooling; a global average would see all 64 cells."""

    def disturb(_module: nn.Module, _inputs: tuple[Tensor], last_map: Tensor) -> Tensor:
        """One map becomes five: as it is, and with noise in the last row, the last column and two other cells."""
        assert last_map.shape == (1, 2048, 8, 8)
        maps = last_map.repeat(5, 1, 1, 1)
        noise = torch.rand(2048, 8, 8, generator=torch.Generator().manual_seed(2)) * 100
        maps[1, :, 7, :] += noise[:, 7, :]
        maps[2, :, :, 7] += noise[:, :, 7]
        maps[3, :, 0, 0] += noise[:, 0, 0]
        maps[4, :, 6, 6] += noise[:, 6, 6]
        return maps

    handle = resnet.get_submodule("layer4").register_forward_hook(disturb)
    try:
        undisturbed, row, column, first, last = resnet(images(4))
    finally:
        handle.remove()
    torch.testing.assert_close(row, undisturbed, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(column, undisturbed, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(first, undisturbed, atol=1e-3)
    assert not torch.allclose(last, undisturbed, atol=1e-3)


def test_resnet_sizes(resnet: nn.Module) -> None:
    """Section 7: only 97 to 128 px give one cell."""
    for size in (97, 128):
        assert resnet(images(4, size)).shape == (1, 62)
    for size in (96, 129, 224):
        with pytest.raises(ShapeError, match=rf"{size} x {size} px; resnet-50 takes 97 to 128"):
            resnet(images(4, size))
    with pytest.raises(ShapeError, match="100 x 130"):
        resnet(torch.zeros(1, 4, 130, 100))


@pytest.mark.parametrize(("name", "channels"), [("resnet-50", 4), ("mobilenet-v1", 3)])
def test_wrong_channels_are_named(name: str, channels: int) -> None:
    network = Architecture(name, in_channels=channels).build_empty()
    with pytest.raises(ShapeError, match=rf"\(1, 5, 120, 120\); \(images, {channels}, height, width\)"):
        network(torch.empty(1, 5, 120, 120, device="meta"))
    with pytest.raises(ShapeError):
        network(torch.empty(channels, 120, 120, device="meta"))


@pytest.mark.parametrize("name", ["resnet-50", "mobilenet-v1"])
def test_an_empty_network_has_shapes_only(name: str) -> None:
    """And building one draws no numbers: whoever seeded torch gets the same ones afterwards."""
    torch.manual_seed(0)
    empty = Architecture(name).build_empty().state_dict()
    assert all(tensor.is_meta for tensor in empty.values())
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), after)
    full = Architecture(name).build().state_dict()
    assert {key: tensor.shape for key, tensor in empty.items()} == {key: tensor.shape for key, tensor in full.items()}


@pytest.mark.parametrize("width", [0.25, 0.5, 1.0])
def test_mobilenet_shapes(width: float) -> None:
    """The seven stages by width; 1.0 has the 3.3 million parameters that 3DDFA_V2 names for its default model."""
    network = MobileNetV1(width, in_channels=4).eval()
    state = network.state_dict()
    assert state["conv1.weight"].shape == (32 * width, 4, 3, 3)
    assert state["dw5_6.conv_sep.weight"].shape == (1024 * width, 512 * width, 1, 1)
    assert network(images(4, count=2)).shape == (2, 62)
    if width == 1.0:
        count = sum(parameter.numel() for parameter in MobileNetV1(1.0).parameters())
        assert count == pytest.approx(3.27e6, rel=0.002)


def test_depthwise_block_by_hand() -> None:
    """One block as sums over shifted copies of the padded input, without a convolution."""
    torch.manual_seed(4)
    block = with_lively_batch_norm(DepthwiseSeparable(3, 5, stride=2))
    state, x = block.state_dict(), images(3, 7)
    padded = functional.pad(x, (1, 1, 1, 1))
    depthwise = torch.zeros(1, 3, 4, 4)
    for row in range(3):
        for column in range(3):
            window = padded[:, :, row : row + 7 : 2, column : column + 7 : 2]
            depthwise += window * state["conv_dw.weight"][:, 0, row, column][:, None, None]

    def norm(maps: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(maps, mean, var, weight, bias, eps=EPS)

    inner = norm(depthwise, "bn_dw").clamp(min=0)
    mixed = torch.einsum("oi,bihw->bohw", state["conv_sep.weight"][:, :, 0, 0], inner)
    torch.testing.assert_close(block(x), norm(mixed, "bn_sep").clamp(min=0), rtol=1e-5, atol=1e-6)


def test_mobilenet_gives_the_published_coefficients(data: Path) -> None:
    """mb05 on AFLW2000-3D crops against the stored outputs; the data kit's own re-run agrees to 2e-6 std."""
    from PIL import Image

    folder = data / "aflw2000"
    names = (folder / "AFLW2000-3D_crop.list").read_text().split()
    rows = np.arange(0, len(names), 20)
    pictures = [np.asarray(Image.open(folder / "AFLW2000-3D_crop" / names[row]).convert("RGB")) for row in rows]
    crops = (np.stack(pictures)[..., ::-1].astype(np.float32) - 127.5) / 128

    stored = torch.load(data / "peers" / "mb05_120x120.pth", map_location="cpu", weights_only=True)["state_dict"]
    renamed = {name.removeprefix("module.").replace("fc_param", "fc"): tensor for name, tensor in stored.items()}
    network = MobileNetV1(0.5).eval()
    network.load_state_dict({name: tensor for name, tensor in renamed.items() if not name.startswith("fc_lm")})
    whitened = network(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy())).numpy()

    whitening = read_whitening(data / "peers" / "param_mean_std_62d_120x120.pkl")
    expected = np.load(data / "peers" / "params_aflw2000_mb05.npy")[rows]
    assert (np.abs(whitening.unwhiten(whitened) - expected) / whitening.std).max() < 1e-4


def test_architecture_is_read_back_from_its_settings() -> None:
    settings = {"name": "mobilenet-v1", "width": 0.5, "in_channels": 3, "outputs": 62}
    architecture = Architecture.from_dict(settings)
    assert architecture == Architecture("mobilenet-v1", 0.5, 3, 62)
    assert isinstance(architecture.build(), MobileNetV1)
    assert repr(Architecture("resnet-50", 1)) == repr(Architecture("resnet-50", 1.0))
    assert isinstance(Architecture.from_dict({"name": "resnet-50"}).build_empty(), ResNet50)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet-50", "depth": 50}, "unknown: depth; known: name, width, in_channels, outputs"),
        ({"width": 1.0}, "no name is given; known: name"),
        ({"name": "mobilenet_v2"}, "'mobilenet_v2' is unknown; known: mobilenet-v1, resnet-18, resnet-50"),
        ({"name": "resnet-50", "width": 0.5}, "resnet-50 is 0.5; it comes in width 1 only"),
        ({"name": "mobilenet-v1", "width": "1"}, "width of mobilenet-v1 is '1'"),
        ({"name": "mobilenet-v1", "width": 0}, "width of mobilenet-v1 is 0"),
        ({"name": "mobilenet-v1", "in_channels": 0}, "in_channels of mobilenet-v1 is 0"),
        ({"name": "mobilenet-v1", "outputs": 62.0}, "outputs of mobilenet-v1 is 62.0"),
    ],
)
def test_architecture_names_what_is_wrong(settings: dict, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Architecture.from_dict(settings)


def test_resnet18_has_the_known_size_and_any_width() -> None:
    """11,689,512 parameters with three channels and a thousand outputs, as published for ImageNet."""
    network = Architecture("resnet-18", 1.0, 3, 1000).build()
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_689_512
    assert {"layer1.0.conv1.weight", "layer2.0.downsample.1.bias", "layer4.1.bn2.weight", "fc.bias"} <= set(
        network.state_dict()
    )
    narrow = Architecture("resnet-18", 0.25).build().eval()
    assert narrow(images(4)).shape == (len(images(4)), 62)


def test_resnet18_against_a_second_writing() -> None:
    """The same sum written with torch's functions alone."""
    network = with_lively_batch_norm(Architecture("resnet-18", 0.125).build()).eval()
    state = network.state_dict()

    def normed(maps: torch.Tensor, name: str) -> torch.Tensor:
        shape = (1, -1, 1, 1)
        mean, var = state[f"{name}.running_mean"].view(shape), state[f"{name}.running_var"].view(shape)
        scale = state[f"{name}.weight"].view(shape) / (var + 1e-5).sqrt()
        return (maps - mean) * scale + state[f"{name}.bias"].view(shape)

    def conv(maps: torch.Tensor, name: str, stride: int = 1, padding: int = 1) -> torch.Tensor:
        return torch.nn.functional.conv2d(maps, state[f"{name}.weight"], None, stride, padding)

    crops = images(4)
    maps = torch.nn.functional.max_pool2d(normed(conv(crops, "conv1", 2, 3), "bn1").clamp(min=0), 3, 2, 1)
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            inner = normed(conv(maps, f"{name}.conv1", stride), f"{name}.bn1").clamp(min=0)
            inner = normed(conv(inner, f"{name}.conv2"), f"{name}.bn2")
            if stride == 2:
                maps = normed(conv(maps, f"{name}.downsample.0", 2, 0), f"{name}.downsample.1")
            maps = (inner + maps).clamp(min=0)
    expected = maps.mean(dim=(2, 3)) @ state["fc.weight"].T + state["fc.bias"]
    torch.testing.assert_close(network(crops), expected, rtol=1e-4, atol=1e-4)
