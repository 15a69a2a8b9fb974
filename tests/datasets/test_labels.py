from __future__ import annotations

from pathlib import Path

import pytest

from microexp.datasets.labels import SCHEMES, scheme
from microexp.errors import DataError, PathMissingError, UnknownNameError


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


def test_what_megc_leaves_out_depends_on_the_database() -> None:
    s = scheme("megc3")
    assert s.label("sadness", "samm") == s.label("sadness") == 0
    assert s.label("Sadness ", "casme2") is s.label("sad", "casme2") is s.label("fear", "casme2") is None
    assert s.label("repression", "casme2") == s.label("disgust", "casme2") == 0


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("mer4", {"disgust": 0, "fear": 0, "sadness": 0, "happiness": 1, "surprise": 2, "repression": 3}),
        ("mer4", {"Other": 3, "others": 3, "contempt": 0, "sad": 0, "happy": 1}),
        ("casme_4", {"disgust": 0, "repression": 1, "surprise": 2, "Tense": 3, "fear": None}),
        (
            "casme2_5",
            {"happiness": 0, "disgust": 1, "repression": 2, "surprise": 3, "others": 4, "fear": None},
        ),
        (
            "casme3_7",
            {"Others ": 0, "happy": 1, "surprise": 2, "sad": 3, "disgust": 4, "fear": 5, "anger": 6},
        ),
        (
            "dfme7",
            {"anger": 0, "contempt": 1, "disgust": 2, "fear": 3, "happiness": 4, "sadness": 5, "surprise": 6},
        ),
    ],
)
def test_schemes_number_their_classes_as_published(name: str, labels: dict[str, int | None]) -> None:
    assert {word: scheme(name).label(word) for word in labels} == labels


def test_a_scheme_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ärger.csv"
    file.write_text("class,emotion\ntense,Repression\ntense,fear\nloose,happy\n", encoding="utf-8")
    s = scheme(str(file))
    assert (s.name, s.classes) == ("ärger.csv", ("tense", "loose"))
    assert [s.label(e) for e in ("repression", "FEAR", "happiness", "disgust")] == [0, 0, 1, None]
    assert s.label("fear", "casme2") == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("emotion,class\nfear,a\njoy,\n", r"m\.csv, row 3: an emotion and a class"),
        ("emotion,class\nfear,a\nfear,b\n", r"m\.csv, row 3: 'fear' is already in the class 'a'"),
        ("emotion,class\nfear,a\njoy,a\n", "one class only"),
        ("emotion,label\nfear,a\n", "no column 'class'"),
        ("", "is empty"),
    ],
)
def test_a_bad_mapping_is_refused_by_row(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "m.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=told):
        scheme(str(file))


def test_a_mapping_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathMissingError, match=r"gone\.csv does not exist"):
        scheme(str(tmp_path / "gone.csv"))
