"""What computed a result: versions of microexp, of Python and of the libraries that decide numbers."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("numpy", "torch", "scikit-learn", "opencv-contrib-python-headless")


@cache
def versions() -> dict[str, str]:
    """Return name to version; "microexp" is followed by the commit where it runs from a checkout."""
    found = {"microexp": _microexp(), "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _microexp() -> str:
    from microexp import __version__

    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return __version__
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{answer.stdout.strip()}"
