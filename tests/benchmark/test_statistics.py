from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from microexp.benchmark.grouping import duncan, group, letters, tukey
from microexp.benchmark.paired import compare, holm, signed_rank
from microexp.benchmark.statistics import RESIDUAL, anova, correlation
from microexp.errors import DataError, OptionError
from microexp.evaluate.metrics import scores

# Montgomery, Design and Analysis of Experiments, example 5.1: battery life by material and temperature.
BATTERY = {
    (1, 15): (130, 155, 74, 180), (1, 70): (34, 40, 80, 75), (1, 125): (20, 70, 82, 58),
    (2, 15): (150, 188, 159, 126), (2, 70): (136, 122, 106, 115), (2, 125): (25, 70, 58, 45),
    (3, 15): (138, 110, 168, 160), (3, 70): (174, 120, 150, 139), (3, 125): (96, 104, 82, 60),
}  # fmt: skip
# The same book, tensile strength of a fibre by percentage of cotton.
COTTON = {
    15: (7, 7, 15, 11, 9),
    20: (12, 17, 12, 18, 18),
    25: (14, 18, 18, 19, 19),
    30: (19, 25, 22, 19, 23),
    35: (7, 10, 11, 15, 11),
}


def cotton() -> pd.DataFrame:
    return pd.DataFrame([(level, y) for level, ys in COTTON.items() for y in ys], columns=["cotton", "y"])


def test_the_textbook_example_of_two_factors() -> None:
    rows = [(m, t, y) for (m, t), ys in BATTERY.items() for y in ys]
    found = anova(pd.DataFrame(rows, columns=["material", "temperature", "life"]), "life",
                  ["material", "temperature"], interactions=2)  # fmt: skip
    assert found.index.tolist() == ["material", "temperature", "material:temperature", RESIDUAL]
    np.testing.assert_allclose(found["sum_sq"], [10683.72, 39118.72, 9613.78, 18230.75], atol=0.005)
    assert found["df"].tolist() == [2, 2, 4, 27]
    np.testing.assert_allclose(found["F"].dropna(), [7.91, 28.97, 3.56], atol=0.005)
    np.testing.assert_allclose(found["p"].dropna(), [0.0020, 0.0000, 0.0186], atol=5e-5)


def test_one_factor_is_what_scipy_says() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(mean, 1, size) for mean, size in ((0, 5), (0.5, 9), (1, 4))]
    table = pd.DataFrame({"y": np.concatenate(samples), "level": np.repeat(list("abc"), (5, 9, 4))})
    expected = stats.f_oneway(*samples)
    found = anova(table, "y", ["level"]).loc["level"]
    assert found["F"] == pytest.approx(expected.statistic)
    assert found["p"] == pytest.approx(expected.pvalue)


def test_sums_of_squares_of_a_balanced_design_are_those_of_its_means() -> None:
    cells = np.random.default_rng(1).normal(size=(3, 4, 5))
    table = pd.DataFrame(
        [(*level, cells[level]) for level in np.ndindex(cells.shape)], columns=["a", "b", "c", "y"]
    )
    mean = cells.mean()
    a = cells.mean((1, 2)) - mean
    b = cells.mean((0, 2)) - mean
    c = cells.mean((0, 1)) - mean
    ab = cells.mean(2) - mean - a[:, None] - b
    expected = {"a": 20 * (a**2).sum(), "b": 15 * (b**2).sum(), "c": 12 * (c**2).sum()}
    total = ((cells - mean) ** 2).sum()
    main = anova(table, "y", ["a", "b", "c"])
    for name, value in expected.items():
        assert main.at[name, "sum_sq"] == pytest.approx(value)
    residual = total - sum(expected.values())
    assert main.at[RESIDUAL, "sum_sq"] == pytest.approx(residual)
    assert main.at[RESIDUAL, "df"] == 60 - 1 - 2 - 3 - 4
    assert main.at["a", "partial_eta_sq"] == pytest.approx(expected["a"] / (expected["a"] + residual))
    noise = residual / 50
    assert main.at["a", "omega_sq"] == pytest.approx((expected["a"] - 2 * noise) / (total + noise))
    two = anova(table, "y", ["a", "b", "c"], interactions=2)
    assert two.at["a:b", "sum_sq"] == pytest.approx(5 * (ab**2).sum())
    assert two.at["b", "sum_sq"] == pytest.approx(expected["b"])


