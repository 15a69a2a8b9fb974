from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from microexp.errors import DataError, WeightsError
from microexp.networks.face_descriptor import (
    CHIP,
    FaceDescriptor,
    FaceDescriptorNetwork,
    Residual,
    descriptors,
    face_chip,
    load,
)
from microexp.weights.convert import convert

# Layers of face-api's manifest: name, channels in, channels out, kernel.
LAYERS = [("conv32_down", 3, 32, 7)]
for block, n_in, n_out in [
    *[(f"conv32_{i}", 32, 32) for i in (1, 2, 3)],
    *[("conv64_down", 32, 64), *[(f"conv64_{i}", 64, 64) for i in (1, 2, 3)]],
    *[("conv128_down", 64, 128), *[(f"conv128_{i}", 128, 128) for i in (1, 2)]],
    *[("conv256_down", 128, 256), *[(f"conv256_{i}", 256, 256) for i in (1, 2)]],
    ("conv256_down_out", 256, 256),
]:
    LAYERS += [(f"{block}/conv1", n_in, n_out, 3), (f"{block}/conv2", n_out, n_out, 3)]


@cache
def weights() -> dict[str, np.ndarray]:
    """Drawn values under the names and with the axes of face-api."""
    rng, found = np.random.default_rng(0), {}
    for name, n_in, n_out, kernel in LAYERS:
        spread = np.sqrt(2 / (kernel * kernel * n_in))
        found[f"{name}/conv/filters"] = rng.normal(0, spread, (kernel, kernel, n_in, n_out))
        found[f"{name}/conv/bias"] = rng.normal(0, 0.1, n_out)
        found[f"{name}/scale/weights"] = rng.uniform(0.5, 1, n_out)
        found[f"{name}/scale/biases"] = rng.normal(0, 0.1, n_out)
    found["fc"] = rng.normal(0, 0.1, (256, 128))
    return {name: values.astype(np.float32) for name, values in found.items()}


def write(folder: Path) -> Path:
    listed = [{"name": n, "shape": list(v.shape), "dtype": "float32"} for n, v in weights().items()]
    (folder / "model.bin").write_bytes(b"".join(v.tobytes() for v in weights().values()))
    (folder / "manifest.json").write_text(json.dumps([{"paths": ["model.bin"], "weights": listed}]))
    return folder / "manifest.json"


def conv(x: Tensor, name: str, stride: int, padding: int) -> Tensor:
    part = {
        k.removeprefix(f"{name}/"): torch.from_numpy(v)
        for k, v in weights().items()
        if k.startswith(f"{name}/")
    }
    x = F.conv2d(x, part["conv/filters"].permute(3, 2, 0, 1), part["conv/bias"], stride, padding)
    return x * part["scale/weights"].view(1, -1, 1, 1) + part["scale/biases"].view(1, -1, 1, 1)


def residual(x: Tensor, name: str) -> Tensor:
    return F.relu(conv(F.relu(conv(x, f"{name}/conv1", 1, 1)), f"{name}/conv2", 1, 1) + x)


def residual_down(x: Tensor, name: str) -> Tensor:
    """Sum into zeros as large and with as many channels as the larger of the two."""
    found = conv(F.relu(conv(x, f"{name}/conv1", 2, 0)), f"{name}/conv2", 1, 1)
    pooled = F.avg_pool2d(x, 2)
    total = torch.zeros(1, found.shape[1], *pooled.shape[2:])
    total[:, :, : found.shape[2], : found.shape[3]] += found
    total[:, : pooled.shape[1]] += pooled
    return F.relu(total)


def reference(chip: np.ndarray) -> Tensor:
    """face-api's FaceRecognitionNet, layer by layer."""
    x = torch.from_numpy(chip).float() - torch.tensor([122.782, 117.001, 104.298])
    x = F.relu(conv((x / 255).permute(2, 0, 1)[None], "conv32_down", 2, 0))
    x = F.max_pool2d(x, 3, 2)
    blocks = list(dict.fromkeys(name.split("/")[0] for name, *_ in LAYERS[1:]))
    for name in blocks:
        x = (residual_down if "down" in name else residual)(x, name)
    return x.mean((2, 3)) @ torch.from_numpy(weights()["fc"])


def test_the_count_is_face_apis() -> None:
    with torch.device("meta"):
        module = FaceDescriptor()
    assert sum(p.numel() for p in module.parameters()) == 5_614_592
    assert sum(v.size for v in weights().values()) == 5_614_592


def test_a_converted_network_computes_what_face_api_does(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    convert(write(tmp_path), FaceDescriptorNetwork(), file)
    module = load(file, "cpu")
    chips = np.random.default_rng(1).integers(0, 256, (2, CHIP, CHIP, 3), np.uint8)
    found = descriptors(module, chips)
    assert found.shape == (2, 128)
    wanted = torch.cat([reference(chip) for chip in chips]).numpy()
    assert np.allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
    picture = torch.rand(1, 3, CHIP, CHIP, requires_grad=True)
    module(picture).sum().backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


@pytest.mark.parametrize("side", [8, 17])
def test_what_halving_lacks_is_zero(side: int) -> None:
    block, x = Residual(2, 4, down=True), torch.rand(1, 2, side, side)
    for part in (block.conv1, block.conv2):
        part.conv.bias.data.zero_()
        part.scale.data.zero_()  # only the means are left
    found = block(x)
    assert found.shape == (1, 4, side // 2, side // 2)
    wanted = (
        x[:, :, : side // 2 * 2, : side // 2 * 2].unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))
    )
    torch.testing.assert_close(found[:, :2], wanted)
    assert not found[:, 2:].any()


def test_a_chip_does_not_depend_on_where_and_how_large_the_face_was() -> None:
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(CHIP), np.arange(CHIP))
    waves = np.stack([np.sin(x / 9), np.cos(y / 11), np.sin((x + y) / 13)], axis=-1)
    chip = np.rint(127.5 + 100 * waves).astype(np.uint8)
    template = np.array([[0.8595674595992, 0.2134981538014], [0.6460604764104, 0.2289674387677],
                         [0.1205750620789, 0.2137274526848], [0.3340850613712, 0.2290642403242],
                         [0.4901123135679, 0.6277975316475]])  # fmt: skip
    points = rng.uniform(0, CHIP, (68, 2))
    points[[45, 42, 36, 39, 33]] = (template + 0.25) / 1.5 * CHIP
    assert np.array_equal(face_chip(chip, points), chip)
    larger = np.kron(chip, np.ones((2, 2, 1), np.uint8))  # pixel centres of a pair lie at 2 x + 0.5
    shifted = np.roll(larger, (3, 7), axis=(0, 1))
    found = face_chip(shifted, 2 * points + 0.5 + [7, 3])
    assert np.abs(found[5:-5, 5:-5].astype(int) - chip[5:-5, 5:-5]).max() <= 4


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="68 landmarks"):
        face_chip(np.zeros((9, 9, 3), np.uint8), np.zeros((5, 2)))
    with pytest.raises(DataError, match="all one"):
        face_chip(np.zeros((9, 9, 3), np.uint8), np.zeros((68, 2)))
    with pytest.raises(WeightsError, match="does not exist|no published|missing"):
        load(tmp_path / "none.safetensors")
