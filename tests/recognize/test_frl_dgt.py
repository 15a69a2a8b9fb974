"""FRL-DGT against its table, closed forms and synthetic motion."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.faces.alignment import canonical_landmarks
from microexp.faces.regions import frl_dgt_regions
from microexp.recognize._displacement import DisplacementGenerator, normalised, warp, warping_loss
from microexp.recognize._fusion import FusionLayer, au_boxes, pixel_boxes
from microexp.recognize.frl_dgt import FRLDGT, build_module, draw_fusion_weights, jitter_range

# Table 1 of the supplement: inputs, outputs, side of the filter, side of the output at 224.
TABLE = (
    *((2, 32, 3, 224), (32, 64, 4, 112), (64, 64, 3, 112), (64, 128, 4, 56), (128, 128, 3, 56)),
    *((128, 128, 3, 56), (128, 64, 1, 112), (128, 64, 3, 112), (64, 64, 3, 112), (64, 2, 3, 224)),
)
SMALL: dict[str, Any] = {"size": 32, "width": 16, "heads": 2, "patch": 4, "device": "cpu"}


def texture(side: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 1, (side, side)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 1, cv2.NORM_MINMAX)


def moved_pair(dx: float, dy: float, side: int = 32) -> Tensor:
    """Onset and apex (1, 2, side, side): what one shows at (x, y), the other has at (x + dx, y + dy)."""
    y, x = np.mgrid[side : 2 * side, side : 2 * side].astype(np.float32)
    apex = cv2.remap(texture(3 * side), x - dx, y - dy, cv2.INTER_CUBIC)
    return torch.from_numpy(np.stack([texture(3 * side)[side : 2 * side, side : 2 * side], apex]))[None]


def counted_clip(frames: int, onset: int, apex: int, side: int = 32) -> Clip:
    """A clip whose frame i is grey of i."""
    grey = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return Clip.from_array(grey * np.ones((1, side, side, 3), np.uint8), onset=onset, apex=apex)


class _Nothing(nn.Module):
    def forward(self, logits: Tensor, answers: Tensor) -> Tensor:
        return logits.sum() * 0


@pytest.fixture(scope="module")
def fitted() -> tuple[FRLDGT, np.ndarray]:
    X = np.random.default_rng(0).uniform(0, 1, (6, 6, 32, 32)).astype(np.float32)
    return FRLDGT(**SMALL, epochs=1, batch_size=3).fit(X, np.arange(6) % 3), X


def test_displacement_generation_has_the_parameters_of_the_table() -> None:
    generator = DisplacementGenerator()
    convolutions = sum(i * o * k * k + o for i, o, k, _ in TABLE)
    normalisation = sum(2 * o for _, o, _, _ in TABLE[:-1])
    total = sum(p.numel() for p in generator.parameters())
    assert total == convolutions + normalisation == 618_338
    followed = [p for p in generator.modules() if isinstance(p, nn.Sequential)]
    assert total - sum(block[0].bias.numel() for block in followed) == 617_602  # no bias before a norm


def test_displacement_generation_has_the_multiply_adds_of_the_table() -> None:
    """The published-style count, 3.866 G, is thop's: 4 a value for BatchNorm, 11 for bilinear upsampling."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        DisplacementGenerator()(torch.empty(1, 2, 224, 224))
    convolutions = counter.get_total_flops() // 2
    assert convolutions == sum(i * o * k * k * side**2 for i, o, k, side in TABLE)
    norms = sum(o * side**2 for _, o, _, side in TABLE[:-1])
    upsampled = 128 * 112**2 + 64 * 224**2
    assert convolutions + 4 * norms + 11 * upsampled == pytest.approx(3.866e9, abs=0.0005e9)


