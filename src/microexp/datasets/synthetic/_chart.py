"""The chart: the head's surface unrolled once for all subjects, where skin is painted.

Chart coordinates are decimetres: ``a`` around the head (angle times one decimetre, towards the subject's
left), ``v`` up. They belong to the base head, so that a place on the face has the same coordinates in
every subject.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from microexp.datasets.synthetic._assets import assets

DENSITY = 300  # chart pixels per decimetre
LEFT, RIGHT, BOTTOM, TOP = -1.9, 1.9, -1.55, 1.5
WIDTH, HEIGHT = round((RIGHT - LEFT) * DENSITY), round((TOP - BOTTOM) * DENSITY)
_AXIS_Z = 0.35  # depth of the axis that the head is unrolled around


@lru_cache(maxsize=1)
def vertex_chart() -> np.ndarray:
    """Chart coordinates of the vertices, ``(V, 2) float64``, decimetres."""
    x, y, z = assets().vertices.T
    return np.stack([np.arctan2(x, z - _AXIS_Z), y], axis=1)


def to_pixels(points: np.ndarray) -> np.ndarray:
    """Turn chart coordinates ``(..., 2)`` into chart pixels (x right, y down)."""
    return np.stack([(points[..., 0] - LEFT) * DENSITY, (TOP - points[..., 1]) * DENSITY], axis=-1)


@lru_cache(maxsize=1)
def grid() -> tuple[np.ndarray, np.ndarray]:
    """Coordinates ``a`` and ``v`` of the chart's pixel centres, each ``(HEIGHT, WIDTH) float32``."""
    a = LEFT + (np.arange(WIDTH, dtype=np.float32) + 0.5) / DENSITY
    v = TOP - (np.arange(HEIGHT, dtype=np.float32) + 0.5) / DENSITY
    grids = np.meshgrid(a, v)
    return grids[0], grids[1]


@lru_cache(maxsize=1)
def landmarks() -> np.ndarray:
    """Chart coordinates of the 68 landmarks, ``(68, 2)``."""
    return vertex_chart()[assets().landmarks]


def blob(a: float, v: float, width: float, height: float, tilt: float = 0.0) -> np.ndarray:
    """A Gaussian spot with the given standard deviations, ``(HEIGHT, WIDTH) float32`` in [0, 1]."""
    x, y = grid()
    dx, dy = x - a, y - v
    c, s = np.cos(tilt), np.sin(tilt)
    return np.exp(-0.5 * (((c * dx + s * dy) / width) ** 2 + ((c * dy - s * dx) / height) ** 2)).astype(
        np.float32
    )


def both(a: float, v: float, width: float, height: float, tilt: float = 0.0) -> np.ndarray:
    """The same spot on both sides of the face."""
    return blob(a, v, width, height, tilt) + blob(-a, v, width, height, -tilt)


def filled(points: np.ndarray, soften: float = 0.0) -> np.ndarray:
    """A polygon through chart points as a mask in [0, 1], its edge softened (decimetres)."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [_fixed(points)], 255, cv2.LINE_AA, 4)
    return _soft(mask, soften)


def strokes(lines: list[np.ndarray], width: int = 1, soften: float = 0.0) -> np.ndarray:
    """Poly-lines ``(n, 2)`` through chart points, `width` chart pixels thick, as a mask in [0, 1]."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.polylines(mask, [_fixed(line) for line in lines], False, 255, width, cv2.LINE_AA, 4)
    return _soft(mask, soften)


def smooth_curve(points: np.ndarray, closed: bool = False, samples: int = 60) -> np.ndarray:
    """A Catmull-Rom spline through ``(n, 2)`` points."""
    padded = (
        np.concatenate([points[-1:], points, points[:2]])
        if closed
        else np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    )
    spans = len(padded) - 3
    at = np.linspace(0, spans - 1e-6, samples)
    i, t = at.astype(int), (at % 1)[:, None]
    p0, p1, p2, p3 = (padded[i + k] for k in range(4))
    return 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )


def noise(rng: np.random.Generator, grain: float) -> np.ndarray:
    """Smooth noise of about unit variance and features of `grain` decimetres, ``(HEIGHT, WIDTH)``."""
    step = max(1.0, grain * DENSITY)
    rows, columns = max(3, int(HEIGHT / step)), max(3, int(WIDTH / step))
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    if step == 1.0:
        return coarse[:HEIGHT, :WIDTH]
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 1.25


def sample(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Read a chart picture ``(h, w[, C])`` of any resolution at chart points ``(N, 2)``: ``(N[, C])``."""
    xy = (to_pixels(at) * (picture.shape[1] / WIDTH) - 0.5).astype(np.float32)
    columns = 1024  # OpenCV's maps have to be pictures too, and no side of them above 32767
    rows = max(1, -(-len(xy) // columns))
    maps = np.zeros((2, rows * columns), np.float32)
    maps[:, : len(xy)] = xy.T
    x, y = maps.reshape(2, rows, columns)
    values = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(rows * columns, *picture.shape[2:])[: len(xy)]


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(to_pixels(np.asarray(points)) * 16 - 8).astype(np.int32)


def _soft(mask: np.ndarray, soften: float) -> np.ndarray:
    picture = mask.astype(np.float32) / 255
    return cv2.GaussianBlur(picture, (0, 0), soften * DENSITY) if soften > 0 else picture
