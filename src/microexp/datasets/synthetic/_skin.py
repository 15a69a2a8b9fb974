"""Skin by pigments: the albedo of the outer skin, and the folds that deepen when a muscle acts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from microexp.datasets.synthetic import _chart as chart
from microexp.datasets.synthetic._look import Look

_SKIN = 21  # first word of this module's random streams
_DERMIS = np.array([0.74, 0.62, 0.52], np.float32)  # linear RGB of skin without pigment
_MELANIN = np.array([0.80, 1.18, 1.62], np.float32)  # what the pigments absorb per channel
_BLOOD = np.array([0.10, 0.75, 0.62], np.float32)
FOLDS = ("forehead", "glabella", "nose", "crow", "cheek", "chin", "lid")


def paint_skin(look: Look) -> np.ndarray:
    """Return the subject's skin on the chart, ``(HEIGHT, WIDTH, 3) float32``, linear RGB albedo."""
    rng = np.random.default_rng([look.seed, _SKIN, look.index])
    masks = region_masks()
    melanin = np.full_like(masks["lips"], 0.08 + 1.8 * look.melanin)
    melanin += (0.03 + 0.05 * look.melanin) * _mottle(rng, (0.5, 0.2, 0.08))
    melanin += 0.10 * masks["socket"] * (0.6 + look.age) - 0.05 * masks["cheeks"]
    melanin += _spots(rng, look) + 0.30 * _moles(rng)
    blood = 0.22 + 0.42 * look.blood + 0.055 * _mottle(rng, (0.25, 0.06, 0.03))
    blood += look.blood * (
        0.30 * masks["cheeks"] + 0.32 * masks["nose"] + 0.12 * masks["chin"] + 0.2 * masks["ears"]
    )
    blood += 0.12 * masks["bags"] * (0.5 + look.age)
    lips = masks["lips"]
    blood = blood * (1 - lips) + lips * (1.05 + 0.35 * look.blood + 0.08 * chart.noise(rng, 0.02))
    melanin = melanin * (1 - 0.25 * lips) + 0.10 * lips
    absorbed = np.maximum(melanin, 0.03)[..., None] * _MELANIN + np.maximum(blood, 0.02)[..., None] * _BLOOD
    skin = _DERMIS * np.exp(-absorbed)
    relief = 0.035 * chart.noise(rng, 0.006) + 0.03 * chart.noise(rng, 0.014) + 0.02 * chart.noise(rng, 0.03)
    relief -= 0.30 * masks["seam"] + 0.16 * look.age * resting_folds()
    relief -= 0.10 * lips * np.maximum(chart.noise(rng, 0.016), 0)
    skin *= np.exp(relief)[..., None]
    shade = 0.40 * look.stubble * masks["beard"] * (1 + 0.5 * chart.noise(rng, 0.007))
    skin *= np.exp(-np.maximum(shade, 0))[..., None] ** np.array([1.15, 1.0, 0.8], np.float32)
    return skin.astype(np.float32)


@lru_cache(maxsize=1)
def region_masks() -> dict[str, np.ndarray]:
    """Soft masks of the regions of the face on the chart, ``float32`` in [0, 1]; one for all subjects."""
    mark = chart.landmarks()
    nose, chin = mark[30], mark[8]
    mouth = (mark[48] + mark[54]) / 2
    outline = chart.smooth_curve(mark[48:60], closed=True, samples=120)
    eye = (mark[42:48].mean(0) + mark[36:42].mean(0) * [-1, 1]) / 2  # the subject's left eye
    inner = np.concatenate([mark[48:49], mark[60:65][1:4], mark[54:55]])
    beard = chart.blob(0, mouth[1] - 0.25, 0.62, 0.30) * 1.3 + chart.blob(0, mouth[1] + 0.17, 0.2, 0.07)
    return {
        "lips": chart.filled(outline, 0.012),
        "seam": chart.strokes([chart.smooth_curve(inner)], 3, 0.008),
        "cheeks": chart.both(0.55, nose[1] - 0.05, 0.20, 0.14),
        "nose": chart.blob(0, nose[1] - 0.02, 0.12, 0.10),
        "chin": chart.blob(0, chin[1] + 0.15, 0.15, 0.10),
        "ears": chart.both(1.55, eye[1] - 0.05, 0.2, 0.35),
        "socket": chart.both(eye[0], eye[1] + 0.02, 0.20, 0.11),
        "bags": chart.both(eye[0] - 0.02, eye[1] - 0.14, 0.15, 0.045, -0.15),
        "beard": np.clip(beard * (1 - chart.filled(outline, 0.03)), 0, 1),
    }


