from __future__ import annotations

import pytest
import torch

from microexp import superres
from microexp.superres.real_esrgan import CompactModule, RealESRGAN, build_module


@pytest.mark.parametrize(
    ("preset", "count"),
    [("anime_6b", 4_467_779), ("general_x4v3", 1_213_296), ("animevideo_v3", 621_424)],
)
def test_counts_of_the_presets_are_the_published_ones(preset: str, count: int) -> None:
    with torch.device("meta"):
        module = superres.create("real_esrgan", preset).build()
    assert sum(p.numel() for p in module.parameters()) == count


def test_the_compact_network_has_the_published_names() -> None:
    module = build_module(4, compact=32)
    names = list(module.state_dict())
    assert len(names) == 101
    convolutions = {f"body.{n}.{kind}" for n in range(0, 67, 2) for kind in ("weight", "bias")}
    assert set(names) == convolutions | {f"body.{n}.weight" for n in range(1, 67, 2)}


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_compact_network_of_zeros_repeats_pixels(scale: int) -> None:
    module = CompactModule(scale, channels=4, convolutions=1)
    torch.nn.init.zeros_(module.body[-1].weight)
    torch.nn.init.zeros_(module.body[-1].bias)
    picture = torch.rand(2, 3, 3, 5)
    repeated = picture.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    assert torch.equal(module(picture), repeated)


def test_the_running_mean_of_a_checkpoint_is_taken() -> None:
    state = build_module(4, channels=4, blocks=1, growth=2).state_dict()
    checkpoint = {f"generator.{k}": v + 1 for k, v in state.items()}
    checkpoint |= {f"generator_ema.{k}": v for k, v in state.items()}
    checkpoint |= {"discriminator.conv_0.weight": torch.zeros(1)}
    found = RealESRGAN().canonical(checkpoint)
    assert found.keys() == state.keys()
    assert all(found[key] is state[key] for key in state)


def test_training_is_that_of_the_paper() -> None:
    recipes = RealESRGAN().recipes()
    assert recipes["gan"].start == "psnr"
    assert {recipe.degradation for recipe in recipes.values()} == {"real-world"}
    assert {recipe.ema for recipe in recipes.values()} == {0.999}
    assert (recipes["psnr"].steps, recipes["gan"].steps) == (1_000_000, 400_000)
    assert recipes["psnr"].gan_weight == 0
    assert recipes["gan"].gan_weight == 0.1