def test_a_narrower_generator_has_the_filters_of_the_table_in_proportion() -> None:
    channels = [m.out_channels for m in DisplacementGenerator(8).modules() if isinstance(m, nn.Conv2d)]
    assert channels == [o // 4 for _, o, _, _ in TABLE[:-1]] + [2]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (4, 8), (36, 60)])
def test_displacements_are_as_large_as_the_frames_and_within_one(height: int, width: int) -> None:
    out = DisplacementGenerator()(torch.rand(2, 2, height, width))
    assert out.shape == (2, 2, height, width)
    assert out.abs().max() < 1


def test_frames_that_are_one_look_alike_to_half_of_the_first_filters() -> None:
    first = DisplacementGenerator().conv1[0]
    one, other = torch.rand(1, 1, 8, 8).expand(1, 2, 8, 8), torch.rand(1, 1, 8, 8).expand(1, 2, 8, 8)
    difference = (first(one) - first(other)).abs().amax((0, 2, 3))
    assert (difference[:16] < 1e-6).all()
    assert (difference[16:] > 1e-3).all()


def test_the_displacement_is_divided_by_the_mean_of_the_five_largest() -> None:
    values = torch.tensor([1.0, 9.0, -8.0, 0.5, 7.0, -6.0, 5.0, 1.0]).view(1, 2, 2, 2)
    assert torch.allclose(normalised(values), values / 7)
    assert (normalised(torch.zeros(1, 2, 4, 4)) == 0).all()
    assert torch.allclose(normalised(torch.full((1, 2, 2, 2), 1e-5)), torch.tensor(0.1))  # 1e-5 / 1e-4
    assert torch.allclose(normalised(torch.tensor([[2.0, -4.0]])), torch.tensor([[2 / 3, -4 / 3]]))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), scale=st.floats(0.1, 100))
def test_normalisation_takes_each_displacement_alone_and_forgets_its_scale(seed: int, scale: float) -> None:
    values = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    scaled = values * torch.tensor([1.0, scale, 1.0]).view(3, 1, 1, 1)
    assert torch.allclose(normalised(scaled), normalised(values), rtol=1e-4, atol=1e-6)


def test_the_warped_apex_is_the_onset() -> None:
    frames = moved_pair(3, -2)
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    inside = (..., slice(4, -4), slice(4, -4))
    assert torch.allclose(warp(frames[:, 1:], flow)[inside], frames[:, :1][inside], atol=1e-5)
    assert torch.allclose(warp(frames, torch.zeros(1, 2, 32, 32)), frames, atol=1e-5)
    assert warping_loss(frames[:, :1], frames[:, :1], torch.zeros(1, 2, 32, 32)) < 1e-6


def test_half_a_pixel_is_the_mean_of_two() -> None:
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 0.5
    assert torch.allclose(warp(ramp, flow)[0, 0, 3], torch.tensor([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.0]))


@pytest.mark.parametrize("motion", [(0.0, 0.0), (1.0, -0.5)])
def test_the_warping_loss_alone_finds_a_translation(motion: tuple[float, float]) -> None:
    torch.manual_seed(0)
    generator, frames = DisplacementGenerator(), moved_pair(*motion)
    optimizer = torch.optim.Adam(generator.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.98)
    for _ in range(120):
        optimizer.zero_grad()
        flow = generator(frames) * 4
        warping_loss(frames[:, :1], frames[:, 1:], flow).backward()
        optimizer.step()
        schedule.step()
    inside = flow.detach()[0, :, 6:-6, 6:-6]
    error = (inside - torch.tensor(motion).view(2, 1, 1)).abs().mean((1, 2))
    assert (error < 0.15).all()


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ((0, 10, 12), (6, 12)),  # the end of the clip cuts
        ((0, 10, 30), (6, 14)),
        ((5, 6, 9), (6, 6)),  # too short to leave the apex
        ((3, 8, 8), (6, 8)),
        ((4, 4, 9), (4, 4)),  # the formulas leave nothing
    ],
)
def test_the_range_of_apex_frames(frames: tuple[int, int, int], expected: tuple[int, int]) -> None:
    assert jitter_range(*frames) == expected


@given(data=st.data(), last=st.integers(0, 300))
def test_the_range_holds_the_apex_and_stays_behind_the_onset(data: st.DataObject, last: int) -> None:
    apex = data.draw(st.integers(0, last))
    onset = data.draw(st.integers(0, apex))
    low, high = jitter_range(onset, apex, last)
    assert low <= apex <= high <= last
    assert low > onset or apex == onset


def test_features_are_onset_apex_and_frames_spread_over_the_range() -> None:
    features = FRLDGT(**SMALL).features([counted_clip(40, 10, 20)])
    assert features.shape == (1, 6, 32, 32)
    numbers = (features * 255).mean((2, 3))[0].round(3).tolist()
    assert numbers[:2] == [10, 20]
    assert numbers[2:] == [16, 18, 22, 24]  # the range is 16 to 24; the apex is one of the five
    assert FRLDGT(**SMALL, apex_views=1).features([counted_clip(40, 10, 20)]).shape == (1, 2, 32, 32)
    assert FRLDGT(**SMALL, apex_views=2).features([counted_clip(40, 10, 20)]).shape == (1, 3, 32, 32)


