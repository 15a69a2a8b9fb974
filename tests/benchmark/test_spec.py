from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.benchmark import Changes, SpecError, load_spec, make_recognizers
from microexp.benchmark.spec import parse_spec
from microexp.errors import MicroexpError, PathMissingError, UnknownNameError

GOOD = """\
title: Two rows
databases:
  - {name: synthetic, params: {size: 64}}
defaults: {class_weight: balanced}
recognisers:
  - label: one
    method: linear_svm
    params: {C: 1e-3}
    published: {UF1: 0.5, parameters: 1 M}
  - label: two
    method: lbp_top
published_protocol: epoch chosen on the test subject
"""


def test_a_spec_is_read_with_its_defaults() -> None:
    spec = parse_spec(GOOD, "good.yaml")
    assert spec.name == "good"
    assert [row.label for row in spec.recognisers] == ["one", "two"]
    assert (spec.selection, spec.seeds, spec.prepare) == ("last-epoch", [0], [])
    assert spec.recognisers[0].published == {"UF1": 0.5, "parameters": "1 M"}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "+1e-3", ".1e-2", "0.001"])
def test_a_number_with_an_exponent_is_a_number_as_python_has_it(text: str) -> None:
    spec = parse_spec(GOOD.replace("1e-3", text), "good.yaml")
    assert spec.recognisers[0].params["C"] == 0.001


@given(st.text(alphabet="abc:[]{}-,'\"\n #&*!|>%@`0123e+.", max_size=60))
def test_any_text_is_a_spec_or_one_clear_error(text: str) -> None:
    with pytest.raises(SpecError, match="fuzz.yaml"):
        parse_spec(text, "fuzz.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("defaults:", "default:", r"line 4, default: unknown key 'default'.* mean 'defaults'"),
        ("label: two", "labels: two", r"line 10, recognisers\[1\]: the key 'label' is missing"),
        ("label: two", "label: one", r"line 10, recognisers\[1\].label: another row is called 'one'"),
        ("params: {C", "parms: {C", r"line 8, recognisers\[0\].parms: unknown key .* mean 'params'"),
        ("title: Two rows", "title: 2", r"line 1, title: this should be a valid string, not 2"),
        ("    method: lbp_top", "    method: lbp_top\n    method: x", "line 12: the key 'method' .* twice"),
        ("UF1: 0.5", "UF1: 50", r"line 9, recognisers\[0\].published.UF1: must be from 0 to 1, not 50"),
        ("UF1: 0.5", "UF1: no", r"line 9, recognisers\[0\].published.UF1: "),
        ("published_protocol", "source", r"line 9, recognisers\[0\].published: .* published_protocol"),
        ("title: Two rows", "title: x\nseeds: [0, 0]", r"line 2, seeds\[1\]: seeds must be different"),
        ("title: Two rows", "title: x\nseeds: 3", r"line 2, seeds: .* valid list"),
        ("title: Two rows", "title: x\nseeds: ['3']", r"line 2, seeds\[0\]: .* valid integer, not '3'"),
        ("title: Two rows", "title: x\nselection: best", r"line 2, selection: .*'last-epoch'"),
        ("title: Two rows", "title: [", r"line \d+: "),
        ("title: Two rows", "title: x\nprotocol: 70/20/10", r"line 2, protocol: .*'subjects-5'"),
        (GOOD, "title: x\nrecognisers: []\n", r"line 2, recognisers: .*at least 1 item"),
        (GOOD, "- title\n", "is no spec"),
        (GOOD, "", "is no spec"),
    ],
)
def test_a_fault_is_named_by_file_line_and_key(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(SpecError, match=f"bad.yaml.*{message}" if new else message):
        parse_spec(GOOD.replace(old, new), "bad.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lbp_top", "lbp_tob", r"line 11, recognisers\[1\].method: unknown .* mean 'lbp_top'"),
        ("params: {C", "params: {D", r"line 8, recognisers\[0\].params.D: .* no parameter 'D'"),
        ("C: 1e-3", "C: much", r"line 8, recognisers\[0\].params.C: LinearSVM"),
        ("{class_weight: balanced}", "{weight: 1}", r"line 4, defaults.weight: .* no parameter 'weight'"),
        ("{class_weight: balanced}", "{class_weight: heavy}", r"line 4, defaults.class_weight: "),
        ("C: 1e-3", "random_state: 3", r"line 8, recognisers\[0\].params.random_state: .* seeds"),
        ("params: {C: 1e-3}", "preset: papper", r"line 8, recognisers\[0\].preset: unknown preset"),
    ],
)
def test_an_unknown_or_bad_method_or_parameter_is_named_by_line_and_key(
    old: str, new: str, message: str
) -> None:
    with pytest.raises(SpecError, match=f"bad.yaml, {message}"):
        make_recognizers(parse_spec(GOOD.replace(old, new), "bad.yaml"))


