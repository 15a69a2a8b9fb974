from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from microexp.analyze import analysis as module
from microexp.analyze import batch
from microexp.analyze.batch import Report, analyze_all, find_videos
from microexp.errors import OptionError, PathMissingError
from microexp.frames.write import write_picture
from tests.analyze import made

FOUND = (made.interval("micro", 3, 5, 8), made.interval("blink", 10, 11, 13))


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> made.Decided:
    return made.Decided(monkeypatch, FOUND)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two videos, and what looks like one between them."""
    folder = tmp_path / "videos"
    made.write(folder / "a.mkv", seed=1)
    (folder / "b.mp4").write_text("no video")
    made.write(folder / "deep" / "c.mkv", seed=2)
    return folder


def run(folder: Path, out: Path, **options: Any) -> dict[str, Report]:
    options = {"magnify": False, "jobs": 1, "progress": lambda *now: None, **options}
    return {report.source.name: report for report in analyze_all(find_videos([folder]), out, **options)}


def calls(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[Path]:
    """Count what is analysed; stop as Ctrl-C does at one of them."""
    analysed: list[Path] = []
    real = batch.analyze

    def counted(source: Path, **options: Any) -> module.Analysis:
        analysed.append(source)
        if len(analysed) == stop_at:
            raise KeyboardInterrupt
        return real(source, **options)

    monkeypatch.setattr(batch, "analyze", counted)
    return analysed


def test_a_bad_file_stops_no_other(videos: Path, tmp_path: Path, decided: made.Decided) -> None:
    reports = run(videos, tmp_path / "out")
    assert [name for name, report in reports.items() if report.content is None] == ["b"]
    assert str(videos / "b.mp4") in reports["b"].error
    assert "b.mp4" in (tmp_path / "out" / "b" / "error.txt").read_text()
    assert not (tmp_path / "out" / "b" / "analysis.json").exists()
    for name in ("a", "c"):
        assert {file.name for file in (tmp_path / "out" / name).iterdir()} == {
            "analysis.json", "intervals.csv", "page.html"
        }  # fmt: skip
    table = pd.read_csv(tmp_path / "out" / "intervals.csv")
    assert list(table.video) == ["a", "a", "c", "c"]
    assert list(table.onset) == [3, 10, 3, 10]
    index = (tmp_path / "out" / "index.html").read_text()
    assert "a/page.html" in index
    assert "b.mp4" in index


def test_what_is_done_is_not_done_again(
    videos: Path, tmp_path: Path, decided: made.Decided, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = run(videos, out)
    analysed = calls(monkeypatch)
    again = run(videos, out)
    assert [path.name for path in analysed] == ["b.mp4"]
    assert again["a"].content == first["a"].content
    analysed.clear()
    made.write(videos / "a.mkv", seed=9)  # another video of the same name
    (out / "c" / "analysis.json").write_text("{")
    run(videos, out)
    assert [path.name for path in analysed] == ["a.mkv", "b.mp4", "c.mkv"]
    analysed.clear()
    run(videos, out, fps=30.0)
    assert len(analysed) == 3


def test_a_batch_that_was_stopped_goes_on(
    videos: Path, tmp_path: Path, decided: made.Decided, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed = calls(monkeypatch, stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        run(videos, tmp_path / "out")
    assert "a/page.html" in (tmp_path / "out" / "index.html").read_text()
    analysed.clear()
    reports = run(videos, tmp_path / "out")
    assert [path.name for path in analysed] == ["b.mp4", "c.mkv"]
    assert list(reports) == ["a", "b", "c"]


def test_a_video_that_can_be_read_at_last_has_no_error_any_more(
    videos: Path, tmp_path: Path, decided: made.Decided
) -> None:
    run(videos, tmp_path / "out")
    (videos / "b.mp4").unlink()
    made.write(videos / "b.mp4")
    assert run(videos, tmp_path / "out")["b"].content is not None
    assert not (tmp_path / "out" / "b" / "error.txt").exists()


def test_an_annotated_video_is_made_when_it_is_asked_for(tmp_path: Path, decided: made.Decided) -> None:
    file = made.write(tmp_path / "a.mkv")
    told: list[tuple[str, int, int]] = []
    run(file, tmp_path / "out")
    run(file, tmp_path / "out", annotate=True, progress=lambda *now: told.append(now))
    assert (tmp_path / "out" / "a" / "annotated.mp4").stat().st_size > 0
    assert told[-1][1] == told[-1][2]
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert not (tmp_path / "out" / "index.html").exists()  # there is one video


def test_nothing_of_an_earlier_video_of_that_name_stays(tmp_path: Path, decided: made.Decided) -> None:
    file, out = made.write(tmp_path / "a.mkv"), tmp_path / "out"
    run(file, out, annotate=True)
    earlier = (out / "a" / "annotated.mp4").read_bytes()
    made.write(file, count=30, seed=1)
    run(file, out)
    assert not (out / "a" / "annotated.mp4").exists()
    run(file, out, annotate=True)
    assert (out / "a" / "annotated.mp4").read_bytes() != earlier
    file.write_text("no video any more")
    run(file, out)
    assert sorted(f.name for f in (out / "a").iterdir()) == ["error.txt"]


@pytest.mark.parametrize("name", ["annotated/annotated.mkv", "annotated"])
def test_a_source_is_not_where_its_results_go(tmp_path: Path, name: str) -> None:
    file = made.write(tmp_path / "annotated" / "annotated.mkv")
    write_picture(tmp_path / "annotated" / "1.png", made.face())
    if name == "annotated":
        file.unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OptionError, match="name another --out"):
        run(tmp_path / name, tmp_path, fps=25.0)
    assert sorted(tmp_path.rglob("*")) == before


def test_answers_among_the_videos_are_not_analysed(tmp_path: Path, decided: made.Decided) -> None:
    made.write(tmp_path / "a.mkv")
    run(tmp_path, tmp_path / "answers", annotate=True)
    assert (tmp_path / "answers" / "a" / "annotated.mp4").is_file()
    assert sorted(run(tmp_path, tmp_path / "answers", annotate=True)) == ["a"]


def test_a_folder_that_became_bad_stops_no_other(tmp_path: Path, decided: made.Decided) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        for i, picture in enumerate(made.frames(15)):
            write_picture(tmp_path / name / f"{i}.png", picture)
    sources = find_videos([tmp_path / "first", tmp_path / "second"])

    def errors() -> dict[str, str]:
        reports = analyze_all(
            sources, tmp_path / "out", fps=25.0, magnify=False, jobs=1, progress=lambda *_: None
        )
        return {report.source.name: report.error for report in reports}

    assert errors() == {"first": "", "second": ""}
    write_picture(tmp_path / "first" / "cover.png", made.face())
    assert "cover.png" in errors()["first"]
    assert errors()["second"] == ""


def test_a_defect_is_an_error_of_its_video(
    videos: Path, tmp_path: Path, decided: made.Decided, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "spot", lambda motion: 1 // 0)
    reports = run(videos / "deep", tmp_path / "out")
    assert "ZeroDivisionError" in reports["c"].error
    assert "Traceback" in (tmp_path / "out" / "c" / "error.txt").read_text()


def test_processes_do_the_same(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.mp4").write_text("no video")
    made.write(tmp_path / "in" / "good.mkv")
    reports = run(tmp_path / "in", tmp_path / "out", jobs=2)
    assert sorted(reports) == ["a", "b", "c", "good"]
    assert all(str(tmp_path / "in" / f"{name}.mp4") in reports[name].error for name in ("a", "b", "c"))
    assert reports["good"].content is not None
    assert not (tmp_path / "out" / "good" / ".progress").exists()
    assert (tmp_path / "out" / "index.html").read_text().count('class="failed"') == 3


def test_no_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="jobs"):
        run(made.write(tmp_path / "a.mkv"), tmp_path / "out", jobs=0)


def test_videos_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    for name in ("x/clip.mp4", "y/clip.mp4", "y/other.MOV", "y/notes.txt", "y/.hidden.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_videos([tmp_path, tmp_path / "x" / "clip.mp4"])
    names = [source.name for source in found]
    assert len(found) == len(set(names)) == 3
    assert sum(name.startswith("clip-") for name in names) == 2
    assert names[-1] == "other"
    assert [source.name for source in find_videos([tmp_path])] == names


def test_a_folder_of_pictures_is_one_video(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(3):
        write_picture(tmp_path / "frames" / f"{index}.png", made.face())
    (source,) = find_videos([tmp_path / "frames"])
    assert (source.path, source.name) == (tmp_path / "frames", "frames")
    with pytest.raises(PathMissingError, match="neither videos"):
        find_videos([tmp_path])
    with pytest.raises(PathMissingError, match="does not exist"):
        find_videos([tmp_path / "gone"])


def test_the_record_holds_the_whole_answer(tmp_path: Path, decided: made.Decided) -> None:
    run(made.write(tmp_path / "a.mkv"), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "a" / "analysis.json").read_text())
    assert content["video"]["n_frames"] == 20
    assert [interval["kind"] for interval in content["intervals"]] == ["micro", "blink"]
    assert content["intervals"][0]["label"] == "not sure"
