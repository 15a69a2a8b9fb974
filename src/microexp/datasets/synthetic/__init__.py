"""The embedded database: procedural faces that make micro-expressions, with everything about them known.

It needs no licensed copy of anything. Results on it prove code, not science.
"""

from __future__ import annotations

import hashlib
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd

from microexp.clip import Clip
from microexp.datasets.base import Check, Database, Dataset, fingerprint
from microexp.datasets.synthetic._assets import ASSET_SHA256, asset_bytes, renderer_version
from microexp.datasets.synthetic._long import long_video
from microexp.datasets.synthetic._photo import photo_clip
from microexp.datasets.synthetic._sample import EMOTIONS, Settings, draw_script, emotion_of
from microexp.datasets.synthetic._scene import scene
from microexp.datasets.synthetic._truth import SyntheticFrames, Triple, Truth, micro_macro_triple
from microexp.datasets.synthetic._write import write_frames
from microexp.errors import MicroexpError, OptionError

CARD = {
    "class": "Synthetic",
    "title": "Synthetic micro-expressions",
    "summary": "Procedural 3-D faces making micro-expressions, with exact flow, landmarks and action units.",
    "takes": "nothing: faces, movements and pictures are computed from a seed",
    "gives": "clips of 40 to 120 frames (T, H, W, 3) uint8 RGB, drawn when read; truth in metadata['truth']",
    "licence": "Apache-2.0 (code), CC0-1.0 (head mesh and its displacement fields, see NOTICE)",
    "notes": [
        "Results on it prove code, not science.",
        "Amplitudes are set in pixels at 256x256 (median 1.3) and scale with the picture.",
        "Nuisance 1 was set by looking at linear SVM scores (seeds 0 and 1, 30 subjects), so that "
        "they lie near those on real flow images: a chosen difficulty, not a finding.",
        "Action units of each emotion follow the coding tables of the spontaneous databases.",
    ],
}

__all__ = [
    "CARD",
    "Synthetic",
    "SyntheticFrames",
    "Triple",
    "Truth",
    "long_video",
    "micro_macro_triple",
    "photo_clip",
    "write_frames",
]
_LABELS = 71  # first word of this module's random streams


