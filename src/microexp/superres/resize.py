"""Resizing pictures by the kernels that results of super-resolution depend on: MATLAB's first of all.

Networks are trained on pictures that MATLAB's ``imresize`` made smaller, antialiased. Of pictures that were
made smaller without that, they give less than plain bicubic interpolation does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import cv2
import numpy as np
import PIL
from PIL import Image
from scipy import sparse

from microexp.cache import source_hash
from microexp.errors import DataError, OptionError, UnknownNameError

Size = float | tuple[int, int]
_Axis = tuple[int, float]  # pixels to come to, and the factor


def resize(picture: np.ndarray, size: Size, kernel: str = "matlab") -> np.ndarray:
    """Resize a picture, or each of a sequence.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W)``, ``(H, W, C)`` or ``(T, H, W, C)``; ``uint8``, or floating in [0, 1].
    size : float or tuple of int
        Height and width to come to, or the factor: s makes ``ceil(s n)`` pixels of n.
    kernel : {"matlab", "opencv", "pillow", "area"}
        "matlab": see `matlab_resize`. "opencv": OpenCV's bicubic (a = -0.75), which does not antialias.
        "pillow": Pillow's bicubic (a = -0.5), antialiased; as MATLAB's but for borders and rounding. "area":
        OpenCV's mean of areas (bilinear where the picture grows).

    Returns
    -------
    numpy.ndarray
        Of the same kind. ``uint8`` is rounded and clipped; floating values are not, and cubic kernels
        overshoot at edges.

    Raises
    ------
    DataError
        If the picture has another form.
    OptionError
        If the size is not positive, or the kernel unknown.
    """
    check_kernel(kernel)
    check_picture(picture)
    first = 1 if picture.ndim == 4 else 0  # the axis of the height
    before, after = picture.shape[:first], picture.shape[first + 2 :]
    stack = picture.reshape(*(before or (1,)), *picture.shape[first : first + 2], *(after or (1,)))
    rows, columns = _targets(stack.shape[1:3], size)
    resized = _KERNELS[kernel](stack, rows, columns)
    if picture.dtype == np.uint8:
        resized = np.clip(np.rint(resized), 0, 255)
    return resized.astype(picture.dtype).reshape(*before, rows[0], columns[0], *after)


def matlab_resize(picture: np.ndarray, size: Size) -> np.ndarray:
    """Resize as MATLAB's ``imresize`` does by default: bicubic (a = -0.5), antialiased where it shrinks.

    Beyond the border the picture goes on as its mirror image, edge pixels twice; weights are normalised. Sums
    are taken in ``float64`` and rounded once, as of ``im2double``.

    Parameters, results and errors are those of `resize`.
    """
    return resize(picture, size, "matlab")


def check_kernel(kernel: str, known: tuple[str, ...] = ()) -> None:
    """Raise `UnknownNameError` if `kernel` is not a name of those known (by default, of all)."""
    if kernel not in (known or _KERNELS):
        raise UnknownNameError("kernel of resizing", str(kernel), known or _KERNELS)


def check_picture(picture: np.ndarray, dimensions: tuple[int, ...] = (2, 3, 4)) -> None:
    """Raise `DataError` if an array has other dimensions, is empty, or of no type that pictures have."""
    is_type = picture.dtype == np.uint8 or np.issubdtype(picture.dtype, np.floating)
    if picture.ndim not in dimensions or not is_type or 0 in picture.shape:
        forms = " or ".join({2: "(H, W)", 3: "(H, W, C)", 4: "(T, H, W, C)"}[n] for n in dimensions)
        raise DataError(
            f"a picture is {forms}, uint8 or floating in [0, 1], got {picture.shape} {picture.dtype}"
        )


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number, 1 or more."""
    return isinstance(value, int | np.integer) and bool(value > 0)


def divided_size(size: tuple[int, int], factor: int, name: str) -> tuple[int, int]:
    """Return height and width divided by a factor; errors begin with `name`.

    Raises
    ------
    OptionError
        If the factor is no whole number from 1 on.
    DataError
        If it does not divide the size.
    """
    if not is_whole(factor):
        raise OptionError(
            f"{name}: the factor to divide by must be a whole number, 1 or more, got {factor!r}"
        )
    if size[0] % factor or size[1] % factor:
        raise DataError(
            f"{name}: height and width must be multiples of {factor} to be divided by it, got "
            f"{size[0]}x{size[1]}"
        )
    return size[0] // factor, size[1] // factor


