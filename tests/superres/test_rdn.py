from __future__ import annotations

import pytest
import torch

from microexp import superres
from microexp.errors import OptionError, UnknownNameError
from microexp.superres.rdn import RDN, ResidualDenseBlock, build_module
from tests.superres.golden import assert_golden, filled, pattern


@pytest.mark.parametrize(
    ("scale", "count", "tensors"), [(2, 22_123_395, 300), (3, 22_308_035, 300), (4, 22_271_107, 302)]
)
def test_counts_are_the_published_ones(scale: int, count: int, tensors: int) -> None:
    with torch.device("meta"):
        module = build_module(scale)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == tensors


@pytest.mark.parametrize(
    ("scale", "figures"),
    [
        (2, (-0.0013791036, 0.0149525, 0.0072912788, 0.0011125578, 0.016097695)),
        (3, (-0.019653198, 0.0611833, 0.054788951, 0.05349407, -0.017580429)),
        (4, (0.0058348518, 0.00228544, 0.0045302925, 0.0072963485, 0.0097785834)),
    ],
)
def test_golden_outputs(scale: int, figures: tuple[float, ...]) -> None:
    with torch.inference_mode():
        assert_golden(filled(build_module(scale))(pattern(1, 3, 16, 16)), *figures)


def test_names_are_those_of_published_files() -> None:
    names = build_module(4, channels=4, blocks=2, layers=2, growth=4).state_dict().keys()
    modules = {name.rpartition(".")[0] for name in names}
    blocks = {f"rdbs.{n}.{part}" for n in (0, 1) for part in ("layers.0.conv", "layers.1.conv", "lff")}
    assert modules == blocks | {"sfe1", "sfe2", "gff.0", "gff.1", "upscale.0", "upscale.2", "output"}


@pytest.mark.parametrize(
    ("preset", "settings", "count"),  # counted in the published model.json
    [
        ("idealo_small", {}, 2_619_635),
        ("upscalerjs_medium", {"scale": 4}, 704_611),
        ("upscalerjs_slim", {"scale": 3}, 226_815),
    ],
)
def test_counts_of_the_presets_are_the_published_ones(
    preset: str, settings: dict[str, int], count: int
) -> None:
    with torch.device("meta"):
        module = superres.create("rdn", preset, **settings).build()
    assert sum(p.numel() for p in module.parameters()) == count


@pytest.mark.parametrize("scale", RDN.scales)
def test_the_other_upsampler_repeats_pixels_before_the_last_convolution(scale: int) -> None:
    module = build_module(scale, channels=4, blocks=1, layers=1, growth=4, upsampler="nearest")
    torch.nn.init.dirac_(module.output.weight)  # so that the last convolution copies
    torch.nn.init.zeros_(module.output.bias)
    with torch.inference_mode():
        large = module(torch.rand(1, 3, 5, 6))
    assert large.shape == (1, 3, 5 * scale, 6 * scale)
    corners = large[..., ::scale, ::scale]
    assert torch.equal(corners.repeat_interleave(scale, 2).repeat_interleave(scale, 3), large)
    assert len(corners.unique()) > 5


def test_an_upsampler_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownNameError, match="upsampler of RDN 'neares'. Did you mean 'nearest'"):
        RDN(upsampler="neares", weights="random").check_parameters()
    with pytest.raises(UnknownNameError, match="upsampler of RDN"):
        build_module(upsampler="")


def test_a_prefix_is_taken_off() -> None:
    state = build_module(2, channels=4, blocks=1, layers=1, growth=4).state_dict()
    assert RDN(scale=2).canonical({f"generator.{k}": v for k, v in state.items()}).keys() == state.keys()


def test_a_block_whose_fusion_is_nought_is_the_identity() -> None:
    block, x = ResidualDenseBlock(channels=4, layers=3, growth=2), torch.randn(2, 4, 6, 5)
    with torch.inference_mode():
        block.lff.weight.zero_()
        block.lff.bias.zero_()
        assert torch.equal(block(x), x)


def test_a_block_fuses_its_input_with_what_every_layer_adds() -> None:
    block = ResidualDenseBlock(channels=4, layers=3, growth=2)
    seen = block.layers(torch.randn(1, 4, 6, 5))
    assert seen.shape == (1, 4 + 3 * 2, 6, 5)
    assert float(seen[:, 4:].detach().min()) >= 0


@pytest.mark.parametrize(("scale", "patch"), [(2, 64), (3, 96), (4, 128)])
def test_the_recipe_is_that_of_the_published_files(scale: int, patch: int) -> None:
    recipe = RDN(scale=scale).recipes()["psnr"]
    assert (recipe.steps, recipe.batch_size, recipe.patch, recipe.pixel) == (1_000_000, 16, patch, "l1")
    assert (recipe.lr, recipe.cosine) == (1e-4, ())
    assert recipe.halve_at == (200_000, 400_000, 600_000, 800_000)


@pytest.mark.parametrize("scale", [1, 5, 8])
def test_another_factor_is_refused(scale: int) -> None:
    with pytest.raises(OptionError, match=f"2, 3, 4, not by {scale}"):
        RDN(scale=scale, weights="random").check_parameters()
