from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from microexp.benchmark import (
    Changes,
    Plan,
    State,
    Task,
    load_spec,
    make_plan,
    make_tasks,
    run,
    states,
    write_reports,
)
from microexp.benchmark.run import failure_file, failures
from microexp.benchmark.spec import parse_spec
from microexp.evaluate import loso
from microexp.evaluate.engines import make_engine
from microexp.evaluate.loso import Experiment
from microexp.evaluate.store import StorageError
from microexp.locks import Lock
from microexp.recognize.linear_svm import LinearSVM
from tests.conftest import write_megc_tree
from tests.evaluate.test_report import Balance

TEXT = """\
title: Small & <b>quick</b>
source: Table 1
recognisers:
  - label: weak 10 %
    method: linear_svm
    params: {C: 1e-7}
    published: {UF1: 0.5, UAR: 0.25, FLOPs: 1_G}
    note: A note.
  - {label: strong, method: linear_svm, params: {C: 0.1}}
published_data: MEGC2019
published_protocol: epoch chosen on the test subject
"""
SERIAL = make_engine("serial")
NET = """\
title: A network
recognisers: [{label: net, method: ststnet}]
defaults: {epochs: 3, lr: 0.003, device: cpu}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_megc_tree(tmp_path_factory.mktemp("megc") / "megc"))


def planned(root: str, text: str = TEXT, **changes: object) -> tuple[Plan, list[Task]]:
    spec = parse_spec(text, "small.yaml", Changes(database="megc2019_flow", root=root, **changes))
    tasks = make_tasks(spec)
    return make_plan(spec, tasks), tasks


def table(plan: Plan, out: Path) -> pd.DataFrame:
    return pd.read_csv(write_reports(plan, out)[0])


def statuses(found: list[State]) -> list[tuple[str, int]]:
    return [(state.status, state.folds) for state in found]


def fold_times(out: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in out.glob("runs/*/folds/*.json")}


def test_the_table_has_the_figures_of_the_protocol_beside_the_published_ones(
    tmp_path: Path, root: str
) -> None:
    plan, tasks = planned(root)
    assert statuses(states(plan, tmp_path)) == [("to do", 0), ("to do", 0)]
    found = run(plan, tasks, tmp_path, engine=SERIAL)
    assert statuses(found) == [("done", 4), ("done", 4)]
    rows = table(plan, tmp_path).to_dict("records")
    for row, task in zip(rows, tasks, strict=True):
        whole = loso(task.recognizer, task.dataset, jobs=1).as_dict()
        for metric in ("UF1", "UAR", "WAR"):
            for key in (metric, f"{metric}_low", f"{metric}_high", f"{metric}_majority"):
                assert row[key] == pytest.approx(whole[key], abs=1e-12)
        assert row["clips"] == 24
        assert row["microexp"] == whole["versions"][0]["microexp"]
    assert rows[1]["WAR"] == 1.0  # the signal is planted
    assert (rows[0]["published_UF1"], rows[0]["published_UAR"], rows[0]["published_FLOPs"]) == (
        0.5,
        0.25,
        "1_G",
    )
    assert rows[0]["published_protocol"] == "epoch chosen on the test subject"
    assert pd.isna(rows[1]["published_UF1"])


def test_what_is_done_is_not_done_again(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path, engine=SERIAL)
    before = fold_times(tmp_path)
    run(*planned(root), tmp_path, engine=SERIAL)
    assert fold_times(tmp_path) == before
    assert len(before) == 8


@pytest.mark.parametrize("error", [RuntimeError("cuda"), MemoryError("full")])
def test_a_job_that_fails_is_recorded_and_the_others_go_on(
    tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fit = LinearSVM.fit

    def broken(recognizer: LinearSVM, *arguments: Any, **options: Any) -> LinearSVM:
        if recognizer.C == 1e-7:
            raise error
        return fit(recognizer, *arguments, **options)

    plan, tasks = planned(root)
    with monkeypatch.context() as patch:
        patch.setattr(LinearSVM, "fit", broken)
        found = run(plan, tasks, tmp_path, engine=SERIAL)
    assert statuses(found) == [("failed", 0), ("done", 4)]
    assert found[0].reason == f"{type(error).__name__}: {error}"
    (record,) = (tmp_path / "failed").iterdir()
    assert "Traceback" in record.read_text()
    rows = table(plan, tmp_path)
    assert rows["status"].tolist() == ["failed", "done"]
    assert rows.loc[0, ["UF1", "UF1_low", "UF1_majority"]].isna().all()
    for file in ("report.html", "table.tex"):
        assert "1 of 2 rows are not complete" in (tmp_path / file).read_text()
    assert statuses(run(plan, tasks, tmp_path, engine=SERIAL)) == [("failed", 0), ("done", 4)]
    again = run(plan, tasks, tmp_path, engine=SERIAL, retry_failed=True)
    assert statuses(again) == [("done", 4), ("done", 4)]
    assert not list((tmp_path / "failed").iterdir())


def test_a_row_that_cannot_run_on_these_data_fails_with_the_reason(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(
        root, TEXT.replace("strong, method: linear_svm, params: {C: 0.1}", "x, method: lbp_top")
    )
    found = run(plan, tasks, tmp_path, engine=SERIAL)
    assert statuses(found) == [("done", 4), ("failed", 0)]
    assert "needs the frames" in found[1].reason
    assert "needs the frames" in table(plan, tmp_path).loc[1, "reason"]


@pytest.mark.parametrize(("row", "fold"), [(1, 1), (1, 3), (2, 2)])
def test_interrupted_it_goes_on_to_the_same_table(tmp_path: Path, root: str, row: int, fold: int) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path / "whole", engine=SERIAL)

    def interrupt(what: str, done: int, total: int) -> None:
        if (what, done) == ("units", (row - 1) * 5 + 1 + fold):  # a job has its features and four folds
            raise KeyboardInterrupt

    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        run(plan, tasks, out, engine=SERIAL, progress=interrupt)
    before = fold_times(out)
    assert len(before) == (row - 1) * 4 + fold
    state = states(plan, out)[row - 1]
    assert (state.status, state.folds) == ("partial", fold)
    assert table(plan, out)["UF1"].notna().sum() == row - 1  # nothing of what is incomplete
    run(plan, tasks, out, engine=SERIAL)
    assert {file: time for file, time in fold_times(out).items() if file in before} == before
    whole, resumed = (write_reports(plan, folder)[0] for folder in (tmp_path / "whole", out))
    assert whole.read_bytes() == resumed.read_bytes()


def test_a_fold_that_is_lost_makes_its_row_incomplete(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path, engine=SERIAL)
    next(iter(fold_times(tmp_path))).write_text("{")
    assert sorted(statuses(states(plan, tmp_path))) == [("done", 4), ("partial", 3)]
    assert table(plan, tmp_path)["UF1"].isna().sum() == 1


def test_another_seed_keeps_the_folds_there_are(tmp_path: Path, root: str) -> None:
    run(*planned(root), tmp_path, engine=SERIAL)
    before = fold_times(tmp_path)
    plan, tasks = planned(root, seeds=(0, 5))
    assert statuses(states(plan, tmp_path)) == [("partial", 4), ("partial", 4)]
    assert table(plan, tmp_path)["UF1"].isna().all()
    assert statuses(run(plan, tasks, tmp_path, engine=SERIAL)) == [("done", 8), ("done", 8)]
    assert {file: time for file, time in fold_times(tmp_path).items() if file in before} == before
    assert table(plan, tmp_path)["UF1_sd"].notna().all()


def test_rows_and_specs_that_say_the_same_share_one_run(tmp_path: Path, root: str) -> None:
    text = TEXT.replace("C: 1e-7", "C: 0.1")
    plan, tasks = planned(root, text)
    found = run(plan, tasks, tmp_path, engine=SERIAL)
    assert statuses(found) == [("done", 4), ("done", 4)]
    assert found[0].folder == found[1].folder
    other = planned(root, "title: t\nrecognisers: [{label: again, method: linear_svm, params: {C: 0.1}}]\n")
    before = fold_times(tmp_path)
    assert statuses(run(*other, tmp_path, engine=SERIAL)) == [("done", 4)]
    assert fold_times(tmp_path) == before
    assert len(before) == 4


def test_leaking_figures_are_marked_everywhere_and_the_honest_ones_stand_below(
    tmp_path: Path, root: str
) -> None:
    with pytest.warns(UserWarning, match="LEAK"):
        plan, tasks = planned(root, NET, selection="test-fold")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(plan, tasks, tmp_path, engine=SERIAL)
    rows = table(plan, tmp_path)
    assert rows["rule"].tolist() == ["LEAKS: epoch chosen on the test subject", "last epoch"]
    assert rows["UF1"][0] >= rows["UF1"][1]
    for file in ("table.csv", "table.tex", "report.html"):
        assert "LEAKS" in (tmp_path / file).read_text()
    assert '<tr class="leak">' in (tmp_path / "report.html").read_text()


def test_the_report_is_one_well_formed_file_that_says_what_was_changed(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root, params={"class_weight": None}, seeds=(0, 1))
    run(plan, tasks, tmp_path, engine=SERIAL)
    html = write_reports(plan, tmp_path)[2].read_text()
    parser = Balance()
    parser.feed(html)
    assert not parser.faults
    assert not parser.open
    assert "Small &amp; &lt;b&gt;quick&lt;/b&gt;" in html
    assert not re.search(r'src="(?!data:)', html)
    assert not re.search(r'href="(\w+:)?/', html)  # links lead to the folders of the runs
    for words in ("class_weight = None for every recogniser", "seeds 0, 1", "A note.", "on MEGC2019"):
        assert words in html
    assert "epoch chosen on the test subject" in html
    for row in table(plan, tmp_path).to_dict("records"):
        assert f"{row['UF1']:.4f} &plusmn; {row['UF1_sd']:.4f}" in html
    assert (table(plan, tmp_path)["changes"] == "class_weight = None for every recogniser; seeds 0, 1").all()


def test_the_latex_table_has_as_many_cells_in_each_row_as_it_has_columns(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path, engine=SERIAL)
    tex = write_reports(plan, tmp_path)[1].read_text()
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lrc]+)\}", tex)
    body = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len(body) == 3
    assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in body)
    assert r"weak 10 \%" in body[1]
    assert r"1\_G" in body[1]
    assert all(line.startswith(("%", "\\")) for line in tex.splitlines() if line and line not in body)


def test_a_shipped_table_runs_in_a_reduced_size_and_says_so(tmp_path: Path) -> None:
    small = {"size": 32, "epochs": 1, "apex_shifts": False, "dims": (4, 8), "depths": (1, 1), "device": "cpu"}
    data = {"n_subjects": 2, "clips_per_subject": 8, "size": 64}
    spec = load_spec("bowam_table6", Changes(database="synthetic", data=data, params=small, prepare=[]))
    tasks = make_tasks(spec)
    plan = make_plan(spec, tasks)
    found = run(plan, tasks, tmp_path, engine=SERIAL)
    assert statuses(found) == [("done", 2), ("done", 2)], found[0].reason
    rows = table(plan, tmp_path)
    assert rows["published_UF1"].tolist() == [0.9090, 0.8928]
    assert rows["changes"].str.contains("size = 32").all()


@pytest.mark.parametrize("name", ["joblib", "dask"])
def test_every_engine_gives_the_same_table(tmp_path: Path, root: str, name: str) -> None:
    if name == "dask":
        pytest.importorskip("distributed")
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path / "serial", engine=SERIAL)
    assert statuses(run(plan, tasks, tmp_path / name, engine=make_engine(name, 2))) == [("done", 4)] * 2
    one, other = (write_reports(plan, tmp_path / folder)[0].read_bytes() for folder in ("serial", name))
    assert one == other
    assert not list((tmp_path / name / "locks").iterdir())


def test_the_bars_come_to_their_ends(tmp_path: Path, root: str) -> None:
    told: dict[str, list[tuple[int, int]]] = {"units": [], "seconds of work": []}
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path, engine=SERIAL, progress=lambda what, *counts: told[what].append(counts))
    done = [counts[0] for counts in told["units"]]
    assert done == sorted(done)
    assert {counts[1] for counts in told["units"]} == {10}
    assert (done[0], done[-1]) == (0, 10)
    assert all(0 <= seconds <= total for seconds, total in told["seconds of work"])
    assert told["seconds of work"][0] == (0, 10)  # of nothing is known how long it takes
    assert len(set(told["seconds of work"][-1])) == 1


def test_what_another_runner_is_at_is_waited_for(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root)
    weak, strong = (job.key for job in plan.jobs)
    (tmp_path / "locks").mkdir()
    fold, features = (Lock(tmp_path / "locks" / f"{n}.lock") for n in (f"{weak}-0-2", f"{strong}-features"))
    assert fold.acquire()
    assert features.acquire()
    waited = []

    def other() -> None:
        deadline = time.monotonic() + 60
        while len(fold_times(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        waited.extend(statuses(states(plan, tmp_path)))
        failure_file(strong, tmp_path).write_text('{"label": "strong", "reason": "no memory"}')
        fold.release()
        features.release()

    thread = threading.Thread(target=other)
    thread.start()
    found = run(plan, tasks, tmp_path, engine=SERIAL)
    thread.join()
    assert waited == [("partial", 3), ("to do", 0)]  # all that nobody else was at
    assert statuses(found) == [("done", 4), ("failed", 0)]  # what failed elsewhere is not tried here
    assert found[1].reason == "no memory"


def in_forks(root: str, out: Path, runners: int, kill: tuple[str, int]) -> None:
    """Run the grid in some processes at once, each of which may kill itself before a unit or a rename."""
    plan, tasks = planned(root)
    compute, flush = Experiment.fold_result, os.fsync

    def counted(experiment: Experiment, features: Any, fold: Any, seed: int) -> Any:
        with (out.parent / "computed").open("a") as log:
            log.write(f"{experiment.store.key}-{seed}-{fold.number}\n")
        time.sleep(0.02)
        return compute(experiment, features, fold, seed)

    moments: Counter[str] = Counter()

    def count(moment: str) -> None:
        moments[moment] += 1
        if (moment, moments[moment]) == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    def flushed(handle: int) -> None:
        flush(handle)
        count("rename")

    Experiment.fold_result, os.fsync = counted, flushed
    children = []
    for _ in range(runners):
        child = os.fork()
        if child == 0:
            run(plan, tasks, out, engine=SERIAL, progress=lambda what, done, total: count(what))
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [-signal.SIGKILL if kill[1] else 0] * runners, codes


def fork_in_a_fresh_process(root: str, out: Path, runners: int, kill: tuple[str, int]) -> None:
    """Forks need a process without threads."""
    code = (
        "from pathlib import Path\nfrom tests.benchmark.test_run import in_forks\n"
        f"in_forks({root!r}, Path({str(out)!r}), {runners}, {kill!r})"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("kill", [("units", 5), ("rename", 7), ("rename", 17)])
def test_a_runner_that_was_killed_is_resumed_to_the_same_table(
    tmp_path: Path, root: str, kill: tuple[str, int]
) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path / "whole", engine=SERIAL)
    out = tmp_path / "cut"
    fork_in_a_fresh_process(root, out, 1, kill)
    before = fold_times(out)
    assert 0 < len(before) < 8
    assert statuses(run(plan, tasks, out, engine=SERIAL)) == [("done", 4), ("done", 4)]
    assert {file: time for file, time in fold_times(out).items() if file in before} == before
    whole, resumed = (write_reports(plan, folder)[0].read_bytes() for folder in (tmp_path / "whole", out))
    assert whole == resumed
    assert not list((out / "locks").iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_runners_at_once_compute_every_fold_once(tmp_path: Path, root: str) -> None:
    fork_in_a_fresh_process(root, tmp_path / "out", 3, ("never", 0))
    computed = Counter((tmp_path / "computed").read_text().split())
    assert len(computed) == 8
    assert set(computed.values()) == {1}
    assert statuses(states(planned(root)[0], tmp_path / "out")) == [("done", 4), ("done", 4)]


def test_a_full_disk_ends_the_run_with_one_sentence_and_loses_nothing(
    tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, tasks = planned(root)
    flush, flushed = os.fsync, []

    def full(handle: int) -> None:
        flushed.append(handle)
        if len(flushed) > 7:
            raise OSError(28, "No space left on device")
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=rf"{re.escape(str(tmp_path))}.*No space left on device"):
            run(plan, tasks, tmp_path, engine=SERIAL)
    before = fold_times(tmp_path)
    assert 0 < len(before) < 4
    assert not list((tmp_path / "failed").iterdir())  # it is not the job's fault
    assert not list(tmp_path.rglob("*.tmp"))
    assert statuses(run(plan, tasks, tmp_path, engine=SERIAL)) == [("done", 4), ("done", 4)]
    assert {file: time for file, time in fold_times(tmp_path).items() if file in before} == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=f"{re.escape(str(tmp_path / 'file' / 'out'))} cannot be written"):
        run(*planned(root), tmp_path / "file" / "out", engine=SERIAL)


@dataclass(frozen=True)
class Measured:
    """What stands in for the quality of a variant."""

    key: str
    work: Callable[[Path], object]
    variant: str = "EDSR 64to256"
    database: str = "made"
    kind: str = "quality"
    runs: list[str] = field(default_factory=list)

    def is_done(self, out: Path) -> bool:
        return (out / self.key).exists()

    def run(self, out: Path) -> None:
        self.runs.append(self.key)
        self.work(out / self.key)


def test_qualities_are_measured_once_after_the_jobs_and_their_failures_are_kept(
    tmp_path: Path, root: str
) -> None:
    plan, tasks = planned(root)
    good, bad = Measured("good", Path.touch), Measured("bad", Path.read_text)
    for _ in range(2):
        found = run(plan, tasks, tmp_path, qualities=[good, bad, good], engine=SERIAL)
    assert statuses(found) == [("done", 4), ("done", 4)]
    assert (good.runs, bad.runs) == (["good"], ["bad"])
    ((label, reason),) = failures(["good", "bad"], tmp_path)
    assert label == "quality of EDSR 64to256 on made"
    assert "FileNotFoundError" in reason


def test_times_stand_apart_from_the_table(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path, engine=SERIAL)
    assert not [column for column in table(plan, tmp_path) if "second" in column]
    times = pd.read_csv(tmp_path / "times.csv")
    assert times["label"].tolist() == ["weak 10 %", "strong"]
    assert (times[["features_seconds", "seconds", "cpu_seconds"]] > 0).all(axis=None)
