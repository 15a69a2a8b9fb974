"""Action units as the sheets of the databases write them: one grammar for all, read and written.

===================  ==================================================================================
``4+7`` ``4,7``      two units; ``+ , ; &``, spaces and the full-width comma separate
``L12`` ``R10``      one side of the face; ``T18`` ``B28`` top or bottom, ``A12`` asymmetric
``12A`` ``L12C``     intensity A to E
``10A/B`` ``A/L12``  the coder hesitates between two: the mean intensity, the first side
``L12 or L14``       the coder hesitates between units: both are given
``ref(7B)``          judged against the reference frame: given
``AU4`` ``AD31``     action descriptors and movements (``M58``) by their FACS number
``12(k)`` ``4?``     a mark behind the unit is dropped; a question mark is a doubt
===================  ==================================================================================

Whatever the coder left open is also listed as doubtful, and what is no code ("soft focus") as unread.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from microexp.clip import ActionUnit

INTENSITIES = {"A": 0.2, "B": 0.4, "C": 0.6, "D": 0.8, "E": 1.0}
_GRADES = {**INTENSITIES, "A/B": 0.3, "B/C": 0.5, "C/D": 0.7, "D/E": 0.9}
_UNIT = re.compile(
    r"""(?P<ref>ref\s*\(?\s*)?
        (?:(?P<side>[LRTBA](?:\s*/\s*[LRTBA])*)\s*)?
        (?:AU|AD|M)?\s*
        (?P<unit>[1-9]\d?)
        (?P<intensity>[A-E](?:\s*/\s*[A-E])*)?
        (?![A-Z0-9]|\.\d)
        (?:\s*\(\s*[A-Z]\s*\)|\(\s*\d\s*\))*
        (?P<doubt>\s*\(\s*\?+\s*\)|\?*)
        (?(ref)\s*\)?)""",
    re.VERBOSE | re.IGNORECASE,
)
_SEPARATOR = re.compile(r"(?:[\s+,;&()/.]|and\b|(?P<choice>or\b))+", re.IGNORECASE)
_OTHER = re.compile(r"[^+,;&()]+")


@dataclass(frozen=True)
class Coding:
    """What an action unit cell says.

    Attributes
    ----------
    units : tuple of ActionUnit
        In the order of the cell, each once.
    doubtful : tuple of str
        Pieces of the cell that the coder left open, as written; their units are among `units`.
    unread : tuple of str
        Pieces that are no code.
    """

    units: tuple[ActionUnit, ...] = ()
    doubtful: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def parse_action_units(text: str) -> Coding:
    """Read the action units of one cell.

    Parameters
    ----------
    text : str
        For instance ``"4+L12C"``; empty where nothing was coded.

    Returns
    -------
    Coding
        Never raises: what cannot be read is listed.
    """
    text = unicodedata.normalize("NFKC", text)
    units: list[ActionUnit] = []
    doubtful: list[str] = []
    unread: list[str] = []
    at, choice, previous = 0, False, ""
    while at < len(text):
        if separator := _SEPARATOR.match(text, at):
            words = separator.group()
            choice = separator["choice"] is not None or "/" in words
            at = separator.end()
        elif found := _UNIT.match(text, at):
            written = found.group().strip()
            units.append(_unit(found))
            if choice and previous:
                doubtful.append(f"{previous} or {written}")
            elif found["ref"] or found["doubt"] or "/" in written:
                doubtful.append(written)
            at, choice, previous = found.end(), False, written
        else:
            other = _OTHER.match(text, at)
            end = other.end() if other else at + 1
            unread.append(text[at:end].strip())
            at, choice, previous = end, False, ""
    return Coding(tuple(dict.fromkeys(units)), tuple(doubtful), tuple(unread))


def write_action_units(units: Iterable[ActionUnit]) -> str:
    """Write action units in the grammar that `parse_action_units` reads, as in ``"4+L12C"``.

    An intensity between two letters is written as the nearest of ``A``, ``A/B``, ``B``, ... ``E``.
    """
    return "+".join(f"{unit}{_grade(unit.intensity)}" for unit in units)


def _grade(intensity: float | None) -> str:
    return "" if intensity is None else min(_GRADES, key=lambda grade: abs(_GRADES[grade] - intensity))


def _unit(found: re.Match[str]) -> ActionUnit:
    side = (found["side"] or "").upper()[:1]
    grades = [INTENSITIES[letter] for letter in (found["intensity"] or "").upper() if letter in INTENSITIES]
    intensity = round(sum(grades) / len(grades), 3) if grades else None
    return ActionUnit(int(found["unit"]), side, intensity)
