"""The page of databases says what the loaders are."""

from __future__ import annotations

import re
from pathlib import Path

from microexp import datasets

PAGE = (Path(__file__).parents[2] / "docs" / "databases.md").read_text(encoding="utf-8")
ROWS = {
    name: (variants.strip(), schemes.strip())
    for name, variants, schemes in re.findall(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|([^|]*)\|$", PAGE, re.MULTILINE)
}


def test_every_database_has_its_row() -> None:
    assert sorted(ROWS) == datasets.names()


def test_variants_and_class_schemes_are_those_of_the_loaders() -> None:
    for name, (variants, schemes) in ROWS.items():
        kind = datasets.get(name)
        assert (
            schemes.startswith("none")
            if not kind.label_schemes
            else schemes.split(", ") == [*kind.label_schemes]
        )
        if getattr(kind, "variants", None):
            assert variants.split(", ") == list(kind.variants), name
