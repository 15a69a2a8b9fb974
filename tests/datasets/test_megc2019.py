"""The composite from look-alikes of its three databases: the official counts, and what is told of others."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

from microexp import datasets
from microexp.cli import app
from microexp.datasets.base import Check, Dataset
from microexp.datasets.lookalike import read_manifest
from microexp.datasets.megc2019 import LEFT_OUT
from microexp.datasets.megc2019_flow import OFFICIAL
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError
from tests.conftest import copy_tree

RAW = ("CASME II/CASME2_RAW_selected", "SAMM/SAMM", "SMIC/SMIC_all_raw")
SHEETS = ("CASME II/CASME2-coding-20190701.xlsx", "SAMM/SAMM_Micro_FACS_Codes_v2.xlsx")
ALL = "250 negative, 109 positive, 83 surprise of 68 subjects"


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    """The three raw copies at full size, that may be damaged."""
    return copy_tree(look_alike("megc2019", full=True), tmp_path / "my copies", *RAW, *SHEETS)


def faults(root: Path, **options: object) -> dict[str, Check]:
    checks = datasets.create("megc2019", root=root, **options).check()
    return {check.what: check for check in checks if not check.ok}


def counts(data: Dataset) -> dict[str, tuple[tuple[int, ...], int]]:
    return {
        str(name): (tuple(int((rows["label"] == k).sum()) for k in range(3)), rows["subject"].nunique())
        for name, rows in data.table.groupby("database")
    }


@pytest.mark.parametrize("release", ["20140508", "20190701"])
@pytest.mark.parametrize("variant", ["raw", "cropped"])
def test_exactly_the_official_counts(look_alike: Callable[..., Path], release: str, variant: str) -> None:
    root = look_alike("megc2019", full=True, release=release)
    start = time.perf_counter()
    data = datasets.create("megc2019", root=root, variant=variant).load()
    assert time.perf_counter() - start < 30
    assert len(data) == 442
    assert [int((data.y == k).sum()) for k in range(3)] == [250, 109, 83]
    assert len(set(data.groups)) == 68
    assert counts(data) == OFFICIAL
    assert not any("official" in remark for remark in data.remarks)
    assert {(c.subject, c.name) for c in data.clips if c.database == "casme2"}.isdisjoint(LEFT_OUT["casme2"])
    assert faults(root, variant=variant) == {}


def test_the_check_says_what_the_rules_leave_out_and_who_lacks_an_apex(
    look_alike: Callable[..., Path],
) -> None:
    root = look_alike("megc2019", full=True)
    checks = {check.what: check for check in datasets.create("megc2019", root=root).check()}
    (told,) = checks["casme2"].details
    assert told == (
        "left out by the rules: 04/EP12_01f (disgust), 05/EP09_05f (disgust), "
        "24/EP07_01 (surprise), 24/EP07_04f (surprise), 24/EP10_03 (surprise)"
    )
    assert checks["composite"].found == ALL
    assert checks["clips without an apex"].found == "2 of samm, 164 of smic"


def test_copies_may_be_named_one_by_one_with_options_of_their_own(
    tmp_path: Path, look_alike: Callable[..., Path]
) -> None:
    root = look_alike("megc2019", full=True)
    one = datasets.create("megc2019", root=root).load()
    copies = {name: root / folder for name, folder in (("casme2", "CASME II"), ("samm", "SAMM"))}
    two = datasets.create("megc2019", **copies, smic=str(root / "SMIC")).load()
    assert two.fingerprint == one.fingerprint
    mixed = datasets.create("megc2019", root=root, smic={"variant": "cropped"}).load()
    assert len(mixed) == 442
    assert mixed.fingerprint != one.fingerprint
    with pytest.raises(PathMissingError, match=r"where is your copy of smic\? .*--data smic=DIR"):
        datasets.create("megc2019", **copies).load()
    with pytest.raises(OptionError, match="varant"):
        datasets.create("megc2019", root=root, smic={"varant": "cropped"}).load()
    with pytest.raises(PathMissingError, match="does not exist"):
        datasets.create("megc2019", root=tmp_path / "nowhere").check()


def test_the_extended_smic_lacks_three_clips_and_the_check_names_them(
    look_alike: Callable[..., Path],
) -> None:
    smic = look_alike("smic", full=True, extended=True)
    options = {"root": look_alike("megc2019", full=True), "smic": {"root": smic, "variant": "extended"}}
    found = faults(**options)
    assert list(found) == ["smic", "composite"]
    assert found["composite"].found.endswith(" of 68 subjects")
    missing = [told for told in found["smic"].details if told.startswith("missing: ")]
    assert len(missing) == 3
    assert {told.partition(", ")[2].partition(":")[0] for told in missing} == set(
        read_manifest(smic).left_out
    )


def test_differences_are_named_by_emotion_and_clip(copy: Path) -> None:
    shutil.rmtree(copy / "SMIC" / "SMIC_all_raw" / "HS" / "s01")
    book = openpyxl.load_workbook(copy / SHEETS[0])
    sheet = book["Sheet1"]
    rows = {(row[0].value, row[1].value): row for row in sheet.iter_rows(min_row=2)}
    rows["05", "EP09_05f"][1].value = "EP09_5f"
    gone = next(key for key, row in rows.items() if row[8].value == "repression")
    shutil.rmtree(copy / RAW[0] / f"sub{gone[0]}" / gone[1])
    (copy / RAW[0] / "sub05" / "EP09_05f").rename(copy / RAW[0] / "sub05" / "EP09_5f")
    (copy / SHEETS[0]).unlink()
    book.save(copy / SHEETS[0])
    found = faults(copy)
    assert list(found) == ["casme2", "smic", "composite"]
    *told, missing = found["casme2"].details
    assert told[:2] == ["disgust: 62 in place of 61", "repression: 26 in place of 27"]
    assert told[2].startswith("the rules leave out 05/EP09_05f, which the copy does not list")
    assert told[3].startswith(f"clips with all frames: {gone[1]} is missing in {copy / RAW[0]}")
    assert f"more on this copy: microexp datasets check casme2 '{copy}'" in told
    assert missing.startswith(
        f"missing: CASME2-coding-20190701.xlsx row {rows[gone][0].row}, {gone[0]}/{gone[1]}"
    )
    assert "subjects by number: there is no clip of subject 01" in found["smic"].details
    assert found["smic"].expected.endswith(" of 16 subjects")
    assert found["smic"].found.endswith(" of 15 subjects")
    data = datasets.create("megc2019", root=copy).load()
    assert len(data) < 442
    assert "not the official composite" in data.remarks[-1]
    assert "; casme2: disgust: 62 in place of 61, repression: 26 in place of 27; smic: " in data.remarks[-1]


def test_a_subject_too_many_is_told_though_the_clips_are_as_many(copy: Path) -> None:
    book = openpyxl.load_workbook(copy / SHEETS[1])
    row = next(r for r in book["MICRO_ONLY"].iter_rows(min_row=15) if r[9].value == "Anger")
    (copy / RAW[1] / "099").mkdir()
    (copy / RAW[1] / row[0].value / row[1].value).rename(copy / RAW[1] / "099" / row[1].value)
    row[0].value = "099"
    (copy / SHEETS[1]).unlink()
    book.save(copy / SHEETS[1])
    check = faults(copy)["samm"]
    assert check.found == check.expected.replace("28", "29")
    assert check.details[0] == "subjects: 29 in place of 28"


def test_a_copy_that_cannot_be_read_does_not_hide_the_others(copy: Path) -> None:
    shutil.rmtree(copy / "SAMM")
    found = faults(copy)
    assert list(found) == ["samm", "composite"]
    assert "no folder SAMM in" in found["samm"].details[0]
    assert found["composite"].found == "158 negative, 83 positive, 68 surprise of 40 subjects"
    with pytest.raises(PathMissingError, match="samm: no folder SAMM in"):
        datasets.create("megc2019", root=copy).load()


def test_clips_of_smic_cannot_be_left_out_for_want_of_an_apex(copy: Path) -> None:
    with pytest.raises(DataError, match="smic: none of 164 rows gives a clip with an annotated apex"):
        datasets.create("megc2019", root=copy, missing_apex="drop").load()


def test_the_command_line_writes_checks_and_evaluates_one(
    tmp_path: Path, look_alike: Callable[..., Path]
) -> None:
    run = CliRunner().invoke
    small = look_alike("megc2019", subjects=2, clips=3, size=48, nuisance=0.0)
    words = ["evaluate", "linear_svm", "--database", "megc2019", "--root", str(small), "--jobs", "1"]
    answer = run(app, [*words, "--out", str(tmp_path / "a")])
    assert isinstance(answer.exception, MicroexpError)
    assert "the apex frame is not annotated; spot it first" in str(answer.exception)
    answer = run(app, [*words, "--prepare", "apex", "--out", str(tmp_path / "b"), "--json"])
    assert answer.exit_code == 0, answer.output
    table = (tmp_path / "b" / "table.csv").read_text(encoding="utf-8")
    assert all(name in table for name in ("casme2", "samm", "smic"))
    answer = run(app, ["datasets", "check", "megc2019", str(small), "--json"])
    assert answer.exit_code == 1
    assert ALL in answer.output
