"""Weights files: read from other programs' checkpoints, written, read back, and refused when something is wrong.

The checkpoints here are generated in the layout that their programs write (original pipeline, section 8).
"""

import json
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from twodasl.models.checkpoints import (
    Weights,
    WeightsError,
    register_weights,
    registered_weights,
    weights_folder,
)
from twodasl.models.coefficients import Whitening, read_whitening
from twodasl.models.errors import BasisError, FileError
from twodasl.models.importers.checkpoints import KINDS, import_checkpoint
from twodasl.models.morphable import MorphableModel, check_basis
from twodasl.models.networks import Architecture

SMALL = Architecture("mobilenet-v1", 0.125, in_channels=3)


def trained(architecture: Architecture, seed: int = 0) -> nn.Module:
    """A network with invented weights and batch statistics, as after training."""
    torch.manual_seed(seed)
    network = architecture.build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for buffer in (module.running_mean, module.running_var):
                assert buffer is not None
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
    return network.eval()


def prefixed(network: nn.Module, counters: bool = True) -> dict[str, Tensor]:
    state = network.state_dict()
    return {f"module.{name}": value for name, value in state.items() if counters or "num_batches" not in name}


def whitening_file(folder: Path, prefix: str = "param_", count: int = 62) -> Path:
    rng = np.random.default_rng(0)
    content = {
        f"{prefix}mean": rng.normal(size=count).astype(np.float32),
        f"{prefix}std": rng.uniform(0.5, 2, count).astype(np.float32),
    }
    path = folder / f"{prefix}whitening.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def predict(network: nn.Module, channels: int) -> Tensor:
    crops = torch.rand((1, channels, 120, 120), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        return network(crops)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tests may run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(toy_model: MorphableModel) -> Weights:
    """A small network's weights, with everything set to other values than the defaults where there are others."""
    rng = np.random.default_rng(1)
    whitening = Whitening(rng.normal(size=62).astype(np.float32), rng.uniform(1, 2, 62).astype(np.float32))
    return Weights(
        architecture=SMALL,
        state=trained(SMALL).state_dict(),
        whitening=whitening,
        basis_id=toy_model.basis_id,
        convention="3ddfa-v2",
        landmark_map="none",
        name="small",
        source="tests",
        terms="invented, free to use: ÄÖ",
        training={"seed": 3, "losses": ["wpdc"], "rate": 0.01},
    )


@pytest.fixture
def small_checkpoint(tmp_path: Path) -> Path:
    """A 3DDFA checkpoint of a small MobileNet."""
    path = tmp_path / "phase1.pth.tar"
    torch.save({"epoch": 50, "state_dict": prefixed(trained(SMALL))}, path)
    return path


@pytest.mark.parametrize(("counters", "zipped", "tensors"), [(False, False, 267), (True, True, 320)])
def test_import_of_2dasl(counters: bool, zipped: bool, tensors: int, tmp_path: Path, toy_model: MorphableModel) -> None:
    """The file of torch 0.4 and that of today; entries beside the weights are not looked at."""
    network = trained(Architecture("resnet-50"))
    state = prefixed(network, counters)
    assert len(state) == tensors
    path = tmp_path / "stage2.pth.tar"
    content = {"epoch": 7, "dis_state_dict": {"w": torch.zeros(2)}, "res_state_dict": state, "note": ["x", 1.5, None]}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)

    weights = import_checkpoint(path, "2dasl", whitening_file(tmp_path), toy_model)
    path.unlink()  # 94 MB
    assert weights.architecture == Architecture("resnet-50", 1.0, 4, 62)
    assert (weights.convention, weights.landmark_map, weights.name) == ("3ddfa", "binary-18", "stage2")
    assert (weights.n_identity, weights.n_expression, weights.crop_rule) == (40, 10, "3ddfa")
    assert weights.basis_id == toy_model.basis_id
    assert len(weights.state) == 267
    assert not weights.training and "research use only" in weights.terms
    assert torch.equal(predict(weights.network(), 4), predict(network, 4))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("prefix", ["module.", ""])
