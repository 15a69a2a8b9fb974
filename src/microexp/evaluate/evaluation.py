"""The outcome of a protocol: pooled predictions, and every figure with what is needed to believe it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from microexp.datasets.base import Dataset
from microexp.errors import DataError
from microexp.evaluate.folds import BY_SAMPLE, PROTOCOLS
from microexp.evaluate.metrics import (
    METRICS,
    Scores,
    bootstrap_draws,
    from_confusion,
    intervals,
    majority,
    scores,
)
from microexp.evaluate.store import FoldResult, RunStore, write_atomically

ALL = "all"
LEAKS = "LEAKS: "  # begins the name of every rule that looked at the people it is tested on
LEAK_MARK = LEAKS + "epoch chosen on the test subject"
LAST_EPOCH = "last epoch"


def leaks(rule: str) -> bool:
    """Whether a rule, by its name, looked at the people it is tested on."""
    return rule.startswith(LEAKS)


def rules_of(config: Mapping[str, Any], has_epochs: bool) -> tuple[str, ...]:
    """Return how the epoch of a run was chosen, in the words of the tables.

    Where the test subject chose it, the last epoch of the same training is the second.
    """
    by_sample = config["protocol"] == PROTOCOLS[BY_SAMPLE]
    if config["weights"] is not None:
        rules: tuple[str, ...] = ("published weights",)
    elif not has_epochs:
        rules = ("no epochs",)
    elif config["selection"] == "last-epoch":
        rules = (LAST_EPOCH,)
    elif config["selection"] == "inner-subjects":
        rules = (f"epoch chosen on inner {'clips' if by_sample else 'subjects'}",)
    else:
        rules = (f"{LEAKS}epoch chosen on the test clips" if by_sample else LEAK_MARK, LAST_EPOCH)
    if by_sample:
        return tuple(f"{LEAKS}subjects on both sides; {rule.removeprefix(LEAKS)}" for rule in rules)
    return rules


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Pooled predictions of a complete run.

    Attributes
    ----------
    config : mapping
        What was run.
    dataset : Dataset
        The table that the predictions belong to.
    seeds : tuple of int
        The seeds, one whole protocol each.
    predictions : mapping of str to numpy.ndarray
        How the epoch was chosen, to labels ``(n_seeds, N) int64``. Where the test subject chose it, the
        last epoch of the same training follows.
    probabilities : numpy.ndarray
        ``(n_seeds, N, K) float64``, of the first rule.
    seconds, cpu_seconds : float
        Sums over the folds, of one thread each: by the clock, and of the processor.
    versions : tuple of dict
        Of everything that computed a part of it; more than one if a run was resumed after an update.
    """

    config: Mapping[str, Any]
    dataset: Dataset
    seeds: tuple[int, ...]
    predictions: Mapping[str, np.ndarray]
    probabilities: np.ndarray
    seconds: float
    cpu_seconds: float
    versions: tuple[Mapping[str, str], ...]

    @classmethod
    def from_folds(
        cls,
        store: RunStore,
        dataset: Dataset,
        rules: Sequence[str],
        results: Mapping[int, Sequence[FoldResult]],
    ) -> Evaluation:
        """Pool the folds of every seed, in the order of the table; for `rules` see `rules_of`."""
        shape = (len(results), len(dataset))
        first = np.full(shape, -1)
        last = np.full(shape, -1)
        probabilities = np.zeros((*shape, len(dataset.classes)))
        for row, folds in enumerate(results.values()):
            for fold in folds:
                if dataset.y[fold.index].tolist() != fold.truth:
                    raise DataError(
                        f"fold {fold.subject} in {store.folder} is of other labels; name another --out"
                    )
                first[row, fold.index] = fold.prediction
                last[row, fold.index] = fold.last_epoch_prediction or fold.prediction
                probabilities[row, fold.index] = fold.probabilities
        every = [fold for folds in results.values() for fold in folds]
        return cls(
            config=store.config,
            dataset=dataset,
            seeds=tuple(results),
            predictions=dict(zip(rules, (first, last), strict=False)),
            probabilities=probabilities,
            seconds=sum(fold.seconds for fold in every),
            cpu_seconds=sum(fold.cpu_seconds for fold in every),
            versions=tuple(dict(v) for v in {tuple(sorted(f.versions.items())) for f in every}),
        )

    @property
    def method(self) -> str:
        """Name of the recogniser."""
        return str(self.config["method"])

    @property
    def protocol(self) -> str:
        """How the data were split, in words."""
        return str(self.config["protocol"])

    @property
    def by_sample(self) -> bool:
        """Whether clips of one subject were both trained and tested on."""
        return self.protocol == PROTOCOLS[BY_SAMPLE]

    @property
    def leaks(self) -> bool:
        """Whether the first rule looked at the people it is tested on."""
        return leaks(self.rules[0])

    @property
    def remarks(self) -> tuple[str, ...]:
        """What has to be said wherever these figures are shown."""
        said = list(self.dataset.remarks)
        if self.by_sample:
            said.append(
                "Clips were split without regard to who they show, so people are both trained and tested on: "
                "these figures LEAK. They compare with tables made that way; protocol subjects-5 keeps "
                "people apart."
            )
        elif self.leaks:
            said.append(
                "The epoch was chosen on the test subject: these figures LEAK. They compare with tables made "
                "that way; the honest figures of the same training are in the rows 'last epoch'."
            )
        return tuple(said)

    @property
    def rules(self) -> tuple[str, ...]:
        """How the epoch was chosen, one for each array of predictions."""
        return tuple(self.predictions)

    @property
    def parts(self) -> list[str]:
        """``"all"``, and each database where there are several."""
        databases = sorted(set(self.dataset.table["database"]))
        return [ALL, *databases] if len(databases) > 1 else [ALL]

    def rows(self, part: str = ALL) -> np.ndarray:
        """Return which rows of the table belong to a part, ``(N,) bool``."""
        if part == ALL:
            return np.ones(len(self.dataset), bool)
        return (self.dataset.table["database"] == part).to_numpy()

    def scores(self, part: str = ALL, rule: str | None = None, seed: int | None = None) -> Scores:
        """Return the figures of one part, rule and seed (by default all, the first and the first)."""
        rows = self.rows(part)
        row = 0 if seed is None else self.seeds.index(seed)
        predicted = self.predictions[rule or self.rules[0]][row]
        return scores(self.dataset.y[rows], predicted[rows], len(self.dataset.classes))

    def confusion(self, part: str = ALL, rule: str | None = None) -> Scores:
        """Return the figures of the confusion matrix summed over the seeds."""
        return from_confusion(np.sum([self.scores(part, rule, s).confusion for s in self.seeds], axis=0))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a rule and part: clips, subjects, mean over seeds, spread, interval, majority class."""
        return pd.DataFrame(self._records)

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return [self._row(rule, part) for rule in self.rules for part in self.parts]

    def _row(self, rule: str, part: str) -> dict[str, Any]:
        rows, n_classes = self.rows(part), len(self.dataset.classes)
        truth, groups = self.dataset.y[rows], self.dataset.groups[rows]
        per_seed = [self.scores(part, rule, seed).as_dict() for seed in self.seeds]
        draws = [bootstrap_draws(truth, p[rows], groups, n_classes) for p in self.predictions[rule]]
        bounds = intervals(np.mean(draws, axis=0))
        nothing = majority(truth, n_classes).as_dict()
        row: dict[str, Any] = {
            "rule": rule,
            "part": part,
            "clips": int(rows.sum()),
            "subjects": len(np.unique(groups)),
        }
        for name in METRICS:
            values = [s[name] for s in per_seed]
            row[name] = float(np.mean(values))
            row[f"{name}_low"], row[f"{name}_high"] = bounds[name]
            row[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
            row[f"{name}_majority"] = nothing[name]
        return row

    @property
    def prediction_table(self) -> pd.DataFrame:
        """The data set's table with prediction, rule and probabilities, one row a clip and seed."""
        columns = ["database", "subject", "clip", "emotion", "label"]
        frames = []
        for k, seed in enumerate(self.seeds):
            frame = self.dataset.table[columns].reset_index(drop=True).assign(seed=seed)
            for rule, predicted in self.predictions.items():
                frame[f"predicted ({rule})"] = predicted[k]
            for c, name in enumerate(self.dataset.classes):
                frame[f"p_{name}"] = self.probabilities[k, :, c]
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def as_dict(self) -> dict[str, Any]:
        """Return everything a program wants to know, as JSON values."""
        rows = {(row["rule"], row["part"]): row for row in self._records}
        first = self.rules[0]
        return {
            **rows[first, ALL],
            "leaks": self.leaks,
            "config": dict(self.config),
            "seeds": list(self.seeds),
            "classes": list(self.dataset.classes),
            "confusion": self.confusion().confusion.tolist(),
            "databases": {part: rows[first, part] for part in self.parts[1:]},
            "other_rules": {rule: rows[rule, ALL] for rule in self.rules[1:]},
            "train_and_test_seconds": round(self.seconds, 3),
            "train_and_test_cpu_seconds": round(self.cpu_seconds, 3),
            "versions": [dict(v) for v in self.versions],
        }

    def save(self, folder: Path) -> None:
        """Write ``table.csv``, ``predictions.csv`` and ``summary.json`` into a folder."""
        write_atomically(folder / "table.csv", self.table.to_csv(index=False, lineterminator="\n"))
        write_atomically(
            folder / "predictions.csv", self.prediction_table.to_csv(index=False, lineterminator="\n")
        )
        write_atomically(folder / "summary.json", json.dumps(self.as_dict(), indent=1))
