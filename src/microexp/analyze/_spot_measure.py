"""How the field measures spotting: found intervals against true ones, by intersection over union."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

Span = tuple[int, int]
ENOUGH = 0.5  # intersection over union from which on an interval is found


@dataclass(frozen=True)
class Counts:
    """Found intervals that are true, all found, all true.

    Attributes
    ----------
    hits, found, true : int
        How many.
    """

    hits: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        """Part of the found that is true; NaN where none is found."""
        return self.hits / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Part of the true that is found; NaN where there is none."""
        return self.hits / self.true if self.true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where nothing is found and nothing is true."""
        total = self.found + self.true
        return 2 * self.hits / total if total else float("nan")


def iou(first: Span, second: Span) -> float:
    """Return intersection over union of two spans of frames (first, last), both ends inclusive."""
    shared = min(first[1], second[1]) - max(first[0], second[0]) + 1
    together = max(first[1], second[1]) - min(first[0], second[0]) + 1
    return shared / together if shared > 0 else 0.0


def pairs(found: Sequence[Span], true: Sequence[Span], enough: float = ENOUGH) -> list[tuple[int, int]]:
    """Return which found span (index) matches which true one: as many as can be, each matched once."""
    if not found or not true:
        return []
    shares = np.array([[iou(a, b) for b in true] for a in found])
    worth = np.where(shares >= enough, 1 + shares / (10 * (len(found) + len(true))), 0)
    rows, columns = linear_sum_assignment(-worth)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if shares[i, j] >= enough]


def count(found: Sequence[Span], true: Sequence[Span]) -> Counts:
    """Return how many found spans are true."""
    return Counts(len(pairs(found, true)), len(found), len(true))
