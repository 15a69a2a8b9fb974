from __future__ import annotations

import json
import pickle
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from microexp.cli import app, main
from tests.conftest import write_megc_tree

SHEET = "combined_3_class2_for_optical_flow.csv"
IMAGES = "STSNet_whole_norm_u_v_os"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "microexp.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    """The one error of a command that failed as it should."""
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error:") == 1
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"], ["cite", "ststnet"]])
def test_help_and_lists_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv[1:] = {arguments!r}\n"
        "from microexp.cli import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'sklearn', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout
    assert answer.stderr.strip().endswith("heavy: []")


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["list"],
        ["cite"],
        ["evaluate"],
        ["demo"],
        ["datasets"],
        ["benchmark"],
        ["benchmark", "list"],
        ["benchmark", "plan"],
        ["benchmark", "run"],
        ["benchmark", "status"],
        ["benchmark", "report"],
        ["upscale"],
        ["magnify"],
        ["train"],
        ["train", "superres"],
        ["weights"],
        ["weights", "list"],
        ["weights", "get"],
        ["weights", "convert"],
        ["cache"],
        ["cache", "info"],
        ["cache", "clear"],
        ["datasets", "check"],
        ["datasets", "synthesize"],
    ],
)
def test_every_command_has_help_that_teaches(command: list[str]) -> None:
    answer = CliRunner().invoke(app, [*command, "--help"])
    assert answer.exit_code == 0
    assert len(answer.output.split()) > 15


def test_list_shows_licence_and_source_of_everything() -> None:
    cards = {card["name"]: card for card in json.loads(run("list", "--json").stdout)}
    assert cards["ststnet"]["paper"]["year"] == 2019
    assert cards["ststnet"]["parameters"] == 1683
    assert "evaluation only" in cards["megc2019_flow"]["licence"]
    assert "linear_svm" in run("list", "recognize").stdout


def test_cite_prints_bibtex() -> None:
    answer = run("cite", "ststnet", "linear_svm")
    assert "@article{ststnet," in answer.stdout
    assert "% linear_svm" in answer.stdout


def test_the_installed_command_reports_errors_as_the_module_does() -> None:
    command = next(p for p in entry_points(group="console_scripts") if p.name == "microexp")
    assert command.load() is main


def test_version() -> None:
    from microexp import __version__

    assert run("--version").stdout.strip() == __version__


def test_evaluate_prints_json_and_writes_tables_and_report(tmp_path: Path) -> None:
    root = write_megc_tree(tmp_path / "m")
    out = tmp_path / "run"
    answer = run(
        "evaluate", "linear_svm", "--database", "megc2019_flow", "--root", root, "--out", out,
        "--param", "C=0.1", "--seed", 0, "--seed", 1, "--jobs", 1, "--json",
    )  # fmt: skip
    result = json.loads(answer.stdout)
    assert result["UF1"] == 1.0
    assert result["UF1_majority"] == pytest.approx(1 / 6)
    assert result["config"]["params"]["C"] == 0.1
    assert result["seeds"] == [0, 1]
    assert result["leaks"] is False
    assert {
        "run.json",
        "folds",
        "features.npy",
        "features.json",
        "table.csv",
        "predictions.csv",
        "summary.json",
        "report.html",
    } == {p.name for p in out.iterdir()}


def test_evaluate_marks_leaking_figures_in_every_output(tmp_path: Path) -> None:
    root, out = write_megc_tree(tmp_path / "m"), tmp_path / "run"
    answer = run(
        "evaluate", "ststnet", "--database", "megc2019_flow", "--root", root, "--out", out,
        "--epochs", 2, "--selection", "test-fold", "--jobs", 1,
    )  # fmt: skip
    assert answer.returncode == 0
    assert "LEAK" in answer.stderr
    assert "LEAKS" in answer.stdout
    assert "last epoch" in answer.stdout
    for name in ("table.csv", "predictions.csv", "summary.json", "report.html"):
        assert "LEAKS" in (out / name).read_text(), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "ststnett", "--database", "synthetic"], "Did you mean 'ststnet'?"),
        (["evaluate", "linear_svm", "--database", "sinthetic"], "Did you mean 'synthetic'?"),
        (["evaluate", "linear_svm", "--database", "megc2019_flow"], "--root DIR"),
        (
            ["evaluate", "linear_svm", "--database", "megc2019_flow", "--root", "no/such"],
            "no/such does not exist",
        ),
        (["evaluate", "linear_svm", "--database", "synthetic", "--epochs", "3"], "no parameter 'epochs'"),
        (["evaluate", "linear_svm", "--database", "synthetic", "--param", "C"], "takes NAME=VALUE, got 'C'"),
        (["evaluate", "linear_svm", "--database", "synthetic", "--labels", "megc"], "megc3"),
        (["evaluate", "lbp_top", "--database", "synthetic", "--selection", "last"], "last-epoch"),
        (["list", "recognise"], "Did you mean 'recognize'?"),
        (["cite", "stsnet"], "Did you mean 'ststnet'?"),
        (["datasets", "check", "megc2019_flow", "no/such"], "does not exist"),
        (["datasets", "check", "megc"], "Did you mean 'megc2019'?"),
    ],
)
def test_bad_input_gets_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in complaint(run(*arguments))
    assert not list(tmp_path.iterdir())


def damage_nothing(root: Path) -> None:
    for file in root.rglob("*"):
        if file.is_file():
            file.unlink()
    for folder in sorted(root.rglob("*"), reverse=True):
        folder.rmdir()


def truncate_a_png(root: Path) -> None:
    file = root / IMAGES / "s02_clip13 .png"
    file.write_bytes(file.read_bytes()[:200])


def drop_a_column(root: Path) -> None:
    text = (root / SHEET).read_text().replace("label", "etikett")
    (root / SHEET).write_text(text)


def repeat_a_row(root: Path) -> None:
    lines = (root / SHEET).read_text().splitlines()
    (root / SHEET).write_text("\n".join([*lines, lines[4]]) + "\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nothing, "is empty"),
        (truncate_a_png, "s02_clip13 .png"),
        (drop_a_column, "lacks the column(s) label"),
        (repeat_a_row, "row 26"),
    ],
)
def test_a_damaged_database_gets_one_clear_error_and_nothing_is_written(
    tmp_path: Path, damage: object, message: str
) -> None:
    root = write_megc_tree(tmp_path / "m")
    damage(root)
    out = tmp_path / "run"
    answer = run("evaluate", "linear_svm", "--database", "megc2019_flow", "--root", root, "--out", out)
    assert message in complaint(answer)
    assert not out.exists()


class Malicious:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({self.target!r}, 'w').close()",))


def test_a_malicious_weight_file_gets_one_clear_error_and_is_not_executed(tmp_path: Path) -> None:
    root, target = write_megc_tree(tmp_path / "m", subjects=2), tmp_path / "owned"
    (tmp_path / "weights").mkdir()
    for subject in ("s00", "s01"):
        (tmp_path / "weights" / f"{subject}.pth").write_bytes(pickle.dumps(Malicious(str(target))))
    answer = run(
        "evaluate", "ststnet", "--database", "megc2019_flow", "--root", root,
        "--weights", tmp_path / "weights", "--out", tmp_path / "run",
    )  # fmt: skip
    assert "holds more than plain tensors" in complaint(answer)
    assert not target.exists()
    assert not (tmp_path / "run").exists()


def test_check_says_what_is_wrong_by_table_json_and_exit_code(tmp_path: Path) -> None:
    root = write_megc_tree(tmp_path / "m")
    answer = run("datasets", "check", "megc2019_flow", root)
    assert answer.returncode == 1
    assert "70/51/43" in answer.stdout
    report = json.loads(run("datasets", "check", "megc2019_flow", root, "--json").stdout)
    assert report["ok"] is False
    assert {c["what"]: c["ok"] for c in report["checks"]}["images"] is True
    assert run("datasets", "check", "synthetic").returncode == 0


def test_synthesize_writes_clips_and_goes_on_where_it_was(tmp_path: Path) -> None:
    options = ["--subjects", 1, "--clips", 2, "--size", 64]
    assert run("datasets", "synthesize", tmp_path / "d", *options).returncode == 0
    frames = sorted((tmp_path / "d").rglob("*.png"))
    assert len(frames) >= 80
    times = {p: p.stat().st_mtime_ns for p in frames}
    frames[0].parent.rename(tmp_path / "aside")
    assert run("datasets", "synthesize", tmp_path / "d", *options).returncode == 0
    kept = [p for p in frames if p.parent != frames[0].parent]
    assert {p: p.stat().st_mtime_ns for p in kept} == {p: times[p] for p in kept}
    assert (tmp_path / "aside" / frames[0].name).read_bytes() == frames[0].read_bytes()


def test_cache_info_and_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "my cache"))
    assert "0 bytes in" in run("cache", "info").stdout
    assert (
        run("datasets", "synthesize", tmp_path / "d", "--subjects", 1, "--clips", 1, "--size", 48).returncode
        == 0
    )
    kept = json.loads(run("cache", "info", "--json").stdout)
    assert kept["folder"] == str(tmp_path / "my cache")
    assert [kind["kind"] for kind in kept["kinds"]] == ["synthetic"]
    assert kept["bytes"] == kept["kinds"][0]["bytes"] > 1000
    assert "synthetic" in run("cache", "info").stdout
    assert "there is: synthetic" in run("cache", "clear", "motion").stdout
    assert "Deleted 0 files" in run("cache", "clear", "synthetic", "--older-than", 1).stdout
    assert "Deleted 1 files" in run("cache", "clear").stdout
    assert json.loads(run("cache", "info", "--json").stdout)["kinds"] == []
    assert "number of days" in complaint(run("cache", "clear", "--older-than", "-1"))


def test_a_warning_is_one_sentence_without_a_place_in_the_code(tmp_path: Path) -> None:
    code = (
        "import sys, warnings\n"
        "from microexp import cli\nfrom microexp.errors import DamageWarning\n"
        "cli.app = lambda: warnings.warn('a.mp4: cut off', DamageWarning)\ncli.main()"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stderr == "Warning: a.mp4: cut off\n"
