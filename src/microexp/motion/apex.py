"""Apex spotting: where an expression is strongest, for clips of which the coders did not say."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from microexp.cache import cached, identity_of
from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.motion.base import FlowEstimator
from microexp.motion.dis import DIS
from microexp.motion.strain import optical_strain
from microexp.stateless import Stateless

CARD = {
    "class": "ApexSpotter",
    "title": "Apex spotting by optical strain",
    "summary": "Sets the apex where the skin is stretched most against the onset, drift taken off.",
    "takes": "clips (aligned faces that fill the picture) with an onset",
    "gives": "clips with an apex, and in metadata['apex_source'] whence: annotated, spotted or middle",
    "paper": {
        "authors": "Liong, Sze-Teng and See, John and Wong, KokSheik and Le Ngo, Anh Cat and Oh, Yee-Hui "
        "and Phan, Raphael",
        "title": "Automatic Apex Frame Spotting in Micro-Expression Database",
        "venue": "Asian Conference on Pattern Recognition (ACPR)",
        "year": 2015,
        "doi": "10.1109/ACPR.2015.7486586",
    },
    "notes": [
        "From the paper: the apex is the frame of the largest change of the face, and optical strain is a "
        "measure of it. The rest is ours: the paper searches by halving in facial regions around landmarks, "
        "this looks at evenly spaced frames of the whole face and needs no landmarks.",
        "Offset minus onset is taken for drift of head and light and is taken off in proportion to time, as "
        "the face rests in both. Where the offset is unknown or badly chosen, that is wrong by as much.",
        "The median of the strain over the face, not the mean: a blink or a twitch is local. This and the "
        "smoothing were chosen on synthetic clips of seeds 100 and 101; docs/apex.md has the errors on "
        "others.",
        "Where there is no peak (it is at an end, or not above the noise of the curve): the middle, "
        "onset + (offset - onset) // 2, counted as such.",
        "Under the full nuisance of the synthetic clips, not aligned, it is but little nearer than the "
        "middle frame; without, it is off by 2 frames where the middle is off by 8 (medians).",
        "Cost: at most `samples` + 1 flows of pictures of at most 256 pixels a side, whatever the clip's "
        "length.",
    ],
}

ANNOTATED, SPOTTED, MIDDLE = "annotated", "spotted", "middle"
_SIDE = 256  # pixels of the longer side, to which larger pictures are reduced
_GRID = 64  # cells along each side of the field of strain
_BLUR = 2.0  # cells: standard deviation of the smoothing of the flow
_SMOOTH = 0.06  # of the number of samples: standard deviation of the smoothing over time
_ABOVE = 3.0  # standard deviations of the curve's noise by which a peak stands out


class ApexSpotter(Stateless):
    """Set the apex of clips that have none.

    The strain of the flow from the onset to about `samples` frames up to the offset (the clip's end where it
    is unknown), drift taken off, is smoothed over time; its peak is the apex. Each clip says in
    ``metadata["apex_source"]`` how it came by its apex: "annotated", "spotted", or "middle" where no peak
    stands out.

    Parameters
    ----------
    estimator : FlowEstimator or None
        Computes the flow; None for `DIS` at its defaults.
    samples : int
        How many steps the way from onset to offset is divided into at most, >= 4.
    overwrite : bool
        Spot anew where an apex is annotated, too.
    """

    def __init__(
        self, estimator: FlowEstimator | None = None, samples: int = 32, overwrite: bool = False
    ) -> None:
        self.estimator = estimator
        self.samples = samples
        self.overwrite = overwrite

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return the clips, each with an apex.

        Raises
        ------
        OptionError
            If `samples` is no whole number or less than 4.
        DataError
            If the frames of a clip cannot be read or are too small for the flow estimator.
        """
        if isinstance(self.samples, bool) or not isinstance(self.samples, Integral) or self.samples < 4:
            raise OptionError(f"ApexSpotter: samples must be a whole number, 4 or more, got {self.samples!r}")
        return [self._with_apex(clip) for clip in clips]

    def curve(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        """Return what the apex is chosen by, for a look at it.

        Returns
        -------
        frames : numpy.ndarray
            ``(n,) int64``, indices into the clip, from onset to offset.
        strain : numpy.ndarray
            ``(n,) float64``: median strain over the face, drift taken off, pixels per pixel, not smoothed
            over time.
        """
        indices = self._sampled(clip)
        parts = (clip.frames.fingerprint(indices), identity_of(self))
        key = None if None in parts else ("apex", *parts, np.__version__, cv2.__version__)
        arrays = cached("motion", key, lambda: {"strain": self._strain(clip, indices)})
        return np.array(indices, np.int64), arrays["strain"]

    def _with_apex(self, clip: Clip) -> Clip:
        if clip.apex is not None and not self.overwrite:
            given = MIDDLE if clip.metadata.get("apex_assumed") else ANNOTATED
            source = clip.metadata.get("apex_source", given)
            return clip.replace(metadata={**clip.metadata, "apex_source": source})
        frames, strain = self.curve(clip)
        apex = _peak(frames, strain)
        source = SPOTTED
        if apex is None:
            apex, source = clip.onset + (_end(clip) - clip.onset) // 2, MIDDLE
        return clip.replace(apex=apex, metadata={**clip.metadata, "apex_source": source})

    def _sampled(self, clip: Clip) -> list[int]:
        step = max(1, -(-(_end(clip) - clip.onset) // self.samples))
        return sorted({*range(clip.onset, _end(clip), step), _end(clip)})

    def _strain(self, clip: Clip, indices: Sequence[int]) -> np.ndarray:
        """Median strain over the face at each index, ``(n,) float64``."""
        estimator = self.estimator if self.estimator is not None else DIS()
        onset = _reduced(clip.frames[indices[0]])
        flows = np.stack([_on_grid(estimator.flow(onset, _reduced(clip.frames[i]))) for i in indices])
        elapsed = (np.array(indices) - indices[0]) / max(indices[-1] - indices[0], 1)
        left = np.median(flows[-3:], axis=0)  # of three, as one frame's noise would go into all
        flows -= elapsed[:, None, None, None].astype(np.float32) * left
        flows = np.stack([cv2.GaussianBlur(flow, (0, 0), _BLUR) for flow in flows])
        return np.median(optical_strain(flows)[:, _face()], axis=1).astype(np.float64)


def _end(clip: Clip) -> int:
    return clip.offset if clip.offset is not None else len(clip) - 1


def _peak(frames: np.ndarray, strain: np.ndarray) -> int | None:
    """Return the frame of the peak of a curve; None if it is at an end or not above the curve's noise."""
    if len(frames) < 3:
        return None
    smooth = gaussian_filter1d(strain, max(0.5, _SMOOTH * len(strain)), mode="nearest")
    best = int(np.argmax(smooth))
    if best in (0, len(smooth) - 1):
        return None
    steps = np.diff(strain, 2) / np.sqrt(6)  # of a smooth curve nothing but its noise is left in these
    noise = 1.4826 * float(np.median(np.abs(steps)))
    if smooth[best] - np.median(smooth) <= _ABOVE * noise:
        return None
    before, here, after = smooth[best - 1 : best + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0  # vertex of the parabola through the three
    return int(np.rint(np.interp(best + shift, np.arange(len(frames)), frames)))


def _reduced(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _on_grid(flow: np.ndarray) -> np.ndarray:
    shrinks = min(flow.shape[:2]) >= _GRID
    return cv2.resize(flow, (_GRID, _GRID), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _face() -> np.ndarray:
    """``(_GRID, _GRID) bool``: the ellipse that an aligned face fills."""
    y, x = (np.mgrid[:_GRID, :_GRID] + 0.5) / _GRID - 0.5
    return (x / 0.4) ** 2 + (y / 0.46) ** 2 < 1
