"""Alignment against the truth of synthetic clips: where the face goes, what moves, and what is counted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from microexp import faces
from microexp.clip import Clip
from microexp.errors import DataError, MicroexpError
from microexp.faces import geometry
from microexp.faces.alignment import canonical_landmarks, smoothed
from microexp.faces.base import Face, FaceDetector
from microexp.frames import Frames

EMPTY = np.full((256, 256, 3), 90, np.uint8)


class Scripted(Frames):
    """Frames given by a function of their number, which counts how often they are read."""

    def __init__(self, length: int, picture: Callable[[int], np.ndarray]) -> None:
        self.length, self.picture, self.reads = length, picture, 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.length, *self.picture(0).shape

    def read(self, index: int) -> np.ndarray:
        self.reads += 1
        return self.picture(index)


class Given(FaceDetector):
    """Finds given landmarks, moved by as many pixels as the picture's first pixel says; none at 0."""

    def __init__(self, landmarks: np.ndarray) -> None:
        self.landmarks = landmarks

    def _detect(self, picture: np.ndarray) -> list[Face]:
        shift = float(picture[0, 0, 0])
        points = (self.landmarks + shift).astype(np.float32)
        return [Face((shift, shift, 100 + shift, 100 + shift), 1.0, points)] if shift else []


def marked(values: list[int], onset: int = 0, fps: float = 30.0) -> Clip:
    """A clip whose pictures hold one grey value each: what `Given` reads."""
    frames = np.stack([np.full((64, 64, 3), value, np.uint8) for value in values])
    return Clip.from_array(frames, fps=fps, onset=onset, name="marked")


@pytest.fixture
def given() -> Given:
    return Given(canonical_landmarks(64, 0.1))


@pytest.mark.parametrize("size", [28, 60, 112, 224, 240, 256])
def test_the_face_lies_where_the_canonical_one_does(clips: list[Clip], size: int) -> None:
    clip = faces.create("aligner", size=size).transform(clips[:1])[0]
    assert clip.frames.shape == (len(clips[0]), size, size, 3)
    alignment = clip.metadata["alignment"]
    target = canonical_landmarks(size, 0.1)
    true = clips[0].metadata["truth"].landmarks(clip.onset)
    moved = geometry.transform_points(true, alignment.matrix(clip.onset))
    assert np.linalg.norm(alignment.landmarks - target, axis=1)[17:].mean() < 0.03 * size
    assert np.linalg.norm(moved - target, axis=1)[27:48].mean() < 0.03 * size
    assert (alignment.looked_at, alignment.missing, alignment.several) == (1, (), ())


def test_once_a_clip_means_one_transform_and_lazy_frames(clips: list[Clip]) -> None:
    picture = clips[0].frames[0]
    frames = Scripted(500, lambda i: picture)
    aligned = faces.create("aligner").transform([Clip(frames, 30.0, onset=7)])[0]
    alignment = aligned.metadata["alignment"]
    assert frames.reads == 1
    assert all(np.array_equal(alignment.matrix(i), alignment.matrix(7)) for i in (0, 250, 499))
    assert np.array_equal(aligned.frames[3], geometry.warp(picture, alignment.matrix(3), 224))
    assert frames.reads == 2


def test_grey_is_that_of_the_colours_within_two_levels(clips: list[Clip]) -> None:
    aligned = faces.create("aligner", size=112).transform(clips[:1])[0].frames
    of_colours = cv2.cvtColor(aligned[-1], cv2.COLOR_RGB2GRAY).astype(int)
    assert aligned.grey(-1).dtype == np.uint8
    assert np.abs(aligned.grey(-1) - of_colours).max() <= 2
    with pytest.raises(IndexError):
        aligned.grey(len(aligned))


