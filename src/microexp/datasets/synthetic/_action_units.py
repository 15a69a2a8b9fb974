"""Action units as displacement fields of the head, built from the face units of the assets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from microexp.datasets.synthetic._assets import assets
from microexp.errors import OptionError

Weights = Mapping[tuple[int, str], float]

# FACS number -> face units (without Left/Right) and their weights at full intensity.
_RECIPES: dict[int, tuple[tuple[str, float], ...]] = {
    1: (("browInnerUp", 1.0),),
    2: (("browOuterUp", 1.0),),
    4: (("browDown", 1.0),),
    5: (("eyeWide", 1.0),),
    6: (("cheekSquint", 1.0), ("eyeSquint", 0.3)),
    7: (("eyeSquint", 1.0),),
    9: (("noseSneer", 1.0),),
    10: (("mouthUpperUp", 1.0),),
    12: (("mouthSmile", 1.0),),
    14: (("mouthDimple", 1.0),),
    15: (("mouthFrown", 1.0),),
    16: (("mouthLowerDown", 1.0),),
    17: (("mouthShrugLower", 1.0), ("mouthShrugUpper", 0.45)),
    18: (("mouthPucker", 1.0),),
    20: (("mouthStretch", 1.0),),
    24: (("mouthPress", 1.0), ("mouthRollLower", 0.25), ("mouthRollUpper", 0.25)),
    25: (("mouthLowerDown", 0.5), ("mouthUpperUp", 0.4)),
    26: (("jawOpen", 0.6),),
    45: (("eyeBlink", 1.0),),
}
ACTION_UNITS = tuple(_RECIPES)
SIDES = ("", "L", "R")

# Which folds of the skin a unit deepens, and how much at full intensity.
FOLDS_OF: dict[int, tuple[tuple[str, float], ...]] = {
    1: (("forehead", 0.35),),
    2: (("forehead", 0.35),),
    4: (("glabella", 1.0),),
    6: (("crow", 0.9), ("lid", 0.6)),
    7: (("crow", 0.4), ("lid", 0.5)),
    9: (("nose", 1.0), ("glabella", 0.4), ("cheek", 0.4)),
    10: (("cheek", 0.5),),
    12: (("cheek", 0.9),),
    14: (("cheek", 0.3),),
    15: (("chin", 0.3),),
    17: (("chin", 0.9),),
}


@lru_cache(maxsize=128)
def unit_field(unit: int, side: str = "") -> np.ndarray:
    """Return the displacement of the base head by one action unit at full intensity.

    Parameters
    ----------
    unit : int
        FACS number, one of `ACTION_UNITS`.
    side : str
        ``"L"`` or ``"R"`` for the subject's left or right half alone, ``""`` for both.

    Returns
    -------
    numpy.ndarray
        ``(V, 3) float64``, decimetres (read-only).

    Raises
    ------
    OptionError
        For a unit or a side that is not known.
    """
    if unit not in _RECIPES:
        raise OptionError(f"action unit {unit} is not drawn; known: {', '.join(map(str, ACTION_UNITS))}")
    if side not in SIDES:
        raise OptionError(f"side must be 'L', 'R' or '' for both, got {side!r}")
    field = sum((weight * _face_unit(name, side) for name, weight in _RECIPES[unit]), np.zeros(()))
    field.flags.writeable = False
    return field


def displacement(weights: Weights) -> np.ndarray:
    """Return the sum of the units' fields, each times its weight, ``(V, 3) float64``, decimetres."""
    total = np.zeros_like(assets().vertices)
    for (unit, side), weight in weights.items():
        if weight:
            total += weight * unit_field(unit, side)
    return total


def fold_depths(weights: Weights) -> dict[tuple[str, str], float]:
    """Return how deep each fold gets, by (name of the fold, side)."""
    depths: dict[tuple[str, str], float] = {}
    for (unit, side), weight in weights.items():
        for name, depth in FOLDS_OF.get(unit, ()):
            key = (name, side)
            depths[key] = depths.get(key, 0.0) + depth * max(weight, 0.0)
    return depths


def side_weight(x: np.ndarray, side: str) -> np.ndarray:
    """Smooth weight of one half of the face for coordinates `x` (decimetres, subject's left positive)."""
    if not side:
        return np.ones_like(x)
    return 1 / (1 + np.exp((-x if side == "L" else x) / 0.04))


def _face_unit(name: str, side: str) -> np.ndarray:
    data = assets()
    if data.has(f"unit/{name}"):
        return data.target(f"unit/{name}") * side_weight(data.vertices[:, :1], side)
    ends = {"L": ("Left",), "R": ("Right",), "": ("Left", "Right")}[side]
    return sum((data.target(f"unit/{name}{end}") for end in ends), np.zeros(()))
