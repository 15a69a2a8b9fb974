"""Frames that are drawn when they are read, and the truth behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from microexp.clip import ActionUnit, Clip
from microexp.datasets.synthetic._assets import assets, renderer_version
from microexp.datasets.synthetic._render import REST, Pose
from microexp.datasets.synthetic._scene import Scene, invert, scene
from microexp.datasets.synthetic._script import Event, Script
from microexp.errors import OptionError
from microexp.frames import Frames

_NOISE = 51  # first word of this module's random streams
EXPRESSIONS = ("micro", "macro")


class SyntheticFrames(Frames):
    """The pictures of a script, each drawn when it is read; order of reading does not matter.

    Parameters
    ----------
    script : Script
        What happens. It is all that a pickle of these frames holds.
    """

    def __init__(self, script: Script) -> None:
        self.script = script

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.script.length, self.script.size, self.script.size, 3

    def read(self, index: int) -> np.ndarray:
        script = self.script
        picture = _scene(script).picture_at(script.weights(index), script.pose(index))
        return expose(picture, script, index)

    def identity(self, indices: Sequence[int]) -> object:
        return renderer_version(), repr(self.script)


def expose(picture: np.ndarray, script: Script, index: int) -> np.ndarray:
    """Return what the camera of a script records at frame `index`: ``(H, W, 3) uint8``.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3) float32`` in [0, 255], without noise.
    script : Script
        Gives gain, flicker and noise; the noise of a frame depends on its number alone.
    index : int
        Number of the frame.
    """
    sensor = script.sensor
    swing = np.sin(sensor.rate * index + sensor.phase)
    ramp = np.linspace(-1, 1, script.size) * np.sin(0.2 * sensor.rate * index + 2 * sensor.phase)
    brightness = sensor.gain * (1 + sensor.flicker * swing + sensor.wander[0] * ramp)[None, :, None]
    brightness = brightness * (1 + sensor.wander[1] * ramp)[:, None, None]
    seen = picture * brightness.astype(np.float32)
    if sensor.read > 0 or sensor.shot > 0:
        rng = np.random.default_rng([script.seed, _NOISE, script.subject, script.clip, index])
        deviation = np.sqrt(sensor.read**2 + sensor.shot * np.clip(seen, 0, 255)).astype(np.float32)
        seen = seen + deviation * rng.standard_normal(seen.shape, dtype=np.float32)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Interval:
    """One expression, blink or head turn of a long video, in frames."""

    kind: str
    onset: int
    apex: int
    offset: int
    emotion: str = ""


class Truth:
    """What is exactly known of a synthetic clip. Flow is in pixels, dx then dy.

    Parameters
    ----------
    script : Script
        The clip's script.
    """

    def __init__(self, script: Script) -> None:
        self.script = script

    def __repr__(self) -> str:
        return f"Truth(subject={self.script.subject}, clip={self.script.clip}, frames={self.script.length})"

    @property
    def main(self) -> Event:
        """The first expression of the clip."""
        return next(event for event in self.script.events if event.kind in EXPRESSIONS)

    @property
    def emotion(self) -> str:
        """What the clip expresses, before any label noise."""
        return self.main.emotion

    @property
    def action_units(self) -> tuple[ActionUnit, ...]:
        """Action units of the expression with side and intensity at the apex."""
        return tuple(ActionUnit(unit, side, weight) for unit, side, weight in self.main.units)

    @property
    def amplitude(self) -> float:
        """Largest displacement of the face by the expression at its apex, pixels."""
        return _scene(self.script).strength(self.main.weights())

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """Everything that happens, in order of onset: expressions, blinks, distractors, head turns."""
        found = [Interval(e.kind, e.onset, e.apex, e.offset, e.emotion) for e in self.script.events]
        found += [Interval("turn", t.start, t.reach, t.end) for t in self.script.turns]
        return tuple(sorted(found, key=lambda interval: (interval.onset, interval.kind)))

    @property
    def face_mask(self) -> np.ndarray:
        """``(H, W) bool`` on the reference frame: the face from the hair to the jaw."""
        return _scene(self.script).face_mask

    @property
    def head_mask(self) -> np.ndarray:
        """``(H, W) bool`` on the reference frame: all that moves with the head; the flow is exact there."""
        return _scene(self.script).head_mask

    def level(self, index: int) -> float:
        """Strength of the expression at a frame relative to its apex, 0 to 1."""
        return self.main.level(self._frame(index))

    def weights(self, index: int) -> dict[tuple[int, str], float]:
        """Weight of every active (action unit, side) at a frame, distractors and blinks included."""
        return dict(self.script.weights(self._frame(index)))

    def head_motion(self, index: int) -> Pose:
        """Rotation and shift of the head at a frame, relative to the reference frame."""
        return self.script.pose(self._frame(index))

    def flow(self, index: int, head_motion: bool = True, distractors: bool = True) -> np.ndarray:
        """Return the exact flow from the reference (onset) frame to a frame, ``(H, W, 2) float32``.

        Parameters
        ----------
        index : int
            Frame that the flow leads to.
        head_motion, distractors : bool
            Whether head motion, and movements other than the expression, are included.
        """
        return _scene(self.script).flow(self._points(index, head_motion, distractors))

    def flow_between(self, first: int, second: int, head_motion: bool = True) -> np.ndarray:
        """Return the flow from frame `first` to frame `second`, ``(H, W, 2) float32``.

        Both are exact on the reference frame; between two others one is read where the other leads.
        """
        to_first, to_second = self.flow(first, head_motion), self.flow(second, head_motion)
        if not to_first.any():
            return to_second
        x, y = invert(to_first)
        return cv2.remap(to_second - to_first, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def landmarks(self, index: int, head_motion: bool = True) -> np.ndarray:
        """Return the 68 landmarks (iBUG order) at a frame, ``(68, 2) float32``: x, y in pixels."""
        points = self._points(index, head_motion, True)
        return points[assets().landmarks, :2].astype(np.float32)

    def neutral(self) -> np.ndarray:
        """Return the resting face without the camera's noise, ``(H, W, 3) uint8``."""
        return _quantise(_scene(self.script).picture)

    def micro(self) -> np.ndarray:
        """Return the expression at its apex, without head motion, distractors and noise."""
        return self.macro(1.0)

    def macro(self, factor: float) -> np.ndarray:
        """Return the same movement `factor` times as large, ``(H, W, 3) uint8``, without noise."""
        return _quantise(_scene(self.script).picture_at(self.main.weights(_positive(factor))))

    def macro_flow(self, factor: float = 1.0) -> np.ndarray:
        """Return the exact flow from `neutral` to `macro` of that factor, ``(H, W, 2) float32``."""
        stage = _scene(self.script)
        return stage.flow(stage.points(self.main.weights(_positive(factor))))

    def _points(self, index: int, head_motion: bool, distractors: bool) -> np.ndarray:
        frame = self._frame(index)
        weights = self.script.weights(frame, None if distractors else EXPRESSIONS)
        return _scene(self.script).points(weights, self.script.pose(frame) if head_motion else REST)

    def _frame(self, index: int) -> int:
        if not 0 <= index < self.script.length:
            raise OptionError(f"frame {index} of a clip of {self.script.length} frames")
        return int(index)


