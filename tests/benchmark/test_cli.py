from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from microexp.cli._common import Bars
from microexp.cli.benchmark import benchmark_app
from microexp.errors import MicroexpError
from tests.conftest import write_megc_tree

TEXT = """\
title: Small
recognisers:
  - {label: svm, method: linear_svm, published: {UF1: 0.5}}
published_protocol: epoch chosen on the test subject
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(benchmark_app, [str(a) for a in arguments])


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    return file


@pytest.fixture
def options(tmp_path: Path) -> list[object]:
    root = write_megc_tree(tmp_path / "megc")
    return ["--database", "megc2019_flow", "--root", root, "--out", tmp_path / "out", "--jobs", 1]


@pytest.mark.parametrize("command", [[], ["list"], ["plan"], ["run"], ["status"], ["report"]])
def test_every_command_has_help_that_teaches(command: list[str]) -> None:
    answer = run(*command, "--help")
    assert answer.exit_code == 0
    assert len(answer.output.split()) > 15


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['run', '--help']\n"
        "from microexp.cli.benchmark import benchmark_app\n"
        "try: benchmark_app()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'cv2', 'sklearn', 'pandas', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith("[]")


def test_list_names_the_shipped_tables() -> None:
    found = {spec["name"]: spec for spec in json.loads(run("list", "--json").stdout)}
    assert len(found["bowam_table4"]["rows"]) == 6
    assert "bowam_table11" in run("list").output


def test_plan_writes_nothing_and_run_status_and_report_go_on_from_there(
    tmp_path: Path, spec: Path, options: list[object]
) -> None:
    planned = json.loads(run("plan", spec, *options, "--no-probe", "--json").stdout)
    (job,) = planned["jobs"]
    assert (planned["spec"]["title"], planned["spec"]["protocol"]) == ("Small", "loso")  # a default, shown
    assert planned["factors"] == []
    assert "estimate" not in planned
    assert (job["status"], job["folds"], job["folds_done"]) == ("to do", 4, 0)
    assert not (tmp_path / "out").exists()
    answer = run("run", spec, *options, "--param", "C=0.1")
    assert answer.exit_code == 0
    assert "1.0000" in answer.output
    assert "C = 0.1 for every recogniser" in answer.output
    kept = ["--out", tmp_path / "out"]
    (done,) = json.loads(run("status", spec, *kept, "--json").stdout)["jobs"]
    assert (done["status"], done["summary"]["UF1"]) == ("done", 1.0)
    (tmp_path / "out" / "report.html").unlink()
    files = json.loads(run("report", spec, *kept, "--json").stdout)["files"]
    assert [Path(file).name for file in files] == ["table.csv", "table.tex", "report.html"]
    assert all(Path(file).is_file() for file in files)


def test_a_failed_job_gives_exit_code_1_and_its_reason(spec: Path, options: list[object]) -> None:
    spec.write_text(TEXT.replace("recognisers:", "recognisers:\n  - {label: lbp, method: lbp_top}"))
    answer = run("run", spec, *options)
    assert answer.exit_code == 1
    assert "lbp: LBPTOP needs the frames" in " ".join(answer.output.split())
    assert "done" in answer.output


def test_a_failed_job_is_run_again_only_if_told_so(tmp_path: Path, spec: Path, options: list[object]) -> None:
    assert run("run", spec, *options).exit_code == 0
    (folder,) = (tmp_path / "out" / "runs").iterdir()
    key = folder.name.rpartition("-")[2]
    (folder / "summary.json").unlink()
    (tmp_path / "out" / "failed" / f"{key}.json").write_text('{"label": "svm", "reason": "no memory"}')
    again = run("run", spec, *options)
    assert again.exit_code == 1
    assert "svm: no memory" in again.output
    assert run("run", spec, *options, "--retry-failed").exit_code == 0
    assert not list((tmp_path / "out" / "failed").iterdir())


def test_plan_says_what_it_will_cost(spec: Path, options: list[object]) -> None:
    answer = run("plan", spec, *options)
    assert answer.exit_code == 0
    assert "1 job, 4 folds" in answer.output
    assert "On 1 worker about" in answer.output
    expected = json.loads(run("plan", spec, *options, "--json").stdout)["estimate"]
    assert expected["units"]["fold"] == 4
    assert expected["workers"] == 1


def test_many_jobs_are_counted_and_not_listed(spec: Path, options: list[object]) -> None:
    spec.write_text("title: t\nrecognisers:\n")
    with spec.open("a") as stream:
        stream.writelines(
            f"  - {{label: r{k}, method: linear_svm, params: {{C: {k}.5}}}}\n" for k in range(41)
        )
    answer = run("plan", spec, *options, "--no-probe")
    assert answer.exit_code == 0
    assert "0/41" in answer.output
    assert "r17" not in answer.output


def test_report_takes_what_to_show_beside_it(spec: Path, options: list[object]) -> None:
    assert run("run", spec, *options).exit_code == 0
    kept = ["report", spec, "--out", options[-3]]
    assert run(*kept, "--against", "published").exit_code == 0
    assert run(*kept, "--against", "nobody").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "bowam_tabel4"], "mean 'bowam_table4'"),
        (["plan", "bowam_table4"], "--database NAME"),
        (["plan", "bowam_table4", "--database", "sinthetic"], "mean 'synthetic'"),
        (["plan", "bowam_table4", "--database", "casme2"], "--root DIR"),
        (["plan", "bowam_table4", "--database", "synthetic", "--param", "size"], "takes NAME=VALUE"),
        (["run", "bowam_table4", "--database", "synthetic", "--param", "sice=3"], "mean 'size'"),
        (["run", "bowam_table8", "--database", "synthetic", "--param", "ratio=3"], "sets it itself"),
        (["status", "bowam_table4", "--out", "no/such"], "holds no benchmark"),
        (["run", "bowam_table4", "--scheduler", "tcp://x:1"], "is for the engine dask"),
        (["run", "bowam_table4", "--jobs", "0"], "jobs must be 1 or more"),
    ],
)
def test_bad_input_gets_one_clear_error_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run(*arguments)
    assert isinstance(answer.exception, MicroexpError)
    assert message in str(answer.exception)
    assert not list(tmp_path.iterdir())


def test_leaking_selection_is_warned_of_once(spec: Path, options: list[object]) -> None:
    spec.write_text("title: t\ndefaults: {epochs: 2, device: cpu}\nrecognisers:\n")
    with spec.open("a") as stream:
        stream.writelines(f"  - {{label: n{k}, method: ststnet, params: {{lr: {k}.0}}}}\n" for k in (1, 2))
    answer = run("plan", spec, *options, "--selection", "test-fold", "--no-probe")
    assert answer.output.count("LEAK") == 1


def test_ctrl_c_keeps_what_is_finished_and_says_so(
    tmp_path: Path, spec: Path, options: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(bars: Bars, what: str, done: int, total: int) -> None:
        if (what, done) == ("units", 3):  # the features and two folds
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bars, "update", interrupt)
        answer = run("run", spec, *options)
    assert answer.exit_code == 130
    assert "run the same command to go on" in " ".join(answer.output.split())
    folds = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("runs/*/folds/*.json")}
    assert len(folds) == 2
    assert json.loads(run("run", spec, *options, "--json").stdout)["jobs"][0]["status"] == "done"
    assert {p: p.stat().st_mtime_ns for p in folds} == folds