@lru_cache(maxsize=1)
def fold_masks() -> dict[str, np.ndarray]:
    """Where the skin folds when muscles act, by name (`FOLDS`), ``float32`` in [0, 1] on the chart."""
    mark = chart.landmarks()
    brow = mark[22:27].mean(0)
    root, wing, corner = mark[27], mark[35], mark[54]
    outer = mark[45]
    lines: dict[str, list[np.ndarray]] = {
        "forehead": [_arc((-0.5, brow[1] + h), (0.5, brow[1] + h), 0.05) for h in (0.17, 0.27, 0.37)],
        "glabella": _mirrored([_arc((0.06, root[1] + 0.0), (0.075, root[1] + 0.2), 0.01)]),
        "nose": [_arc((-0.13, root[1] - h), (0.13, root[1] - h), 0.03) for h in (0.03, 0.09)],
        "crow": _mirrored(
            [_arc(outer + [0.06, r * 0.4], outer + [0.2, r], 0.0) for r in (0.09, 0.02, -0.06)]
        ),
        "cheek": _mirrored([_arc(wing + [0.06, 0.05], corner + [0.09, 0.0], 0.035)]),
        "chin": [_arc((-0.12, mark[57, 1] - 0.10), (0.12, mark[57, 1] - 0.10), 0.04)],
        "lid": _mirrored([_arc(mark[42] + [0.03, -0.07], mark[45] + [-0.02, -0.08], -0.05)]),
    }
    width = {"cheek": 3, "glabella": 3}
    return {name: chart.strokes(lines[name], width.get(name, 4), 0.016) for name in FOLDS}


@lru_cache(maxsize=1)
def resting_folds() -> np.ndarray:
    """The folds that age leaves on a resting face, ``float32`` in [0, 1]."""
    depth = {
        "forehead": 0.6,
        "crow": 0.6,
        "cheek": 1.0,
        "lid": 0.8,
        "glabella": 0.5,
        "nose": 0.0,
        "chin": 0.3,
    }
    return sum((depth[name] * mask for name, mask in fold_masks().items()), np.zeros((), np.float32))


def _mottle(rng: np.random.Generator, grains: tuple[float, ...]) -> np.ndarray:
    return sum((chart.noise(rng, grain) for grain in grains), np.zeros((), np.float32)) / len(grains) ** 0.5


def _spots(rng: np.random.Generator, look: Look) -> np.ndarray:
    """Freckles, mostly over nose and cheeks."""
    where = np.clip(chart.blob(0, 0.05, 0.7, 0.22) + 0.15, 0, 1)
    fine = np.clip(chart.noise(rng, 0.014) - 1.1, 0, 1)
    return 0.8 * look.freckles * fine * where


def _moles(rng: np.random.Generator) -> np.ndarray:
    out = np.zeros((chart.HEIGHT, chart.WIDTH), np.float32)
    for _ in range(rng.integers(0, 5)):
        size = rng.uniform(0.008, 0.018)
        out += chart.blob(rng.uniform(-0.9, 0.9), rng.uniform(-0.7, 0.9), size, size) * rng.uniform(0.5, 2.5)
    return out


def _arc(
    start: tuple[float, float] | np.ndarray, end: tuple[float, float] | np.ndarray, bulge: float
) -> np.ndarray:
    """A curve between two chart points that bulges to the left of its direction (decimetres)."""
    p, q = np.asarray(start, float), np.asarray(end, float)
    t = np.linspace(0, 1, 24)[:, None]
    along = q - p
    normal = np.array([-along[1], along[0]]) / np.sqrt((along**2).sum())
    return p + t * along + 4 * bulge * t * (1 - t) * normal


def _mirrored(lines: list[np.ndarray]) -> list[np.ndarray]:
    return lines + [line * [-1, 1] for line in lines]
