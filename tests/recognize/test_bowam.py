from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from microexp import recognize
from microexp.clip import Clip
from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.recognize._flow_views import (
    ENCODINGS,
    encode_flow,
    flow_source,
    keep_main_direction,
    shifted_apexes,
)
from microexp.recognize._frequency import EnergyGate, frequency_unit, low_pass
from microexp.recognize.bowam import BOWAM, build_module
from tests.contracts.test_recognize import moving_clip

TINY = {"dims": (8, 16), "depths": (1, 1)}


# The network: what is published of it


def counted(**options: Any) -> tuple[int, float]:
    """Parameters, and giga multiply-adds of the convolutions and products at 224 pixels."""
    with torch.device("meta"):
        module = build_module(**options).eval()
        images = torch.empty(1, options.get("in_channels", 3), 224, 224)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images)
    return sum(p.numel() for p in module.parameters()), counter.get_total_flops() / 2e9


@pytest.mark.parametrize(
    ("preset", "parameters", "published"),
    [("stages_3", 14_007_345, 3.71), ("paper", 31_475_175, 4.47), ("stages_5", 101_062_941, 7.28)],
)
def test_size_and_cost_are_those_of_table_10(preset: str, parameters: int, published: float) -> None:
    found, cost = counted(**recognize.card("bowam").presets[preset])
    if preset == "stages_5":  # thop, which the paper's figure is counted with, skips this convolution
        cost -= 4 * 768 * 1536 * 7 * 7 / 1e9
    assert found == parameters
    assert cost == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(
    ("options", "parameters"), [({"spatial_kernel": 7}, 31_476_615), ({"in_channels": 6}, 31_479_783)]
)
def test_other_published_sizes(options: dict[str, Any], parameters: int) -> None:
    assert counted(**options)[0] == parameters


@given(st.integers(1, 64), st.sampled_from([4, 8, 16, 32]), st.sampled_from([3, 5, 7]), st.booleans())
@settings(deadline=None, max_examples=25)
def test_parameters_of_a_block_have_a_closed_form(c: int, ratio: int, k: int, shared: bool) -> None:
    with torch.device("meta"):
        module = build_module(
            dims=(c,), depths=(1,), ratio=ratio, spatial_kernel=k, shared_mlp=shared
        ).stages[0]
    hidden = max(1, 3 * c // ratio)
    attention = (1 if shared else 2) * 2 * 3 * c * hidden + 2 * k * k
    expected = 49 * c + c + attention + 2 * c + 2 * c + 8 * c * c + 5 * c + c
    assert sum(p.numel() for p in module.parameters()) == expected


# The network: what it computes


def numpy_wadm(maps: np.ndarray, unit: nn.Module, wavelet: str) -> np.ndarray:
    """Equations 2 to 6 up to the inverse transform, by PyWavelets and NumPy."""
    state = {k: v.numpy() for k, v in unit.state_dict().items()}
    first, second = state["0.channel.of_mean.0.weight"], state["0.channel.of_mean.2.weight"]
    kernel = state["0.spatial.conv.weight"][0]

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    def mlp(x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ first.T, 0) @ second.T

    ll, (lh, hl, hh) = pywt.dwt2(maps, wavelet, mode="periodization")
    high = np.concatenate((lh, hl, hh), axis=1)
    weight = sigmoid(mlp(high.mean((2, 3))) + mlp(high.max((2, 3))))
    lh, hl, hh = np.split(high * weight[:, :, None, None], 3, axis=1)
    summary = np.pad(np.stack((ll.mean(1), ll.max(1)), 1), ((0, 0), (0, 0), (1, 1), (1, 1)))
    h, w = ll.shape[2:]
    attention = sum(
        kernel[c, i, j] * summary[:, c, i : i + h, j : j + w]
        for c in range(2)
        for i in range(3)
        for j in range(3)
    )
    ll = ll * sigmoid(attention)[:, None]
    return pywt.idwt2((ll, (lh, hl, hh)), wavelet, mode="periodization")


@pytest.mark.parametrize("wavelet", ["haar", "db4", "bior2.2", "coif5"])
def test_the_unit_is_its_equations(wavelet: str) -> None:
    unit = frequency_unit(6, wavelet=wavelet, ratio=4).double().eval()
    for parameter in unit.parameters():
        nn.init.normal_(parameter, std=0.5)
    maps = torch.randn(3, 6, 10, 8, dtype=torch.float64)
    attended = torch.from_numpy(numpy_wadm(maps.numpy(), unit, wavelet))
    assert torch.allclose(unit[0](maps), attended, atol=1e-12)
    conv, norm = unit[1], unit[2]
    y = F.conv2d(attended, conv.weight, conv.bias, padding=3, groups=6) / math.sqrt(1 + norm.eps)
    assert torch.allclose(unit(maps), (y * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)).relu())


