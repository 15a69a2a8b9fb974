from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from microexp import superres
from microexp.errors import OptionError
from microexp.superres._edvr import EDVR_ALIASES, EDVRFeatures, PCDAlignment, TSAFusion
from microexp.superres._layers import enlarged
from microexp.superres.edvr import EDVR, build_module, neighbours
from tests.superres.golden import assert_golden, filled, pattern, without_bilinear

# BasicSR's names, and mmagic's, of what differs.
OTHER_NAMES = {
    "conv_l2_1": "feat_l2_conv1.conv",
    "conv_l2_2": "feat_l2_conv2.conv",
    "conv_l3_1": "feat_l3_conv1.conv",
    "conv_l3_2": "feat_l3_conv2.conv",
    **{
        f"pcd_align.{name}": f"pcd_alignment.{name}.conv"
        for name in (
            *(f"offset_conv{i}.l{level}" for i in (1, 2) for level in (1, 2, 3)),
            *(f"{part}.l{level}" for part in ("offset_conv3", "feat_conv") for level in (1, 2)),
            "cas_offset_conv1",
            "cas_offset_conv2",
        )
    },
    **{
        f"pcd_align.{name}": f"pcd_alignment.{name}"
        for name in (
            *(f"dcn_pack.l{level}" for level in (1, 2, 3)),
            *(f"dcn_pack.l{level}.conv_offset" for level in (1, 2, 3)),
            "cas_dcnpack",
            "cas_dcnpack.conv_offset",
        )
    },
    **{
        f"fusion.{name}": f"fusion.{name}.conv"
        for name in (
            "feat_fusion",
            *(f"spatial_attn{i}" for i in (1, 2, 3, 4)),
            *(f"spatial_attn_l{i}" for i in (1, 2, 3)),
            "spatial_attn_add1",
        )
    },
    "upconv1": "upsample1.upsample_conv",
    "upconv2": "upsample2.upsample_conv",
}


def small(**params: object) -> EDVR:
    sizes = {"channels": 8, "deform_groups": 2, "extraction_blocks": 1, "reconstruction_blocks": 1}
    return EDVR(**{"weights": "random", **sizes, **params})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("preset", "count", "tensors"),
    [
        (None, 3_300_131, 144),
        ("no_tsa", 2_996_259, 120),
        ("large", 20_633_827, 264),
    ],
)
def test_counts_are_the_published_ones(preset: str | None, count: int, tensors: int) -> None:
    with torch.device("meta"):
        module = superres.create("edvr", preset).build()
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == tensors


@pytest.mark.parametrize(
    ("tsa", "figures"),
    [
        (True, (0.006737574, 0.00151726, 0.0052985549, 0.0074359179, 0.0089792162)),
        (False, (0.0070373192, 0.00145595, 0.0052394867, 0.0075346231, 0.0088144988)),
    ],
)
def test_golden_outputs(tsa: bool, figures: tuple[float, ...]) -> None:
    frames = pattern(1, 5, 3, 32, 32)
    with torch.inference_mode():
        output = filled(build_module(tsa=tsa))(frames)
    assert_golden(without_bilinear(output, frames[:, 2]), *figures)


@pytest.mark.parametrize("tsa", [True, False])
def test_names_of_the_other_code_base_are_understood(tsa: bool) -> None:
    upscaler = small(tsa=tsa)
    state = upscaler.build().state_dict()
    theirs = {ours: name for name, ours in OTHER_NAMES.items()}
    other = {}
    for key, value in state.items():
        layer, part = key.rsplit(".", 1)
        other[f"{theirs.get(layer, layer)}.{part}"] = value
    assert len(other.keys() - state.keys()) == 2 * (len(OTHER_NAMES) - (0 if tsa else 9))
    assert not any(".conv." in key or "pcd_alignment" in key for key in other)
    found = upscaler.canonical(other)
    assert found.keys() == state.keys()
    assert all(found[key] is value for key, value in state.items())
    assert upscaler.canonical({f"generator.{k}": v for k, v in state.items()}).keys() == state.keys()


def test_features_are_the_network_without_reconstruction() -> None:
    state = EDVRFeatures(8, 7, 2, 1).state_dict()
    network = build_module(8, 7, 2, 1, 1).state_dict()
    rest = ("reconstruction.", "upsample1.", "upsample2.", "conv_hr.", "conv_last.")
    assert [k for k in network if not k.startswith(rest)] == list(state)
    renamed = [f"edvr.{key}" for key in state]
    for ours, theirs in ((v, k) for k, v in OTHER_NAMES.items()):
        renamed = [
            re.sub(rf"^edvr\.{re.escape(ours)}\.(weight|bias)$", rf"edvr.{theirs}.\1", k) for k in renamed
        ]
    assert "edvr.pcd_align.feat_conv.l2.weight" in renamed
    for pattern_, replacement in EDVR_ALIASES:
        renamed = [re.sub(pattern_, replacement, key) for key in renamed]
    assert renamed == [f"edvr.{key}" for key in state]


