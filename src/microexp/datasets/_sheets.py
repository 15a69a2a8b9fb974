"""Annotation sheets: .xlsx, .xls and .csv as tables of text, with columns found by name.

Cells become text as a person reads them (``006`` stays ``006``, the number 46.0 is ``46``, a blank is
empty), and every row keeps the number that the spreadsheet program shows, so that messages can name it.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from microexp.errors import DataError, PathMissingError

SHEET_SUFFIXES = (".xlsx", ".xls", ".csv")
_PREAMBLE = 60  # rows of text above the header, at most
_ZIP, _OLE, _UTF16 = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", (b"\xff\xfe", b"\xfe\xff")
_BIFF = (b"\x09\x00", b"\x09\x02", b"\x09\x04", b"\x09\x08")  # Excel 2 to 5 without a container


@dataclass(frozen=True)
class Table:
    """The wanted columns of one sheet.

    Attributes
    ----------
    file, sheet : Path, str
        Where it was read; `sheet` is empty for a CSV file.
    header : int
        Row of the column names as the spreadsheet program counts (from 1); 0 if there is none.
    columns : tuple of str
        All names in the header, wanted or not.
    cells : pandas.DataFrame
        Text. Columns are the caller's keys, the index is the row number in the spreadsheet program.
        An optional column that the sheet lacks is all empty text.
    """

    file: Path
    sheet: str
    header: int
    columns: tuple[str, ...]
    cells: pd.DataFrame

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Give the row number and the cells of one row after another."""
        keys = [str(key) for key in self.cells.columns]
        for row in self.cells.itertuples():
            yield int(row[0]), dict(zip(keys, row[1:], strict=True))


@dataclass(frozen=True)
class _Grid:
    """All cells of a sheet as text, and its merged ranges as (first row, last row, name), rows from 1."""

    name: str
    rows: list[list[str]]
    merged: list[tuple[int, int, int, int]]


def read_table(
    file: str | Path,
    columns: Mapping[str, Sequence[str]],
    optional: Mapping[str, Sequence[str]] | None = None,
    sheets: Sequence[str] = (),
) -> Table:
    """Read named columns of an annotation file, wherever its header row stands.

    Names are compared without regard to case, spaces, underscores and punctuation. Where a header repeats a
    name, ``"name#2"`` asks for its second column.

    Parameters
    ----------
    file : path
        An .xlsx, .xls or .csv file; what it is is told by its content.
    columns, optional : mapping of str to sequence of str
        The caller's key -> the names that the column may bear, the usual one first. Those in `columns`
        must be there.
    sheets : sequence of str
        Names of the sheet, tried in this order; if none is there, the first sheet with all `columns`.

    Raises
    ------
    PathMissingError
        If the file does not exist.
    DataError
        If it is empty or cannot be read as a table, if a column is missing, if there are no rows, or if
        cells are merged inside the data. The message names file, sheet and place.
    """
    path = Path(file)
    grids = _grids(path)
    optional = optional or {}
    for grid in _preferred(grids, sheets):
        for number, row in enumerate(grid.rows[:_PREAMBLE], start=1):
            places = _places(row)
            if all(_find(places, names) is not None for names in columns.values()):
                found = {key: _find(places, names) for key, names in {**columns, **optional}.items()}
                return _table(path, grid, number, found)
    raise _missing_column(path, grids, columns)


