"""Contracts are about what methods compute: flow and alignment are not taken from the cache here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from microexp.cache import Arrays


@pytest.fixture(autouse=True)
def computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_it(kind: str, key: object, make: Callable[[], Arrays]) -> Arrays:
        return make()

    for module in ("motion.base", "motion.apex", "faces.aligner"):
        monkeypatch.setattr(f"microexp.{module}.cached", make_it)
