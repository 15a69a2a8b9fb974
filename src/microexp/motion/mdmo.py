"""MDMO: the mean flow in the main direction of 36 regions of the face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from microexp.cache import Arrays, cached, identity_of, source_hash
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.faces.alignment import landmarks_of
from microexp.faces.regions import mdmo_regions
from microexp.motion.base import FlowEstimator
from microexp.motion.bi_woof import direction_bin
from microexp.motion.farneback import Farneback
from microexp.stateless import Stateless

CARD = {
    "class": "MDMO",
    "title": "Main directional mean optical flow (MDMO)",
    "summary": "In 36 regions of the face, the mean of the flow vectors of the commonest direction, over all "
    "frames.",
    "takes": "clips (aligned faces) of at least two frames",
    "gives": "features (N, 72) float32: 36 magnitudes in [0, 1], then 36 angles in (-pi, pi]",
    "paper": {
        "authors": "Liu, Yong-Jin and Zhang, Jin-Kai and Yan, Wen-Jing and Wang, Su-Jing and Zhao, Guoying "
        "and Fu, Xiaolan",
        "title": "A Main Directional Mean Optical Flow Feature for Spontaneous Micro-Expression Recognition",
        "venue": "IEEE Transactions on Affective Computing",
        "year": 2016,
        "doi": "10.1109/TAFFC.2015.2485205",
    },
    "notes": [
        "As in the port in the public library meb, the eight directions are centred on axes and diagonals "
        "and the flow is Farneback's at OpenCV's tutorial settings.",
        "Means are of vectors, over the pixels of a region and then over the frames. The port averages "
        "magnitude and angle apart (wrong around angle 0), merges the directions of 0 and 315 degrees, "
        "weighs frames by their sum of angles, and shifts the angles by -pi; none of that is taken over.",
        "Regions are at the landmarks that the aligner found (metadata['alignment']), else at those of the "
        "canonical face filling the picture with the aligner's default margin.",
        "The paper also aligns the frames by their flow, against head motion; here, as in the port, that "
        "step is left out.",
        "Left open, our choices: a vector of length 0 has no direction and does not count; of directions as "
        "common the first is taken; a region without motion has magnitude and angle 0.",
    ],
}

N_REGIONS = 36
_BINS = 8
_CENTRED = -1 / _BINS  # half turns: sector 0 reaches from -22.5 to 22.5 degrees


class MDMO(Stateless):
    """`mdmo` of the flows from the onset frame to each later frame up to the offset.

    Without an offset the frames go to the end of the clip. The features of a clip are kept in the disk cache.

    Parameters
    ----------
    estimator : FlowEstimator or None
        Computes the flows; None for `Farneback` at its defaults.
    n_frames : int or None
        At most so many frames after the onset, equally spaced, the last among them: a bound on the time that
        long clips take. None for all.
    """

    def __init__(self, estimator: FlowEstimator | None = None, n_frames: int | None = None) -> None:
        self.estimator = estimator
        self.n_frames = n_frames

    def transform(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the descriptor of each clip, ``(N, 72) float32``; the clips may differ in size.

        Raises
        ------
        DataError
            If there is no clip, or one has no frame after its onset.
        OptionError
            If `n_frames` is less than 1.
        """
        if self.n_frames is not None and self.n_frames < 1:
            raise OptionError(f"MDMO: n_frames must be at least 1, or None for all, got {self.n_frames}")
        if len(clips) == 0:
            raise DataError("there are no clips to describe by MDMO")
        return np.stack([self._describe(clip) for clip in clips])

    def _describe(self, clip: Clip) -> np.ndarray:
        indices, landmarks = self._indices(clip), landmarks_of(clip)
        estimator = self.estimator if self.estimator is not None else Farneback()

        def compute() -> Arrays:
            onset, later = clip.frames[indices[0]], indices[1:]
            flows = (estimator.flow(onset, clip.frames[i]) for i in later)
            masks = np.stack([region.mask(*clip.size) for region in mdmo_regions(landmarks)])
            return {"mdmo": mdmo(flows, masks)}

        parts = (clip.frames.fingerprint(indices), identity_of(self), identity_of(landmarks))
        versions = (source_hash("microexp.faces.regions"), np.__version__, cv2.__version__)
        key = None if None in parts else ("mdmo", *parts, *versions)
        return cached("motion", key, compute)["mdmo"]

    def _indices(self, clip: Clip) -> list[int]:
        """Return the onset and the frames that are compared with it."""
        end = clip.offset if clip.offset is not None else len(clip) - 1
        n = end - clip.onset
        if n < 1:
            raise DataError(
                f"{clip.identity}: MDMO needs at least one frame after the onset, up to the offset"
            )
        taken = n if self.n_frames is None else min(self.n_frames, n)
        return [clip.onset + n * i // taken for i in range(taken + 1)]


def mdmo(flows: Iterable[np.ndarray], masks: np.ndarray) -> np.ndarray:
    """Return the MDMO descriptor of the flows of one clip (Liu et al. 2016).

    In each frame and region the vectors are sorted into eight directions; those of the commonest are
    averaged. The means are averaged over the frames; their magnitudes are divided by the largest.

    Parameters
    ----------
    flows : iterable of numpy.ndarray
        ``(H, W, 2)`` each: from the first frame to every other one, dx then dy, pixels; one is held at
        a time.
    masks : numpy.ndarray
        ``(R, H, W) bool``: the regions, 36 for MDMO. They may overlap, and one may be empty.

    Returns
    -------
    numpy.ndarray
        ``(2 R,) float32``: R magnitudes in [0, 1], then R angles in (-pi, pi], from the x axis towards the y
        axis (clockwise on screen). Zeros where nothing moves.

    Raises
    ------
    DataError
        If there is no flow or no region, or the shapes do not go together.
    """
    masks = np.asarray(masks, bool)
    if masks.ndim != 3 or len(masks) == 0:
        raise DataError(f"MDMO takes masks (R, H, W) of at least one region, got {masks.shape}")
    region, y, x = np.nonzero(masks)
    means = []
    for flow in flows:
        if np.shape(flow) != (*masks.shape[1:], 2):
            raise DataError(
                f"MDMO takes flow (H, W, 2) of the size of the masks {masks.shape}, got {np.shape(flow)}"
            )
        means.append(_main_means(np.asarray(flow, np.float64)[y, x], region, len(masks)))
    if not means:
        raise DataError("MDMO needs at least one flow")
    mean = np.mean(means, axis=0)
    rho, theta = np.hypot(*mean.T), np.arctan2(mean[:, 1], mean[:, 0])
    largest = rho.max()
    scaled = rho / largest if largest > 0 else rho
    return np.concatenate([scaled, np.where(rho > 0, theta, 0)]).astype(np.float32)


def _main_means(vectors: np.ndarray, region: np.ndarray, n_regions: int) -> np.ndarray:
    """Return the mean ``(R, 2)`` of the vectors ``(P, 2)`` of the commonest direction in each region."""
    moves = vectors.any(axis=1)
    vectors, cells = vectors[moves], n_regions * _BINS
    cell = region[moves] * _BINS + direction_bin(vectors, _BINS, _CENTRED)
    counts = np.bincount(cell, minlength=cells).reshape(-1, _BINS)
    main = counts.argmax(axis=1) + np.arange(0, cells, _BINS)
    sums = np.stack([np.bincount(cell, v, cells)[main] for v in vectors.T], axis=1)
    return sums / np.maximum(counts.ravel()[main], 1)[:, np.newaxis]
