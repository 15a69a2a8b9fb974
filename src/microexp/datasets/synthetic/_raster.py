"""A z-buffer in NumPy: which triangle every pixel sees, and where in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CHUNK = 1_500_000  # candidate fragments handled at a time


@dataclass(frozen=True, eq=False)
class Coverage:
    """What a raster of ``h x w`` pixels sees.

    Attributes
    ----------
    pixels : numpy.ndarray
        ``(N,) int64`` flat indices of the covered pixels, ascending.
    triangles : numpy.ndarray
        ``(N,) int64`` index of the triangle seen there.
    weights : numpy.ndarray
        ``(N, 3) float32`` barycentric coordinates of the pixel centre in it.
    shape : tuple of int
        ``(h, w)``.
    """

    pixels: np.ndarray
    triangles: np.ndarray
    weights: np.ndarray
    shape: tuple[int, int]

    def interpolate(self, corners: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Interpolate vertex `values` ``(V, C)`` over the pixels; `corners` ``(T, 3)`` are vertex ids."""
        ids = corners[self.triangles]
        out = values[ids[:, 0]] * self.weights[:, :1]
        out += values[ids[:, 1]] * self.weights[:, 1:2]
        out += values[ids[:, 2]] * self.weights[:, 2:]
        return out


def rasterise(points: np.ndarray, triangles: np.ndarray, shape: tuple[int, int]) -> Coverage:
    """Draw the triangles that face the camera into a z-buffer.

    Parameters
    ----------
    points : numpy.ndarray
        ``(V, 3)``: x and y in pixels (centres at .5), z larger where nearer.
    triangles : numpy.ndarray
        ``(T, 3)`` vertex ids, counter-clockwise in a y-up world.
    shape : tuple of int
        Height and width of the raster.
    """
    height, width = shape
    a, b, c = (points.astype(np.float32)[triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    low = np.minimum(np.minimum(a, b), c)[:, :2] - np.float32(0.5)
    high = np.maximum(np.maximum(a, b), c)[:, :2] - np.float32(0.5)
    visible = (area < -1e-9) & (high[:, 0] >= 0) & (high[:, 1] >= 0)
    visible = np.nonzero(visible & (low[:, 0] < width) & (low[:, 1] < height))[0]
    low, high = (np.floor(low[visible]).astype(np.int64), np.ceil(high[visible]).astype(np.int64))
    corners, area = np.stack([a[visible], b[visible], c[visible]], axis=1), area[visible]
    side = np.maximum(high[:, 0] - low[:, 0], high[:, 1] - low[:, 1]) + 1
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    reach = 4
    previous = 0
    while previous < side.max(initial=0):
        chosen = np.nonzero((side > previous) & (side <= reach))[0]
        step = max(1, _CHUNK // reach**2)
        parts.extend(
            _fragments(corners, area, low, chosen[start : start + step], reach, shape)
            for start in range(0, len(chosen), step)
        )
        previous, reach = reach, reach * 2
    return _nearest(parts, visible, shape)


def _fragments(
    corners: np.ndarray,
    area: np.ndarray,
    low: np.ndarray,
    chosen: np.ndarray,
    reach: int,
    shape: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (pixel, depth, triangle, weights) wherever a chosen triangle covers a pixel centre."""
    rows, columns = np.divmod(np.arange(reach * reach), reach)
    x = low[chosen, :1] + columns
    y = low[chosen, 1:] + rows
    px, py = (x + 0.5).astype(np.float32), (y + 0.5).astype(np.float32)
    a, b, c = (corners[chosen, i, None, :] for i in range(3))
    scale = 1.0 / area[chosen, None]
    w0 = ((b[..., 0] - px) * (c[..., 1] - py) - (b[..., 1] - py) * (c[..., 0] - px)) * scale
    w1 = ((c[..., 0] - px) * (a[..., 1] - py) - (c[..., 1] - py) * (a[..., 0] - px)) * scale
    w2 = 1.0 - w0 - w1
    inside = (w0 >= -1e-5) & (w1 >= -1e-5) & (w2 >= -1e-5)
    inside &= (x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0])
    row, k = np.nonzero(inside)
    weights = np.stack([w0[row, k], w1[row, k], w2[row, k]], axis=1)
    ids = chosen[row]
    depth = (corners[ids, :, 2] * weights).sum(1)
    return y[row, k] * shape[1] + x[row, k], depth, ids, weights


def _nearest(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    names: np.ndarray,
    shape: tuple[int, int],
) -> Coverage:
    """Keep the nearest fragment of every pixel; among equals the triangle with the higher number.

    `names` turns the fragments' numbers of triangles into those of the mesh.
    """
    if not parts:
        empty = np.empty(0, np.int64)
        return Coverage(empty, empty, np.empty((0, 3), np.float32), shape)
    pixel, depth, ids, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((ids, depth))
    winner = np.full(shape[0] * shape[1], -1)
    winner[pixel[order]] = order
    pixels = np.nonzero(winner >= 0)[0]
    best = winner[pixels]
    return Coverage(pixels, names[ids[best]], weights[best], shape)