@dataclass(frozen=True, eq=False)
class Triple:
    """A resting face, a micro-expression and the same movement as a macro-expression.

    Pictures are ``(H, W, 3) uint8`` without noise; flows lead from the resting face, ``(H, W, 2) float32``.
    """

    neutral: np.ndarray
    micro: np.ndarray
    macro: np.ndarray
    micro_flow: np.ndarray
    macro_flow: np.ndarray


def micro_macro_triple(clip: Clip, factor: float = 5.0) -> Triple:
    """Return the neutral, micro and macro pictures of a synthetic clip's movement.

    Parameters
    ----------
    clip : Clip
        A clip of the synthetic database.
    factor : float
        How many times larger the macro-expression's 3-D movement is.

    Raises
    ------
    OptionError
        If the clip is not synthetic, or the factor not positive.
    """
    truth = clip.metadata.get("truth")
    if not isinstance(truth, Truth):
        raise OptionError(f"{clip.identity} is no synthetic clip: it has no neutral / micro / macro triple")
    flows = truth.macro_flow(1.0), truth.macro_flow(factor)
    return Triple(truth.neutral(), truth.micro(), truth.macro(factor), *flows)


def _scene(script: Script) -> Scene:
    return scene(script.seed, script.subject, script.size)


def _positive(factor: float) -> float:
    if not factor > 0:
        raise OptionError(f"the factor of a macro-expression must be positive, got {factor}")
    return float(factor)


def _quantise(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
