"""Every error a user can cause: one sentence that says what is wrong, where, and what would be right.

The command line prints the message alone and exits with code 2. Library code raises these and never
lets an exception of a lower library (PIL, pandas, torch, ...) reach the user in its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MicroexpError(Exception):
    """Base of all errors that are the input's fault and not a defect of microexp."""


class DataError(MicroexpError):
    """A file, a row or an array does not hold what it should."""


class PathMissingError(MicroexpError):
    """A file or folder that was named does not exist, or is empty."""


class OptionError(MicroexpError):
    """An option or a parameter has a value that cannot be used."""


class UnknownNameError(OptionError):
    """A name that is not registered; the message suggests the nearest one.

    Parameters
    ----------
    kind : str
        What the name should have been ("recognize method", "database", ...).
    name : str
        What was given.
    known : iterable of str
        The names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"unknown {kind} '{name}'.{suggestion(name, self.known)}")

    def __reduce__(self) -> tuple[type, tuple[str, str, list[str]]]:
        return type(self), (self.kind, self.name, self.known)


class WeightsError(MicroexpError):
    """A weight file is missing, damaged, of another network, or holds more than data."""


class IncompleteResultError(MicroexpError):
    """A result lacks some of the folds that it should have, so it may not be averaged."""


class MicroexpWarning(UserWarning):
    """Something the user should know of, though the result stands; the command line prints it alone."""


class DamageWarning(MicroexpWarning):
    """A file is damaged and only its whole part is used."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or the whole list if none is near."""
    options = sorted(known)
    near = difflib.get_close_matches(name.lower(), options, n=1, cutoff=0.6)
    near = near or [option for option in options if name and option.startswith(name.lower())][:1]
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" Known: {', '.join(options)}." if options else " Nothing is registered there."
