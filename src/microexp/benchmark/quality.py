"""Pictures of a variant against those they are compared with: each clip, or all as a set. One file a variant.

`ClipQuality` is how near restored clips are to the originals. PSNR and SSIM are those of
`microexp.superres.quality` in RGB with no border left out (channel "rgb", crop 0), each the mean over a
clip's onset and apex frames, which is what most recognisers look at.

`SetDistances` is how far magnified apex frames are from the unmagnified ones of the same clips, as sets: the
Frechet distance and KID of `microexp.evaluate.frechet`, by the layer "mixed5" of Inception-v3. Of a composite
database its parts are sets, too.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from microexp.cache import cached, source_hash
from microexp.clip import Clip
from microexp.datasets.base import Dataset
from microexp.errors import DataError, WeightsError
from microexp.evaluate.store import read_json, run_key, write_atomically
from microexp.superres.quality import psnr, ssim

QUALITY = "quality"
MEASURES = ("psnr", "ssim")
DISTANCES = ("FD-768", "KID-768")
_LAYER = "mixed5"


@dataclass(frozen=True, eq=False)
class QualityTask(ABC):
    """Pictures to compare; what a subclass measures of them is kept in one file.

    Attributes
    ----------
    database, variant : str
        Whose clips, and what they went through.
    factors : mapping
        Of the variant.
    dataset, original : Dataset
        The clips of the variant, and the same in the same order to compare them with; frames are read when
        measured.
    """

    kind: ClassVar[str]

    database: str
    variant: str
    factors: Mapping[str, str | int]
    dataset: Dataset
    original: Dataset

    @property
    @abstractmethod
    def how(self) -> Mapping[str, Any]:
        """What decides the result beside the pictures, as JSON values."""

    @abstractmethod
    def measure(self, clips: Sequence[Clip], originals: Sequence[Clip]) -> list[dict[str, Any]]:
        """Return the rows of the result, as JSON values."""

    @cached_property
    def key(self) -> str:
        """12 hex digits that name what is measured."""
        return run_key({**self._about, "original": self.original.fingerprint})

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "database": self.database,
            "variant": self.variant,
            "factors": dict(self.factors),
            "data": self.dataset.fingerprint,
            **self.how,
        }

    def file(self, out: Path) -> Path:
        """Return where the result is kept, below the folder of the benchmark."""
        return _file(out, self.key)

    def is_done(self, out: Path) -> bool:
        """Whether the whole result is there."""
        return _read(self.file(out)) is not None

    def run(self, out: Path) -> None:
        """Measure the pictures and keep the result.

        Raises
        ------
        DataError
            If the two do not hold the same clips, or their frames cannot be compared.
        WeightsError
            If weights are needed that are not here.
        """
        clips, originals = self.dataset.clips, self.original.clips
        if clips is None or originals is None:
            raise DataError(f"{self.database}: motion images have no {self.kind}; clips are needed")
        if [clip.identity for clip in clips] != [clip.identity for clip in originals]:
            raise DataError(
                f"{self.database}: the {len(clips)} clips of {self.variant} are not the {len(originals)} "
                "originals in their order"
            )
        rows = self.measure(clips, originals)
        file = self.file(out)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({**self._about, "rows": rows}, indent=1))


@dataclass(frozen=True, eq=False)
class ClipQuality(QualityTask):
    """PSNR and SSIM of restored clips of the originals' size; a row a clip."""

    kind = "quality"

    @property
    def how(self) -> Mapping[str, Any]:
        return {"channel": "rgb", "crop": 0, "frames": ["onset", "apex"]}

    def measure(self, clips: Sequence[Clip], originals: Sequence[Clip]) -> list[dict[str, Any]]:
        return [_compared(*pair) for pair in zip(clips, originals, strict=True)]


