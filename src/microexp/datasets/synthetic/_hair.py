"""Hair: brows, lashes and scalp drawn as strokes on the chart, and the volume that hair adds to the head."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from microexp.datasets.synthetic import _chart as chart
from microexp.datasets.synthetic._assets import SKIN, SOCKET, assets
from microexp.datasets.synthetic._look import Look
from microexp.datasets.synthetic._mesh import neighbour_average

_HAIR = 31  # first word of this module's random streams
# The edge of the hair: angle from the middle of the face (radians), height (decimetres).
_EDGE_ANGLE = np.array([0.0, 0.35, 0.62, 0.85, 1.02, 1.14, 1.3, 1.75, 2.1, 3.2])
_EDGE_HEIGHT = np.array([0.98, 0.98, 0.90, 0.74, 0.46, 0.22, 0.22, 0.10, -0.15, -0.4])


def hair_colour(look: Look) -> np.ndarray:
    """Linear RGB of the subject's hair, ``(3,) float32``; grey comes with age."""
    dark = np.array([0.012, 0.010, 0.009])
    light = np.array([0.42, 0.30, 0.17]) * np.array(
        [1.0, 1 - 0.35 * look.hair_warmth, 1 - 0.5 * look.hair_warmth]
    )
    colour = np.exp(np.log(light) + (np.log(dark) - np.log(light)) * look.hair)
    grey = np.clip(look.age - 0.45, 0, 0.55) * 1.4
    return ((1 - grey) * colour + grey * 0.32).astype(np.float32)


def paint_hair(look: Look, skin: np.ndarray) -> np.ndarray:
    """Draw brows, lashes and scalp hair over the chart's `skin`; return the new albedo."""
    rng = np.random.default_rng([look.seed, _HAIR, look.index])
    colour = hair_colour(look)
    brow = np.clip(_brows(rng, look), 0, 1)[..., None]
    painted = skin * (1 - brow) + brow * np.minimum(colour * 0.8 + 0.01, skin.mean() * 0.6)
    lashes = lash_mask()[..., None]
    painted = painted * (1 - lashes) + lashes * np.array([0.016, 0.013, 0.012], np.float32)
    cover, streaks = _scalp(rng, look)
    hair = colour * np.exp(streaks)[..., None]
    return (painted * (1 - cover[..., None]) + cover[..., None] * hair).astype(np.float32)


def scalp_height(look: Look, points: np.ndarray) -> np.ndarray:
    """How far chart points ``(..., 2)`` lie inside the hair (decimetres; negative outside)."""
    edge = np.interp(np.abs(points[..., 0]), _EDGE_ANGLE, _EDGE_HEIGHT)
    middle = np.exp(-((points[..., 0] / 0.5) ** 2))
    return points[..., 1] - edge - look.hairline * (0.6 + 0.4 * middle)


def hair_volume(look: Look, normals: np.ndarray) -> np.ndarray:
    """Displacement of the vertices that lifts the hair off the skull, ``(V, 3)``, decimetres."""
    inside = scalp_height(look, chart.vertex_chart())
    cover = _smooth(inside / 0.4) * assets().skin_vertices * (1 - ear_weight())
    for _ in range(3):
        cover = neighbour_average() @ cover
    lift = np.array([0.55, 1.0, 0.8])
    return look.volume * cover[:, None] * normals * lift


def _smooth(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=1)
def ear_weight() -> np.ndarray:
    """``(V,)`` in [0, 1]: how much a vertex belongs to an ear."""
    moved = np.abs(assets().target("ears/ear-scale+")).max(1)
    return np.clip(moved / 0.02, 0, 1)


@lru_cache(maxsize=1)
def lash_mask() -> np.ndarray:
    """The dark rim of the lids and the upper lashes, ``float32`` in [0, 1]."""
    mask = np.zeros((chart.HEIGHT, chart.WIDTH), np.float32)
    for sign in (1, -1):
        upper, lower = _lid_edges(sign)
        hairs = []
        for t, (a, v) in zip(np.linspace(0, 1, len(upper)), upper, strict=True):
            lean, reach = sign * (-0.010 + 0.035 * t), 0.016 + 0.014 * t
            hairs.append(np.array([[a, v + 0.004], [a + 0.4 * lean, v + 0.5 * reach], [a + lean, v + reach]]))
        mask = np.maximum(mask, 0.92 * chart.strokes([upper + [0, 0.006]], 6, 0.004))
        mask = np.maximum(mask, 0.5 * chart.strokes(hairs, 1, 0.002))
        mask = np.maximum(mask, 0.3 * chart.strokes([lower - [0, 0.004]], 4, 0.006))
    return mask