def test_an_unbalanced_design_is_what_statsmodels_says() -> None:
    """Figures of statsmodels 0.15, anova_lm(typ=2) on y ~ C(a, Sum) * C(b, Sum)."""
    table = pd.DataFrame(
        {"a": list("xxxxxyyyyyy"), "b": list("uuvvwuvvwww"), "y": [3, 5, 4, 8, 6, 7, 9, 6, 12, 11, 14]}
    )
    found = anova(table, "y", ["a", "b"], interactions=2)
    np.testing.assert_allclose(found["sum_sq"], [28.163793, 32.297126, 10.169540, 19.166667], rtol=1e-6)
    np.testing.assert_allclose(found["p"].dropna(), [0.042248, 0.084647, 0.345030], atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_order_of_rows_and_factors_and_names_of_levels_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.array(list(product(range(2), range(3), range(2))))
    rows = np.concatenate([levels, levels[rng.integers(len(levels), size=15)]])
    table = pd.DataFrame(rows, columns=["a", "b", "c"]).assign(y=rng.normal(size=len(rows)))
    first = anova(table, "y", ["a", "b", "c"])
    renamed = table.sample(frac=1, random_state=1).replace({"b": {0: 9, 1: 5, 2: 7}})
    second = anova(renamed, "y", ["c", "b", "a"]).loc[first.index]
    pd.testing.assert_frame_equal(first, second)


def test_a_table_that_cannot_be_analysed_is_refused() -> None:
    table = pd.DataFrame({"a": [0, 0, 1, 1], "b": [0, 1, 0, 1], "y": [1.0, 2.0, 3.0, 5.0]})
    with pytest.raises(DataError, match="no column 'z'"):
        anova(table, "y", ["a", "z"])
    with pytest.raises(DataError, match="row 2 of the table has no number in 'y'"):
        anova(table.assign(y=[1, 2, np.nan, 4]), "y", ["a", "b"])
    with pytest.raises(DataError, match="row 1 of the table has no level of 'a'"):
        anova(table.assign(a=[0, np.nan, 1, 1]), "y", ["a", "b"])
    with pytest.raises(DataError, match="'b' has one level"):
        anova(table.assign(b=1), "y", ["a", "b"])
    with pytest.raises(DataError, match="nothing is left for the residual"):
        anova(table, "y", ["a", "b"], interactions=2)
    with pytest.raises(DataError, match="effect of a cannot be told"):
        anova(table.assign(b=table["a"]), "y", ["a", "b"])
    with pytest.raises(OptionError, match="from 1 to the 2 factors"):
        anova(table, "y", ["a", "b"], interactions=3)


def test_duncan_groups_the_textbook_example() -> None:
    """The book: F = 14.76, error mean square 8.06, all pairs differ but 25 and 20, and 35 and 15 per cent."""
    analysis = anova(cotton(), "y", ["cotton"])
    assert analysis.at["cotton", "F"] == pytest.approx(14.76, abs=0.005)
    assert analysis.at[RESIDUAL, "mean_sq"] == pytest.approx(8.06, abs=0.005)
    found = group(cotton(), "y", "cotton", analysis)
    assert found.index.tolist() == [30, 25, 20, 35, 15]
    assert found["mean"].tolist() == pytest.approx([21.6, 17.6, 15.4, 10.8, 9.8])
    assert found["duncan"].tolist() == ["a", "b", "b", "c", "c"]


@pytest.mark.parametrize(("r", "critical"), [(2, 2.95), (3, 3.10), (4, 3.18), (5, 3.25)])
def test_duncan_has_the_critical_values_of_his_table(r: int, critical: float) -> None:
    """Level .05, 20 degrees of freedom; the table has two decimals."""
    means = np.full(r, 0.0)
    means[-1] = critical
    means[1:-1] = critical / 2
    p = duncan(means, [4] * r, mean_sq=4.0, df=20)  # so the standard error of a mean is 1
    assert p[0, -1] == pytest.approx(0.05, abs=0.0008)


def test_tukey_is_what_scipy_says() -> None:
    rng = np.random.default_rng(2)
    for sizes in ((6, 6, 6, 6), (4, 9, 6, 5)):
        samples = [rng.normal(mean, 1, size) for mean, size in zip((0, 0.5, 1, 2), sizes, strict=True)]
        df = sum(sizes) - 4
        noise = sum(((s - s.mean()) ** 2).sum() for s in samples) / df
        expected = stats.tukey_hsd(*samples).pvalue
        found = tukey([s.mean() for s in samples], sizes, noise, df)
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_two_means_are_a_t_test_by_either_method() -> None:
    x, y = np.array([1.0, 2.0, 4.0, 4.5]), np.array([3.0, 5.0, 6.0, 6.5])
    noise = (x.var(ddof=1) + y.var(ddof=1)) / 2
    for test in (duncan, tukey):
        p = test([x.mean(), y.mean()], [4, 4], noise, 6)
        assert p[0, 1] == pytest.approx(stats.ttest_ind(x, y).pvalue, rel=1e-6)


def test_duncan_is_no_stricter_than_tukey_and_no_range_differs_within_one_that_does_not() -> None:
    means = np.array([3.0, 0.0, 1.4, 2.0, 0.4])
    ours, strict = (test(means, [5] * 5, 1.0, 20) for test in (duncan, tukey))
    assert (ours <= strict + 1e-12).all()
    order = np.argsort(means)
    p = ours[np.ix_(order, order)]
    for i, j in combinations(range(5), 2):
        for k, m in combinations(range(i, j + 1), 2):
            assert p[k, m] >= p[i, j]


def cliques(alike: np.ndarray) -> set[frozenset[int]]:
    """All largest groups of levels that are alike, by going through every group."""
    k = len(alike)
    groups = [frozenset(g) for r in range(1, k + 1) for g in combinations(range(k), r)]
    groups = [g for g in groups if all(alike[i, j] for i, j in combinations(g, 2))]
    return {g for g in groups if not any(g < other for other in groups)}


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_letters_are_the_largest_groups(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    different = np.triu(rng.random((k, k)) < rng.random(), 1)
    different = different | different.T
    means = rng.normal(size=k)
    found = letters(means, different)
    by_letter = {
        letter: frozenset(i for i in range(k) if letter in found[i]) for letter in set("".join(found))
    }
    assert set(by_letter.values()) == cliques(~different)
    assert "a" in found[int(means.argmax())]


def test_what_cannot_be_grouped_is_refused() -> None:
    with pytest.raises(DataError, match="symmetric"):
        letters([1, 2], np.array([[False, True], [False, False]]))
    with pytest.raises(DataError, match="diagonal"):
        letters([1, 2], np.eye(2, dtype=bool))
    with pytest.raises(DataError, match="two or more means"):
        tukey([1.0], [3], 1.0, 5)
    with pytest.raises(DataError, match="mean square above 0"):
        duncan([1.0, 2.0], [3, 3], 0.0, 5)
    with pytest.raises(OptionError, match="alpha"):
        group(cotton(), "y", "cotton", anova(cotton(), "y", ["cotton"]), alpha=5)


def predictions(subjects: int, clips: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, two methods of which the first is better, and subjects."""
    rng = np.random.default_rng(subjects)
    truth = rng.integers(3, size=subjects * clips)
    first = np.where(rng.random(len(truth)) < 0.8, truth, rng.integers(3, size=len(truth)))
    second = np.where(rng.random(len(truth)) < 0.5, truth, rng.integers(3, size=len(truth)))
    return truth, first, second, np.repeat(np.arange(subjects), clips)


def test_few_subjects_are_exchanged_in_every_way() -> None:
    truth, first, second, groups = predictions(7)
    found = compare(truth, first, second, groups, 3, resamples=50)
    difference = scores(truth, first, 3).uf1 - scores(truth, second, 3).uf1
    extreme = 0
    for swap in product([False, True], repeat=7):
        swapped = np.array(swap)[groups]
        a, b = np.where(swapped, second, first), np.where(swapped, first, second)
        extreme += abs(scores(truth, a, 3).uf1 - scores(truth, b, 3).uf1) >= abs(difference) - 1e-12
    assert found.exact
    assert found.difference == pytest.approx(difference)
    assert found.permutation_p == extreme / 128
    back = compare(truth, second, first, groups, 3, resamples=50)
    assert back.difference == -found.difference
    assert (back.permutation_p, back.wilcoxon_p) == (found.permutation_p, found.wilcoxon_p)
    assert (back.better, back.worse) == (found.worse, found.better)


def test_many_subjects_are_exchanged_at_random_and_a_clear_difference_is_found() -> None:
    found = compare(*predictions(40), 3, resamples=2000)
    assert not found.exact
    assert found.permutation_p < 0.01
    assert found.wilcoxon_p < 0.01
    assert 0 < found.interval[0] < found.difference < found.interval[1]


def test_a_method_is_no_better_than_itself() -> None:
    truth, first, _, groups = predictions(20)
    found = compare(truth, first, first, groups, 3, resamples=100)
    assert (found.difference, found.interval, found.better, found.worse) == (0, (0, 0), 0, 0)
    assert found.permutation_p == found.wilcoxon_p == 1


def test_predictions_of_other_clips_cannot_be_compared() -> None:
    truth, first, second, groups = predictions(5)
    with pytest.raises(DataError, match="cannot be scored"):
        compare(truth, first[:-1], second, groups, 3)
    with pytest.raises(DataError, match="30 clips have 29 subjects"):
        compare(truth, first, second, groups[:-1], 3)
    with pytest.raises(OptionError, match="resamples"):
        compare(truth, first, second, groups, 3, resamples=0)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
@settings(max_examples=40, deadline=None)
def test_the_signed_rank_test_is_exact_with_ties(differences: list[int]) -> None:
    d = np.array([x for x in differences if x], dtype=float)
    ranks = stats.rankdata(np.abs(d))
    sums = np.array([ranks[np.array(s, bool)].sum() for s in product([0, 1], repeat=len(d))])
    observed = ranks[d > 0].sum()
    expected = min(1.0, 2 * min((sums <= observed).mean(), (sums >= observed).mean()))
    assert signed_rank(differences) == pytest.approx(expected)


def test_the_signed_rank_test_is_what_scipy_says() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, size=24)
    assert signed_rank(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
    with pytest.raises(DataError, match="finite"):
        signed_rank([1.0, np.nan])


def test_holm_corrects_as_r_does() -> None:
    """R: p.adjust(c(.01, .04, .03, .005), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).tolist() == []
    with pytest.raises(DataError, match="from 0 to 1"):
        holm([0.5, 1.5])


def test_correlation_of_a_line_and_of_a_curve() -> None:
    x = np.arange(1.0, 9.0)
    line, curve = correlation(x, 3 - 2 * x, resamples=50), correlation(x, x**5, resamples=200)
    assert (line.pearson, line.spearman) == pytest.approx((-1, -1))
    assert line.pearson_interval == pytest.approx((-1, -1))
    assert curve.spearman == pytest.approx(1)
    assert curve.spearman_interval == pytest.approx((1, 1))
    assert curve.pearson == pytest.approx(np.corrcoef(x, x**5)[0, 1])
    assert curve.pearson < 0.95


def test_the_interval_of_a_correlation_is_that_of_large_samples() -> None:
    """Of n independent pairs a coefficient spreads by 1 / sqrt(n)."""
    rng = np.random.default_rng(4)
    found = correlation(rng.normal(size=400), rng.normal(size=400))
    for low, high in (found.pearson_interval, found.spearman_interval):
        assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)


def test_what_has_no_correlation_is_refused() -> None:
    with pytest.raises(DataError, match="three or more"):
        correlation([1, 2], [1, 2])
    with pytest.raises(DataError, match="does not vary"):
        correlation([1, 2, 3], [1, 1, 1])
    with pytest.raises(DataError, match="finite"):
        correlation([1, 2, np.nan], [1, 2, 3])
