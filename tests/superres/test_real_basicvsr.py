from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from microexp.errors import OptionError
from microexp.superres.real_basicvsr import RealBasicVSR, RealBasicVSRModule, build_module
from tests.superres.golden import assert_golden, filled, pattern, without_bilinear


def small_that_adds(levels: float, threshold: float) -> RealBasicVSRModule:
    """A network whose cleaning adds so many grey levels to every pixel."""
    module = RealBasicVSRModule(8, 1, 1, threshold).eval()
    for parameter in module.image_cleaning.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(module.image_cleaning[1].bias, levels / 255)  # type: ignore[arg-type]
    return module


def test_counts_are_the_published_ones() -> None:
    module = build_module()
    assert sum(p.numel() for p in module.parameters()) == 6_294_834
    assert len(module.state_dict()) == 320


def test_golden_outputs() -> None:
    frames = pattern(1, 3, 3, 64, 64)
    with torch.inference_mode():
        large = filled(build_module(threshold=255))(frames)
    assert_golden(
        without_bilinear(large.flatten(0, 1), frames.flatten(0, 1)),
        -0.085062354,
        0.0780168,
        -0.011674758,
        -0.12671128,
        -0.033962756,
    )


@pytest.mark.parametrize(
    ("levels", "threshold", "times"), [(4, 5, 1), (-4, 5, 1), (6, 5, 3), (-6, 5, 3), (100, 255, 1), (1, 0, 3)]
)
def test_cleaning_goes_on_while_it_changes_much(levels: float, threshold: float, times: int) -> None:
    module, frames = small_that_adds(levels, threshold), pattern(1, 2, 3, 8, 8)
    with torch.inference_mode():
        assert torch.allclose(module.cleaned(frames), frames + times * levels / 255, atol=1e-6)
        module.train()
        assert torch.allclose(module.cleaned(frames), frames + levels / 255, atol=1e-6)


def test_cleaned_frames_are_what_is_enlarged() -> None:
    module, frames = small_that_adds(20, 5), pattern(1, 2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(module(frames), module.basicvsr(frames + 60 / 255), atol=1e-5)


def test_training_checkpoints_are_understood() -> None:
    state = RealBasicVSRModule(8, 1, 1).state_dict()
    running = {f"generator_ema.{k}": v for k, v in state.items()}
    other = {f"generator.{k}": v + 1 for k, v in state.items()} | {"discriminator.conv_0.bias": torch.ones(1)}
    found = RealBasicVSR().canonical({"step_counter": torch.zeros(1), **running, **other})
    assert found.keys() == state.keys()
    assert all(torch.equal(found[k], state[k]) for k in state)


def test_the_discriminator_is_that_of_real_esrgan() -> None:
    with torch.device("meta"):
        module = RealBasicVSR().discriminator(256)
    assert sum(p.numel() for p in module.parameters()) == 4_376_897


def test_spynet_is_not_trained() -> None:
    names = [n for n, _ in RealBasicVSRModule(8, 1, 1).named_parameters() if "spynet" in n]
    for recipe in RealBasicVSR().recipes().values():
        ((prefix, steps),) = recipe.frozen.items()
        assert steps >= recipe.steps
        assert len(names) == 60
        assert all(name.startswith(prefix) for name in names)


def test_a_threshold_below_zero_is_refused() -> None:
    with pytest.raises(OptionError, match="threshold"):
        RealBasicVSR(weights="random", threshold=-1).upscale(np.zeros((8, 8, 3), np.uint8))


def test_every_parameter_has_a_gradient() -> None:
    module = RealBasicVSRModule(8, 1, 1).train()
    module(pattern(1, 3, 3, 16, 16)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
