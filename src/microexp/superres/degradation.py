"""How small pictures come about: plain downscaling, that of a paper, and that of cameras and networks.

`degrade` makes a picture or a sequence small, for training; the classes make clips small, as scikit-learn
transformers. What is random is drawn from a seed and the clip's name, once a clip and alike in any process.
Only noise is drawn anew for each frame.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import cv2
import numpy as np
from numpy.random import Generator
from scipy.special import j1

from microexp.clip import Clip
from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.frames import Frames, as_rgb8
from microexp.stateless import Stateless
from microexp.superres.resize import (
    PictureFunction,
    check_kernel,
    check_picture,
    code_version,
    divided_size,
    is_whole,
    resize,
)

DEGRADATIONS = ("bicubic", "gan-paper", "real-world")
# Kinds of Real-ESRGAN's blurs, and their probabilities.
BLURS = ("iso", "aniso", "generalised-iso", "generalised-aniso", "plateau-iso", "plateau-aniso", "sinc")
SHARES = (0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.1)
INTERPOLATIONS: Mapping[str, int] = MappingProxyType(
    {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA, "bicubic": cv2.INTER_CUBIC}
)
_SINC_LAST = 0.8  # probability of the last low-pass filter
_MEDIAN = 0.5  # probability of the median of the GAN paper
_GREY = 0.4  # probability that noise is one for the three channels


@dataclass(frozen=True)
class Ranges:
    """What the values of one pass of Real-ESRGAN's degradation are drawn from."""

    blur: float  # probability
    sigma: tuple[float, float]  # of the blur, pixels
    directions: tuple[float, float, float]  # probabilities of enlarging, making smaller, keeping
    factors: tuple[float, float]  # least and largest; enlarging draws from 1 on, making smaller up to 1
    gaussian: tuple[float, float]  # standard deviation, of 255; its probability is one half
    poisson: tuple[float, float]  # factor on the noise
    quality: tuple[int, int]  # of the JPEG


FIRST = Ranges(1.0, (0.2, 3), (0.2, 0.7, 0.1), (0.15, 1.5), (1, 30), (0.05, 3), (30, 95))
SECOND = Ranges(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1, 25), (0.05, 2.5), (5, 50))


