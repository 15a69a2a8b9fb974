from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.benchmark.schedule import Unit, job_units, simulate
from microexp.errors import DataError, OptionError


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> list[Unit]:
    """Units that need some of those before them."""
    n = draw(st.integers(1, most))
    units = []
    for i in range(n):
        needs = draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set()
        units.append(Unit(str(i), draw(st.integers(0, 9)) / 1.0, tuple(map(str, sorted(needs)))))
    return units


@pytest.mark.parametrize(("n", "workers", "rounds"), [(10, 1, 10), (10, 2, 5), (10, 3, 4), (10, 64, 1)])
def test_equal_units_go_in_rounds(n: int, workers: int, rounds: int) -> None:
    found = simulate([Unit(str(i), 2.5) for i in range(n)], workers)
    assert found.makespan == 2.5 * rounds
    assert found.efficiency == pytest.approx(n / (workers * rounds))
    assert found.longest_chain == 2.5


def test_a_chain_gains_nothing_from_workers() -> None:
    units = [Unit(str(i), i + 1.0, (str(i - 1),) if i else ()) for i in range(5)]
    for workers in (1, 2, 1024):
        found = simulate(units, workers)
        assert found.makespan == found.longest_chain == found.work == 15
        assert found.efficiency == pytest.approx(1 / workers)


def test_grahams_anomaly_of_list_scheduling() -> None:
    # Graham 1969, figures 2 and 5: nine tasks take 12 on three machines, and 15 on four.
    seconds = [3, 2, 2, 2, 4, 4, 4, 4, 9]
    needs = {9: (1,), 5: (4,), 6: (4,), 7: (4,), 8: (4,)}
    units = [Unit(str(i), float(s), tuple(map(str, needs.get(i, ())))) for i, s in enumerate(seconds, 1)]
    assert simulate(units, 3).makespan == 12
    assert simulate(units, 4).makespan == 15


@given(graphs(), st.integers(1, 6))
def test_the_makespan_keeps_grahams_bounds(units: list[Unit], workers: int) -> None:
    found = simulate(units, workers)
    assert found.work == sum(unit.seconds for unit in units)
    assert found.makespan >= max(found.work / workers, found.longest_chain) - 1e-9
    assert found.makespan <= found.work / workers + (1 - 1 / workers) * found.longest_chain + 1e-9
    assert 0 <= found.efficiency <= 1 + 1e-9
    assert simulate(units, len(units)).makespan == pytest.approx(found.longest_chain)


@given(graphs(7), st.integers(1, 3))
def test_it_is_the_schedule_that_a_clock_of_seconds_gives(units: list[Unit], workers: int) -> None:
    """The same rule by brute force: second by second, every worker looks through the whole list."""
    units = [Unit(u.name, u.seconds + 1, u.needs) for u in units]  # whole seconds, none of them 0
    ends: dict[str, float] = {}
    for second in itertools.count():
        for unit in units:
            busy = sum(end > second for end in ends.values())
            is_ready = all(need in ends and ends[need] <= second for need in unit.needs)
            if unit.name not in ends and is_ready and busy < workers:
                ends[unit.name] = second + unit.seconds
        if len(ends) == len(units):
            break
    assert simulate(units, workers).makespan == max(ends.values())


def test_nothing_to_do_takes_no_time() -> None:
    found = simulate([], 3)
    assert (found.makespan, found.efficiency) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([Unit("a", 1.0), Unit("a", 2.0)], "one name"),
        ([Unit("a", 1.0, ("b",))], "a needs b, which is no unit"),
        ([Unit("a", 1.0, ("b",)), Unit("b", 1.0, ("a",))], "in a circle"),
        ([Unit("a", -1.0)], "0 or more, not -1"),
        ([Unit("a", float("nan"))], "0 or more, not nan"),
    ],
)
def test_units_that_cannot_be_scheduled_are_refused(units: list[Unit], message: str) -> None:
    with pytest.raises(DataError, match=message):
        simulate(units, 2)


def test_a_schedule_needs_a_worker() -> None:
    with pytest.raises(OptionError, match="1 worker or more, not 0"):
        simulate([], 0)


def test_the_folds_of_a_job_wait_for_its_features_unless_these_are_there() -> None:
    shared = Unit("restored", 5.0)
    units = [shared, *job_units("a", 2.0, [1.0, 1.0, 1.0], ["restored"])]
    assert simulate(units, 3).makespan == 5 + 2 + 1
    assert simulate(job_units("a", None, [1.0, 1.0, 1.0]), 3).makespan == 1
    assert {(unit.kind, unit.job) for unit in units[1:]} == {("features", "a"), ("fold", "a")}
