"""Spotting: micro- and macro-expressions and blinks in the motion of a face, with onset, apex and offset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from microexp.analyze._spot_candidates import (
    BLINK_FEATURES,
    FEATURES,
    SHORT,
    Candidate,
    Shape,
    blink_candidates,
    candidates,
    seconds_of,
    without_blinks,
)
from microexp.analyze.signals import FaceMotion
from microexp.errors import DataError

MICRO, MACRO, BLINK = "micro", "macro", "blink"
LEARNED = Path(__file__).with_name("spotting.json")
_SHOWN = 1 / 3  # of the strongest region's motion: regions that move less are not named
_STEADY = 6  # looked-at frames from which on an interval's moves are averaged over three
_ASIDE = np.tan(np.pi / 8)  # of the larger component: a smaller one is not named


@dataclass(frozen=True)
class Judge:
    """A logistic regression.

    Attributes
    ----------
    mean, scale : tuple of float
        Features are centred and divided by these.
    weights : tuple of float
        One a feature.
    bias : float
        The logit of the mean features.
    accept : float
        Probability from which on the answer is yes, in [0, 1].
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    accept: float

    def probability(self, features: tuple[float, ...]) -> float:
        """Return the probability of yes, in [0, 1]."""
        scaled = (np.array(features) - np.array(self.mean)) / np.array(self.scale)
        logit = float(scaled @ np.array(self.weights)) + self.bias
        return float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


@dataclass(frozen=True)
class Parameters:
    """All that was learned, on synthetic long videos alone.

    Attributes
    ----------
    shape : Shape
        How candidates are cut out of the motion.
    expression : Judge
        Tells expressions from the rest.
    blink : Judge
        Tells blinks from other motion of the lids.
    """

    shape: Shape
    expression: Judge
    blink: Judge

    @classmethod
    def from_json(cls, values: Mapping[str, Any], source: str) -> Parameters:
        """Make parameters of what `to_json` gave.

        Raises
        ------
        DataError
            If something is missing or of the wrong length, naming `source`.
        """
        try:
            shape = Shape(**{key: float(value) for key, value in values["shape"].items()})
            judges = [_judge(values[name], known) for name, known in _JUDGES.items()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{source} holds no spotting parameters ({error!r}); write them anew by "
                "scripts/learn_spotting.py"
            ) from error
        return cls(shape, *judges)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


_JUDGES = {"expression": FEATURES, "blink": BLINK_FEATURES}


@dataclass(frozen=True)
class RegionMove:
    """How a region of the face is displaced at the apex, against the onset.

    Attributes
    ----------
    region : str
        Its name; "left" is the picture's left.
    u, v : float
        To the right and down, hundredths of the distance between the outer eye corners.
    """

    region: str
    u: float
    v: float

    @property
    def size(self) -> float:
        """Length of the displacement."""
        return float(np.hypot(self.u, self.v))

    @property
    def in_words(self) -> str:
        """Region and direction: "left mouth corner up and out"; out is away from the middle of the face."""
        words = []
        if abs(self.v) > _ASIDE * abs(self.u):
            words.append("down" if self.v > 0 else "up")
        if abs(self.u) > _ASIDE * abs(self.v):
            words.append(_sideways(self.region, self.u))
        return " ".join([self.region, " and ".join(words)]).strip()


@dataclass(frozen=True)
class Interval:
    """An expression or a blink.

    Attributes
    ----------
    kind : str
        "micro" (0.5 s at most), "macro" or "blink".
    onset, apex, offset : int
        Frames of the video: the first, the strongest, the last.
    score : float
        Probability that it is one, as learned on synthetic videos, in [0, 1].
    moves : tuple of RegionMove
        Regions that move, strongest first; those that move less than a third as far are left out.
    """

    kind: str
    onset: int
    apex: int
    offset: int
    score: float
    moves: tuple[RegionMove, ...]


@lru_cache(maxsize=1)
def learned() -> Parameters:
    """Return the parameters that come with the package."""
    return Parameters.from_json(json.loads(LEARNED.read_text(encoding="utf-8")), LEARNED.name)


