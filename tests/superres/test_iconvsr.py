from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.superres.iconvsr import IconVSR, IconVSRModule, build_module
from tests.superres.golden import assert_golden, filled, pattern, without_bilinear


@pytest.mark.parametrize(("padding", "count"), [(2, 8_694_991), (3, 8_711_375)])
def test_counts_are_the_published_ones(padding: int, count: int) -> None:
    with torch.device("meta"):
        module = build_module(padding=padding)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == 414


def test_golden_outputs() -> None:
    frames = pattern(1, 5, 3, 64, 64)
    with torch.inference_mode():
        large = filled(build_module())(frames)
    assert_golden(
        without_bilinear(large.flatten(0, 1), frames.flatten(0, 1)),
        0.0073700292,
        0.00139576,
        0.005752177,
        0.0078983307,
        0.0089083314,
    )


def test_names_of_the_other_code_base_are_understood() -> None:
    theirs = {
        "backward_trunk.main.0.weight": "backward_resblocks.main.0.weight",
        "forward_fusion.weight": "forward_fusion.weight",
        "upconv2.weight": "upsample2.upsample_conv.weight",
        "spynet.basic_module.1.basic_module.4.weight": "spynet.basic_module.1.basic_module.2.conv.weight",
        "edvr.conv_first.weight": "edvr.conv_first.weight",
        "edvr.conv_l2_1.weight": "edvr.feat_l2_conv1.conv.weight",
        "edvr.conv_l3_2.bias": "edvr.feat_l3_conv2.conv.bias",
        "edvr.pcd_align.offset_conv1.l3.weight": "edvr.pcd_alignment.offset_conv1.l3.conv.weight",
        "edvr.pcd_align.dcn_pack.l2.conv_offset.weight": "edvr.pcd_alignment.dcn_pack.l2.conv_offset.weight",
        "edvr.pcd_align.cas_dcnpack.bias": "edvr.pcd_alignment.cas_dcnpack.bias",
        "edvr.fusion.feat_fusion.weight": "edvr.fusion.feat_fusion.conv.weight",
        "edvr.fusion.temporal_attn1.weight": "edvr.fusion.temporal_attn1.weight",
    }
    assert set(theirs.values()) <= IconVSRModule(8, 1).state_dict().keys()
    renamed = IconVSR().canonical({key: torch.zeros(1) for key in theirs})
    assert list(renamed) == list(theirs.values())


@pytest.mark.parametrize(
    ("padding", "wanted"),
    [
        (2, {0: [4, 3, 0, 1, 2], 5: [3, 4, 5, 6, 3], 6: [4, 5, 6, 3, 2]}),
        (3, {0: [6, 5, 4, 0, 1, 2, 3], 5: [2, 3, 4, 5, 6, 2, 1], 6: [3, 4, 5, 6, 2, 1, 0]}),
    ],
)
def test_key_frames_see_the_frames_of_the_original(padding: int, wanted: dict[int, list[int]]) -> None:
    class Seen(nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            return frames[0, :, 0, 0, 0]

    module = IconVSRModule(8, 1, padding=padding)
    module.edvr = Seen()  # type: ignore[assignment]
    frames = torch.arange(7.0).view(1, 7, 1, 1, 1).expand(1, 7, 3, 4, 4)
    found = {key: [int(i) for i in seen] for key, seen in module.key_features(frames).items()}
    assert found == wanted


@pytest.mark.parametrize("padding", [2, 3])
def test_a_short_clip_is_played_there_and_back(padding: int) -> None:
    upscaler = IconVSR(weights="random", channels=8, blocks=1, padding=padding)
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    longer = frames[[0, 1, 2, 1, 0, 1, 2][: 2 * padding + 1]]
    assert np.array_equal(upscaler.upscale(frames), upscaler.upscale(longer)[:3])


def test_a_clip_of_just_enough_frames_is_not_continued() -> None:
    upscaler = IconVSR(weights="random", channels=8, blocks=1)
    frames = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    with torch.inference_mode():
        large = upscaler.module()(torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255)
    levels = (large[0].clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(upscaler.upscale(frames), levels)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"channels": 12}, "channels"),
        ({"keyframe_stride": 0}, "keyframe_stride"),
        ({"padding": 0}, "padding"),
    ],
)
def test_settings_that_no_network_has_are_refused(settings: dict[str, int], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        IconVSR(weights="random", **settings).upscale(np.zeros((8, 8, 3), np.uint8))


def test_what_the_recipe_slows_and_freezes_exists() -> None:
    names = list(IconVSRModule(8, 1).state_dict())
    recipe = IconVSR().recipes()["psnr"]
    assert recipe.frozen.keys() == {"spynet.", "edvr."}
    for prefix in (*recipe.slow, *recipe.frozen):
        assert any(name.startswith(prefix) for name in names)


def test_every_parameter_has_a_gradient() -> None:
    module = IconVSRModule(8, 1).train()
    module(pattern(1, 5, 3, 16, 16)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