class Synthetic(Database):
    """Micro-expressions of synthetic subjects.

    Parameters
    ----------
    root : path, optional
        Not used; here because every database takes one.
    n_subjects, clips_per_subject : int
        How many. A subject and its clips do not depend on either number.
    size : int
        Side of the square pictures in pixels, 48 to 1024.
    nuisance : float
        0 to 3: head drift, light flicker, noise, distracting movements, partial blinks, ambiguous
        combinations. 0 has none of them; 1 stands beside the real databases in difficulty.
    seed : int
        Everything follows from it, bit for bit.
    label_noise : float
        Chance in [0, 1] that a clip is annotated with another emotion than it shows.
    amplitude_scale : float
        Factor on the displacement of all expressions (1 is micro: 0.5 to 3 pixels at 256x256).
    """

    label_schemes = ("megc3", "emotion7")

    def __init__(
        self,
        root: str | Path | None = None,
        n_subjects: int = 30,
        clips_per_subject: int = 8,
        size: int = 256,
        nuisance: float = 1.0,
        seed: int = 0,
        label_noise: float = 0.0,
        amplitude_scale: float = 1.0,
    ) -> None:
        self.root = root
        self.n_subjects = n_subjects
        self.clips_per_subject = clips_per_subject
        self.size = size
        self.nuisance = nuisance
        self.seed = seed
        self.label_noise = label_noise
        self.amplitude_scale = amplitude_scale

    def load(self, labels: str | None = None) -> Dataset:
        """Return the clips under a label scheme; no picture is drawn yet."""
        scheme = self.scheme(labels)
        clips = self.clips()
        rows = [_row(clip, scheme.label(clip.emotion)) for clip in clips]
        kept = [i for i, row in enumerate(rows) if row["label"] is not None]
        table = pd.DataFrame([rows[i] for i in kept], columns=_COLUMNS).astype({"label": np.int64})
        parts = [renderer_version(), scheme.name, repr(self._parameters())]
        if scheme.name not in self.label_schemes:  # the user's own
            parts.append(repr(sorted(scheme.emotions.items())))
        return Dataset(
            table,
            scheme.classes,
            clips=[clips[i] for i in kept],
            scheme=scheme.name,
            fingerprint=fingerprint("synthetic", *parts),
            remarks=("Synthetic faces: results on them prove code, not science.",),
        )

    def clips(self) -> list[Clip]:
        """Return all clips, whatever their emotion.

        Raises
        ------
        OptionError
            If a parameter of the database cannot be used.
        """
        self.validate()
        return [
            self.clip(subject, clip)
            for subject in range(self.n_subjects)
            for clip in range(self.clips_per_subject)
        ]

    def check(self) -> list[Check]:
        """Say whether the packed head is intact and the parameters give what they should."""
        digest = hashlib.sha256(asset_bytes()).hexdigest()
        checks = [Check("head mesh", ASSET_SHA256[:16], digest[:16], digest == ASSET_SHA256)]
        try:
            clips = self.clips()
        except MicroexpError as error:
            return [*checks, Check("parameters", "usable", "not usable", False, (str(error),))]
        subjects = len({clip.subject for clip in clips})
        expected = self.n_subjects * self.clips_per_subject
        return [
            *checks,
            Check("subjects", str(self.n_subjects), str(subjects), subjects == self.n_subjects),
            Check("clips", str(expected), str(len(clips)), expected == len(clips)),
        ]

    def emotion(self, subject: int, clip: int) -> str:
        """Return the emotion that a clip shows, without drawing it; arguments as for `clip`."""
        return emotion_of(self._settings, subject, clip)

    def clip(self, subject: int, clip: int) -> Clip:
        """Return one clip of one subject, both counted from 0; there is no end to either."""
        script = draw_script(self._settings, scene(self.seed, subject, self.size), subject, clip)
        truth, event = Truth(script), script.events[0]
        return Clip(
            SyntheticFrames(script),
            script.fps,
            onset=event.onset,
            apex=event.apex,
            offset=event.offset,
            subject=f"s{subject + 1:02d}",
            database="synthetic",
            name=f"s{subject + 1:02d}_{clip + 1:02d}",
            emotion=self._annotated(event.emotion, subject, clip),
            action_units=truth.action_units,
            metadata={"truth": truth},
        )

    @property
    def _settings(self) -> Settings:
        return Settings(self.size, self.nuisance, self.seed, self.amplitude_scale)

    def _annotated(self, emotion: str, subject: int, clip: int) -> str:
        """The emotion as a fallible coder writes it down."""
        rng = np.random.default_rng([self.seed, _LABELS, subject, clip])
        if rng.uniform() >= self.label_noise:
            return emotion
        return str(rng.choice([other for other in EMOTIONS if other != emotion]))

    def _parameters(self) -> dict[str, float]:
        return {
            "n_subjects": self.n_subjects,
            "clips_per_subject": self.clips_per_subject,
            "size": self.size,
            "nuisance": float(self.nuisance),
            "seed": self.seed,
            "label_noise": float(self.label_noise),
            "amplitude_scale": float(self.amplitude_scale),
        }

    def validate(self) -> None:
        """Raise `OptionError` if a parameter cannot be used."""
        for name, (low, high, whole) in _LIMITS.items():
            value = getattr(self, name)
            number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise OptionError(f"synthetic: {name} must be {kind} from {low} to {high}, got {value!r}")


_LIMITS: dict[str, tuple[float, float, bool]] = {
    "n_subjects": (1, 10_000, True),
    "clips_per_subject": (1, 10_000, True),
    "size": (48, 1024, True),
    "nuisance": (0, 3, False),
    "seed": (0, 2**32 - 1, True),
    "label_noise": (0, 1, False),
    "amplitude_scale": (0.01, 20, False),
}
_COLUMNS = [
    *("database", "subject", "clip", "emotion", "label", "action_units"),
    *("onset", "apex", "offset", "fps", "amplitude"),
]


def _row(clip: Clip, label: int | None) -> dict[str, object]:
    return {
        "database": clip.database,
        "subject": clip.subject,
        "clip": clip.name,
        "emotion": clip.emotion,
        "label": label,
        "action_units": "+".join(str(unit) for unit in clip.action_units),
        "onset": clip.onset,
        "apex": clip.apex,
        "offset": clip.offset,
        "fps": clip.fps,
        "amplitude": clip.metadata["truth"].amplitude,
    }