def test_an_odd_side_is_made_even_and_back() -> None:
    unit = frequency_unit(4)[0]
    maps = torch.randn(2, 4, 7, 15)
    even = unit(F.interpolate(maps, (6, 14), mode="bilinear", align_corners=False))
    assert torch.equal(unit(maps), F.interpolate(even, (7, 15), mode="bilinear", align_corners=False))
    assert torch.allclose(unit(maps[:, :, :1, :1]), unit(maps[:, :, :1, :1].repeat(1, 1, 2, 2))[:, :, :1, :1])


@pytest.mark.parametrize("wavelet", ["haar", "sym5"])
def test_without_attention_the_wavelets_come_and_go(wavelet: str) -> None:
    unit = frequency_unit(4, wavelet=wavelet, channel_attention=False, spatial_attention=False)[0]
    maps = torch.randn(2, 4, 14, 6)
    assert torch.allclose(unit(maps), maps, atol=1e-5)
    assert list(unit.parameters()) == []


@pytest.mark.parametrize("side", [8, 9])
def test_the_fourier_split_is_at_half_the_band(side: int) -> None:
    x = torch.arange(side) / side
    for frequency in range(side // 2 + 1):
        wave = torch.cos(2 * torch.pi * frequency * x).expand(side, side)
        kept = wave if frequency / side <= 0.25 else torch.zeros_like(wave)
        assert torch.allclose(low_pass(wave), kept, atol=1e-5)
        assert torch.allclose(low_pass(wave.T), kept.T, atol=1e-5)
    corner = torch.cos(2 * torch.pi * (side // 4) * (x[:, None] + x))  # sqrt(2) times too high
    assert low_pass(corner).abs().max() < 1e-5


def test_fourier_attention_without_attention_is_the_identity() -> None:
    unit = frequency_unit(3, "fourier", channel_attention=False, spatial_attention=False)[0]
    maps = torch.randn(2, 3, 7, 10)
    assert torch.allclose(unit(maps), maps, atol=1e-6)


def test_the_gate_sees_the_share_of_high_frequencies() -> None:
    unit = EnergyGate(2, ratio=1)
    x = torch.arange(8) / 8
    low, high = (torch.cos(2 * torch.pi * k * x).expand(8, 8) for k in (1, 3))
    maps = torch.stack((low, low + high))[None]  # of equal energy, so half of the second is high
    weight = torch.sigmoid(unit.gate(torch.tensor([[0.0, 0.5]])))
    assert torch.allclose(unit(maps), maps * weight[:, :, None, None], atol=1e-5)
    assert unit(torch.zeros(1, 2, 8, 8)).abs().max() == 0


@pytest.mark.parametrize("frequency", ["wavelet", "fourier", "stfa", "none"])
@pytest.mark.parametrize("wavelet", ["haar", "db4"])
def test_gradients_reach_every_parameter(frequency: str, wavelet: str) -> None:
    torch.manual_seed(1)
    module = build_module(
        dims=(16, 24, 32), depths=(1, 1, 1), layer_scale=1.0, frequency=frequency, wavelet=wavelet, ratio=2
    )
    loss = F.cross_entropy(module(torch.randn(6, 3, 40, 36)), torch.arange(6) % 3)
    loss.backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("size", [240, 224, 100, 32])
def test_any_size_works_that_the_stages_can_shrink(size: int) -> None:
    module = build_module(dims=(4, 8, 8, 8, 8), depths=(1,) * 5).eval()
    assert module(torch.randn(1, 3, size, size)).shape == (1, 3)
    maps = module.stages(module.stem(torch.randn(1, 3, size, size)))
    assert maps.shape == (1, 8, size // 32, size // 32)  # the fifth stage keeps the size


# The input


def test_moved_apexes_stay_between_onset_and_offset() -> None:
    clip = moving_clip(0, 1)
    assert shifted_apexes(clip) == [10, 8, 9, 11, 12]
    assert shifted_apexes(clip.replace(onset=9)) == [10, 10, 10, 11, 12]
    assert shifted_apexes(clip.replace(onset=8, offset=12)) == [10, 9, 9, 11, 11]
    assert shifted_apexes(clip.replace(onset=10, offset=10)) == [10] * 5
    assert shifted_apexes(clip.replace(apex=19, offset=None)) == [19, 17, 18, 20, 20]


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None)
def test_moved_apexes_are_never_the_ends(a: int, b: int, c: int) -> None:
    onset, apex, offset = sorted((a, b, c))
    clip = moving_clip(0, 1, size=8).replace(onset=onset, apex=apex, offset=offset)
    apexes = shifted_apexes(clip)
    assert apexes[0] == apex
    assert all(onset < i < offset or i == apex for i in apexes)
    assert all(abs(i - apex) <= 2 for i in apexes)


def test_views_are_the_flows_of_the_moved_apex() -> None:
    clip, net = moving_clip(2, 3), BOWAM(size=64, encoding="uvs")
    views = net.features([clip])
    assert views.shape == (1, 5, 3, 64, 64)
    alone = BOWAM(size=64, encoding="uvs", apex_shifts=False)
    for view, apex in zip(views[0], (10, 8, 9, 11, 12), strict=True):
        assert np.array_equal(view, alone.features([clip.replace(apex=apex)])[0, 0])
    onset, apex, offset = (clip.key_frame(k) for k in ("onset", "apex", "offset"))
    flow = flow_source("add", None).flow(onset, apex, offset)
    assert np.allclose(views[0, 0, 0], np.clip(flow[..., 0] / 2, -1, 1), atol=1e-6)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("flow", ["add", "multiply", "concat", "traditional", "mdmo"])
def test_every_flow_has_every_encoding(flow: str, encoding: str) -> None:
    net = BOWAM(flow=flow, encoding=encoding, size=32, epochs=1, device="cpu", batch_size=4, **TINY)
    clips = [moving_clip(k % 2, k) for k in range(4)]
    features = net.features(clips)
    assert features.shape == (4, 5, 6 if flow == "concat" else 3, 32, 32)
    assert features.max() <= 1
    assert features.min() >= (-1 if encoding in ("uvs", "uvm") else 0)
    assert net.fit(features, np.arange(4) % 2).predict_proba(features).shape == (4, 2)


def test_orientation_magnitude_strain() -> None:
    """A field u = a x, v = a y / 2 about its centre; strain is the same everywhere, which min-max makes 0."""
    y, x = np.mgrid[-4:5, -4:5].astype(np.float32)
    turn, magnitude, strain = encode_flow(np.stack((x, y / 2), -1), "oms", 9)
    assert turn[4, 8] == 0
    assert turn[8, 4] == pytest.approx(0.25)  # down
    assert turn[4, 0] == pytest.approx(0.5)
    assert turn[0, 4] == pytest.approx(0.75)
    assert magnitude[4, 4] == 0
    assert magnitude[4, 8] == pytest.approx(4 / math.hypot(4, 2))
    assert strain.max() == 0


def test_only_the_main_direction_of_each_cell_is_kept() -> None:
    flow = np.zeros((12, 12, 2), np.float32)
    flow[:6, :6] = (0.1, 0.02)  # 11 degrees: still "right"
    flow[:2, :2] = (0, 5)  # stronger, but fewer
    flow[6:, 6:] = (-1, -1)
    kept = keep_main_direction(flow, cells=2)
    assert (kept[:2, :2] == 0).all()
    assert np.array_equal(kept[2:6, :6], flow[2:6, :6])
    assert np.array_equal(kept[6:, 6:], flow[6:, 6:])
    lone = np.zeros((12, 12, 2), np.float32)
    lone[3, 3] = (0, -1)  # pixels at rest do not count
    assert np.array_equal(keep_main_direction(lone, cells=2), lone)


def test_a_still_clip_is_no_motion() -> None:
    still = Clip.from_array(np.repeat(moving_clip(0, 0).frames[0][None], 5, 0), onset=0, apex=2, offset=4)
    features = BOWAM(size=32, apex_shifts=False).features([still])
    assert np.isfinite(features).all()


# Training and prediction


@pytest.mark.parametrize("augmentation", ["published", "flow", "none"])
def test_augmentation_is_for_training_only(augmentation: str) -> None:
    net = BOWAM(size=32, augmentation=augmentation, **TINY)
    staged, labels = torch.rand(4, 1, 3, 32, 32), torch.arange(4)
    found, same = net.augment(staged, labels)
    assert found.shape == ((4, 1, 3, 32, 32) if augmentation == "none" else (4, 1, 3, 30, 30))
    assert torch.equal(same, labels)
    module = net.build(3).eval()
    cropped = 2 * staged[:, 0, :, 1:31, 1:31] - 1
    assert torch.equal(net.forward(module, staged), module(cropped))


def test_views_balance_the_classes() -> None:
    torch.manual_seed(0)
    labels = torch.arange(3).repeat_interleave(torch.tensor([250, 109, 83]))
    staged = torch.arange(442.0)[:, None] * 10 + torch.arange(5)
    staged = staged[:, :, None, None, None]
    drawn, answers = BOWAM().expand(staged, labels)
    values = drawn.flatten().long()
    assert drawn.shape[1:] == (1, 1, 1, 1)
    assert torch.equal(labels[values // 10], answers)
    assert len(values.unique()) == len(values)  # no view of a clip twice, so never more than 5
    assert (values % 10 == 0).sum() == 442  # view 0 of every clip
    counts = torch.bincount(answers)
    assert counts[2] == 415  # the rarest class, all five views
    assert counts.float().tolist() == pytest.approx([415, 415, 415], abs=25)
    assert torch.bincount(values % 10)[1:].float().std() < 40


@given(st.lists(st.integers(1, 30), min_size=2, max_size=4))
@settings(deadline=None)
def test_one_view_is_taken_as_it_is(counts: list[int]) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    staged = torch.rand(len(labels), 1, 3, 2, 2)
    drawn, answers = BOWAM().expand(staged, labels)
    assert torch.equal(drawn, staged)
    assert torch.equal(answers, labels)


def test_prediction_looks_at_the_annotated_apex_alone() -> None:
    net = BOWAM(size=32, epochs=1, batch_size=8, lr=0.01, layer_scale=1.0, device="cpu", **TINY)
    X = np.random.default_rng(0).random((8, 5, 3, 32, 32), np.float32)
    net.fit(X, np.arange(8) % 2)
    other = X.copy()
    other[:, 1:] = 0
    assert np.array_equal(net.predict_proba(other), net.predict_proba(X))
    assert np.abs(net.predict_proba(1 - X) - net.predict_proba(X)).max() > 0


def test_the_attended_module_gives_the_last_maps() -> None:
    net = BOWAM(size=64, **TINY)
    module = net.build(3).eval()
    seen: list[Tensor] = []
    net.attended(module).register_forward_hook(lambda *call: seen.append(call[2]))
    logits = net.forward(module, torch.rand(2, 5, 3, 64, 64))
    assert seen[0].shape == (2, 16, 7, 7)
    assert torch.allclose(module.head(seen[0].mean((2, 3))), logits)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"flow": "ad"}, UnknownNameError, "unknown flow 'ad'"),
        ({"encoding": "rgb"}, UnknownNameError, "unknown encoding"),
        ({"frequency": "dct"}, UnknownNameError, "unknown frequency unit"),
        ({"wavelet": "db4x"}, UnknownNameError, "unknown wavelet 'db4x'. Did you mean 'db4'"),
        ({"augmentation": "all"}, UnknownNameError, "unknown augmentation"),
        ({"encoding": "uvs", "augmentation": "published"}, OptionError, "use augmentation 'flow'"),
        ({"spatial_kernel": 4}, OptionError, "must be odd"),
        ({"ratio": 0}, OptionError, "ratio must be a whole number"),
        ({"size": 30}, OptionError, "too few for 4 stages, which shrink it by 32"),
        ({"size": 24.0}, OptionError, "size must be a whole number"),
        ({"dims": (8, 16)}, OptionError, "same number of stages"),
        ({"dims": (8, 0), "depths": (1, 1)}, OptionError, "1 or more"),
        ({"layer_scale": 0}, OptionError, "layer_scale must be positive"),
        ({"estimator": "tvl1"}, OptionError, "estimator must be a FlowEstimator"),
        ({"epochs": 0}, OptionError, "epochs"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BOWAM(**options).check_parameters()


def test_pictures_of_another_shape_are_refused() -> None:
    net = BOWAM(size=32, epochs=1, **TINY)
    with pytest.raises(DataError, match=r"\(N, V, 3, 32, 32\)"):
        net.fit(np.zeros((4, 5, 3, 28, 28)), np.arange(4) % 2)
    with pytest.raises(DataError, match="no clips"):
        net.features([])
