"""The audit against enumeration of all matrices, rows that exist by construction, and known verdicts."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp.errors import DataError, OptionError, PathMissingError
from microexp.evaluate.audit import (
    MEGC2019_COUNTS,
    PUBLISHED,
    Printed,
    audit_row,
    audit_table,
    read_counts,
    solutions,
)
from microexp.evaluate.metrics import from_confusion

ONE = ("Dual-Inception", "STSTNet, UAR as recall", "NMER", "FeatRef", "LAENet", "HTNet")
NO_PART = ("STSTNet as printed", "OFF-ApexNet", "BDCNN", "MFDAN", "GEME", "CapsuleNet", "EDMDBN", "LBP-TOP")
NO_WHOLE = ("BOWAM", "ConvNeXt-T, one-way flow", "SRMCL", "GRAPH-AU", "Bi-WOOF")


def printed(confusion: np.ndarray, decimals: int = 4) -> tuple[Printed, Printed]:
    got = from_confusion(confusion)
    return Printed.parse(f"{got.uf1:.{decimals}f}"), Printed.parse(f"{got.uar:.{decimals}f}")


def every_matrix(counts: tuple[int, ...]) -> list[np.ndarray]:
    k = len(counts)
    rows = [[r for r in product(range(n + 1), repeat=k) if sum(r) == n] for n in counts]
    return [np.array(m) for m in product(*rows)]


@pytest.mark.parametrize("counts", [(3, 2, 2), (4, 1, 3), (5, 4), (2, 1, 1, 2)])
def test_it_finds_what_enumeration_of_all_matrices_finds(counts: tuple[int, ...]) -> None:
    matrices = every_matrix(counts)
    for target in matrices[:: max(1, len(matrices) // 25)]:
        uf1, uar = printed(target, decimals=2)
        expected = set()
        for m in matrices:
            got = from_confusion(m)
            if uf1.holds(np.array(got.uf1)) and uar.holds(np.array(got.uar)):
                expected.add((tuple(np.diag(m)), tuple(m.sum(0))))
        found = {(tuple(h), tuple(p)) for h, p in solutions(counts, uf1, uar).tolist()}
        assert found == expected


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), skill=st.floats(0.5, 0.95))
def test_a_row_that_comes_from_one_matrix_is_possible(seed: int, skill: float) -> None:
    rng = np.random.default_rng(seed)
    chances = np.full((3, 3), (1 - skill) / 2) + np.eye(3) * (skill - (1 - skill) / 2)
    matrices = {
        part: np.stack([rng.multinomial(n, p) for n, p in zip(counts, chances, strict=True)])
        for part, counts in MEGC2019_COUNTS.items()
    }
    row = {part: printed(m) for part, m in matrices.items()}
    whole = sum(matrices.values())
    audit = audit_row("made", {**row, "full": printed(whole)}, MEGC2019_COUNTS)
    assert audit.possible
    assert (audit.verdict == "one") == (audit.combinations == 1)
    hits, predicted = (sum(np.array(one[k]) for one in audit.example.values()) for k in (0, 1))
    n = np.sum(list(MEGC2019_COUNTS.values()), axis=0)
    assert printed(whole)[1].holds((hits / n).mean())
    assert printed(whole)[0].holds((2 * hits / (n + predicted)).mean())


def test_the_published_rows_get_the_known_verdicts() -> None:
    verdicts = {audit.method: audit.verdict for audit in audit_table()}
    assert {name: verdicts[name] for name in ONE} == dict.fromkeys(ONE, "one")
    assert {name: verdicts[name] for name in NO_PART} == dict.fromkeys(NO_PART, "no part")
    assert {name: verdicts[name] for name in NO_WHOLE} == dict.fromkeys(NO_WHOLE, "no whole")


def test_bowam_on_casme2_is_143_of_145_with_both_errors_negative_taken_for_positive() -> None:
    row = {"casme2": (Printed.parse("0.9861"), Printed.parse("0.9924"))}
    audit = audit_row("BOWAM", row, MEGC2019_COUNTS)
    assert audit.verdict == "one"
    assert audit.example["casme2"] == ((86, 32, 25), (86, 34, 25))


def test_figures_are_read_as_printed() -> None:
    assert Printed.parse("0.7353") == Printed.parse(".7353")
    assert Printed.parse("73.5%").half == pytest.approx(5e-4)
    assert Printed.parse("73.53").value == pytest.approx(0.7353)
    with pytest.raises(ValueError, match="173"):
        Printed.parse("173")


def table(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "table.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("method,UF1,UAR\nmine,0.7x,0.7\n", DataError, "row 2: UF1 is '0.7x'"),
        ("method,UF1,UAR\nmine,0.7,\n", DataError, "row 2: full has one of UF1 and UAR"),
        ("method,UF1,UAR\nmine,-,N/A\n", DataError, "row 2: no figure at all"),
        ("method,mmew_UF1,mmew_UAR\nmine,.7,.7\n", OptionError, "part 'mmew'"),
        ("name,UF1,UAR\nmine,.7,.7\n", DataError, "needs a column 'method'"),
        ("method,UF1,UAR\n", DataError, "at least one row"),
        ("", DataError, "needs a header"),
    ],
)
def test_bad_tables_get_one_sentence(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        list(audit_table(table(tmp_path, text)))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="nowhere"):
        list(audit_table(tmp_path / "nowhere.csv"))


def test_own_class_counts(tmp_path: Path) -> None:
    file = table(tmp_path, "part,a,b\none,5,4\n")
    assert read_counts(file) == {"one": (5, 4)}
    with pytest.raises(DataError, match="row 2: clips of a class"):
        read_counts(table(tmp_path, "part,a,b\none,5,x\n"))


def test_the_shipped_table_names_its_sources() -> None:
    header, *rows = PUBLISHED.read_text(encoding="utf-8").splitlines()
    assert header.startswith("method,source,")
    assert all("paper" in row or "log" in row or "document" in row for row in rows)
