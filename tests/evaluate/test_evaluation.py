from __future__ import annotations

import pytest

from microexp.evaluate.evaluation import leaks, rules_of
from microexp.evaluate.folds import PROTOCOLS
from microexp.evaluate.loso import SELECTIONS


def config(protocol: str = "loso", selection: str = "last-epoch", weights: str | None = None) -> dict:
    return {"protocol": PROTOCOLS[protocol], "selection": selection, "weights": weights}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_rule_says_that_it_leaks_just_where_who_is_tested_had_a_say(protocol: str, selection: str) -> None:
    first, *others = rules_of(config(protocol, selection), has_epochs=True)
    assert leaks(first) == (protocol == "samples-5" or selection == "test-fold")
    assert first.count("LEAKS") == leaks(first)
    assert len(others) == (selection == "test-fold")
    assert all(leaks(rule) == (protocol == "samples-5") for rule in others)


def test_rules_are_told_apart() -> None:
    every = [rules_of(config(p, s), has_epochs=True) for p in ("loso", "samples-5") for s in SELECTIONS]
    first = [rules[0] for rules in every]
    assert len(set(first)) == len(first)
    assert rules_of(config(), has_epochs=False) == ("no epochs",)
    assert rules_of(config(weights="abc"), has_epochs=True) == ("published weights",)


def test_by_sample_a_chosen_epoch_is_of_clips() -> None:
    """Inner subjects there are none where people stand on both sides."""
    for selection in ("inner-subjects", "test-fold"):
        assert "clips" in rules_of(config("samples-5", selection), has_epochs=True)[0]
    assert "inner subjects" in rules_of(config("subjects-5", "inner-subjects"), has_epochs=True)[0]
