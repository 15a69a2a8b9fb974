from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from microexp.errors import DataError, IncompleteResultError, OptionError
from microexp.evaluate.store import FoldResult, RunStore, canonical_json, run_key
from microexp.recognize.base import Recognizer
from microexp.registry import Registry

CONFIG = {"method": "x", "params": {"b": 1, "a": 2.5}}


def result(fold: int = 0, seed: int = 0) -> FoldResult:
    return FoldResult(seed, fold, f"s{fold}", [fold], [1], [1], [[0.0, 1.0]], seconds=0.1)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    RunStore(tmp_path / "run", CONFIG).write(result())
    assert RunStore(tmp_path / "run", CONFIG).read(0, 0) == result()


def test_an_incomplete_set_of_folds_is_never_given(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run", CONFIG)
    store.write(result(0))
    store.write(result(2))
    assert store.missing([0, 1], 3) == [(0, 1), (1, 0), (1, 1), (1, 2)]
    with pytest.raises(IncompleteResultError, match="2 of 3 folds of seed 0"):
        store.results(0, 3)
    store.write(result(1))
    assert [r.fold for r in store.results(0, 3)] == [0, 1, 2]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "other", "status": "done"}', "\x00\x01"])
def test_a_damaged_or_foreign_fold_counts_as_missing(tmp_path: Path, content: str) -> None:
    store = RunStore(tmp_path / "run", CONFIG)
    store.write(result())
    next((tmp_path / "run" / "folds").glob("*.json")).write_text(content)
    assert store.missing([0], 1) == [(0, 0)]


def test_a_half_written_fold_is_not_seen(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run", CONFIG)
    (tmp_path / "run" / "folds" / ".0-000.json.123.tmp").write_text('{"key":')
    assert store.missing([0], 1) == [(0, 0)]


def test_another_run_in_the_folder_is_refused_with_what_differs(tmp_path: Path) -> None:
    RunStore(tmp_path / "run", CONFIG)
    with pytest.raises(OptionError, match=r"method was 'x', is 'y'"):
        RunStore(tmp_path / "run", {**CONFIG, "method": "y"})


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OptionError, match="is no run of microexp"):
        RunStore(tmp_path, CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_a_kill_at_the_very_start_leaves_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    RunStore(tmp_path / "run", CONFIG)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / ".run.json.77.tmp").write_text('{"key"')
    RunStore(tmp_path / "half", CONFIG).write(result())
    (tmp_path / "half" / ".features.77.npy").write_bytes(b"half")
    RunStore(tmp_path / "half", CONFIG).features(lambda: np.zeros(3))
    assert not list((tmp_path / "half").glob(".features*"))


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    RunStore(tmp_path / "run", CONFIG)
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json is damaged"):
        RunStore(tmp_path / "run", CONFIG)


def test_features_are_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> np.ndarray:
        made.append(1)
        return np.arange(6.0).reshape(2, 3)

    for _ in range(2):
        features = RunStore(tmp_path / "run", CONFIG).features(make)
        assert features.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert made == [1]
    (tmp_path / "run" / "features.npy").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"features\.npy is damaged"):
        RunStore(tmp_path / "run", CONFIG).features(make)


def test_the_key_depends_on_values_not_on_order() -> None:
    assert run_key({"a": 1, "b": 2}) == run_key({"b": 2, "a": 1}) != run_key({"a": 1, "b": 3})


def test_estimators_are_described_by_class_and_parameters() -> None:
    recognizer: Recognizer = Registry("microexp.recognize").create("linear_svm", C=0.5)
    text = json.loads(canonical_json({"r": recognizer, "n": np.int64(3), "a": np.arange(2), "p": Path("x")}))
    assert text["r"]["class"] == "recognize.linear_svm.LinearSVM"
    assert text["r"]["C"] == 0.5
    assert (text["n"], text["a"], text["p"]) == (3, [0, 1], "x")
    with pytest.raises(OptionError, match="cannot be recorded"):
        canonical_json({"f": lambda: 0})