@pytest.mark.parametrize(("kind", "head"), [("3ddfa", "fc"), ("3ddfa-v2", "fc_param")])
def test_import_of_3ddfa(
    kind: str, head: str, prefix: str, bare: bool, tmp_path: Path, toy_model: MorphableModel
) -> None:
    network = trained(SMALL)
    state = {f"{prefix}{name}".replace("fc.", f"{head}."): value for name, value in network.state_dict().items()}
    if kind == "3ddfa-v2":
        state[f"{prefix}fc_lm.weight"] = torch.zeros(136, 128)
    path = tmp_path / "phase1_wpdc.pth"
    torch.save(state if bare else {"epoch": 1, "state_dict": state}, path)
    whitening_path = whitening_file(tmp_path, "param_" if kind == "3ddfa" else "")
    weights = import_checkpoint(path, kind, whitening_path, toy_model)
    assert weights.architecture == SMALL
    assert (weights.convention, weights.landmark_map) == (kind, "none")
    assert torch.equal(predict(weights.network(), 3), predict(network, 3))
    np.testing.assert_array_equal(weights.whitening.std, read_whitening(whitening_path).std)


def test_import_of_mb05(data: Path, bfm: MorphableModel) -> None:
    """The published file: 0.86 million numbers without the training-only head."""
    peers = data / "peers"
    weights = import_checkpoint(peers / "mb05_120x120.pth", "3ddfa-v2", peers / "param_mean_std_62d_120x120.pkl", bfm)
    assert weights.architecture == Architecture("mobilenet-v1", 0.5, 3, 62)
    assert weights.name == "mb05_120x120" and weights.basis_id == bfm.basis_id
    with pytest.raises(FileError, match=r"another program's whitening: it holds param_mean.*holds 'mean'"):
        import_checkpoint(peers / "mb05_120x120.pth", "3ddfa-v2", data / "bfm" / "param_whitening.pkl", bfm)


def test_four_channels_of_3ddfa_are_read_from_the_shapes(tmp_path: Path, toy_model: MorphableModel) -> None:
    architecture = replace(SMALL, in_channels=4, width=0.25)
    path = tmp_path / "w.pth"
    torch.save(trained(architecture).state_dict(), path)
    weights = import_checkpoint(path, "3ddfa", whitening_file(tmp_path), toy_model)
    assert (weights.architecture, weights.landmark_map) == (architecture, "binary-18")


