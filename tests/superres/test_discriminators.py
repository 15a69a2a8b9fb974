from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import DataError, OptionError
from microexp.superres._discriminators import UNetDiscriminator, VGG128Discriminator
from tests.superres.golden import assert_golden, filled, pattern


def test_the_vgg_discriminator_has_the_published_count_and_names() -> None:
    module = VGG128Discriminator()
    assert sum(p.numel() for p in module.parameters()) == 14_499_401
    assert len(module.state_dict()) == 60
    convolutions = {f"conv{stage}_{place}" for stage in range(5) for place in (0, 1)}
    norms = {f"bn{name[4:]}" for name in convolutions if name != "conv0_0"}
    layers = {name.partition(".")[0] for name in module.state_dict()}
    assert layers == convolutions | norms | {"linear1", "linear2"}
    assert "conv0_0.bias" in module.state_dict()


def test_golden_output_of_the_vgg_discriminator() -> None:
    with torch.inference_mode():
        logit = filled(VGG128Discriminator())(pattern(1, 3, 128, 128))
    assert logit.shape == (1, 1)
    assert float(logit) == pytest.approx(0.017917629, abs=2e-6)


@pytest.mark.parametrize("size", [32, 96, 160])
def test_a_small_vgg_discriminator(size: int) -> None:
    module = VGG128Discriminator(channels=2, input_size=size)
    assert module(pattern(1, 3, size, size).repeat(2, 1, 1, 1)).shape == (2, 1)


def test_every_parameter_of_the_vgg_discriminator_is_trained() -> None:
    torch.manual_seed(0)
    module = VGG128Discriminator(channels=2, input_size=64)
    module(torch.rand(4, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 3, 128, 96)])
def test_the_vgg_discriminator_refuses_another_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="128 x 128 pixels"):
        VGG128Discriminator(channels=1)(torch.zeros(shape))


@pytest.mark.parametrize(("channels", "size"), [(0, 128), (4, 100), (4, 0)])
def test_settings_of_the_vgg_discriminator_are_checked(channels: int, size: int) -> None:
    with pytest.raises(OptionError, match=f"multiple of 32, got {channels} and {size}"):
        VGG128Discriminator(channels, size)


def test_the_unet_discriminator_has_the_published_count_and_names() -> None:
    state = UNetDiscriminator().state_dict()
    assert sum(p.numel() for p in UNetDiscriminator().parameters()) == 4_376_897
    assert len(state) == 28
    ends = ["conv_0.weight", "conv_0.bias", "conv_9.weight", "conv_9.bias"]
    normed = [f"conv_{i}.weight_{part}" for i in range(1, 9) for part in ("orig", "u", "v")]
    assert state.keys() == {*ends, *normed}


def scattered(module: nn.Module) -> nn.Module:
    """Fill a network with residues of squares, which unlike the sines of `filled` do not cancel out.

    The vectors of each spectral norm are those of one step of power iteration from a constant.
    """
    state = module.state_dict()
    for n, name in enumerate(sorted(k for k in state if not k.endswith(("_u", "_v")))):
        index = torch.arange(state[name].numel())
        state[name].copy_((((index * index + 7 * n) % 1009) / 1009 - 0.5).view_as(state[name]))
    for name in [k.removesuffix("_orig") for k in state if k.endswith("_orig")]:
        matrix = state[f"{name}_orig"].flatten(1)
        v = F.normalize(matrix.T @ torch.ones(len(matrix)), dim=0)
        state[f"{name}_v"].copy_(v)
        state[f"{name}_u"].copy_(F.normalize(matrix @ v, dim=0))
    module.load_state_dict(state)
    return module.eval()


def test_golden_output_of_the_unet_discriminator() -> None:
    # Of mmagic's original class with 8 channels, filled in the same way.
    figures = (0.62627945, 0.9008814, 0.0012971759, -0.45054489, -1.6243751)
    with torch.inference_mode():
        assert_golden(scattered(UNetDiscriminator(channels=8))(pattern(1, 3, 16, 24)), *figures)


def test_names_of_the_other_code_base_are_understood() -> None:
    state = UNetDiscriminator(channels=2).state_dict()
    other = [key.replace("conv_", "conv") for key in state]
    for pattern_, replacement in UNetDiscriminator.aliases:
        other = [re.sub(pattern_, replacement, key) for key in other]
        assert [re.sub(pattern_, replacement, key) for key in state] == list(state)
    assert other == list(state)


def test_training_brings_every_normed_layer_to_a_largest_singular_value_of_one() -> None:
    torch.manual_seed(0)
    module = UNetDiscriminator(channels=2)
    for _ in range(300):
        module(torch.rand(1, 3, 8, 8))
    for layer in list(module.children())[1:-1]:
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
        assert float(largest) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (24, 40)])
def test_the_unet_gives_a_logit_for_each_pixel(height: int, width: int) -> None:
    module = UNetDiscriminator(channels=2)
    logits = module(torch.rand(2, 3, height, width))
    assert logits.shape == (2, 1, height, width)
    logits.mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())


def shifted(pictures: Tensor, by: int) -> Tensor:
    return pictures.roll((by, by), dims=(-2, -1))


def test_the_unet_sees_the_same_wherever_it_stands() -> None:
    torch.manual_seed(0)
    module = UNetDiscriminator(channels=2).eval()
    pictures = torch.zeros(1, 3, 128, 128)
    pictures[..., 56:64, 56:64] = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        one, other = shifted(module(pictures), 8), module(shifted(pictures, 8))
    assert torch.allclose(one[..., 40:88, 40:88], other[..., 40:88, 40:88], atol=1e-6)


def test_the_unet_discriminator_refuses_what_it_cannot_halve_thrice() -> None:
    with pytest.raises(DataError, match="multiples of 8, got 16 x 20"):
        UNetDiscriminator(channels=1)(torch.zeros(1, 3, 16, 20))
    with pytest.raises(OptionError, match="at least 1 channel, got 0"):
        UNetDiscriminator(channels=0)
