"""What a synthetic subject looks like: numbers drawn once from the seed, all of them continuous.

Shape, skin tone, hair and light are drawn independently of each other (hair and eye colour lean towards
darker with darker skin). A look is a small value; everything large is computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from microexp.datasets.synthetic._assets import assets

_LOOK = 11  # first word of this module's random streams
_STRENGTH = {"head": 0.35, "asym": 0.25, "ears": 0.6, "eyes": 0.45, "nose": 0.5}
_LIPS = ("mouth/mouth-upperlip", "mouth/mouth-lowerlip", "mouth/mouth-angles")
_EXTREME = (
    "head/head-fat",
    "head/head-angle",
    "mouth/mouth-trans",
    "nose/nose-trans",
    "nose/nose-compression",
)


@dataclass(frozen=True)
class Look:
    """One subject's appearance.

    Attributes
    ----------
    seed, index : int
        Which subject of which database.
    shape : tuple of (str, float)
        Displacement fields of the base head and their weights.
    age, build : float
        0 to 1; they deepen wrinkles, and thicken brows and beard.
    melanin, blood : float
        Skin pigments, 0 to 1.
    freckles, stubble, gloss : float
        0 to 1.
    hair, hair_warmth, hairline, volume : float
        Hair: darkness, redness, height of the hairline (decimetres from the usual), thickness (decimetres).
    brow_weight, brow_rise : float
        Thickness of the brows relative to the usual; offset in decimetres.
    iris : tuple of float
        Colour of the iris, linear RGB.
    pose : tuple of float
        Pitch, yaw and roll of the resting head, radians.
    scale : float
        Distance of the eyes as a part of the picture's width.
    light : tuple of float
        Direction to the key light, a unit vector.
    ambient : float
        Part of the light that comes from everywhere.
    backdrop, shirt : tuple of float
        Colours of the wall and of the shirt, linear RGB.
    """

    seed: int
    index: int
    shape: tuple[tuple[str, float], ...]
    age: float
    build: float
    melanin: float
    blood: float
    freckles: float
    stubble: float
    gloss: float
    hair: float
    hair_warmth: float
    hairline: float
    volume: float
    brow_weight: float
    brow_rise: float
    iris: tuple[float, float, float]
    pose: tuple[float, float, float]
    scale: float
    light: tuple[float, float, float]
    ambient: float
    backdrop: tuple[float, float, float]
    shirt: tuple[float, float, float]


def draw_look(seed: int, index: int) -> Look:
    """Draw subject number `index`; it does not depend on how many subjects there are."""
    rng = np.random.default_rng([seed, _LOOK, index])
    age = float(rng.beta(1.2, 2.2))
    build = float(np.clip(0.5 + 0.8 * (rng.uniform() - 0.5) * 2, 0.02, 0.98))
    melanin = float(rng.uniform() ** 1.5)
    hair = float(np.clip(rng.uniform(0.25, 1.0) + 0.6 * melanin, 0, 1))
    blue = float(np.clip(rng.uniform(-0.7, 1.0) - 1.2 * melanin, 0, 1))
    light = np.array([rng.uniform(-0.75, 0.75), rng.uniform(0.25, 0.8), 1.0])
    light /= np.sqrt((light**2).sum())
    grey = rng.uniform(0.12, 0.55)
    shirt = rng.uniform(0.03, 0.45) * np.array([1, 1, 1]) * rng.uniform(0.6, 1.3, 3)
    beard = max(0.0, build - 0.5) * 2
    return Look(
        seed=seed,
        index=index,
        shape=_draw_shape(rng, age, build),
        age=age,
        build=build,
        melanin=melanin,
        blood=float(rng.uniform(0.25, 0.75)),
        freckles=float(rng.beta(0.4, 2.5) * (1 - 0.7 * melanin)),
        stubble=float(beard * rng.beta(0.8, 1.2)),
        gloss=float(rng.uniform(0.2, 1.0)),
        hair=hair,
        hair_warmth=float(rng.beta(1.2, 2.0)),
        hairline=float(rng.normal(0, 0.05) + 0.12 * age * beard * rng.uniform()),
        volume=float(rng.uniform(0.05, 0.2)),
        brow_weight=float((0.75 + 0.4 * build) * rng.uniform(0.8, 1.2)),
        brow_rise=float(rng.uniform(-0.015, 0.02)),
        iris=_iris(rng, blue),
        pose=(float(rng.normal(0, 0.04)), float(rng.normal(0, 0.06)), float(rng.normal(0, 0.015))),
        scale=float(0.262 * rng.uniform(0.95, 1.05)),
        light=(float(light[0]), float(light[1]), float(light[2])),
        ambient=float(rng.uniform(0.34, 0.5)),
        backdrop=(float(grey), float(grey * rng.uniform(0.92, 1.04)), float(grey * rng.uniform(0.85, 1.1))),
        shirt=(float(shirt[0]), float(shirt[1]), float(shirt[2])),
    )


@lru_cache(maxsize=256)
def look_of(seed: int, index: int) -> Look:
    """`draw_look`, remembered."""
    return draw_look(seed, index)


@lru_cache(maxsize=64)
def head_vertices(look: Look) -> np.ndarray:
    """Return the subject's neutral head, ``(V, 3) float64``, decimetres (read-only)."""
    data = assets()
    vertices = data.vertices.copy()
    for name, weight in look.shape:
        vertices += weight * data.target(name)
    vertices.flags.writeable = False
    return vertices


