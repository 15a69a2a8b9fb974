from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image

from microexp.clip import Clip
from microexp.errors import DataError, OptionError, PathMissingError
from microexp.train.restoration import RestorationRecipe
from microexp.train.restoration_data import Samples, fingerprint_of, read_faces, split_subjects


def every_second(picture: np.ndarray, name: str, factor: int, generator: np.random.Generator) -> np.ndarray:
    """A degradation that shows which pixels a small picture is made of."""
    return picture[..., ::factor, ::factor, :]


def clip(length: int = 1, height: int = 40, width: int = 36, subject: str = "a", seed: int = 0) -> Clip:
    pixels = np.random.default_rng(seed).integers(0, 256, (length, height, width, 3), dtype=np.uint8)
    return Clip.from_array(pixels, subject=subject, name=f"{subject}{seed}")


def recipe(**changes: object) -> RestorationRecipe:
    return RestorationRecipe(**{"steps": 10, "batch_size": 4, "patch": 16, **changes})


def write(file: Path, size: tuple[int, int] = (20, 20)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), len(file.name), np.uint8)).save(file)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([1, 2, 4]),
    st.sampled_from(["bicubic", "real-world"]),
    st.sampled_from([1, 3]),
    st.integers(0, 1000),
)
def test_small_pictures_lie_on_their_targets(scale: int, degradation: str, frames: int, step: int) -> None:
    changes = {"degradation": degradation, "frames": frames, "turn": False}
    samples = Samples([clip(5), clip(2, 20, 17)], recipe(**changes), scale, every_second)
    small, target = samples.batch(step)
    assert small.shape == (*((4,) if frames == 1 else (4, frames)), 3, 16 // scale, 16 // scale)
    plain, mirrored = target[..., ::scale, ::scale], target[..., ::scale, scale - 1 :: scale]
    for index in range(4):  # of a mirrored sample the pixel that was taken is the last of each group
        assert torch.equal(small[index], plain[index]) or torch.equal(small[index], mirrored[index])


def test_samples_are_turned_in_all_eight_ways() -> None:
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    pixels[0, 1, 4] = 255
    samples = Samples([Clip.from_array(pixels)], recipe(batch_size=64), 1, every_second)
    places = {tuple(torch.nonzero(target[0])[0].tolist()) for target in samples.batch(0)[1]}
    assert places == {(a, b) for y in (1, 14) for x in (4, 11) for a, b in ((y, x), (x, y))}
    upright = Samples([Clip.from_array(pixels)], recipe(batch_size=64, turn=False), 1, every_second)
    places = {tuple(torch.nonzero(target[0])[0].tolist()) for target in upright.batch(0)[1]}
    assert places == {(1, 4), (1, 11)}


def test_a_step_has_its_own_samples_whatever_came_before() -> None:
    clips = [clip(3, seed=i) for i in range(3)]
    first, second = (Samples(clips, recipe(), 2, every_second, seed=1) for _ in range(2))
    first.batch(0)
    assert torch.equal(first.batch(1)[1], second.batch(1)[1])
    assert not torch.equal(first.batch(2)[1], first.batch(1)[1])
    assert not torch.equal(Samples(clips, recipe(), 2, every_second, seed=2).batch(1)[1], first.batch(1)[1])


def test_a_whole_frame_is_degraded_once_and_random_patches_each_time() -> None:
    sizes = []

    def watched(picture: np.ndarray, name: str, factor: int, generator: np.random.Generator) -> np.ndarray:
        sizes.append(picture.shape)
        return every_second(picture, name, factor, generator)

    plain = Samples([clip(1)], recipe(), 4, watched)
    for step in range(3):
        plain.batch(step)
    assert sizes == [(40, 36, 3)]
    sizes.clear()
    Samples([clip(1)], recipe(degradation="real-world"), 4, watched).batch(0)
    assert sizes == [(1, 24, 24, 3)] * 4  # of 25 pixels, as multiples of the scale


def test_short_clips_go_there_and_back() -> None:
    samples = Samples([clip(3)], recipe(frames=6, patch=36, turn=False, batch_size=1), 1, every_second)
    _, target = samples.batch(0)
    frames = target[0]
    assert torch.equal(frames[3], frames[1])
    assert torch.equal(frames[4], frames[0])
    assert not torch.equal(frames[2], frames[0])


@pytest.mark.parametrize("degradation", ["bicubic", "real-world"])
def test_a_picture_smaller_than_the_patch_is_named(degradation: str) -> None:
    samples = Samples([clip(subject="s7")], recipe(patch=64, degradation=degradation), 4, every_second)
    with pytest.raises(DataError, match=r"s7/s70.*36x40.*at most 36"):
        samples.batch(0)


def test_settings_that_cannot_be_sampled() -> None:
    with pytest.raises(OptionError, match="multiple of the scale 3"):
        Samples([clip()], recipe(), 3, every_second)
    with pytest.raises(DataError, match="no clip"):
        Samples([], recipe(), 2, every_second)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=20), st.integers(0, 5), st.integers(0, 5))
def test_no_subject_is_on_both_sides(people: list[int], count: int, seed: int) -> None:
    clips = [clip(subject=f"p{person}", seed=i) for i, person in enumerate(people)]
    if count >= len(set(people)):
        with pytest.raises(OptionError, match="leave none"):
            split_subjects(clips, count, seed)
        return
    training, held_out = split_subjects(clips, count, seed)
    assert len({c.subject for c in held_out}) == count
    assert not {c.subject for c in held_out} & {c.subject for c in training}
    assert len(training) + len(held_out) == len(clips)
    again = split_subjects(clips, count, seed)[1]
    assert [c.name for c in again] == [c.name for c in held_out]


def test_by_default_a_tenth_of_the_subjects_is_held_out() -> None:
    clips = [clip(subject=f"p{i}", seed=i) for i in range(30)]
    assert [len(part) for part in split_subjects(clips)] == [27, 3]
    assert [len(part) for part in split_subjects(clips[:2])] == [1, 1]
    assert [len(part) for part in split_subjects(clips[:1])] == [1, 0]


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    write(tmp_path / "anna" / "x" / "1.png")
    write(tmp_path / "anna" / "smile.jpg", (30, 22))
    write(tmp_path / "ben" / "b.png")
    write(tmp_path / "face.png")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a face")
    clips = read_faces(tmp_path)
    assert {(c.subject, c.name) for c in clips} == {
        ("anna", "x/1.png"),
        ("anna", "smile.jpg"),
        ("ben", "b.png"),
        ("face.png", "face.png"),
    }
    assert {c.size for c in clips} == {(20, 20), (30, 22)}


def test_a_folder_of_sequences(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / "anna" / "take1" / f"img{number}.png")
        write(tmp_path / "ben" / f"{number}.png")
    clips = read_faces(tmp_path, frames=3)
    assert [(c.subject, c.name, len(c)) for c in clips] == [("anna", "take1", 4), ("ben", "ben", 4)]


def test_folders_without_faces(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match="holds no pictures"):
        read_faces(tmp_path)
    with pytest.raises(PathMissingError, match="does not exist"):
        read_faces(tmp_path / "nowhere")


def test_the_fingerprint_is_of_names_lengths_and_pixels() -> None:
    base = fingerprint_of([clip(3), clip(2, seed=1)])
    assert fingerprint_of([clip(3), clip(2, seed=1)]) == base
    assert fingerprint_of([clip(3)]) != base
    other = clip(3, seed=5).replace(name=clip(3).name)
    assert fingerprint_of([other, clip(2, seed=1)]) != base
