"""The demo: the whole path on the embedded synthetic faces, in a few minutes, ending in a report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from microexp import datasets, recognize
from microexp.datasets.base import Dataset
from microexp.evaluate import SELECTIONS, loso
from microexp.evaluate.loso import run_config
from microexp.evaluate.report import write_report
from microexp.evaluate.store import run_key

RECOGNISERS: dict[str, dict[str, Any]] = {
    "linear_svm": {},
    "lbp_top": {},
    "ststnet": {"epochs": 300},  # of 800: enough to see it learn
}
SUBJECTS, CLIPS_EACH, SIZE = 12, 8, 128
_SHOWN = 4


def run_demo(
    out: Path, jobs: int | None = None, progress: Callable[[str, int, int], None] | None = None
) -> Path:
    """Judge three recognisers on synthetic clips and write the report.

    Parameters
    ----------
    out : Path
        Folder; one run a recogniser is kept in it, so that an interrupted demo goes on.
    jobs : int or None
        Worker processes; None for one a core.
    progress : callable or None
        Called with what is going on, how many are done and of how many.

    Returns
    -------
    Path
        ``report.html`` in `out`.
    """
    start = time.perf_counter()
    data = datasets.create("synthetic", n_subjects=SUBJECTS, clips_per_subject=CLIPS_EACH, size=SIZE).load()
    evaluations = []
    for name, params in RECOGNISERS.items():
        report = None if progress is None else _titled(progress, name)
        recognizer = recognize.create(name, **params)
        # A folder a configuration, so that a demo of newer code does not meet the folds of older code.
        run = out / "runs" / f"{name}-{run_key(run_config(recognizer, data, SELECTIONS[0], None))}"
        evaluations.append(loso(recognizer, data, jobs=jobs, out=run, progress=report))
        evaluations[-1].save(run)
    facts = [
        ("made by", "microexp demo"),
        ("faces", f"{SUBJECTS} synthetic people, {CLIPS_EACH} clips each, {SIZE}x{SIZE} pixels, seed 0"),
        ("wall clock of this call", f"{time.perf_counter() - start:.0f} s"),
    ]
    return write_report(
        out / "report.html", evaluations, "microexp demo: synthetic faces", _examples(data), facts
    )


def _titled(progress: Callable[[str, int, int], None], name: str) -> Callable[[str, int, int], None]:
    return lambda what, done, total: progress(f"{name}: {what}", done, total)


def _examples(data: Dataset) -> list[int]:
    """Rows to show: one clip of each class, then another of the first, each of another subject."""
    chosen: list[int] = []
    people: set[str] = set()
    for k in range(_SHOWN):
        wanted = k % len(data.classes)
        for row in np.flatnonzero(data.y == wanted):
            if data.groups[row] not in people:
                chosen.append(int(row))
                people.add(str(data.groups[row]))
                break
    return chosen
