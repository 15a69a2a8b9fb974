"""How well clips are restored: by pixels, from frame to frame, and by the motion that is left in them.

Sharp pictures are not enough: an expression of a pixel or two may be smoothed away, or drowned in what
flickers. So restored clips are also held against the exact flow of the synthetic database.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from microexp.clip import Clip
from microexp.datasets.synthetic import Truth
from microexp.errors import DataError
from microexp.motion.base import FlowEstimator
from microexp.superres.quality import mse, psnr, ssim

_SQUEEZED = 0.75  # of a pixel's area, by the flow: less is taken for something that goes behind another


class Figure(NamedTuple):
    """A mean over clips, with its 95 % interval over subjects; of one subject there is none."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class MotionFidelity:
    """End-point errors of the flow from onset to apex, means over the face's pixels, in pixels.

    Attributes
    ----------
    error : float
        Of the flow estimated on the restored clip.
    error_of_true : float
        Of the flow that the same estimator finds on the true clip: what a perfect restoration would get.
    displacement : float
        Mean length of the exact flow: what a clip without any motion would get.
    """

    error: float
    error_of_true: float
    displacement: float

    @property
    def relative(self) -> float:
        """`error` in units of `error_of_true`; 1 if restoring loses nothing."""
        return self.error / self.error_of_true if self.error_of_true else math.inf


def temporal_consistency(
    frames: np.ndarray, flows: Iterable[np.ndarray], mask: np.ndarray | None = None
) -> float:
    """Return how much a clip changes from frame to frame beyond the motion that is known.

    Each frame is compared with the next one, fetched back along the flow (bilinear), at the pixels that are
    `visible` in both. Flicker and noise of a true clip count too: compare with its own figure.

    Parameters
    ----------
    frames : numpy.ndarray
        ``(T, H, W, 3) uint8 RGB``, at least 2 frames.
    flows : iterable of numpy.ndarray
        T - 1 exact flows ``(H, W, 2)``, from each frame to the next: dx, dy, pixels.
    mask : numpy.ndarray or None
        ``(H, W) bool``: the pixels that count in every frame; None for all.

    Returns
    -------
    float
        Mean absolute difference, grey levels, over colours, pixels, then pairs of frames.

    Raises
    ------
    DataError
        If frames, flows and mask do not fit, or a pair of frames has no pixel to compare.
    """
    frames, flows = np.asarray(frames), [np.asarray(flow) for flow in flows]
    _check_motion(frames, flows, mask)
    differences = []
    for index, flow in enumerate(flows):
        valid = visible(flow) if mask is None else visible(flow) & np.asarray(mask, bool)
        if not valid.any():
            raise DataError(f"frames {index} and {index + 1} have no pixel in common to compare")
        first = frames[index][valid].astype(np.float64)
        differences.append(np.abs(first - _fetched(frames[index + 1], flow, valid)).mean())
    return float(np.mean(differences))


def visible(flow: np.ndarray) -> np.ndarray:
    """Return which pixels of a frame are surely seen in the next one too, ``(H, W) bool``.

    Left out is what leaves the picture, and what may be covered: all within reach of the places where the
    flow ``(H, W, 2)`` folds or squeezes the picture, as where one thing moves before another.
    """
    height, width = flow.shape[:2]
    y, x = _targets(flow)
    seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    (dx_y, dx_x), (dy_y, dy_x) = np.gradient(flow[..., 0]), np.gradient(flow[..., 1])
    squeezed = (1 + dx_x) * (1 + dy_y) - dx_y * dy_x < _SQUEEZED
    if squeezed.any():
        reach = math.ceil(np.ptp(flow, axis=(0, 1)).max())
        box = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        seen &= ~cv2.dilate(squeezed.astype(np.uint8), box).astype(bool)
    return seen


def motion_fidelity(restored: Clip, true: Clip, estimator: FlowEstimator) -> MotionFidelity:
    """Compare the motion that is found in a restored clip with what it should be.

    Parameters
    ----------
    restored : Clip
        Of the size of the true clip.
    true : Clip
        The synthetic clip it was made of, as it was drawn; its onset, apex, exact flow and face mask count.
    estimator : FlowEstimator
        Finds the motion, in both clips.

    Raises
    ------
    DataError
        If the clips differ in length or size, or the true one has no apex or no ground truth.
    """
    _check_pair(restored, true)
    truth = _truth(true)
    if truth is None:
        raise DataError(
            f"{true.identity} is no clip of the synthetic database as it was drawn: its motion is not known"
        )
    exact, face = truth.flow_between(true.onset, true.key_index("apex")), truth.face_mask

    def error(clip: Clip) -> float:
        return float(np.linalg.norm(estimator.clip_flow(clip) - exact, axis=-1)[face].mean())

    annotated = restored.replace(onset=true.onset, apex=true.apex, offset=true.offset)
    displacement = np.linalg.norm(exact, axis=-1)[face].mean()
    return MotionFidelity(error(annotated), error(true), float(displacement))


