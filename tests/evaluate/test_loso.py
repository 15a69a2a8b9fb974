from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from microexp import recognize
from microexp.errors import DataError, OptionError, WeightsError
from microexp.evaluate import LeakageWarning, loso
from microexp.evaluate.folds import inner_split, loso_folds
from microexp.recognize.linear_svm import LinearSVM
from tests.conftest import flow_dataset, write_megc_tree


def quick_net(**params: object) -> object:
    return recognize.create("ststnet", **{"epochs": 3, "lr": 0.003, "device": "cpu", **params})


def test_folds_leave_one_subject_out_and_cover_every_row_once() -> None:
    groups = flow_dataset(subjects=5).groups
    folds = loso_folds(groups)
    assert sorted(np.concatenate([f.test for f in folds])) == list(range(len(groups)))
    for fold in folds:
        assert set(groups[fold.test]) == {fold.subject}
        assert fold.subject not in groups[fold.train]
        assert len(fold.train) + len(fold.test) == len(groups)


def test_subjects_of_one_name_in_two_databases_are_two() -> None:
    data = flow_dataset(subjects=2, databases=2)
    data.table["subject"] = "s1"
    assert len(loso_folds(data.groups)) == 2


def test_one_subject_cannot_be_left_out() -> None:
    with pytest.raises(DataError, match="two subjects or more"):
        loso_folds(flow_dataset(subjects=1).groups)


def test_a_planted_signal_is_found_and_the_table_is_complete() -> None:
    result = loso(recognize.create("linear_svm", C=0.1), flow_dataset(subjects=6, databases=2), jobs=2)
    assert result.scores().war == 1.0
    table = result.table.set_index("part")
    assert list(table.index) == ["all", "db0", "db1"]
    assert table.loc["all", "clips"] == 36
    assert table.loc["all", "UF1_majority"] == pytest.approx(1 / 6)
    assert (table["UF1_low"] <= table["UF1"]).all()


def test_labels_that_carry_no_signal_give_chance() -> None:
    """The test that an honest protocol cannot fail: shuffled labels must not be predictable."""
    data = flow_dataset(subjects=10, clips=9)
    data.table["label"] = np.random.default_rng(1).permutation(data.table["label"].to_numpy())
    result = loso(recognize.create("linear_svm", C=1.0), data, jobs=1)
    assert result.scores().war < 0.55


def test_the_same_result_with_one_job_or_two_and_under_any_seed_order() -> None:
    data = flow_dataset()
    one = loso(quick_net(), data, jobs=1, seeds=(0, 1))
    two = loso(quick_net(), data, jobs=2, seeds=(1, 0))
    assert (one.probabilities == two.probabilities[::-1]).all()
    assert not (one.probabilities[0] == one.probabilities[1]).all()
    assert one.table["UF1"][0] == two.table["UF1"][0]
    assert one.table["UF1_sd"].notna().all()


def test_test_fold_selection_warns_marks_and_keeps_the_honest_figure_beside_it(tmp_path: Path) -> None:
    data = flow_dataset()
    with pytest.warns(LeakageWarning, match="LEAK"):
        leaky = loso(quick_net(), data, selection="test-fold", jobs=1, out=tmp_path / "leaky")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakageWarning)
        honest = loso(quick_net(), data, jobs=1)
    assert leaky.leaks
    assert "LEAKS" in leaky.rules[0]
    assert any("LEAK" in remark for remark in leaky.remarks)
    assert leaky.as_dict()["leaks"] is True
    assert (leaky.predictions["last epoch"] == honest.predictions["last epoch"]).all()
    assert leaky.scores().uf1 >= honest.scores().uf1
    leaky.save(tmp_path / "leaky")
    assert "LEAKS" in (tmp_path / "leaky" / "table.csv").read_text()
    assert "LEAKS" in (tmp_path / "leaky" / "predictions.csv").read_text()


def test_inner_subjects_never_see_the_test_subject() -> None:
    groups = flow_dataset(subjects=12, databases=2).groups
    for fold in loso_folds(groups):
        train, inner = inner_split(groups, fold.train, seed=3)
        assert set(train) | set(inner) == set(fold.train)
        assert not set(groups[train]) & set(groups[inner])
        assert {g.split("/")[0] for g in groups[inner]} == {"db0", "db1"}


@pytest.mark.parametrize("selection", ["last-epoch", "inner-subjects", "test-fold"])
def test_only_the_leaking_selection_is_moved_by_the_labels_of_the_test_subject(selection: str) -> None:
    """Turn the labels of one subject around: what is predicted of it must not move by a bit."""
    data, turned = (flow_dataset(subjects=6, seed=3) for _ in range(2))
    subject = data.groups == data.groups[0]
    turned.table.loc[subject, "label"] = (turned.table.loc[subject, "label"] + 1) % 3
    recognizer = quick_net(epochs=12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakageWarning)
        a, b = (loso(recognizer, d, selection=selection, jobs=1) for d in (data, turned))
    same = (a.probabilities[:, subject] == b.probabilities[:, subject]).all()
    assert same == (selection != "test-fold")


