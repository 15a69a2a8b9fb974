"""Phase-based magnification: the local phases of a pyramid's levels are shifted further."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from microexp.errors import OptionError, UnknownNameError
from microexp.magnify._colour import added, luma
from microexp.magnify._pyramids import Levels, PhasePyramid, check_count, riesz_pyramid, steerable_pyramid
from microexp.magnify._temporal import BandPass, check_band
from microexp.magnify.base import Magnifier, check_factor

CARD = {
    "class": "Phase",
    "title": "Phase-based video magnification",
    "summary": "Multiplies local phase changes in a complex steerable or Riesz pyramid.",
    "takes": "clips, videos, or a picture (H, W, 3) uint8 RGB and its onset",
    "gives": "the same, with larger motion",
    "paper": {
        "authors": "Wadhwa, Neal and Rubinstein, Michael and Durand, Fredo and Freeman, William T.",
        "title": "Phase-Based Video Motion Processing",
        "venue": "ACM Transactions on Graphics 32(4)",
        "year": 2013,
        "doi": "10.1145/2461912.2461966",
    },
    "presets": {"riesz": {"pyramid": "riesz"}},
    "notes": [
        "'factor' is the total gain, 1 changes nothing; the papers' alpha is factor - 1.",
        "Pyramid 'steerable' is the paper's, of octave bandwidth; the paper's bound for it: alpha times the "
        "motion is less than a quarter of the wavelength. The paper's half-octave and wider sets of filters, "
        "which bear more, are not here.",
        "Pyramid 'riesz' follows Wadhwa, Rubinstein, Durand and Freeman, Riesz Pyramids for Fast Phase-Based "
        "Video Magnification (ICCP 2014, doi 10.1109/ICCPHOT.2014.6831820), with octaves and Riesz "
        "transforms in the Fourier domain in place of that paper's approximations by small filters.",
        "A Riesz pyramid has one orientation at each place. Where neighbours within 'blur' differ in theirs, "
        "as in textures without direction, their mean phase is too small, down to half for all directions "
        "alike, and so is the motion that is added; edges are not affected.",
        "Only luma changes. What remains above and below the pyramid's levels stays as it is, so motion of "
        "waves much longer than 2^(levels + 1) pixels is not magnified.",
        "With 'band' None phases are those since the onset, so motion between the two frames must be less "
        "than half a wavelength. With a band the changes from frame to frame are added up, which unwraps "
        "them, and pass a Butterworth band-pass of first order, with gain 1 at the band's centre; the papers "
        "leave the temporal filter to the user. It starts at the first frame, whatever the onset.",
        "Phases are averaged in pixels of each level. Pictures are mirrored at their borders before the "
        "Fourier transform.",
        "benchmarks/eulerian_gain.py measures the gain of motion and of noise.",
    ],
}

_PYRAMIDS = ("steerable", "riesz")
_TINY = 1e-6  # grey levels; where amplitude is none, so is the phase


@dataclass(eq=False, repr=False)
class Phase(Magnifier):
    """Phase-based magnification (Wadhwa et al. 2013, 2014).

    Parameters
    ----------
    factor : float
        How many times as large motion becomes, >= 1; 1 changes nothing.
    pyramid : {"steerable", "riesz"}
        The complex steerable pyramid, or the faster Riesz pyramid.
    orientations : int
        Of the steerable pyramid, at least 2.
    levels : int
        Octaves of the pyramid, at least 1; fewer for pictures too small for them.
    blur : float
        Standard deviation of the Gaussian, in pixels of each level, by which phases are averaged with their
        amplitudes as weights; 0 for none.
    band : pair of float or None
        Lowest and highest frequency of the motion, Hz, which needs the frame rate; None for all motion since
        the onset.
    """

    factor: float = 3.0
    pyramid: str = "steerable"
    orientations: int = 8
    levels: int = 5
    blur: float = 2.0
    band: tuple[float, float] | None = None

    @property
    def by_frame(self) -> bool:
        return self.band is None

    def check_parameters(self) -> None:
        check_factor("Phase", self.factor)
        if self.pyramid not in _PYRAMIDS:
            raise UnknownNameError("pyramid", str(self.pyramid), _PYRAMIDS)
        check_count("Phase", "orientations", self.orientations, 2)
        check_count("Phase", "levels", self.levels, 1)
        if not 0 <= self.blur < np.inf:
            raise OptionError(f"Phase: blur must be a number of pixels, 0 or more, got {self.blur}")
        check_band("Phase", self.band)

    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        motion: _SinceOnset | _InBand = _SinceOnset(onset)
        if self.band is not None:
            motion = _InBand([BandPass("Phase", self.band, fps) for _ in range(self.levels)])
        for frame in frames:
            pyramid = self._pyramid(*frame.shape[:2])
            levels = pyramid.decompose(luma(frame))
            further = [
                (self.factor - 1) * _smooth(phase, pyramid.amplitude(level), self.blur)
                for phase, level in zip(motion(pyramid, levels), levels, strict=True)
            ]
            yield added(frame, pyramid.change(levels, further)[..., None])

    def _pyramid(self, height: int, width: int) -> PhasePyramid:
        if self.pyramid == "riesz":
            return riesz_pyramid(height, width, self.levels)
        return steerable_pyramid(height, width, self.levels, self.orientations)


class _SinceOnset:
    """Phases since a frame; None for the first."""

    def __init__(self, onset: np.ndarray | None) -> None:
        self._onset = onset
        self._before: Levels | None = None

    def __call__(self, pyramid: PhasePyramid, levels: Levels) -> Levels:
        if self._before is None:
            self._before = levels if self._onset is None else pyramid.decompose(luma(self._onset))
        return _phases(pyramid, levels, self._before)


class _InBand:
    """Phases since the first frame, unwrapped over time, through a temporal filter for each level."""

    def __init__(self, filters: list[BandPass]) -> None:
        self._filters = filters
        self._before: Levels | None = None
        self._total: Levels = []

    def __call__(self, pyramid: PhasePyramid, levels: Levels) -> Levels:
        steps = _phases(pyramid, levels, self._before or levels)
        self._before = levels
        self._total = [a + b for a, b in zip(self._total, steps, strict=True)] if self._total else steps
        return [one(phase) for one, phase in zip(self._filters, self._total, strict=False)]


def _phases(pyramid: PhasePyramid, levels: Levels, before: Levels) -> Levels:
    return [pyramid.phase(now, then) for now, then in zip(levels, before, strict=True)]


def _smooth(phases: np.ndarray, amplitude: np.ndarray, sigma: float) -> np.ndarray:
    """Return means of phases ``(m, h, w)`` over Gaussian neighbourhoods, weighted by amplitude."""
    if sigma == 0:
        return phases
    weights = np.broadcast_to(amplitude, phases.shape)
    return np.stack(
        [
            cv2.GaussianBlur(weight * phase, (0, 0), sigma)
            / (cv2.GaussianBlur(weight, (0, 0), sigma) + _TINY)
            for weight, phase in zip(weights, phases, strict=True)
        ]
    )
