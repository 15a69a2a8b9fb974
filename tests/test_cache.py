from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from microexp import cache
from microexp.cache import cache_folder, cached, clear, identity_of, kinds, source_hash, usage
from microexp.errors import MicroexpWarning, OptionError
from microexp.motion.dis import DIS
from microexp.motion.flow_image import FlowImage


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    cache._warn_once.cache_clear()
    return tmp_path / "cache"


def counting(value: int = 1) -> tuple[list[int], Callable[[], cache.Arrays]]:
    made: list[int] = []

    def make() -> cache.Arrays:
        made.append(1)
        return {"a": np.full(5, value, np.int16), "b": np.eye(3)}

    return made, make


def test_arrays_are_made_once_and_come_back_equal(root: Path) -> None:
    made, make = counting()
    first, second = cached("motion", ("key", 1), make), cached("motion", ("key", 1), make)
    cached("motion", ("key", 2), make)
    cached("aligned", ("key", 1), make)
    assert len(made) == 3
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert second["a"].dtype == np.int16
    second["a"][:] = 7  # the caller's own
    assert cached("motion", ("key", 1), make)["a"][0] == 1
    assert sorted(p.name for p in root.iterdir()) == ["aligned", "motion"]
    assert len(list((root / "motion").iterdir())) == 2  # no temporary files are left


def test_without_a_key_nothing_is_kept(root: Path) -> None:
    made, make = counting()
    cached("motion", None, make)
    cached("motion", None, make)
    assert len(made) == 2
    assert not root.exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_counts_as_absent(root: Path, damage: str) -> None:
    made, make = counting()
    cached("motion", "key", make)
    (file,) = (root / "motion").iterdir()
    whole = file.read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]
    file.write_bytes({"cut": whole[: len(whole) // 2], "flip": flipped, "empty": b""}[damage])
    assert cached("motion", "key", make)["a"][0] == 1
    assert len(made) == 2
    assert cached("motion", "key", make)["b"].shape == (3, 3)
    assert len(made) == 2


def test_a_cache_that_cannot_be_written_warns_once_and_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "file"))
    made, make = counting()
    with pytest.warns(MicroexpWarning, match="nothing is cached") as caught:
        for _ in range(3):
            assert cached("motion", "key", make)["a"][0] == 1
    assert len(caught) == 1
    assert len(made) == 3


def test_the_last_gigabyte_of_a_disk_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=cache.KEEP_FREE))
    made, make = counting()
    with pytest.warns(MicroexpWarning, match="less than 1 GB is free"):
        cached("motion", "key", make)
    assert made
    assert not list((root / "motion").iterdir())


def test_what_cannot_be_computed_leaves_nothing(root: Path) -> None:
    def fail() -> cache.Arrays:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("motion", "key", fail)
    assert not list((root / "motion").iterdir())