def spot(motion: FaceMotion, parameters: Parameters | None = None) -> list[Interval]:
    """Find expressions and blinks.

    Blinks are found first, in the upper lids, and taken out of the motion of the other regions. Where these
    stand out from their noise is a candidate; a logistic regression decides, and duration tells micro from
    macro.

    Parameters
    ----------
    motion : FaceMotion
        From `microexp.analyze.signals.face_motion`.
    parameters : Parameters or None
        None for those that come with the package.

    Returns
    -------
    list of Interval
        In order of onset. Expressions do not overlap each other; a blink may lie within one.
    """
    known = parameters if parameters is not None else learned()
    blinks, found = [], []
    for candidate, score in judged(_blinks(motion), known.blink):
        blinks.append(candidate)
        found.append(_interval(motion, motion.moves, candidate, BLINK, score))
    moves = without_blinks(motion, blinks)
    for candidate, score in judged(_expressions(motion, moves, known.shape), known.expression):
        found.append(_interval(motion, moves, candidate, kind_of(motion, candidate), score))
    return sorted(found, key=lambda interval: (interval.onset, interval.kind))


def kind_of(motion: FaceMotion, candidate: Candidate) -> str:
    """Return what an expression is by its duration, from its first frame to the end of its last."""
    return MICRO if seconds_of(motion, candidate.first, candidate.last) <= SHORT else MACRO


def judged(found: list[Candidate], judge: Judge) -> list[tuple[Candidate, float]]:
    """Return the accepted candidates with their probability; of two that overlap, the likelier."""
    scored = [(candidate, judge.probability(candidate.features)) for candidate in found]
    kept: list[tuple[Candidate, float]] = []
    for candidate, score in sorted(scored, key=lambda pair: -pair[1]):
        apart = all(candidate.last < k.first or candidate.first > k.last for k, _ in kept)
        if score >= judge.accept and apart:
            kept.append((candidate, score))
    return kept


def _blinks(motion: FaceMotion) -> list[Candidate]:
    return [found for run in motion.runs() for found in blink_candidates(motion, run)]


def _expressions(motion: FaceMotion, moves: np.ndarray, shape: Shape) -> list[Candidate]:
    return [found for run in motion.runs() for found in candidates(motion, moves, run, shape)]


def _interval(
    motion: FaceMotion, moves: np.ndarray, candidate: Candidate, kind: str, score: float
) -> Interval:
    onset, apex, offset = (int(motion.frames[i]) for i in (candidate.first, candidate.peak, candidate.last))
    reach = int(candidate.last - candidate.first >= _STEADY)
    before = max(candidate.first - 1 + reach, 0)
    moved = _about(moves, candidate.peak, reach) - _about(moves, before, reach)
    named = [RegionMove(name, float(u), float(v)) for name, (u, v) in zip(motion.regions, moved, strict=True)]
    named.sort(key=lambda move: -move.size)
    strong = tuple(move for move in named if move.size > _SHOWN * named[0].size)
    return Interval(kind, onset, apex, offset, score, strong)


def _about(moves: np.ndarray, index: int, reach: int) -> np.ndarray:
    """Displacement at a looked-at frame, so many neighbours on each side averaged in."""
    return moves[max(index - reach, 0) : index + reach + 1].mean(0)


def _sideways(region: str, u: float) -> str:
    right = u > 0
    if region.startswith("left "):
        return "in" if right else "out"
    if region.startswith("right "):
        return "out" if right else "in"
    return "right" if right else "left"


def _judge(values: Mapping[str, Any], features: tuple[str, ...]) -> Judge:
    lists = {key: tuple(float(v) for v in values[key]) for key in ("mean", "scale", "weights")}
    if any(len(numbers) != len(features) for numbers in lists.values()):
        raise ValueError(f"a judge of {len(features)} features needs as many weights")
    return Judge(**lists, bias=float(values["bias"]), accept=float(values["accept"]))
