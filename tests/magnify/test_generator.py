from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from microexp.errors import WeightsError
from microexp.magnify._flow_fields import LIMIT
from microexp.magnify._generator import FaceFeatures, FlowMagnifier, Generator, face_features
from microexp.networks.vgg import layers, vgg_features


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def vgg_file(folder: Path, last: str) -> Path:
    """Write small random weights of VGG19 up to a layer, in the original convention."""
    generator = np.random.default_rng(0)
    arrays = {}
    for layer in layers("vgg19"):
        spread = (2 / (9 * layer.inputs)) ** 0.5
        shape = (layer.outputs, layer.inputs, 3, 3)
        arrays[f"{layer.name}.w"] = (spread * generator.standard_normal(shape)).astype(np.float32)
        arrays[f"{layer.name}.b"] = np.zeros(layer.outputs, np.float32)
        if layer.name == last:
            break
    file = folder / f"{last}.npz"
    np.savez(file, **arrays)
    return file


@pytest.mark.parametrize(
    ("width", "blocks", "wanted"), [(1.0, 8, 11_378_819), (0.5, 4, 1_821_827), (0.25, 3, 458_179)]
)
def test_the_generator_has_as_many_parameters_as_specified(width: float, blocks: int, wanted: int) -> None:
    with torch.device("meta"):
        assert count(Generator(width, blocks)) == wanted


@pytest.mark.parametrize(("channels", "wanted"), [(64, 4_022_915), (32, 1_006_915)])
def test_the_flow_magnifier_has_as_many_parameters_as_specified(channels: int, wanted: int) -> None:
    with torch.device("meta"):
        assert count(FlowMagnifier(channels)) == wanted


@pytest.mark.parametrize("width", [0.125, 1.0])
def test_pictures_are_four_times_as_large_as_the_coarse_features(width: float) -> None:
    generator = Generator(width, blocks=1)
    made = generator(torch.rand(1, 128, 20, 16), torch.rand(1, 256, 10, 8), torch.zeros(1, 2, 8, 8))
    assert made.shape == (1, 3, 40, 32)


def test_a_generator_that_starts_black_is_black_and_can_learn() -> None:
    generator = Generator(0.125, blocks=1, starts_black=True)
    flow = torch.zeros(1, 2, 8, 8)
    made = generator(torch.rand(1, 128, 8, 8), torch.rand(1, 256, 4, 4), flow)
    assert not made.any()
    (made - 1).square().sum().backward()
    assert generator.rgb.weight.grad is not None
    assert bool(generator.rgb.weight.grad.any())


@pytest.mark.parametrize("k", [8, 12, 16])
def test_the_flow_magnifier_begins_as_the_flow_itself(k: int) -> None:
    flow = 0.01 * torch.randn(2, 2, k, k)
    assert torch.equal(FlowMagnifier(8)(flow), flow)


def test_the_flow_magnifier_learns_a_gain_and_stays_within_its_limit() -> None:
    magnifier, flow = FlowMagnifier(8), 0.01 * torch.randn(2, 2, 8, 8)
    magnifier(flow).square().sum().backward()
    assert magnifier.gain.grad is not None
    assert bool(magnifier.gain.grad > 0)
    with torch.no_grad():
        magnifier.gain.fill_(2)
        assert torch.allclose(magnifier(flow), 2 * flow)
        magnifier.gain.fill_(1000)
        assert float(magnifier(flow).abs().max()) <= LIMIT


def test_features_are_those_after_the_rectifier_with_a_mean_of_one(tmp_path: Path) -> None:
    file = vgg_file(tmp_path, "conv3_1")
    picture = torch.rand(1, 3, 32, 32)
    found = face_features(file)(picture)
    raw = vgg_features("vgg19", file, ("5", "10"))(picture)
    for mine, tap, shape in zip(found, ("5", "10"), ((1, 128, 16, 16), (1, 256, 8, 8)), strict=True):
        assert mine.shape == shape
        ratio = raw[tap].relu().sum() / mine.sum()
        assert torch.allclose(mine * ratio, raw[tap].relu(), rtol=1e-3, atol=1e-3)
        assert 0.3 < float(mine.mean()) < 3


def test_all_that_features_need_is_in_their_state(tmp_path: Path) -> None:
    features, twin = face_features(vgg_file(tmp_path, "conv3_1")), FaceFeatures()
    twin.load_state_dict(features.state_dict())
    picture = torch.rand(1, 3, 32, 32)
    for mine, other in zip(features(picture), twin(picture), strict=True):
        assert torch.equal(mine, other)
    assert not features.is_random
    assert count(features) == 0


def test_the_deepest_layer_is_the_one_that_the_file_reaches(tmp_path: Path) -> None:
    picture = torch.rand(1, 3, 32, 32)
    for last, shape in (("conv3_4", (1, 256, 8, 8)), ("conv4_1", (1, 512, 4, 4))):
        found = face_features(vgg_file(tmp_path, last), deepest=True)(picture)
        assert len(found) == 3
        assert found[2].shape == shape
    with pytest.raises(WeightsError, match="ends at"):
        face_features(vgg_file(tmp_path, "conv3_2"), deepest=True)


def test_random_features_are_the_same_every_time_and_say_so() -> None:
    torch.manual_seed(0)
    first = face_features("random")
    torch.manual_seed(1)
    second = face_features("random")
    assert first.is_random
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
