from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic, micro_macro_triple
from microexp.errors import DataError
from microexp.faces.alignment import AlignedFrames, Alignment
from microexp.networks.warp import flow_warp
from microexp.train.magnification import MagnificationRecipe
from microexp.train.magnification_data import (
    MagnificationSamples,
    augmented,
    draw_places,
    drawn_triple,
    paper_triple,
    read_picture,
    resized,
)


def recipe(**changes: object) -> MagnificationRecipe:
    return MagnificationRecipe(**{"steps": 9, "losses": {"l1": 1.0}, "batch_size": 3, "size": 16, **changes})


def numbered(length: int, size: int = 16, **annotation: object) -> Clip:
    """A clip in which the grey level of a frame is its index."""
    frames = np.arange(length, dtype=np.uint8)[:, None, None, None] * np.ones((1, size, size, 3), np.uint8)
    return Clip.from_array(frames, **{"subject": "s1", "name": f"n{length}", **annotation})


def synthetic(subjects: int = 1, size: int = 48) -> list[Clip]:
    return Synthetic(n_subjects=subjects, clips_per_subject=1, size=size).clips()


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# the paper's rule


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(3, 40), st.integers(0, 5))
def test_the_papers_rule_counted_from_one(before: int, count: int, after: int) -> None:
    clip = numbered(before + count + after, 4, onset=before, apex=before + count - 1)
    sequence = list(range(before, before + count))
    drawn = {paper_triple(clip, generator(seed)) for seed in range(12)}
    assert {(onset, apex) for onset, _, apex in drawn} == {(sequence[0], sequence[-1])}
    middles = {middle for _, middle, _ in drawn}
    if count > 9:
        assert middles <= set(sequence[3 - 1 : -1])
        assert len(middles) > 1
    elif count > 3:
        assert middles == {sequence[count // 2 - 1]}
    else:
        assert middles == {sequence[1]}


def test_every_frame_from_the_third_to_the_last_but_one_is_drawn() -> None:
    found = {paper_triple(numbered(12, 4, apex=11), generator(seed))[1] for seed in range(200)}
    assert found == set(range(2, 11))


def test_without_an_apex_the_middle_three_frames_are_the_peak() -> None:
    assert paper_triple(numbered(11, 4), generator()) == (0, 2, 6)  # frames 5, 6, 7 counted from 1
    assert paper_triple(numbered(21, 4, onset=4, offset=14), generator()) == (4, 6, 10)
    assert paper_triple(numbered(3, 4), generator()) == (0, 1, 2)


def test_onset_and_apex_that_lie_close_begin_earlier() -> None:
    assert paper_triple(numbered(9, 4, onset=4, apex=5), generator()) == (3, 4, 5)
    assert paper_triple(numbered(9, 4, onset=4, apex=4), generator()) == (2, 3, 4)


@pytest.mark.parametrize("clip", [numbered(2), numbered(1), numbered(9, apex=1)])
def test_too_few_frames_are_an_error_that_names_the_clip(clip: Clip) -> None:
    with pytest.raises(DataError, match=rf"s1/n{len(clip)}: .*two frames before the apex"):
        paper_triple(clip, generator())
    with pytest.raises(DataError, match=f"s1/n{len(clip)}"):
        MagnificationSamples([numbered(9), clip], recipe())


def test_ckplus_goes_from_the_first_frame_to_the_last(look_alike: Callable[..., Path]) -> None:
    clips = datasets.create("ckplus", root=look_alike("ckplus", full=True)).read().clips
    for clip in clips:
        onset, middle, apex = paper_triple(clip, generator())
        assert (onset, apex) == (0, len(clip) - 1)
        assert middle >= 2 if len(clip) > 9 else middle == max(len(clip) // 2, 2) - 1


def test_mmi_goes_to_the_apex_that_is_coded_or_else_to_the_middle(look_alike: Callable[..., Path]) -> None:
    clips = datasets.create("mmi", root=look_alike("mmi", full=True)).read().clips
    coded = [clip for clip in clips if clip.apex is not None]
    assert 0 < len(coded) < len(clips)
    for clip in clips:
        onset, middle, apex = paper_triple(clip, generator())
        assert onset < middle < apex
        if clip.apex is not None:
            assert apex == clip.apex
            assert onset == min(clip.onset, apex - 2)
        else:
            assert abs(apex - (len(clip) - 1) / 2) <= 1.5


# triples that are made to order


def test_a_made_apex_is_a_macro_expression_and_the_middle_its_part() -> None:
    (clip,) = synthetic()
    for seed in range(5):
        places = draw_places(clip, (2.0, 4.0), generator(seed))
        assert places.onset == 0
        assert 0.04 <= places.apex * clip.metadata["truth"].amplitude / clip.size[0] <= 0.06
        assert 2 <= places.factor <= 4
        assert places.apex / places.middle == pytest.approx(places.factor)
    wanted = micro_macro_triple(clip, places.apex)
    assert np.array_equal(read_picture(clip, places.onset), wanted.neutral)
    assert np.array_equal(read_picture(clip, places.apex), wanted.macro)
    truth = clip.metadata["truth"]
    weak, strong = (np.abs(truth.macro_flow(f)).max() for f in (places.middle, places.apex))
    assert strong / weak == pytest.approx(places.factor, rel=0.1)


def test_the_flow_of_a_triple_is_that_of_its_pictures() -> None:
    """The middle, fetched back along the flow, is the onset: also where it is the apex that was put there."""
    clips = synthetic(2, 96)
    for strong in (0.0, 1.0):
        samples = MagnificationSamples(clips, recipe(batch_size=4, size=96, strong=strong))
        onset, middle, apex, factor, flow = samples.batch(0)
        assert torch.equal(middle, apex) == bool(strong)
        assert bool((factor == 1).all()) == bool(strong)
        back = flow_warp(middle, flow, padding="border")
        error, before = (float((x - onset).square().mean()) for x in (back, middle))
        assert error < 0.6 * before


def test_a_triple_drawn_beforehand_is_taken_as_it_is() -> None:
    (clip,) = synthetic()
    drawn = drawn_triple(clip, (2.0, 3.0), generator())
    places = draw_places(clip, (2.0, 3.0), generator())
    pictures = [read_picture(clip, place) for place in places[:3]]
    assert np.array_equal(drawn.frames[:], np.stack(pictures))
    plain = recipe(size=48, augment=False)
    batch = MagnificationSamples([drawn], plain).batch(0)
    assert torch.equal(batch.middle[0], torch.from_numpy(pictures[1]).permute(2, 0, 1) / 255)
    assert batch.factor.tolist() == pytest.approx([places.factor] * 3)
    exact = clip.metadata["truth"].macro_flow(places.middle)
    assert np.allclose(batch.flow[0].permute(1, 2, 0), exact)
    strong = MagnificationSamples([drawn], recipe(size=48, augment=False, strong=1.0)).batch(0)
    whole = clip.metadata["truth"].macro_flow(places.apex)
    assert np.abs(strong.flow[0].permute(1, 2, 0).numpy() - whole).max() < 0.1 * np.abs(whole).max()


def test_of_real_sequences_no_flow_is_known() -> None:
    batch = MagnificationSamples([numbered(12, apex=11)], recipe()).batch(0)
    assert batch.flow.shape == (3, 2, 16, 16)
    assert batch.flow.isnan().all()


def test_a_made_picture_is_aligned_like_its_clip() -> None:
    (clip,) = synthetic()
    half = np.array([[0.5, 0.0, 0.0, 0.0]])
    alignment = Alignment(24, np.array([0]), half, np.zeros((68, 2)), 1, (), ())
    aligned = clip.replace(frames=AlignedFrames(clip.frames, alignment))
    whole = AlignedFrames(Clip.from_array(clip.metadata["truth"].neutral()[None]).frames, alignment)[0]
    assert np.array_equal(read_picture(aligned, 0.0), whole)
    batch = MagnificationSamples([aligned], recipe(size=24, augment=False)).batch(0)
    assert torch.equal(batch.onset[0], torch.from_numpy(whole).permute(2, 0, 1) / 255)


def test_few_triples_are_made_of_a_clip_and_factors_are_theirs() -> None:
    clips = synthetic(2)
    samples = MagnificationSamples(clips, recipe(batch_size=40, size=48, augment=False), seed=1)
    batch = samples.batch(0)
    assert batch.onset.shape == (40, 3, 48, 48)
    assert len(set(batch.factor.tolist())) <= 8
    for onset, middle, apex, factor, _ in zip(*batch, strict=True):
        weak, strong = (middle - onset).abs().mean(), (apex - onset).abs().mean()
        assert 1.67 <= factor <= 3.34
        assert weak < strong
    neutral = {clip.metadata["truth"].neutral().tobytes() for clip in clips}
    found = {(p.permute(1, 2, 0) * 255).round().byte().numpy().tobytes() for p in batch.onset}
    assert found == neutral


# batches


def test_a_step_has_its_own_triples_whatever_came_before() -> None:
    clips = [numbered(20, 20, apex=19), *synthetic()]
    first, second = (MagnificationSamples(clips, recipe(), seed=1) for _ in range(2))
    first.batch(0)
    for one, other in zip(first.batch(1), second.batch(1), strict=True):
        assert torch.equal(one.nan_to_num(), other.nan_to_num())
    assert not torch.equal(first.batch(2).middle, first.batch(1).middle)
    assert not torch.equal(
        MagnificationSamples(clips, recipe(), seed=2).batch(1).middle, first.batch(1).middle
    )


def test_triples_of_the_paper_are_frames_of_one_clip_drawn_anew() -> None:
    samples = MagnificationSamples([numbered(12, apex=11)], recipe(batch_size=80, augment=False))
    batch = samples.batch(0)
    assert batch.factor.isnan().all()
    levels = [(pictures[:, 0, 0, 0] * 255).round().int().tolist() for pictures in batch[:3]]
    assert set(levels[0]) == {0}
    assert set(levels[1]) == set(range(2, 11))
    assert set(levels[2]) == {11}


def test_pictures_are_made_smaller_by_area() -> None:
    picture = generator().integers(0, 256, (32, 32, 3), dtype=np.uint8)
    means = picture.reshape(16, 2, 16, 2, 3).astype(float).mean((1, 3))
    assert np.abs(resized(picture, 16) - means).max() <= 0.5
    clip = Clip.from_array(np.stack([picture] * 3))
    batch = MagnificationSamples([clip], recipe(augment=False)).batch(0)
    assert np.abs(batch.apex[0].permute(1, 2, 0).numpy() * 255 - means).max() <= 0.501
    assert resized(picture, 40).shape == (40, 40, 3)


def test_pictures_that_are_not_square_are_refused() -> None:
    wide = Clip.from_array(np.zeros((4, 10, 12, 3), np.uint8), subject="s3", name="wide")
    with pytest.raises(DataError, match=r"s3/wide.*12x10.*--align"):
        MagnificationSamples([wide], recipe())
    with pytest.raises(DataError, match="no clip"):
        MagnificationSamples([], recipe())


# augmentation


def still(size: int) -> np.ndarray:
    return np.zeros((size, size, 2), np.float32)


def shown(picture: np.ndarray, size: int, seed: int) -> np.ndarray:
    """One picture augmented."""
    return augmented([picture], still(len(picture)), size, generator(seed))[0][0]


@pytest.mark.parametrize("seed", range(12))
def test_a_flow_is_augmented_like_its_pictures(seed: int) -> None:
    """What lies at p in the first picture lies at p + flow in the second, before and after."""
    spots = [np.zeros((64, 64, 3), np.uint8) for _ in range(2)]
    cv2.circle(spots[0], (30, 40), 5, (255,) * 3, -1, cv2.LINE_AA)
    cv2.circle(spots[1], (36, 32), 5, (255,) * 3, -1, cv2.LINE_AA)
    flow = np.broadcast_to(np.array([6, -8], np.float32), (64, 64, 2))
    pictures, moved = augmented(spots, flow, 48, generator(seed))
    grey = pictures[..., 0] - pictures[..., 0].min(axis=(1, 2), keepdims=True)
    y, x = np.mgrid[:48, :48]
    centres = [np.array([(x * g).sum(), (y * g).sum()]) / g.sum() for g in grey]
    assert np.allclose(centres[1] - centres[0], moved[24, 24], atol=0.15)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_all_pictures_are_augmented_alike(seed: int) -> None:
    picture = generator(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    (first, second, third), flow = augmented([picture] * 3, still(24), 16, generator(seed))
    assert not flow.any()
    assert flow.shape == (16, 16, 2)
    assert np.array_equal(first, second)
    assert np.array_equal(first, third)
    assert first.dtype == np.float32
    assert first.shape == (16, 16, 3)
    assert 0 <= first.min() <= first.max() <= 1


def test_half_are_mirrored_and_a_fifth_keep_their_colours() -> None:
    ramp = np.repeat(np.linspace(40, 200, 24).astype(np.uint8)[None, :, None], 24, axis=0).repeat(3, 2)
    drawn = [shown(ramp, 24, seed) for seed in range(400)]
    mirrored = sum(picture[0, 0, 0] > picture[0, -1, 0] for picture in drawn)
    assert 150 < mirrored < 250
    flat = np.full((24, 24, 3), (200, 100, 50), np.uint8)
    same = [np.abs(shown(flat, 24, seed) * 255 - flat).max() < 0.01 for seed in range(400)]
    assert 50 < sum(same) < 110


def test_colours_change_by_a_twentieth_and_greys_stay_grey() -> None:
    flat = np.full((8, 8, 3), 120, np.uint8)
    levels = np.array([shown(flat, 8, seed)[0, 0] for seed in range(300)]) * 255
    assert np.ptp(levels, axis=1).max() < 0.5
    assert 120 * 0.95 - 0.5 < levels.min() < 120 * 0.97
    assert 120 * 1.03 < levels.max() < 120 * 1.05 + 0.5
    skin = np.full((8, 8, 3), (200, 140, 110), np.uint8)
    seen = np.stack([shown(skin, 8, seed)[:1, :1] for seed in range(300)])[:, 0]
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(seen, cv2.COLOR_RGB2HSV), -1, 0)
    assert np.abs(hue - 20).max() < 8  # degrees; 3.6 are the turn, the rest is HSV's own measure
    assert hue.std() > 0.5
    assert 0.9 < saturation.max() / 0.45 < 1.12


def test_crops_are_a_twentieth_at_most() -> None:
    dot = np.zeros((40, 40, 3), np.uint8)
    dot[20:22, 20:22] = 255
    places = []
    for seed in range(200):
        bright = shown(dot, 40, seed)[..., 1]
        places.append(np.array(np.nonzero(bright == bright.max())).mean(1))
    spread = np.abs(np.array(places) - 20).max(0)
    assert (spread > 0.6).all()
    assert (spread < 4).all()
