from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from microexp.cli import app
from microexp.errors import PathMissingError
from tests.analyze import made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["analyze", *map(str, arguments)])


def test_the_help_teaches() -> None:
    answer = run("--help")
    assert answer.exit_code == 0
    for word in ("--out", "--fps", "--annotate", "--jobs", "no lie detector"):
        assert word in answer.output


def test_one_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.Decided(monkeypatch, [made.interval("micro", 3, 5, 8)])
    file = made.write(tmp_path / "a.mkv", fps=20.0)
    answer = run(file, "--out", tmp_path / "out", "--no-magnify")
    assert answer.exit_code == 0, answer.output
    assert "a: 1 micro-expression." in answer.output
    assert str(tmp_path / "out" / "a" / "page.html") in answer.output
    assert "20 frames a second" in answer.output


def test_one_that_fails_of_several_is_an_error_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.Decided(monkeypatch, [])
    (tmp_path / "bad.mp4").touch()
    good = made.write(tmp_path / "good.mkv")
    answer = run(tmp_path / "bad.mp4", good, "--out", tmp_path / "out", "--jobs", 1)
    assert answer.exit_code == 1
    assert answer.output.count("bad.mp4 is empty") == 1
    assert "good: No expression was found." in answer.output
    assert "index.html" in answer.output


def test_the_only_one_that_fails_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").touch()
    assert run(tmp_path / "bad.mp4", "--out", tmp_path / "out").exit_code == 2
    answer = run(tmp_path / "gone.mp4", "--out", tmp_path / "out")
    assert isinstance(answer.exception, PathMissingError)


def test_ctrl_c_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(motion: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("microexp.analyze.analysis.spot", stop)
    answer = run(made.write(tmp_path / "a.mkv"), "--out", tmp_path / "out")
    assert answer.exit_code == 130
    assert "are kept in" in answer.output