def test_aligned_frames_are_known_by_what_they_come_from(clips: list[Clip]) -> None:
    def fingerprint(options: dict[str, object], indices: list[int], of: Clip = clips[0]) -> str | None:
        return faces.create("aligner", **options).transform([of])[0].frames.fingerprint(indices)

    first = fingerprint({}, [0, 3])
    assert first is not None
    assert first == fingerprint({}, [0, 3])
    others = [
        fingerprint({}, [0, 4]),
        fingerprint({"size": 112}, [0, 3]),
        fingerprint({"margin": 0.2}, [0, 3]),
    ]
    assert len({first, *others}) == 4
    picture = clips[0].frames[0]
    assert fingerprint({}, [0], Clip(Scripted(2, lambda i: picture), 30.0)) is None


def test_flow_between_true_landmarks_is_the_true_flow_moved_along(clips: list[Clip]) -> None:
    errors = []
    for clip, aligned in zip(clips, faces.create("aligner").transform(clips), strict=True):
        truth, alignment = clip.metadata["truth"], aligned.metadata["alignment"]
        flow = geometry.warp_flow(truth.flow(clip.apex), alignment.matrix(clip.apex), 224)
        first = geometry.transform_points(truth.landmarks(clip.onset), alignment.matrix(clip.onset))
        second = geometry.transform_points(truth.landmarks(clip.apex), alignment.matrix(clip.apex))
        columns, rows = np.rint(first[27:48]).astype(int).T
        errors.append(np.linalg.norm(flow[rows, columns] - (second - first)[27:48], axis=1).mean())
    assert np.mean(errors) < 0.1


def test_a_still_face_under_noise_does_not_move(clips: list[Clip]) -> None:
    neutral = clips[1].metadata["truth"].neutral().astype(np.float32)

    def noisy(index: int) -> np.ndarray:
        noise = np.random.default_rng(index).normal(0, 4, neutral.shape)
        return np.clip(np.rint(neutral + noise), 0, 255).astype(np.uint8)

    clip = Clip(Scripted(150, noisy), 30.0, name="still")
    aligned = faces.create("aligner", mode="smooth").transform([clip])[0]
    alignment = aligned.metadata["alignment"]
    corners = np.array([[56.0, 56.0], [168, 56], [112, 112], [56, 168], [168, 168]])
    points = geometry.transform_points(corners, geometry.invert(alignment.matrix(0)))
    path = np.stack([geometry.transform_points(points, alignment.matrix(i)) for i in range(150)])
    assert alignment.looked_at == 75
    assert np.sqrt(((path - path.mean(0)) ** 2).sum(-1).mean()) < 0.05
    assert np.linalg.norm(np.diff(path, axis=0), axis=-1).max() < 0.02