@dataclass(frozen=True)
class Blur:
    """A blur: kind (see `BLURS`), side, standard deviations (pixels), angle, exponent, cut-off (radians)."""

    kind: str
    side: int
    sigmas: tuple[float, float] = (1.0, 1.0)
    angle: float = 0.0
    beta: float = 1.0
    cutoff: float = math.pi

    @classmethod
    def draw(cls, sigma: tuple[float, float], generator: Generator) -> Blur:
        """Draw a blur whose standard deviations are in the given range.

        The exponent is below or above 1 with equal chances, within [0.5, 4] and, of a plateau, [1, 2]; the
        cut-off is in [pi/3, pi], of 13 pixels and more in [pi/5, pi].
        """
        kind = str(generator.choice(BLURS, p=SHARES))
        side = _side(generator)
        across, along = generator.uniform(*sigma, 2).tolist()
        low, high = (1.0, 2.0) if kind.startswith("plateau") else (0.5, 4.0)
        beta = generator.uniform(low, 1) if generator.random() < 0.5 else generator.uniform(1, high)
        angle = generator.uniform(-math.pi, math.pi)
        cutoff = generator.uniform(math.pi / 3 if side < 13 else math.pi / 5, math.pi)
        if kind.endswith("aniso"):
            return cls(kind, side, (across, along), angle, 1.0 if kind == "aniso" else beta)
        if kind == "sinc":
            return cls(kind, side, cutoff=cutoff)
        return cls(kind, side, (across, across), beta=1.0 if kind == "iso" else beta)

    def kernel(self) -> np.ndarray:
        """Return the weights, ``(side, side) float64`` of sum 1.

        With q the squared distance in standard deviations: ``exp(-q^beta / 2)``, of a plateau
        ``1 / (1 + q^beta)``. Of a sinc, the circular low-pass filter ``c J1(c r) / (2 pi r)``.
        """
        y, x = np.mgrid[: self.side, : self.side] - (self.side - 1) / 2
        if self.kind == "sinc":
            r = np.maximum(np.hypot(x, y), 1e-9)
            weights = self.cutoff * j1(self.cutoff * r) / (2 * math.pi * r)
        else:
            cos, sin = math.cos(self.angle), math.sin(self.angle)
            u, v = cos * x + sin * y, cos * y - sin * x
            q = ((u / self.sigmas[0]) ** 2 + (v / self.sigmas[1]) ** 2) ** self.beta
            weights = 1 / (1 + q) if self.kind.startswith("plateau") else np.exp(-q / 2)
        return weights / weights.sum()

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Return the blurred picture; beyond its border it is mirrored."""
        return cv2.filter2D(picture, -1, self.kernel(), borderType=cv2.BORDER_REFLECT_101)


@dataclass(frozen=True)
class Noise:
    """Noise: "gaussian" (strength: standard deviation of 255) or "poisson" (strength: factor on it)."""

    kind: str
    strength: float
    grey: bool

    def apply(self, picture: np.ndarray, generator: Generator) -> np.ndarray:
        """Return ``(H, W, 3) float32`` with noise, clipped to [0, 1].

        Poisson: as many events at full brightness as the picture has levels, rounded up to a power of 2.
        """
        if self.kind == "gaussian":
            shape = (*picture.shape[:2], 1) if self.grey else picture.shape
            noise = generator.standard_normal(shape) * (self.strength / 255)
        else:
            seen = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., np.newaxis] if self.grey else picture
            levels = np.clip(np.rint(seen * 255), 0, 255)
            events = 2.0 ** math.ceil(math.log2(len(np.unique(levels))))
            noise = (generator.poisson(levels / 255 * events) / events - levels / 255) * self.strength
        return np.clip(picture + noise, 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Pass:
    """The values of one pass: blur, resizing, noise, JPEG."""

    blur: Blur | None
    factor: float
    interpolation: str
    noise: Noise
    quality: int

    @classmethod
    def draw(cls, ranges: Ranges, generator: Generator) -> Pass:
        """Draw the values of a pass."""
        blur = Blur.draw(ranges.sigma, generator) if generator.random() < ranges.blur else None
        low, high = ranges.factors
        up, down, keep = generator.uniform(1, high), generator.uniform(low, 1), 1.0
        factor = float(generator.choice([up, down, keep], p=ranges.directions))
        kind = "gaussian" if generator.random() < 0.5 else "poisson"
        strength = generator.uniform(*(ranges.gaussian if kind == "gaussian" else ranges.poisson))
        noise = Noise(kind, strength, bool(generator.random() < _GREY))
        quality = int(generator.integers(*ranges.quality, endpoint=True))
        return cls(blur, factor, _interpolation(generator), noise, quality)

    def apply(self, picture: np.ndarray, size: tuple[int, int], generator: Generator) -> np.ndarray:
        """Return the picture blurred, resized to the factor times `size`, with noise; without the JPEG."""
        blurred = picture if self.blur is None else self.blur.apply(picture)
        height, width = (max(int(n * self.factor), 1) for n in size)
        resized = cv2.resize(blurred, (width, height), interpolation=INTERPOLATIONS[self.interpolation])
        return self.noise.apply(resized, generator)


@dataclass(frozen=True)
class RealWorld:
    """Real-ESRGAN's degradation (Wang et al., ICCVW 2021, section 3), with all its values drawn.

    Two passes of blur, resizing, noise and JPEG; the second JPEG comes before or after the resizing to the
    final size and its low-pass filter. Probabilities and ranges are mmagic's; the authors' own code has JPEG
    qualities 30 to 95 in both passes. As in that, the second pass's factor is one on the final size.
    """

    first: Pass
    second: Pass
    interpolation: str
    sinc: Blur | None
    jpeg_last: bool

    @classmethod
    def draw(cls, generator: Generator) -> RealWorld:
        """Draw all values."""
        first, second = Pass.draw(FIRST, generator), Pass.draw(SECOND, generator)
        sinc = Blur("sinc", _side(generator), cutoff=generator.uniform(math.pi / 3, math.pi))
        kept = sinc if generator.random() < _SINC_LAST else None
        return cls(first, second, _interpolation(generator), kept, bool(generator.random() < 0.5))

    def apply(self, picture: np.ndarray, size: tuple[int, int], generator: Generator) -> np.ndarray:
        """Return ``(*size, 3) uint8`` of ``(H, W, 3) uint8``; the generator gives the noise."""
        height, width = picture.shape[:2]
        seen = self.first.apply(picture.astype(np.float32) / 255, (height, width), generator)
        seen = self.second.apply(_jpeg(seen, self.first.quality), size, generator)
        if not self.jpeg_last:
            seen = _jpeg(seen, self.second.quality)
        seen = cv2.resize(seen, size[::-1], interpolation=INTERPOLATIONS[self.interpolation])
        if self.sinc is not None:
            seen = self.sinc.apply(seen)
        return as_rgb8(_jpeg(seen, self.second.quality) if self.jpeg_last else seen)


def _gan_paper(picture: np.ndarray, size: tuple[int, int], median: bool) -> np.ndarray:
    """Return ``(*size, 3) uint8`` as `GanPaperDegradation` says."""
    small = cv2.GaussianBlur(resize(picture, size), (3, 3), 0)
    return cv2.medianBlur(small, 3) if median else small


def degrade(picture: np.ndarray, name: str, factor: int, generator: Generator) -> np.ndarray:
    """Make a picture, or the frames of a sequence in one way, small; for training.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3)`` or ``(T, H, W, 3)``; ``uint8``, or floating in [0, 1].
    name : {"bicubic", "gan-paper", "real-world"}
        MATLAB's bicubic; as `GanPaperDegradation`; as `RealWorldDegradation`.
    factor : int
        What height and width are divided by.
    generator : numpy.random.Generator
        All that is random is drawn from it.

    Returns
    -------
    numpy.ndarray
        ``(H / factor, W / factor, 3)``, or with T before, of the same kind, and of 256 levels in any.

    Raises
    ------
    DataError
        If the picture has another form, or a size that the factor does not divide.
    OptionError
        If the factor is no whole number from 1 on, or the name unknown.
    """
    check_picture(picture, (3, 4))
    if picture.shape[-1] != 3:
        raise DataError(f"what is degraded is RGB, its last axis of 3, got {picture.shape}")
    if name not in DEGRADATIONS:
        raise UnknownNameError("degradation", name, DEGRADATIONS)
    height, width = picture.shape[-3:-1]
    size = divided_size((height, width), factor, "the picture")
    if name == "bicubic":
        make_small = partial(resize, size=size)
    elif name == "gan-paper":
        make_small = partial(_gan_paper, size=size, median=generator.random() < _MEDIAN)
    else:
        make_small = partial(RealWorld.draw(generator).apply, size=size, generator=generator)
    small = np.stack([make_small(one) for one in as_rgb8(picture).reshape(-1, height, width, 3)])
    small = small.reshape(*picture.shape[:-3], *size, 3)
    return small if picture.dtype == np.uint8 else (small / 255).astype(picture.dtype)


class _Degradation(Stateless, ABC):
    """Clips made small, each by a function of its own."""

    factor: int

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return the small clips; frames are made when they are read, annotation and metadata stay.

        Raises
        ------
        DataError
            If a clip's frames have a size that the factor does not divide, or are smaller than wanted.
        OptionError
            If a parameter cannot be used.
        """
        return [clip.replace(frames=self._frames(clip, self._size(clip))) for clip in clips]

    def _size(self, clip: Clip) -> tuple[int, int]:
        return divided_size(clip.size, self.factor, clip.identity)

    @abstractmethod
    def _frames(self, clip: Clip, size: tuple[int, int]) -> Frames:
        """Return the frames made small to height and width `size`."""


