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
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError, UnknownNameError
from microexp.weights import read_metadata
from tests.magnify.test_training import Gain

SMALL = [
    *("--scale", "2", "--param", "channels=8", "--param", "blocks=1", "--device", "cpu"),
    *("--steps", "4", "--batch-size", "2", "--patch", "16"),
]


def run(*arguments: object, family: str = "superres") -> Result:
    return CliRunner().invoke(train_app, [str(argument) for argument in (family, *arguments)])


def complaint(*arguments: object, family: str = "superres") -> MicroexpError:
    """The one error of a command that failed as it should."""
    error = run(*arguments, family=family).exception
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


# magnification


class Registered:
    """A registry of one method, which is small."""

    def __init__(self, package: str) -> None:
        assert package == "microexp.magnify"

    def get(self, name: str) -> type:
        return {"gain": Gain, "number": int}[name]

    def create(self, name: str, preset: str | None = None, **params: object) -> Gain:
        return Gain(**params)


@pytest.fixture
def gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microexp.cli.train.Registry", Registered)


MADE = [
    *("--database", "synthetic", "--data", "n_subjects=3", "--data", "clips_per_subject=1"),
    *("--data", "size=48", "--device", "cpu", "--steps", "2", "--batch-size", "1", "--size", "16"),
]


@pytest.mark.usefixtures("gain")
def test_synthetic_faces_to_weights_that_magnify(tmp_path: Path) -> None:
    command = ["gain", *MADE, "--param", "width=3", "--vgg", "random", "--out", tmp_path]
    answer = run(*command, family="magnify")
    assert answer.exit_code == 0, repr(answer.exception)
    told = " ".join(answer.output.split())
    assert "Training on 2 clips or pictures of 2 subjects" in told
    assert "validating on 1 clips or pictures of 1 subjects" in told
    assert f"microexp.magnify.create('gain', weights='{tmp_path / 'first.safetensors'}')" in told
    said = read_metadata(tmp_path / "first.safetensors")
    assert json.loads(said["recipe"])["size"] == 16
    assert said["vgg"] == "random"
    again = json.loads(run(*command, "--resume", "--json", family="magnify").stdout)
    assert again["weights"] == str(tmp_path / "first.safetensors")
    second = json.loads(run(*command, "--stage", "second", "--json", family="magnify").stdout)
    assert {"loss", "l1", "l1_identity"} <= second.keys()
    assert second["steps"] == 2


@pytest.mark.usefixtures("gain")
def test_a_folder_of_sequences_to_weights_that_magnify(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for person in range(2):
        for number in range(4):
            file = tmp_path / "faces" / f"person{person}" / "smile" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(file)
    options = ["gain", "--pictures", tmp_path / "faces", *MADE[8:], "--out", tmp_path / "run"]
    assert run(*options, family="magnify").exit_code == 0
    assert (tmp_path / "run" / "first.safetensors").is_file()
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(tmp_path / "wide.png")
    for number in range(3):
        (tmp_path / "wide" / "p").mkdir(parents=True, exist_ok=True)
        (tmp_path / "wide" / "p" / f"{number}.png").write_bytes((tmp_path / "wide.png").read_bytes())
    wide = complaint("gain", "--pictures", tmp_path / "wide", *MADE[8:], "--out", tmp_path, family="magnify")
    assert isinstance(wide, DataError)
    assert "--align" in str(wide)


@pytest.mark.usefixtures("gain")
def test_faces_are_aligned_first_if_that_is_asked_for(tmp_path: Path) -> None:
    made = [*MADE, "--data", "size=128", "--data", "n_subjects=2"]
    assert run("gain", *made, "--align", "--out", tmp_path, family="magnify").exit_code == 0
    sheet = Image.open(tmp_path / "first-validation" / "0000002.png")
    assert sheet.size == (5 * 16, 20)


@pytest.mark.usefixtures("gain")
def test_what_cannot_be_trained_to_magnify_is_said(tmp_path: Path) -> None:
    def told(*changes: str) -> str:
        return str(complaint("gain", *MADE, "--out", tmp_path, *changes, family="magnify"))

    assert "first" in told("--stage", "frist")
    assert "'first'" in told("--stage", "second")
    assert "--device" in told("--param", "device=cpu")
    assert "--start" in told("--param", "weights=a.pth")
    assert "a.pth" in told("--vgg", "a.pth")
    assert "size" in told("--size", "0")
    assert "no network" in str(complaint("number", *MADE, "--out", tmp_path, family="magnify"))
    assert not (tmp_path / "first.safetensors").exists()


@pytest.mark.parametrize(
    ("family", "words"),
    [("superres", ("schedule", "--features")), ("magnify", ("identity", "--align", "--database synthetic"))],
)
def test_help_teaches(family: str, words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(train_app, [family, "--help"], env={"COLUMNS": "200"})
    told = re.sub(r"\x1b\[[0-9;]*m", "", answer.output)
    for word in ("--resume", "--vgg", "--stage", f"microexp train {family}", *words):
        assert word in told
    assert len(told.split()) > 100


@pytest.mark.parametrize("family", ["superres", "magnify"])
def test_help_imports_nothing_heavy(family: str) -> None:
    code = (
        f"import sys; sys.argv[1:] = ['{family}', '--help']\n"
        "from microexp.cli.train import train_app\n"
        "try: train_app()\nexcept SystemExit: pass\n"
        "print('heavy:', sorted({'torch', 'cv2', 'sklearn', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stderr.strip().endswith("heavy: []")