def restoration_scores(
    restored: Sequence[Clip], true: Sequence[Clip], estimator: FlowEstimator | None = None
) -> dict[str, Figure]:
    """Score restored clips against the true ones, frame by frame over the whole clips.

    Parameters
    ----------
    restored, true : sequence of Clip
        In the same order, of the same lengths and sizes.
    estimator : FlowEstimator or None
        For `motion_fidelity`; None to leave it out.

    Returns
    -------
    dict of str to Figure
        "PSNR" (dB), "SSIM" ("gaussian") and "MSE" (of [0, 1]), on RGB without cropping. If every true clip is
        of the synthetic database, as it was drawn: "temporal" and "temporal_true", the `temporal_consistency`
        of both within the face (grey levels), and with an estimator "motion", "motion_true" (errors, pixels)
        and "motion_relative" of `motion_fidelity`.

    Raises
    ------
    DataError
        If there is no clip, or the clips do not fit each other.
    """
    if not true or len(restored) != len(true):
        raise DataError(f"{len(restored)} restored clips cannot be scored against {len(true)} true ones")
    for pair in zip(restored, true, strict=True):  # all, before hours are spent
        _check_pair(*pair)
    exact = all(_truth(clip) for clip in true)
    rows = [_scores_of(a, b, exact, estimator) for a, b in zip(restored, true, strict=True)]
    subjects = [f"{clip.database}/{clip.subject}" for clip in true]
    return {name: figure([row[name] for row in rows], subjects) for name in rows[0]}


def figure(values: Sequence[float], subjects: Sequence[str], resamples: int = 2000, seed: int = 0) -> Figure:
    """Return the mean of one value a clip, with the 95 % percentile interval of subjects drawn anew.

    Clips of one subject are not independent, so whole subjects are drawn with replacement.
    """
    names, subject = np.unique(subjects, return_inverse=True)
    mean = float(np.mean(values))
    if len(names) == 1:
        return Figure(mean, None, None)
    sums = np.zeros(len(names))
    np.add.at(sums, subject, values)
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    means = sums[drawn].sum(1) / np.bincount(subject)[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975], method="inverted_cdf")  # infinite values do not mix
    return Figure(mean, float(low), float(high))


def _scores_of(restored: Clip, true: Clip, exact: bool, estimator: FlowEstimator | None) -> dict[str, float]:
    """Return the figures of one clip by name."""
    frames, wanted = restored.frames[:], true.frames[:]
    scores = {"PSNR": psnr(frames, wanted), "SSIM": ssim(frames, wanted), "MSE": mse(frames, wanted)}
    truth = _truth(true)
    if not exact or truth is None:
        return scores
    flows = [truth.flow_between(t, t + 1) for t in range(len(true) - 1)]
    face = _always_face(truth, len(true))
    scores["temporal"] = temporal_consistency(frames, flows, face)
    scores["temporal_true"] = temporal_consistency(wanted, flows, face)
    if estimator is not None:
        motion = motion_fidelity(restored, true, estimator)
        scores["motion"], scores["motion_true"] = motion.error, motion.error_of_true
        scores["motion_relative"] = motion.relative
    return scores


def _always_face(truth: Truth, length: int) -> np.ndarray:
    """Return the pixels that show the face in every frame: its mask, less what the face moves by."""
    mask = truth.face_mask
    reach = max(math.ceil(np.abs(truth.flow(index)[mask]).max()) for index in range(length))
    box = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return cv2.erode(mask.astype(np.uint8), box, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)


def _targets(flow: np.ndarray) -> np.ndarray:
    """Return where pixels come to, ``(2, H, W) float64``: rows, columns."""
    return np.indices(flow.shape[:2]) + flow[..., ::-1].transpose(2, 0, 1)


def _fetched(frame: np.ndarray, flow: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return what the next frame shows where the valid pixels come to, ``(n, 3) float64``."""
    where = _targets(flow)[:, valid]
    colours = [map_coordinates(frame[..., c], where, np.float64, order=1, mode="nearest") for c in range(3)]
    return np.stack(colours, axis=-1)


def _truth(clip: Clip) -> Truth | None:
    """Return what is exactly known of a clip; nothing if its frames are others than were drawn."""
    truth = clip.metadata.get("truth")
    if not isinstance(truth, Truth):
        return None
    size, length = truth.script.size, truth.script.length
    return truth if clip.frames.shape == (length, size, size, 3) else None


def _check_pair(restored: Clip, true: Clip) -> None:
    if restored.frames.shape != true.frames.shape:
        raise DataError(
            f"{true.identity}: the restored clip is {restored.frames.shape}, the true one "
            f"{true.frames.shape} (frames, height, width, colours); they must be alike"
        )
    if restored.identity != true.identity:
        raise DataError(f"the restored clip {restored.identity} stands beside the true clip {true.identity}")


def _check_motion(frames: np.ndarray, flows: Sequence[np.ndarray], mask: np.ndarray | None) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or min(frames.shape[:3]) < 2:
        raise DataError(
            "temporal consistency takes 2 frames or more (T, H, W, 3) uint8 RGB, of 2x2 pixels or more, got "
            f"{frames.shape} {frames.dtype}"
        )
    if len(flows) != len(frames) - 1:
        raise DataError(f"{len(frames)} frames have {len(frames) - 1} flows between them, got {len(flows)}")
    size = frames.shape[1:3]
    if any(flow.shape != (*size, 2) for flow in flows) or (mask is not None and mask.shape != size):
        raise DataError(f"flows and mask must be of the frames' size, {size[1]}x{size[0]} pixels")
