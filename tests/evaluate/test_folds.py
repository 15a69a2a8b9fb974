from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp.errors import DataError, OptionError
from microexp.evaluate.folds import PROTOCOLS, Fold, inner_split, make_folds
from tests.conftest import flow_dataset

BY_SUBJECT = ("loso", "subjects-5")
PARTED = ("subjects-5", "samples-5")


@st.composite
def groups_of(draw: st.DrawFn) -> np.ndarray:
    """Ten subjects or more of one to nine clips each, in one to three databases, in any order of rows."""
    counts = draw(st.lists(st.integers(1, 9), min_size=10, max_size=30))
    databases = draw(st.integers(1, 3))
    rows = [f"db{k % databases}/s{k:02d}" for k, count in enumerate(counts) for _ in range(count)]
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(rows)


def even_groups(subjects: int, clips: int) -> np.ndarray:
    return np.repeat([f"db/s{k:02d}" for k in range(subjects)], clips)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(groups=groups_of())
@settings(max_examples=30, deadline=None)
def test_every_clip_is_tested_once_and_trained_on_in_all_other_folds(
    protocol: str, groups: np.ndarray
) -> None:
    folds = make_folds(protocol, groups)
    assert [fold.number for fold in folds] == list(range(len(folds)))
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(groups)))
    for fold in folds:
        assert sorted([*fold.train, *fold.test]) == list(range(len(groups)))
        assert len(fold.test)
    assert len({fold.subject for fold in folds}) == len(folds)


@pytest.mark.parametrize("protocol", BY_SUBJECT)
@given(groups=groups_of())
@settings(max_examples=30, deadline=None)
def test_no_subject_is_on_both_sides_and_the_name_says_who_is_left_out(
    protocol: str, groups: np.ndarray
) -> None:
    for fold in make_folds(protocol, groups):
        tested = set(groups[fold.test])
        assert not tested & set(groups[fold.train])
        assert all(subject in fold.subject for subject in tested)


def test_leave_one_subject_out_is_a_fold_a_subject() -> None:
    groups = flow_dataset(subjects=5).groups
    folds = make_folds("loso", groups)
    assert [fold.subject for fold in folds] == sorted(set(groups))
    assert all(set(groups[fold.test]) == {fold.subject} for fold in folds)


def test_by_sample_people_stand_on_both_sides() -> None:
    groups = even_groups(subjects=10, clips=10)
    for fold in make_folds("samples-5", groups):
        assert set(groups[fold.test]) <= set(groups[fold.train])
        assert len(set(groups[fold.test])) > 1


@given(groups=groups_of())
@settings(max_examples=50, deadline=None)
def test_five_folds_are_a_fifth_each_as_near_as_clips_and_subjects_allow(groups: np.ndarray) -> None:
    samples = [len(fold.test) for fold in make_folds("samples-5", groups)]
    assert len(samples) == 5
    assert max(samples) - min(samples) <= 2  # each is two parts that differ by one clip at most
    subjects = [len(fold.test) for fold in make_folds("subjects-5", groups)]
    assert len(subjects) == 5
    # What any placing of each subject into the emptiest part guarantees (Graham 1966), for two parts.
    assert max(subjects) - min(subjects) <= 2 * np.unique(groups, return_counts=True)[1].max()


def test_subjects_of_equal_size_give_equal_folds() -> None:
    folds = make_folds("subjects-5", even_groups(subjects=30, clips=4))
    assert {len(fold.test) for fold in folds} == {24}


def test_a_subject_of_many_clips_is_tested_with_few_others() -> None:
    groups = np.concatenate([even_groups(18, 2), ["db/zoe"] * 20])
    (fold,) = (fold for fold in make_folds("subjects-5", groups) if "db/zoe" in fold.subject)
    assert len(fold.test) == 20 + 4  # her part is hers alone; the nine others have two subjects each


@given(groups=groups_of(), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_parts_by_subject_do_not_depend_on_the_order_of_the_table(groups: np.ndarray, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(groups)
    one, two = ([fold.subject for fold in make_folds("subjects-5", g)] for g in (groups, shuffled))
    assert one == two


def test_subjects_of_one_name_in_two_databases_are_two() -> None:
    data = flow_dataset(subjects=2, databases=2)
    data.table["subject"] = "s1"
    assert len(make_folds("loso", data.groups)) == 2


@pytest.mark.parametrize(
    ("protocol", "groups", "message"),
    [
        ("loso", even_groups(1, 30), "two subjects or more; there is only db/s00"),
        ("subjects-5", even_groups(9, 30), "needs 10 subjects or more; there are 9: use loso"),
        ("samples-5", even_groups(3, 3), "needs 10 clips or more; there are 9: use loso"),
    ],
)
def test_too_few_to_split_is_refused(protocol: str, groups: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_folds(protocol, groups)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(OptionError, match="'holdout' is none of loso, subjects-5, samples-5"):
        make_folds("holdout", even_groups(12, 2))


def test_inner_subjects_of_loso_are_of_every_database_and_apart() -> None:
    groups = flow_dataset(subjects=12, databases=2).groups
    for fold in make_folds("loso", groups):
        train, inner = inner_split(groups, fold.train, seed=3)
        assert sorted([*train, *inner]) == sorted(fold.train)
        assert not set(groups[train]) & set(groups[inner])
        assert {g.split("/")[0] for g in groups[inner]} == {"db0", "db1"}


@pytest.mark.parametrize("protocol", PARTED)
@given(groups=groups_of(), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_half_a_fold_of_the_others_chooses_the_epoch(protocol: str, groups: np.ndarray, seed: int) -> None:
    """What is held back is one of the two parts that another fold tests."""
    folds = make_folds(protocol, groups)
    for fold in folds:
        train, inner = inner_split(groups, fold.train, seed, protocol)
        assert sorted([*train, *inner]) == sorted(fold.train)
        assert sum(set(inner) < set(other.test) for other in folds) == 1
        if protocol == "subjects-5":
            assert not set(groups[train]) & set(groups[inner])


@pytest.mark.parametrize("protocol", PARTED)
def test_of_even_data_70_20_and_10_percent_are_trained_tested_on_and_chosen_by(protocol: str) -> None:
    groups = even_groups(subjects=20, clips=5)
    fold = make_folds(protocol, groups)[4]
    train, inner = inner_split(groups, fold.train, 0, protocol)
    assert (len(train), len(fold.test), len(inner)) == (70, 20, 10)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_seed_decides_who_chooses_the_epoch(protocol: str) -> None:
    groups = even_groups(subjects=20, clips=5)
    fold: Fold = make_folds(protocol, groups)[0]
    drawn = {tuple(inner_split(groups, fold.train, seed, protocol)[1]) for seed in range(10)}
    again = {tuple(inner_split(groups, fold.train, seed, protocol)[1]) for seed in range(10)}
    assert len(drawn) > 1
    assert drawn == again
