from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from microexp.errors import WeightsError
from microexp.superres.edsr import EDSR
from microexp.weights import locate, read_metadata, read_weights
from microexp.weights.catalogue import Entry
from microexp.weights.convert import convert, install

SMALL = {"scale": 2, "channels": 8, "blocks": 1}


def checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """Write a training checkpoint as open-mmlab's look; return the network's tensors."""
    torch.manual_seed(1)
    state = EDSR(**SMALL).build().state_dict()
    content = {"meta": {"epoch": 3}, "state_dict": {f"generator.{k}": v for k, v in state.items()}}
    torch.save(content, file)
    return state


def test_a_checkpoint_becomes_a_file_that_says_what_it_is(tmp_path: Path) -> None:
    state = checkpoint(tmp_path / "net.pth")
    file = tmp_path / "net.safetensors"
    convert(tmp_path / "net.pth", EDSR(**SMALL), file, {"source": "here"})
    read = read_weights(file)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[k], state[k]) for k in state)
    said = read_metadata(file)
    assert (said["method"], said["scale"], said["source"]) == ("EDSR", "2", "here")
    assert json.loads(said["architecture"])["channels"] == 8
    picture = np.full((9, 9, 3), 77, np.uint8)
    assert EDSR(weights=file, scale=2).upscale(picture).shape == (18, 18, 3)  # file says the architecture


def test_weights_of_another_scale_or_size_are_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "net.pth")
    out = tmp_path / "net.safetensors"
    with pytest.raises(
        WeightsError, match=r"net\.pth holds EDSR \(scale 2, 8 channels\), not EDSR \(scale 3"
    ):
        convert(tmp_path / "net.pth", EDSR(**{**SMALL, "scale": 3}), out)
    with pytest.raises(WeightsError, match="body.1.conv1.weight"):
        convert(tmp_path / "net.pth", EDSR(**{**SMALL, "blocks": 2}), out)
    assert not out.exists()
    with pytest.raises(WeightsError, match="must end so"):
        convert(tmp_path / "net.pth", EDSR(**SMALL), tmp_path / "net.pth")


def test_installed_weights_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    checkpoint(tmp_path / "net.pth")
    sha256 = hashlib.sha256((tmp_path / "net.pth").read_bytes()).hexdigest()
    one = Entry(
        "edsr-x2-mmagic", "edsr", 2, "https://example.org/net.pth", {"net.pth": sha256}, "MIT", "", ""
    )
    file = install(one, EDSR(**SMALL), tmp_path / "net.pth")
    assert locate("edsr-x2-mmagic") == file
    assert read_metadata(file)["licence"] == "MIT"
    assert EDSR(weights="edsr-x2-mmagic", scale=2).module() is not None
    with pytest.raises(WeightsError, match="holds EDSR for scale 2, not EDSR for scale 4"):
        EDSR(weights="edsr-x2-mmagic").module()
