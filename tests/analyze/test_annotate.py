from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microexp.analyze.annotate import annotated, time_strip, write_annotated
from microexp.clip import Clip
from microexp.faces.geometry import invert, transform_points
from microexp.frames import VideoFrames
from tests.analyze import made

FOUND = (made.interval("micro", 10, 12, 14), made.interval("blink", 20, 21, 24))
COLOURS = {"micro": (0xC2, 0x41, 0x0C), "blink": (0x7B, 0x87, 0x94)}


def drawn(index: int, **changes: object) -> np.ndarray:
    done = made.analysis(FOUND, n_frames=40, fps=25.0, **changes)
    return annotated(np.full((480, 640, 3), 90, np.uint8), index, done, time_strip(done, 640))


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture[:400] == colour).all(-1).any())


@pytest.mark.parametrize(
    ("index", "kind"), [(9, None), (10, "micro"), (14, "micro"), (15, None), (22, "blink")]
)
def test_the_box_has_the_colour_of_what_goes_on(index: int, kind: str | None) -> None:
    picture = drawn(index)
    assert {name for name, colour in COLOURS.items() if has(picture, colour)} == ({kind} - {None})


def test_the_box_is_around_the_face() -> None:
    done = made.analysis(FOUND, n_frames=40, fps=25.0)
    picture = drawn(12)
    corner = transform_points(np.array([[0.0, 0.0], [223.0, 223.0]]), invert(done.alignment.matrix(12)))
    rows, columns = np.nonzero((picture == COLOURS["micro"]).all(-1)[:470])
    assert [columns.min(), rows.min()] == pytest.approx(corner[0], abs=4)
    assert [columns.max(), rows.max()] == pytest.approx(corner[1], abs=4)


def test_what_is_given_is_not_changed() -> None:
    done = made.analysis(FOUND, n_frames=40, fps=25.0)
    frame = np.full((480, 640, 3), 90, np.uint8)
    annotated(frame, 12, done, time_strip(done, 640))
    assert (frame == 90).all()


def test_the_strip_has_every_interval_in_its_place() -> None:
    strip = time_strip(made.analysis(FOUND, n_frames=40, fps=25.0), 400)  # ten pixels a frame
    for index in range(40):
        kind = "micro" if 10 <= index <= 14 else "blink" if 20 <= index <= 24 else None
        wanted = COLOURS.get(kind or "", (40, 40, 40))
        assert (strip[:, 10 * index : 10 * index + 10] == wanted).all()


def test_the_video_is_as_long_as_it_was(tmp_path: Path) -> None:
    frames = np.full((20, 64, 80, 3), 90, np.uint8)
    told: list[tuple[str, int, int]] = []
    done = made.analysis(FOUND[:1], n_frames=20, fps=25.0, size=(64, 80))
    clip = Clip.from_array(frames, 25.0)
    file = write_annotated(tmp_path / "a.mkv", clip, done, lambda *now: told.append(now))
    video = VideoFrames(file)
    assert (video.shape, video.fps) == ((20, 64, 80, 3), 25.0)
    assert told[-1] == ("annotated video", 20, 20)
    assert (video[12] != frames[12]).any()
