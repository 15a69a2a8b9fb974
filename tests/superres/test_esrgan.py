from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor

from microexp import superres
from microexp.errors import OptionError, UnknownNameError
from microexp.superres.esrgan import ESRGAN, build_module
from tests.superres.golden import assert_golden, filled, pattern


@pytest.mark.parametrize(("scale", "count"), [(4, 16_697_987), (2, 16_703_171), (1, 16_723_907)])
def test_counts_are_the_published_ones(scale: int, count: int) -> None:
    with torch.device("meta"):
        module = build_module(scale)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == 702


@pytest.mark.parametrize(
    ("scale", "figures"),
    [
        (2, (0.0073266908, 0.0018788, 0.009043294, 0.0075043133, 0.00465914)),
        (4, (0.0073642742, 0.00218664, 0.0090366406, 0.007396718, 0.0045805299)),
    ],
)
def test_golden_outputs(scale: int, figures: tuple[float, ...]) -> None:
    with torch.inference_mode():
        assert_golden(filled(build_module(scale))(pattern(1, 3, 16, 16)), *figures)


@pytest.mark.parametrize(("scale", "height", "width"), [(1, 8, 8), (2, 6, 8), (4, 5, 7)])
def test_sizes_that_do_not_fold_are_continued_by_their_edge(scale: int, height: int, width: int) -> None:
    module = build_module(scale, channels=8, blocks=1, growth=4)
    picture = torch.rand(1, 3, 5, 7)
    continued = torch.nn.functional.pad(picture, (0, width - 7, 0, height - 5), mode="replicate")
    with torch.inference_mode():
        assert torch.equal(module(picture), module(continued)[..., : 5 * scale, : 7 * scale])


@pytest.mark.parametrize(
    ("preset", "scale", "count"),  # counted in the published model.json
    [
        ("rrdn_thick", 2, 7_239_968),
        ("rrdn_thick", 3, 7_248_623),
        ("rrdn_thick", 4, 7_260_740),
        ("rrdn_thick", 8, 7_343_828),
        ("rrdn_idealo", 4, 4_176_100),
    ],
)
def test_counts_of_the_presets_are_the_published_ones(preset: str, scale: int, count: int) -> None:
    with torch.device("meta"):
        module = superres.create("esrgan", preset, scale=scale).build()
    assert sum(p.numel() for p in module.parameters()) == count


@pytest.mark.parametrize(("variant", "scale"), [("esrgan", 3), ("esrgan", 8), ("rrdn", 1)])
def test_a_variant_is_refused_at_scales_that_it_is_not_for(variant: str, scale: int) -> None:
    with pytest.raises(OptionError, match=f"'{variant}' enlarges by 2.*, not by {scale}"):
        build_module(scale, variant=variant)


def test_the_networks_of_the_paper_and_of_the_variant_differ_in_scale_as_said() -> None:
    picture = np.zeros((5, 6, 3), np.uint8)
    small = {"channels": 4, "blocks": 1, "growth": 2, "weights": "random", "scale": 3}
    assert ESRGAN(**small, variant="rrdn").upscale(picture).shape == (15, 18, 3)
    with pytest.raises(OptionError, match="not by 3"):
        ESRGAN(**small).upscale(picture)
    with pytest.raises(UnknownNameError, match="variant of ESRGAN 'rdn'. Did you mean 'rrdn'"):
        ESRGAN(**small, variant="rdn").check_parameters()


@pytest.mark.parametrize("scale", ESRGAN.scales)
def test_patches_suit_scale_and_discriminator(scale: int) -> None:
    for recipe in ESRGAN(scale=scale, variant="rrdn").recipes().values():
        assert recipe.patch % scale == 0
        ESRGAN(channels=4).discriminator(recipe.patch)


def test_the_discriminator_is_built_for_the_patch() -> None:
    discriminator = ESRGAN(channels=4).discriminator(patch=32)
    assert discriminator(torch.rand(2, 3, 32, 32)).shape == (2, 1)


def test_training_is_that_of_the_paper() -> None:
    recipes = ESRGAN().recipes()
    assert (recipes["psnr"].gan_weight, recipes["psnr"].start) == (0, "")
    assert (recipes["gan"].gan, recipes["gan"].start) == ("relativistic", "psnr")
    assert dict(recipes["gan"].feature_weights) == {"34": 1.0}


def renamed(state: dict[str, Tensor], *pairs: tuple[str, str]) -> dict[str, Tensor]:
    for pattern_, name in pairs:
        state = {re.sub(pattern_, name, key): value for key, value in state.items()}
    return state


@pytest.mark.parametrize("blocks", [1, 11])
def test_names_of_the_first_release_are_understood(blocks: int) -> None:
    state = build_module(4, channels=4, blocks=blocks, growth=2).state_dict()
    first = renamed(
        state,
        (r"^body\.(\d+)\.rdb(\d)\.conv(\d)\.", r"model.1.sub.\1.RDB\2.conv\3.0."),
        (r"^conv_body\.", f"model.1.sub.{blocks}."),
        (r"^conv_first\.", "model.0."),
        (r"^conv_up1\.", "model.3."),
        (r"^conv_up2\.", "model.6."),
        (r"^conv_hr\.", "model.8."),
        (r"^conv_last\.", "model.10."),
    )
    assert all(key.startswith("model.") for key in first)
    assert_same(ESRGAN().canonical(first), state)


def test_names_of_the_middle_release_are_understood() -> None:
    state = build_module(4, channels=4, blocks=2, growth=2).state_dict()
    middle = renamed(
        state,
        (r"^body\.(\d+)\.rdb(\d)\.", r"RRDB_trunk.\1.RDB\2."),
        (r"^conv_body\.", "trunk_conv."),
        (r"^conv_up(\d)\.", r"upconv\1."),
        (r"^conv_hr\.", "HRconv."),
    )
    assert middle.keys() != state.keys()
    assert_same(ESRGAN().canonical(middle), state)


def test_names_of_the_network_stay_as_they_are() -> None:
    state = build_module(4, channels=4, blocks=2, growth=2).state_dict()
    assert_same(ESRGAN().canonical({f"generator.{k}": v for k, v in state.items()}), state)


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(found[key] is wanted[key] for key in wanted)
