from __future__ import annotations

from typing import Any

import pytest
import torch

from microexp import superres
from microexp.weights.identify import identify


def described(name: str, **params: Any) -> str | None:
    network = superres.create(name, **params)
    with torch.device("meta"):
        return identify(network.build().state_dict())


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("srcnn", {}, "SRCNN"),
        ("edsr", {"scale": 2}, "EDSR (scale 2, 64 channels)"),
        ("edsr", {"scale": 3, "channels": 32}, "EDSR (scale 3, 32 channels)"),
        ("edsr", {"scale": 8}, "EDSR (scale 8, 64 channels)"),
        ("rdn", {"scale": 4, "blocks": 2}, "RDN (scale 4, 64 channels)"),
        ("srgan", {"scale": 4}, "MSRResNet (SRGAN) (scale 4, 64 channels)"),
        ("esrgan", {"scale": 2, "blocks": 1}, "RRDBNet (ESRGAN, Real-ESRGAN) (scale 2, 64 channels)"),
        ("esrgan", {"scale": 4, "blocks": 1}, "RRDBNet (ESRGAN, Real-ESRGAN) (scale 4, 64 channels)"),
        ("real_esrgan", {"compact": 16}, "SRVGGNetCompact (Real-ESRGAN) (scale 4, 64 channels)"),
        ("basicvsr", {"blocks": 1}, "BasicVSR (scale 4"),
        ("iconvsr", {"blocks": 1}, "IconVSR (scale 4"),
        ("basicvsr_pp", {"blocks": 1}, "BasicVSR++ (scale 4"),
        ("real_basicvsr", {"blocks": 1}, "RealBasicVSR (scale 4"),
        ("edvr", {}, "EDVR (scale 4"),
        ("glean", {}, "GLEAN"),
    ],
)
def test_our_networks_are_known(name: str, params: dict[str, Any], expected: str) -> None:
    found = described(name, **params)
    assert found is not None
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight", "model.10.weight"], "RRDBNet"),
        (["conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.weight"], "RRDBNet"),
        (["generator.body.0.rdb1.conv1.weight", "discriminator.conv_1.weight_orig"], "RRDBNet"),
        (["conv0_0.weight", "bn0_1.weight", "linear1.weight"], "a VGG-style discriminator"),
        (["conv0.weight", "conv1.weight_orig", "conv9.weight"], "a U-Net discriminator"),
        (["layers.0.attn.relative_position_bias_table", "conv_after_body.weight"], "SwinIR"),
        (["layer1.0.conv1.weight", "layer4.1.bn2.weight", "fc.weight"], "ResNet"),
    ],
)
def test_others_are_known_by_their_names(keys: list[str], expected: str) -> None:
    found = identify({key: torch.zeros(1) for key in keys})
    assert found is not None
    assert found.startswith(expected)


def test_what_is_not_known_stays_so() -> None:
    assert identify({"weight": torch.zeros(2, 3)}) is None
    assert identify({}) is None