def test_a_slow_head_is_followed_and_a_stray_detection_is_not(given: Given) -> None:
    slow = [10 + i // 3 for i in range(120)]
    slow[60] = 200
    clip = faces.create("aligner", size=64, mode="smooth", landmarks=given, smoothing=0.3).transform(
        [marked(slow)]
    )[0]
    middles = np.array(
        [clip.metadata["alignment"].poses[i, 2] for i in range(len(clip.metadata["alignment"].poses))]
    )
    expected = 31.5 + 10 + clip.metadata["alignment"].frames / 3
    assert np.abs(middles - expected)[10:-10].max() < 0.6


def test_smoothing_leaves_what_does_not_move_and_cuts_at_the_ends() -> None:
    poses = np.tile([0.1, 3.0, 50.0, 60.0], (40, 1))
    assert np.allclose(smoothed(poses, 5.0), poses)
    turning = poses.copy()
    turning[:, 1] = np.linspace(3.0, 3.4, 40)
    wrapped = np.where(turning > np.pi, turning - 2 * np.pi, turning) * (0, 1, 0, 0) + poses * (1, 0, 1, 1)
    assert np.allclose(smoothed(wrapped, 0.0)[5:-5], turning[5:-5])


def test_no_face_is_an_error_that_names_clip_and_frame() -> None:
    clip = Clip.from_array(np.stack([EMPTY] * 4), onset=2, subject="s1", database="db", name="c")
    with pytest.raises(DataError, match="db/s1/c: no face is found in frame 2"):
        faces.create("aligner").transform([clip])
    with pytest.raises(DataError, match="db/s1/c: no face is found in any of the 4 frames"):
        faces.create("aligner", missing="hold").transform([clip])
    with pytest.raises(DataError, match="db/s1/c: no face is found in any of the 2 frames"):
        faces.create("aligner", missing="hold", mode="smooth").transform([clip.replace(fps=30.0)])


def test_skipped_clips_are_named_and_the_others_keep_their_places(given: Given) -> None:
    clips = [marked([5, 5]), marked([0, 5]), marked([7, 0])]
    aligner = faces.create("aligner", size=64, missing="skip", landmarks=given)
    done = aligner.align(clips)
    assert done.kept.tolist() == [0, 2]
    assert done.left_out == {1: "marked: no face is found in frame 0"}
    with pytest.warns(UserWarning, match="1 of 3 clips were left out: marked"):
        assert len(aligner.transform(clips)) == 2


def test_holding_takes_the_nearest_frame_and_counts(given: Given) -> None:
    aligner = faces.create("aligner", size=64, missing="hold", landmarks=given)
    clip = aligner.transform([marked([9, 0, 0, 0, 30], onset=3)])[0]
    alignment = clip.metadata["alignment"]
    assert alignment.frames.tolist() == [4]
    assert alignment.missing == (3, 2)
    assert np.allclose(alignment.matrix(0), [[1, 0, -30], [0, 1, -30]], atol=1e-5)
    smooth = aligner.set_params(mode="smooth", rate=30.0, smoothing=0.0)
    held = smooth.transform([marked([9, 9, 9, 9, 9, 0, 0, 30, 30, 30, 30, 30])])[0].metadata["alignment"]
    assert held.missing == (5, 6)
    assert np.allclose(held.poses[:, 2] - 31.5, [9] * 6 + [30] * 6, atol=1e-4)


def test_of_several_faces_one_person_is_followed_and_counted(clips: list[Clip]) -> None:
    one, two = clips[0].frames[0], clips[1].frames[0]
    both = np.concatenate([one, two], axis=1)
    alone = np.concatenate([one, np.full_like(two, 90)], axis=1)
    frames = Scripted(6, lambda i: alone if i == 0 else both)
    aligner = faces.create("aligner", mode="smooth", rate=1000.0)
    alignment = aligner.transform([Clip(frames, 30.0)])[0].metadata["alignment"]
    assert alignment.several == (1, 2, 3, 4, 5)
    assert np.ptp(alignment.poses[:, 2]) < 3


def test_a_picture_too_small_is_named_with_its_clip() -> None:
    clip = Clip.from_array(np.zeros((2, 8, 8, 3), np.uint8), name="dwarf")
    with pytest.raises(DataError, match="dwarf, frame 0: a picture of 8x8 is too small"):
        faces.create("aligner").transform([clip])


@pytest.mark.parametrize(
    "options",
    [
        {"size": 4},
        {"size": 28.5},
        {"margin": -0.1},
        {"mode": "onst"},
        {"missing": "ignore"},
        {"rate": 0},
        {"smoothing": -1},
        {"landmarks": "dlib"},
        {"landmarks": "aligner"},
    ],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(MicroexpError, match="aligner|unknown"):
        faces.create("aligner", **options).transform([])


def test_a_video_is_aligned_without_being_held(clips: list[Clip], tmp_path: Path) -> None:
    file = tmp_path / "face.mp4"
    face = clips[0].frames[0]
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for i in range(240):
            picture = np.full((480, 640, 3), 90, np.uint8)
            picture[100:356, 180 + i // 8 : 436 + i // 8] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    clip = Clip.from_video(file)
    tracemalloc.start()
    aligned = faces.create("aligner", mode="smooth", missing="hold", rate=5.0).transform([clip])[0]
    assert sum(picture.shape == (224, 224, 3) for picture in aligned.frames) == 240
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # the frames together are 221 MB
