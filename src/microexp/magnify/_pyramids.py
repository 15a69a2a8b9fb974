"""Pyramids that magnify by their coefficients: Laplacian, complex steerable and Riesz."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral

import cv2
import numpy as np
from scipy import fft

from microexp.errors import OptionError

Levels = list[np.ndarray]

_TINY = 1e-12


def check_count(method: str, name: str, count: object, least: int) -> None:
    """Raise `OptionError` unless a parameter is a whole number and not too small."""
    if isinstance(count, bool) or not isinstance(count, Integral) or int(count) < least:
        raise OptionError(f"{method}: {name} must be a whole number, {least} or more, got {count!r}")


def usable_levels(size: Sequence[int], levels: int) -> int:
    """Return how many of the levels a picture has room for: the coarsest has 4 pixels or more a side."""
    return min(levels, max(1, min(size).bit_length() - 2))


def laplacian(picture: np.ndarray, levels: int) -> Levels:
    """Return the Laplacian pyramid (Burt and Adelson 1983), finest level first, and last what remains.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W) float32`` or ``(H, W, C) float32``.
    levels : int
        Without the remainder.
    """
    bands = []
    for _ in range(levels):
        smaller = cv2.pyrDown(picture)
        bands.append(picture - cv2.pyrUp(smaller, dstsize=picture.shape[1::-1]))
        picture = smaller
    return [*bands, picture]


def collapse(bands: Levels) -> np.ndarray:
    """Return the picture of a Laplacian pyramid; what remains beyond its levels may be left out."""
    picture = bands[-1]
    for band in reversed(bands[:-1]):
        picture = band + cv2.pyrUp(picture, dstsize=band.shape[1::-1])
    return picture


class PhasePyramid(ABC):
    """A decomposition of a picture into octaves that have a local phase, which moves with the picture.

    It is made in the Fourier domain. A level of which nothing is above a half, a quarter, ... of the highest
    frequency is sampled that much coarser. Pictures are mirrored at their borders so that what leaves on one
    side does not come back on the other.

    A level is an array ``(n, h, w)``, its phase one of ``(m, h, w) float32`` in radians.

    Parameters
    ----------
    height, width : int
        Of the pictures.
    levels : int
        Octaves; fewer for pictures too small for them.
    """

    def __init__(self, height: int, width: int, levels: int) -> None:
        self.levels = usable_levels((height, width), levels)
        self.size = height, width
        multiple = margin = 2**self.levels
        self.shape = tuple(
            multiple * fft.next_fast_len(-(-(side + 2 * margin) // multiple)) for side in self.size
        )

    def decompose(self, picture: np.ndarray) -> Levels:
        """Return the levels of ``(H, W) float32``, finest first."""
        spectrum = fft.fft2(np.pad(picture, self._margins(), "symmetric"))
        return [self._level(spectrum[_kept(self.shape, i)], i) for i in range(self.levels)]

    def compose(self, levels: Levels) -> np.ndarray:
        """Return the picture ``(H, W) float32`` of levels; it lacks what is above and below all of them."""
        spectrum = np.zeros(self.shape, np.complex64)
        for i, level in enumerate(levels):
            spectrum[_kept(self.shape, i)] += self._spectrum(level, i)
        (top, _), (left, _) = self._margins()
        return fft.ifft2(spectrum).real[top : top + self.size[0], left : left + self.size[1]]

    def change(self, levels: Levels, phases: list[np.ndarray]) -> np.ndarray:
        """Return what shifting the levels by phases adds to their picture, ``(H, W) float32``."""
        return self.compose([self._added(*pair) for pair in zip(levels, phases, strict=True)])

    @abstractmethod
    def phase(self, now: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return by how much the phase of a level exceeds that of another, between -pi and pi."""

    @abstractmethod
    def amplitude(self, level: np.ndarray) -> np.ndarray:
        """Return the local amplitude of a level, of a shape that broadcasts against its phase."""

    @abstractmethod
    def _added(self, level: np.ndarray, phase: np.ndarray) -> np.ndarray:
        """Return what a shift of its phase adds to a level, as `_spectrum` takes it."""

    @abstractmethod
    def _level(self, spectrum: np.ndarray, number: int) -> np.ndarray:
        """Return a level of a picture whose spectrum this is, as far as the level has it."""

    @abstractmethod
    def _spectrum(self, level: np.ndarray, number: int) -> np.ndarray:
        """Return what a level adds to the spectrum, of which the real part of the picture counts."""

    def _margins(self) -> list[tuple[int, int]]:
        """Pixels that are added before and after, vertically and horizontally."""
        extra = [whole - side for whole, side in zip(self.shape, self.size, strict=True)]
        return [(one // 2, one - one // 2) for one in extra]


class SteerablePyramid(PhasePyramid):
    """The complex steerable pyramid of octave bandwidth; a level is ``(orientations, h, w) complex64``.

    Parameters
    ----------
    height, width, levels
        As in `PhasePyramid`.
    orientations : int
        At least 2.
    """

    def __init__(self, height: int, width: int, levels: int, orientations: int) -> None:
        super().__init__(height, width, levels)
        self._filters = [
            steerable_filters(self.shape, number, orientations).astype(np.float32)
            for number in range(self.levels)
        ]

    def phase(self, now: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.angle(now * before.conj())

    def amplitude(self, level: np.ndarray) -> np.ndarray:
        return np.abs(level)

    def _added(self, level: np.ndarray, phase: np.ndarray) -> np.ndarray:
        return level * (np.exp(1j * phase) - 1)

    def _level(self, spectrum: np.ndarray, number: int) -> np.ndarray:
        return fft.ifft2(spectrum * self._filters[number])

    def _spectrum(self, level: np.ndarray, number: int) -> np.ndarray:
        return 2 * (fft.fft2(level) * self._filters[number]).sum(axis=0)


class RieszPyramid(PhasePyramid):
    """Octaves without orientation, each with its two Riesz transforms: a level is ``(3, h, w) float32``.

    The phase is the vector of the quaternion's logarithm, ``(2, h, w)``: its length is the phase and its
    direction the local orientation, so that both signs of an orientation mean the same.
    """

    def __init__(self, height: int, width: int, levels: int) -> None:
        super().__init__(height, width, levels)
        self._filters = [octave_filter(self.shape, n).astype(np.float32) for n in range(self.levels)]
        self._transforms = [riesz_filter(self.shape, n).astype(np.complex64) for n in range(self.levels)]

    def phase(self, now: np.ndarray, before: np.ndarray) -> np.ndarray:
        real = (now * before).sum(axis=0)
        vector = before[0] * now[1:] - now[0] * before[1:]
        length = np.hypot(*vector)
        return vector * (np.arctan2(length, real) / np.maximum(length, _TINY))

    def amplitude(self, level: np.ndarray) -> np.ndarray:
        return np.sqrt((level**2).sum(axis=0))

    def _added(self, level: np.ndarray, phase: np.ndarray) -> np.ndarray:
        length = np.hypot(*phase)
        along = (level[1:] * phase).sum(axis=0)
        return (level[0] * (np.cos(length) - 1) - along * np.sinc(length / np.pi))[None]

    def _level(self, spectrum: np.ndarray, number: int) -> np.ndarray:
        spectrum = spectrum * self._filters[number]
        both = fft.ifft2(spectrum * self._transforms[number])
        return np.stack([fft.ifft2(spectrum).real, both.real, both.imag])

    def _spectrum(self, level: np.ndarray, number: int) -> np.ndarray:
        return fft.fft2(level[0]) * self._filters[number]


@lru_cache(maxsize=4)
def steerable_pyramid(height: int, width: int, levels: int, orientations: int) -> SteerablePyramid:
    """Return the pyramid of these settings, the same one while it is in use."""
    return SteerablePyramid(height, width, levels, orientations)


@lru_cache(maxsize=4)
def riesz_pyramid(height: int, width: int, levels: int) -> RieszPyramid:
    """Return the pyramid of these settings, the same one while it is in use."""
    return RieszPyramid(height, width, levels)


def octave_filter(shape: Sequence[int], level: int) -> np.ndarray:
    """Return the frequency response of an octave: a raised cosine on a logarithmic frequency axis.

    Portilla and Simoncelli (2000), equations 8 to 11. It is 1 at 2^-level of half the highest frequency and
    0 an octave from there. At every frequency the squares of all levels and of what is above and below them
    add up to 1.

    Parameters
    ----------
    shape : sequence of int
        Height and width of the pictures, multiples of 2 to the power of `level`.
    level : int
        0 for the finest.

    Returns
    -------
    numpy.ndarray
        ``(H / 2^level, W / 2^level) float64``, frequency 0 first, as FFTs have it.
    """
    radius = np.hypot(*_frequencies(shape, level))
    octaves = np.log2(np.maximum(radius, _TINY) / np.pi) + level + 1
    return np.cos(np.pi / 2 * np.clip(octaves, -1, 1))


def steerable_filters(shape: Sequence[int], level: int, orientations: int) -> np.ndarray:
    """Return the frequency responses of one level of the complex steerable pyramid.

    An octave times cos^(K-1) of the angle to one of K orientations, on the half-plane of that orientation.
    The squares, at a frequency and its negative together, add up to that of the octave.

    Parameters
    ----------
    shape, level
        As in `octave_filter`.
    orientations : int
        K, at least 2; the first is that of horizontal motion.

    Returns
    -------
    numpy.ndarray
        ``(K, H / 2^level, W / 2^level) float64``.
    """
    y, x = _frequencies(shape, level)
    angle = np.arctan2(y, x) - np.pi * np.arange(orientations)[:, None, None] / orientations
    order = orientations - 1
    scale = 2**order * math.factorial(order) / math.sqrt(orientations * math.factorial(2 * order))
    return scale * octave_filter(shape, level) * np.maximum(np.cos(angle), 0) ** order


def riesz_filter(shape: Sequence[int], level: int) -> np.ndarray:
    """Return the frequency response of both Riesz transforms: the second one is the imaginary part's.

    Returns
    -------
    numpy.ndarray
        ``(H / 2^level, W / 2^level) complex128``: -i (x + i y) / r, 0 at frequency 0.
    """
    y, x = _frequencies(shape, level)
    return (y - 1j * x) / np.maximum(np.hypot(x, y), _TINY)


def _frequencies(shape: Sequence[int], level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertical and horizontal frequencies of a level, radians a pixel of the picture."""
    y, x = (2 * np.pi * fft.fftfreq(side >> level) / 2**level for side in shape)
    return y[:, None], x[None]


def _kept(shape: Sequence[int], level: int) -> tuple[np.ndarray, ...]:
    """Return the index of the frequencies of a spectrum that a level sampled 2^level times coarser has."""
    halves = [(side >> level) // 2 for side in shape]
    return np.ix_(*[np.r_[0:half, side - half : side] for half, side in zip(halves, shape, strict=True)])
