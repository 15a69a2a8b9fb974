"""Weight files of the model hub: downloaded once, whole or not at all, kept in the cache folder.

A name is ``OWNER/MODEL`` or ``OWNER/MODEL@sha256:HEX``. The file is ``model.safetensors`` of the model's main
branch at the hub, ``https://huggingface.co`` or what the environment variable ``HF_ENDPOINT`` says. No
checksums of such files come with microexp, and a branch may change: with ``@sha256:HEX`` the file is checked
each time it is used, without it only its length is, when it comes. Nothing in it is executed, as with any
weight file.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from microexp.cache import cache_folder
from microexp.errors import WeightsError

HUB = "https://huggingface.co"
_NAME = re.compile(r"([\w-][\w.-]*/[\w-][\w.-]*)(?:@sha256:([0-9a-fA-F]{64}))?")
_SUFFIXES = (".safetensors", ".pth", ".pt")
_TIMEOUT = 30.0  # seconds without an answer


def locate(source: str | Path) -> Path:
    """Return the weight file of a path, or of a name at the hub, which is downloaded if need be.

    Parameters
    ----------
    source : str or Path
        A path (a `Path`, whatever exists, or what ends in .safetensors, .pth or .pt), else a name.

    Raises
    ------
    WeightsError
        If it is neither a file nor a name, or `fetch` cannot get it.
    """
    path = Path(source)
    if isinstance(source, Path) or path.suffix in _SUFFIXES or path.is_file():
        return path
    return fetch(source)


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
            "OWNER/MODEL@sha256:HEX"
        )
    model, checksum = match[1], (match[2] or "").lower()
    file = cache_folder("weights") / f"{model.replace('/', '--')}.safetensors"
    if not file.is_file() or (checksum and sha256_of(file) != checksum):
        _download(model, file, checksum)
    return file


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(model: str, file: Path, checksum: str) -> None:
    """Put the model's weights at `file`, by way of a temporary file in the same folder."""
    url = f"{(os.environ.get('HF_ENDPOINT') or HUB).rstrip('/')}/{model}/resolve/main/model.safetensors"
    if not url.startswith(("https://", "http://")):
        raise WeightsError(f"HF_ENDPOINT must begin with https:// or http://, so that {url} can be read")
    part: Path | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=file.parent, suffix=".part")
        part = Path(path)
        with os.fdopen(handle, "wb") as stream:
            _copy(url, stream)
        if checksum and (found := sha256_of(part)) != checksum:
            raise WeightsError(f"{url} has the SHA-256 {found}, not {checksum}; it was thrown away")
        part.replace(file)
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
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _copy(url: str, stream: IO[bytes]) -> None:
    """Write what the address gives to a stream, and see that all of it came."""
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 (the scheme is checked)
        shutil.copyfileobj(answer, stream)
        announced = answer.headers.get("Content-Length")
    if announced is not None and stream.tell() != int(announced):
        raise OSError(f"it ended after {stream.tell()} of {announced} bytes")
