"""Drawing scripts: which emotion, which action units, how strong, when, and what disturbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microexp.datasets.synthetic._scene import Scene
from microexp.datasets.synthetic._script import Event, Script, Sensor, Sway

_CLIP, _ORDER = 61, 62  # first words of this module's random streams
_SMALLEST, _MEDIAN, _LARGEST, _SPREAD = 0.5, 1.3, 3.0, 0.45  # of the amplitude, pixels at 256x256

# Emotion -> its share of the clips, and its combinations of action units with their frequencies:
# first those that are typical, then those that other emotions share or nearly so.
_Combinations = tuple[tuple[str, float], ...]
_EMOTIONS: dict[str, tuple[float, _Combinations, _Combinations]] = {
    "happiness": (
        0.25,
        (("6+12", 5), ("12", 5), ("L12", 1), ("R12", 1), ("12+25", 1)),
        (("6", 2), ("12+14", 2)),
    ),
    "disgust": (
        0.19,
        (("4+7+9", 3), ("9+10", 3), ("10", 2), ("4+9", 2)),
        (("4+7", 2), ("L10", 1), ("R10", 1)),
    ),
    "surprise": (
        0.19,
        (("1+2", 5), ("1+2+5", 3), ("1+2+25", 1), ("1+2+26", 1)),
        (("1", 1), ("5", 1), ("L2", 1), ("R2", 1)),
    ),
    "anger": (0.09, (("4+7", 3), ("4+5+7", 2), ("24", 1)), (("4", 2), ("7", 1))),
    "repression": (
        0.09,
        (("14", 2), ("15", 1), ("17", 2), ("24", 2)),
        (("L14", 1), ("R14", 1), ("12+14", 1)),
    ),
    "sadness": (0.07, (("1+4", 2), ("15", 2), ("1+4+15", 1), ("15+17", 2)), (("1", 1), ("17", 1))),
    "contempt": (0.06, (("L14", 3), ("R14", 3)), (("14", 1), ("L12+L14", 1), ("R12+R14", 1))),
    "fear": (0.06, (("1+2+4+5", 3), ("20", 2), ("1+4+5", 1)), (("1+2+5", 1), ("5", 1))),
}
EMOTIONS = tuple(_EMOTIONS)
_DISTRACTORS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 24)


@dataclass(frozen=True)
class Settings:
    """What the user asked for; see `microexp.datasets.synthetic.Synthetic`."""

    size: int
    nuisance: float
    seed: int
    scale: float = 1.0  # factor on all amplitudes


def emotion_of(settings: Settings, subject: int, clip: int) -> str:
    """Draw the emotion of a clip so that each subject's clips spread evenly over the shares."""
    rng = np.random.default_rng([settings.seed, _ORDER, subject])
    at = (rng.uniform() + (clip + rng.integers(0, 8)) * 0.6180339887498949) % 1.0
    shares = np.cumsum([share for share, _, _ in _EMOTIONS.values()])
    return EMOTIONS[min(int(np.searchsorted(shares / shares[-1], at, side="right")), len(EMOTIONS) - 1)]


def draw_script(settings: Settings, stage: Scene, subject: int, clip: int) -> Script:
    """Draw one clip of one subject; it depends on nothing but its arguments' numbers."""
    rng = np.random.default_rng([settings.seed, _CLIP, subject, clip])
    emotion = emotion_of(settings, subject, clip)
    units = draw_units(rng, emotion, settings.nuisance)
    fps = float(rng.choice([100, 120, 150, 200]))
    length, onset, apex, offset = _draw_times(rng, fps)
    amplitude = draw_amplitude(rng) * settings.scale
    event = Event("micro", scaled(stage, units, amplitude), onset, apex, offset, emotion)
    return Script(
        seed=settings.seed,
        subject=subject,
        clip=clip,
        size=settings.size,
        length=length,
        reference=onset,
        fps=fps,
        events=(event, *_draw_disturbances(rng, stage, settings.nuisance, event, amplitude)),
        sway=draw_sway(rng, settings.nuisance * stage.unit, settings.nuisance, apex - onset),
        sensor=draw_sensor(rng, settings.nuisance),
    )


