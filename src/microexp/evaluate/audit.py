"""Can a published row come from one confusion matrix? Exhaustive search over whole numbers.

The official class counts are public, and figures are printed with four decimals: few confusion matrices can
give a printed pair of UF1 and UAR, often none. A row without a solution is not one evaluation on the official
clips. That proves no wrong-doing: another subset, a mean over seeds or folds, training per database, or
precision in place of recall do the same.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from microexp.errors import DataError, OptionError, PathMissingError

FULL = "full"
# MEGC2019 (See et al., FG 2019), Table 1: clips of negative, positive, surprise.
MEGC2019_COUNTS: Mapping[str, tuple[int, ...]] = {
    "smic": (70, 51, 43),
    "casme2": (88, 32, 25),
    "samm": (92, 26, 15),
}
PUBLISHED = Path(__file__).with_name("published_megc2019.csv")
Verdict = Literal["one", "several", "no part", "no whole"]
_COLUMN = re.compile(r"^(?:(?P<part>.+?)[ _])?(?P<metric>UF1|UAR)$", re.IGNORECASE)
_EMPTY = {"", "-", "n/a", "na"}
_ROUNDING = 1e-9  # of the computer, beside that of the printer
_PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Printed:
    """A printed figure: every value within `half` of `value` is printed so."""

    value: float
    half: float

    @classmethod
    def parse(cls, text: str) -> Printed:
        """Read ".7353", "0.7353" or "73.53%"; raise ValueError for what is no figure in [0, 1]."""
        plain = text.strip().rstrip("%").strip()
        decimals = len(plain.partition(".")[2])
        scale = 100.0 if text.strip().endswith("%") or float(plain) > 1 else 1.0
        value = float(plain) / scale
        if not 0 <= value <= 1:
            raise ValueError(text)
        return cls(value, 0.5 * 10.0**-decimals / scale)

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Which of the values would be printed as this one."""
        return np.abs(values - self.value) <= self.half + _ROUNDING


Pair = tuple[Printed, Printed]
"""UF1 and UAR as printed."""


@dataclass(frozen=True)
class Audit:
    """What the search says of one row.

    Attributes
    ----------
    method : str
        As in the table.
    verdict : {"one", "several", "no part", "no whole"}
        One set of counts gives all figures; several do; a part alone has none; each part has some, but no
        combination of them gives the figures of the whole.
    solutions : mapping of str to int
        For each part that was printed, the number of sets of counts that give its pair.
    combinations : int
        Number of sets of counts that give the whole row.
    example : mapping of str to tuple
        One of them: for each part, clips recognised of each class, and clips predicted as each class.
    """

    method: str
    verdict: Verdict
    solutions: Mapping[str, int]
    combinations: int
    example: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def possible(self) -> bool:
        """Whether one confusion matrix can give the row."""
        return self.combinations > 0

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.verdict == "one":
            return "exactly one set of counts gives all figures"
        if self.verdict == "several":
            return f"{self.combinations:,} sets of counts give all figures"
        if self.verdict == "no whole":
            return "no combination of the parts gives the whole"
        bad = ", ".join(part for part, count in self.solutions.items() if count == 0)
        return f"no confusion matrix gives the pair of {bad}"


def solutions(counts: Sequence[int], uf1: Printed, uar: Printed) -> np.ndarray:
    """Find all class counts that give a printed pair.

    Parameters
    ----------
    counts : sequence of int
        Clips of each of the K classes.
    uf1, uar : Printed
        The pair.

    Returns
    -------
    numpy.ndarray
        ``(S, 2, K) int64``: clips recognised of each class, and clips predicted as each class. Each row of it
        belongs to at least one confusion matrix with the class counts as its row sums.
    """
    n = np.asarray(counts, dtype=np.int64)
    found = [_predictions(n, hits, uf1) for hits in _hits(n, uar)]
    return np.concatenate(found) if found else np.empty((0, 2, len(n)), np.int64)