def test_frames_are_averaged_by_area() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1), np.uint8).repeat(3, -1)
    clip = Clip.from_array(picture, onset=0, apex=0)
    expected = picture[0, ..., 0].reshape(32, 2, 32, 2).mean((1, 3)) / 255
    assert np.allclose(FRLDGT(**SMALL).features([clip])[0, 0], expected, atol=1e-6)


def test_training_draws_among_apex_frames_and_prediction_takes_the_annotated_one() -> None:
    net = FRLDGT(**SMALL)
    staged = torch.arange(6.0).view(1, 6, 1, 1).expand(200, 6, 2, 2)
    drawn, labels = net.augment(staged, torch.arange(200))
    assert drawn.shape == (200, 2, 2, 2)
    assert labels.tolist() == list(range(200))
    assert drawn[:, 0].unique().tolist() == [0]
    assert drawn[:, 1].unique().tolist() == [1, 2, 3, 4, 5]
    seen: list[Tensor] = []
    net.forward(lambda frames: seen.append(frames), staged)  # type: ignore[arg-type, return-value]
    assert seen[0].shape == (200, 2, 2, 2)
    assert (seen[0][:, 1] == 1).all()


def test_regions_hold_the_landmarks_that_they_are_about() -> None:
    """On synthetic landmarks: the canonical face, each point moved at random by a pixel or so."""
    rng = np.random.default_rng(0)
    faces = canonical_landmarks(224, 0.1) + rng.normal(0, 1, (20, 68, 2))
    boxes, mean = au_boxes(faces, 224) * 224 - 0.5, faces.mean(0)
    centres = [region.polygon.mean(0) for region in frl_dgt_regions(faces)]
    brows_and_eyes = (*range(17, 27), *range(36, 48))
    about = (
        brows_and_eyes,
        (20, 21, 22, 23, 27),
        (36, 45, 31, 35, 2, 14),
        (28, 29, 30, 31, 35),
        range(48, 60),
        (7, 8, 9, 57),
    )
    for (x0, y0, x1, y1), points, centre in zip(boxes, about, centres, strict=True):
        inside = [(x0 <= x <= x1) and (y0 <= y <= y1) for x, y in (*mean[list(points)], centre)]
        assert all(inside)


def test_boxes_do_not_depend_on_the_size_of_the_face() -> None:
    assert np.allclose(au_boxes(size=224), au_boxes(size=64), atol=1e-6)
    assert pixel_boxes(np.array([[0, 0.25, 1, 0.75], [0.1, 0.1, 0.2, 0.2]]), 8, 4) == [
        (0, 2, 4, 6),
        (0, 0, 1, 2),
    ]


def test_a_fusion_layer_averages_tokens() -> None:
    layer, token = FusionLayer(5, 8), torch.rand(1, 1, 8)
    fused, weights = layer(token.expand(3, 5, 8))
    assert torch.allclose(weights, torch.full((3, 5), 0.2))
    assert torch.allclose(fused, (token[:, 0] * layer.places.mean(0)).expand(3, 8), atol=1e-6)
    nn.init.ones_(layer.places)
    tokens = torch.rand(3, 5, 8)
    fused, weights = layer(tokens)
    assert torch.allclose(weights.sum(1), torch.ones(3))
    assert (fused >= tokens.amin(1)).all()
    assert (fused <= tokens.amax(1)).all()


def test_fusion_keeps_where_a_token_was() -> None:
    layer, tokens = FusionLayer(5, 8), torch.rand(3, 5, 8)
    assert not torch.allclose(layer(tokens)[0], layer(tokens.flip(1))[0], rtol=1e-2)


def test_fusion_does_not_depend_on_the_spread_of_its_channels() -> None:
    fusion, maps = build_module(3, 32, 16, 2, 4).fusion, torch.rand(4, 4, 32, 32)
    scale, shift = torch.tensor([0.5, 10.0, 2.0, 1.0]), torch.tensor([0.0, 5.0, -3.0, 1.0])
    other = maps * scale.view(1, 4, 1, 1) + shift.view(1, 4, 1, 1)
    assert torch.allclose(fusion(maps)[0], fusion(other)[0], atol=0.01)