@dataclass(frozen=True)
class PictureFunction:
    """A function of a picture and of plain values that has an identity, for `microexp.frames.Frames.map`.

    Parameters
    ----------
    function : callable
        A function of a module, ``function(picture, *values)``.
    values : tuple
        Numbers, text and tuples of these.
    """

    function: Callable[..., np.ndarray]
    values: tuple

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return self.function(picture, *self.values)

    @property
    def fingerprint(self) -> str:
        """Name the function, its values and its code."""
        return f"{self.function.__module__}.{self.function.__qualname__}{self.values} {code_version()}"


def code_version() -> str:
    """Name the code that pictures are resized and degraded by."""
    libraries = f"numpy {np.__version__} opencv {cv2.__version__} pillow {PIL.__version__}"
    return f"{source_hash('microexp.superres')} {libraries}"


@lru_cache(maxsize=128)
def resize_matrix(length: int, count: int, factor: float) -> sparse.csr_array:
    """Return the weights by which MATLAB makes `count` pixels of a row of `length`.

    Parameters
    ----------
    length, count : int
        Pixels before and after.
    factor : float
        Pixels after, a pixel before; it says where the new pixels lie.

    Returns
    -------
    scipy.sparse.csr_array
        ``(count, length) float64``, rows of sum 1; shared, not to be changed.
    """
    shrunk = min(factor, 1.0)  # the kernel is widened by its inverse, which is the antialiasing
    centres = (np.arange(count) + 0.5) / factor - 0.5
    reach = 2 / shrunk
    taps = np.floor(centres - reach).astype(int)[:, np.newaxis] + np.arange(math.ceil(2 * reach) + 2)
    weights = cubic(shrunk * (centres[:, np.newaxis] - taps))
    weights /= weights.sum(axis=1, keepdims=True)
    turned = taps % (2 * length)
    mirrored = np.minimum(turned, 2 * length - 1 - turned)
    rows = np.repeat(np.arange(count), taps.shape[1])
    matrix = sparse.coo_array((weights.ravel(), (rows, mirrored.ravel())), shape=(count, length)).tocsr()
    matrix.eliminate_zeros()
    return matrix


def cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    """Return Keys' kernel of cubic convolution at distances `x`, pixels; it ends at 2."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _targets(shape: tuple[int, ...], size: Size) -> tuple[_Axis, _Axis]:
    """Return what height and width come to, and their factors."""
    if isinstance(size, int | float | np.number):
        if not 0 < size < math.inf:
            raise OptionError(f"the factor of resizing must be positive, got {size}")
        rows, columns = ((math.ceil(length * size), float(size)) for length in shape)
    else:
        if len(size) != 2 or not all(is_whole(n) for n in size):
            raise OptionError(f"the size to resize to is (height, width) in whole pixels, got {size}")
        rows, columns = ((int(count), count / length) for count, length in zip(size, shape, strict=True))
    return rows, columns


def _matlab(stack: np.ndarray, rows: _Axis, columns: _Axis) -> np.ndarray:
    """Resize ``(T, H, W, C)``; every pixel's sum is the same however many pictures there are."""
    resized = stack.astype(np.float64)
    for axis, (count, factor) in ((1, rows), (2, columns)):
        lines = np.moveaxis(resized, axis, 0)
        product = resize_matrix(len(lines), count, factor) @ lines.reshape(len(lines), -1)
        resized = np.moveaxis(product.reshape(count, *lines.shape[1:]), 0, axis)
    return resized


def _opencv(interpolation: int) -> Callable[[np.ndarray, _Axis, _Axis], np.ndarray]:
    def apply(stack: np.ndarray, rows: _Axis, columns: _Axis) -> np.ndarray:
        levels = stack if stack.dtype == np.uint8 else stack.astype(np.float64)
        size = columns[0], rows[0]
        return np.stack([cv2.resize(one, size, interpolation=interpolation) for one in levels])

    return apply


def _pillow(stack: np.ndarray, rows: _Axis, columns: _Axis) -> np.ndarray:
    levels = stack if stack.dtype == np.uint8 else stack.astype(np.float32)
    planes = np.moveaxis(levels, 3, 1).reshape(-1, *stack.shape[1:3])
    size = columns[0], rows[0]
    resized = np.stack(
        [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in planes]
    )
    return np.moveaxis(resized.reshape(len(stack), -1, *resized.shape[1:]), 1, 3)


_KERNELS: Mapping[str, Callable[[np.ndarray, _Axis, _Axis], np.ndarray]] = MappingProxyType(
    {
        "matlab": _matlab,
        "opencv": _opencv(cv2.INTER_CUBIC),
        "pillow": _pillow,
        "area": _opencv(cv2.INTER_AREA),
    }
)
KERNELS = tuple(_KERNELS)
