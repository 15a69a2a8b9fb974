from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from microexp import superres
from microexp.errors import OptionError, WeightsError
from microexp.superres.srgan import SRGAN, build_module
from microexp.weights import write_weights
from tests.superres.golden import assert_golden, filled, pattern, without_bilinear


@pytest.mark.parametrize(
    ("scale", "count", "tensors"), [(2, 1_369_859, 72), (3, 1_554_499, 72), (4, 1_517_571, 74)]
)
def test_counts_are_the_published_ones(scale: int, count: int, tensors: int) -> None:
    module = build_module(scale)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == tensors


def test_golden_output() -> None:
    small = pattern(1, 3, 16, 16)
    figures = (0.007282539, 0.0017989, 0.0052497755, 0.0075851679, 0.0091576576)
    with torch.inference_mode():
        assert_golden(without_bilinear(filled(build_module(4))(small), small), *figures)


@pytest.mark.parametrize(
    ("scale", "figures"),
    [
        (2, (0.0061308735, 0.0013729213, 0.005361612, 0.0068713427, 0.0085898042)),
        (3, (0.007679531, 0.004021759, 0.0030892324, 0.0050475895, 0.011842847)),
        (4, (0.0069087049, 0.0015992445, 0.0052523189, 0.0076420605, 0.0090048313)),
    ],
)
def test_golden_outputs_of_basicsr(scale: int, figures: tuple[float, ...]) -> None:
    # Of BasicSR's original class, with the formula's weights in the order of our names.
    small = pattern(1, 3, 16, 16)
    base = F.interpolate(small, scale_factor=scale, mode="bilinear", align_corners=False)
    with torch.inference_mode():
        module = filled(build_module(scale, activation_after_shuffle=True))
        assert_golden(module(small) - base, *figures)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_network_whose_last_layer_is_nought_is_bilinear(scale: int) -> None:
    module, small = build_module(scale, channels=4, blocks=1), pattern(1, 3, 6, 9)
    with torch.inference_mode():
        module.conv_last.weight.zero_()
        wanted = F.interpolate(small, (6 * scale, 9 * scale), mode="bilinear")
        assert torch.allclose(module(small), wanted, atol=1e-6)


def test_first_weights_are_a_tenth_of_kaiming() -> None:
    torch.manual_seed(0)
    module = build_module(2, channels=64, blocks=1)
    wanted = 0.1 * math.sqrt(2 / (64 * 9))
    for layer in (module.conv_hr, module.trunk_net[0].conv1):
        assert float(layer.weight.detach().std()) == pytest.approx(wanted, rel=0.03)
        assert not layer.bias.detach().any()


def names_of_basicsr(state: dict[str, torch.Tensor], trunk: str = "body") -> dict[str, torch.Tensor]:
    return {
        re.sub(r"^upsample(\d)\.upsample_conv", r"upconv\1", k.replace("trunk_net", trunk)): v
        for k, v in state.items()
    }


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_names_of_the_other_code_bases_are_understood(scale: int) -> None:
    state = build_module(scale, channels=4, blocks=2).state_dict()
    other = names_of_basicsr(state)
    assert {"body.1.conv2.bias", "upconv1.weight"} <= other.keys()
    upscaler = SRGAN(scale=scale, activation_after_shuffle=True)
    assert upscaler.canonical(other).keys() == state.keys()
    older = {k.replace("conv_hr", "HRconv"): v for k, v in names_of_basicsr(state, "recon_trunk").items()}
    assert upscaler.canonical(older).keys() == state.keys()
    assert SRGAN().canonical({f"generator.{k}": v for k, v in state.items()}).keys() == state.keys()


def test_weights_of_the_other_code_base_need_its_activation(tmp_path: Path) -> None:
    file = tmp_path / "net_g.safetensors"
    settings = {"channels": 4, "blocks": 1, "scale": 2, "weights": str(file)}
    state = filled(build_module(2, channels=4, blocks=1)).state_dict()
    write_weights(file, names_of_basicsr(state), {})
    picture = np.full((8, 8, 3), 100, np.uint8)
    with pytest.raises(WeightsError, match=r"net_g\.safetensors has the names of BasicSR"):
        SRGAN(**settings).upscale(picture)
    with pytest.raises(WeightsError, match="this file has the names of BasicSR"):
        SRGAN().canonical(names_of_basicsr(state))
    upscaler = superres.create("srgan", "basicsr", **settings)
    assert upscaler.upscale(picture).shape == (16, 16, 3)
    for name, tensor in upscaler.module().state_dict().items():
        assert torch.equal(tensor, state[name])


def test_recipes_are_those_of_the_published_files() -> None:
    first, second = SRGAN().recipes()["psnr"], SRGAN().recipes()["gan"]
    assert (first.steps, first.batch_size, first.patch, first.pixel) == (1_000_000, 16, 128, "l1")
    assert (first.lr, first.lr_min, first.cosine, first.gan_weight) == (2e-4, 1e-7, (250_000,) * 4, 0)
    assert (second.steps, second.batch_size, second.patch, second.start) == (400_000, 16, 128, "psnr")
    assert (second.lr, second.halve_at) == (1e-4, (50_000, 100_000, 200_000, 300_000))
    assert (second.pixel, second.pixel_weight) == ("l1", 0.01)
    assert (second.features, second.feature_loss, second.feature_weights) == ("vgg19", "l1", {"34": 1.0})
    assert (second.gan, second.gan_weight) == ("vanilla", 5e-3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_discriminator_takes_the_recipes_patches(scale: int) -> None:
    upscaler = SRGAN(scale=scale, channels=2)
    patch = upscaler.recipes()["gan"].patch
    assert patch % scale == 0
    assert upscaler.discriminator(patch)(pattern(1, 3, patch, patch).repeat(2, 1, 1, 1)).shape == (2, 1)


def test_the_discriminator_can_be_made_for_small_patches() -> None:
    assert SRGAN(channels=2).discriminator(32)(pattern(1, 3, 32, 32).repeat(2, 1, 1, 1)).shape == (2, 1)


def test_another_factor_is_refused() -> None:
    with pytest.raises(OptionError, match="2, 3, 4, not by 8"):
        SRGAN(scale=8, weights="random").check_parameters()
