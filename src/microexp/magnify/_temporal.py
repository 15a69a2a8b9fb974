"""Temporal band-pass of arrays that come one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter

from microexp.errors import OptionError


def check_band(method: str, band: object) -> None:
    """Raise `OptionError` unless a band is None or two frequencies in Hz, the lower one first."""
    if band is None:
        return
    numbers = isinstance(band, Sequence) and len(band) == 2 and all(isinstance(f, int | float) for f in band)
    if not numbers or not 0 < band[0] < band[1] < np.inf:  # type: ignore[index]
        raise OptionError(
            f"{method}: band must be None or a pair of frequencies in Hz with 0 < low < high, got {band!r}"
        )


class BandPass:
    """A Butterworth band-pass of first order whose state is that of two arrays.

    Its response is s B / (s^2 + B s + w0^2): it is 1, without delay, at the band's geometric centre, down by
    3 dB at its ends, and 0 for what does not change. It starts as if all had been 0 before.

    Parameters
    ----------
    method : str
        For messages.
    band : tuple of float
        Where it begins and ends, Hz.
    fps : float or None
        Arrays a second.

    Raises
    ------
    OptionError
        If `fps` is None or not more than twice the band's end.
    """

    def __init__(self, method: str, band: tuple[float, float], fps: float | None) -> None:
        low, high = band
        if fps is None:
            raise OptionError(f"{method}: a band of {low:g} to {high:g} Hz needs fps, the frames a second")
        if not high < fps / 2:
            raise OptionError(
                f"{method}: at {fps:g} frames a second a band must end below {fps / 2:g} Hz, this one is "
                f"{low:g} to {high:g} Hz"
            )
        b0, _, b2, _, self._a1, self._a2 = butter(1, band, "bandpass", output="sos", fs=fps)[0].tolist()
        self._b0, self._b2 = b0, b2  # b1 is 0
        self._first: np.ndarray | float = 0.0
        self._second: np.ndarray | float = 0.0

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """Return what of the next array is in the band; of its shape and type."""
        passed = self._b0 * array + self._first
        self._first = self._second - self._a1 * passed
        self._second = self._b2 * array - self._a2 * passed
        return passed
