"""Reading annotation files of every kind, good and bad."""

from __future__ import annotations

import warnings
from pathlib import Path

import openpyxl
import pytest

from microexp.datasets._sheets import read_headerless, read_table
from microexp.datasets.lookalike import Tree
from microexp.errors import DataError, MicroexpError, PathMissingError

NEEDED = {"subject": ("Subject",), "onset": ("Onset Frame", "OnsetF")}
ROWS = [
    ["Subject", "Onset Frame", "AU"],
    ["006", 46, "4+7"],
    ["007", 46.0, 4],
    [None, None, None],
    ["8", "/", None],
]
GOOD = {
    2: {"subject": "006", "onset": "46"},
    3: {"subject": "007", "onset": "46"},
    5: {"subject": "8", "onset": "/"},
}


def write(folder: Path, suffix: str, rows: list[list[object]] = ROWS) -> Path:
    tree = Tree(folder)
    if suffix == ".xlsx":
        tree.xlsx("a.xlsx", {"Sheet1": rows})
    elif suffix == ".xls":
        tree.xls("a.xls", rows)
    else:
        tree.text("a.csv", "\n".join(",".join("" if c is None else str(c) for c in row) for row in rows))
    return folder / f"a{suffix}"


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".csv"])
def test_the_three_kinds_read_alike(tmp_path: Path, suffix: str) -> None:
    table = read_table(write(tmp_path, suffix), NEEDED, {"au": ("Action Units", "AU"), "notes": ("Notes",)})
    assert table.header == 1
    assert table.columns == ("Subject", "Onset Frame", "AU")
    found = dict(table.records())
    assert {row: {key: cells[key] for key in NEEDED} for row, cells in found.items()} == GOOD
    assert [cells["au"] for cells in found.values()] == ["4+7", "4", ""]
    assert {cells["notes"] for cells in found.values()} == {""}


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".csv"])
def test_a_header_below_thirteen_lines_of_text_is_found(tmp_path: Path, suffix: str) -> None:
    preamble = [[f"Subject {i} was filmed"] for i in range(13)]
    table = read_table(write(tmp_path, suffix, [*preamble, *ROWS]), NEEDED)
    assert table.header == 14
    assert [row for row, _ in table.records()] == [15, 16, 18]


@pytest.mark.parametrize(
    "name", ["onsetframe", "ONSET_FRAME", " Onset  Frame ", "Onset.Frame", "ＯｎｓｅｔFrame", "OnsetF"]
)
def test_names_are_the_same_whatever_their_spelling(tmp_path: Path, name: str) -> None:
    table = read_table(write(tmp_path, ".xlsx", [["Subject", name], ["1", 5]]), NEEDED)
    assert next(table.records()) == (2, {"subject": "1", "onset": "5"})


def test_a_column_that_is_there_twice_can_be_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, ".xlsx", [["Subject", "OnsetF", "OffsetF", "OnsetF"], ["1", 5, 9, 20]])
    table = read_table(file, NEEDED, {"second": ("OnsetF#2",)})
    assert next(table.records())[1] == {"subject": "1", "onset": "5", "second": "20"}


def test_sheets_are_found_by_name_and_by_what_they_hold(tmp_path: Path) -> None:
    other = [["Subject", "Onset Frame"], ["x", 1]]
    Tree(tmp_path).xlsx("a.xlsx", {"Notes": [["hello"]], "MACRO": other, "MICRO_ONLY": ROWS, "empty": []})
    file = tmp_path / "a.xlsx"
    assert read_table(file, NEEDED).sheet == "MACRO"
    assert read_table(file, NEEDED, sheets=("micro only",)).sheet == "MICRO_ONLY"
    assert read_table(file, NEEDED, sheets=("gone",)).sheet == "MACRO"


def test_sheets_without_a_header(tmp_path: Path) -> None:
    Tree(tmp_path).xlsx("a.xlsx", {"one": [[1, "d1_1", 5], [2, "d2_1", 0]], "naming rule1": [[1, "x", 15]]})
    file = tmp_path / "a.xlsx"
    table = read_headerless(file, ("subject", "", "onset"), sheets=("gone", "one"))
    assert dict(table.records()) == {1: {"subject": "1", "onset": "5"}, 2: {"subject": "2", "onset": "0"}}
    with pytest.raises(
        DataError, match="several sheets and none was named; its sheets are 'one', 'naming rule1'"
    ):
        read_headerless(file, ("subject",))
    with pytest.raises(DataError, match="no sheet 'two'"):
        read_headerless(file, ("subject",), sheets=("two",))
    with pytest.raises(DataError, match="3 columns where 4 are needed"):
        read_headerless(file, ("a", "b", "c", "d"), sheets=("one",))