def read_headerless(
    file: str | Path, columns: Sequence[str], sheets: Sequence[str] = (), others: Sequence[str] = ()
) -> Table:
    """Read the first columns of a sheet that has no header, under the given keys.

    Parameters
    ----------
    file : path
        As for `read_table`.
    columns : sequence of str
        Keys of the columns from the left; an empty key skips one.
    sheets : sequence of str
        Names of the sheet, tried in this order. May be left out where the file has one sheet only.
    others : sequence of str
        Names of sheets that are not meant: if none of `sheets` is there, the only one besides them is taken.

    Raises
    ------
    PathMissingError, DataError
        As for `read_table`; also if the sheet is not there or has too few columns.
    """
    path = Path(file)
    grids = [grid for grid in _grids(path) if grid.rows]
    named = [grid for name in sheets for grid in grids if same_name(grid.name, name)]
    left = [grid for grid in grids if not any(same_name(grid.name, name) for name in others)]
    if not named and others and len(left) == 1:
        named = left
    if not named and (sheets or len(grids) != 1):
        wanted = f"no sheet '{sheets[0]}'" if sheets else "several sheets and none was named"
        raise DataError(f"{path}: {wanted}; its sheets are {_quoted(grid.name for grid in grids)}")
    grid = (named or grids)[0]
    width = max(map(len, grid.rows))
    if width < len(columns):
        raise DataError(
            f"{_at(path, grid.name)}: {width} columns where {len(columns)} are needed "
            f"({', '.join(key or 'unused' for key in columns)})"
        )
    return _table(path, grid, 0, {key: place for place, key in enumerate(columns) if key})


def same_name(one: str, other: str) -> bool:
    """Tell whether two names are the same but for case, spaces, underscores and punctuation."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    name, hash_sign, count = name.partition("#")
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold()) + hash_sign + count


def _places(row: Sequence[str]) -> dict[str, int]:
    """Plain column name -> place; a repeated name also as ``name#2``, ``name#3``."""
    places: dict[str, int] = {}
    for place, cell in enumerate(row):
        plain, count = _plain(cell.replace("#", "")), 2
        if not plain:
            continue
        key = plain
        while key in places:
            key, count = f"{plain}#{count}", count + 1
        places[key] = place
    return places


