"""Steady head drift in bidirectional flow: -2e + h[(offset - apex) - (apex - onset)], and no less."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.clip import Clip
from microexp.motion.base import FlowEstimator
from microexp.motion.bidirectional import Bidirectional
from microexp.motion.farneback import Farneback

Pictures = Callable[[list[tuple[float, float]]], np.ndarray]
INNER = np.s_[16:-16, 16:-16]
numbers = st.floats(-3, 3)
vectors = st.tuples(numbers, numbers).map(np.array)


class Ideal(FlowEstimator):
    """Knows the motion: the grey level of a picture is its frame, `path` says where that frame stands."""

    def __init__(self, path: Callable[[int], np.ndarray]) -> None:
        self.path = path

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self.path(int(second[0, 0])) - self.path(int(first[0, 0]))


@st.composite
def moments(draw: st.DrawFn) -> tuple[int, int, int]:
    """Onset, apex and offset, in order and apart."""
    onset = draw(st.integers(0, 40))
    apex = draw(st.integers(onset + 1, onset + 60))
    return onset, apex, draw(st.integers(apex + 1, apex + 60))


def drifting(
    when: tuple[int, int, int], expression: np.ndarray, drift: np.ndarray, fusion: str = "add"
) -> tuple[np.ndarray, np.ndarray]:
    """One-way and bidirectional flow of a clip in which the left half alone makes the expression."""
    onset, apex, offset = when
    field = np.zeros((6, 8, 2))
    field[:, :4] = expression

    def path(frame: int) -> np.ndarray:
        return field * (frame == apex) + drift * (frame - onset)

    frames = np.arange(offset + 1, dtype=np.uint8)[:, None, None, None] * np.ones((6, 8, 3), np.uint8)
    clip = Clip.from_array(frames, onset=onset, apex=apex, offset=offset)
    ideal = Ideal(path)
    return ideal.clip_flow(clip), Bidirectional(ideal, fusion).clip_flow(clip)


@given(moments(), vectors, vectors)
def test_ideal_flow_gives_the_closed_form(
    when: tuple[int, int, int], expression: np.ndarray, drift: np.ndarray
) -> None:
    onset, apex, offset = when
    one_way, both = drifting(when, expression, drift)
    left = drift * ((offset - apex) - (apex - onset))
    assert np.allclose(both[:, :4], -2 * expression + left, atol=1e-3)
    assert np.allclose(both[:, 4:], left, atol=1e-3)
    assert np.allclose(one_way[:, 4:], drift * (apex - onset), atol=1e-3)


@given(moments(), vectors, vectors)
def test_halved_it_has_less_drift_than_one_way_flow_only_with_an_apex_after_a_quarter(
    when: tuple[int, int, int], expression: np.ndarray, drift: np.ndarray
) -> None:
    onset, apex, offset = when
    one_way, both = drifting(when, expression, drift)
    errors = [np.linalg.norm(e, axis=-1).max() for e in (one_way[:, 4:], both[:, 4:] / -2)]
    from_a_quarter = 4 * (apex - onset) - (offset - onset)
    if from_a_quarter == 0 or not drift.any():
        assert errors[0] == pytest.approx(errors[1], abs=1e-3)
    elif np.abs(drift).max() > 0.01:
        assert (errors[1] < errors[0]) == (from_a_quarter > 0)


@given(moments(), vectors, vectors)
def test_weighed_by_the_frames_of_the_other_the_two_flows_have_no_drift(
    when: tuple[int, int, int], expression: np.ndarray, drift: np.ndarray
) -> None:
    onset, apex, offset = when
    _, both = drifting(when, expression, drift, fusion="concat")
    to_onset, to_offset = both[..., :2], both[..., 2:]
    balanced = ((offset - apex) * to_onset + (apex - onset) * to_offset) / (offset - onset)
    assert np.allclose(balanced[:, :4], -expression, atol=1e-3)
    assert np.allclose(balanced[:, 4:], 0, atol=1e-3)


@pytest.mark.parametrize("apex", [3, 6, 8, 12, 15])
@pytest.mark.parametrize("drift", [(0.08, 0.0), (-0.05, 0.06)])
def test_farneback_on_a_moving_texture_follows_it(
    apex: int, drift: tuple[float, float], moving: Pictures
) -> None:
    h, e, offset = np.array(drift), np.array([0.3, -0.5]), 24
    pictures = moving([(0, 0), tuple(e + h * apex), tuple(h * offset)])
    flow = Bidirectional(Farneback()).flow(*pictures)
    expected = -2 * e + h * ((offset - apex) - apex)
    assert np.median(flow[INNER], axis=(0, 1)) == pytest.approx(expected, abs=0.05)
