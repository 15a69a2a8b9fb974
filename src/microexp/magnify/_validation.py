"""How a network that magnifies does on held-out people: figures, and a sheet to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.base import clone
from torch import nn

from microexp.clip import Clip
from microexp.magnify._network import NetworkMagnifier
from microexp.train.magnification import MagnificationRecipe
from microexp.train.magnification_data import check_clips, draw_places, read_picture, resized

_MOST, _SHOWN, _LOUDER = 16, 4, 4


@dataclass(frozen=True)
class _Case:
    """A triple of pictures ``(S, S, 3) uint8``, and its factor, NaN if not known."""

    onset: np.ndarray
    middle: np.ndarray
    apex: np.ndarray
    factor: float


class Validation:
    """Magnifies expressions that training does not see, and compares them with the strong ones.

    Of at most 16 clips, evenly chosen, one triple each, the same every time. A method with a parameter
    `factor` gets the triple's, where that is known.

    Parameters
    ----------
    method : NetworkMagnifier
        Magnifies, with the network in training.
    clips : sequence of Clip
        At least one.
    recipe : MagnificationRecipe
        Says size and factors.

    Raises
    ------
    DataError
        If a clip has pictures that are not square, or too few frames.
    """

    def __init__(self, method: NetworkMagnifier, clips: Sequence[Clip], recipe: MagnificationRecipe) -> None:
        self._method = method
        check_clips(clips)
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), _MOST)).round().astype(int))
        self._cases = [_case(clips[number], number, recipe) for number in chosen.tolist()]

    def __call__(self, module: nn.Module, sheet: Path) -> dict[str, float]:
        """Return how far magnified pictures are from the strong ones; write the sheet of pictures.

        Returns
        -------
        dict of str to float
            Mean absolute differences, in grey levels divided by 255: "l1" of the magnified picture to the
            apex, "l1_identity" of the middle, that is of no magnification.
        """
        was_training = module.training
        module.eval()
        magnified = [self._like(case).using(module).magnify(case.middle, case.onset) for case in self._cases]
        module.train(was_training)
        _write_sheet(sheet, self._cases[:_SHOWN], magnified)
        pairs = list(zip(self._cases, magnified, strict=True))
        return {
            "l1": float(np.mean([_distance(picture, case.apex) for case, picture in pairs])),
            "l1_identity": float(np.mean([_distance(case.middle, case.apex) for case in self._cases])),
        }

    def _like(self, case: _Case) -> NetworkMagnifier:
        """Return the method with the factor of a case."""
        if np.isnan(case.factor) or "factor" not in self._method.get_params():
            return self._method
        twin: NetworkMagnifier = clone(self._method).set_params(factor=case.factor)
        return twin


def _case(clip: Clip, number: int, recipe: MagnificationRecipe) -> _Case:
    places = draw_places(clip, recipe.factors, np.random.default_rng(number))
    onset, middle, apex = (resized(read_picture(clip, place), recipe.size) for place in places[:3])
    return _Case(onset, middle, apex, places.factor)


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(np.float64) - second).mean()) / 255


def _write_sheet(file: Path, cases: Sequence[_Case], magnified: Sequence[np.ndarray]) -> None:
    """Write a picture: a row a case of onset, middle, magnified, apex, difference of the last two x 4."""
    rows = []
    for case, picture in zip(cases, magnified, strict=False):
        off = np.abs(picture.astype(np.int16) - case.apex) * _LOUDER
        row = [case.onset, case.middle, picture, case.apex, off.clip(0, 255).astype(np.uint8)]
        rows.append(np.pad(np.concatenate(row, axis=1), ((0, 4), (0, 0), (0, 0))))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(file)
