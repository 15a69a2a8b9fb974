from __future__ import annotations

import pytest

from microexp.datasets.labels import SCHEMES, scheme
from microexp.errors import UnknownNameError


def test_megc_classes_are_in_the_official_order() -> None:
    s = scheme("megc3")
    assert s.classes == ("negative", "positive", "surprise")
    assert [s.label(e) for e in ("Disgust", " happiness ", "surprise", "others", None)] == [
        0,
        1,
        2,
        None,
        None,
    ]


@pytest.mark.parametrize("name", SCHEMES)
def test_every_class_of_a_scheme_can_be_reached(name: str) -> None:
    s = scheme(name)
    assert set(s.emotions.values()) == set(s.classes)


def test_an_unknown_scheme_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'megc3'"):
        scheme("megc")