def test_a_rows_own_settings_go_before_its_preset_and_these_before_the_defaults() -> None:
    text = """\
title: t
defaults: {frequency: none, ratio: 2}
recognisers:
  - {label: a, method: bowam, preset: ratio_8}
  - {label: b, method: bowam, preset: ratio_8, params: {ratio: 4}}
  - {label: c, method: bowam}
"""
    settings = [(r.frequency, r.ratio) for r in make_recognizers(parse_spec(text, "t.yaml"))]
    assert settings == [("none", 8), ("none", 4), ("none", 2)]


def test_what_is_given_at_run_time_goes_before_the_file_and_is_said() -> None:
    changes = Changes(params={"class_weight": None}, seeds=(3, 4), prepare=["apex"], selection="test-fold")
    spec = parse_spec(GOOD, "good.yaml", changes)
    assert [r.class_weight for r in make_recognizers(spec)] == [None, None]
    assert (spec.seeds, spec.prepare, spec.selection) == ([3, 4], ["apex"], "test-fold")
    said = " ".join(changes.said)
    for word in ("class_weight = None", "seeds 3, 4", "prepared by apex", "test-fold"):
        assert word in said
    assert Changes().said == []
    assert Changes(prepare=[]).said == ["clips prepared by nothing"]


def test_another_database_may_be_named_and_that_of_the_file_be_placed() -> None:
    (moved,) = parse_spec(GOOD, "g", Changes(root="there", data={"seed": 2})).databases
    assert (moved.name, moved.root, moved.params) == ("synthetic", "there", {"size": 64, "seed": 2})
    (other,) = parse_spec(GOOD, "g", Changes(database="casme2", labels="megc3")).databases
    assert (other.name, other.labels, other.params) == ("casme2", "megc3", {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(params={"C": 1.0}), "--param C: the row 'one' sets it itself"),
        (Changes(params={"class_wait": 1}), "--param class_wait: .* no parameter 'class_wait'"),
        (Changes(params={"class_weight": "heavy"}), "--param class_weight: "),
        (Changes(seeds=(1, 1)), "--seed: seeds must be different"),
        (Changes(selection="best"), "--selection: "),
    ],
)
def test_a_fault_of_the_command_line_is_named_by_its_option(changes: Changes, message: str) -> None:
    with pytest.raises(MicroexpError, match=f"^{message}"):
        make_recognizers(parse_spec(GOOD, "g", changes))


def test_what_a_preset_sets_is_not_overridden_by_the_command_line() -> None:
    with pytest.raises(MicroexpError, match="--param ratio: the row 'ratio 4' sets it itself"):
        make_recognizers(load_spec("bowam_table8", Changes(params={"ratio": 2})))


def test_a_root_for_several_databases_is_the_folder_of_all() -> None:
    two = GOOD.replace("databases:", "databases:\n  - {name: casme2}")
    roots = [database.root for database in parse_spec(two, "g", Changes(root="there")).databases]
    assert roots == [str(Path("there") / "casme2"), str(Path("there") / "synthetic")]
    (one,) = parse_spec(two, "g", Changes(database="casme2", root="there")).databases
    assert one.root == "there"
    same = GOOD.replace("databases:", "databases:\n  - {name: synthetic, labels: emotion7}")
    assert {d.root for d in parse_spec(same, "g", Changes(root="there")).databases} == {"there"}


def test_a_spec_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownNameError, match="mean 'bowam_table4'"):
        load_spec("bowam_tabel4")
    with pytest.raises(PathMissingError, match="no/such.yaml"):
        load_spec("no/such.yaml")
