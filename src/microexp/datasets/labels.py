"""Class schemes as data: which emotions of a database become which class, and which are left out.

Wherever a scheme is named, the path of a table (.csv or Excel) with the columns ``emotion`` and ``class`` may
stand in its place: one row for each emotion word; words without a row are left out; the classes are
numbered in the order in which they first appear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from microexp.datasets._sheets import SHEET_SUFFIXES, read_table
from microexp.errors import DataError, UnknownNameError

# Other spellings of an emotion in the sheets of the databases.
_SYNONYMS = {"happy": "happiness", "sad": "sadness", "angry": "anger", "other": "others"}


@dataclass(frozen=True)
class LabelScheme:
    """A list of classes and the emotion words that fall into each.

    Attributes
    ----------
    name : str
        How the command line calls it.
    classes : tuple of str
        Class names; the label ``k`` (int64) is ``classes[k]``.
    emotions : mapping of str to str
        Lower-case emotion word to class name. A word that is not in it is left out.
    left_out : mapping of str to frozenset of str
        Database to the words that the scheme leaves out of that database, though others give them a class.
    """

    name: str
    classes: tuple[str, ...]
    emotions: Mapping[str, str]
    left_out: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))

    def label(self, emotion: str | None, database: str = "") -> int | None:
        """Return the class index of an emotion word, or None if the scheme leaves it out.

        Case, surrounding spaces and the spelling (happy, happiness) make no difference.
        """
        word = emotion_word(emotion)
        name = None if word in self.left_out.get(database, ()) else self.emotions.get(word)
        return None if name is None else self.classes.index(name)


def emotion_word(text: str | None) -> str:
    """Return the one spelling of an emotion word by which schemes and counts know it."""
    word = (text or "").strip().lower()
    return _SYNONYMS.get(word, word)


def _scheme(
    name: str,
    classes: Mapping[str, tuple[str, ...]],
    left_out: Mapping[str, tuple[str, ...]] | None = None,
) -> LabelScheme:
    emotions = {word: label for label, words in classes.items() for word in words}
    without = {database: frozenset(words) for database, words in (left_out or {}).items()}
    return LabelScheme(name, tuple(classes), MappingProxyType(emotions), MappingProxyType(without))


def _each(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (name,) for name in names}


_NEGATIVE = ("negative", "anger", "contempt", "disgust", "fear", "sadness")
_SCHEMES = (
    # MEGC2019 (See et al., FG 2019): the three classes of the composite database. Of CASME II it takes
    # disgust and repression as negative, but not the few clips of sadness and fear.
    _scheme(
        "megc3",
        {
            "negative": (*_NEGATIVE, "repression"),
            "positive": ("positive", "happiness"),
            "surprise": ("surprise",),
        },
        left_out={"casme2": ("sadness", "fear")},
    ),
    # The four classes of the empirical study of super-resolution for recognition (Zhou et al.), and those of
    # CAS(ME)^3's papers. Repression counts with the others.
    _scheme(
        "mer4",
        {
            "negative": _NEGATIVE,
            "positive": ("positive", "happiness"),
            "surprise": ("surprise",),
            "others": ("others", "repression"),
        },
    ),
    _scheme("emotion7", _each("happiness", "surprise", "disgust", "anger", "fear", "sadness", "contempt")),
    # Of CASME's eight emotions the four with enough clips; the only scheme that has 'tense'.
    _scheme("casme_4", _each("disgust", "repression", "surprise", "tense")),
    _scheme("casme2_5", _each("happiness", "disgust", "repression", "surprise", "others")),
    _scheme("casme3_7", _each("others", "happiness", "surprise", "sadness", "disgust", "fear", "anger")),
    # DFME's own numbering, EmotionId 0 to 6.
    _scheme("dfme7", _each("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")),
)
SCHEMES: Mapping[str, LabelScheme] = MappingProxyType({s.name: s for s in _SCHEMES})


def scheme(name: str) -> LabelScheme:
    """Return a class scheme by name, or read it from the file that is named.

    Raises
    ------
    UnknownNameError
        If no scheme has that name; the message gives the nearest.
    PathMissingError, DataError
        If a file is named and it does not exist or is not a mapping; the message names the row.
    """
    if is_file_name(name):
        return read_scheme(name)
    if name not in SCHEMES:
        raise UnknownNameError("label scheme", name, SCHEMES)
    return SCHEMES[name]


def is_file_name(name: str) -> bool:
    """Tell whether the name of a scheme is that of a file."""
    return Path(name).suffix.lower() in SHEET_SUFFIXES


def read_scheme(file: str | Path) -> LabelScheme:
    """Read a scheme from a table with the columns ``emotion`` and ``class``; see `scheme` for errors."""
    table = read_table(file, {"emotion": ("emotion",), "class": ("class",)})
    emotions: dict[str, str] = {}
    for row, cells in table.records():
        word, label = emotion_word(cells["emotion"]), cells["class"]
        if not word or not label:
            raise DataError(f"{file}, row {row}: an emotion and a class are needed in each row")
        if emotions.setdefault(word, label) != label:
            raise DataError(f"{file}, row {row}: '{word}' is already in the class '{emotions[word]}'")
    classes = tuple(dict.fromkeys(emotions.values()))
    if len(classes) < 2:
        raise DataError(f"{file} has one class only ('{classes[0]}'); two or more are needed")
    return LabelScheme(Path(file).name, classes, MappingProxyType(emotions))
