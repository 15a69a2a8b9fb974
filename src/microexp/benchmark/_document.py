"""A YAML file that remembers its lines, so that a fault can be named by file, line and key."""

from __future__ import annotations

import re
from typing import Any

import yaml

from microexp.errors import MicroexpError

Place = tuple[str | int, ...]


class SpecError(MicroexpError):
    """A benchmark file holds what cannot be used; the message names file, line and key."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which also takes ``1e-4`` for the number it is (YAML 1.1 takes it for text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class Document:
    """The content of a YAML file, and the line of everything in it.

    Parameters
    ----------
    text : str
        The file.
    name : str
        What errors call it.

    Attributes
    ----------
    content : object
        What the file holds; None if nothing.

    Raises
    ------
    SpecError
        If it is no YAML, or a key stands twice in one mapping.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        try:
            loader = _Loader(text)
            self._root = loader.get_single_node()
            self._check_keys(self._root, set())
            self.content: Any = None if self._root is None else loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = "" if mark is None else f", line {mark.line + 1}"
            raise SpecError(f"{name}{line}: {error.problem or error.context}") from error
        except yaml.YAMLError as error:
            raise SpecError(f"{name} is no YAML: {error}") from error

    def fault(self, place: Place, message: str) -> SpecError:
        """Return the error for what is wrong at a place, as ``("recognisers", 2, "params", "C")``."""
        line, known = self._find(place)
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in known).lstrip(".")
        return SpecError(f"{self.name}, line {line}{', ' if where else ''}{where}: {message}")

    def _find(self, place: Place) -> tuple[int, Place]:
        """Return the line of a place and how much of the place there is."""
        node, line = self._root, 1 if self._root is None else self._root.start_mark.line + 1
        for depth, part in enumerate(place):
            if isinstance(node, yaml.MappingNode):
                pairs = [(key, value) for key, value in node.value if key.value == str(part)]
                if not pairs:
                    return line, place[:depth]
                key, node = pairs[0]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                return line, place[:depth]
        return line, place

    def _check_keys(self, node: yaml.Node | None, seen: set[int]) -> None:
        """Refuse a key that stands twice: YAML's reader would silently keep the last."""
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            return
        seen.add(id(node))  # an alias may lead back to what it stands in
        if isinstance(node, yaml.SequenceNode):
            for one in node.value:
                self._check_keys(one, seen)
            return
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise SpecError(
                    f"{self.name}, line {key.start_mark.line + 1}: the key '{key.value}' stands there twice"
                )
            keys.add(str(key.value))
            self._check_keys(value, seen)