@dataclass(frozen=True, eq=False)
class SetDistances(QualityTask):
    """Distances of the apex frames as sets; a row a set: all, then the parts of a composite database.

    Attributes
    ----------
    weights, sha256 : str
        Of Inception-v3: a file or a name, and the content of the file; empty where it is not here.
    """

    kind = "set distance"

    weights: str
    sha256: str

    @property
    def how(self) -> Mapping[str, Any]:
        return {"weights": self.weights, "sha256": self.sha256, "layer": _LAYER, "frames": ["apex"]}

    def measure(self, clips: Sequence[Clip], originals: Sequence[Clip]) -> list[dict[str, Any]]:
        first, second = self._features(self.dataset, clips), self._features(self.original, originals)
        names = self.dataset.table["database"].to_numpy(str)
        parts = {self.database: np.full(len(names), True)}
        if len(several := np.unique(names)) > 1:
            parts |= {str(name): names == name for name in several}
        return [
            _distances(name, first[chosen], second[chosen])
            for name, chosen in parts.items()
            if name == self.database or chosen.sum() > 1
        ]

    def _features(self, dataset: Dataset, clips: Sequence[Clip]) -> np.ndarray:
        """Return the features of the apex frames, kept in the cache: one set is compared with many."""
        from microexp.networks import inception  # here, as it brings torch, which others need not
        from microexp.weights.download import locate, not_here, sha256_of

        file = locate(self.weights)
        if not file.is_file():
            raise WeightsError(not_here(self.weights))
        code = source_hash("microexp.networks.inception")
        key = (dataset.fingerprint, sha256_of(file), _LAYER, code)

        def make() -> dict[str, np.ndarray]:
            module = inception.load(self.weights, "cpu")
            return inception.picture_features(module, (clip.key_frame("apex") for clip in clips), [_LAYER])

        return cached("picture_features", key, make)[_LAYER]


def weights_sha256(weights: str) -> str:
    """Return the SHA-256 of a weight file by its path or name; empty where it is not here."""
    from microexp.weights.download import named_file, sha256_of

    file = named_file(weights)
    return "" if file is None or not file.is_file() else sha256_of(file)


def read_quality(out: Path, keys: Iterable[str]) -> pd.DataFrame:
    """Read the quality of clips from the folder of a benchmark; a damaged file counts as missing.

    Parameters
    ----------
    out : Path
        The folder.
    keys : iterable of str
        Of the tasks, in the order that is wanted; those of another kind are passed over.

    Returns
    -------
    pandas.DataFrame
        One row a clip: ``database``, ``variant``, a column for every factor, ``clip``, ``psnr`` (dB, infinite
        for equal pictures), ``ssim`` and ``file`` (below the folder).
    """
    return _rows(out, keys, ClipQuality.kind, ("clip", *MEASURES))


def read_distances(out: Path, keys: Iterable[str]) -> pd.DataFrame:
    """Read the distances of sets, as `read_quality` the quality of clips.

    Returns
    -------
    pandas.DataFrame
        One row a set: ``database``, ``variant``, a column for every factor, ``part`` (the database, or a part
        of a composite one), ``pictures`` (in each of the two sets), ``singular`` (whether these are too few
        for covariances of full rank), ``FD-768``, ``KID-768``, and ``file``.
    """
    return _rows(out, keys, SetDistances.kind, ("part", "pictures", "singular", *DISTANCES))


def _rows(out: Path, keys: Iterable[str], kind: str, columns: Sequence[str]) -> pd.DataFrame:
    rows = []
    for file in (_file(out, key) for key in keys):
        found = _read(file)
        if found is not None and found["kind"] == kind:
            about = {"database": found["database"], "variant": found["variant"], **found["factors"]}
            rows += [{**about, **row, "file": file.relative_to(out).as_posix()} for row in found["rows"]]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["database", "variant", *columns, "file"])


def _compared(restored: Clip, original: Clip) -> dict[str, Any]:
    indices = sorted({original.onset, *(() if original.apex is None else (original.apex,))})
    first, second = (np.stack([clip.frames[i] for i in indices]) for clip in (restored, original))
    return {"clip": original.identity, "psnr": psnr(first, second), "ssim": ssim(first, second)}


def _distances(part: str, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    from microexp.evaluate.frechet import feature_distances  # here, as it brings torch

    found = feature_distances({_LAYER: first}, {_LAYER: second})
    values = {name: found[name].value for name in DISTANCES}
    return {"part": part, "pictures": len(first), "singular": found[DISTANCES[0]].singular, **values}


def _file(out: Path, key: str) -> Path:
    return out / QUALITY / f"{key}.json"


def _read(file: Path) -> dict[str, Any] | None:
    """Return a whole result; None if it is not there or damaged."""
    content = read_json(file)
    needed = {"kind", "database", "variant", "factors", "data", "rows"}
    return content if content is not None and needed <= content.keys() else None
