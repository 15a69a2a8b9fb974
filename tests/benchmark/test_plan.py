from __future__ import annotations

from pathlib import Path

import pytest

from microexp.benchmark import Changes, Plan, SpecError, load_spec, make_plan, make_tasks
from microexp.benchmark.spec import parse_spec
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError
from microexp.evaluate.loso import run_config
from microexp.evaluate.store import run_key
from tests.conftest import write_megc_tree

TEXT = """\
title: Small
databases:
  - name: synthetic
    params: {n_subjects: 3, clips_per_subject: 3, size: 64}
recognisers:
  - {label: SVM, method: linear_svm}
  - {label: LBP, method: lbp_top}
seeds: [0, 1]
"""


def test_a_job_is_a_row_on_a_database_and_its_key_that_of_the_run() -> None:
    spec = parse_spec(TEXT, "small.yaml")
    tasks = make_tasks(spec)
    plan = make_plan(spec, tasks)
    assert [(job.label, job.database, job.clips, job.folds) for job in plan.jobs] == [
        ("SVM", "synthetic", 9, 6),
        ("LBP", "synthetic", 9, 6),
    ]
    for task in tasks:
        config = run_config(task.recognizer, task.dataset, "last-epoch", None)
        assert task.job.key == run_key(config)
        assert not task.job.problem


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    spec = parse_spec(TEXT, "small.yaml", Changes(params={"class_weight": None}))
    plan = make_plan(spec, make_tasks(spec))
    plan.write(tmp_path / "out")
    assert Plan.read(tmp_path / "out", "small") == plan
    assert [job.key for job in Plan.read(tmp_path / "out", "small").jobs] == [job.key for job in plan.jobs]
    assert plan.factors == []
    assert plan.spec["seeds"] == [0, 1]
    assert plan.spec["protocol"] == "loso"
    assert plan.spec["databases"][0]["params"] == {"n_subjects": 3, "clips_per_subject": 3, "size": 64}
    with pytest.raises(OptionError, match="holds the benchmark small, not large"):
        Plan.read(tmp_path / "out", "large")
    with pytest.raises(PathMissingError, match="holds no benchmark"):
        Plan.read(tmp_path / "elsewhere", "small")
    (tmp_path / "out" / "plan.json").write_text('{"name": "small"')
    with pytest.raises(DataError, match="is damaged"):
        Plan.read(tmp_path / "out", "small")


def test_networks_are_counted_and_others_are_not() -> None:
    text = TEXT.replace("LBP, method: lbp_top", "net, method: ststnet")
    svm, net = (task.job for task in make_tasks(parse_spec(text, "small.yaml")))
    assert (svm.parameters, svm.multiply_adds) == (None, None)
    assert net.parameters == 1683  # counted in the published weights


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: synthetic", "name: sinthetic", r"line 3, databases\[0\].name: .* mean 'synthetic'"),
        ("n_subjects", "subjects", r"line 4, databases\[0\].params.subjects: .* no parameter 'subjects'"),
        ("    params", "    labels: megc\n    params", r"line 4, databases\[0\].labels: .* megc3"),
        ("name: synthetic", "name: megc2019_flow", r"line 4, databases\[0\].params.n_subjects"),
        ("title: Small", "title: S\nprepare: [alinger]", r"line 2, prepare\[0\]: .* mean 'aligner'"),
        ("title: Small", "title: S\nprepare: ['apex:on']", r"line 2, prepare\[0\]: .* takes NAME=VALUE"),
        ("title: Small", "title: S\nprepare: ['apex:x=1']", r"line 2, prepare\[0\]: .* no parameter 'x'"),
    ],
)
def test_a_fault_of_the_data_is_named_by_line_and_key(old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"bad.yaml, {message}"):
        make_tasks(parse_spec(TEXT.replace(old, new), "bad.yaml"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(), "names no database to run on: --database NAME"),
        (Changes(database="sinthetic"), "--database: unknown database 'sinthetic'"),
        (Changes(database="megc2019_flow"), "--database: .*--root DIR"),
        (Changes(database="megc2019_flow", root="no/such"), "--root: .*no/such does not exist"),
        (Changes(database="synthetic", labels="megc"), "--labels: .*megc3"),
        (Changes(database="synthetic", data={"sice": 3}), "--data sice: .* mean 'size'"),
    ],
)
def test_a_fault_of_an_option_is_named_by_it(changes: Changes, message: str) -> None:
    text = "title: t\nrecognisers: [{label: a, method: linear_svm}]\n"
    with pytest.raises(MicroexpError, match=message):
        make_tasks(parse_spec(text, "t.yaml", changes))