def _hits(n: np.ndarray, uar: Printed) -> np.ndarray:
    """All hits ``(M, K)`` whose mean recall is printed as `uar`: the last class follows from the others."""
    grids = np.meshgrid(*(np.arange(c + 1) for c in n[:-1]), indexing="ij")
    first = np.stack([g.ravel() for g in grids], axis=1)
    rest = (len(n) * uar.value - (first / n[:-1]).sum(axis=1)) * n[-1]
    reach = int(np.ceil(len(n) * uar.half * n[-1])) + 1
    last = np.rint(rest).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    hits = np.concatenate([np.repeat(first, last.shape[1], axis=0), last.reshape(-1, 1)], axis=1)
    inside = (hits[:, -1] >= 0) & (hits[:, -1] <= n[-1])
    return hits[inside & uar.holds((hits / n).mean(axis=1))]


def _predictions(n: np.ndarray, hits: np.ndarray, uf1: Printed) -> np.ndarray:
    """All ``(S, 2, K)`` with these hits whose mean F1 is printed as `uf1`."""
    misses = n - hits
    wrong = int(misses.sum())
    room = wrong - misses  # a class can only be taken for another
    grids = np.meshgrid(*(np.arange(r + 1) for r in room[:-1]), indexing="ij")
    false = np.stack([g.ravel() for g in grids], axis=1)
    last = wrong - false.sum(axis=1)
    false = np.concatenate([false, last[:, None]], axis=1)[(last >= 0) & (last <= room[-1])]
    whole = n + hits + false
    f1 = np.divide(2.0 * hits, whole, out=np.zeros(whole.shape), where=whole > 0).mean(axis=1)
    predicted = hits + false[uf1.holds(f1)]
    return np.stack([np.broadcast_to(hits, predicted.shape), predicted], axis=1)


def audit_row(method: str, row: Mapping[str, Pair], counts: Mapping[str, Sequence[int]]) -> Audit:
    """Say whether one confusion matrix can give a row.

    Parameters
    ----------
    method : str
        Name of the row.
    row : mapping of str to (Printed, Printed)
        UF1 and UAR of the parts, and of "full", all parts together; what was not printed is left out.
    counts : mapping of str to sequence of int
        Clips of each class in each part.
    """
    parts = {part: solutions(counts[part], *row[part]) for part in counts if part in row}
    full = row.get(FULL)
    everything = len(parts) == len(counts)
    if full is not None and not everything:  # the whole cannot be put together: search it by itself
        parts[FULL] = solutions(np.sum(list(counts.values()), axis=0), *full)
    found = {part: len(solved) for part, solved in parts.items()}
    if not all(found.values()):
        return Audit(method, "no part", found, 0, {})
    if full is None or not everything:
        number, chosen = int(np.prod([float(c) for c in found.values()])), [s[0] for s in parts.values()]
    else:
        number, chosen = _combine(list(parts.values()), np.sum(list(counts.values()), axis=0), full)
    example = {
        part: (tuple(map(int, one[0])), tuple(map(int, one[1])))
        for part, one in zip(parts, chosen, strict=False)
    }
    verdict: Verdict = "no whole" if number == 0 else "one" if number == 1 else "several"
    return Audit(method, verdict, found, number, example)


