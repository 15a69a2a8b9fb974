"""Spotting on planted motion: what happens when is known, so are kind and bounds."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp.analyze import spotting
from microexp.analyze._motion_regions import LIDS, REGIONS
from microexp.analyze._spot_measure import Counts, count, iou, pairs
from microexp.analyze.signals import FaceMotion
from microexp.analyze.spotting import Interval, Parameters, RegionMove, learned, spot
from microexp.errors import DataError

NAMES = tuple(place.name for place in REGIONS)
SMILE = {
    "left mouth corner": (-1.0, -1.0),
    "right mouth corner": (1.0, -1.0),
    "left cheek": (-0.4, -0.6),
    "right cheek": (0.4, -0.6),
    "upper lip": (0.0, -0.3),
}
BROWS = {name: (0.0, -1.0) for name in NAMES if "brow" in name}
LID = dict.fromkeys(LIDS, (0.0, 1.0))
BOTH_RATES = pytest.mark.parametrize("fps", [30.0, 200.0])


def ease(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t**3 * (t * (6 * t - 15) + 10)


def face(
    fps: float, seconds: float, events: list[tuple[dict, float, float, float]], seed: int = 0
) -> FaceMotion:
    """Motion of a face in which (regions, size, start, duration) happen; the camera adds noise."""
    step = int(np.ceil(fps / 60))
    n_frames = round(seconds * fps)
    frames = np.arange(0, n_frames, step)
    moves = np.random.default_rng(seed).normal(0, 0.06, (len(frames), len(NAMES), 2))
    for where, size, start, duration in events:
        t = (frames / fps - start) / duration
        level = np.where(t < 0.4, ease(t / 0.4), ease((1 - t) / 0.6))
        for region, direction in where.items():
            moves[:, NAMES.index(region)] += size * level[:, None] * direction
    valid = np.ones(len(frames), bool)
    head = np.zeros((len(frames), 2), np.float32)
    return FaceMotion(fps, n_frames, frames, moves.astype(np.float32), valid, NAMES, head)


def expressions(found: list[Interval]) -> list[Interval]:
    return [interval for interval in found if interval.kind != "blink"]


@BOTH_RATES
@pytest.mark.parametrize(("where", "duration", "kind"), [(SMILE, 0.4, "micro"), (BROWS, 1.4, "macro")])
def test_an_expression_is_found_with_its_kind_and_bounds(
    fps: float, where: dict, duration: float, kind: str
) -> None:
    found = spot(face(fps, 10, [(where, 3.0, 4.0, duration)]))
    (interval,) = expressions(found)
    assert interval.kind == kind
    truth = round(4 * fps), round((4 + duration) * fps)
    assert iou((interval.onset, interval.offset), truth) >= 0.5
    assert abs(interval.apex / fps - (4 + 0.4 * duration)) < 0.1 * duration + 0.05
    assert {move.region for move in interval.moves} <= set(where)


@BOTH_RATES
@pytest.mark.parametrize("seed", range(5))
def test_a_still_face_gives_nothing(fps: float, seed: int) -> None:
    assert expressions(spot(face(fps, 20, [], seed))) == []


@BOTH_RATES
def test_blinks_are_blinks_and_no_micro_expression(fps: float) -> None:
    leak = {
        **LID,
        "left inner brow": (0.0, -0.15),
        "right inner brow": (0.0, -0.15),
        "left lower lid": (0, 0.1),
    }
    starts = (2.0, 5.0, 8.0, 11.0)
    sizes = (5.0, 4.0, 2.5, 3.0)
    found = spot(face(fps, 14, [(leak, size, at, 0.2) for size, at in zip(sizes, starts, strict=True)]))
    assert expressions(found) == []
    middles = [(interval.onset + interval.offset) / 2 / fps for interval in found]
    assert np.allclose(middles, [start + 0.09 for start in starts], atol=0.1)


@BOTH_RATES
def test_a_blink_within_an_expression_does_not_cut_it(fps: float) -> None:
    found = spot(face(fps, 12, [(SMILE, 4.0, 4.0, 2.5), (LID, 5.0, 5.0, 0.2)]))
    assert sorted(interval.kind for interval in found) == ["blink", "macro"]
    (macro,) = expressions(found)
    assert iou((macro.onset, macro.offset), (round(4 * fps), round(6.5 * fps))) >= 0.5


def test_frames_are_those_of_the_video() -> None:
    """At 200 frames a second every fourth is looked at; intervals count all."""
    slow = expressions(spot(face(50.0, 10, [(SMILE, 3.0, 4.0, 0.4)])))
    fast = expressions(spot(face(200.0, 10, [(SMILE, 3.0, 4.0, 0.4)])))
    assert [(4 * i.onset, 4 * i.apex, 4 * i.offset) for i in slow] == [
        (i.onset, i.apex, i.offset) for i in fast
    ]


def test_nothing_is_found_where_nothing_is_valid() -> None:
    motion = face(30.0, 10, [(SMILE, 3.0, 4.0, 0.4)])
    gap = motion.valid.copy()
    gap[100:150] = False
    assert expressions(spot(dataclasses.replace(motion, valid=gap))) == []
    assert spot(dataclasses.replace(motion, valid=np.zeros_like(gap))) == []


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([15.0, 30.0, 60.0, 100.0, 200.0]),
    st.lists(
        st.tuples(st.sampled_from([SMILE, BROWS, LID]), st.floats(0, 12), st.floats(0, 6), st.floats(0.1, 3)),
        max_size=5,
    ),
    st.integers(0, 5),
)
def test_intervals_are_in_order_and_do_not_overlap(fps: float, events: list, seed: int) -> None:
    motion = face(fps, 7, events, seed)
    found = spot(motion)
    assert found == sorted(found, key=lambda i: i.onset)
    for i in found:
        assert 0 <= i.onset <= i.apex <= i.offset < motion.n_frames
        assert 0 <= i.score <= 1
        sizes = [move.size for move in i.moves]
        assert sizes == sorted(sizes, reverse=True)
        if i.kind == "micro":
            assert (i.offset - i.onset) / fps < 0.5
        if i.kind == "macro":
            assert (i.offset - i.onset) / fps > 0.5 - 1.5 / min(fps, 50)
    for kinds in (("micro", "macro"), ("blink",)):
        same = [i for i in found if i.kind in kinds]
        assert all(a.offset < b.onset for a, b in itertools.pairwise(same))


@pytest.mark.parametrize(
    ("region", "u", "v", "words"),
    [
        ("left mouth corner", -2.0, -2.0, "left mouth corner up and out"),
        ("right mouth corner", 2.0, 0.1, "right mouth corner out"),
        ("right inner brow", -1.0, 1.0, "right inner brow down and in"),
        ("left cheek", 0.0, -1.0, "left cheek up"),
        ("chin", 1.0, 0.1, "chin right"),
        ("upper lip", -1.0, -1.0, "upper lip up and left"),
    ],
)
def test_moves_in_words(region: str, u: float, v: float, words: str) -> None:
    assert RegionMove(region, u, v).in_words == words


spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])), max_size=5
)


@given(st.tuples(st.integers(0, 20), st.integers(0, 9)), st.tuples(st.integers(0, 20), st.integers(0, 9)))
def test_iou_is_that_of_sets(a: tuple[int, int], b: tuple[int, int]) -> None:
    first, second = set(range(a[0], a[0] + a[1] + 1)), set(range(b[0], b[0] + b[1] + 1))
    expected = len(first & second) / len(first | second)
    assert iou((a[0], a[0] + a[1]), (b[0], b[0] + b[1])) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(spans, spans)
def test_as_many_are_matched_as_can_be_each_once(found: list, true: list) -> None:
    matched = pairs(found, true)
    assert all(iou(found[i], true[j]) >= 0.5 for i, j in matched)
    assert len({i for i, _ in matched}) == len({j for _, j in matched}) == len(matched)

    def most(rest: list, left: frozenset) -> int:
        if not rest:
            return 0
        taken = [1 + most(rest[1:], left - {j}) for j in left if iou(rest[0], true[j]) >= 0.5]
        return max([most(rest[1:], left), *taken])

    assert len(matched) == most(found, frozenset(range(len(true))))


def test_precision_recall_and_f1() -> None:
    counts = count([(0, 9), (50, 59)], [(2, 11), (20, 29), (80, 89)]) + Counts()
    assert counts == Counts(1, 2, 3)
    assert counts.precision == pytest.approx(1 / 2)
    assert counts.recall == pytest.approx(1 / 3)
    assert counts.f1 == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert np.isnan(Counts().f1)


def test_parameters_survive_json_and_damage_is_told() -> None:
    values = json.loads(json.dumps(learned().to_json()))
    assert Parameters.from_json(values, "x.json") == learned()
    del values["blink"]["weights"]
    with pytest.raises(DataError, match=r"x\.json.*learn_spotting"):
        Parameters.from_json(values, "x.json")
    short = json.loads(json.dumps(learned().to_json()))
    short["expression"]["mean"].pop()
    with pytest.raises(DataError, match=r"x\.json"):
        Parameters.from_json(short, "x.json")


def test_the_learned_parameters_come_with_the_package() -> None:
    assert spotting.LEARNED.parent == Path(spotting.__file__).parent
    assert spotting.LEARNED.is_file()