@pytest.mark.parametrize(("size", "patch"), [(32, 8), (32, 4), (64, 16), (56, 14), (24, 2)])
def test_the_network_takes_sizes_that_patches_divide(size: int, patch: int) -> None:
    module = build_module(4, size, 16, 2, patch)
    frames = torch.rand(2, 2, size, size)
    logits, weights = module.classify(frames, module.generator(frames))
    side = size // (2 * patch)
    assert logits.shape == (2, 4)
    assert weights["local"].shape == (2, 6, side, side)
    assert weights["global"].shape == (2, 6)
    assert weights["face"].shape == (2, 2 * side, 2 * side)


def test_what_a_region_shows_reaches_its_fusion_alone() -> None:
    """A change inside one box, outside all others, changes the local weights of that region only."""
    grid = [(0.0, 0.0), (1 / 3, 0.0), (2 / 3, 0.0), (0.0, 0.5), (1 / 3, 0.5), (2 / 3, 0.5)]
    boxes = np.array([(x, y, x + 1 / 4, y + 1 / 4) for x, y in grid])
    fusion = build_module(3, 48, 16, 2, 4, boxes).eval().fusion
    maps = torch.rand(1, 4, 48, 48)
    changed = maps.clone()
    changed[..., 2:10, 18:26] += torch.rand(8, 8)  # inside the second
    before, after = fusion(maps)[1]["local"], fusion(changed)[1]["local"]
    differs = (before - after).abs().amax((0, 2, 3)) > 1e-6
    assert differs.tolist() == [False, True, False, False, False, False]


@pytest.mark.parametrize("alone", ["recognition", "warping"])
def test_each_loss_alone_trains_the_displacement(alone: str) -> None:
    torch.manual_seed(0)
    module, frames, labels = build_module(3, 32, 16, 2, 4), torch.rand(3, 2, 32, 32), torch.arange(3)
    net = FRLDGT(**SMALL, warp_weight=0.0 if alone == "recognition" else 1.0)
    criterion = nn.CrossEntropyLoss() if alone == "recognition" else _Nothing()
    net.loss(module, frames, labels, criterion).backward()
    assert all(p.grad.abs().sum() > 0 for p in module.generator.conv10.parameters())
    assert module.generator.conv1[0].weight.grad.abs().sum() > 0
    assert (module.classifier.weight.grad.abs().sum() > 0) == (alone == "recognition")


def test_recognition_waits_for_the_warmup_of_the_displacement() -> None:
    torch.manual_seed(0)
    module, frames, labels = build_module(3, 32, 16, 2, 4), torch.rand(3, 2, 32, 32), torch.arange(3)
    net = FRLDGT(**SMALL, warmup=2)
    learned = []
    for _ in range(4):
        module.zero_grad()
        net.loss(module, frames, labels, nn.CrossEntropyLoss()).backward()
        assert module.generator.conv1[0].weight.grad is not None
        learned.append(module.classifier.weight.grad is not None)
    assert learned == [False, False, True, True]


def test_the_loss_is_cross_entropy_and_the_weighted_difference_of_warped_frames() -> None:
    torch.manual_seed(0)
    module, frames, labels = build_module(3, 32, 16, 2, 4).eval(), torch.rand(3, 2, 32, 32), torch.arange(3)
    pixels = module.generator(frames) * 8 * 32 / 224
    expected = F.cross_entropy(module(frames), labels)
    expected = expected + 2.5 * (warp(frames[:, 1:], pixels) - frames[:, :1]).abs().mean()
    net = FRLDGT(**SMALL, warp_weight=2.5)
    assert torch.allclose(net.loss(module, frames, labels, nn.CrossEntropyLoss()), expected)


def test_displacements_are_flow_in_pixels(fitted: tuple[FRLDGT, np.ndarray]) -> None:
    net, X = fitted
    flow = net.displacements(X)
    assert flow.shape == (6, 32, 32, 2)
    raw = net.module_.generator(torch.from_numpy(X[:2, :2])).detach().numpy()
    assert np.allclose(flow[:2].transpose(0, 3, 1, 2), raw * 8 * 32 / 224, atol=1e-5)


