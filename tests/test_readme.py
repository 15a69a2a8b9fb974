"""The commands of the README and the Python of all pages, run as they are printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from microexp.datasets.synthetic import long_video
from microexp.frames.write import write_video
from tests.conftest import write_megc_tree

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
BASH = [line for kind, text in BLOCKS if kind == "bash" for line in text.strip().splitlines()]
PYTHON = [
    text
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for text in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]
COMMANDS = [
    text.strip().splitlines() for kind, text in BLOCKS if kind == "bash" and text.startswith("microexp ")
]


def test_all_blocks_are_of_a_kind_that_is_tested() -> None:
    assert {kind for kind, _ in BLOCKS} == {"bash", "python"}
    assert all(line.startswith(("microexp ", "make ", "pip install ")) for line in BASH)
    assert len(COMMANDS) >= 5


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's own video."""
    clip = long_video(3.5, 25.0, n_micro=0, n_macro=1, n_blinks=0, n_turns=0, size=128)
    file = tmp_path_factory.mktemp("video") / "my_video.mp4"
    write_video(file, iter(clip.frames), clip.fps)
    return file


@pytest.mark.parametrize("block", COMMANDS)
def test_commands(tmp_path: Path, block: list[str], video: Path) -> None:
    write_megc_tree(tmp_path / "path" / "to" / "megc2019-flow", subjects=3)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / video.name).symlink_to(video)
    for line in block:
        arguments = shlex.split(line)[1:]
        if "ststnet" in arguments and "evaluate" in arguments:
            arguments += ["--epochs", "2"]  # the command is as printed but for its 800 epochs
        answer = subprocess.run(
            [sys.executable, "-m", "microexp.cli", *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        expected = (
            1 if "check" in arguments else 0
        )  # the small copies here are not complete, and check says so
        assert answer.returncode == expected, answer.stderr


@pytest.mark.parametrize("code", PYTHON)
def test_python(tmp_path: Path, code: str, video: Path) -> None:
    (tmp_path / video.name).symlink_to(video)
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert ("UF1" in answer.stdout) == ("UF1" in code)


def test_make_knows_the_targets_that_are_printed() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in BASH:
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile


def test_the_files_that_are_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / target).is_file(), target