def test_several_processes_may_share_it(root: Path) -> None:
    code = (
        "import numpy as np\nfrom microexp.cache import cached\n"
        "for i in range(60):\n"
        "    key = i % 6\n"
        "    got = cached('motion', key, lambda: {'x': np.full(20_000, key)})['x']\n"
        "    assert (got == key).all() and len(got) == 20_000\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert len(list((root / "motion").iterdir())) == 6


def test_what_several_want_at_the_same_moment_is_computed_once(root: Path, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    code = (
        "import os, sys, time\nimport numpy as np\nfrom pathlib import Path\n"
        "from microexp.cache import cached\nlog, go = map(Path, sys.argv[1:])\n"
        "def make():\n"
        "    with log.open('a') as stream: stream.write('made\\n')\n"
        "    time.sleep(0.3)\n"
        "    return {'x': np.arange(4)}\n"
        "log.with_name(f'ready{os.getpid()}').touch()\n"
        "while not go.exists(): time.sleep(0.001)\n"
        "assert cached('motion', 'key', make)['x'].tolist() == [0, 1, 2, 3]\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(log), str(go)]) for _ in range(4)]
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("ready*"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    go.touch()
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert log.read_text() == "made\n"
    assert [file.suffix for file in (root / "motion").iterdir()] == [".npz"]


def test_who_computed_it_and_was_killed_is_no_obstacle(root: Path) -> None:
    code = (
        "import os, signal\nfrom microexp.cache import cached\n"
        "cached('motion', 'key', lambda: os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert [file.suffix for file in (root / "motion").iterdir()] == [".lock"]
    assert usage()[0].files == 0
    made, make = counting()
    cached("motion", "key", make)
    assert made
    assert [file.suffix for file in (root / "motion").iterdir()] == [".npz"]


def test_usage_and_clear(root: Path) -> None:
    _, make = counting()
    for i in range(3):
        cached("motion", i, make)
    cached("aligned", 0, make)
    (root / "motion" / "precious.npz").write_text("not ours")
    (root / "Holiday").mkdir()
    old = min((root / "motion").glob("?" * 32 + ".npz"))
    os.utime(old, (time.time() - 40 * 86_400,) * 2)
    assert kinds() == ["aligned", "motion"]
    aligned, motion = usage()
    assert (aligned.files, motion.files) == (1, 3)
    assert motion.bytes == 3 * aligned.bytes
    assert motion.newest - motion.oldest > 39 * 86_400
    assert clear("motion", older_than=30) == (1, aligned.bytes)
    assert clear("motion", older_than=30) == (0, 0)
    assert clear() == (3, 3 * aligned.bytes)
    assert (root / "motion" / "precious.npz").read_text() == "not ours"
    assert usage() == []
    with pytest.raises(OptionError, match="number of days"):
        clear(older_than=-1)
    with pytest.raises(OptionError, match="lower-case word"):
        clear("../..")


def test_a_file_that_was_read_is_not_old(root: Path) -> None:
    _, make = counting()
    cached("motion", 0, make)
    (file,) = (root / "motion").iterdir()
    os.utime(file, (1, 1))
    cached("motion", 0, make)
    assert clear("motion", older_than=1) == (0, 0)


def test_what_another_process_is_writing_is_left_alone(root: Path) -> None:
    (root / "motion").mkdir(parents=True)
    part = root / "motion" / "tmpabcd1234.part"
    part.write_bytes(b"half")
    assert clear() == (0, 0)
    os.utime(part, (1, 1))  # left behind by a kill
    assert clear() == (1, 4)


def test_nothing_is_warned_of_in_ordinary_use(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached("motion", 0, counting()[1])
        usage()
        clear()


class Outside(BaseEstimator):
    def __init__(self, sigma: float = 1.0, inner: object = None) -> None:
        self.sigma = sigma
        self.inner = inner


def test_identity_of_estimators_and_values() -> None:
    assert identity_of(DIS()) == identity_of(DIS(preset="medium")) != identity_of(DIS(preset="fast"))
    assert identity_of(FlowImage(DIS())) != identity_of(FlowImage(DIS(preset="fast")))
    assert identity_of(Outside(2)) not in (identity_of(Outside(2.0)), None)
    assert identity_of({"a": [1, None, np.arange(3)]}) != identity_of({"a": [1, None, np.arange(4)]})
    assert identity_of(Outside(inner=lambda x: x)) is None
    assert identity_of(Path("weights.pth")) is None
    typed = type("Typed", (BaseEstimator,), {"__module__": "__main__"})
    assert identity_of(typed()) is None


def test_source_hash_changes_with_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    prints = set()
    for i, text in enumerate(("a = 1\n", "a = 2\n")):
        (tmp_path / "some_method.py").write_text(text)
        cache._sources.cache_clear()
        source_hash.cache_clear()
        prints.add(source_hash("some_method"))
        assert len(prints) == i + 1
    assert source_hash("microexp.motion") != source_hash("microexp.motion.dis")


def test_the_folder_follows_the_environment(root: Path) -> None:
    assert cache_folder() == root
    assert cache_folder("aligned") == root / "aligned"


def test_downloaded_weights_are_counted_and_cleared_only_by_name(root: Path) -> None:
    weights = root / "weights" / "edsr-x4.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"0" * 10)
    assert [(one.kind, one.bytes) for one in usage()] == [("weights", 10)]
    assert clear() == (0, 0)
    assert weights.is_file()
    assert clear("weights") == (1, 10)