def test_save_and_load(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(path)
    loaded = Weights.load(path)
    for name in Weights.__dataclass_fields__:
        if name not in ("state", "whitening"):
            assert getattr(loaded, name) == getattr(weights, name), name
    np.testing.assert_array_equal(loaded.whitening.mean, weights.whitening.mean)
    np.testing.assert_array_equal(loaded.whitening.std, weights.whitening.std)
    assert loaded.weights_id == weights.weights_id
    assert torch.equal(predict(loaded.network(), 3), predict(weights.network(), 3))
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_network_is_a_copy_in_evaluation_mode(weights: Weights) -> None:
    network = weights.network()
    assert not any(module.training for module in network.modules())
    before = predict(network, 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(predict(weights.network(), 3), before)


def test_weights_are_a_copy_of_the_network_in_training(weights: Weights) -> None:
    network = trained(SMALL)
    made = replace(weights, state=network.state_dict())
    from_float64 = replace(weights, state=trained(SMALL).double().state_dict())
    assert made.weights_id == from_float64.weights_id == weights.weights_id
    with torch.no_grad():
        network.get_parameter("conv1.weight").zero_()
    assert made.state["conv1.weight"].any()


def test_weights_id_changes_with_what_changes_a_prediction(weights: Weights) -> None:
    def nudged(name: str) -> dict[str, Tensor]:
        tensor = weights.state[name].clone()
        tensor.view(-1)[-1] += 1e-3
        return {**weights.state, name: tensor}

    mean, std = weights.whitening.mean, weights.whitening.std
    changes: list[dict[str, Any]] = [{"state": nudged(name)} for name in list(weights.state)[::15]]
    changes += [{"whitening": Whitening(mean + 1, std)}, {"whitening": Whitening(mean, std * 2)}]
    changes += [{"basis_id": "another"}, {"convention": "3ddfa"}, {"n_identity": 30, "n_expression": 20}]
    ids = {weights.weights_id, *(replace(weights, **change).weights_id for change in changes)}
    assert len(ids) == 1 + len(changes)
    described = replace(weights, name="x", source="y", terms="z", training={})
    assert described.weights_id == weights.weights_id


def test_other_basis(weights: Weights, toy_model: MorphableModel) -> None:
    check_basis(weights.basis_id, toy_model, weights.name)
    other = replace(toy_model, mean=toy_model.mean + 1)
    with pytest.raises(BasisError, match="small belongs to the face model with basis id"):
        check_basis(weights.basis_id, other, weights.name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convention": "4ddfa"}, "convention '4ddfa' is unknown to this program; known: 3ddfa, 3ddfa-v2"),
        ({"normalisation": "rgb"}, "normalisation 'rgb' is unknown"),
        ({"landmark_map": "heat"}, "landmark map 'heat' is unknown"),
        ({"crop_rule": "tight"}, "crop rule 'tight' is unknown"),
        ({"landmark_map": "binary-18"}, "takes 3 channels; with landmark map 'binary-18' there are 4"),
        ({"n_expression": 29}, r"predicts 62 numbers; 12 pose \+ 40 identity \+ 29 expression = 81"),
        ({"whitening": Whitening(np.zeros(61), np.ones(61))}, "whitening has 61 numbers, the network predicts 62"),
        ({"state": {}}, r"they lack bn1.bias, bn1.running_mean, .* and \d+ more"),
    ],
)
def test_parts_that_do_not_fit(weights: Weights, changes: dict, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        replace(weights, **changes)


def test_tensors_that_do_not_fit(weights: Weights) -> None:
    def with_tensor(name: str, tensor: Tensor) -> Callable[[], Weights]:
        return lambda: replace(weights, state={**weights.state, name: tensor})

    for make, message in (
        (with_tensor("fc.bias", torch.zeros(61)), r"tensor fc.bias is \(61,\); mobilenet-v1 expects \(62,\)"),
        (with_tensor("fc.bias", torch.full((62,), float("nan"))), r"tensor fc.bias holds values that are not finite"),
        (with_tensor("fc.bias", torch.full((62,), float("inf"))), r"tensor fc.bias holds values that are not finite"),
        (with_tensor("fc.bias", torch.zeros(62, dtype=torch.int64)), "holds torch.int64"),
        (with_tensor("fc.bias", torch.zeros(62).to_sparse()), "torch.sparse_coo; plain float numbers"),
        (with_tensor("extra.weight", torch.zeros(1)), "they have no place for extra.weight"),
    ):
        with pytest.raises(WeightsError, match=message):
            make()


# --- files that are refused -------------------------------------------------------------------------------------


def rewritten(path: Path, metadata: dict[str, str | None], without: str | None = None, **tensors: np.ndarray) -> Path:
    """The same safetensors file with some metadata (None: left out) and tensors changed."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, framework="np") as file:
        texts = file.metadata() | metadata
        arrays = {name: file.get_tensor(name) for name in file.keys() if name != without}  # noqa: SIM118
    other = path.with_name("other.safetensors")
    save_file(arrays | tensors, other, {key: value for key, value in texts.items() if value is not None})
    return other


@pytest.fixture
def saved(weights: Weights, tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    weights.save(path)
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"version": "2"}, "format version 2, this program reads up to 1: update twodasl"),
        ({"version": "one"}, "damaged weights file: its version is 'one'"),
        ({"format": "another"}, "tensors of another program"),
        ({"convention": None, "terms": None}, "it does not state its convention, terms"),
        ({"convention": "3ddfa-v3"}, "convention '3ddfa-v3' is unknown"),
        ({"architecture": "{"}, "its architecture is '{'; a JSON dict is expected"),
        ({"architecture": '{"name": "vit"}'}, "network 'vit' is unknown; known: mobilenet-v1, resnet-18, resnet-50"),
        ({"n_identity": "[40]"}, r"its n_identity is '\[40\]'; a JSON int is expected"),
        ({"convention": "3ddfa"}, "do not give the weights id it states"),
    ],
)
def test_load_refuses_metadata(saved: Path, metadata: dict[str, str | None], message: str) -> None:
    other = rewritten(saved, metadata)
    with pytest.raises(FileError, match=message) as caught:
        Weights.load(other)
    assert str(other) in str(caught.value)


def test_load_refuses_tensors(saved: Path) -> None:
    for changes, message in (
        ({"without": "whitening.std"}, "damaged weights file: it has no tensor whitening.std"),
        ({"without": "dw6.bn_sep.bias"}, "they lack dw6.bn_sep.bias"),
        ({"extra": np.zeros(3, np.float32)}, "they have no place for extra"),
        ({"fc.bias": np.zeros(3, np.float32)}, r"tensor fc.bias is \(3,\); mobilenet-v1 expects \(62,\)"),
        ({"fc.bias": np.full(62, np.nan, np.float32)}, "not finite"),
        ({"fc.bias": np.zeros(62, np.float32)}, "do not give the weights id it states"),
        ({"whitening.std": np.zeros(62, np.float32)}, "positive standard deviations"),
        ({"whitening.std": np.ones(61, np.float32)}, "two vectors of one length"),
    ):
        with pytest.raises(FileError, match=message):
            Weights.load(rewritten(saved, {}, **changes))


def test_load_refuses_what_is_no_weights_file(saved: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    for length in (0, 5, 500, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"w.safetensors as weights: it is damaged, cut short or no .safetensors"):
            Weights.load(saved)
    with pytest.raises(FileError, match="'twodasl weights import' turns other programs' checkpoints into one"):
        Weights.load(small_checkpoint)
    header = json.dumps({}).encode()
    saved.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(FileError, match="tensors of another program"):
        Weights.load(saved)
    with pytest.raises(FileError, match="no such file"):
        Weights.load(tmp_path / "absent.safetensors")
    with pytest.raises(FileError, match="it is a folder"):
        Weights.load(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_whitening_is_asked_for(kind: str, tmp_path: Path, toy_model: MorphableModel) -> None:
    path = tmp_path / "w.pth"
    torch.save({mark: torch.zeros(1) for mark in KINDS[kind].marks}, path)
    wanted = {"3ddfa-v2": "param_mean_std_62d_120x120.pkl"}.get(kind, "param_whitening.pkl")
    with pytest.raises(FileError, match=rf"holds no whitening.*{wanted} with --whitening"):
        import_checkpoint(path, kind, None, toy_model)


class RunsCode:
    """Unpickling this writes a file: nothing that reads a checkpoint may do that."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_code_is_refused_and_not_run(how: str, tmp_path: Path, toy_model: MorphableModel) -> None:
    proof, path = tmp_path / "proof.txt", tmp_path / "w.pth.tar"
    content = {"extra": RunsCode(proof), "res_state_dict": prefixed(trained(SMALL))}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    if how == "zip":  # the trap works: a reader that executes falls into it
        torch.load(path, weights_only=False)
        assert proof.read_text() == "executed"
        proof.unlink()
    with pytest.raises(FileError, match=r"refused: loading it would run code.*; nothing was executed") as caught:
        import_checkpoint(path, "2dasl", whitening_file(tmp_path), toy_model)
    assert not proof.exists()
    assert "\n" not in str(caught.value)


def test_losses_beside_the_tensors_do_not_hinder_the_import(tmp_path: Path, toy_model: MorphableModel) -> None:
    """Training scripts of that time saved numpy scalars too; they are data and are read as such."""
    network = Architecture("mobilenet-v1", 0.125, 3).build()
    extra = {"epoch": 30, "best": np.float64(0.031), "loss": np.float32(2.5)}
    torch.save({"state_dict": network.state_dict(), **extra}, tmp_path / "with_losses.pth.tar")
    weights = import_checkpoint(tmp_path / "with_losses.pth.tar", "3ddfa", whitening_file(tmp_path), toy_model)
    assert weights.architecture.width == 0.125


def test_import_refuses_damaged_files(small_checkpoint: Path, tmp_path: Path, toy_model: MorphableModel) -> None:
    whitening_path = whitening_file(tmp_path)
    whole = small_checkpoint.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-1000], whole[:3], b"<html>sign in to download</html>", b"\x80"):
        small_checkpoint.write_bytes(content)
        with pytest.raises(FileError, match="not a readable torch checkpoint: it is damaged, cut short") as caught:
            import_checkpoint(small_checkpoint, "3ddfa", whitening_path, toy_model)
        assert "\n" not in str(caught.value)
    small_checkpoint.write_bytes(b"")
    with pytest.raises(FileError, match="is empty"):
        import_checkpoint(small_checkpoint, "3ddfa", whitening_path, toy_model)
    with pytest.raises(FileError, match="cannot read"):
        import_checkpoint(tmp_path / "absent.pth", "3ddfa", whitening_path, toy_model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "holds no network: a dict with 'state_dict'.*it holds a dict with epoch"),
        ([1, 2], "holds no network.*it holds a list"),
        (torch.zeros(3), "holds no network.*it holds a Tensor"),
        ({"state_dict": {}}, "holds no network"),
        ({"conv9.weight": torch.zeros(1)}, "looks like none that is known: its tensors are conv9.weight"),
        ({"dw2_1.conv_dw.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}, "conv1.weight and fc.weight are not"),
    ],
)
def test_import_refuses_other_contents(content: Any, message: str, tmp_path: Path, toy_model: MorphableModel) -> None:
    path = tmp_path / "w.pth"
    torch.save(content, path)
    with pytest.raises(FileError, match=message):
        import_checkpoint(path, "3ddfa", whitening_file(tmp_path), toy_model)


