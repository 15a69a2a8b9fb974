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
from typer.testing import CliRunner

from microexp import recognize
from microexp.cli import app
from microexp.datasets.base import Dataset
from microexp.errors import DataError, IncompleteResultError, OptionError, WeightsError
from microexp.evaluate import LeakageWarning, loso
from microexp.evaluate.loso import finish, make_experiment
from microexp.recognize.linear_svm import LinearSVM
from tests.conftest import flow_dataset, write_megc_tree


def quick_net(**params: object) -> object:
    return recognize.create("ststnet", **{"epochs": 3, "lr": 0.003, "device": "cpu", **params})


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


@pytest.mark.parametrize("protocol", ["subjects-5", "samples-5"])
def test_who_chooses_the_epoch_of_a_part_is_not_in_it(tmp_path: Path, protocol: str) -> None:
    """Turn the labels of one tested part around: what is predicted of it must not move by a bit."""
    data, turned = (flow_dataset(subjects=10, clips=2, seed=3) for _ in range(2))
    outcomes = []
    for name, d in (("as it is", data), ("turned", turned)):
        experiment, folds = make_experiment(
            quick_net(epochs=6), d, selection="inner-subjects", protocol=protocol, out=tmp_path / name
        )
        outcomes.append(experiment.fold_result(d.flow_images, folds[2], seed=0))
        turned.table.loc[folds[2].test, "label"] = (turned.table.loc[folds[2].test, "label"] + 1) % 3
    assert outcomes[0].truth != outcomes[1].truth
    assert outcomes[0].probabilities == outcomes[1].probabilities
    assert outcomes[0].subject.startswith("fold 3 of 5 (")


def faces_with_a_label_each(subjects: int = 12, clips: int = 5) -> Dataset:
    """Pictures that tell who it is and nothing else; all clips of a person have the same drawn label."""
    data, rng = flow_dataset(subjects, clips), np.random.default_rng(5)
    faces = np.repeat(rng.uniform(0, 1, (subjects, 3, 28, 28)), clips, axis=0)
    X = (faces + rng.normal(0, 0.05, faces.shape)).clip(0, 1).astype(np.float32)
    table = data.table.assign(label=np.repeat(rng.permutation(np.arange(subjects) % 3), clips))
    return Dataset(table, data.classes, flow_images=X, scheme="megc3")


def test_by_sample_who_it_is_is_enough_and_by_subject_it_is_no_help() -> None:
    data, svm = faces_with_a_label_each(), recognize.create("linear_svm", C=1.0)
    with pytest.warns(LeakageWarning, match="clips of the same people; its figures LEAK"):
        by_sample = loso(svm, data, protocol="samples-5", jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakageWarning)
        by_subject = loso(svm, data, protocol="subjects-5", jobs=1)
    assert by_sample.scores().war == 1.0
    assert by_subject.scores().war < 0.6
    assert by_sample.leaks
    assert not by_subject.leaks


def test_the_protocol_is_in_every_output(tmp_path: Path) -> None:
    with pytest.warns(LeakageWarning):
        result = loso(
            recognize.create("linear_svm"),
            flow_dataset(subjects=6),
            protocol="samples-5",
            jobs=1,
            out=tmp_path / "run",
        )
    assert result.rules == ("LEAKS: subjects on both sides; no epochs",)
    assert any("LEAK" in remark and "subjects-5" in remark for remark in result.remarks)
    result.save(tmp_path / "run")
    for name in ("table.csv", "predictions.csv", "summary.json"):
        assert "LEAKS: subjects on both sides" in (tmp_path / "run" / name).read_text()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["leaks"] is True
    assert summary["config"]["protocol"] == "five-fold cross-validation by sample"
    assert len(fold_files(tmp_path / "run")) == 5


def test_the_command_line_takes_the_protocol_and_says_it(tmp_path: Path) -> None:
    root, out = write_megc_tree(tmp_path / "megc"), tmp_path / "run"
    options = ["--database", "megc2019_flow", "--root", str(root), "--out", str(out), "--jobs", "1"]
    command = ["evaluate", "linear_svm", *options, "--protocol"]
    answer = CliRunner().invoke(app, [*command, "samples-5"])
    assert answer.exit_code == 0, answer.output
    said = " ".join(answer.output.split())
    assert "Five-fold cross-validation by sample" in said
    assert "its figures LEAK" in said
    assert "LEAKS: subjects on both sides" in said
    refused = CliRunner().invoke(app, [*command, "subjects-5"])
    assert isinstance(refused.exception, DataError)
    assert "needs 10 subjects or more; there are 4" in str(refused.exception)


def test_another_protocol_in_the_folder_of_a_run_is_refused(tmp_path: Path) -> None:
    data, svm = flow_dataset(subjects=10, clips=2), recognize.create("linear_svm")
    loso(svm, data, protocol="subjects-5", jobs=1, out=tmp_path / "run")
    with pytest.raises(OptionError, match="protocol was 'five-fold cross-validation by subject'"):
        loso(svm, data, jobs=1, out=tmp_path / "run")


def test_folds_run_one_by_one_in_any_order_give_the_same_figures(tmp_path: Path) -> None:
    data, svm = flow_dataset(subjects=10, clips=2), recognize.create("linear_svm", C=0.1)
    experiment, folds = make_experiment(
        svm, data, selection="last-epoch", protocol="subjects-5", out=tmp_path / "run"
    )
    features = experiment.store.features(lambda: svm.features(data.inputs))
    for fold in folds[:0:-1]:
        experiment.run(features, fold, seed=0)
    with pytest.raises(IncompleteResultError, match="4 of 5 folds"):
        finish(experiment, folds, (0,), data)
    experiment.run(features, folds[0], seed=0)
    one_by_one = finish(experiment, folds, (0,), data)
    together = loso(svm, data, protocol="subjects-5", jobs=1, seeds=(0,))
    assert (one_by_one.probabilities == together.probabilities).all()
    assert one_by_one.table.equals(together.table)


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
        ("linear_svm", {"protocol": "holdout"}, "is none of loso, subjects-5, samples-5"),
        ("ststnet", {"protocol": "samples-5", "weights": "."}, "use protocol loso, not samples-5"),
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
