"""Weight files by name: those of the catalogue, and those of the model hub. Downloads, whole or not at all.

A name of the catalogue stands for the file that ``microexp weights get`` put into the cache folder, after it
had shown the licence. A name ``OWNER/MODEL`` or ``OWNER/MODEL@sha256:HEX`` is one of the hub,
``https://huggingface.co`` or what the environment variable ``HF_ENDPOINT`` says: ``model.safetensors`` of the
model's main branch, downloaded when it is first used. No checksums of such files come with microexp, and a
branch may change: with ``@sha256:HEX`` the file is checked each time it is used, without it only its length
is, when it comes. Nothing in it is executed, as with any weight file.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from microexp.cache import cache_folder
from microexp.errors import WeightsError
from microexp.weights import catalogue

HUB = "https://huggingface.co"
_NAME = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@sha256:([0-9a-fA-F]{64}))?")
_SUFFIXES = (".safetensors", ".pth", ".pt")
_TIMEOUT = 30.0  # seconds without an answer
_CHUNK = 1 << 18

Progress = Callable[[int, int | None], None]  # bytes that have come, of how many (None: not known)


def locate(source: str | Path) -> Path:
    """Return the weight file of a path, of a name in the catalogue, or of a name at the hub.

    Parameters
    ----------
    source : str or Path
        A path (a `Path`, whatever exists, or what ends in .safetensors, .pth or .pt), else a name. What the
        hub has is downloaded if need be; what the catalogue has is not, as its licence is shown first.

    Raises
    ------
    WeightsError
        If it is neither a file nor a name, is in the catalogue and not downloaded yet, or `fetch` cannot get
        it.
    """
    file = named_file(source)
    if file is None:
        return fetch(str(source))
    if source in catalogue.names() and not file.is_file():
        raise WeightsError(not_here(source))
    return file


def named_file(source: str | Path) -> Path | None:
    """Return the file that a path or a name in the catalogue stands for, there or not; None for others."""
    path = Path(source)
    if isinstance(source, Path) or path.suffix in _SUFFIXES or path.is_file():
        return path
    return catalogue.entry(source).file if source in catalogue.names() else None


def not_here(source: str | Path) -> str:
    """Return the sentence on weights of the catalogue, or on a file, that are not there."""
    if source in catalogue.names():
        return (
            f"the weights '{source}' are not here yet: 'microexp weights get {source}' shows their licence "
            "and downloads them"
        )
    return f"there is no weight file {source}"


def fetch(name: str) -> Path:
    """Return the weight file of a model at the hub; it is downloaded once and then read from the cache.

    An interrupted download leaves nothing that could be taken for the file; call again.

    Parameters
    ----------
    name : str
        ``OWNER/MODEL``, or ``OWNER/MODEL@sha256:HEX`` to have the file checked.

    Raises
    ------
    WeightsError
        If the name has another form, the hub cannot be reached or has no such file, the download ends early,
        or the checksum differs.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise WeightsError(
            f"'{name}' is neither a weight file that exists nor a name such as OWNER/MODEL or "
            "OWNER/MODEL@sha256:HEX, nor one that 'microexp weights list' shows"
        )
    model, checksum = match[1], (match[2] or "").lower()
    file = cache_folder("weights") / f"{model.replace('/', '--')}.safetensors"
    if not file.is_file() or (checksum and sha256_of(file) != checksum):
        url = f"{(os.environ.get('HF_ENDPOINT') or HUB).rstrip('/')}/{model}/resolve/main/model.safetensors"
        _download_anew(url, file, checksum)
    return file


def download(url: str, file: Path, sha256: str = "", progress: Progress | None = None) -> Path:
    """Download a file; one that was interrupted goes on where it ended.

    What has come stands in ``<file>.part`` until all of it is there.

    Parameters
    ----------
    url : str
        ``https://`` or ``http://``.
    file : Path
        Where to put it.
    sha256 : str
        Its checksum, or the first digits of that; "" for none. A file with another is thrown away.
    progress : callable or None
        Told how many bytes there are, and how many there will be.

    Raises
    ------
    WeightsError
        If the address cannot be reached or has no such file, the download ends early, or the checksum
        differs.
    """
    part = file.with_name(f"{file.name}.part")
    with _explained(url):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("ab") as stream:
                _copy(url, stream, progress)
        finally:
            if part.stat().st_size == 0:
                part.unlink()
        try:
            check_sha256(part, sha256, url)
        except WeightsError:
            part.unlink()
            raise
        part.replace(file)
    return file


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(file: Path, sha256: str, source: str) -> None:
    """Raise `WeightsError` if a file has another checksum than the one that begins with these digits."""
    found = sha256_of(file)
    if not found.startswith(sha256):
        raise WeightsError(f"{source} has the SHA-256 {found}, not {sha256}: it is damaged, or another file")


def _download_anew(url: str, file: Path, checksum: str) -> None:
    """Put what the address gives at `file`, by way of a temporary file in the same folder.

    It does not go on with an earlier part: what the hub has may have changed since.
    """
    part: Path | None = None
    try:
        with _explained(url):
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(dir=file.parent, suffix=".part")
            part = Path(path)
            with os.fdopen(handle, "wb") as stream:
                _copy(url, stream)
            check_sha256(part, checksum, url)
            part.replace(file)
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn what goes wrong on the way into one clear sentence."""
    if not url.startswith(("https://", "http://")):
        raise WeightsError(f"the address must begin with https:// or http://, so that {url} can be read")
    try:
        yield
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"{url} was not given ({error.code} {error.reason}): is the name right?"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{url} cannot be downloaded ({cause}); where there is no network, download the file elsewhere "
            "and give its path"
        ) from error


def _copy(url: str, stream: IO[bytes], progress: Progress | None = None) -> None:
    """Append what is still missing to a stream, and see that all of it came."""
    start = stream.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310 (the scheme is checked)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        _empty(stream)  # the part is no beginning of this file, or it is the whole
        _copy(url, stream, progress)
        return
    with answer:
        if start and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            _empty(stream)
            start = 0
        length = answer.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        come = start
        while chunk := answer.read(_CHUNK):
            stream.write(chunk)
            come += len(chunk)
            if progress is not None:
                progress(come, total)
    if total is not None and come != total:
        raise OSError(f"it ended after {come} of {total} bytes")


def _empty(stream: IO[bytes]) -> None:
    stream.seek(0)
    stream.truncate()