def test_wrong_kind_is_recognised(small_checkpoint: Path, toy_model: MorphableModel) -> None:
    for kind in ("2dasl", "3ddfa-v2"):
        with pytest.raises(
            FileError, match=r"looks like a MobileNet-V1 with the head 'fc', as of 3DDFA \(--from 3ddfa"
        ):
            import_checkpoint(small_checkpoint, kind, None, toy_model)
    with pytest.raises(FileError, match="'4ddfa' are unknown; known: 2dasl, 3ddfa, 3ddfa-v2"):
        import_checkpoint(small_checkpoint, "4ddfa", None, toy_model)


def test_import_refuses_tensors_that_do_not_fit(tmp_path: Path, toy_model: MorphableModel) -> None:
    path, whitening_path = tmp_path / "w.pth", whitening_file(tmp_path)
    good = trained(SMALL).state_dict()
    wide = trained(replace(SMALL, in_channels=6)).state_dict()
    shape_only = trained(replace(SMALL, outputs=52)).state_dict()
    for state, message in (
        (
            {**good, "dw6.bn_dw.weight": torch.zeros(3)},
            r"tensor dw6.bn_dw.weight is \(3,\); mobilenet-v1 expects \(128",
        ),
        ({**good, "fc.bias": torch.full((62,), torch.nan)}, "tensor fc.bias holds values that are not finite"),
        ({**good, "extra": torch.zeros(1)}, "they have no place for extra"),
        ({name: good[name] for name in good if "dw4_1.bn" not in name}, "they lack dw4_1.bn_dw.bias"),
        (wide, "takes 6 input channels; 3 or 4 are expected"),
        (shape_only, "predicts 52 numbers; 12 pose"),
    ):
        torch.save(state, path)
        with pytest.raises(FileError, match=message) as caught:
            import_checkpoint(path, "3ddfa", whitening_path, toy_model)
        assert str(path) in str(caught.value)
    torch.save(good, path)
    with pytest.raises(FileError, match="whitening has 61 numbers, the network predicts 62"):
        import_checkpoint(path, "3ddfa", whitening_file(tmp_path, count=61), toy_model)


def test_import_needs_a_model_with_enough_components(small_checkpoint: Path, toy_model: MorphableModel) -> None:
    small = replace(toy_model, identity_basis=toy_model.identity_basis[..., :39].copy())
    with pytest.raises(FileError, match="40 identity and 10 expression.*'toy face' has 39 and 10"):
        import_checkpoint(small_checkpoint, "3ddfa", None, small)


def test_register_and_list(weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWODASL_HOME", str(tmp_path / "home"))
    assert registered_weights() == []
    path = register_weights(weights)
    assert path == weights_folder() / f"small-{weights.weights_id[:12]}.safetensors"
    assert register_weights(weights) == path
    (entry,) = registered_weights()
    assert (entry.path, entry.name, entry.weights_id) == (path, "small", weights.weights_id)
    assert (entry.basis_id, entry.architecture, entry.convention) == (weights.basis_id, "mobilenet-v1", "3ddfa-v2")
    assert Weights.load(entry.path).weights_id == entry.weights_id