def _combine(parts: list[np.ndarray], n: np.ndarray, full: Pair) -> tuple[int, list[np.ndarray]]:
    """Number of choices of one solution a part whose sum gives the figures of the whole, and one of them."""
    uf1, uar = full
    *some, last = parts
    index = np.stack(
        [g.ravel() for g in np.meshgrid(*(np.arange(len(s)) for s in some), indexing="ij")], axis=1
    )
    number = 0
    chosen: list[np.ndarray] = []
    step = max(1, _PAIRS_AT_ONCE // len(last))
    for start in range(0, len(index), step):
        picks = index[start : start + step]
        base = sum(solved[picks[:, k]] for k, solved in enumerate(some))
        hits, predicted = np.moveaxis(np.asarray(base)[:, None] + last[None], 2, 0)
        good = uar.holds((hits / n).mean(axis=-1))
        good &= uf1.holds((2.0 * hits / np.maximum(n + predicted, 1)).mean(axis=-1))
        number += int(good.sum())
        if not chosen and good.any():
            row, column = np.argwhere(good)[0]
            chosen = [*(solved[picks[row, k]] for k, solved in enumerate(some)), last[column]]
    return number, chosen


def audit_table(
    file: str | Path = PUBLISHED, counts: Mapping[str, Sequence[int]] = MEGC2019_COUNTS
) -> Iterable[Audit]:
    """Audit every row of a table.

    Parameters
    ----------
    file : path
        CSV with a column ``method`` and, for each part, ``<part>_UF1`` and ``<part>_UAR``; ``UF1`` and
        ``UAR`` (or ``full_UF1``, ``full_UAR``) are those of all parts together. Figures as printed: 0.7353,
        .7353 or 73.53%; empty, - or N/A where none is printed. Other columns are ignored.
    counts : mapping of str to sequence of int
        Clips of each class in each part; those of MEGC2019 unless given.

    Yields
    ------
    Audit
        Of one row after the other.

    Raises
    ------
    PathMissingError, DataError
        If the file is missing, or a column or a figure cannot be used; the message names the row.
    """
    for method, row in _read_rows(Path(file), counts):
        yield audit_row(method, row, counts)


def read_counts(file: str | Path) -> dict[str, tuple[int, ...]]:
    """Read class counts from a CSV with the columns part and one a class; raise `DataError` on a bad row."""
    path = Path(file)
    header, lines = _csv(path)
    if header[0] != "part" or len(header) < 3:
        raise DataError(f"{path}: the first column must be 'part', the others the clips of each class")
    counts: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(lines, start=2):
        values = [line[name].strip() for name in header[1:]]
        if not all(v.isdigit() and int(v) for v in values):
            raise DataError(f"{path}, row {number}: clips of a class must be whole numbers of 1 or more")
        counts[line["part"].strip().lower()] = tuple(map(int, values))
    return counts


def _csv(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    if not file.is_file():
        raise PathMissingError(f"{file} does not exist")
    try:
        reader = csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines())
        lines = [{k: v or "" for k, v in line.items() if k} for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is not a readable CSV file: {error}") from error
    if not reader.fieldnames or not lines:
        raise DataError(f"{file} needs a header and at least one row")
    return [name.strip() for name in reader.fieldnames], [
        {k.strip(): v for k, v in line.items()} for line in lines
    ]


def _read_rows(file: Path, counts: Mapping[str, Sequence[int]]) -> Iterable[tuple[str, dict[str, Pair]]]:
    header, lines = _csv(file)
    columns = {name: match for name in header if (match := _COLUMN.match(name))}
    parts = {name: (m["part"] or FULL).lower() for name, m in columns.items()}
    if "method" not in header or not columns:
        raise DataError(f"{file} needs a column 'method' and columns like smic_UF1, smic_UAR, UF1, UAR")
    if unknown := sorted(set(parts.values()) - set(counts) - {FULL}):
        raise OptionError(
            f"{file}: no class counts are known for the part '{unknown[0]}'; known: {', '.join(counts)}"
        )
    for number, line in enumerate(lines, start=2):
        row: dict[str, dict[str, Printed]] = {}
        for name, match in columns.items():
            if line.get(name, "").strip().lower() in _EMPTY:
                continue
            try:
                row.setdefault(parts[name], {})[match["metric"].upper()] = Printed.parse(line[name])
            except ValueError as error:
                raise DataError(
                    f"{file}, row {number}: {name} is '{line[name]}', no figure in [0, 1]"
                ) from error
        if lonely := [part for part, pair in row.items() if len(pair) < 2]:
            raise DataError(f"{file}, row {number}: {lonely[0]} has one of UF1 and UAR; both are needed")
        if not row:
            raise DataError(f"{file}, row {number}: no figure at all")
        yield line["method"].strip(), {part: (pair["UF1"], pair["UAR"]) for part, pair in row.items()}
