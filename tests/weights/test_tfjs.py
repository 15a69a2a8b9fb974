from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microexp.errors import WeightsError
from microexp.weights.tfjs import read_tfjs

KERNEL = np.random.default_rng(0).normal(size=(3, 5, 2, 4)).astype(np.float32)
BIAS = np.arange(4, dtype=np.float32)


def write(folder: Path, stored: bytes, quantization: dict[str, Any] | None, layer: str = "conv") -> Path:
    kernel: dict[str, Any] = {"name": f"{layer}/kernel", "shape": list(KERNEL.shape), "dtype": "float32"}
    if quantization is not None:
        kernel["quantization"] = quantization
    bias = {"name": f"{layer}/bias", "shape": [4], "dtype": "float32"}
    data = stored + BIAS.tobytes()
    (folder / "shard1.bin").write_bytes(data[:101])
    (folder / "shard2.bin").write_bytes(data[101:])
    group = {"paths": ["shard1.bin", "shard2.bin"], "weights": [kernel, bias]}
    (folder / "model.json").write_text(json.dumps({"weightsManifest": [group]}))
    return folder / "model.json"


def test_single_precision_comes_back_with_the_axes_of_torch(tmp_path: Path) -> None:
    read = read_tfjs(write(tmp_path, KERNEL.tobytes(), None))
    assert list(read) == ["conv.weight", "conv.bias"]
    assert read["conv.weight"].shape == (4, 2, 3, 5)
    assert read["conv.weight"][3, 1, 2, 4] == KERNEL[2, 4, 1, 3]
    assert np.array_equal(read["conv.weight"].permute(2, 3, 1, 0).numpy(), KERNEL)
    assert np.array_equal(read["conv.bias"].numpy(), BIAS)


@pytest.mark.parametrize(("kind", "levels"), [("uint8", 255), ("uint16", 65535)])
def test_integers_come_back_to_half_a_level(tmp_path: Path, kind: str, levels: int) -> None:
    low, scale = float(KERNEL.min()), float(KERNEL.max() - KERNEL.min()) / levels
    stored = np.round((KERNEL - low) / scale).astype(kind).tobytes()
    read = read_tfjs(write(tmp_path, stored, {"dtype": kind, "min": low, "scale": scale}))
    assert np.abs(read["conv.weight"].permute(2, 3, 1, 0).numpy() - KERNEL).max() <= 0.51 * scale


def test_half_precision(tmp_path: Path) -> None:
    read = read_tfjs(write(tmp_path, KERNEL.astype(np.float16).tobytes(), {"dtype": "float16"}))
    assert np.array_equal(read["conv.weight"].permute(2, 3, 1, 0).numpy(), KERNEL.astype(np.float16))


def test_names_of_rdn_are_translated(tmp_path: Path) -> None:
    layers = {"F_m1": "sfe1", "F_12_3": "rdbs.11.layers.2.conv", "LFF_1": "rdbs.0.lff", "SR": "output"}
    weights = [{"name": f"{layer}/bias", "shape": [4], "dtype": "float32"} for layer in layers]
    weights.append({"name": "F_m1/kernel", "shape": [1, 1, 2, 2], "dtype": "float32"})
    (tmp_path / "all.bin").write_bytes(BIAS.tobytes() * 5)
    group = {"paths": ["all.bin"], "weights": weights}
    (tmp_path / "model.json").write_text(json.dumps({"weightsManifest": [group]}))
    read = read_tfjs(tmp_path / "model.json")
    assert list(read) == [*(f"{name}.bias" for name in layers.values()), "sfe1.weight"]


def test_channels_of_a_layer_keep_their_order_in_a_model_that_is_not_known(tmp_path: Path) -> None:
    read = read_tfjs(write(tmp_path, KERNEL.tobytes(), None, layer="PreShuffle"))
    assert np.array_equal(read["PreShuffle.bias"].numpy(), BIAS)


def test_shards_that_are_cut_too_long_or_missing_are_named(tmp_path: Path) -> None:
    model = write(tmp_path, KERNEL.tobytes(), None)
    last = tmp_path / "shard2.bin"
    whole = last.read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2]):
        last.write_bytes(content)
        with pytest.raises(WeightsError, match=r"model\.json are cut"):
            read_tfjs(model)
    last.write_bytes(whole + b"\0")
    with pytest.raises(WeightsError, match="the model speaks of 496"):
        read_tfjs(model)
    last.unlink()
    with pytest.raises(WeightsError, match=r"shard2\.bin, which is missing"):
        read_tfjs(model)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"weightsManifest": [{"paths": ["a.bin"]}]}',
        b'{"weightsManifest": 3}',
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.json is no model of TensorFlow\.js"):
        read_tfjs(tmp_path / "model.json")


def test_files_elsewhere_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(b"1234")
    group = {"paths": ["../secret"], "weights": [{"name": "a", "shape": [1], "dtype": "float32"}]}
    (tmp_path / "in" / "model.json").write_text(json.dumps({"weightsManifest": [group]}))
    with pytest.raises(WeightsError, match="does not stand beside it"):
        read_tfjs(tmp_path / "in" / "model.json")