@dataclass(eq=False, repr=False)
class Downscale(_Degradation):
    """Clips made smaller by one kernel, as in benchmarks: 256 to 128, 64, 32 or 16.

    Parameters
    ----------
    factor : int
        What height and width are divided by.
    size : int, pair of int or None
        Side of the small frames, or their height and width; if given, the factor is not used.
    kernel : {"matlab", "opencv", "pillow", "area"}
        See `microexp.superres.resize`.
    """

    factor: int = 4
    size: int | tuple[int, int] | None = None
    kernel: str = "matlab"

    def _size(self, clip: Clip) -> tuple[int, int]:
        if self.size is None:
            return super()._size(clip)
        size = self.size if isinstance(self.size, tuple | list) else (self.size, self.size)
        if len(size) != 2 or not all(is_whole(n) for n in size):
            raise OptionError(f"Downscale: size must be a side, or (height, width), in pixels, got {size}")
        (height, width), (rows, columns) = clip.size, size
        if rows > height or columns > width:
            raise DataError(f"{clip.identity}: frames of {height}x{width} are smaller than {rows}x{columns}")
        return int(rows), int(columns)

    def _frames(self, clip: Clip, size: tuple[int, int]) -> Frames:
        check_kernel(self.kernel)
        return clip.frames.map(PictureFunction(resize, (size, self.kernel)), size)


