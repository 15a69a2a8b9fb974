from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from microexp import superres
from microexp.cli.train import train_app
from microexp.errors import MicroexpError, OptionError, PathMissingError, UnknownNameError
from microexp.weights import read_metadata

SMALL = [
    *("--scale", "2", "--param", "channels=8", "--param", "blocks=1", "--device", "cpu"),
    *("--steps", "4", "--batch-size", "2", "--patch", "16"),
]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(train_app, [str(argument) for argument in ("superres", *arguments)])


def complaint(*arguments: object) -> MicroexpError:
    """The one error of a command that failed as it should."""
    error = run(*arguments).exception
    assert isinstance(error, MicroexpError), repr(error)
    return error


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for person in range(3):
        folder = tmp_path / "faces" / f"person{person}"
        folder.mkdir(parents=True)
        for number in range(2):
            pixels = generator.integers(0, 256, (24, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "faces"


def test_a_folder_of_faces_to_weights(faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    answer = run("edsr", "--pictures", faces, "--out", out, *SMALL)
    assert answer.exit_code == 0, answer.output
    told = " ".join(answer.output.split())
    assert "Training on 4 clips or pictures of 2 subjects" in told
    assert "validating on 2 clips or pictures of 1 subjects" in told
    assert "psnr.safetensors" in told
    assert {p.name for p in out.iterdir()} == {
        "psnr.safetensors",
        "psnr.checkpoint.safetensors",
        "psnr.jsonl",
        "psnr-validation",
    }
    made = superres.create("edsr", weights=str(out / "psnr.safetensors"), scale=2)
    assert made.upscale(np.zeros((8, 8, 3), np.uint8)).shape == (16, 16, 3)
    assert json.loads(read_metadata(out / "psnr.safetensors")["recipe"])["batch_size"] == 2


def test_json_is_all_that_is_printed_and_resuming_what_is_done_gives_the_weights(
    faces: Path, tmp_path: Path
) -> None:
    command = ["edsr", "--pictures", faces, "--out", tmp_path / "run", *SMALL, "--json"]
    first = json.loads(run(*command).stdout)
    assert first["steps"] == 4
    assert {"weights", "loss", "psnr", "psnr_bicubic"} <= first.keys()
    assert "--resume" in str(complaint(*command))
    assert json.loads(run(*command, "--resume").stdout)["weights"] == first["weights"]


def test_a_database_is_split_by_subject(tmp_path: Path) -> None:
    answer = run(
        "edsr", "--database", "synthetic", "--data", "n_subjects=3", "--data",
        "clips_per_subject=1", "--data", "size=48", "--validation-subjects", 2,
        "--out", tmp_path, *SMALL,
    )  # fmt: skip
    assert answer.exit_code == 0, repr(answer.exception)
    assert "validating on 2 clips or pictures of 2 subjects" in " ".join(answer.output.split())


def test_ctrl_c_says_how_to_go_on(faces: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-c", "from microexp.cli.train import train_app; train_app()"),
        *("superres", "edsr", "--pictures", str(faces), "--out", str(tmp_path / "run"), *SMALL),
        *("--steps", "1000000"),
    ]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "psnr.jsonl"
    while not log.exists() and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=120)
    assert child.returncode == 130, told
    assert "--resume" in " ".join(told.split())
    assert (tmp_path / "run" / "psnr.checkpoint.safetensors").is_file()


def test_what_cannot_be_trained_is_said_once(faces: Path, tmp_path: Path) -> None:
    options = ["--pictures", faces, "--out", tmp_path / "run", *SMALL]
    assert "either --pictures FOLDER or --database" in str(complaint("edsr", "--out", tmp_path))
    assert "either" in str(complaint("edsr", *options, "--database", "synthetic"))
    assert "--root" in str(complaint("edsr", *options, "--root", tmp_path))
    assert isinstance(complaint("edrs", *options), UnknownNameError)
    assert "no network" in str(complaint("bicubic", *options))
    assert isinstance(complaint("edsr", *options, "--stage", "gan"), UnknownNameError)
    assert "--scale" in str(complaint("edsr", *options, "--param", "scale=2"))
    assert "TAP=WEIGHT" in str(complaint("edsr", *options, "--features", "16=much"))
    assert "--vgg" in str(complaint("edsr", *options, "--features", "16=1"))
    assert isinstance(complaint("edsr", *options, "--validation-subjects", 3), OptionError)
    missing = complaint("edsr", "--pictures", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert isinstance(missing, PathMissingError)
    assert not (tmp_path / "run" / "psnr.safetensors").exists()


def test_help_teaches() -> None:
    answer = CliRunner().invoke(train_app, ["superres", "--help"], env={"COLUMNS": "200"})
    told = re.sub(r"\x1b\[[0-9;]*m", "", answer.output)
    for word in ("--resume", "--vgg", "--stage", "schedule", "microexp train superres"):
        assert word in told
    assert len(told.split()) > 100


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['superres', '--help']\n"
        "from microexp.cli.train import train_app\n"
        "try: train_app()\nexcept SystemExit: pass\n"
        "print('heavy:', sorted({'torch', 'cv2', 'sklearn', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stderr.strip().endswith("heavy: []")