def draw_units(rng: np.random.Generator, emotion: str, nuisance: float) -> tuple[tuple[int, str, float], ...]:
    """Draw action units and their relative weights for an emotion; nuisance makes shared ones likelier."""
    _, typical, shared = _EMOTIONS[emotion]
    table = shared if rng.uniform() < min(0.15 * nuisance, 0.9) else typical
    chances = np.array([chance for _, chance in table], float)
    text = table[rng.choice(len(table), p=chances / chances.sum())][0]
    return tuple((*_parse(word), float(rng.uniform(0.6, 1.2))) for word in text.split("+"))


def draw_amplitude(rng: np.random.Generator) -> float:
    """Draw the peak displacement of a micro-expression, pixels at 256x256."""
    return float(np.clip(rng.lognormal(np.log(_MEDIAN), _SPREAD), _SMALLEST, _LARGEST))


def scaled(
    stage: Scene, units: tuple[tuple[int, str, float], ...], amplitude: float
) -> tuple[tuple[int, str, float], ...]:
    """Scale the weights so that the face moves by at most `amplitude` pixels at 256x256."""
    target = amplitude * stage.unit
    factor = 1.0
    start = {(unit, side): weight for unit, side, weight in units}
    for _ in range(3):  # the projection is nearly linear: the third step is exact to 1e-6
        now = stage.strength({key: weight * factor for key, weight in start.items()})
        factor *= target / now
    factor = min(factor, 1 / max(start.values()))  # no muscle acts beyond its full intensity
    return tuple((unit, side, weight * factor) for unit, side, weight in units)


def draw_sway(rng: np.random.Generator, pixels: float, nuisance: float, span: int) -> Sway:
    """Draw the head's drift; `pixels` scales its shifts, `nuisance` its rotations."""
    reach = np.array([*(np.radians([0.45, 0.55, 0.28]) * nuisance), 0.9 * pixels, 0.9 * pixels])
    return Sway(
        drift=_floats(rng.normal(0, reach)),
        wobble=_floats(rng.normal(0, 0.25 * reach)),
        phase=_floats(rng.uniform(0, 2 * np.pi, 5)),
        rate=float(rng.uniform(0.05, 0.2)),
        span=float(max(span, 1)),
    )


def draw_sensor(rng: np.random.Generator, nuisance: float) -> Sensor:
    """Draw the camera's faults."""
    return Sensor(
        gain=float(np.exp(rng.normal(0, 0.05 * nuisance))),
        flicker=float(abs(rng.normal(0, 0.006 * nuisance))),
        wander=_pair(rng.normal(0, 0.04 * nuisance, 2)),
        rate=float(rng.uniform(0.2, 3.0)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        read=float(1.8 * nuisance),
        shot=float(0.17 * nuisance),
    )


def _draw_times(rng: np.random.Generator, fps: float) -> tuple[int, int, int, int]:
    """Return (number of frames, onset, apex, offset): half a second at most, rise before fall."""
    length = int(rng.integers(40, 121))
    onset = int(rng.integers(1, max(2, length // 8) + 1))
    offset = length - 1 - int(rng.integers(0, max(1, length // 8)))
    offset = min(offset, onset + int(0.5 * fps))
    apex = onset + max(4, round((offset - onset) * rng.uniform(0.25, 0.46)))
    return length, onset, apex, offset


def _draw_disturbances(
    rng: np.random.Generator, stage: Scene, nuisance: float, main: Event, amplitude: float
) -> list[Event]:
    """Draw other action units and partial blinks; all start after the onset, where the face is at rest."""
    events = []
    for _ in range(rng.poisson(1.8 * nuisance)):
        unit, side = int(rng.choice(_DISTRACTORS)), str(rng.choice(["", "", "L", "R"]))
        size = amplitude * rng.uniform(0.35, 1.1)
        onset, apex, offset = _inside(rng, main)
        events.append(Event("distractor", scaled(stage, ((unit, side, 1.0),), size), onset, apex, offset))
    if rng.uniform() < min(0.2 * nuisance, 0.9):
        onset, apex, offset = _inside(rng, main)
        events.append(Event("blink", ((45, "", float(rng.uniform(0.05, 0.5))),), onset, apex, offset))
    return events


def _inside(rng: np.random.Generator, main: Event) -> tuple[int, int, int]:
    onset = int(rng.integers(main.onset, main.apex))
    apex = int(rng.integers(onset + 2, main.offset))
    return onset, apex, int(rng.integers(apex + 1, main.offset + 1))


def _parse(word: str) -> tuple[int, str]:
    """``"L12"`` -> (12, "L")."""
    return int(word.lstrip("LR")), word[0] if word[0] in "LR" else ""


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
