"""Writing look-alikes; that loaders find what was written is in tests/contracts/test_lookalikes.py."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

from microexp import datasets
from microexp.cli import app
from microexp.datasets import lookalike
from microexp.datasets.lookalike import read_manifest
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError, UnknownNameError


def rows(root: Path, release: str) -> list[dict[str, object]]:
    """The sheet as openpyxl reads it."""
    book = openpyxl.load_workbook(root / f"CASME2-coding-{release}.xlsx")
    header, *body = book["Sheet1"].iter_rows(values_only=True)
    assert book.sheetnames == ["Sheet1", "Sheet2", "Sheet3"]
    assert header[2] is None
    assert header[6] is None
    return [dict(zip(header, row, strict=True)) for row in body]


@pytest.mark.parametrize(
    ("release", "surprise", "sadness", "unknown"), [("20140508", 25, 7, 5), ("20190701", 28, 4, 0)]
)
def test_casme2_has_the_published_counts_and_oddities(
    look_alike: Callable[..., Path], release: str, surprise: int, sadness: int, unknown: int
) -> None:
    sheet = rows(look_alike("casme2", full=True, release=release), release)
    assert len(sheet) == 255
    assert Counter(row["Estimated Emotion"] for row in sheet) == {
        "others": 99,
        "disgust": 63,
        "happiness": 32,
        "repression": 27,
        "surprise": surprise,
        "sadness": sadness,
        "fear": 2,
    }
    assert len({row["Subject"] for row in sheet}) == 26
    assert len({(row["Subject"], row["Filename"]) for row in sheet}) == 255
    assert len({row["Filename"] for row in sheet}) < 255
    assert {"EP01_2", "EP08_1", "EP09f", "EP06_02_01", "EP06_02_02"} <= {row["Filename"] for row in sheet}
    assert {type(row["Action Units"]) for row in sheet} == {int, str}
    assert sum(row["Action Units"] == "?" for row in sheet) == unknown
    assert ("Objective Classes" in sheet[0]) == (release == "20190701")
    by_key = {(row["Subject"], row["Filename"]): row for row in sheet}
    assert by_key["04", "EP12_01f"]["ApexFrame"] == ("/" if release == "20190701" else 300)
    still = by_key["05", "EP09_05f"]
    assert still["ApexFrame"] == still["OnsetFrame"]


def test_the_two_sheets_differ_in_58_cells_of_action_units(look_alike: Callable[..., Path]) -> None:
    old, new = (rows(look_alike("casme2", full=True, release=r), r) for r in ("20140508", "20190701"))
    pairs = zip(old, new, strict=True)
    changed = [a for a, b in pairs if a["Action Units"] not in ("?", b["Action Units"])]
    assert len(changed) == 58


def test_faces_are_seen_in_a_small_look_alike(look_alike: Callable[..., Path]) -> None:
    root = look_alike("casme2", subjects=2, clips=2, size=48, nuisance=0.0)
    clips = datasets.create("casme2", root=root, variant="cropped").read().clips
    assert [(clip.subject, clip.name) for clip in clips][::2] == [("04", "EP12_01f"), ("05", "EP09_05f")]
    assert clips[0].size == (34, 34)
    assert clips[0].frames[0].std() > 20


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    for bad, error, told in (
        ({"name": "casme22"}, UnknownNameError, "Did you mean 'casme2'"),
        ({"relase": "20140508"}, OptionError, "takes no option 'relase'. Did you mean 'release'"),
        ({"release": "2014"}, UnknownNameError, "unknown release of CASME II's sheet '2014'"),
        ({"subjects": 0}, OptionError, "at least one subject"),
        ({"size": 3}, OptionError, "size must be"),
    ):
        with pytest.raises(error, match=told):
            lookalike.write(**{"name": "casme2", "directory": tmp_path / "new", **bad})
    (tmp_path / "precious").write_text("x")
    with pytest.raises(DataError, match="holds other files"):
        lookalike.write("casme2", tmp_path)
    with pytest.raises(PathMissingError, match="no look-alike"):
        read_manifest(tmp_path)


def test_the_command_line_writes_checks_and_evaluates_one(tmp_path: Path) -> None:
    look, run = str(tmp_path / "look"), CliRunner().invoke
    words = ["datasets", "synthesize", look, "--layout", "casme2", "--full", "--data", "release=20140508"]
    answer = run(app, words)
    assert answer.exit_code == 0, answer.output
    assert "look-alike of casme2 with 255 clips" in " ".join(answer.output.split())
    assert run(app, ["datasets", "check", "casme2", look]).exit_code == 0
    answer = run(app, ["datasets", "check", "casme2", look, "--json", "--data", "variant=long"])
    told = json.loads(answer.output)
    assert told["ok"]
    assert len(read_manifest(look).clips) == 255
    answer = run(app, ["datasets", "check", "casme2", look, "--data", "variant=croped"])
    assert isinstance(answer.exception, MicroexpError)
    assert isinstance(run(app, ["datasets", "synthesize", look, "--full"]).exception, OptionError)


def test_a_recogniser_is_judged_on_a_look_alike(tmp_path: Path, look_alike: Callable[..., Path]) -> None:
    root = look_alike("casme2", subjects=2, clips=2, size=48, nuisance=0.0)
    options = ["--root", str(root), "--data", "missing_apex=middle", "--labels", "mer4", "--jobs", "1"]
    words = ["evaluate", "linear_svm", "--database", "casme2", *options, "--out", str(tmp_path), "--json"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    assert (tmp_path / "report.html").is_file()
