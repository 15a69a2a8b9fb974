from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from microexp.errors import OptionError, WeightsError
from microexp.superres._stylegan2 import StyleGAN2Generator
from microexp.superres.glean import GLEAN, GLEANModule, build_module
from microexp.weights import write_weights
from tests.superres.golden import assert_golden, filled, pattern

TINY = {"channels": 8, "blocks": 1, "growth": 4, "bank_channels": 16}


@pytest.mark.parametrize(
    ("in_size", "out_size", "count", "tensors"),
    [
        (64, 1024, 175_516_723, 919),
        (128, 1024, 174_196_615, 925),
        (32, 256, 162_479_861, 873),
        (16, 256, 171_903_649, 867),
    ],
)
def test_counts_are_the_published_ones(in_size: int, out_size: int, count: int, tensors: int) -> None:
    with torch.device("meta"):
        module = build_module(out_size // in_size, in_size)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == tensors


@pytest.mark.parametrize(
    ("in_size", "figures"),
    [
        (16, (-0.0090997635, 0.000365697, -0.0088173244, -0.009456818, -0.0095381113)),
        (32, (0.0097170223, 0.000373174, 0.0095189409, 0.010261264, 0.0089308061)),
    ],
)
def test_golden_outputs(in_size: int, figures: tuple[float, ...]) -> None:
    module = filled(build_module(256 // in_size, in_size))
    with torch.inference_mode():
        enlarged = module(pattern(1, 3, in_size, in_size))
    assert_golden(2 * enlarged - 1, *figures)  # the original's range is [-1, 1]


def tiny(in_size: int = 16, scale: int = 2) -> GLEANModule:
    torch.manual_seed(0)
    return build_module(scale, in_size, **TINY)


def test_the_bank_is_not_trained_and_the_rest_learns() -> None:
    module = tiny()
    small, large = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 32, 32)
    bank = {k: v.clone() for k, v in module.generator.state_dict().items()}
    optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(25):
        loss = (module(small) - large).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(v, bank[k]) for k, v in module.generator.state_dict().items())


def test_encoder_reaches_the_result_through_styles_and_through_features() -> None:
    module = tiny()
    module(torch.rand(1, 3, 16, 16)).sum().backward()
    unused = {name.split(".")[0] for name, p in module.named_parameters() if p.grad is None}
    assert unused == {"generator", "fusion_skip"}
    assert float(module.encoder[-1][3].weight.grad.abs().sum()) > 0


def test_a_bank_is_read_from_a_generator_s_file(tmp_path: Path) -> None:
    bank = StyleGAN2Generator(32, channels=16)
    file = tmp_path / "bank.safetensors"
    write_weights(file, {f"generator_ema.{k}": v for k, v in bank.state_dict().items()}, {})
    module = GLEAN(scale=2, in_size=16, bank=file, **TINY).build()
    found = module.generator.state_dict()
    assert all(torch.equal(found[k], v) for k, v in bank.state_dict().items())
    with pytest.raises(WeightsError, match=r"bank\.safetensors"):
        GLEAN(scale=4, in_size=16, bank=file, **TINY).build()


def upscaler(**params: object) -> GLEAN:
    return GLEAN(**{"scale": 2, "in_size": 16, "weights": "random", "device": "cpu", **TINY, **params})


def test_smaller_pictures_are_continued_by_their_edge() -> None:
    face = np.random.default_rng(0).integers(0, 256, (10, 13, 3), dtype=np.uint8)
    whole = np.pad(face, ((0, 6), (0, 3), (0, 0)), mode="edge")
    assert np.array_equal(upscaler().upscale(face), upscaler().upscale(whole)[:20, :26])


def test_larger_pictures_are_cut_into_parts_of_the_size() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    whole = upscaler(overlap=0).upscale(picture)
    halves = [upscaler().upscale(picture[:, i : i + 16]) for i in (0, 16)]
    assert np.array_equal(whole, np.concatenate(halves, axis=1))


@pytest.mark.parametrize("overlap", [0, 3, 16, 100])
def test_parts_with_any_overlap_fit(overlap: int) -> None:
    picture = np.zeros((37, 21, 3), np.uint8)
    assert upscaler(overlap=overlap).upscale(picture).shape == (74, 42, 3)


def test_a_weight_file_decides_the_size_of_the_parts(tmp_path: Path) -> None:
    file = tmp_path / "glean.safetensors"
    made = upscaler(in_size=32)
    write_weights(file, made.module().state_dict(), made.description())
    face = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(GLEAN(scale=2, weights=file, device="cpu").upscale(face), made.upscale(face))


@pytest.mark.parametrize(("in_size", "scale"), [(24, 4), (128, 16), (256, 2)])
def test_sizes_that_do_not_exist_are_refused(in_size: int, scale: int) -> None:
    with pytest.raises(OptionError, match="in_size"):
        upscaler(in_size=in_size, scale=scale).upscale(np.zeros((16, 16, 3), np.uint8))


def test_the_network_itself_takes_one_size_only() -> None:
    with pytest.raises(OptionError, match="16 x 16, not of 16 x 24"):
        tiny()(torch.rand(1, 3, 16, 24))


def test_the_discriminator_takes_what_the_network_gives() -> None:
    made = upscaler()
    with torch.inference_mode():
        logits = made.discriminator(32)(made.build()(torch.rand(2, 3, 16, 16)))
    assert logits.shape == (2, 1)