def _find(places: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((places[_plain(name)] for name in names if _plain(name) in places), None)


def _preferred(grids: Sequence[_Grid], sheets: Sequence[str]) -> list[_Grid]:
    named = [grid for name in sheets for grid in grids if same_name(grid.name, name)]
    return named + [grid for grid in grids if grid not in named]


def _table(file: Path, grid: _Grid, header: int, places: Mapping[str, int | None]) -> Table:
    data: dict[int, list[str]] = {}
    for number, row in enumerate(grid.rows[header:], start=header + 1):
        cells = ["" if at is None or at >= len(row) else row[at] for at in places.values()]
        if any(cells):
            data[number] = cells
    if not data:
        below = f"has its header in row {header} but no rows below it" if header else "has no rows"
        raise DataError(f"{_at(file, grid.name)} {below}")
    used = {at for at in places.values() if at is not None}
    for top, bottom, left, right in grid.merged:
        if bottom > header and top <= max(data) and used & set(range(left - 1, right)):
            area = f"{_letters(left)}{top}:{_letters(right)}{bottom}"
            raise DataError(
                f"{_at(file, grid.name)}: the cells {area} are merged, so that all but the first of them are "
                "empty; unmerge them and fill in each row"
            )
    names = tuple(cell for cell in grid.rows[header - 1] if cell) if header else ()
    return Table(file, grid.name, header, names, pd.DataFrame.from_dict(data, "index", str, list(places)))


def _missing_column(file: Path, grids: Sequence[_Grid], columns: Mapping[str, Sequence[str]]) -> DataError:
    """Explain by the row that comes nearest to a header what it lacks."""
    best: tuple[int, _Grid, int] | None = None
    for grid in grids:
        for number, row in enumerate(grid.rows[:_PREAMBLE]):
            hits = sum(_find(_places(row), names) is not None for names in columns.values())
            if hits and (best is None or hits > best[0]):
                best = hits, grid, number
    wanted = [names[0] for names in columns.values()]
    if best is None:
        return DataError(
            f"{file}: no row with the column names {', '.join(wanted)} in "
            f"{_quoted(grid.name for grid in grids) if grids[0].name else 'its first rows'}; "
            "is this the annotation of the database?"
        )
    _, grid, number = best
    row = grid.rows[number]
    lost = [names for names in columns.values() if _find(_places(row), names) is None]
    near = difflib.get_close_matches(_plain(lost[0][0]), list(_places(row)), n=1, cutoff=0.5)
    hint = f" Is it '{row[_places(row)[near[0]]]}'? Then rename that." if near else ""
    return DataError(
        f"{_at(file, grid.name)}, row {number + 1}: no column "
        f"{' and none '.join(repr(names[0]) for names in lost)}.{hint} "
        f"The columns there: {', '.join(cell for cell in row if cell)}"
    )


def _grids(file: Path) -> list[_Grid]:
    """Read all sheets of a file that hold anything."""
    content = _content(file)
    try:
        if content.startswith(_ZIP):
            grids = _read_xlsx(content)
        elif content.startswith((_OLE, *_BIFF)):
            grids = _read_xls(content)
        else:
            grids = [_Grid("", _read_csv(file, content), [])]
    except DataError:
        raise
    except Exception as error:  # on damaged files these readers raise whatever they stumble on
        raise DataError(
            f"{file} cannot be read as a spreadsheet: it is damaged, protected by a password, or no Excel "
            f"file. Open it in a spreadsheet program and save it as .xlsx ({type(error).__name__})"
        ) from error
    filled = [grid for grid in grids if any(any(row) for row in grid.rows)]
    if not filled:
        raise DataError(f"{file} has no filled cell")
    return filled


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise PathMissingError(f"{file} does not exist") from error
    except IsADirectoryError as error:
        raise PathMissingError(f"{file} is a folder, not an annotation file") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if not content:
        raise DataError(f"{file} is empty (0 bytes); copy it again")
    return content


def _read_xlsx(content: bytes) -> list[_Grid]:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and extensions that carry no data
        book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
    return [
        _Grid(
            sheet.title,
            [[_text(value) for value in row] for row in sheet.iter_rows(values_only=True)],
            [(r.min_row, r.max_row, r.min_col, r.max_col) for r in sheet.merged_cells.ranges],
        )
        for sheet in book.worksheets
    ]


def _read_xls(content: bytes) -> list[_Grid]:
    import xlrd

    book = xlrd.open_workbook(
        file_contents=content, formatting_info=content.startswith(_OLE), logfile=io.StringIO()
    )
    return [
        _Grid(
            sheet.name,
            [[_xls_text(cell) for cell in sheet.row(number)] for number in range(sheet.nrows)],
            [(top + 1, bottom, left + 1, right) for top, bottom, left, right in sheet.merged_cells],
        )
        for sheet in book.sheets()
    ]


def _xls_text(cell: Any) -> str:
    empty = cell.ctype in (0, 5, 6)  # empty, error, blank
    return "" if empty else _text(cell.value)


def _read_csv(file: Path, content: bytes) -> list[list[str]]:
    if b"\0" in content[:4096] and not content.startswith(_UTF16):
        raise DataError(f"{file} is neither an Excel file nor text; save the annotation as .xlsx or .csv")
    text = _decoded(content)
    if text.lstrip()[:1] == "<":
        raise DataError(f"{file} is a web page, not a table; download the annotation itself")
    separator = max(",;\t", key=text.count)
    return [[_text(cell) for cell in row] for row in csv.reader(io.StringIO(text), delimiter=separator)]


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF16):
        return content.decode("utf-16")
    for encoding in ("utf-8-sig", "gb18030"):  # the second is what Excel writes in China
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _text(value: Any) -> str:
    """A cell as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip().strip("\u00a0\u3000\ufeff").strip()
    return re.sub(r"^(\d+)\.0+$", r"\1", text)  # a CSV file that went through other programs has 46.0


def _letters(column: int) -> str:
    """1 -> A, 27 -> AA."""
    text = ""
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _at(file: Path, sheet: str) -> str:
    return f"{file}, sheet '{sheet}'" if sheet else str(file)


def _quoted(names: Iterator[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
