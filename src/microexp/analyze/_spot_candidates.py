"""Where something in the face stands out: spans of time, and numbers that tell what it may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from microexp.analyze._motion_regions import LIDS
from microexp.analyze.signals import FaceMotion, stretches

SHORT = 0.5  # seconds: micro-expressions are shorter
_QUICK = 1.5  # seconds of the median that blinks are measured against
_CREST = 0.8  # of the peak, above which the movement is held rather than on its way
_LAG = 0.3  # seconds between two frames whose difference is noise, most of the time
_QUIET = 0.04  # hundredths of an eye distance: no video is less noisy than that
_STRONGEST = 4  # regions whose motion counts together
_CHANCE = 2.2  # root mean square of the four largest of 16 Rayleigh variables: what noise alone gives
_RESTLESS = 3.0  # times that, up to which a face's own unrest is taken for noise
_BLINK = 0.6  # seconds that a blink takes at most
_BLINK_EDGE = 0.1  # of a blink's height, where it begins and ends
_BLINK_WIDEN = 0.03  # seconds that it begins earlier and ends later, as lids start and stop slowly
_JOIN = 0.1  # seconds before and after a blink through whose means the motion is joined
_LEAST_RUN = 0.5  # seconds that can be judged by themselves


@dataclass(frozen=True)
class Shape:
    """How candidates are cut out of the motion.

    Attributes
    ----------
    smooth : float
        Seconds: standard deviation of the smoothing over time.
    stands_out : float
        How far a peak must rise above the noise, in multiples of it.
    edge : float
        Part of the peak at which the rise begins and the fall ends.
    widen : float
        Part of the rise, and of the fall, by which the edges are moved outwards: a movement starts slowly.
    """

    smooth: float
    stands_out: float
    edge: float
    widen: float


@dataclass(frozen=True)
class Candidate:
    """A span of looked-at frames in which something stands out.

    Attributes
    ----------
    first, peak, last : int
        Indices into the looked-at frames.
    features : tuple of float
        See `FEATURES` and `BLINK_FEATURES`.
    """

    first: int
    peak: int
    last: int
    features: tuple[float, ...]


FEATURES = (
    "height over noise, logarithm",
    "height, logarithm",
    "seconds, logarithm",
    "short",
    "head turn over height, logarithm",
    "regions that move, logarithm",
    "height at the edges over the peak's",
    "roughness",
)
BLINK_FEATURES = (
    "height over noise, logarithm",
    "height, logarithm",
    "lids over the rest of the face, logarithm",
    "seconds, logarithm",
    "alike on both sides",
)


def noise_of(moves: np.ndarray, rate: float) -> np.ndarray:
    """Return the noise of each region, ``(R,) float64``: how far it usually goes in a third of a second."""
    lag = min(max(1, round(_LAG * rate)), len(moves) - 1)
    steps = (moves[lag:] - moves[:-lag]) / np.sqrt(2)
    return np.maximum(1.4826 * np.median(np.abs(steps), axis=(0, 2)), _QUIET)


def blink_candidates(motion: FaceMotion, run: slice) -> Iterator[Candidate]:
    """Yield where the upper lids go down and come back."""
    rate, moves = motion.rate, motion.moves[run].astype(np.float64)
    if len(moves) < _LEAST_RUN * rate:
        return
    lids = np.isin(motion.regions, LIDS)
    eyes = np.array(["lid" in region for region in motion.regions])
    down = moves[:, lids, 1].mean(1)
    down -= median_filter(down, max(3, round(_QUICK * rate) | 1), mode="nearest")
    noise = max(1.4826 * float(np.median(np.abs(down))), _QUIET)
    for first, peak, last in _peaks(down, 4 * noise, _BLINK_EDGE):
        seconds = (last - first + 1) / rate
        if seconds > _BLINK:
            continue
        before, after = max(first - 1, 0), min(last + 1, len(moves) - 1)
        off = moves[first : last + 1] - (moves[before] + moves[after]) / 2
        rest = np.sqrt(np.median((off[:, ~eyes] ** 2).sum(2), axis=1)).max()
        sides = off[:, lids, 1].max(0)
        features = (
            np.log(down[peak] / noise),
            np.log(down[peak]),
            np.log(down[peak] / (rest + _QUIET)),
            np.log(seconds),
            max(float(sides.min() / max(sides.max(), 1e-6)), 0.0),
        )
        wider = round(_BLINK_WIDEN * rate)
        first, last = max(first - wider, 0), min(last + wider, len(moves) - 1)
        yield Candidate(run.start + first, run.start + peak, run.start + last, _plain(features))


def without_blinks(motion: FaceMotion, blinks: list[Candidate]) -> np.ndarray:
    """Return the moves ``(n, R, 2) float64``; during blinks what lies before and after is joined.

    The line that joins them is led through the mean of some frames on either side: through single ones, their
    noise would last as long as the blink.
    """
    moves = motion.moves.astype(np.float64)
    some = max(2, round(_JOIN * motion.rate))
    for run in motion.runs():
        blinking = np.zeros(run.stop - run.start, bool)
        for blink in blinks:
            if run.start <= blink.peak < run.stop:
                blinking[max(blink.first - 1 - run.start, 0) : blink.last + 2 - run.start] = True
        joined = moves[run]
        for stretch in stretches(blinking):
            first, last = stretch.start, stretch.stop - 1
            before = [i for i in range(max(first - some, 0), first) if not blinking[i]]
            after = [i for i in range(last + 1, min(last + 1 + some, len(joined))) if not blinking[i]]
            ends = [joined[side].mean(0) for side in (before or after, after or before) if side]
            if ends:
                share = np.linspace(0, 1, last - first + 1)[:, None, None]
                joined[first : last + 1] = (1 - share) * ends[0] + share * ends[1]
    return moves


def seconds_of(motion: FaceMotion, first: int, last: int) -> float:
    """Return how long looked-at frames last, from the first to the end of the last."""
    return float(motion.frames[last] - motion.frames[first] + 1) / motion.fps


def candidates(motion: FaceMotion, moves: np.ndarray, run: slice, shape: Shape) -> Iterator[Candidate]:
    """Yield where the face, the upper lids excepted, stands out from its noise.

    What is short because the run begins or ends amid it is left out.

    Parameters
    ----------
    motion : FaceMotion
        The video's motion.
    moves : numpy.ndarray
        Its moves, blinks taken out.
    run : slice
        A stretch without gaps.
    shape : Shape
        How candidates are cut out.
    """
    rate = motion.rate
    if run.stop - run.start < _LEAST_RUN * rate:
        return
    face = moves[run][:, ~np.isin(motion.regions, LIDS)]
    smooth = gaussian_filter1d(face, max(shape.smooth * rate, 0.3), axis=0, mode="nearest")
    size = np.linalg.norm(smooth, axis=2)
    over = size / noise_of(smooth, rate)
    strongest = np.sort(over, axis=1)[:, -_STRONGEST:]
    height = np.sqrt((strongest**2).mean(1))
    noise = float(np.clip(np.median(height), _CHANCE, _RESTLESS * _CHANCE))
    height = height / noise - 1
    for first, peak, last in _peaks(height, shape.stands_out, shape.edge):
        # By its rise and its fall: which frame of a face held still is the peak is up to noise.
        crest = np.flatnonzero(height[first : last + 1] >= _CREST * height[peak])
        left = round(first - shape.widen * float(crest[0]))
        right = round(last + shape.widen * float(last - first - crest[-1]))
        left, right = max(left, 0), min(right, len(height) - 1)
        cut = min(first, len(height) - 1 - last) == 0  # it began before the run, or goes on after it
        if cut and seconds_of(motion, run.start + left, run.start + right) <= SHORT:
            continue  # nobody knows how long it was
        features = _features(motion, run, smooth, height, (left, peak, right), (first, last))
        yield Candidate(run.start + left, run.start + peak, run.start + right, features)


def _features(
    motion: FaceMotion,
    run: slice,
    smooth: np.ndarray,
    height: np.ndarray,
    span: tuple[int, int, int],
    edges: tuple[int, int],
) -> tuple[float, ...]:
    """Return the numbers that `FEATURES` names."""
    left, peak, right = span
    inside = slice(edges[0], edges[1] + 1)
    energy = (smooth[peak] ** 2).sum(1)
    size = float(np.sqrt(np.sort(energy)[-_STRONGEST:].mean())) + 1e-6
    seconds = (right - left + 1) / motion.rate
    turn = 0.0
    if motion.head is not None:
        head = motion.head[run]
        turn = float(np.linalg.norm(head[inside] - (head[left] + head[right]) / 2, axis=1).max())
    steps = np.abs(np.diff(height[max(left - 1, 0) : right + 2])).sum()
    features = (
        np.log(height[peak]),
        np.log(size),
        np.log(seconds),
        float(seconds <= SHORT),
        np.log(turn / size + 0.3),
        np.log(energy.sum() ** 2 / ((energy**2).sum() + 1e-12)),
        float(max(height[left], height[right]) / height[peak]),
        float(steps / (2 * height[peak])),
    )
    return _plain(features)


def _peaks(curve: np.ndarray, threshold: float, edge: float) -> Iterator[tuple[int, int, int]]:
    """Yield (first, peak, last) of what stands out, the highest first; they do not overlap.

    Each reaches to where the curve falls below `edge` of its peak, or turns up again to another that was
    found before.
    """
    free = np.ones(len(curve), bool)
    while True:
        left = np.where(free, curve, -np.inf)
        peak = int(np.argmax(left))
        if not left[peak] >= threshold:
            return
        low = edge * curve[peak]
        first, last = peak, peak
        while first > 0 and free[first - 1] and curve[first - 1] > low:
            first -= 1
        while last < len(curve) - 1 and free[last + 1] and curve[last + 1] > low:
            last += 1
        beside = (first > 0 and not free[first - 1], last < len(curve) - 1 and not free[last + 1])
        free[first : last + 1] = False
        if not (peak == first and beside[0]) and not (peak == last and beside[1]) and last > first:
            yield first, peak, last


def _plain(features: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(value) for value in features)
