"""Long videos for spotting: micro- and macro-expressions, blinks and head turns, each interval known."""

from __future__ import annotations

import numpy as np

from microexp.clip import Clip
from microexp.datasets.synthetic._sample import (
    EMOTIONS,
    draw_amplitude,
    draw_sensor,
    draw_sway,
    draw_units,
    scaled,
)
from microexp.datasets.synthetic._scene import Scene, scene
from microexp.datasets.synthetic._script import Event, Script, Turn
from microexp.datasets.synthetic._truth import SyntheticFrames, Truth
from microexp.errors import OptionError

_LONG = 81  # first word of this module's random streams
_SHORTEST_SLOT = 1.6  # seconds that an expression or a turn needs


def long_video(
    seconds: float = 20.0,
    fps: float = 100.0,
    n_micro: int = 3,
    n_macro: int = 2,
    n_blinks: int = 4,
    n_turns: int = 1,
    subject: int = 0,
    size: int = 256,
    nuisance: float = 1.0,
    seed: int = 0,
) -> Clip:
    """Return one long video; its ``metadata["truth"].intervals`` say what happens when.

    Parameters
    ----------
    seconds, fps : float
        Length of the video and its frame rate.
    n_micro, n_macro, n_blinks, n_turns : int
        How many micro-expressions (up to half a second), macro-expressions, blinks and head turns.
        Expressions and turns do not overlap each other.
    subject, size, nuisance, seed
        As for `microexp.datasets.synthetic.Synthetic`; subjects count from 0 here.

    Returns
    -------
    Clip
        Frames are drawn when read. The face rests in the first frame; onset is 0, apex and offset unknown.

    Raises
    ------
    OptionError
        If the video is too short for what should happen in it.
    """
    slots = n_micro + n_macro + n_turns
    if min(n_micro, n_macro, n_blinks, n_turns, subject, seed, nuisance) < 0:
        raise OptionError("a long video's counts, subject, seed and nuisance must not be negative")
    if n_micro + n_macro < 1:
        raise OptionError("a long video needs at least one expression")
    if not (10 <= fps <= 1000 and 48 <= size <= 1024 and np.isfinite(seconds)):
        raise OptionError("a long video needs 10 to 1000 fps, a size of 48 to 1024 and a finite length")
    if seconds < max(_SHORTEST_SLOT * slots, 1.0):
        raise OptionError(
            f"{slots} expressions and head turns need at least {max(_SHORTEST_SLOT * slots, 1.0):.1f} s, "
            f"got {seconds} s"
        )
    rng = np.random.default_rng([seed, _LONG, subject, n_micro, n_macro, n_blinks, n_turns])
    length = round(seconds * fps)
    stage = scene(seed, subject, size)
    events, turns = [], []
    kinds = rng.permutation(["micro"] * n_micro + ["macro"] * n_macro + ["turn"] * n_turns)
    edges = np.linspace(0.02, 0.98, slots + 1) * length
    for kind, first, last in zip(kinds, edges[:-1], edges[1:], strict=True):
        if kind == "turn":
            turns.append(_draw_turn(rng, first, last))
        else:
            events.append(_draw_expression(rng, stage, str(kind), first, last, fps, nuisance))
    events += [_draw_blink(rng, length, fps) for _ in range(n_blinks)]
    script = Script(
        seed=seed,
        subject=subject,
        clip=1_000_000,
        size=size,
        length=length,
        reference=0,
        fps=float(fps),
        events=tuple(events),
        turns=tuple(turns),
        sway=draw_sway(rng, nuisance * stage.unit, nuisance, round(fps / 5)),
        sensor=draw_sensor(rng, nuisance),
    )
    return Clip(
        SyntheticFrames(script),
        float(fps),
        subject=f"s{subject + 1:02d}",
        database="synthetic",
        name=f"s{subject + 1:02d}_long",
        metadata={"truth": Truth(script)},
    )


def _draw_expression(
    rng: np.random.Generator,
    stage: Scene,
    kind: str,
    first: float,
    last: float,
    fps: float,
    nuisance: float,
) -> Event:
    """Draw an expression within frames `first` to `last`."""
    emotion = str(rng.choice(EMOTIONS))
    units = draw_units(rng, emotion, nuisance)
    amplitude = draw_amplitude(rng) * (1 if kind == "micro" else rng.uniform(4, 7))
    room = (last - first) * 0.95
    seconds = rng.uniform(0.2, 0.48) if kind == "micro" else rng.uniform(0.7, 2.5)
    duration = max(4.0, min(seconds * fps, room))
    onset = round(first + rng.uniform(0, room - duration))
    apex = onset + max(2, round(duration * rng.uniform(0.25, 0.45)))
    offset = max(apex + 1, onset + int(duration))
    return Event(kind, scaled(stage, units, amplitude), onset, apex, offset, emotion)


def _draw_turn(rng: np.random.Generator, first: float, last: float) -> Turn:
    start, end = first + 0.05 * (last - first), last - 0.05 * (last - first)
    angles = rng.uniform([0.02, 0.08, 0.0], [0.08, 0.18, 0.05]) * rng.choice([-1, 1], 3)
    reach, leave = start + 0.4 * (end - start), start + 0.6 * (end - start)
    pitch, yaw, roll = (float(angle) for angle in angles)
    return Turn((pitch, yaw, roll), round(start), round(reach), round(leave), round(end))


def _draw_blink(rng: np.random.Generator, length: int, fps: float) -> Event:
    duration = max(4, round(rng.uniform(0.12, 0.3) * fps))
    onset = int(rng.integers(1, max(2, length - duration - 1)))
    return Event(
        "blink", ((45, "", float(rng.uniform(0.85, 1.0))),), onset, onset + duration // 3, onset + duration
    )
