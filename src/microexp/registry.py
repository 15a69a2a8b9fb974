"""A folder is a registry: its modules that open with a literal ``CARD`` are the methods of the family.

Cards are read from the source text, so listing them imports no method (and so no torch). A package
outside microexp joins a family by an entry point in the group of the family's name, for instance
``[project.entry-points."microexp.recognize"]  mynet = "mypackage.mynet"``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from microexp.errors import MicroexpError, OptionError, UnknownNameError, suggestion

FAMILIES = ("datasets", "faces", "superres", "magnify", "motion", "recognize")
_CARD_TEXT = re.compile(r"^CARD = (\{.*?^\})", re.MULTILINE | re.DOTALL)


def read_params(items: Iterable[str], option: str) -> dict[str, Any]:
    """Read parameters written as NAME=VALUE; a value is a Python literal where it is one, else text.

    Raises
    ------
    OptionError
        If an item is not of that form; the message begins with `option`.
    """
    params: dict[str, Any] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise OptionError(f"{option} takes NAME=VALUE, got '{item}'")
        try:
            params[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            params[name] = value
    return params


class CardError(MicroexpError):
    """A method's card is missing a key, has one too many, or is not a literal."""


@dataclass(frozen=True)
class Paper:
    """The publication a method comes from; enough of it for a BibTeX entry."""

    authors: str
    title: str
    venue: str
    year: int
    doi: str = ""
    url: str = ""

    def bibtex(self, key: str) -> str:
        """Return the BibTeX entry under the given key."""
        rows = {
            "author": self.authors,
            "title": "{" + self.title + "}",
            "journal": self.venue,
            "year": str(self.year),
            "doi": self.doi,
            "url": self.url,
        }
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in rows.items() if value)
        return f"@article{{{key},\n{body}\n}}"


@dataclass(frozen=True)
class Card:
    """What one method says of itself.

    Attributes
    ----------
    name, family : str
        Module name, and the folder it stands in.
    class_name : str
        The class in the module that `create` instantiates (key ``class`` of the literal).
    title, summary : str
        The method's usual name; one sentence on what it does.
    takes, gives : str
        What goes in and what comes out, in the words of the array law.
    paper : Paper or None
        Source; None for what has no paper of its own.
    parameters : int or None
        Trainable parameters of the network at its defaults; None where nothing is trained by gradient.
    licence, weights_licence : str
        Licence of the implementation (or data), and of published weights where they exist.
    published : tuple of dict
        Published figures, each with the table it comes from (key ``source``).
    presets : mapping of str to mapping
        Named settings of the class's parameters, for instance those of another paper's experiments.
    notes : tuple of str
        What differs from the paper or was left open by it, and why.
    """

    name: str
    family: str
    class_name: str
    title: str
    summary: str
    takes: str
    gives: str
    paper: Paper | None = None
    parameters: int | None = None
    licence: str = "Apache-2.0"
    weights_licence: str = ""
    published: tuple[Mapping[str, Any], ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def from_literal(cls, name: str, family: str, literal: Mapping[str, Any]) -> Card:
        """Build the card from a module's ``CARD`` dictionary; raise `CardError` naming any bad key."""
        values = {("class_name" if key == "class" else key): value for key, value in literal.items()}
        allowed = {f.name for f in fields(cls)} - {"name", "family"}
        required = {"class_name", "title", "summary", "takes", "gives"}
        if values.keys() - allowed or required - values.keys():
            raise CardError(
                f"card of {family} '{name}': unknown keys {sorted(values.keys() - allowed)}, "
                f"missing keys {sorted(required - values.keys())}"
            )
        if values.get("paper") is not None:
            values["paper"] = Paper(**values["paper"])
        for key in ("published", "notes"):
            values[key] = tuple(values.get(key, ()))
        return cls(name=name, family=family, **values)


class Registry:
    """The methods of one family, found by looking into its folder and at entry points.

    Parameters
    ----------
    package : str
        Dotted name of the family's package, for instance ``"microexp.recognize"``.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.family = package.rsplit(".", 1)[1]

    @cached_property
    def _sources(self) -> dict[str, tuple[str, Path]]:
        """Name -> (module to import, file its card is read from)."""
        found: dict[str, tuple[str, Path]] = {}
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).iterdir()):
                file = path / "__init__.py" if path.is_dir() else path
                name = path.stem
                if name.startswith("_") or file.suffix != ".py" or not file.is_file():
                    continue
                if _CARD_TEXT.search(file.read_text(encoding="utf-8")):
                    found[name] = (f"{self.package}.{name}", file)
        for point in entry_points(group=self.package):
            try:
                spec = importlib.util.find_spec(point.value)
            except ImportError:
                spec = None
            if spec is None or spec.origin is None:
                raise CardError(
                    f"the entry point {point.name} = {point.value} in {self.package} names no module"
                )
            found.setdefault(point.name, (point.value, Path(spec.origin)))
        return found

    def names(self) -> list[str]:
        """Return the registered names, sorted."""
        return sorted(self._sources)

    def card(self, name: str) -> Card:
        """Return the card of one method without importing its module.

        Raises
        ------
        UnknownNameError
            If nothing of that name is registered; the message suggests the nearest.
        CardError
            If the module's ``CARD`` is no literal dictionary or has wrong keys.
        """
        _, file = self._source(name)
        match = _CARD_TEXT.search(file.read_text(encoding="utf-8"))
        if match is None:
            raise CardError(f"{file} has no literal 'CARD = {{...}}' at its top level")
        try:
            literal = ast.literal_eval(match.group(1))
        except (ValueError, SyntaxError) as error:
            raise CardError(f"CARD in {file} is not a literal: {error}") from error
        return Card.from_literal(name, self.family, literal)

    def get(self, name: str) -> type:
        """Import the method's module and return its class."""
        module, _ = self._source(name)
        return getattr(importlib.import_module(module), self.card(name).class_name)

    def create(self, name: str, preset: str | None = None, /, **params: Any) -> Any:
        """Return an instance of the method's class with the given parameters.

        Parameters
        ----------
        name : str
            Of the method.
        preset : str or None
            Settings that the method's card names; `params` go before them.
        **params
            Of the class.

        Raises
        ------
        UnknownNameError
            If there is no such method or preset.
        OptionError
            If a parameter is not one of the class's, with the nearest that is.
        """
        cls = self.get(name)
        if preset is not None:
            presets = self.card(name).presets
            if preset not in presets:
                raise UnknownNameError(f"preset of {self.family} '{name}'", preset, list(presets))
            params = {**presets[preset], **params}
        accepted = [p for p in inspect.signature(cls).parameters if p != "self"]
        for key in params:
            if key not in accepted:
                raise OptionError(
                    f"{self.family} '{name}' has no parameter '{key}'.{suggestion(key, accepted)}"
                )
        return cls(**params)

    def _source(self, name: str) -> tuple[str, Path]:
        if name not in self._sources:
            kind = "database" if self.family == "datasets" else f"{self.family} method"
            raise UnknownNameError(kind, name, self.names())
        return self._sources[name]
