"""Class schemes as data: which emotions of a database become which class, and which are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from microexp.errors import UnknownNameError


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
    """

    name: str
    classes: tuple[str, ...]
    emotions: Mapping[str, str]

    def label(self, emotion: str | None) -> int | None:
        """Return the class index of an emotion word, or None if the scheme leaves it out."""
        name = self.emotions.get((emotion or "").strip().lower())
        return None if name is None else self.classes.index(name)


def _scheme(name: str, classes: Mapping[str, tuple[str, ...]]) -> LabelScheme:
    emotions = {word: label for label, words in classes.items() for word in words}
    return LabelScheme(name, tuple(classes), MappingProxyType(emotions))


_BASIC = ("happiness", "surprise", "disgust", "anger", "fear", "sadness", "contempt")
_SCHEMES = (
    # MEGC2019 (See et al., FG 2019): the three classes of the composite database.
    _scheme(
        "megc3",
        {
            "negative": (
                "negative",
                "repression",
                "anger",
                "contempt",
                "disgust",
                "fear",
                "sadness",
            ),
            "positive": ("positive", "happiness"),
            "surprise": ("surprise",),
        },
    ),
    _scheme("emotion7", {name: (name,) for name in _BASIC}),
)
SCHEMES: Mapping[str, LabelScheme] = MappingProxyType({s.name: s for s in _SCHEMES})


def scheme(name: str) -> LabelScheme:
    """Return a class scheme by name; raise `UnknownNameError` with the nearest one otherwise."""
    if name not in SCHEMES:
        raise UnknownNameError("label scheme", name, SCHEMES)
    return SCHEMES[name]