def test_fusion_weights_sum_to_one(fitted: tuple[FRLDGT, np.ndarray]) -> None:
    net, X = fitted
    weights = net.fusion_weights(X)
    assert {k: v.shape for k, v in weights.items()} == {
        "local": (6, 6, 4, 4),
        "global": (6, 6),
        "face": (6, 8, 8),
    }
    assert np.allclose(weights["local"].sum((2, 3)), 1, atol=1e-5)
    assert np.allclose(weights["global"].sum(1), 1, atol=1e-5)
    assert np.allclose(weights["face"].sum((1, 2)), 1, atol=1e-5)
    assert min(v.min() for v in weights.values()) >= 0


def test_weights_are_drawn_over_the_face_where_they_are() -> None:
    picture = np.full((60, 80, 3), 128, np.uint8)
    x0, y0, x1, y1 = pixel_boxes(au_boxes(), 60, 80)[5]
    outside = np.ones((60, 80), bool)
    for left, top, right, bottom in pixel_boxes(au_boxes(), 60, 80):
        outside[top:bottom, left:right] = False
    for weights in (np.eye(6)[5], np.eye(6)[5][:, None, None] * np.ones((6, 3, 3)) / 9):
        drawn = draw_fusion_weights(picture, weights)
        assert drawn.dtype == np.uint8
        assert drawn.shape == (60, 80, 3)
        assert (drawn[outside] == 128).all()
        red, green, blue = drawn[(y0 + y1) // 2, (x0 + x1) // 2].astype(int)
        assert min(red, green) > blue + 50  # yellow: the largest
    face = draw_fusion_weights(picture, np.array([[0.0, 1.0], [0.0, 0.0]]))
    assert face.shape == (60, 80, 3)
    assert face[10, 60].tolist() != face[10, 10].tolist() == face[50, 60].tolist()
    assert (picture == 128).all()


@pytest.mark.parametrize(
    ("picture", "weights", "message"),
    [
        (np.zeros((8, 8), np.uint8), np.ones((2, 2)), "uint8 RGB"),
        (np.zeros((8, 8, 3), np.float32), np.ones((2, 2)), "uint8 RGB"),
        (np.zeros((8, 8, 3), np.uint8), np.ones(5), r"got \(5,\)"),
        (np.zeros((8, 8, 3), np.uint8), np.ones((1, 6, 2, 2)), "of one clip"),
        (np.zeros((8, 8, 3), np.uint8), np.full((2, 2), np.nan), "not negative"),
    ],
)
def test_what_cannot_be_drawn_is_refused(picture: np.ndarray, weights: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        draw_fusion_weights(picture, weights)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 30}, "multiple of 4 and of twice an even patch, got 30 and 4"),
        ({"size": 36}, "got 36 and 4"),
        ({"size": 30, "patch": 5}, "got 30 and 5"),
        ({"size": 32.0}, "size must be a whole number"),
        ({"heads": 3}, "heads must divide width"),
        ({"apex_views": 0}, "apex_views must be a whole number, 1 or more"),
        ({"generator_width": 7}, "generator_width must be even"),
        ({"warmup": -1}, "warmup must be a whole number, 0 or more"),
        ({"warp_weight": -1.0}, "warp_weight"),
        ({"displacement_scale": 0.0}, "displacement_scale"),
        ({"decay": 0.0}, "decay"),
        ({"boxes": np.zeros((5, 4))}, r"\(6, 4\), got \(5, 4\)"),
        ({"boxes": np.tile([0.5, 0.5, 0.5, 0.9], (6, 1))}, "x0 < x1"),
        ({"boxes": np.tile([0.0, 0.0, 1.5, 1.0], (6, 1))}, "fractions"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(changed: dict[str, Any], message: str) -> None:
    net = FRLDGT(**{**SMALL, **changed})
    with pytest.raises(OptionError, match=message):
        net.check_parameters()
    with pytest.raises(OptionError, match=message):
        net.features([counted_clip(3, 0, 1)])


def test_frames_of_another_size_or_number_are_refused() -> None:
    net = FRLDGT(**SMALL, epochs=1)
    for shape in ((4, 6, 28, 28), (4, 2, 32, 32)):
        with pytest.raises(DataError, match="onset, apex, 4 other apex frames"):
            net.fit(np.zeros(shape, np.float32), np.arange(4) % 2)


def test_boxes_of_ones_own_are_used() -> None:
    boxes = np.tile([0.25, 0.25, 0.75, 0.75], (6, 1))
    net = FRLDGT(**SMALL, boxes=boxes)
    net.check_parameters()
    assert net.build(3).fusion.boxes == [(8, 8, 24, 24)] * 6  # type: ignore[union-attr]
