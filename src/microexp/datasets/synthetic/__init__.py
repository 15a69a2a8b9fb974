"""The embedded database: procedural faces that make micro-expressions, with everything about them known.

It needs no licensed copy of anything. Results on it prove code, not science.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from microexp.clip import Clip
from microexp.datasets.base import Check, Database, Dataset, fingerprint
from microexp.datasets.labels import scheme
from microexp.datasets.synthetic._assets import ASSET_SHA256, asset_bytes
from microexp.datasets.synthetic._sample import EMOTIONS, Settings, draw_script
from microexp.datasets.synthetic._scene import RENDERER, scene
from microexp.datasets.synthetic._truth import SyntheticFrames, Truth
from microexp.errors import OptionError

CARD = {
    "class": "Synthetic",
    "title": "Synthetic micro-expressions",
    "summary": "Procedural 3-D faces making micro-expressions, with exact flow, landmarks and action units.",
    "takes": "nothing: faces, movements and pictures are computed from a seed",
    "gives": "clips of 40 to 120 frames (T, H, W, 3) uint8 RGB, drawn when read; truth in metadata['truth']",
    "licence": "Apache-2.0 (code), CC0-1.0 (head mesh and its displacement fields, see NOTICE)",
    "notes": [
        "results on it prove code, not science",
        "amplitudes are set in pixels at 256x256 (median 1.3) and scale with the picture",
        "emotion-to-action-unit combinations follow the coding tables of the spontaneous databases",
    ],
}

__all__ = ["CARD", "Synthetic", "SyntheticFrames", "Truth"]
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
        name = self.scheme_name(labels)
        clips = self.clips()
        rows = [_row(clip, scheme(name).label(clip.emotion)) for clip in clips]
        kept = [i for i, row in enumerate(rows) if row["label"] is not None]
        table = pd.DataFrame([rows[i] for i in kept]).astype({"label": np.int64})
        parts = (ASSET_SHA256, str(RENDERER), name, repr(self._parameters()))
        return Dataset(
            table, scheme(name).classes, [clips[i] for i in kept], None, name, fingerprint("synthetic", *parts)
        )

    def clips(self) -> list[Clip]:
        """Return all clips, whatever their emotion.

        Raises
        ------
        OptionError
            If a parameter of the database cannot be used.
        """
        self._validate()
        return [
            self._clip(subject, clip)
            for subject in range(self.n_subjects)
            for clip in range(self.clips_per_subject)
        ]

    def check(self) -> list[Check]:
        """Say whether the packed head is intact and the parameters give what they should."""
        digest = fingerprint(asset_bytes())
        checks = []
        return checks