def _lid_edges(sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of one eye's upper and lower lid from the inner to the outer corner, chart points ``(n, 2)``."""
    data = assets()
    ring = np.intersect1d(data.part_vertices(SKIN), data.part_vertices(SOCKET))
    points = chart.vertex_chart()[ring]
    points = points[points[:, 0] * sign > 0]
    points = points[np.argsort(np.abs(points[:, 0]))]
    inner, outer = points[0], points[-1]
    along = (points[:, 0] - inner[0]) / (outer[0] - inner[0])
    above = points[:, 1] > inner[1] + along * (outer[1] - inner[1])
    ends = np.zeros(len(points), bool)
    ends[[0, -1]] = True
    return (chart.smooth_curve(points[above | ends]), chart.smooth_curve(points[~above | ends]))


def _brows(rng: np.random.Generator, look: Look) -> np.ndarray:
    """Two brows of single hairs, ``float32`` in [0, 1]."""
    mark = chart.landmarks()
    hairs: list[np.ndarray] = []
    ridge = []
    for sign, ids in ((1, (22, 23, 24, 25, 26)), (-1, (21, 20, 19, 18, 17))):
        line = chart.smooth_curve(mark[list(ids)] + [0, look.brow_rise], samples=120)
        count = int(300 * look.brow_weight)
        t = rng.uniform(0, 1, count) ** 0.9
        thick = 0.036 * look.brow_weight * np.clip(1.15 - 0.85 * t, 0.25, 1) * np.clip(t / 0.06, 0.55, 1)
        root = line[(t * 119).astype(int)] + np.stack([np.zeros(count), rng.uniform(-1, 1, count) * thick], 1)
        angle = np.interp(t, [0, 0.25, 0.7, 1], [1.35, 0.75, 0.1, -0.35]) + rng.normal(0, 0.16, count)
        length = rng.uniform(0.035, 0.07, count) * (1.1 - 0.3 * t)
        tip = root + np.stack([sign * np.cos(angle) * length, np.sin(angle) * length], 1)
        hairs.extend(np.stack([root, tip], 1))
        ridge.append(line)
    soft = chart.strokes(ridge, int(16 * look.brow_weight), 0.022)
    return 0.22 * soft + 0.72 * chart.strokes(hairs, 1, 0.0022)


def _scalp(rng: np.random.Generator, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Return (cover in [0, 1], log brightness of the strands), each ``(HEIGHT, WIDTH) float32``."""
    a, v = chart.grid()
    inside = scalp_height(look, np.stack([a, v], -1)).astype(np.float32)
    strands = cv2.GaussianBlur(rng.standard_normal(a.shape, dtype=np.float32), (0, 0), 1.0, sigmaY=14.0)
    wave = (8 * np.sin(v * 9 + 5 * a) + 10 * chart.noise(rng, 0.25)).astype(np.float32)
    columns, rows = np.meshgrid(
        np.arange(a.shape[1], dtype=np.float32), np.arange(a.shape[0], dtype=np.float32)
    )
    streaks = cv2.remap(strands, columns + wave, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    streaks = streaks / streaks.std() * 0.33 + 0.12 * chart.noise(rng, 0.1)
    inside += 0.035 * streaks + 0.015 * chart.noise(rng, 0.08)
    cover = np.clip(inside / 0.09, 0, 1) * _ear_free()
    rooted = np.clip(1 - inside / 0.10, 0, 1) * 0.25
    return cover.astype(np.float32), (streaks + rooted).astype(np.float32)


@lru_cache(maxsize=1)
def _ear_free() -> np.ndarray:
    """1 where the chart is not an ear, ``float32``."""
    points = chart.vertex_chart()[ear_weight() > 0.3]
    sides = [points[points[:, 0] > 0], points[points[:, 0] < 0]]
    hulls = [cv2.convexHull(chart.to_pixels(side).astype(np.float32))[:, 0] for side in sides]
    mask = np.zeros((chart.HEIGHT, chart.WIDTH), np.uint8)
    for hull in hulls:
        cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 255)
    return 1 - cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 6)
