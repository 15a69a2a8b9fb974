"""A subject's neutral picture with the geometry behind every pixel, and the pictures made from it."""

from __future__ import annotations

from functools import cached_property, lru_cache

import cv2
import numpy as np

from microexp.cache import Arrays, cached
from microexp.datasets.synthetic import _chart as chart
from microexp.datasets.synthetic._action_units import Weights, displacement, fold_depths, unit_field
from microexp.datasets.synthetic._assets import SKIN, assets, renderer_version
from microexp.datasets.synthetic._hair import ear_weight, scalp_height
from microexp.datasets.synthetic._look import look_of
from microexp.datasets.synthetic._mesh import vertex_normals
from microexp.datasets.synthetic._raster import Coverage, rasterise
from microexp.datasets.synthetic._render import FOLD_SHADE, GAMMA, REST, Head, Pose, Window

_STEPS = 4  # of the fixed-point iteration that inverts a flow
_SUBPIXEL = 256  # levels of the stored picture per 8-bit level
_LARGE = 5.0  # pixels at 256x256: displacement above which the head is drawn anew
_TURNED = 0.06  # radians: the same for head rotation


class Scene:
    """One subject at one picture size.

    Attributes
    ----------
    head : Head
        Geometry, camera and light.
    """

    def __init__(self, seed: int, subject: int, size: int) -> None:
        self.head = Head(look_of(seed, subject), size)
        self._key = ("scene", renderer_version(), seed, subject, size)

    @cached_property
    def _arrays(self) -> Arrays:
        return cached("synthetic", self._key, self._build)

    @cached_property
    def picture(self) -> np.ndarray:
        """The neutral picture before the camera's noise, ``(H, W, 3) float32`` in [0, 255]."""
        return self._arrays["picture"].astype(np.float32) / _SUBPIXEL

    @cached_property
    def seen(self) -> Coverage:
        """What the pixel centres of the neutral picture see."""
        stored = self._arrays
        pixels, triangles = stored["pixels"].astype(np.int64), stored["triangles"].astype(np.int64)
        return Coverage(pixels, triangles, stored["weights"], (self.head.size, self.head.size))

    def _build(self) -> Arrays:
        head = self.head
        picture, _ = head.draw(head.neutral)
        points = head.project(head.neutral)
        points[:, :2] += 0.5
        seen = rasterise(points, assets().triangles, (head.size, head.size))
        return {
            "picture": np.round(picture * _SUBPIXEL).astype(np.uint16),
            "pixels": seen.pixels.astype(np.int32),
            "triangles": seen.triangles.astype(np.int16),
            "weights": seen.weights,
        }

    @property
    def unit(self) -> float:
        """Pixels of this picture per pixel at 256x256."""
        return self.head.size / 256

    @cached_property
    def neutral_points(self) -> np.ndarray:
        """Projected vertices of the neutral head, ``(V, 3)``."""
        return self.head.project(self.head.neutral)

    @cached_property
    def head_mask(self) -> np.ndarray:
        """``(H, W) bool``: pixels that see the head."""
        mask = np.zeros(self.seen.shape, bool)
        mask.reshape(-1)[self.seen.pixels] = True
        return mask

    @cached_property
    def face_mask(self) -> np.ndarray:
        """``(H, W) bool``: pixels that see the face, from the hair to the jaw, without ears and neck."""
        mark = self.neutral_points[assets().landmarks, :2]
        jaw = mark[:17]
        brows = mark[17:27]
        up = (mark[27] - mark[8]) * 0.62
        outline = np.concatenate([jaw, (brows + up)[::-1]])
        area = np.zeros(self.seen.shape, np.uint8)
        cv2.fillConvexPoly(area, cv2.convexHull(np.round(outline * 16).astype(np.int32)), 1, shift=4)
        at = self.seen.interpolate(assets().triangles, chart.vertex_chart().astype(np.float32))
        ears = self.seen.interpolate(assets().triangles, ear_weight()[:, None].astype(np.float32))[:, 0]
        mask = np.zeros(self.seen.shape, bool)
        mask.reshape(-1)[self.seen.pixels] = (scalp_height(self.head.look, at) < 0) & (ears < 0.3)
        return mask & area.astype(bool)

    @cached_property
    def measured(self) -> np.ndarray:
        """Ids of the vertices over which an expression's strength is measured: skin that faces the camera."""
        facing = (vertex_normals(self.head.neutral) @ self.head.rotation().T)[:, 2] > 0.15
        bare = (scalp_height(self.head.look, chart.vertex_chart()) < 0) & (ear_weight() < 0.3)
        return np.nonzero(assets().skin_vertices & facing & bare)[0]

    def points(self, weights: Weights, pose: Pose = REST) -> np.ndarray:
        """Projected vertices ``(V, 3)`` under an expression and a head pose."""
        return self.head.project(self.head.neutral + displacement(weights), pose)

    def strength(self, weights: Weights) -> float:
        """Largest displacement by the expression alone, pixels."""
        ids = self.measured
        field = sum((weight * unit_field(*key)[ids] for key, weight in weights.items()), np.zeros(()))
        moved = (self.head.project(self.head.neutral[ids] + field) - self.neutral_points[ids])[:, :2]
        return float(np.sqrt((moved**2).sum(1).max()))

    def flow(self, points: np.ndarray) -> np.ndarray:
        """Return the exact flow from the neutral picture to projected vertices, ``(H, W, 2) float32``.

        Exact at pixels that see the head; on the wall it fades to zero with the distance from the head.
        """
        moved = (points - self.neutral_points)[:, :2].astype(np.float32)
        flow = np.zeros((*self.seen.shape, 2), np.float32)
        flow.reshape(-1, 2)[self.seen.pixels] = self.seen.interpolate(assets().triangles, moved)
        if not moved.any():
            return flow
        near = cv2.GaussianBlur(flow, (0, 0), 8 * self.unit) * self._spread
        return np.where(self.head_mask[..., None], flow, near)

    @cached_property
    def _spread(self) -> np.ndarray:
        cover = cv2.GaussianBlur(self.head_mask.astype(np.float32), (0, 0), 8 * self.unit)
        return (np.minimum(2 * cover, 1) / (cover + 1e-4))[..., None]

    def picture_at(self, weights: Weights, pose: Pose = REST) -> np.ndarray:
        """Return the picture under an expression and a head pose, ``(H, W, 3) float32`` in [0, 255].

        Small movements warp the neutral picture by the exact flow and shade it anew; eyes and mouth are
        drawn anew where lids or lips uncover something, and the whole head where the movement is large.
        """
        vertices = self.head.neutral + displacement(weights)
        points = self.head.project(vertices, pose)
        depths = fold_depths(weights)
        moved = np.sqrt(((points - self.neutral_points)[self.measured, :2] ** 2).sum(1).max())
        anew = max(
            _ramp(float(self.strength(weights)) / self.unit, 0.7 * _LARGE, _LARGE),
            _ramp(max(abs(a) for a in pose.angles), 0.7 * _TURNED, _TURNED),
        )
        if moved == 0:
            return self.picture
        if anew >= 1:
            return self.head.draw(vertices, pose, folds=depths)[0]
        picture = self._warped(vertices, points, pose, depths)
        for window, amount in self._uncovered(points):
            patch = self.head.draw(vertices, pose, window, depths)[0]
            rows = slice(window.top, window.top + window.height)
            columns = slice(window.left, window.left + window.width)
            blend = amount * _feather(window.height, window.width)
            picture[rows, columns] += blend * (patch - picture[rows, columns])
        if anew > 0:
            picture += np.float32(anew) * (self.head.draw(vertices, pose, folds=depths)[0] - picture)
        return picture

    def _warped(
        self, vertices: np.ndarray, points: np.ndarray, pose: Pose, depths: dict[tuple[str, str], float]
    ) -> np.ndarray:
        """The neutral picture, shaded anew and moved by the exact flow."""
        x, y = invert(self.flow(points))
        shade = (self.head.luminance(vertices, pose) / self._resting_light) ** (1 / GAMMA)
        values = self.seen.interpolate(
            assets().triangles, np.clip(shade, 0.6, 1.6)[:, None].astype(np.float32)
        )
        values[assets().parts[self.seen.triangles] != SKIN] = 1
        for (name, side), depth in depths.items():
            values *= np.exp(-FOLD_SHADE * depth * self.folds(name, side))[:, None]
        ratio = np.ones(self.seen.shape, np.float32)
        ratio.reshape(-1)[self.seen.pixels] = values[:, 0]
        shaded = self.picture * ratio[..., None]
        return cv2.remap(shaded, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    @cached_property
    def _resting_light(self) -> np.ndarray:
        return self.head.luminance(self.head.neutral)

    def folds(self, name: str, side: str) -> np.ndarray:
        """How much each covered pixel lies in a fold of the skin, ``(N,) float32`` in [0, 1]."""
        key = (name, side)
        if key not in self._folds:
            self._folds[key] = self.head.folds_at(self.seen, {key: 1.0})
        return self._folds[key]

    @cached_property
    def _folds(self) -> dict[tuple[str, str], np.ndarray]:
        return {}

    def _uncovered(self, points: np.ndarray) -> list[tuple[Window, float]]:
        """Windows to draw anew, each with how much: both eyes if lids moved, the mouth if it opened."""
        mark, rest = points[assets().landmarks, :2], self.neutral_points[assets().landmarks, :2]
        windows = []
        for ids in (range(36, 42), range(42, 48)):
            eye = list(ids)
            lids = (mark - rest)[eye]
            opened = float(np.abs(lids - lids[[0, 3]].mean(0)).max()) / self.unit
            amount = _ramp(opened, 0.25, 0.6)
            if amount > 0:
                windows.append((self._window(np.concatenate([mark[eye], rest[eye]]), 6), amount))
        gap = (
            np.abs((mark[61:64] - mark[[67, 66, 65]]) - (rest[61:64] - rest[[67, 66, 65]])).max() / self.unit
        )
        amount = _ramp(float(gap), 0.3, 0.7)
        if amount > 0:
            windows.append((self._window(np.concatenate([mark[48:68], rest[48:68]]), 6), amount))
        return windows

    def _window(self, around: np.ndarray, margin: float) -> Window:
        edge = margin * self.unit
        low = np.clip(np.floor(around.min(0) - edge), 0, self.head.size - 1).astype(int)
        high = np.clip(np.ceil(around.max(0) + edge), low + 1, self.head.size).astype(int)
        return Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def invert(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each pixel came from: ``x, y`` with ``(x, y) + flow(x, y)`` the pixel, ``float32``."""
    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = columns, rows
    for _ in range(_STEPS):
        moved = cv2.remap(flow, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        x, y = columns - moved[..., 0], rows - moved[..., 1]
    return x, y


@lru_cache(maxsize=12)
def scene(seed: int, subject: int, size: int) -> Scene:
    """The scene of a subject; the last few are kept in memory."""
    return Scene(seed, subject, size)


@lru_cache(maxsize=64)
def _feather(height: int, width: int) -> np.ndarray:
    """A window that falls to zero at its edges, ``(height, width, 1) float32``."""

    def edge(n: int) -> np.ndarray:
        inward = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
        return np.clip(inward / max(2.0, 0.12 * n), 0, 1).astype(np.float32)

    return (edge(height)[:, None] * edge(width))[..., None]


def _ramp(value: float, start: float, end: float) -> float:
    return min(max((value - start) / (end - start), 0.0), 1.0)