def _draw_shape(rng: np.random.Generator, age: float, build: float) -> tuple[tuple[str, float], ...]:
    axes = rng.dirichlet([0.9, 0.9, 0.9])
    heavy = float(np.clip(rng.normal(0.05, 0.4), -0.8, 0.9))
    weights: dict[str, float] = {}
    for build_name, build_weight in (("p", 1 - build), ("q", build)):
        for age_name, age_weight in (("young", 1 - age), ("old", age)):
            mix = build_weight * age_weight
            for axis, axis_weight in zip("abc", axes, strict=True):
                weights[f"shape/{axis}-{build_name}-{age_name}"] = mix * float(axis_weight)
            level = "high" if heavy > 0 else "low"
            weights[f"weight/{level}-{build_name}-{age_name}"] = mix * abs(heavy)
    weights.update(_draw_details(rng))
    weights["unit/eyeWideLeft"] = weights["unit/eyeWideRight"] = float(rng.uniform(0.05, 0.4))
    known = assets()
    return tuple((name, round(w, 4)) for name, w in weights.items() if abs(w) > 0.01 and known.has(name))


def _draw_details(rng: np.random.Generator) -> dict[str, float]:
    """Move along some of the detail axes (opposite targets are the two ends of one axis)."""
    weights: dict[str, float] = {}
    names = [n for n in assets().names if n.split("/")[0] not in ("shape", "weight", "unit")]
    for axis in sorted({name.rstrip("+-") for name in names}):
        used, value = rng.uniform() < 0.3, float(rng.normal(0, 1))
        lips = 0.4 if axis.startswith(_LIPS) else 1.0  # these part the lips
        strength = lips * _STRENGTH.get(axis.split("/")[0], 0.4) * (0.4 if axis in _EXTREME else 1.0)
        end = axis if axis in names else axis + ("+" if value > 0 else "-")
        if used and end in names:
            weights[end] = min(abs(value), 1.6) * strength
    return weights


def _iris(rng: np.random.Generator, blue: float) -> tuple[float, float, float]:
    brown = np.array([0.10, 0.045, 0.018]) * rng.uniform(0.6, 1.6)
    pale = np.array([0.12, 0.19, 0.27]) * rng.uniform(0.7, 1.2)
    green = np.array([0.12, 0.15, 0.07])
    mixed = (1 - blue) * brown + blue * (pale if rng.uniform() < 0.65 else green)
    return float(mixed[0]), float(mixed[1]), float(mixed[2])