def test_an_option_for_one_database_is_refused_where_there_are_two() -> None:
    text = TEXT.replace("databases:", "databases:\n  - name: megc2019_flow")
    with pytest.raises(
        OptionError, match="--labels is for one database, the spec has megc2019_flow, synthetic"
    ):
        make_tasks(parse_spec(text, "t.yaml", Changes(labels="megc3")))


def test_a_row_that_cannot_run_on_a_database_says_so_and_hinders_no_other(tmp_path: Path) -> None:
    root = write_megc_tree(tmp_path / "megc")
    spec = parse_spec(TEXT, "small.yaml", Changes(database="megc2019_flow", root=str(root)))
    svm, lbp = (task.job for task in make_tasks(spec))
    assert not svm.problem
    assert "needs the frames" in lbp.problem


def test_clips_are_prepared_and_it_is_said() -> None:
    spec = parse_spec(TEXT, "small.yaml", Changes(prepare=["apex"]))
    plain = make_tasks(parse_spec(TEXT, "small.yaml"))[0].job
    prepared = make_tasks(spec, jobs=1)[0].job
    assert any("prepared by ApexSpotter" in remark for remark in prepared.remarks)
    assert prepared.key != plain.key


def test_a_row_may_have_a_preparation_of_its_own() -> None:
    text = TEXT.replace("method: lbp_top", 'method: lbp_top, prepare: ["bicubic:scale=2"]')
    plain, enlarged = (task.dataset for task in make_tasks(parse_spec(text, "small.yaml"), jobs=1))
    assert plain.clips is not None
    assert enlarged.clips is not None
    assert enlarged.clips[0].size == tuple(2 * side for side in plain.clips[0].size)
    assert enlarged.fingerprint != plain.fingerprint
    wrong = text.replace("scale=2", "scale=0")
    with pytest.raises(SpecError, match=r"small\.yaml.*prepare.*scale"):
        make_tasks(parse_spec(wrong, "small.yaml"), jobs=1)


def test_folds_are_those_of_the_protocol() -> None:
    text = TEXT.replace("n_subjects: 3", "n_subjects: 11").replace(
        "clips_per_subject: 3", "clips_per_subject: 1"
    )
    loso, by_subject = (
        make_tasks(parse_spec(part, "small.yaml"))[0].job for part in (text, f"{text}protocol: subjects-5\n")
    )
    assert (loso.subjects, loso.n_folds, loso.folds) == (11, 11, 22)
    assert (by_subject.subjects, by_subject.n_folds, by_subject.folds) == (11, 5, 10)
    assert loso.key != by_subject.key


def test_a_protocol_that_the_subjects_are_too_few_for_is_a_problem_of_the_job() -> None:
    job = make_tasks(parse_spec(f"{TEXT}protocol: subjects-5\n", "small.yaml"))[0].job
    assert "needs 10 subjects" in job.problem
    assert job.folds == 0


def test_a_shipped_table_plans_on_any_database() -> None:
    data = {"n_subjects": 2, "clips_per_subject": 2, "size": 64}
    spec = load_spec("bowam_table10", Changes(database="synthetic", data=data, prepare=[]))
    jobs = [task.job for task in make_tasks(spec)]
    # The totals of a scratch build of the published network, counted apart from this package.
    assert [job.parameters for job in jobs] == [14_007_345, 31_475_175, 101_062_941]
    assert not any(job.problem for job in jobs)
