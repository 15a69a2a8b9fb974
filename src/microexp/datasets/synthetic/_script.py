"""The script of a clip: who moves what, when and how far. Small values; pictures are computed from them.

A script is all that a clip's frames and truth hold, so both pickle small and are the same in every process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from microexp.datasets.synthetic._action_units import Weights
from microexp.datasets.synthetic._look import Look, look_of
from microexp.datasets.synthetic._render import Pose

_LIDS = frozenset({(45, ""), (45, "L"), (45, "R")})


@dataclass(frozen=True)
class Event:
    """One movement of the face that comes and goes.

    Attributes
    ----------
    kind : str
        ``"micro"``, ``"macro"``, ``"distractor"`` or ``"blink"``.
    units : tuple of (int, str, float)
        Action unit, side, weight at the apex (1 is full intensity).
    onset, apex, offset : int
        Frames at which it starts, is strongest, has gone.
    emotion : str
        What it expresses; empty for distractors and blinks.
    """

    kind: str
    units: tuple[tuple[int, str, float], ...]
    onset: int
    apex: int
    offset: int
    emotion: str = ""

    def level(self, frame: float) -> float:
        """Strength at a frame, 0 to 1: smooth rise to the apex, smooth fall to the offset."""
        if frame <= self.onset or frame >= self.offset:
            return 0.0
        if frame <= self.apex:
            return _ease((frame - self.onset) / (self.apex - self.onset))
        return _ease((self.offset - frame) / (self.offset - self.apex))

    def weights(self, level: float = 1.0) -> dict[tuple[int, str], float]:
        """Weights of the action units at a given strength."""
        return {(unit, side): weight * level for unit, side, weight in self.units}


@dataclass(frozen=True)
class Sway:
    """How the head drifts: five channels (pitch, yaw, roll in radians; right, down in pixels).

    Each is a drift that reaches its value after `span` frames, and a wobble.
    """

    drift: tuple[float, ...] = (0.0,) * 5
    wobble: tuple[float, ...] = (0.0,) * 5
    phase: tuple[float, ...] = (0.0,) * 5
    rate: float = 0.1  # radians per frame
    span: float = 20.0

    def at(self, frame: float, reference: float) -> np.ndarray:
        """The five channels at a frame, zero at the reference frame."""
        lag = 1.6 * math.tanh((frame - reference) / (1.6 * self.span))
        swing = np.sin(self.rate * frame + np.array(self.phase)) - np.sin(
            self.rate * reference + np.array(self.phase)
        )
        return np.array(self.drift) * lag + np.array(self.wobble) * swing


@dataclass(frozen=True)
class Turn:
    """A deliberate head turn: angles (pitch, yaw, roll; radians) reached between two frames, then undone."""

    angles: tuple[float, float, float]
    start: int
    reach: int
    leave: int
    end: int

    def level(self, frame: float) -> float:
        """How much of the turn is made at a frame, 0 to 1."""
        if frame <= self.start or frame >= self.end:
            return 0.0
        if frame < self.reach:
            return _ease((frame - self.start) / (self.reach - self.start))
        return 1.0 if frame <= self.leave else _ease((self.end - frame) / (self.end - self.leave))


@dataclass(frozen=True)
class Sensor:
    """What lamp and camera add: gain, its flicker over time, light that wanders over the picture, noise.

    ``flicker`` and ``wander`` (right, down) are parts of the brightness; ``read`` and ``shot`` are the noise
    of reading (levels of 255) and of counting photons (variance per level).
    """

    gain: float = 1.0
    flicker: float = 0.0
    wander: tuple[float, float] = (0.0, 0.0)
    rate: float = 0.0
    phase: float = 0.0
    read: float = 0.0
    shot: float = 0.0


@dataclass(frozen=True)
class Script:
    """Everything that determines a clip's pictures.

    Attributes
    ----------
    seed, subject, clip : int
        Which clip of which subject of which database.
    size : int
        Side of the pictures, pixels.
    length, reference : int
        Number of frames; the frame at which face and head are at rest.
    fps : float
        Frames per second.
    events, turns, sway, sensor
        What moves, and what the camera adds.
    """

    seed: int
    subject: int
    clip: int
    size: int
    length: int
    reference: int
    fps: float
    events: tuple[Event, ...] = ()
    turns: tuple[Turn, ...] = ()
    sway: Sway = field(default_factory=Sway)
    sensor: Sensor = field(default_factory=Sensor)

    @property
    def look(self) -> Look:
        """Appearance of the subject."""
        return look_of(self.seed, self.subject)

    def weights(self, frame: float, kinds: tuple[str, ...] | None = None) -> Weights:
        """Weights of all action units at a frame, from events of the given kinds (all if None)."""
        total: dict[tuple[int, str], float] = {}
        for event in self.events:
            if kinds is not None and event.kind not in kinds:
                continue
            level = event.level(frame)
            if level > 0:
                for key, weight in event.weights(level).items():
                    total[key] = total.get(key, 0.0) + weight
        for key in total.keys() & _LIDS:  # two blinks at once close the eyes, they do not turn the lids over
            total[key] = min(total[key], 1.0)
        return total

    def pose(self, frame: float) -> Pose:
        """Head motion at a frame; at rest at the reference frame."""
        values = self.sway.at(frame, self.reference)
        for turn in self.turns:
            values[:3] += turn.level(frame) * np.array(turn.angles)
        p, y, r, dx, dy = (float(value) for value in values)
        return Pose((p, y, r), (dx, dy))


def _ease(t: float) -> float:
    """Smooth step from 0 to 1 with rest at both ends."""
    t = min(max(t, 0.0), 1.0)
    return t * t * t * (t * (6 * t - 15) + 10)
