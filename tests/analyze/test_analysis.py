from __future__ import annotations

import csv
import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp import faces
from microexp.analyze import analysis as module
from microexp.analyze import analyze, to_csv, to_json
from microexp.analyze._ahead import ReadAhead
from microexp.clip import Clip
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError
from microexp.frames import ArrayFrames, Frames
from microexp.frames.write import write_picture, write_video
from tests.analyze import made


class Watched(Frames):
    """Frames that say which thread reads them; picture i is filled with i."""

    def __init__(self, length: int = 40) -> None:
        self.threads: set[int] = set()
        self.length = length

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.length, 1, 1, 3

    def read(self, index: int) -> np.ndarray:
        self.threads.add(threading.get_ident())
        if index == 33:
            raise DataError("frame 33 is damaged")
        return np.full((1, 1, 3), index, np.uint8)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 32), max_size=30), st.integers(1, 7))
def test_reading_ahead_gives_the_same_pictures_in_any_order(order: list[int], step: int) -> None:
    source, told = Watched(), list[int]()
    wanted = [*range(0, 33, step), *order, *range(5, 20)]
    with ReadAhead(source, told.append) as ahead:
        assert [int(ahead[i][0, 0, 0]) for i in wanted] == wanted
    assert told == wanted
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads


def test_reading_ahead_passes_errors_on_when_their_frame_is_read() -> None:
    with ReadAhead(Watched()) as ahead:
        assert [int(ahead[i][0, 0, 0]) for i in range(33)] == list(range(33))
        with pytest.raises(DataError, match="frame 33"):
            ahead[33]
        assert ahead[34][0, 0, 0] == 34


def test_reading_ahead_keeps_the_fingerprint() -> None:
    frames = ArrayFrames(np.zeros((3, 16, 16, 3), np.uint8))
    with ReadAhead(frames) as ahead:
        assert ahead.fingerprint() == frames.fingerprint()


def test_key_frames_are_those_of_the_aligned_face(monkeypatch: pytest.MonkeyPatch) -> None:
    decided = made.Decided(
        monkeypatch, [made.interval("micro", 3, 5, 8), made.interval("blink", 9, 10, 12)], "positive"
    )
    told: list[tuple[str, int, int]] = []
    done = analyze(made.clip(), magnify=False, progress=lambda *now: told.append(now))
    aligner = faces.create("aligner", size=224, mode="smooth", missing="hold", rate=5.0)
    (aligned,) = aligner.transform([made.clip()])
    ((onset, apex),) = decided.asked
    np.testing.assert_array_equal(onset, aligned.frames[3])
    np.testing.assert_array_equal(apex, aligned.frames[5])
    micro, blink = done.findings
    assert micro.answer is not None
    assert micro.answer.label == "positive"
    assert blink.answer is None
    assert blink.pictures == ()
    assert [picture.caption for picture in micro.pictures][:3] == ["onset", "apex", "offset"]
    assert {what for what, _, _ in told} == {"face", "motion", "answers"}
    assert all(0 <= n <= total for _, n, total in told)
    assert done.times == pytest.approx(np.arange(20) / 25)


def test_a_magnified_apex_is_one_picture_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microexp.analyze.pictures._magnified", lambda onset, apex: apex)
    made.Decided(monkeypatch, [made.interval("micro", 3, 5, 8)])
    plain = analyze(made.clip(), magnify=False).findings[0].pictures
    more = analyze(made.clip(), magnify=True).findings[0].pictures
    assert {p.caption for p in more} - {p.caption for p in plain} == {"apex, magnified"}


def test_pictures_are_kept_of_the_strongest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN", 2)
    scores = (0.3, 0.9, 0.5)
    found = [made.interval("micro", 2 + i, 3 + i, 4 + i, score) for i, score in enumerate(scores)]
    made.Decided(monkeypatch, found)
    done = analyze(made.clip(), magnify=False)
    assert [bool(finding.pictures) for finding in done.findings] == [False, True, True]
    assert all(finding.answer is not None for finding in done.findings)
    assert any("2 strongest" in remark for remark in done.remarks)


def test_a_slow_video_is_remarked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made.Decided(monkeypatch, [])
    assert "20 frames a second" in " ".join(analyze(made.clip(fps=20.0)).remarks)
    assert analyze(made.clip(fps=25.0)).remarks == ()


def test_frames_a_second_take_the_place_of_the_files_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.Decided(monkeypatch, [])
    file = made.write(tmp_path / "clip.mkv")
    assert analyze(file).video.seconds == pytest.approx(0.8)
    fast = analyze(file, fps=40.0)
    assert fast.video.seconds == pytest.approx(0.5)
    assert fast.times == pytest.approx(np.arange(20) / 40)


def test_a_folder_of_frames_is_a_video_of_the_rate_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.Decided(monkeypatch, [made.interval("micro", 3, 5, 8)])
    for index, frame in enumerate(made.frames(14)):
        write_picture(tmp_path / f"img{index}.png", frame)
    done = analyze(tmp_path, fps=28.0, magnify=False)
    assert done.video.n_frames == 14
    assert done.span(done.findings[0].interval) == pytest.approx((3 / 28, 9 / 28))
    with pytest.raises(OptionError, match="--fps"):
        analyze(tmp_path)


@pytest.mark.parametrize("fps", [0.0, -3.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(OptionError, match="positive"):
        analyze(made.clip(), fps=fps)


def bad_files(folder: Path) -> dict[Path, type[MicroexpError]]:
    grey = np.full((20, 64, 64, 3), 90, np.uint8)
    write_video(folder / "no face.mkv", grey, 25.0)
    made.write(folder / "short.mkv", 10)
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("a video, honestly")
    names = {"no face.mkv": DataError, "short.mkv": DataError, "empty.mp4": DataError, "text.mp4": DataError}
    return {**{folder / k: v for k, v in names.items()}, folder / "gone.mp4": PathMissingError}


def test_what_cannot_be_analysed_is_one_error_that_names_the_file(tmp_path: Path) -> None:
    for file, kind in bad_files(tmp_path).items():
        with pytest.raises(kind) as caught:
            analyze(file)
        assert str(file) in str(caught.value)


def test_json_and_csv_say_the_same() -> None:
    found = [made.interval("micro", 10, 14, 20), made.interval("blink", 30, 32, 36)]
    done = made.analysis(found, None, fps=50.0)
    content = json.loads(to_json(done, key="x"))
    first, blink = content["intervals"]
    assert content["key"] == "x"
    assert (first["onset_s"], first["apex_s"], first["offset_s"]) == (0.2, 0.28, 0.4)
    assert first["duration_s"] == pytest.approx(11 / 50)
    assert first["label"] == "not sure"
    assert first["probabilities"] == {"negative": 0.4, "positive": 0.35, "surprise": 0.25}
    assert blink["probabilities"] is None
    assert first["moves"][0] == {
        "region": "left mouth corner", "u": 2.0, "v": -3.0, "in_words": made.MOVES[0].in_words
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(to_csv(done))))
    assert [row["kind"] for row in rows] == ["micro", "blink"]
    assert float(rows[0]["p_negative"]) == 0.4
    assert rows[1]["p_negative"] == rows[1]["label"] == ""
    assert float(rows[0]["duration_s"]) == pytest.approx(0.22)
    assert made.MOVES[0].in_words in rows[0]["moves"]


def test_a_clip_of_its_own_is_named_in_errors() -> None:
    with pytest.raises(DataError, match="mine is 0.08 s"):
        analyze(Clip.from_array(made.frames(2), 25.0, name="mine"))
