from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from microexp.cli import app
from microexp.errors import MicroexpError, UnknownNameError
from microexp.frames import VideoFrames, read_image
from microexp.frames.write import write_picture, write_video
from microexp.magnify import files
from microexp.magnify.eulerian import Eulerian


def frames(count: int = 6) -> np.ndarray:
    y, x = np.mgrid[:32, :40].astype(np.float32)
    waves = [np.sin((x - 0.3 * np.sin(t)) / 4 + y / 5) for t in range(count)]
    return np.rint(127 + 100 * np.repeat(np.stack(waves)[..., None], 3, axis=-1)).astype(np.uint8)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["magnify", *map(str, arguments)])


def done(*arguments: object) -> dict[str, Any]:
    """Run the command; return the record that its output names."""
    answer = run(*arguments)
    assert answer.exit_code == 0, answer.output
    record = Path(answer.output.split("made by: ")[1].split(";")[0])
    content: dict[str, Any] = json.loads(record.read_text())
    return content


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(tmp_path / "in.mkv", frames(), 25.0)
    return tmp_path / "in.mkv"


def test_the_help_teaches() -> None:
    answer = run("--help")
    assert answer.exit_code == 0
    for word in ("--onset", "--cascade", "--band", "--no-align", "microexp magnify"):
        assert word in answer.output


def test_a_picture_with_its_onset(tmp_path: Path) -> None:
    write_picture(tmp_path / "apex.png", frames()[2])
    write_picture(tmp_path / "rest.png", frames()[0])
    made = done(
        *(tmp_path / "apex.png", "--method", "eulerian", "--factor", 5, "--param", "levels=3"),
        *("--onset", tmp_path / "rest.png", "--out", tmp_path / "out.png"),
    )
    assert made["settings"]["factor"] == 5
    assert made["settings"]["levels"] == 3
    wanted = Eulerian(5.0, levels=3).magnify(frames()[2], frames()[0])
    assert np.array_equal(read_image(tmp_path / "out.png"), wanted)
    assert (tmp_path / "out_contact_sheet.png").is_file()


@pytest.mark.parametrize("band", ["1-5", "1 5", "1.0 - 5.", "1,5"])
def test_a_band_of_a_video(video: Path, tmp_path: Path, band: str) -> None:
    made = done(video, "--method", "eulerian", "--band", band, "--out", tmp_path / "out.mkv")
    assert made["settings"]["band"] == [1, 5]
    wanted = Eulerian(band=(1, 5)).magnify(frames(), fps=25.0)
    assert np.array_equal(VideoFrames(tmp_path / "out.mkv")[:], wanted)


def test_the_number_of_the_onset_and_the_frame_rate(video: Path, tmp_path: Path) -> None:
    made = done(
        *(video, "--method", "eulerian", "--onset", 3, "--fps", 200, "--no-align"),
        *("--out", tmp_path / "out"),
    )
    assert (made["onset"], made["fps"], made["alignment"]) == (3, 200, None)
    assert np.array_equal(read_image(tmp_path / "out" / "000004.png"), frames()[3])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--method", "eulerian", "--band", "fast"], "LOW-HIGH"),
        (["--method", "eulerian", "--band", "5-1"], "low < high"),
        (["--method", "eulerian", "--factor", "0.5"], "factor"),
        (["--method", "eulerian", "--cascade", "2"], "no parameter"),
        (["--method", "eulerian", "--onset", "17"], "no onset 17"),
    ],
)
def test_options_that_cannot_be_used_are_named(
    video: Path, tmp_path: Path, options: list[str], word: str
) -> None:
    answer = run(video, *options, "--out", tmp_path / "out.mkv")
    assert isinstance(answer.exception, MicroexpError)
    assert word in str(answer.exception)
    assert not (tmp_path / "out.mkv").exists()


def test_an_unknown_method_suggests_the_nearest(video: Path, tmp_path: Path) -> None:
    answer = run(video, "--method", "eulerain", "--out", tmp_path / "out.mkv")
    assert isinstance(answer.exception, UnknownNameError)
    assert "eulerian" in str(answer.exception)


def test_an_interrupt_says_that_what_is_done_is_kept(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = files._Magnification._input

    def until_the_fourth(self: files._Magnification, index: int) -> np.ndarray:
        if index == 3:
            raise KeyboardInterrupt
        return plain(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(files._Magnification, "_input", until_the_fourth)
        answer = run(video, "--method", "eulerian", "--out", tmp_path / "out.mkv")
    assert answer.exit_code == 130
    assert "What was magnified is kept" in answer.stderr
    assert len(list((tmp_path / "out.mkv.parts").glob("*.png"))) == 3
    done(video, "--method", "eulerian", "--out", tmp_path / "out.mkv")
    assert np.array_equal(VideoFrames(tmp_path / "out.mkv")[:], Eulerian().magnify(frames()))