@pytest.mark.parametrize(
    ("encoding", "separator"), [("utf-8-sig", ","), ("gb18030", ";"), ("utf-16", "\t"), ("utf-8", ",")]
)
def test_csv_of_any_country(tmp_path: Path, encoding: str, separator: str) -> None:
    file = tmp_path / "标注.csv"
    lines = [("Subject", "OnsetF", "Emotion"), ("王", "46.0", "惊讶"), ("李", "7", '"a\nb"')]
    file.write_bytes("\n".join(separator.join(line) for line in lines).encode(encoding))
    table = read_table(file, NEEDED, {"emotion": ("emotion",)})
    assert [cells["subject"] for _, cells in table.records()] == ["王", "李"]
    assert [cells["emotion"] for _, cells in table.records()] == ["惊讶", "a\nb"]


def test_a_workbook_of_the_wrong_suffix_is_told_by_its_content(tmp_path: Path) -> None:
    write(tmp_path, ".xlsx").rename(tmp_path / "b.xls")
    assert read_table(tmp_path / "b.xls", NEEDED).sheet == "Sheet1"


def damaged(folder: Path, how: str) -> Path:
    file = write(folder, ".xlsx")
    content = file.read_bytes()
    new = {
        "zero bytes": b"",
        "cut": content[: len(content) // 2],
        "picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0",
        "locked": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
        "web page": b"<html><body>log in</body></html>",
        "text": b"Dear user, thank you for your mail.\n",
        "header": b"Subject,OnsetF\n",
        "blank": b"\n\n , \n",
    }
    file.write_bytes(new[how])
    return file


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("zero bytes", r"a\.xlsx is empty \(0 bytes\)"),
        ("cut", "damaged, protected by a password, or no Excel file"),
        ("picture", "neither an Excel file nor text"),
        ("locked", "protected by a password"),
        ("web page", "is a web page"),
        ("text", "no row with the column names Subject, Onset Frame"),
        ("header", "has its header in row 1 but no rows below it"),
        ("blank", "has no filled cell"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, how: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_table(damaged(tmp_path, how), NEEDED)


@pytest.mark.parametrize("cut", range(10, 5000, 311))
def test_no_damage_lets_another_librarys_error_through(tmp_path: Path, cut: int) -> None:
    for suffix in (".xlsx", ".xls"):
        file = write(tmp_path, suffix)
        content = bytearray(file.read_bytes())
        at = cut % len(content)
        content[at : at + 20] = bytes(20)
        file.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                read_table(file, NEEDED)
            except MicroexpError as error:
                assert str(file) in str(error)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    file = write(tmp_path, ".xlsx", [["text"], ["Subject", "Onset Frm", "AU"], ["1", 2, 3]])
    with pytest.raises(DataError) as error:
        read_table(file, NEEDED)
    for part in (
        "a.xlsx",
        "sheet 'Sheet1', row 2",
        "no column 'Onset Frame'",
        "Is it 'Onset Frm'?",
        "Subject, Onset Frm, AU",
    ):
        assert part in str(error.value)


def test_merged_cells_in_the_data_are_named(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.xlsx("a.xlsx", {"Sheet1": ROWS}, merge=["A2:A3"])
    with pytest.raises(DataError, match=r"sheet 'Sheet1': the cells A2:A3 are merged"):
        read_table(tmp_path / "a.xlsx", NEEDED)
    tree.xlsx("a.xlsx", {"Sheet1": [["A title over all of it"], *ROWS]}, merge=["A1:C1", "C3:C4"])
    assert len(read_table(tmp_path / "a.xlsx", NEEDED).cells) == 3  # not among the data that are read


def test_a_file_that_is_not_there_or_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PathMissingError, match=r"gone\.xlsx does not exist"):
        read_table(tmp_path / "gone.xlsx", NEEDED)
    with pytest.raises(PathMissingError, match="is a folder"):
        read_table(tmp_path, NEEDED)
    file = write(tmp_path, ".csv")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"a\.csv cannot be read: Permission denied"):
        read_table(file, NEEDED)


def test_dates_and_formulas_become_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Subject", "OnsetF"])
    book.active.append(["1", "=2+3"])
    book.active.append([True, 2.5])
    book.save(tmp_path / "a.xlsx")
    cells = dict(read_table(tmp_path / "a.xlsx", NEEDED).records())
    assert cells == {2: {"subject": "1", "onset": ""}, 3: {"subject": "True", "onset": "2.5"}}