def test_inner_subjects_selection_runs_and_names_its_rule() -> None:
    result = loso(quick_net(), flow_dataset(subjects=6), selection="inner-subjects", jobs=1)
    assert result.rules == ("epoch chosen on inner subjects",)
    assert not result.leaks


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("linear_svm", {"selection": "test-fold"}, "trains no epochs"),
        ("ststnet", {"selection": "best"}, "is none of last-epoch, inner-subjects, test-fold"),
        ("linear_svm", {"jobs": 0}, "jobs must be 1 or more"),
        ("linear_svm", {"seeds": (-1,)}, "0 or more"),
        ("linear_svm", {"seeds": (1, 1)}, "different numbers"),
        ("lbp_top", {}, "needs the frames of the clips"),
        ("linear_svm", {"weights": "."}, "has no weights to load"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: Path, method: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        loso(recognize.create(method), flow_dataset(), out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("linear_svm", {"C": -1.0}),
        ("linear_svm", {"C": "much"}),
        ("linear_svm", {"motion": "dis"}),
        ("ststnet", {"epochs": 0}),
        ("ststnet", {"epochs": 2.5}),
        ("ststnet", {"lr": "fast"}),
        ("ststnet", {"device": "tpu"}),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_written(
    tmp_path: Path, method: str, params: dict[str, object]
) -> None:
    with pytest.raises(OptionError):
        loso(recognize.create(method, **params), flow_dataset(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_subject_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two subjects"):
        loso(recognize.create("linear_svm"), flow_dataset(subjects=1), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_data_in_the_folder_of_a_run_is_refused(tmp_path: Path) -> None:
    loso(recognize.create("linear_svm"), flow_dataset(seed=0), jobs=1, out=tmp_path / "run")
    with pytest.raises(OptionError, match="data was"):
        loso(recognize.create("linear_svm"), flow_dataset(seed=1), jobs=1, out=tmp_path / "run")


def test_one_weight_file_for_two_subjects_is_refused(tmp_path: Path) -> None:
    data = flow_dataset(subjects=2, databases=2)
    data.table["subject"] = "s1"
    net = quick_net(epochs=1).fit(data.flow_images, data.y)
    net.save_weights(tmp_path / "s1.safetensors")
    with pytest.raises(WeightsError, match="would serve both db0/s1 and db1/s1"):
        loso(quick_net(), data, weights=tmp_path)
    for database in ("db0", "db1"):
        net.save_weights(tmp_path / database / "s1.safetensors")
    assert loso(quick_net(), data, weights=tmp_path, jobs=1).rules == ("published weights",)


def test_weights_of_every_left_out_subject_are_used_without_training(tmp_path: Path) -> None:
    data = flow_dataset(subjects=3)
    net = quick_net(epochs=30).fit(data.flow_images, data.y)
    with pytest.raises(WeightsError, match="holds no s00"):
        loso(quick_net(), data, weights=tmp_path)
    for subject in ("s00", "s01", "s02"):
        net.save_weights(tmp_path / f"{subject}.safetensors")
    result = loso(quick_net(), data, weights=tmp_path, jobs=1)
    assert (result.predictions["published weights"][0] == net.predict(data.flow_images)).all()


COMMAND = [
    sys.executable, "-m", "microexp.cli", "evaluate", "ststnet", "--database", "megc2019_flow",
    "--epochs", "60", "--jobs", "2",
]  # fmt: skip


def fold_files(run: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in (run / "folds").glob("*.json")}


@pytest.mark.parametrize("folds_before_kill", [1, 4])
def test_killed_at_any_moment_it_goes_on_to_the_same_table(tmp_path: Path, folds_before_kill: int) -> None:
    root = write_megc_tree(tmp_path / "megc", subjects=7)
    options = ["--root", str(root)]
    subprocess.run([*COMMAND, *options, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    run = tmp_path / "killed"
    process = subprocess.Popen(
        [*COMMAND, *options, "--out", str(run)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (run / "folds").is_dir() or len(fold_files(run)) < folds_before_kill:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = fold_files(run)
    assert folds_before_kill <= len(before) < 7
    assert not (run / "table.csv").exists()
    subprocess.run([*COMMAND, *options, "--out", str(run)], check=True, capture_output=True)
    after = fold_files(run)
    assert {name: after[name] for name in before} == before
    assert len(after) == 7
    for name in ("table.csv", "predictions.csv"):
        assert (run / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_ctrl_c_keeps_what_is_finished_and_says_so(tmp_path: Path) -> None:
    root = write_megc_tree(tmp_path / "megc", subjects=30)  # more than are done before the signal arrives
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, "--root", str(root), "--out", str(run)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has Ctrl-C ignored by all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (run / "folds").is_dir() or not fold_files(run):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command to go on" in " ".join(errors.split())
    assert "Traceback" not in errors
    assert 1 <= len(fold_files(run)) < 30


def test_folds_record_what_computed_them(tmp_path: Path) -> None:
    loso(recognize.create("linear_svm"), flow_dataset(), jobs=1, out=tmp_path / "run")
    fold = json.loads((tmp_path / "run" / "folds" / "0-000.json").read_text())
    assert fold["subject"] == "db0/s00"
    assert fold["status"] == "done"
    assert {"microexp", "numpy", "torch"} <= set(fold["versions"])
    assert np.allclose(np.sum(fold["probabilities"], axis=1), 1)


class KilledOnce(LinearSVM):
    """A recogniser whose first fit is killed, as the system does when memory runs out."""

    def __init__(self, mark: str = "") -> None:
        super().__init__(C=0.1)
        self.mark = mark

    def fit(self, X: np.ndarray, y: np.ndarray) -> KilledOnce:
        if not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


def test_a_killed_worker_costs_no_fold(tmp_path: Path) -> None:
    recognizer = KilledOnce(str(tmp_path / "mark"))
    result = loso(recognizer, flow_dataset(subjects=5), jobs=2, out=tmp_path / "run")
    assert (tmp_path / "mark").exists()
    assert len(fold_files(tmp_path / "run")) == 5
    assert result.scores().war == 1.0
