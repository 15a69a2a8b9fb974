"""MEGC2019: 442 clips of CASME II, SAMM and SMIC-HS in three classes, from the user's three copies.

`root` holds the three copies, each in a folder of any name, or they are named one by one: casme2, samm, smic.
Which clips belong is decided by rules, not by a list: see the notes of the card and `belongs`.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from microexp.clip import Clip
from microexp.datasets import create
from microexp.datasets.annotated import AnnotatedDatabase, Odd, Reading
from microexp.datasets.base import Check, Database, Dataset, fingerprint, relabel, require_root
from microexp.datasets.labels import emotion_word
from microexp.datasets.labels import scheme as label_scheme
from microexp.errors import MicroexpError, PathMissingError

CARD = {
    "class": "MEGC2019",
    "title": "MEGC2019 composite",
    "summary": "442 clips of CASME II, SAMM and SMIC-HS, 68 subjects, three classes, from your three copies.",
    "takes": "a folder with the three copies, or casme2=DIR, samm=DIR, smic=DIR",
    "gives": "clips (T, H, W, 3) uint8 RGB; 250 negative, 109 positive, 83 surprise",
    "paper": {
        "authors": "See, John and Yap, Moi Hoon and Li, Jingting and Hong, Xiaopeng and Wang, Su-Jing",
        "title": "MEGC 2019 -- The Second Facial Micro-Expressions Grand Challenge",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition",
        "year": 2019,
        "doi": "10.1109/FG.2019.8756611",
    },
    "licence": "that of each of the three databases; nothing is redistributed here",
    "notes": [
        "CASME II: happiness, surprise, disgust, repression, but not 04/EP12_01f and 05/EP09_05f, nor the "
        "three clips of 24 that the sheet of 2019 moves to surprise (EP07_01, EP07_04f, EP10_03): 145.",
        "SAMM: all but the emotion Other: 133. SMIC: all of SMIC-HS: 164.",
        "SMIC has no apex and SAMM lacks two: methods that need one take --prepare apex (spotting) or "
        "--data missing_apex=middle.",
        "SMIC-E lacks three of the clips, so the official counts need the raw or cropped clips of SMIC.",
        "A copy that gives other counts is used all the same, and every figure says so.",
    ],
}

# Clips that have an emotion of the composite, and yet are not in it.
LEFT_OUT: Mapping[str, frozenset[tuple[str, str]]] = MappingProxyType(
    {
        "casme2": frozenset(
            {
                *(("04", "EP12_01f"), ("05", "EP09_05f")),
                *(("24", "EP07_01"), ("24", "EP07_04f"), ("24", "EP10_03")),  # surprise in 2019 only
            }
        )
    }
)
_NEGATIVE = {"anger": 57, "contempt": 12, "disgust": 9, "fear": 8, "sadness": 6}
# Official number of clips by emotion, and of subjects.
_OFFICIAL: Mapping[str, tuple[Mapping[str, int], int]] = MappingProxyType(
    {
        "casme2": ({"disgust": 61, "repression": 27, "happiness": 32, "surprise": 25}, 24),
        "samm": ({**_NEGATIVE, "happiness": 26, "surprise": 15}, 28),
        "smic": ({"negative": 70, "positive": 51, "surprise": 43}, 16),
    }
)
_SCHEME = label_scheme("megc3")


def belongs(database: str, subject: str, name: str, emotion: str | None) -> bool:
    """Tell whether a clip is in the composite."""
    known = _SCHEME.label(emotion, database) is not None
    return known and (subject, name) not in LEFT_OUT.get(database, ())


@dataclass(frozen=True)
class Composite:
    """The three annotations as read, without the rows that do not belong.

    Attributes
    ----------
    parts : mapping of str to Reading
        By database.
    """

    parts: Mapping[str, Reading]

    @property
    def clips(self) -> list[Clip]:
        """The clips that can be used."""
        return [clip for reading in self.parts.values() for clip in reading.clips]

    @property
    def odds(self) -> list[Odd]:
        """Everything odd, in the order of the rows."""
        return [odd for reading in self.parts.values() for odd in reading.odds]


class MEGC2019(Database):
    """The composite database, read from the user's copies.

    Parameters
    ----------
    root : path
        Folder that holds the copies that are not named one by one.
    casme2, samm, smic : path or mapping, optional
        Folder of a copy, or options of its loader, as ``{"root": DIR, "variant": "cropped"}``.
    variant : str, optional
        Which pictures, of all three: "raw" or "cropped" (default: the first of each loader).
    missing_apex : {"keep", "middle", "drop"}
        As in `AnnotatedDatabase`.
    """

    label_schemes = ("megc3",)

    def __init__(
        self,
        root: str | Path | None = None,
        casme2: str | Path | Mapping[str, Any] | None = None,
        samm: str | Path | Mapping[str, Any] | None = None,
        smic: str | Path | Mapping[str, Any] | None = None,
        variant: str | None = None,
        missing_apex: str = "keep",
    ) -> None:
        self.root = root
        self.casme2 = casme2
        self.samm = samm
        self.smic = smic
        self.variant = variant
        self.missing_apex = missing_apex

    def load(self, labels: str | None = None) -> Dataset:
        """Return the clips of the three; no picture is opened yet.

        Raises the errors of the three loaders: each says which database it is about.
        """
        scheme = self.scheme(labels)
        loaders = self.parts()
        read = {part: _members(part, loader.read()) for part, loader in loaders.items()}
        parts = {part: loader.dataset(read[part], _SCHEME) for part, loader in loaders.items()}
        clips = [clip for data in parts.values() for clip in data.clips or ()]
        table = pd.concat([data.table for data in parts.values()]).assign(at=range(len(clips)))
        table["emotion"] = table["emotion"].map(emotion_word)  # SAMM's Disgust is CASME II's disgust
        table = relabel(table, scheme)
        kept = table.pop("at").to_list()
        rule = ("megc2019", scheme.name, repr(sorted(scheme.emotions.items())))
        return Dataset(
            table,
            scheme.classes,
            clips=[clips[i] for i in kept],
            scheme=scheme.name,
            fingerprint=fingerprint(*rule, *(data.fingerprint for data in parts.values())),
            remarks=(*(r for data in parts.values() for r in data.remarks), *_differences(parts)),
        )

    def read(self) -> Composite:
        """Read the three annotations, and look for the frames of every row; raises the errors of `load`."""
        return Composite({part: _members(part, loader.read()) for part, loader in self.parts().items()})

    def check(self) -> list[Check]:
        """Compare each copy with the official counts, and name what is missing and what is too much."""
        checks: list[Check] = []
        clips: list[Clip] = []
        for part, loader in self.parts().items():
            try:
                reading = loader.read()
            except MicroexpError as error:
                checks.append(replace(_compare(part, ()), ok=False, details=(str(error),)))
                continue
            checks.append(Check(f"{part}: frames", reading.copy.pattern, str(reading.copy.home), True))
            checks.append(_check_part(part, loader, reading))
            clips += _members(part, reading).clips
        return [*checks, _compare_all(clips), _check_apex(clips)]

    def parts(self) -> dict[str, AnnotatedDatabase]:
        """Return the loaders of the three databases.

        Raises
        ------
        PathMissingError
            If the root is not there, or there is neither a root nor a folder for one of them.
        OptionError
            If a loader does not take an option.
        """
        if self.root is not None:
            require_root(self.root, "megc2019", "your copies of CASME II, SAMM and SMIC")
        loaders = {}
        for part in _OFFICIAL:
            named = getattr(self, part)
            options = dict(named) if isinstance(named, Mapping) else {"root": named}
            if options.get("root") is None:
                options["root"] = self.root
            if options["root"] is None:
                raise PathMissingError(
                    f"megc2019: where is your copy of {part}? Name the folder that holds the three copies "
                    f"(--root DIR), or each of them: {part}=DIR (--data {part}=DIR)"
                )
            loaders[part] = create(
                part, **{"variant": self.variant, "missing_apex": self.missing_apex, **options}
            )
        return loaders


def _members(part: str, reading: Reading) -> Reading:
    return reading.only(lambda row: belongs(part, row.subject, row.name, row.emotion))


def _check_part(part: str, loader: AnnotatedDatabase, reading: Reading) -> Check:
    """Compare one copy: what differs by emotion, what its own check says, every clip that is missing."""
    members = _members(part, reading)
    check = _compare(part, members.clips)
    listed = {row.key: row.emotion for row in reading.rows}
    left_out = sorted(LEFT_OUT.get(part, ()))
    details = list(check.details)
    if not check.ok:
        details += [
            f"the rules leave out {subject}/{name}, which the copy does not list: has it another name there?"
            for subject, name in left_out
            if (subject, name) not in listed
        ]
        details += [f"{c.what}: {told}" for c in loader.check() if not c.ok for told in c.details]
        variant = f" --data variant={loader.variant}" if loader.variant else ""
        root = shlex.quote(str(loader.root))
        details.append(f"more on this copy: microexp datasets check {part} {root}{variant}")
    out = [key for key in left_out if _SCHEME.label(listed.get(key), part) is not None]
    if out:
        told = ", ".join(f"{subject}/{name} ({listed[subject, name]})" for subject, name in out)
        details.append(f"left out by the rules: {told}")
    details += [f"missing: {odd}" for odd in members.odds if not odd.kept]
    return replace(check, details=tuple(details))


def _compare(part: str, clips: Sequence[Clip]) -> Check:
    """Compare the counts of one database with the official ones, emotion by emotion."""
    official, published = _OFFICIAL[part]
    found = Counter(emotion_word(clip.emotion) for clip in clips)
    subjects = len({clip.subject for clip in clips})
    details = [f"{word}: {found[word]} in place of {n}" for word, n in official.items() if found[word] != n]
    if subjects != published:
        details.append(f"subjects: {subjects} in place of {published}")
    expected, told = _told(_by_class(part, official), published), _told(_by_class(part, found), subjects)
    return Check(part, expected, told, not details, tuple(details))


def _compare_all(clips: Sequence[Clip]) -> Check:
    official = sum((_by_class(part, emotions) for part, (emotions, _) in _OFFICIAL.items()), Counter())
    found = Counter(_SCHEME.label(clip.emotion, clip.database) for clip in clips)
    expected = _told(official, sum(subjects for _, subjects in _OFFICIAL.values()))
    told = _told(found, len({(clip.database, clip.subject) for clip in clips}))
    return Check("composite", expected, told, expected == told)


def _check_apex(clips: Sequence[Clip]) -> Check:
    without = Counter(clip.database for clip in clips if clip.apex is None)
    told = ", ".join(f"{count} of {part}" for part, count in without.items())
    return Check("clips without an apex", "any", told or "0", True)


def _differences(parts: Mapping[str, Dataset]) -> list[str]:
    """What has to be said beside every figure where the counts are not the official ones."""
    told = []
    for part, data in parts.items():
        check = _compare(part, data.clips or ())
        if not check.ok:
            same = check.found == check.expected  # by class, though not by emotion
            differs = ", ".join(check.details) if same else f"{check.found} in place of {check.expected}"
            told.append(f"{part}: {differs}")
    if not told:
        return []
    return [
        f"megc2019: not the official composite; {'; '.join(told)}. "
        "What differs is listed by: microexp datasets check megc2019 ROOT"
    ]


def _by_class(part: str, emotions: Mapping[str, int]) -> Counter[int | None]:
    counts: Counter[int | None] = Counter()
    for emotion, count in emotions.items():
        counts[_SCHEME.label(emotion, part)] += count
    return counts


def _told(by_class: Mapping[int | None, int], subjects: int) -> str:
    """88 negative, 32 positive, 25 surprise of 24 subjects."""
    counts = ", ".join(f"{by_class.get(k, 0)} {name}" for k, name in enumerate(_SCHEME.classes))
    return f"{counts} of {subjects} subjects"
