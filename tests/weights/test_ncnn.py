from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from microexp.errors import WeightsError
from microexp.superres.esrgan import ESRGAN
from microexp.superres.real_esrgan import RealESRGAN
from microexp.weights.ncnn import read_ncnn

HALF = 0x01306B47


def lines_and_values(state: Mapping[str, Tensor], half: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the layers of a network as ncnn has them: one line, and what the line's values are stored as."""
    for key in [key.removesuffix(".weight") for key in state if key.endswith(".weight")]:
        weight = state[f"{key}.weight"].numpy()
        if weight.ndim == 1:
            yield f"PReLU PRelu_{key} 1 1 a b 0={weight.size}", weight.tobytes()
            continue
        outputs, _, height, width = weight.shape
        stored = weight.astype(np.float16).tobytes() if half else weight.tobytes()
        values = struct.pack("<I", HALF if half else 0) + stored + bytes(-len(stored) % 4)
        line = (
            f"Convolution Conv_{key} 1 1 a b 0={outputs} 1={width} 11={height} 4=1 5=1 6={weight.size} 9=2 "
        )
        yield line + "-23310=1,2.000000e-01", values + state[f"{key}.bias"].numpy().tobytes()


def write(folder: Path, state: Mapping[str, Tensor], half: bool = False) -> Path:
    lines, values = zip(*lines_and_values(state, half), strict=True)
    param = folder / "net.param"
    layers = ["Input data 0 1 data", *lines]
    param.write_text("\n".join(["7767517", f"{len(layers)} {len(layers) + 1}", *layers, ""]))
    param.with_suffix(".bin").write_bytes(b"".join(values))
    return param


def states() -> dict[str, dict[str, Tensor]]:
    torch.manual_seed(0)
    networks = {
        "dense": ESRGAN(channels=5, blocks=2, growth=3),
        "folded": RealESRGAN(scale=2, channels=5, blocks=1, growth=3),
        "compact": RealESRGAN(channels=5, compact=3),
    }
    return {name: network.build().state_dict() for name, network in networks.items()}


@pytest.mark.parametrize("name", ["dense", "folded", "compact"])
@pytest.mark.parametrize("half", [False, True])
def test_names_and_values_come_back(tmp_path: Path, name: str, half: bool) -> None:
    state = states()[name]
    read = read_ncnn(write(tmp_path, state, half))
    assert list(read) == list(state)
    for key, tensor in state.items():
        is_half = half and tensor.ndim == 4
        assert torch.equal(read[key], tensor.half().float() if is_half else tensor)


def test_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    state = states()["compact"]
    param = write(tmp_path, state)
    param.write_bytes(param.read_bytes().replace(b"\n", b"\r\n"))
    assert list(read_ncnn(param)) == list(state)


def test_values_cut_anywhere_or_too_many_are_refused(tmp_path: Path) -> None:
    param = write(tmp_path, states()["compact"], half=True)
    binary = param.with_suffix(".bin")
    whole = binary.read_bytes()
    for end in range(0, len(whole), 97):
        binary.write_bytes(whole[:end])
        with pytest.raises(WeightsError, match=r"net\.param: net\.bin is cut"):
            read_ncnn(param)
    binary.write_bytes(whole + b"\0")
    with pytest.raises(WeightsError, match="do not belong together"):
        read_ncnn(param)


def test_text_cut_anywhere_is_refused(tmp_path: Path) -> None:
    param = write(tmp_path, states()["compact"])
    whole = param.read_text()
    for end in range(0, whole.rindex(" 9=2"), 11):
        param.write_text(whole[:end])
        with pytest.raises(WeightsError, match=r"net\.param: "):
            read_ncnn(param)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7767517", "1234567", "begins with 7767517"),
        ("PReLU ", "LSTM ", "is a LSTM, which no network known here has"),
        ("0=5 1=3", "1=3", "has no whole number 0="),
        (" 6=135 ", " 6=134 ", "134 weights are no 3x3 kernels"),
    ],
)
def test_what_is_foreign_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    param = write(tmp_path, states()["compact"])
    param.write_text(param.read_text().replace(old, new))
    with pytest.raises(WeightsError, match=message):
        read_ncnn(param)


def test_other_precisions_and_networks_are_refused(tmp_path: Path) -> None:
    state = states()["dense"]
    param = write(tmp_path, state)
    param.with_suffix(".bin").write_bytes(struct.pack("<I", 0x000D4B38) + bytes(10_000))
    with pytest.raises(WeightsError, match="neither float32 nor float16"):
        read_ncnn(param)
    part = {key: value for key, value in state.items() if "conv_hr" not in key}
    with pytest.raises(WeightsError, match="35 layers with weights that is neither"):
        read_ncnn(write(tmp_path, part))
    param.with_suffix(".bin").unlink()
    with pytest.raises(WeightsError, match=r"net\.bin does not exist"):
        read_ncnn(param)
