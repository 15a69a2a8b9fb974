"""How near restored clips are to the originals: one file a variant, one row a clip.

PSNR and SSIM are those of `microexp.superres.quality` in RGB with no border left out (channel "rgb", crop 0),
each the mean over a clip's onset and apex frames, which is what most recognisers look at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from microexp.clip import Clip
from microexp.datasets.base import Dataset
from microexp.errors import DataError
from microexp.evaluate.store import run_key, write_atomically
from microexp.superres.quality import psnr, ssim

QUALITY = "quality"
MEASURES = ("psnr", "ssim")
_HOW = {"channel": "rgb", "crop": 0, "frames": ["onset", "apex"]}


@dataclass(frozen=True, eq=False)
class QualityTask:
    """Restored clips of a variant and the originals to compare them with.

    Attributes
    ----------
    database, variant : str
        Whose clips, and what they went through.
    factors : mapping
        Of the variant.
    restored, original : Dataset
        The same clips in the same order and size; frames are read when measured.
    """

    database: str
    variant: str
    factors: Mapping[str, str | int]
    restored: Dataset
    original: Dataset

    @cached_property
    def key(self) -> str:
        """12 hex digits that name what is measured."""
        return run_key({**self._about, "original": self.original.fingerprint})

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "database": self.database,
            "variant": self.variant,
            "factors": dict(self.factors),
            "data": self.restored.fingerprint,
            **_HOW,
        }

    def file(self, out: Path) -> Path:
        """Return where the result is kept, below the folder of the benchmark."""
        return out / QUALITY / f"{self.key}.json"

    def is_done(self, out: Path) -> bool:
        """Whether the whole result is there."""
        return _read(self.file(out)) is not None

    def run(self, out: Path) -> None:
        """Measure every clip and keep the result.

        Raises
        ------
        DataError
            If the two do not hold the same clips, or their frames differ in size.
        """
        restored, original = self.restored.clips, self.original.clips
        if restored is None or original is None:
            raise DataError(f"{self.database}: motion images have no quality; clips are needed")
        names = [[clip.identity for clip in clips] for clips in (restored, original)]
        if names[0] != names[1]:
            raise DataError(
                f"{self.database}: the {len(names[0])} clips of {self.variant} are not the {len(names[1])} "
                "originals in their order"
            )
        clips = [_measured(a, b) for a, b in zip(restored, original, strict=True)]
        file = self.file(out)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({**self._about, "clips": clips}, indent=1))


def read_quality(out: Path) -> pd.DataFrame:
    """Read what was measured in the folder of a benchmark; a damaged file counts as missing.

    Returns
    -------
    pandas.DataFrame
        One row a clip: ``database``, ``variant``, a column for every factor, ``clip``, ``psnr`` (dB, infinite
        for equal pictures), ``ssim``, ``data`` (fingerprint of the restored clips) and ``file`` (below the
        folder).
    """
    rows = []
    for file in sorted((out / QUALITY).glob("*.json")):
        if (found := _read(file)) is None:
            continue
        about = {"database": found["database"], "variant": found["variant"], **found["factors"]}
        place = {"data": found["data"], "file": file.relative_to(out).as_posix()}
        rows += [{**about, **clip, **place} for clip in found["clips"]]
    columns = ["database", "variant", "clip", *MEASURES, "data", "file"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def _measured(restored: Clip, original: Clip) -> dict[str, Any]:
    indices = sorted({original.onset, *(() if original.apex is None else (original.apex,))})
    first, second = (np.stack([clip.frames[i] for i in indices]) for clip in (restored, original))
    return {"clip": original.identity, "psnr": psnr(first, second), "ssim": ssim(first, second)}


def _read(file: Path) -> dict[str, Any] | None:
    """Return a whole result; None if it is not there or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    whole = (
        isinstance(content, dict) and {"database", "variant", "factors", "data", "clips"} <= content.keys()
    )
    return content if whole else None
