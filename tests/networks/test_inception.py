from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from microexp.errors import DataError, UnknownNameError, WeightsError
from microexp.networks.inception import (
    SIZE,
    Inception,
    InceptionNetwork,
    Unit,
    load,
    picture_features,
    resized,
)
from microexp.weights import write_weights

# Filters of Keras's conv2d_1, conv2d_2, ... as keras.applications.inception_v3 makes them, one after another.
FILTERS = [32, 32, 64, 80, 192]
for pooled in (32, 64, 64):
    FILTERS += [64, 48, 64, 64, 96, 96, pooled]
FILTERS += [384, 64, 96, 96]
for width in (128, 160, 160, 192):
    FILTERS += [192, width, width, 192, width, width, width, width, 192, 192]
FILTERS += [192, 320, 192, 192, 192, 192]
FILTERS += [320, 384, 384, 384, 448, 384, 384, 384, 192] * 2


@cache
def network() -> Inception:
    torch.manual_seed(0)
    module = Inception().eval()
    for unit in units(module):  # so that pictures still differ after 94 layers
        torch.nn.init.kaiming_normal_(unit.conv.weight)
    return module.requires_grad_(False)


def units(module: Inception) -> list[Unit]:
    return [part for part in module.modules() if isinstance(part, Unit)]


def test_the_count_is_keras_s() -> None:
    with torch.device("meta"):
        module = Inception()
    counts = {
        name: sum(v.numel() for v in part.state_dict().values()) for name, part in module.named_children()
    }
    assert counts["stem"] + counts["mixed"] == 21_802_784  # keras.applications, include_top=False
    assert sum(counts.values()) == 22_360_869  # nsfwjs's manifest
    assert [unit.conv.out_channels for unit in units(module)] == FILTERS


def test_maps_have_the_papers_sizes() -> None:
    x, sizes = torch.zeros(1, 3, SIZE, SIZE), []
    x = network().stem(x)
    assert x.shape == (1, 192, 35, 35)
    for block in network().mixed:
        x = block(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes[:4] == [(256, 35, 35), (288, 35, 35), (288, 35, 35), (768, 17, 17)]
    assert sizes[4:] == [*[(768, 17, 17)] * 4, (1280, 8, 8), (2048, 8, 8), (2048, 8, 8)]


def test_a_unit_is_keras_s_convolution_and_normalisation() -> None:
    torch.manual_seed(1)
    unit, x = Unit(2, 3, (1, 7)), torch.randn(1, 2, 9, 9)
    unit.mean.normal_(), unit.variance.uniform_(0.5, 2), unit.bias.data.normal_()
    mean, variance, beta = (v.view(1, 3, 1, 1) for v in (unit.mean, unit.variance, unit.bias))
    wanted = F.conv2d(x, unit.conv.weight, padding="same")
    wanted = ((wanted - mean) / (variance + 1e-3).sqrt() + beta).clamp(min=0)
    unit.train()  # statistics never change
    torch.testing.assert_close(unit(x), wanted)


def keras_state(module: Inception) -> dict[str, Tensor]:
    """The network's weights as a reader of TensorFlow.js gives them."""
    state = {}
    for i, unit in enumerate(units(module), start=1):
        state[f"conv2d_{i}.weight"] = unit.conv.weight
        parts = (("beta", unit.bias), ("moving_mean", unit.mean), ("moving_variance", unit.variance))
        state |= {f"batch_normalization_{i}.{part}": value for part, value in parts}
    for i, layer in enumerate((module.head[0], module.head[2], module.head[4]), start=1):
        state |= {f"dense_{i}.weight": layer.weight.T, f"dense_{i}.bias": layer.bias}
    return state


def test_keras_s_weights_are_renamed() -> None:
    found, wanted = InceptionNetwork().canonical(keras_state(network())), network().state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert InceptionNetwork().canonical(wanted).keys() == wanted.keys()


def test_features_do_not_depend_on_what_else_is_computed(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", network().state_dict(), InceptionNetwork().description())
    module = load(tmp_path / "w.safetensors", "cpu")
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (size, 30, 3), np.uint8) for size in (20, 40)]
    both = picture_features(module, pictures, ["pool", "mixed5"])
    assert {name: values.shape for name, values in both.items()} == {"pool": (2, 2048), "mixed5": (2, 768)}
    alone = picture_features(module, pictures[1:])["mixed5"]
    assert np.allclose(alone[0], both["mixed5"][1], rtol=1e-4, atol=1e-6)
    assert np.abs(both["mixed5"][0] - both["mixed5"][1]).max() > 1e-3


@pytest.mark.parametrize("size", [112, 700])
def test_pictures_are_resized_as_pil_does(size: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    found = resized(picture)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - wanted).max() < 1.01  # PIL rounds, after rows and after columns


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        picture_features(network(), [])
    with pytest.raises(DataError, match="Inception-v3"):
        picture_features(network(), [np.zeros((9, 9), np.uint8)])
    with pytest.raises(DataError, match="one by one"):
        resized(np.zeros((2, 9, 9, 3), np.uint8))
    with pytest.raises(UnknownNameError, match="mixed5"):
        picture_features(network(), [np.zeros((9, 9, 3), np.uint8)], ["mixed6"])
    write_weights(tmp_path / "w.safetensors", {"conv256_down_out.conv1.scale": torch.ones(2)}, {})
    with pytest.raises(WeightsError, match="face descriptor"):
        load(tmp_path / "w.safetensors")
