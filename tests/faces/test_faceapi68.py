"""The default detector on faces whose landmarks are known, and on what is no plain portrait."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microexp import faces
from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.faces.base import Face, main_face, overlap, same_face
from microexp.frames import read_image


@pytest.mark.parametrize("tiny", [False, True])
def test_landmarks_lie_within_a_twentieth_of_the_eye_distance(clips: list[Clip], tiny: bool) -> None:
    detector, errors = faces.create("faceapi68", tiny=tiny), []
    for clip in clips:
        truth = clip.metadata["truth"].landmarks(clip.onset)
        (face,) = detector.detect(clip.key_frame("onset"))
        errors.append(
            np.linalg.norm(face.landmarks - truth, axis=1)[17:].mean() / np.linalg.norm(truth[45] - truth[36])
        )
    assert np.mean(errors) < 0.05


def test_the_mirror_image_has_the_mirrored_landmarks(clips: list[Clip]) -> None:
    picture = clips[0].frames[0]
    detector = faces.create("faceapi68")
    (plain,), (mirrored,) = detector.detect(picture), detector.detect(picture[:, ::-1])
    order = [16 - i for i in range(17)]
    assert np.abs(picture.shape[1] - 1 - mirrored.landmarks[order, 0] - plain.landmarks[:17, 0]).mean() < 2.5


def test_a_shift_of_the_picture_shifts_box_and_landmarks(clips: list[Clip]) -> None:
    canvas, moved = (np.full((480, 640, 3), 110, np.uint8) for _ in range(2))
    canvas[100:356, 100:356] = moved[164:420, 260:516] = clips[1].frames[0]
    detector = faces.create("faceapi68")
    (first,), (second,) = detector.detect(canvas), detector.detect(moved)
    assert np.abs(second.landmarks - first.landmarks - (160, 64)).mean() < 1.0


def test_every_face_of_a_picture_is_found(clips: list[Clip]) -> None:
    row = np.concatenate([clip.frames[0] for clip in clips[:3]], axis=1)
    found = faces.create("faceapi68").detect(row)
    assert sorted(int(face.centre[0]) // 256 for face in found) == [0, 1, 2]
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)


def test_a_face_half_outside_has_landmarks_outside_or_is_not_found(clips: list[Clip]) -> None:
    half = clips[0].frames[0][:, 128:]
    for face in faces.create("faceapi68").detect(half):
        assert np.isfinite(face.landmarks).all()
        assert face.landmarks[:, 0].min() < 0


@pytest.mark.parametrize("shape", [(16, 16), (16, 900), (33, 17)])
def test_small_and_narrow_pictures_have_no_face(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert faces.create("faceapi68").detect(picture) == []


@pytest.mark.parametrize("options", [{"sizes": ()}, {"sizes": (300,)}, {"min_score": 1.0}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="faceapi68"):
        faces.create("faceapi68", **options).detect(np.zeros((64, 64, 3), np.uint8))


def face(x0: float, y0: float, side: float) -> Face:
    return Face((x0, y0, x0 + side, y0 + side), 0.9, np.zeros((68, 2), np.float32))


def test_the_largest_face_counts_and_of_large_ones_the_most_central() -> None:
    small, large, central = face(95, 95, 20), face(0, 0, 60), face(70, 70, 55)
    assert main_face([small, large], (200, 200)) is large
    assert main_face([small, large, central], (200, 200)) is central


def test_a_person_is_known_again_by_where_the_face_is() -> None:
    known, near, far = face(0, 0, 50), face(5, 5, 50), face(100, 0, 50)
    assert same_face([far, near], known) is near
    assert same_face([far], known) is None
    assert same_face([], known) is None
    assert overlap(known.box, known.box) == 1
    assert overlap(known.box, far.box) == 0


def test_a_photograph() -> None:
    """The astronaut of scikit-image (NASA, public domain); the eyes were marked by hand, to the pixel."""
    (found,) = faces.create("faceapi68").detect(read_image(Path(__file__).with_name("astronaut.jpg")))
    assert found.score > 0.7
    assert np.linalg.norm(found.landmarks[36:42].mean(0) - (75, 71)) < 4
    assert np.linalg.norm(found.landmarks[42:48].mean(0) - (118, 73)) < 4
