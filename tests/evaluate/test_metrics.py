from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, f1_score, recall_score

from microexp.errors import DataError
from microexp.evaluate import bootstrap_draws, intervals, majority, scores
from microexp.evaluate.metrics import from_confusion

# The authors' prediction logs of STSTNet: the paper's run and the PyTorch run.
PAPER_LOG = [[219, 22, 9], [40, 62, 7], [21, 3, 59]]
PYTORCH_LOG = [[195, 39, 16], [36, 68, 5], [12, 7, 64]]
labels = hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 3))


@pytest.mark.parametrize(
    ("confusion", "uf1", "uar", "war"),
    [(PAPER_LOG, 0.7353, 0.7186, 0.7692), (PYTORCH_LOG, 0.7209, 0.7250, 0.7398)],
)
def test_published_confusion_matrices(confusion: list[list[int]], uf1: float, uar: float, war: float) -> None:
    s = from_confusion(np.array(confusion))
    assert (round(s.uf1, 4), round(s.uar, 4), round(s.war, 4)) == (uf1, uar, war)
    assert s.n == 442


def test_the_uar_printed_in_the_paper_is_mean_precision() -> None:
    assert round(float(from_confusion(np.array(PAPER_LOG)).precision.mean()), 4) == 0.7605


@given(st.data())
def test_agrees_with_scikit_learn_over_fixed_labels(data: st.DataObject) -> None:
    truth = data.draw(labels)
    predicted = data.draw(hnp.arrays(np.int64, len(truth), elements=st.integers(0, 3)))
    s = scores(truth, predicted, 4)
    fixed = {"labels": range(4), "average": "macro", "zero_division": 0}
    assert s.uf1 == pytest.approx(f1_score(truth, predicted, **fixed))
    assert s.uar == pytest.approx(recall_score(truth, predicted, **fixed))
    assert s.war == pytest.approx(accuracy_score(truth, predicted))


def test_an_absent_class_does_not_move_the_denominator() -> None:
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    two, three = scores(truth, predicted, 2), scores(truth, predicted, 3)
    assert three.uf1 == pytest.approx(two.uf1 * 2 / 3)
    assert three.uar == pytest.approx(two.uar * 2 / 3)
    assert three.war == two.war


@pytest.mark.parametrize(
    ("counts", "uf1", "war"),
    [((250, 109, 83), 0.2408, 0.5656), ((70, 51, 43), 0.1994, 0.4268), ((92, 26, 15), 0.2726, 0.6917)],
)
def test_majority_baseline_of_megc2019(counts: tuple[int, ...], uf1: float, war: float) -> None:
    s = majority(np.repeat(np.arange(3), counts), 3)
    assert (round(s.uf1, 4), round(s.uar, 4), round(s.war, 4)) == (uf1, 0.3333, war)


@pytest.mark.parametrize(
    ("truth", "predicted"), [([0, 1], [0]), ([], []), ([0, 3], [0, 1]), ([0, -1], [0, 1]), ([0.5], [0.5])]
)
def test_bad_labels_are_refused(truth: list[float], predicted: list[float]) -> None:
    with pytest.raises(DataError):
        scores(np.array(truth), np.array(predicted), 3)


def test_bootstrap_draws_whole_subjects() -> None:
    truth = np.repeat([0, 1], 50)
    predicted = truth.copy()
    predicted[:25] = 1  # one of four subjects is wrong throughout
    groups = np.repeat(["a", "b", "c", "d"], 25)
    draws = bootstrap_draws(truth, predicted, groups, 2, resamples=4000)
    low, high = intervals(draws)["WAR"]
    assert draws[2].mean() == pytest.approx(0.75, abs=0.02)
    assert (low, high) == (0.25, 1.0)
    assert set(np.unique(draws[2])) <= {0.0, 0.25, 0.5, 0.75, 1.0}


def test_bootstrap_of_one_subject_has_no_width() -> None:
    truth, predicted = np.array([0, 1, 1]), np.array([0, 1, 0])
    bounds = intervals(bootstrap_draws(truth, predicted, np.zeros(3), 2))
    s = scores(truth, predicted, 2)
    assert bounds["UF1"] == pytest.approx((s.uf1, s.uf1))