@pytest.mark.parametrize("frames", [3, 7])
def test_features_of_another_number_of_frames(frames: int) -> None:
    features = EDVRFeatures(8, frames, 2, 1)
    assert features(torch.rand(2, frames, 3, 8, 12)).shape == (2, 8, 8, 12)


def test_every_parameter_is_trained() -> None:
    module = small().build()
    module(torch.rand(1, 5, 3, 8, 8)).sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None] == []


def zeroed(module: Any) -> Any:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def connect(layer: Any, value: float = 1, shift: int = 0) -> None:
    """Let a convolution hand its channels on, from the `shift`-th on, times a value."""
    weight = layer.conv.weight if hasattr(layer, "conv") else layer.weight
    for channel in range(weight.shape[0]):
        weight.data[channel, channel + shift, weight.shape[2] // 2, weight.shape[3] // 2] = value


def alignment() -> Any:
    """Return an alignment of 2 channels that moves nothing and hands on what level 1 has."""
    pcd = zeroed(PCDAlignment(2, 1))
    connect(pcd.dcn_pack["l1"], 2)  # the mask is 1/2
    connect(pcd.feat_conv["l1"])
    connect(pcd.cas_dcnpack, 2)
    return pcd


def levels() -> list[Tensor]:
    return [torch.rand(1, 2, 16 // 2**i, 24 // 2**i) for i in range(3)]


def look_where_told(pack: Any) -> None:
    """Let a pack take dy and dx from the two channels of the other map."""
    pack.conv_offset.weight.data[:18:2, 0, 1, 1] = 1
    pack.conv_offset.weight.data[1:18:2, 1, 1, 1] = 1


def test_aligned_features_are_rectified_once_at_the_end() -> None:
    pcd, frame = alignment(), levels()
    connect(pcd.feat_conv["l1"], -1)
    torch.testing.assert_close(pcd(frame, levels()), -0.1 * frame[0])


def test_offsets_double_from_level_to_level() -> None:
    pcd, frame = alignment(), levels()
    pcd.offset_conv2["l3"].conv.bias.data = torch.tensor([0.5, 0.75])
    for level in ("l2", "l1"):
        connect(pcd.offset_conv2[level], shift=2)
        connect(pcd.offset_conv3[level])
    look_where_told(pcd.dcn_pack["l1"])
    inner = (..., slice(2, -4), slice(2, -4))  # away from the border, which the offsets' convolutions see
    moved = F.pad(frame[0], (0, 3, 0, 2))[..., 2:, 3:]
    torch.testing.assert_close(pcd(frame, levels())[inner], moved[inner], atol=1e-5, rtol=0)


def test_features_of_coarse_levels_are_enlarged() -> None:
    pcd, frame = alignment(), levels()
    connect(pcd.dcn_pack["l3"], 2)
    connect(pcd.feat_conv["l1"], 0)
    for level in ("l2", "l1"):
        connect(pcd.feat_conv[level], shift=2)
    wanted = frame[2]
    for _ in range(2):
        wanted = F.interpolate(wanted, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(pcd(frame, levels()), wanted)


def test_what_is_aligned_is_moved_once_more_by_the_middle_frame() -> None:
    pcd, frame, middle = alignment(), levels(), levels()
    middle[0] = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1).expand_as(frame[0])
    connect(pcd.cas_offset_conv1, shift=2)
    connect(pcd.cas_offset_conv2)
    look_where_told(pcd.cas_dcnpack)
    moved = F.pad(frame[0], (0, 2, 0, 1))[..., 1:, 2:]
    torch.testing.assert_close(pcd(frame, middle), moved, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
@pytest.mark.parametrize("deep", [False, True])
def test_attention_looks_at_maxima_and_means_of_two_scales(pool: Any, deep: bool) -> None:
    fusion = zeroed(TSAFusion(2, 3))
    shift = 0 if pool is F.max_pool2d else 2
    fusion.feat_fusion.conv.bias.data += 1
    connect(fusion.spatial_attn1)
    connect(fusion.spatial_attn2, shift=shift)
    connect(fusion.spatial_attn_l2, shift=shift)
    path = ("spatial_attn_l1", "spatial_attn_l3") if deep else ("spatial_attn3",)
    for name in (*path, "spatial_attn4", "spatial_attn5"):
        connect(getattr(fusion, name))
    aligned = torch.rand(1, 3, 2, 8, 12)
    wanted = pool(aligned[:, 0] / 2, 3, 2, 1)
    if deep:
        wanted = enlarged(pool(wanted, 3, 2, 1), 2)
    torch.testing.assert_close(fusion(aligned), 2 * enlarged(wanted, 2).sigmoid())


def test_frames_count_by_their_likeness_to_the_middle_one() -> None:
    fusion = zeroed(TSAFusion(2, 3))
    connect(fusion.temporal_attn1)
    connect(fusion.temporal_attn2, 3)
    connect(fusion.feat_fusion, shift=4)
    aligned = torch.rand(1, 3, 2, 8, 12)
    likeness = (3 * aligned[:, 1] * aligned[:, 2]).sum(dim=1, keepdim=True).sigmoid()
    torch.testing.assert_close(fusion(aligned), likeness * aligned[:, 2])


def test_without_attention_frames_count_half_and_positions_one() -> None:
    fusion = TSAFusion(4, 3)
    for name, parameter in fusion.named_parameters():
        if not name.startswith("feat_fusion"):
            nn.init.zeros_(parameter)
    aligned = torch.rand(2, 3, 4, 8, 8)
    wanted = F.leaky_relu(fusion.feat_fusion.conv(aligned.flatten(1, 2) / 2), 0.1)
    torch.testing.assert_close(fusion(aligned), wanted)


@pytest.mark.parametrize(
    ("index", "count", "wanted"),
    [
        (0, 7, [4, 3, 0, 1, 2]),
        (1, 7, [4, 0, 1, 2, 3]),
        (3, 7, [1, 2, 3, 4, 5]),
        (5, 7, [3, 4, 5, 6, 2]),
        (6, 7, [4, 5, 6, 3, 2]),
        (2, 5, [0, 1, 2, 3, 4]),
    ],
)
def test_missing_neighbours_come_from_the_other_side(index: int, count: int, wanted: list[int]) -> None:
    assert neighbours(index, count) == wanted


@given(count=st.integers(5, 40), index=st.integers(0, 39))
def test_neighbours_are_different_frames_around_the_middle(count: int, index: int) -> None:
    index %= count
    window = neighbours(index, count)
    assert window[2] == index
    assert len(set(window)) == 5
    assert all(0 <= i < count and abs(i - index) <= 4 for i in window)


class Mixer(nn.Module):
    """Five frames weighted, enlarged; stands for the network."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([0.4, 0.25, 0.2, 0.1, 0.05]))

    def forward(self, x: Tensor) -> Tensor:
        mixed = (x * self.weights.view(1, 5, 1, 1, 1)).sum(dim=1)
        return F.interpolate(mixed, scale_factor=4)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 20), window=st.integers(1, 7), seed=st.integers(0, 100))
def test_windows_with_the_default_margin_equal_the_whole_clip(length: int, window: int, seed: int) -> None:
    clip = np.random.default_rng(seed).integers(0, 256, (length, 4, 4, 3), dtype=np.uint8)
    upscaler, whole = EDVR(weights="random", window=window), EDVR(weights="random", window=100)
    upscaler.module = whole.module = Mixer  # type: ignore[method-assign]
    assert np.array_equal(upscaler.upscale(clip), whole.upscale(clip))


def test_each_frame_is_the_network_s_result_for_its_neighbours() -> None:
    upscaler = small()
    upscaler.module().conv_last.weight.data *= 1000  # so that neighbours matter by more than rounding
    clip = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    large = upscaler.upscale(clip)
    pictures = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255
    for index, window in ((0, [4, 3, 0, 1, 2]), (3, [1, 2, 3, 4, 5])):
        with torch.inference_mode():
            wanted = upscaler.module()(pictures[window][None])[0].clamp(0, 1) * 255
            others = upscaler.module()(pictures[[index] * 5][None])[0].clamp(0, 1) * 255
        found = torch.from_numpy(large[index]).permute(2, 0, 1).float()
        assert (found - wanted).abs().max() <= 0.51
        assert (found - others).abs().max() > 1


def test_recipes_begin_without_attention_and_then_train_the_fusion_first() -> None:
    assert list(small(tsa=False).recipes()) == ["no_tsa"]
    recipes = small().recipes()
    assert [recipe.start for recipe in recipes.values()] == ["no_tsa"]
    frozen = tuple(recipes["tsa"].frozen)
    for name in small().build().state_dict():
        assert name.startswith(frozen) != name.startswith("fusion.")


@pytest.mark.parametrize(("channels", "groups"), [(8, 3), (8, 0), (0, 1)])
def test_channels_that_cannot_be_grouped_are_refused(channels: int, groups: int) -> None:
    with pytest.raises(OptionError, match="multiple of deform_groups"):
        small(channels=channels, deform_groups=groups).upscale(np.zeros((8, 8, 3), np.uint8))
