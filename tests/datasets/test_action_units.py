"""The grammar of action units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.clip import ActionUnit
from microexp.datasets.action_units import INTENSITIES, parse_action_units, write_action_units


def unit(text: str) -> ActionUnit:
    """``"L12:.4"`` by a road of its own."""
    code, _, intensity = text.partition(":")
    side = code[0] if code[0].isalpha() else ""
    return ActionUnit(int(code.lstrip("LRTBA")), side, float(intensity) if intensity else None)


@pytest.mark.parametrize(
    ("text", "units", "doubtful", "unread"),
    [
        ("", "", [], []),
        ("4+7", "4 7", [], []),
        ("L12", "L12", [], []),
        ("r10", "R10", [], []),
        ("4", "4", [], []),
        ("12A", "12:.2", [], []),
        ("L12C", "L12:.6", [], []),
        ("A12B", "A12:.4", [], []),
        ("T18", "T18", [], []),
        ("B28", "B28", [], []),
        ("ref(7B)", "7:.4", ["ref(7B)"], []),
        ("L12 or L14", "L12 L14", ["L12 or L14"], []),
        ("(R6 or R12) + R15", "R6 R12 R15", ["R6 or R12"], []),
        ("10A/B", "10:.3", ["10A/B"], []),
        ("A/L12", "A12", ["A/L12"], []),
        ("4+6+7+9+43E", "4 6 7 9 43:1", [], []),
        ("R14+17+soft focus", "R14 17", [], ["soft focus"]),
        ("4，7＋9", "4 7 9", [], []),
        ("AD31", "31", [], []),
        ("M58", "58", [], []),
        ("AU1, AU2 & 5", "1 2 5", [], []),
        ("12(k)+4 (k)", "12 4", [], []),
        ("4(1)+6", "4 6", [], []),
        ("4?", "4", ["4?"], []),
        ("?", "", [], ["?"]),
        ("4+?", "4", [], ["?"]),
        ("4/7", "4 7", ["4 or 7"], []),
        (" 4 + 7 ", "4 7", [], []),
        ("4+4", "4", [], []),
        ("L12+R12", "L12 R12", [], []),
        ("100", "", [], ["100"]),
        ("2014-05-08", "", [], ["2014-05-08"]),
        ("1.5", "", [], ["1.5"]),
        ("none", "", [], ["none"]),
    ],
)
def test_every_form_that_the_sheets_have(
    text: str, units: str, doubtful: list[str], unread: list[str]
) -> None:
    coding = parse_action_units(text)
    assert list(coding.units) == [unit(word) for word in units.split()]
    assert list(coding.doubtful) == doubtful
    assert list(coding.unread) == unread


codes = st.builds(
    ActionUnit,
    st.integers(1, 99),
    st.sampled_from(["", "L", "R", "T", "B", "A"]),
    st.one_of(st.none(), st.sampled_from(sorted(INTENSITIES.values()))),
)


@given(st.lists(codes, unique=True))
def test_what_is_written_is_read_back(units: list[ActionUnit]) -> None:
    coding = parse_action_units(write_action_units(units))
    assert list(coding.units) == units
    assert coding.doubtful == coding.unread == ()


@given(st.lists(codes, unique=True), st.sampled_from(["+", ", ", " + ", "，", ";", " "]))
def test_the_separator_makes_no_difference(units: list[ActionUnit], separator: str) -> None:
    assert list(parse_action_units(separator.join(map(write_action_units, zip(units)))).units) == units


@given(st.text())
def test_no_text_breaks_it_and_nothing_is_dropped_in_silence(text: str) -> None:
    coding = parse_action_units(text)
    if not coding.units and not coding.unread:
        assert not any(c.isdigit() and c.isascii() for c in text)


def test_an_intensity_between_letters_is_written_as_the_nearest() -> None:
    units = [ActionUnit(4, "", 0.3), ActionUnit(7, "L", 0.97), ActionUnit(9)]
    assert write_action_units(units) == "4A/B+L7E+9"
    assert parse_action_units("4A/B").units == (ActionUnit(4, "", 0.3),)
