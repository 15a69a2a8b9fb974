from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from microexp.errors import OptionError
from microexp.networks.warp import flow_warp
from microexp.superres.basicvsr_pp import BasicVSRPP, BasicVSRPPModule, FlowGuidedAlignment, build_module
from tests.superres.golden import assert_golden, filled, pattern, without_bilinear

CHANNELS = 8


def small() -> BasicVSRPPModule:
    torch.manual_seed(0)
    return BasicVSRPPModule(CHANNELS, blocks=1).eval()


def alignment_of_centre_taps() -> FlowGuidedAlignment:
    """Each output channel is the sum of that channel of the last two steps, at the centre of the kernel."""
    align = FlowGuidedAlignment(CHANNELS)
    nn.init.zeros_(align.weight)
    for channel in range(CHANNELS):
        align.weight.data[channel, [channel, CHANNELS + channel], 1, 1] = 1
    return align


@pytest.mark.parametrize(
    ("channels", "blocks", "count", "tensors"), [(64, 7, 7_322_927, 274), (128, 25, 43_780_463, 562)]
)
def test_counts_are_the_published_ones(channels: int, blocks: int, count: int, tensors: int) -> None:
    with torch.device("meta"):
        module = build_module(channels, blocks)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == tensors


def test_golden_outputs() -> None:
    frames = pattern(1, 3, 3, 64, 64)
    with torch.inference_mode():
        large = filled(build_module())(frames)
    assert_golden(
        without_bilinear(large.flatten(0, 1), frames.flatten(0, 1)),
        0.003923642,
        0.00261791,
        0.00052434485,
        0.0041781515,
        0.0065960139,
    )


def test_names_of_both_code_bases() -> None:
    theirs = {
        "upconv1.weight": "upsample1.upsample_conv.weight",
        "spynet.basic_module.3.basic_module.6.bias": "spynet.basic_module.3.basic_module.3.conv.bias",
        "feat_extract.main.0.weight": "feat_extract.main.0.weight",
        "deform_align.backward_1.weight": "deform_align.backward_1.weight",
        "deform_align.forward_2.conv_offset.6.bias": "deform_align.forward_2.conv_offset.6.bias",
        "backbone.forward_1.main.2.0.conv2.weight": "backbone.forward_1.main.2.0.conv2.weight",
        "reconstruction.main.2.4.conv1.bias": "reconstruction.main.2.4.conv1.bias",
    }
    assert set(theirs.values()) <= small().state_dict().keys()
    assert list(BasicVSRPP().canonical({key: torch.zeros(1) for key in theirs})) == list(theirs.values())


def test_untrained_alignment_is_half_the_warp_along_the_flow() -> None:
    generator = torch.Generator().manual_seed(1)
    current, last, before = torch.rand(3, 1, CHANNELS, 9, 11, generator=generator).unbind(0)
    flow, flow_of_last = (torch.rand(2, 1, 2, 9, 11, generator=generator) * 4 - 2).unbind(0)
    further = flow + flow_warp(flow_of_last, flow)
    align = alignment_of_centre_taps()
    with torch.inference_mode():
        one = align(current, [last], [flow])
        two = align(current, [last, before], [flow, flow_of_last])
    assert torch.allclose(one, flow_warp(last, flow) / 2, atol=1e-5)
    assert torch.allclose(two, (flow_warp(last, flow) + flow_warp(before, further)) / 2, atol=1e-5)


def test_offsets_leave_the_flow_by_ten_pixels_at_most() -> None:
    align = alignment_of_centre_taps()
    nn.init.constant_(align.conv_offset[-1].bias, 1e4)  # type: ignore[arg-type]
    last = torch.rand(1, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(2))
    still = torch.zeros(1, 2, 16, 16)
    with torch.inference_mode():
        moved = align(torch.zeros_like(last), [last], [still])
    assert torch.allclose(moved[..., :6, :6], last[..., 10:, 10:], atol=1e-5)
    assert moved[..., 6:, :].abs().max() == 0
    assert moved[..., 6:].abs().max() == 0


def test_clips_of_a_batch_do_not_mix() -> None:
    module, frames = small(), torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        apart = torch.cat([module(clip[None]) for clip in frames])
        assert torch.allclose(module(frames), apart, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_any_length(length: int) -> None:
    with torch.inference_mode():
        large = small()(pattern(1, length, 3, 20, 12))
    assert large.shape == (1, length, 3, 80, 48)
    assert large.isfinite().all()


@pytest.mark.parametrize("changed", [0, 3])
def test_every_frame_depends_on_every_other(changed: int) -> None:
    module, frames = small(), pattern(1, 4, 3, 16, 16)
    other = frames.clone()
    other[:, changed] = 1 - other[:, changed]
    with torch.inference_mode():
        differences = (module(frames) - module(other)).abs().amax(dim=(0, 2, 3, 4))
    assert (differences > 1e-6).all()


def test_channels_that_do_not_fall_into_groups_are_refused() -> None:
    with pytest.raises(OptionError, match="multiple of 8"):
        BasicVSRPP(weights="random", channels=12).upscale(np.zeros((8, 8, 3), np.uint8))


def test_what_the_recipe_slows_and_freezes_exists() -> None:
    names = list(small().state_dict())
    recipe = BasicVSRPP().recipes()["psnr"]
    for prefix in (*recipe.slow, *recipe.frozen):
        assert any(name.startswith(prefix) for name in names)


def test_every_parameter_has_a_gradient() -> None:
    module = small().train()
    module(pattern(1, 3, 3, 16, 16)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
