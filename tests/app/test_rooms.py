from __future__ import annotations

import os
from pathlib import Path

import pytest

from microexp.app.rooms import LeftError, Rooms
from microexp.errors import MicroexpError


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


def uploaded(rooms: Rooms, content: str = "x") -> str:
    """Put a file where an upload of that content stands, as a browser's is: a new one each time."""
    folder = rooms.root / f"hash-of-{content}"
    folder.mkdir(exist_ok=True)
    (folder / "part").write_text(content)
    return str((folder / "part").rename(folder / "face.mp4"))


def test_nobody_else_on_the_machine_may_look(rooms: Rooms) -> None:
    assert rooms.root.stat().st_mode & 0o077 == 0
    rooms.close()
    assert not rooms.root.exists()


def test_what_is_replaced_or_left_is_deleted(rooms: Rooms) -> None:
    first, second = uploaded(rooms, "first"), uploaded(rooms, "second")
    rooms.hold("anna", "analyze", first)
    rooms.hold("anna", "analyze", second)
    assert not Path(first).exists()
    with rooms.work("anna", "analyze") as (folder, _):
        (folder / "answer.html").write_text("")
    assert folder.exists()
    rooms.leave("anna")
    assert not any(rooms.root.iterdir())


def test_one_file_of_two_visitors_stays_until_both_let_it_go(rooms: Rooms) -> None:
    file = uploaded(rooms)
    assert rooms.hold("anna", "analyze", file) == rooms.hold("ben", "analyze", file)
    rooms.let_go("anna", "analyze")
    assert Path(file).is_file()
    rooms.leave("ben")
    assert not Path(file).exists()


@pytest.mark.parametrize("order", [("anna", "ben"), ("ben", "anna")])
def test_equal_uploads_one_after_the_other_are_all_deleted(rooms: Rooms, order: tuple[str, str]) -> None:
    for visitor in ("anna", "ben"):  # ben's takes the place of anna's
        file = uploaded(rooms)
        rooms.hold(visitor, "analyze", file)
    for visitor in order:
        assert Path(file).is_file()
        rooms.let_go(visitor, "analyze")
    assert not Path(file).exists()


def test_a_newer_upload_in_the_place_of_an_older_is_not_deleted_with_it(rooms: Rooms) -> None:
    rooms.hold("anna", "analyze", uploaded(rooms))
    newer = uploaded(rooms)  # of ben, who is not known yet
    rooms.leave("anna")
    assert Path(newer).is_file()


def test_what_arrives_after_its_visitor_left_is_deleted(rooms: Rooms) -> None:
    rooms.leave("anna")
    late = uploaded(rooms)
    with pytest.raises(LeftError):
        rooms.hold("anna", "analyze", late)
    assert not any(rooms.root.iterdir())


def test_what_nobody_took_is_deleted_after_a_while(rooms: Rooms) -> None:
    old, new, held = (Path(uploaded(rooms, content)) for content in ("old", "new", "held"))
    rooms.hold("ben", "analyze", str(held))
    for file in (old, held):
        os.utime(file, (0, 0))
    rooms.leave("anna")
    assert (old.exists(), new.exists(), held.exists()) == (False, True, True)


def test_a_result_takes_the_place_of_the_one_before(rooms: Rooms) -> None:
    with rooms.work("anna", "magnify") as (before, _), rooms.work("anna", "upscale") as (other, _):
        pass
    with rooms.work("anna", "magnify") as (after, _):
        assert not any(after.iterdir())
    assert not before.exists()
    assert other.exists()


def test_who_leaves_ends_the_work_and_takes_the_results_along(rooms: Rooms) -> None:
    with pytest.raises(LeftError), rooms.work("anna", "magnify"):
        rooms.leave("anna")
        rooms.stay("anna")
    with rooms.work("ben", "magnify") as (folder, _):
        rooms.leave("ben")
        folder.mkdir(parents=True)  # written after he had left
    assert not any(rooms.root.iterdir())


@pytest.mark.parametrize("change", ["cleared", "replaced"])
def test_what_is_worked_on_stays_until_the_end(rooms: Rooms, change: str) -> None:
    file, other = uploaded(rooms, "first"), uploaded(rooms, "second")
    rooms.hold("anna", "magnify", file)
    with rooms.work("anna", "magnify", file, other) as (_, files):
        if change == "cleared":
            rooms.let_go("anna", "magnify")
        else:
            rooms.hold("anna", "magnify", uploaded(rooms, "third"))
        assert all(one.is_file() for one in files)
    assert not any(one.exists() for one in files)
    assert rooms.let_go_unless_replaced("anna", "magnify", file) == (change == "cleared")
    assert [one.exists() for one in rooms.root.rglob("face.mp4")] == [True] * (change == "replaced")


def test_an_error_of_who_left_is_that_he_left(rooms: Rooms) -> None:
    file = uploaded(rooms)
    with pytest.raises(LeftError), rooms.work("anna", "magnify", file) as (_, (mine,)):
        rooms.leave("anna")
        mine.read_text()
    with pytest.raises(FileNotFoundError), rooms.work("ben", "magnify"):
        (rooms.root / "never there").read_text()


def test_of_work_that_lacks_a_file_nothing_is_held(rooms: Rooms) -> None:
    file = uploaded(rooms)
    with pytest.raises(MicroexpError, match="drop it again"):
        rooms.work("anna", "magnify", file, str(rooms.root / "gone.mp4")).__enter__()
    assert not Path(file).exists()


@pytest.mark.parametrize("name", ["/etc/hostname", "gone.mp4"])
def test_only_uploads_are_read(rooms: Rooms, name: str) -> None:
    with pytest.raises(MicroexpError, match="drop it again"):
        rooms.hold("anna", "analyze", str(rooms.root / name))


def test_kept_if_wanted() -> None:
    rooms = Rooms(keep=True)
    file = uploaded(rooms)
    rooms.hold("anna", "analyze", file)
    rooms.leave("anna")
    rooms.close()
    assert Path(file).is_file()
