from __future__ import annotations

import cv2
import pytest
import torch

from microexp.errors import OptionError
from microexp.superres.srcnn import SRCNN, build_module
from tests.superres.golden import assert_golden, filled, pattern


@pytest.mark.parametrize("scale", [2, 3, 4, 8, 16])
def test_counts_are_the_published_ones_whatever_the_factor(scale: int) -> None:
    module = build_module(scale)
    assert sum(p.numel() for p in module.parameters()) == 20_099
    assert len(module.state_dict()) == 6


def test_golden_output() -> None:
    figures = (-0.0005141938, 0.0109781, 0.010101762, -0.0056116479, 0.007547589)
    with torch.inference_mode():
        assert_golden(filled(build_module(4))(pattern(1, 3, 16, 16)), *figures)


@pytest.mark.parametrize("scale", [2, 3, 5, 8])
def test_a_network_that_changes_nothing_enlarges_as_opencv_does(scale: int) -> None:
    module, small = build_module(scale), pattern(1, 3, 12, 16)
    with torch.inference_mode():
        for layer in (module.conv1, module.conv2, module.conv3):
            layer.weight.zero_()
            layer.bias.zero_()
            for i in range(3):
                layer.weight[i, i, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = 1
        module.conv1.bias += 1  # the cubic undershoots 0, which the rectifiers would cut
        module.conv3.bias -= 1
        large = module(small)[0].permute(1, 2, 0)
    wanted = cv2.resize(
        small[0].permute(1, 2, 0).numpy(), None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC
    )
    assert float((large - torch.from_numpy(wanted)).abs().max()) < 1e-4


def test_the_recipe_is_that_of_the_published_file() -> None:
    recipe = SRCNN().recipes()["psnr"]
    assert (recipe.steps, recipe.batch_size, recipe.patch, recipe.pixel) == (1_000_000, 16, 128, "l1")
    assert (recipe.lr, recipe.lr_min, recipe.cosine) == (2e-4, 1e-7, (250_000,) * 4)


@pytest.mark.parametrize("scale", SRCNN.scales)
def test_patches_are_whole_numbers_of_small_pixels(scale: int) -> None:
    assert SRCNN(scale=scale).recipes()["psnr"].patch % scale == 0


def test_another_factor_is_refused() -> None:
    with pytest.raises(OptionError, match="2, 3, 4, 8, 16, not by 5"):
        SRCNN(scale=5, weights="random").check_parameters()