@dataclass(eq=False, repr=False)
class _RandomDegradation(_Degradation):
    factor: int = 4
    random_state: int = 0

    def _seed(self, clip: Clip) -> str:
        if not isinstance(self.random_state, int | np.integer):
            raise OptionError(f"random_state must be a whole number, got {self.random_state!r}")
        return f"{self.random_state}/{clip.identity}"


class GanPaperDegradation(_RandomDegradation):
    """Clips made small as for a paper on super-resolution by GANs: smaller, blurred, some with a median.

    The paper is "Micro facial expression recognition using GAN generated super resolution images", 128 to 32.
    It names no kernel of downscaling (MATLAB's here) and no size of the median (3 here), leaves the order
    open (this one here), and applies the median to random folders, which in its databases are clips: here to
    all frames of a clip with a chance of one half, or to none. The Gaussian of 3x3 is OpenCV's for a standard
    deviation of 0, which is (1, 2, 1) / 4 both ways.

    Parameters
    ----------
    factor : int
        What height and width are divided by.
    random_state : int
        Seed. With it counts the clip's database, subject and name; clips without a name are degraded alike.
    """

    def _frames(self, clip: Clip, size: tuple[int, int]) -> Frames:
        median = bool(_generator(self._seed(clip)).random() < _MEDIAN)
        return clip.frames.map(PictureFunction(_gan_paper, (size, median)), size)


class RealWorldDegradation(_RandomDegradation):
    """Clips made small as `RealWorld` says: its values drawn once a clip, noise once a frame.

    Parameters are those of `GanPaperDegradation`.
    """

    def _frames(self, clip: Clip, size: tuple[int, int]) -> Frames:
        return _RealWorldFrames(clip.frames, size, self._seed(clip))


class _RealWorldFrames(Frames):
    """Frames degraded alike, each with noise of its own, which its index decides."""

    def __init__(self, source: Frames, size: tuple[int, int], seed: str) -> None:
        self._source, self._size, self._seed = source, size, seed
        self.values = RealWorld.draw(_generator(seed))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self._source), *self._size, 3

    def read(self, index: int) -> np.ndarray:
        return self.values.apply(self._source[index], self._size, _generator(f"{self._seed}/{index}"))

    def identity(self, indices: Sequence[int]) -> object:
        source = self._source.fingerprint(indices)
        return None if source is None else (source, self._seed, self._size, code_version())


def _side(generator: Generator) -> int:
    """Draw the side of a blur: 7, 9, ..., 21."""
    return int(2 * generator.integers(3, 10, endpoint=True) + 1)


def _interpolation(generator: Generator) -> str:
    return str(generator.choice(list(INTERPOLATIONS)))


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """Return ``(H, W, 3) float32`` as it comes out of a JPEG file."""
    levels = cv2.cvtColor(as_rgb8(picture), cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.float32)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB) / 255


def _generator(seed: str) -> Generator:  # the same in every process
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16]))
