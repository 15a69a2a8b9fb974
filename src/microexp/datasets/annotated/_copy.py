"""A user's copy of a database: where its frames and its annotation lie, whatever the folders are called."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from microexp.datasets._sheets import SHEET_SUFFIXES, Table, read_headerless, read_table
from microexp.datasets.annotated._frames import VIDEO_SUFFIXES
from microexp.datasets.base import require_root
from microexp.errors import DataError, PathMissingError
from microexp.frames import IMAGE_SUFFIXES


class Copy:
    """One copy of a database on the user's disk.

    `root` is what the user named, `home` the folder that `pattern` starts from, `unreadable` the folders
    that were looked into and could not be read, each with the reason. Names of files and folders are matched
    exactly where possible, else without regard to case. Each folder is listed once.

    Parameters
    ----------
    root : path or None
        What the user named: the folder of the database, the one above it, or its folder of frames.
    database : str
        Name of the database, for messages.
    patterns : sequence of str
        Where the frames of a clip may lie below the database's folder, as in
        ``"Cropped/sub{subject}/{name}"``; the first one whose fixed part is there counts.
    sheets : sequence of str
        Patterns of the annotation's file name, the preferred one first; none where there is a file for
        each clip.
    sheet : path or None
        The annotation if the user named it.

    Raises
    ------
    PathMissingError
        If frames or annotation are not there; the message says what was looked for, and where.
    DataError
        If there are several candidates, or the root cannot be read.
    """

    def __init__(
        self,
        root: str | Path | None,
        database: str,
        patterns: Sequence[str],
        sheets: Sequence[str] = (),
        sheet: str | Path | None = None,
    ) -> None:
        self.database, self._patterns, self._sheets = database, tuple(patterns), tuple(sheets)
        self._named = sheet
        self._listed: dict[Path, dict[str, list[str]]] = {}
        self.unreadable: list[str] = []
        layout = " or ".join(f"{pattern}/" for pattern in patterns)
        self.root = require_root(root, database, layout + (f" and {sheets[0]}" if sheets else ""))
        self.home, self.pattern = self._find_home()

    # Frames

    def frames(self, **fields: str) -> Path:
        """Return the folder (or video) of a clip; it need not exist.

        Parameters
        ----------
        **fields : str
            What stands in braces in the patterns, as in ``subject="01", name="EP02_01f"``.
        """
        return self.path(*self.pattern.format(**fields).split("/"))

    def path(self, *names: str) -> Path:
        """Return a path below the database's folder, its names matched as they are on the disk."""
        place = self.home
        for name in names:
            place = place / self._as_on_disk(place, name)
        return place

    def clip_folders(self) -> list[Path]:
        """All folders that lie where the pattern has those of the clips; none for videos and pictures."""
        parts = self.pattern.split("/")
        if Path(parts[-1]).suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
            return []
        places = [self.home]
        for part in parts:
            if "{" in part:
                wanted = re.compile(_as_regex(part), re.IGNORECASE)
                places = [
                    p / n for p in places for n in self.names(p) if wanted.fullmatch(n) and (p / n).is_dir()
                ]
            else:
                named = [(place, self._as_on_disk(place, part)) for place in places]
                places = [place / name for place, name in named if name in self.names(place)]
        return places

    def fields(self, place: Path) -> dict[str, str]:
        """Return what stands in braces in the pattern, of a folder that `clip_folders` gave."""
        names = place.relative_to(self.home).parts
        found: dict[str, str] = {}
        for part, name in zip(self.pattern.split("/"), names, strict=True):
            if match := re.fullmatch(_as_regex(part), name, re.IGNORECASE):
                found.update(zip(re.findall(r"\{(\w+)\}", part), match.groups(), strict=True))
        return found

    def renamed(self, missing: Path, taken: Collection[Path] = ()) -> tuple[Path, str | None]:
        """Return the first folder on the way to a missing one that is not there, and its likely new name.

        What is `taken` has its right name.
        """
        place = self.home
        for part in missing.relative_to(self.home).parts:
            if part not in self.names(place):
                return place / part, _alike(part, [n for n in self.names(place) if place / n not in taken])
            place = place / part
        return missing, None

    # Annotation

    @cached_property
    def sheet(self) -> Path:
        """The annotation file: the one that the user named, else the one that `find` finds."""
        return self.find(self._sheets) if self._named is None else self.named(self._named)

    def find_any(self, patterns: Sequence[str]) -> Path | None:
        """Return the sheet that is the only match of the first pattern that has any; None if none has.

        It is looked for in the database's folder, the folders in it and those on the way to the frames, then
        in the root and the folders in it.

        Raises
        ------
        DataError
            If there are several.
        """
        for places in (self._near(), [self.root, *self._below(self.root)]):
            for pattern in patterns:
                found = _distinct(
                    place / name
                    for place in places
                    for name in self.names(place)
                    if fnmatch(name.lower(), pattern.lower()) and _is_sheet(name)
                )
                if len(found) > 1:
                    raise DataError(
                        f"{self.database}: {len(found)} annotation files: {', '.join(map(str, found))}. "
                        "Name the one to use: sheet=FILE (--data sheet=FILE)"
                    )
                if found:
                    return found[0]
        return None

    def find(self, patterns: Sequence[str]) -> Path:
        """Return the sheet that `find_any` finds.

        Raises
        ------
        PathMissingError
            If there is none.
        DataError
            If there are several.
        """
        if found := self.find_any(patterns):
            return found
        others = [name for place in self._near() for name in self.names(place) if _is_sheet(name)]
        which = f"There is {', '.join(others[:5])}: if that is it" if others else "If it lies elsewhere"
        raise PathMissingError(
            f"{self.database}: no annotation in {self.home} or the folders in it; looked for "
            f"{', '.join(patterns)}. {which}, name it: sheet=FILE (--data sheet=FILE)"
            f"{self._and_unreadable()}"
        )

    def table(
        self,
        columns: Mapping[str, Sequence[str]],
        optional: Mapping[str, Sequence[str]] | None = None,
        sheets: Sequence[str] = (),
        file: Path | None = None,
    ) -> Table:
        """Read named columns of the annotation, or of another file; see `_sheets.read_table`."""
        return read_table(file or self.sheet, columns, optional, sheets)

    def headerless_table(
        self,
        columns: Sequence[str],
        sheets: Sequence[str] = (),
        file: Path | None = None,
        others: Sequence[str] = (),
    ) -> Table:
        """Read a sheet without a header; see `_sheets.read_headerless`."""
        return read_headerless(file or self.sheet, columns, sheets, others)

    def holds(self, place: Path) -> bool:
        """Tell whether a file or folder is there, of which the folder above may not be readable."""
        return place.name in self.names(place.parent)

    def named(self, name: str | Path) -> Path:
        """Return a file that the user named, seen from here or from the copy.

        Raises
        ------
        PathMissingError
            If it is neither here nor there.
        """
        for place in (Path(name), self.root / name, self.home / name):
            if place.exists():
                return place
        raise PathMissingError(
            f"{self.database}: there is no annotation {name}, neither here nor in {self.root}"
        )

    # Looking around

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, sorted; none if it is not there."""
        return sorted(name for group in self._listing(folder).values() for name in group)

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """Lower-case name -> names, for one folder."""
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):  # noqa: PTH208  names are all that is needed
                    names.setdefault(name.lower(), []).append(name)
            except (FileNotFoundError, NotADirectoryError):
                pass  # what is not there holds nothing
            except OSError as error:
                self.unreadable.append(f"{folder}: {error.strerror}")
            self._listed[folder] = names
        return self._listed[folder]

    def _as_on_disk(self, folder: Path, name: str) -> str:
        """The name as it is spelled there, if it is there in another case."""
        same = self._listing(folder).get(name.lower(), [])
        return name if name in same or len(same) != 1 else same[0]

    def _near(self) -> list[Path]:
        """The folders in which an annotation most likely lies."""
        place, near = self.home, [self.home, *self._below(self.home)]
        for name in _fixed(self.pattern):
            place = place / self._as_on_disk(place, name)
            near.append(place)
        return _distinct(near)

    def _below(self, folder: Path) -> Iterator[Path]:
        for name in self.names(folder):
            place = folder / name
            if name[0] != "." and place.is_dir():
                yield place

    def _find_home(self) -> tuple[Path, str]:
        """The folder that the patterns start from, and the pattern that fits."""
        for pattern in self._patterns:
            fixed = _fixed(pattern)
            if not fixed:
                return self.root, pattern
            around = (self.root, *self._below(self.root))
            found = _distinct(place for place in around if self._holds(place, fixed))
            if not found and (above := self._above(fixed)):
                found = [above]
            if self.root in found:
                found = [self.root]
            if len(found) > 1:
                raise DataError(
                    f"{self.database}: {len(found)} copies below {self.root}: {', '.join(map(str, found))}. "
                    "Give the folder of one of them"
                )
            if found:
                home = found[0]
                while self._holds(home / self._as_on_disk(home, fixed[0]), fixed):  # unpacked into itself
                    home = home / self._as_on_disk(home, fixed[0])
                return home, pattern
        tops = " or ".join("/".join(_fixed(pattern)) for pattern in self._patterns)
        here = [name for name in self.names(self.root) if (self.root / name).is_dir()]
        near = next(filter(None, (_alike(_fixed(pattern)[0], here) for pattern in self._patterns)), None)
        hint = f"; is it '{near}'? Then rename that" if near else ""
        raise PathMissingError(
            f"{self.database}: no folder {tops} in {self.root} or the folders in it{hint}. "
            f"There: {', '.join(here[:8]) or 'no folder'}{', ...' if len(here) > 8 else ''}"
            + self._and_unreadable()
        )

    def _holds(self, place: Path, fixed: Sequence[str]) -> bool:
        for name in fixed:
            place = place / self._as_on_disk(place, name)
            if not place.is_dir():
                return False
        return True

    def _and_unreadable(self) -> str:
        return f". Could not be read: {'; '.join(self.unreadable)}" if self.unreadable else ""

    def _above(self, fixed: Sequence[str]) -> Path | None:
        """The folder to start from if the user named the folder of frames itself, or one on the way to it."""
        place = self.root.absolute()
        for depth in range(1, len(fixed) + 1):
            names = [name.lower() for name in place.parts[-depth:]]
            if names == [name.lower() for name in fixed[:depth]]:
                start = place.parents[depth - 1]
                return start if self._holds(start, fixed) else None
        return None


def _distinct(places: Iterable[Path]) -> list[Path]:
    """The places without those that are links to an earlier one."""
    real: dict[str, Path] = {}
    for place in places:
        real.setdefault(os.path.realpath(place), place)
    return list(real.values())


def _is_sheet(name: str) -> bool:
    return name[0] not in "~." and Path(name).suffix.lower() in SHEET_SUFFIXES  # ~$: one that Excel has open


def _fixed(pattern: str) -> list[str]:
    """The folders of a pattern before the first that depends on the clip."""
    parts = pattern.split("/")
    return parts[: next((i for i, part in enumerate(parts) if "{" in part), len(parts))]


def _as_regex(part: str) -> str:
    return "".join(
        "(.+)" if piece.startswith("{") else re.escape(piece) for piece in re.split(r"(\{\w+\})", part)
    )


def _alike(name: str, others: Sequence[str]) -> str | None:
    """The one name that differs from another in its letters or padding only, or the nearest spelling."""
    digits = [int(d) for d in re.findall(r"\d+", name)]
    same = [o for o in others if digits and [int(d) for d in re.findall(r"\d+", o)] == digits]
    if len(same) > 1:  # spNO.2_a_04 is spNO.2_a_4, and spNO.2_b_4 is not
        same = [o for o in same if re.sub(r"\d+", "", o).lower() == re.sub(r"\d+", "", name).lower()]
    if len(same) == 1:
        return same[0]
    if digits:  # EP02_01f is no misspelling of EP02_03f
        return None
    near = difflib.get_close_matches(name.lower(), [o.lower() for o in others], n=1, cutoff=0.7)
    return next((o for o in others if near and o.lower() == near[0]), None)
