from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from microexp.motion.bidirectional import FUSIONS
from microexp.recognize._flow_augment import (
    ROTATION,
    Pose,
    augment_flow,
    augment_pictures,
    hsv_to_rgb,
    jitter_colours,
    move_flow,
    rgb_to_hsv,
    warp,
)
from microexp.recognize._flow_views import ENCODINGS, encode_flow


def pose(n: int = 1, angle: float = 0, flip: bool = False, left: int = 0, top: int = 0) -> Pose:
    values = (torch.tensor([v] * n) for v in (float(angle), flip, left, top))
    return Pose(*values)


def bumps(size: int = 128, angle: float = 0, flip: bool = False, k: int = 1) -> np.ndarray:
    """A smooth flow ``(size, size, 2 k)`` that is zero at the border; or the same turned, then mirrored."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    x = -x if flip else x
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x0, y0 = cos * x + sin * y, cos * y - sin * x
    flows = []
    for number in range(k):
        u = 1.5 * np.exp(-((x0 - 16 + number) ** 2 + y0**2) / 240)
        v = -1.0 * np.exp(-((x0 + 12) ** 2 + (y0 - 14 + number) ** 2) / 360)
        turned = cos * u - sin * v, sin * u + cos * v
        flows += [-turned[0] if flip else turned[0], turned[1]]
    return np.stack(flows, -1).astype(np.float32)


def encoded(flow: np.ndarray, encoding: str) -> Tensor:
    return torch.from_numpy(encode_flow(flow, encoding, flow.shape[0]))[None]


def as_complex(pictures: Tensor) -> Tensor:
    """Orientation and magnitude as one number each, for 0 and 1 of a turn are the same."""
    turn, magnitude, strain = pictures.unflatten(1, (-1, 3)).unbind(2)
    return torch.stack((torch.polar(magnitude, 2 * torch.pi * turn), strain.to(torch.complex64)))


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_mirroring_pictures_is_mirroring_the_flow(encoding: str, k: int) -> None:
    expected, images = encoded(bumps(flip=True, k=k), encoding), encoded(bumps(k=k), encoding)
    assert (images.flip(-1) - expected).abs().max() > 0.1  # as a photograph it would be wrong
    found = move_flow(images, pose(flip=True), 128, encoding)
    if encoding == "oms":
        expected, found = as_complex(expected), as_complex(found)
    assert (found - expected).abs().max() < 1e-3


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("angle", [-8, 8, 30])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_turning_pictures_is_turning_the_flow(encoding: str, angle: float, flip: bool) -> None:
    expected = encoded(bumps(angle=angle, flip=flip), encoding)
    found = move_flow(encoded(bumps(), encoding), pose(angle=angle, flip=flip), 128, encoding)
    if encoding == "oms":
        expected, found = as_complex(expected), as_complex(found)
    assert (found - expected).abs().max() < 0.05


@pytest.mark.parametrize("encoding", ["hsv", "uvm"])
def test_a_product_of_flows_keeps_its_sign_in_a_mirror(encoding: str) -> None:
    first, second = np.split(bumps(k=2), 2, axis=-1)
    mirrored = np.split(bumps(k=2, flip=True), 2, axis=-1)
    product = encoded(FUSIONS["multiply"](first, second), encoding)
    found = move_flow(product, pose(flip=True), 128, encoding, vectors=False)
    assert torch.allclose(found, encoded(FUSIONS["multiply"](*mirrored), encoding), atol=1e-3)


def test_strength_scales_the_motion() -> None:
    weak = encoded(0.5 * bumps(), "uvs")
    found = move_flow(weak, pose(), 128, "uvs", strength=1.2)
    assert torch.allclose(found, encoded(0.6 * bumps(), "uvs"), atol=1e-4)


def test_a_pose_without_turn_is_a_slice() -> None:
    images = torch.rand(2, 6, 24, 24)
    assert torch.allclose(warp(images, pose(2, left=3, top=1), 20), images[:, :, 1:21, 3:23], atol=1e-5)
    mirrored = warp(images, pose(2, flip=True, left=3, top=1), 20)
    assert torch.allclose(mirrored, images.flip(-1)[:, :, 1:21, 3:23], atol=1e-5)


def test_positive_angles_turn_clockwise() -> None:
    images = torch.zeros(1, 1, 9, 9)
    images[0, 0, 4, 7] = 1  # right of the centre
    assert warp(images, pose(angle=90), 9)[0, 0, 7, 4] > 0.99  # below it


def test_poses_are_drawn_from_their_range() -> None:
    torch.manual_seed(0)
    drawn = Pose.draw(2000, 3, torch.device("cpu"))
    assert drawn.angle.abs().max() <= ROTATION
    assert drawn.angle.min() < -0.95 * ROTATION
    assert drawn.flip.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert sorted(set(drawn.left.tolist())) == sorted(set(drawn.top.tolist())) == [0, 1, 2, 3]


@given(st.tuples(*[st.floats(0, 1, width=32)] * 3))
def test_colours_are_converted_as_the_standard_library_does(rgb: tuple[float, float, float]) -> None:
    pixel = torch.tensor(rgb)[None, None, :, None, None]
    h, s, v = (value.item() for value in rgb_to_hsv(pixel))
    expected = colorsys.rgb_to_hsv(*rgb)
    assert (s, v) == pytest.approx(expected[1:], abs=1e-5)
    assert math.cos(math.radians(h) - 2 * math.pi * expected[0]) == pytest.approx(1, abs=1e-4) or s * v < 1e-4
    assert torch.allclose(hsv_to_rgb(*rgb_to_hsv(pixel)), pixel, atol=1e-5)


def test_pictures_keep_their_range_and_batches_are_not_treated_alike() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 6, 30, 30).repeat(4, 1, 1, 1)
    for augmented in (augment_pictures(images, 28), augment_flow(images, 28, "hsv")):
        assert augmented.shape == (4, 6, 28, 28)
        assert augmented.min() >= 0
        assert augmented.max() <= 1 + 1e-6
        assert not torch.allclose(augmented[0], augmented[1], atol=0.05)


def test_jitter_keeps_grey_grey() -> None:
    torch.manual_seed(0)
    grey = torch.rand(3, 1, 8, 8).expand(3, 3, 8, 8)
    found = jitter_colours(grey)
    assert torch.allclose(found, found[:, :1].expand_as(found), atol=1e-5)
    assert not torch.allclose(found, grey, atol=0.01)
