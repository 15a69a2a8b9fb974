"""The PyTorch modules answer what face-api itself answers (tests/faces/faceapi_reference.json)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from microexp import faces
from microexp.errors import WeightsError
from microexp.faces import _networks as networks

REFERENCE = json.loads(Path(__file__).with_name("faceapi_reference.json").read_text(encoding="utf-8"))


def picture(size: int) -> torch.Tensor:
    """The picture of plain arithmetic that scripts/faceapi_reference.mjs gives the original."""
    y, x = np.mgrid[:size, :size]
    planes = [(x * 5 + y * 3 + ((x * y) >> 4) + c * 70) % 256 for c in range(3)]
    return torch.tensor(np.stack(planes)[None], dtype=torch.float32)


def test_the_detector_is_the_original() -> None:
    with torch.inference_mode():
        grid = networks.detector()(picture(96))[0].numpy()
    expected = np.array(REFERENCE["detector"]).reshape(3, 3, 5, 5).transpose(2, 3, 0, 1)
    assert np.allclose(grid, expected, atol=1e-4)


@pytest.mark.parametrize("tiny", [False, True])
def test_the_landmark_networks_are_the_original(tiny: bool) -> None:
    with torch.inference_mode():
        found = networks.landmark_net(tiny)(picture(112))[0].numpy()
    expected = np.array(REFERENCE["landmarks_tiny" if tiny else "landmarks"]).reshape(68, 2)
    assert np.allclose(found, expected, atol=2e-5)


def test_the_card_counts_the_parameters() -> None:
    used = (networks.detector(), networks.landmark_net())
    assert faces.card("faceapi68").parameters == sum(p.numel() for net in used for p in net.parameters())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "faceapi.safetensors"
    with pytest.raises(WeightsError, match="missing"):
        networks.shipped_weights(file)
    data = bytearray(networks.WEIGHTS.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match="not the file that microexp ships"):
        networks.shipped_weights(file)
