"""What all annotated databases share, shown on one that is made up here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from microexp.datasets.annotated import FIRST, LAST, AnnotatedDatabase, Copy, Odd, Release, Row, Rules
from microexp.datasets.annotated._frames import find_recording
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError, UnknownNameError

COLUMNS = ("subject", "name", "onset", "apex", "offset", "emotion")


class Toy(AnnotatedDatabase):
    """A database of CSV files."""

    variants: ClassVar = {"raw": ("frames/s{subject}/{name}",), "cropped": ("crop/s{subject}/{name}",)}
    sheets = ("toy-2.csv", "toy*.csv")
    releases = (Release("one", 2, {"happiness": 2, "disgust": 1}),)

    def rows(self, copy: Copy) -> Iterator[Row]:
        table = copy.table({c: (c,) for c in COLUMNS}, {"au": ("au",)})
        for number, cells in table.records():
            units, frames = cells.pop("au"), copy.frames(subject=cells["subject"], name=cells["name"])
            yield Row(table.file, number, frames=frames, fps=100.0, action_units=units, **cells)


def folder(place: Path, numbers: range | list[int], name: str = "img{}.png") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(np.full((4, 5, 3), number % 250, np.uint8)).save(place / name.format(number))
    return place


def sheet(root: Path, *rows: str, name: str = "toy-1.csv") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join([",".join((*COLUMNS, "au")), *rows]), encoding="utf-8")
    return root


def toy(root: Path, *rows: str, numbers: range = range(46, 57)) -> Path:
    """A copy with one clip, frames 46 to 56, and the given rows."""
    folder(root / "frames" / "s1" / "a", numbers)
    return sheet(root, *rows)


def odds(root: Path, **options: object) -> list[Odd]:
    return Toy(root, **options).read().odds


def test_numbers_become_indices_and_the_original_stays(tmp_path: Path) -> None:
    (clip,) = Toy(toy(tmp_path, "1,a,48,50,54,happy,4+L12", numbers=range(46, 60))).read().clips
    assert (clip.onset, clip.apex, clip.offset, len(clip)) == (2, 4, 8, 14)
    assert [int(clip.frames[i][0, 0, 0]) for i in (clip.onset, clip.apex, clip.offset)] == [48, 50, 54]
    assert {key: clip.metadata[key] for key in clip.metadata if "number" in key} == {
        "first_number": 46,
        "onset_number": 48,
        "apex_number": 50,
        "offset_number": 54,
    }
    assert (clip.metadata["row"], clip.metadata["action_units"]) == (2, "4+L12")
    assert (clip.database, clip.subject, clip.name, clip.emotion) == ("test_annotated", "1", "a", "happy")
    assert [str(unit) for unit in clip.action_units] == ["4", "L12"]


@pytest.mark.parametrize(
    ("row", "problem", "done"),
    [
        ("1,a,46,/,56,x,", "the apex '/' is no frame number", "kept with the apex unknown"),
        ("1,a,46,,56,x,", "it has no apex", "kept with the apex unknown"),
        ("1,a,46,57,56,x,", "the apex 57 comes after the offset 56", "kept with the apex unknown"),
        ("1,a,46,40,56,x,", "the apex 40 comes before the onset 46", "kept with the apex unknown"),
        ("1,a,46,46,56,x,", "the apex is the onset (46)", "kept as it is"),
        ("1,a,46,50,,x,", "it has no offset", "left out"),
        ("1,a,x,50,56,x,", "the onset 'x' is no frame number", "left out"),
        ("1,a,56,50,46,x,", "the onset 56 comes after the offset 46", "left out"),
        ("1,a,46,50,56.5,x,", "the offset '56.5' is no frame number", "left out"),
        ("1,a,44,50,58,x,", "4 of its 15 frames are missing (44 to 45, 57 to 58)", "left out"),
        ("1,a,100,105,110,x,", "11 of its 11 frames are missing (100 to 110)", "matched|left out"),
        ("1,b,46,50,56,x,", "its frames are missing", "left out"),
        ("1,a,46,50,56,x,4+smile", "'smile' in the action units '4+smile' is no code", "the rest is used"),
    ],
)
def test_every_odd_row_is_reported_in_words(tmp_path: Path, row: str, problem: str, done: str) -> None:
    reading = Toy(toy(tmp_path, row)).read()
    (odd,) = reading.odds
    assert problem in str(odd)
    assert any(word in odd.done for word in done.split("|"))
    assert f"toy-1.csv row 2, 1/{row[2]}: " in str(odd)
    assert len(reading.clips) == odd.kept
    if "apex unknown" in odd.done:
        assert reading.clips[0].apex is None


def test_a_repeated_clip_is_left_out(tmp_path: Path) -> None:
    reading = Toy(toy(tmp_path, "1,a,46,50,56,x,", "1,a,47,50,56,y,")).read()
    assert [clip.emotion for clip in reading.clips] == ["x"]
    assert "row 3, 1/a: the same subject and name as in row 2; left out" in str(reading.odds[0])


def test_files_that_count_from_one_are_matched_in_order_if_they_are_as_many(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,50,56,x,", numbers=range(1, 12))
    reading = Toy(root).read()
    (clip,) = reading.clips
    assert (clip.onset, clip.apex, clip.offset) == (0, 4, 10)
    assert clip.metadata["first_number"] == 46
    assert "the files count from 1 to 11, the row from 46 to 56; matched in order" in str(reading.odds[0])
    (root / "frames/s1/a/img7.png").unlink()
    assert Toy(root).read().clips == []


def with_rules(**rules: object) -> type[Toy]:
    return type("Other", (Toy,), {"rules": Rules(**rules), "__module__": __name__})


def test_an_offset_of_zero_is_the_apex_where_the_database_says_so(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,50,0,x,")
    assert not Toy(root).read().clips
    reading = with_rules(zero_offset_is_apex=True)(root).read()
    assert reading.clips[0].offset == reading.clips[0].apex == 4
    assert "the offset is 0; the apex 50 is taken as the offset" in str(reading.odds[0])


def test_a_database_without_apexes_has_none_to_miss(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,,56,x,")
    reading = with_rules(has_apex=False)(root).read()
    assert reading.odds == []
    assert reading.clips[0].apex is None


def test_dropped_frames_are_reported_and_kept_where_the_camera_is_known_for_it(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,50,56,x,")
    (root / "frames/s1/a/img48.png").unlink()
    assert not Toy(root).read().clips
    clip = with_rules(dropped_frames=True)(root).read().clips[0]
    assert (clip.onset, clip.apex, clip.offset, len(clip)) == (0, 3, 9, 10)
    (root / "frames/s1/a/img50.png").unlink()
    assert with_rules(dropped_frames=True)(root).read().clips[0].apex is None
    (root / "frames/s1/a/img46.png").unlink()
    assert not with_rules(dropped_frames=True)(root).read().clips


def test_a_long_recording_is_cut_to_each_expression(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,50,52,55,x,", numbers=range(1, 200))
    (clip,) = with_rules(margin=2)(root).read().clips
    assert (len(clip), clip.onset, clip.apex, clip.offset) == (10, 2, 4, 7)
    assert [int(frame[0, 0, 0]) for frame in clip.frames] == list(range(48, 58))
    assert clip.metadata["first_number"] == 48


def test_first_and_last_stand_for_the_ends_of_a_folder(tmp_path: Path) -> None:
    (clip,) = Toy(toy(tmp_path, f"1,a,{FIRST},{LAST},{LAST},x,")).read().clips
    assert (clip.onset, clip.apex, clip.offset) == (0, 10, 10)
    assert clip.metadata["offset_number"] == 56


def test_a_video_stands_for_a_folder(tmp_path: Path) -> None:
    import av

    class Videos(Toy):
        variants: ClassVar = {"raw": ("videos/{name}.avi",)}

    (tmp_path / "videos").mkdir()
    with av.open(str(tmp_path / "videos" / "a.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 32, 32
        for shade in range(8):
            picture = np.full((32, 32, 3), 20 * shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    (clip,) = Videos(sheet(tmp_path, "1,a,1,3,6,x,")).read().clips
    assert (len(clip), clip.onset, clip.apex, clip.offset) == (8, 1, 3, 6)
    assert all(check.what != "folders without a row" or check.ok for check in Videos(tmp_path).check())


@pytest.mark.parametrize(
    "name", ["img{}.jpg", "reg_img{:03d}.png", "006_{:05d}.jpg", "reg_image{:06d}.bmp", "1_2_{}.JPG"]
)
def test_numbers_are_the_last_in_the_name_whatever_the_padding(tmp_path: Path, name: str) -> None:
    recording = find_recording(folder(tmp_path / "a", [9, 10, 100, 17581039], name))
    assert recording.numbers == (9, 10, 100, 17581039)
    assert recording.index(100) == 2
    assert recording.index(11) is None
    assert recording.missing(9, 12) == [11, 12]


def test_what_is_no_frame_is_passed_over(tmp_path: Path) -> None:
    place = folder(tmp_path / "a", range(1, 4))
    for name in (".DS_Store", "._img1.png", "Thumbs.db", "notes.txt"):
        (place / name).write_text("x")
    (place / "img4.png").touch()
    (place / "img04.png").touch()
    folder(place, [2], "copy{:02d}.png")
    recording = find_recording(place)
    assert (recording.numbers, recording.empty, recording.extra) == (
        (1, 2, 3),
        ("img04.png", "img4.png"),
        ("img2.png",),
    )


def test_a_recording_of_thousands_of_frames_is_quick(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.mkdir()
    for number in range(10_000):
        (place / f"{number}.jpg").write_bytes(b"x")
    start = time.process_time()
    recording = find_recording(place)
    assert len(recording.frames(0, 10_000)) == 10_000
    assert time.process_time() - start < 5  # 0.1 s; here only so that it never becomes a minute


@pytest.mark.parametrize("where", ["", "..", "frames"])
def test_the_root_may_be_one_level_off(tmp_path: Path, where: str) -> None:
    root = toy(tmp_path / "数据 базы" / "toy", "1,a,46,50,56,x,")
    folder(tmp_path / "数据 базы" / "something else" / "frame", [1])
    assert len(Toy(root / where).read().clips) == 1


def test_names_may_differ_in_case_and_a_folder_may_be_unpacked_into_itself(tmp_path: Path) -> None:
    folder(tmp_path / "Frames" / "frames" / "S1" / "A", range(46, 57))
    sheet(tmp_path / "doc", "1,a,46,50,56,x,", name="TOY-1.CSV")
    assert len(Toy(tmp_path).read().clips) == 1


def test_the_preferred_sheet_is_taken_and_two_candidates_are_refused(tmp_path: Path) -> None:
    toy(tmp_path, "1,a,46,50,56,x,")
    sheet(tmp_path, "1,a,46,50,56,y,", name="toy-2.csv")
    sheet(tmp_path, "garbage", name="~$toy-2.csv")
    assert Toy(tmp_path).read().clips[0].emotion == "y"
    (tmp_path / "toy-2.csv").rename(tmp_path / "toy-3.csv")
    with pytest.raises(DataError, match=r"2 annotation files: .*toy-1\.csv.*toy-3\.csv.*sheet=FILE"):
        Toy(tmp_path).read()
    for name in ("toy-3.csv", str(tmp_path / "toy-3.csv")):
        assert Toy(tmp_path, sheet=name).read().clips[0].emotion == "y"
    with pytest.raises(PathMissingError, match=r"there is no annotation toy-9\.csv"):
        Toy(tmp_path, sheet="toy-9.csv").read()


def test_what_was_looked_for_is_said(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="needs the folder of your copy"):
        Toy().load()
    with pytest.raises(PathMissingError, match="does not exist"):
        Toy(tmp_path / "gone").load()
    (tmp_path / "a").mkdir()
    with pytest.raises(PathMissingError, match="is empty"):
        Toy(tmp_path / "a").load()
    (tmp_path / "a" / "frame").mkdir()
    with pytest.raises(PathMissingError, match=r"no folder frames in .*is it 'frame'\? Then rename that"):
        Toy(tmp_path / "a").load()
    folder(tmp_path / "b" / "frames" / "s1" / "a", range(3))
    (tmp_path / "b" / "list.xlsx").write_text("x")
    with pytest.raises(PathMissingError, match=r"looked for toy-2\.csv, toy\*\.csv\. There is list\.xlsx"):
        Toy(tmp_path / "b").load()
    for copy in "xy":
        (tmp_path / "two" / copy / "frames").mkdir(parents=True)
    with pytest.raises(DataError, match="2 copies below"):
        Toy(tmp_path / "two").load()
    with pytest.raises(UnknownNameError, match="Did you mean 'cropped'"):
        Toy(tmp_path, variant="croped").load()
    with pytest.raises(OptionError, match="missing_apex is one of keep, middle, drop"):
        Toy(tmp_path, missing_apex="guess").load()


def test_folders_that_may_not_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = toy(tmp_path, "1,a,46,50,56,x,", "1,b,46,50,56,x,", "1,c,46,50,56,x,")
    folder(root / "frames/s1/b", range(46, 57))
    folder(root / "frames/s1/c", range(46, 57))
    real = os.scandir

    def scandir(place: Path) -> object:
        if Path(place).name == "b":
            raise PermissionError(13, "Permission denied")
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    reading = Toy(root).read()
    assert [clip.name for clip in reading.clips] == ["a", "c"]
    assert "b cannot be read: Permission denied; left out" in str(reading.odds[0])


def test_loops_of_links_do_no_harm(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,50,56,x,", "1,b,46,50,56,x,")
    (root / "frames" / "s1" / "b").symlink_to(root / "frames" / "s1" / "b")
    (root / "frames" / "s1" / "up").symlink_to(root)
    (root / "loop").symlink_to(root / "loop")
    (root / "again").symlink_to(root)
    reading = Toy(root).read()
    assert len(reading.clips) == 1
    assert "Too many levels of symbolic links; left out" in str(reading.odds[0])
    assert {c.what: c.ok for c in Toy(root).check()}["folders without a row"] is False  # "up" is one


def test_load_says_what_is_left_out_and_what_became_of_the_apexes(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,/,56,happiness,", "1,b,46,50,56,disgust,", "1,c,46,50,56,disgust,")
    folder(root / "frames/s1/b", range(46, 57))
    data = Toy(root).load()
    assert data.table["apex"].isna().tolist() == [True, False]
    left, unknown = data.remarks
    assert left.startswith(
        "test_annotated: 1 of 3 rows are left out, first toy-1.csv row 4, 1/c: its frames are missing"
    )
    assert unknown == "test_annotated: clips without an annotated apex: 1."
    middle = Toy(root, missing_apex="middle").load()
    assert middle.clips[0].apex == 5
    assert middle.clips[0].metadata["apex_number"] is None
    assert middle.remarks[-1] == "test_annotated: apexes that are the middle of onset and offset: 1."
    drop = Toy(root, missing_apex="drop").load()
    assert len(drop) == 1
    assert drop.remarks[-1] == "test_annotated: left out for want of an annotated apex: 1."
    assert len({data.fingerprint, middle.fingerprint, drop.fingerprint}) == 3


def test_the_fingerprint_follows_rows_and_pictures_but_not_the_place(tmp_path: Path) -> None:
    rows = "1,a,46,50,56,disgust,"
    one = Toy(toy(tmp_path / "one", rows)).load().fingerprint
    assert Toy(toy(tmp_path / "two", rows)).load().fingerprint == one
    assert Toy(toy(tmp_path / "three", rows.replace("50", "51"))).load().fingerprint != one
    Image.new("RGB", (40, 40), "red").save(tmp_path / "two/frames/s1/a/img52.png")
    assert Toy(tmp_path / "two").load().fingerprint != one


def test_check_reports_counts_and_extra_folders(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,50,56,disgust,", "2,b,46,50,56,happy,", "2,c,46,50,56,Happiness ,")
    for name in "bc":
        folder(root / "frames" / "s2" / name, range(46, 57))
    assert [check for check in Toy(root).check() if not check.ok] == []
    folder(root / "frames" / "s2" / "d", range(46, 57))
    sheet(root, "1,a,46,50,56,disgust,", "2,b,46,50,56,anger,", "2,c,46,50,56,happy,")
    faults = {check.what: check for check in Toy(root).check() if not check.ok}
    assert sorted(faults) == [
        "folders without a row",
        "release of the sheet",
        "rows: anger",
        "rows: happiness",
    ]
    assert (
        faults["release of the sheet"].found == "one, with happiness 1 in place of 2, anger 1 in place of 0"
    )
    assert faults["folders without a row"].details == (str(root / "frames" / "s2" / "d"),)
    (root / "toy-1.csv").write_text("a,b\n1,2\n")
    faults = {check.what: check for check in Toy(root).check() if not check.ok}
    assert list(faults) == ["annotation"]
    assert "no row with the column names" in faults["annotation"].details[0]


def test_a_picture_of_another_size_is_named_when_it_is_read(tmp_path: Path) -> None:
    (clip,) = Toy(toy(tmp_path, "1,a,46,50,56,x,")).read().clips
    Image.new("RGB", (9, 9)).save(tmp_path / "frames/s1/a/img50.png")
    with pytest.raises(MicroexpError, match=r"img50\.png is 9x9, but img46\.png is 5x4"):
        clip.key_frame("apex")
    assert clip.frames.fingerprint([0]) != clip.frames.fingerprint([4])


@pytest.mark.parametrize(
    ("row", "clip", "told"),
    [
        ("1,a,3,5,9,x,", (2, 4, 8), ""),
        ("1,a,103,105,112,x,", (0, 2, 9), "the onset is taken as the first file"),
        ("1,a,103,105,120,x,", (0, 2, 10), "and the offset as the last, 7 frames earlier"),
        ("1,a,103,105,,x,", (0, 2, 10), "it has no offset; the last file (11) is taken"),
        ("1,a,3,5,2,x,", (2, 4, 10), "the offset 2 comes before the onset 3; the last file (11) is taken"),
        ("1,a,103,115,120,x,", None, "18 of its 18 frames are missing"),
        ("1,a,3,5,12,x,", None, "1 of its 10 frames are missing (12)"),
    ],
)
def test_a_trimmed_clip_counts_from_one_whatever_the_row_says(
    tmp_path: Path, row: str, clip: tuple[int, int, int] | None, told: str
) -> None:
    reading = with_rules(trimmed=True)(toy(tmp_path, row, numbers=range(1, 12))).read()
    assert [(c.onset, c.apex, c.offset) for c in reading.clips] == ([clip] if clip else [])
    assert told in "\n".join(map(str, reading.odds))
    assert bool(reading.odds) == bool(told)


def test_a_picture_that_stands_alone_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    place = folder(tmp_path / "a", [7, 8], "S01-{:03d}.png")
    recording = find_recording(place / "S01-008.png")
    assert (recording.numbers, len(recording.frames(0, 1))) == ((8,), 1)
    assert recording.frames(0, 1)[0][0, 0, 0] == 8
    with pytest.raises(PathMissingError, match=r"S01-009\.png does not exist"):
        find_recording(place / "S01-009.png")


def test_rows_that_are_odd_as_published_may_be_known_by_their_number_alone(tmp_path: Path) -> None:
    root = toy(tmp_path, "1,a,46,/,56,x,", "1,b,46,/,56,x,", "1,c,46,50,56,x,")
    for name in "bc":
        folder(root / f"frames/s1/{name}", range(46, 57))
    for count, ok in ((1, False), (2, True)):
        database = type("Known", (Toy,), {"odd_rows": count, "__module__": __name__})(root)
        check = next(check for check in database.check() if check.what == "odd rows")
        assert (check.ok, check.expected) == (ok, f"up to {count} rows")
