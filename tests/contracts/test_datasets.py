"""What every database must do. A new one is tested here by existing, if it says how to get a small copy."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets import lookalike
from microexp.datasets.base import TABLE_COLUMNS, Check
from microexp.datasets.labels import scheme
from microexp.errors import DataError, OptionError
from tests.conftest import write_megc_tree

NAMES = [name for name in datasets.names() if datasets.get(name).label_schemes]  # the others only `read`


def small(name: str, tmp_path: Path, look_alike: Callable[..., Path]) -> dict[str, Any]:
    """Parameters that open a small copy; one that has no look-alike and is not here fails."""
    if name in lookalike.names():
        return {"root": look_alike(name, full=True)}
    if name == "synthetic":
        return {"n_subjects": 2, "clips_per_subject": 8, "size": 64}
    if name == "megc2019_flow":
        return {"root": write_megc_tree(tmp_path / "m")}
    raise LookupError(f"say in tests/contracts/test_datasets.py how to get a small {name}")


@pytest.fixture(params=NAMES)
def database(request: pytest.FixtureRequest, tmp_path: Path, look_alike: Callable[..., Path]) -> Any:
    return datasets.create(request.param, **small(request.param, tmp_path, look_alike))


def test_the_table_and_what_it_is_of(database: Any) -> None:
    for name in database.label_schemes:
        data = database.load(name)
        assert set(TABLE_COLUMNS) <= set(data.table.columns)
        assert data.classes == scheme(name).classes
        assert data.y.dtype == np.int64
        assert set(data.y) <= set(range(len(data.classes)))
        assert not data.table[["database", "subject", "clip"]].duplicated().any()
        assert data.table["subject"].map(type).eq(str).all()
        assert len(data.inputs) == len(data) == len(data.groups)
        for row in data.table.itertuples():
            assert scheme(name).label(row.emotion, row.database) == row.label


def test_clips_go_with_their_rows_and_flow_images_keep_the_array_law(database: Any) -> None:
    data = database.load()
    if data.clips is None:
        assert data.flow_images.ndim == 4
        assert data.flow_images.dtype == np.float32
        assert 0 <= data.flow_images.min() <= data.flow_images.max() <= 1
        return
    for clip, (_, row) in zip(data.clips, data.table.iterrows(), strict=True):
        assert isinstance(clip, Clip)
        assert (clip.database, clip.subject, clip.name) == (row["database"], row["subject"], row["clip"])
    picture = data.clips[0].frames[0]
    assert (picture.ndim, picture.shape[2], picture.dtype) == (3, 3, np.uint8)
    assert np.array_equal(pickle.loads(pickle.dumps(data.clips[0])).frames[0], picture)


def test_the_fingerprint_is_that_of_the_data(database: Any) -> None:
    prints = {name: database.load(name).fingerprint for name in database.label_schemes}
    assert all(prints.values())
    assert len(set(prints.values())) == len(prints)
    assert database.load().fingerprint == prints[database.label_schemes[0]]


def test_an_unknown_scheme_is_refused(database: Any) -> None:
    with pytest.raises(OptionError):
        database.load("moods9")


def test_check_gives_checks(database: Any) -> None:
    checks = database.check()
    assert checks
    assert all(isinstance(c, Check) for c in checks)


def test_a_mapping_of_the_users_own_is_taken_for_a_scheme(database: Any, tmp_path: Path) -> None:
    words = sorted(set(database.load().table["emotion"]))
    file = tmp_path / "mine.csv"
    file.write_text("emotion,class\n" + "".join(f"{word},{'ab'[i % 2]}\n" for i, word in enumerate(words)))
    data = database.load(str(file))
    assert data.classes == ("a", "b")
    assert data.scheme == "mine.csv"
    for row in data.table.itertuples():
        assert row.label == words.index(row.emotion) % 2
    file.write_text("emotion,class\nbliss,a\nennui,b\n")
    with pytest.raises(DataError, match=r"no clip is left under the label scheme 'mine\.csv'"):
        database.load(str(file))
