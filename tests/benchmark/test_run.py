from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

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
from microexp.benchmark.spec import parse_spec
from microexp.evaluate import loso
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
    found = run(plan, tasks, tmp_path, jobs=1)
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
    run(plan, tasks, tmp_path, jobs=1)
    before = fold_times(tmp_path)
    run(*planned(root), tmp_path, jobs=1)
    assert fold_times(tmp_path) == before
    assert len(before) == 8


@pytest.mark.parametrize("error", [RuntimeError("cuda"), MemoryError("full")])
def test_a_job_that_fails_is_recorded_and_the_others_go_on(
    tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(recognizer: object, *arguments: object, **options: object) -> object:
        if recognizer.C == 1e-7:
            raise error
        return loso(recognizer, *arguments, **options)

    plan, tasks = planned(root)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["microexp.benchmark.run"], "loso", broken)
        found = run(plan, tasks, tmp_path, jobs=1)
    assert statuses(found) == [("failed", 0), ("done", 4)]
    assert found[0].reason == f"{type(error).__name__}: {error}"
    (record,) = (tmp_path / "failed").iterdir()
    assert "Traceback" in record.read_text()
    rows = table(plan, tmp_path)
    assert rows["status"].tolist() == ["failed", "done"]
    assert rows.loc[0, ["UF1", "UF1_low", "UF1_majority", "seconds"]].isna().all()
    for file in ("report.html", "table.tex"):
        assert "1 of 2 rows are not complete" in (tmp_path / file).read_text()
    assert statuses(run(plan, tasks, tmp_path, jobs=1)) == [("done", 4), ("done", 4)]
    assert not list((tmp_path / "failed").iterdir())


def test_a_row_that_cannot_run_on_these_data_fails_with_the_reason(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(
        root, TEXT.replace("strong, method: linear_svm, params: {C: 0.1}", "x, method: lbp_top")
    )
    found = run(plan, tasks, tmp_path, jobs=1)
    assert statuses(found) == [("done", 4), ("failed", 0)]
    assert "needs the frames" in found[1].reason
    assert "needs the frames" in table(plan, tmp_path).loc[1, "reason"]


@pytest.mark.parametrize(("row", "fold"), [(1, 1), (1, 3), (2, 2)])
def test_interrupted_it_goes_on_to_the_same_table(tmp_path: Path, root: str, row: int, fold: int) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path / "whole", jobs=1)

    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith(f"{row}/2") and what.endswith("folds") and done == fold:
            raise KeyboardInterrupt

    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        run(plan, tasks, out, jobs=1, progress=interrupt)
    before = fold_times(out)
    assert len(before) == (row - 1) * 4 + fold
    state = states(plan, out)[row - 1]
    assert (state.status, state.folds) == ("partial", fold)
    assert table(plan, out)["UF1"].notna().sum() == row - 1  # nothing of what is incomplete
    run(plan, tasks, out, jobs=1)
    assert {file: time for file, time in fold_times(out).items() if file in before} == before
    whole, resumed = (table(plan, folder).drop(columns="seconds") for folder in (tmp_path / "whole", out))
    pd.testing.assert_frame_equal(whole, resumed)


def test_a_fold_that_is_lost_makes_its_row_incomplete(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path, jobs=1)
    next(iter(fold_times(tmp_path))).write_text("{")
    assert sorted(statuses(states(plan, tmp_path))) == [("done", 4), ("partial", 3)]
    assert table(plan, tmp_path)["UF1"].isna().sum() == 1


def test_another_seed_keeps_the_folds_there_are(tmp_path: Path, root: str) -> None:
    run(*planned(root), tmp_path, jobs=1)
    before = fold_times(tmp_path)
    plan, tasks = planned(root, seeds=(0, 5))
    assert statuses(states(plan, tmp_path)) == [("partial", 4), ("partial", 4)]
    assert table(plan, tmp_path)["UF1"].isna().all()
    assert statuses(run(plan, tasks, tmp_path, jobs=1)) == [("done", 8), ("done", 8)]
    assert {file: time for file, time in fold_times(tmp_path).items() if file in before} == before
    assert table(plan, tmp_path)["UF1_sd"].notna().all()


def test_rows_and_specs_that_say_the_same_share_one_run(tmp_path: Path, root: str) -> None:
    text = TEXT.replace("C: 1e-7", "C: 0.1")
    plan, tasks = planned(root, text)
    found = run(plan, tasks, tmp_path, jobs=1)
    assert statuses(found) == [("done", 4), ("done", 4)]
    assert found[0].folder == found[1].folder
    other = planned(root, "title: t\nrecognisers: [{label: again, method: linear_svm, params: {C: 0.1}}]\n")
    before = fold_times(tmp_path)
    assert statuses(run(*other, tmp_path, jobs=1)) == [("done", 4)]
    assert fold_times(tmp_path) == before
    assert len(before) == 4


def test_leaking_figures_are_marked_everywhere_and_the_honest_ones_stand_below(
    tmp_path: Path, root: str
) -> None:
    with pytest.warns(UserWarning, match="LEAK"):
        plan, tasks = planned(root, NET, selection="test-fold")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(plan, tasks, tmp_path, jobs=1)
    rows = table(plan, tmp_path)
    assert rows["rule"].tolist() == ["LEAKS: epoch chosen on the test subject", "last epoch"]
    assert rows["UF1"][0] >= rows["UF1"][1]
    for file in ("table.csv", "table.tex", "report.html"):
        assert "LEAKS" in (tmp_path / file).read_text()
    assert '<tr class="leak">' in (tmp_path / "report.html").read_text()


def test_the_report_is_one_well_formed_file_that_says_what_was_changed(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root, params={"class_weight": None}, seeds=(0, 1))
    run(plan, tasks, tmp_path, jobs=1)
    html = write_reports(plan, tmp_path)[2].read_text()
    parser = Balance()
    parser.feed(html)
    assert not parser.faults
    assert not parser.open
    assert "Small &amp; &lt;b&gt;quick&lt;/b&gt;" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "<script" not in html
    for words in ("class_weight = None for every recogniser", "seeds 0, 1", "A note.", "on MEGC2019"):
        assert words in html
    assert html.count("epoch chosen on the test subject") == 1
    for row in table(plan, tmp_path).to_dict("records"):
        assert f"{row['UF1']:.4f} &plusmn; {row['UF1_sd']:.4f}" in html
    assert (table(plan, tmp_path)["changes"] == "class_weight = None for every recogniser; seeds 0, 1").all()


def test_the_latex_table_has_as_many_cells_in_each_row_as_it_has_columns(tmp_path: Path, root: str) -> None:
    plan, tasks = planned(root)
    run(plan, tasks, tmp_path, jobs=1)
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
    found = run(plan, tasks, tmp_path, jobs=1)
    assert statuses(found) == [("done", 2), ("done", 2)], found[0].reason
    rows = table(plan, tmp_path)
    assert rows["published_UF1"].tolist() == [0.9090, 0.8928]
    assert rows["changes"].str.contains("size = 32").all()
