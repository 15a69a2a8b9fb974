"""The catalogue of weights: what there is, from where, under which terms. Nothing is downloaded.

The entries stand in ``catalogue.toml`` beside this module, as facts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from microexp.cache import cache_folder
from microexp.errors import UnknownNameError

OWN = "microexp"  # the source of what comes with the package
_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")  # the first digits of the SHA-256, as open-mmlab writes them


@dataclass(frozen=True)
class Entry:
    """Weights of one network, published ones or microexp's own.

    Attributes
    ----------
    name : str
        What ``weights=`` of the method and ``microexp weights get`` take.
    method : str
        Name of the method in `microexp.superres`, `microexp.magnify` or `microexp.recognize`, or what
        measures: "lpips", "inception" or "face_descriptor".
    scale : int
        Factor of width and height; 1 for what does not enlarge.
    source : str
        ``pypi:PACKAGE==VERSION`` (a wheel), ``sdist:PACKAGE==VERSION`` (of PyPI too, a source distribution),
        ``npm:PACKAGE@VERSION``, an address, or "microexp" for what comes with the package.
    files : mapping of str to str
        Path of each file in the package, or name of the file at the address, to its SHA-256 or the first
        digits of that. The first file is the one that is read.
    licence, licence_url : str
        Terms of the weights, and where they stand.
    trained_on : str
        Pictures, and how the small ones were made of them.
    settings : mapping
        Parameters of the method that differ from their defaults.
    megabytes : float or None
        Size of what is downloaded, where known.
    note : str
        What else one should know first.
    """

    name: str
    method: str
    scale: int
    source: str
    files: Mapping[str, str]
    licence: str
    licence_url: str
    trained_on: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    megabytes: float | None = None
    note: str = ""

    @property
    def file(self) -> Path:
        """Where the weights stand: in the package, or converted in the cache, once they are there."""
        if self.source == OWN:
            return Path(str(resources(__package__))) / "starter" / next(iter(self.files))
        return cache_folder("weights") / f"{self.name}.safetensors"


def names() -> list[str]:
    """Return the names in the catalogue, in its order."""
    return list(_entries())


def entry(name: str) -> Entry:
    """Return one entry.

    Raises
    ------
    UnknownNameError
        If there is none of that name; the message suggests the nearest.
    """
    known = _entries()
    if name not in known:
        raise UnknownNameError("published weights", name, known)
    return known[name]


@lru_cache(maxsize=1)
def _entries() -> dict[str, Entry]:
    text = resources(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    catalogue = tomllib.loads(text)
    publishers = catalogue["publishers"]
    return {name: _entry(name, publishers, dict(own)) for name, own in catalogue["weights"].items()}


def _entry(name: str, publishers: Mapping[str, dict[str, Any]], own: dict[str, Any]) -> Entry:
    publisher = publishers[own.pop("publisher")]
    values = {**publisher, **own}
    notes = (publisher.get("note"), own.get("note"))
    values["note"] = " ".join(note for note in notes if note)
    base, sha256 = values.pop("base", ""), values.pop("sha256", "")
    values["source"] = urljoin(base, values["source"]) if base else values["source"]
    if "files" not in values:
        in_name = _IN_NAME.search(values["source"])
        values["files"] = {values["source"].rsplit("/", 1)[1]: sha256 or (in_name[1] if in_name else "")}
    return Entry(name=name, **values)
