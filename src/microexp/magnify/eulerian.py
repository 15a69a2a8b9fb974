"""Linear Eulerian video magnification: what changes in a pixel is amplified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from microexp.errors import OptionError
from microexp.magnify._colour import added, attenuate_chroma
from microexp.magnify._pyramids import check_count, collapse, laplacian, usable_levels
from microexp.magnify._temporal import BandPass, check_band
from microexp.magnify.base import Magnifier, check_factor

CARD = {
    "class": "Eulerian",
    "title": "Linear Eulerian video magnification",
    "summary": "Amplifies the change of a Laplacian pyramid's levels, since the onset or in a temporal band.",
    "takes": "clips, videos, or a picture (H, W, 3) uint8 RGB and its onset",
    "gives": "the same, with larger motion",
    "paper": {
        "authors": "Wu, Hao-Yu and Rubinstein, Michael and Shih, Eugene and Guttag, John and "
        "Durand, Fredo and Freeman, William T.",
        "title": "Eulerian Video Magnification for Revealing Subtle Changes in the World",
        "venue": "ACM Transactions on Graphics 31(4)",
        "year": 2012,
        "doi": "10.1145/2185520.2185561",
    },
    "notes": [
        "'factor' is the total gain, 1 changes nothing; the paper's alpha is factor - 1.",
        "The paper's bound: a motion of d pixels comes out right where factor times d is less than an eighth "
        "of the wavelength. With 'wavelength' (the paper's lambda_c) the factor falls in proportion to the "
        "wavelength below it, as the bound does; by default it does not, and only the 'untouched' finest "
        "levels and what remains beyond the coarsest are left as they are.",
        "A level's wavelength is the middle of its octave: 2.8 pixels for the finest, then doubling.",
        "OpenCV's levels overlap: the finest, untouched, takes some of the factor from waves of up to 16 "
        "pixels; untouched=0 magnifies these, too, and more of the noise.",
        "With 'band' None motion is that between the onset and each frame: the paper's method with a "
        "difference for a filter. With a band it is a Butterworth band-pass of first order, close to the "
        "paper's difference of two first-order low-passes but with gain 1 at the band's centre; it starts at "
        "the first frame, whatever the onset.",
        "Spatial and temporal filters are linear and commute, so the change of a frame is filtered over time "
        "first and decomposed then.",
        "benchmarks/eulerian_gain.py measures the gain of motion and of noise.",
    ],
}

_FINEST = 2**1.5  # pixels a wave, the middle of the finest level's octave


@dataclass(eq=False, repr=False)
class Eulerian(Magnifier):
    """Linear Eulerian magnification (Wu et al. 2012).

    Parameters
    ----------
    factor : float
        How many times as large motion becomes, >= 1; 1 changes nothing.
    levels : int
        Of the Laplacian pyramid, at least 1; fewer for pictures too small for them.
    untouched : int
        How many of the finest levels are not amplified, >= 0: mostly noise.
    chroma : float
        Factor on the change of colour (I and Q of YIQ), >= 0.
    wavelength : float or None
        Pixels; for shorter waves the factor falls in proportion, down to 1. None for no such limit.
    band : pair of float or None
        Lowest and highest frequency of the motion, Hz, which needs the frame rate; None for all motion since
        the onset.
    """

    factor: float = 3.0
    levels: int = 5
    untouched: int = 1
    chroma: float = 0.1
    wavelength: float | None = None
    band: tuple[float, float] | None = None

    @property
    def by_frame(self) -> bool:
        return self.band is None

    def check_parameters(self) -> None:
        check_factor("Eulerian", self.factor)
        check_count("Eulerian", "levels", self.levels, 1)
        check_count("Eulerian", "untouched", self.untouched, 0)
        if not 0 <= self.chroma < np.inf:
            raise OptionError(f"Eulerian: chroma must be a factor, 0 or more, got {self.chroma}")
        if self.wavelength is not None and not 0 < self.wavelength < np.inf:
            raise OptionError(
                f"Eulerian: wavelength must be None or a number of pixels above 0, got {self.wavelength}"
            )
        check_band("Eulerian", self.band)

    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        motion = None if self.band is None else BandPass("Eulerian", self.band, fps)
        reference = onset if motion is None else None
        for frame in frames:
            reference = frame if reference is None else reference
            change = frame.astype(np.float32) - reference
            yield added(frame, self._amplified(change if motion is None else motion(change)))

    def _amplified(self, change: np.ndarray) -> np.ndarray:
        """Return what is added to a frame of this change, ``(H, W, 3) float32``."""
        number = usable_levels(change.shape[:2], self.levels)
        levels = laplacian(attenuate_chroma(change, self.chroma), number)[:-1]
        return collapse([self._gain(i) * level for i, level in enumerate(levels)])

    def _gain(self, level: int) -> float:
        """Return the paper's alpha at a level of the pyramid."""
        if level < self.untouched:
            return 0.0
        share = 1.0 if self.wavelength is None else min(1.0, _FINEST * 2**level / self.wavelength)
        return max(self.factor * share, 1.0) - 1
