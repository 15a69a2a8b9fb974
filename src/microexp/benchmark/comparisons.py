"""Results beside others: rows of one benchmark tested in pairs, and figures beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from microexp.benchmark import published
from microexp.benchmark.analysis import MEASURED, Cell, Results, Table, p_text
from microexp.benchmark.paired import Comparison, compare, holm
from microexp.benchmark.run import State
from microexp.cache import cached, identity_of, source_hash
from microexp.evaluate.metrics import METRICS

BASELINES = {"superres": "bicubic_restore", "magnification": "none"}
RESAMPLES = 2000
_Run = Mapping[Any, Any]
_Key = tuple[Any, ...]
_CELL = ["database", "classes", "resolution", "superres", "magnification", "recogniser", "measure"]
_COMPOSITE = "megc2019"
_FRECHET = "FD-768"
_NOT_FID = (
    f"{_FRECHET} is by another training of Inception-v3 than FID, and the paper does not say which sets it "
    "compared, so the values are not comparable"
)


def paired(results: Results, out: Path) -> list[Table]:
    """Test rows in pairs over subjects: recognisers on one variant, and variants against a baseline.

    The baseline is bicubic enlargement, or clips without magnification, with the same recogniser and all
    other factors alike. Both are tests of UF1 by `microexp.benchmark.paired`, corrected by Holm's method over
    all pairs of a table.
    """
    runs = results.table.to_dict("records")
    recognisers = [(a, b) for a, b in combinations(runs, 2) if a["variant"] == b["variant"]]
    tables = [_pairs(f"Recognisers in pairs on {results.name}", recognisers, out, results.leak_note)]
    for factor in results.factors:
        if factor in BASELINES:
            pairs = _against_baseline(runs, factor, results.factors)
            title = f"Against {factor} {BASELINES[factor]} on {results.name}"
            tables.append(_pairs(title, pairs, out, results.leak_note))
    return tables


def _against_baseline(runs: Sequence[_Run], factor: str, factors: Sequence[str]) -> list[tuple[_Run, _Run]]:
    """Pair every run with that of its recogniser under the baseline, all other factors alike.

    A level that only the baseline has, as no passes of magnification, stands for any.
    """
    baseline = [run for run in runs if run[factor] == BASELINES[factor]]
    others = [run for run in runs if run[factor] != BASELINES[factor]]
    held = {f: {run[f] for run in others} for f in factors if f != factor}
    return [
        (run, base)
        for run in others
        for base in baseline
        if run["label"] == base["label"] and all(run[f] == base[f] or base[f] not in held[f] for f in held)
    ]


def _pairs(title: str, pairs: Sequence[tuple[_Run, _Run]], out: Path, leak_note: str) -> Table:
    head = ["variant", "first", "second", "UF1 first - second", "95 % interval", "p", "p (Holm)",
            "p (signed rank)", "subjects better : worse"]  # fmt: skip
    if not pairs:
        return Table(title, note="Not made: there is no pair to compare.")
    predictions = cache(lambda folder, rule: _predictions(out / folder, rule))
    tested: list[tuple[_Run, _Run, Comparison]] = []
    for first, second in pairs:
        of_both = [predictions(r["folder"], r["rule"]) for r in (first, second) if r["status"] == "done"]
        known = [p for p in of_both if p is not None]
        if len(known) == 2 and known[0].index.equals(known[1].index):
            tested.append((first, second, _compared(*known)))
    if not tested:
        return Table(title, note=f"Not made: none of the {len(pairs)} pairs is complete on the same clips.")
    corrected = holm([comparison.permutation_p for _, _, comparison in tested])
    lacking = len(pairs) - len(tested)
    said = (
        f"{lacking} of {len(pairs)} pairs are not complete on the same clips and left out. "
        if lacking
        else ""
    )
    return Table(
        title,
        head,
        [_pair_row(a, b, c, float(p)) for (a, b, c), p in zip(tested, corrected, strict=True)],
        f"{leak_note}{said}p: by exchanging the two on subjects, of UF1 over all clips; Holm's correction is "
        f"over the {len(tested)} pairs of this table. The signed-rank test is of the subjects' accuracies.",
        list(dict.fromkeys(run["folder"] for a, b, _ in tested for run in (a, b))),
        3,
    )


def _pair_row(first: _Run, second: _Run, found: Comparison, corrected: float) -> list[Cell]:
    same = first["variant"] == second["variant"]
    names = (
        (first["variant"], first["label"], second["label"])
        if same
        else (first["variant"], first["label"], second["variant"])
    )
    low, high = found.interval
    texts = (
        *names,
        f"{found.difference:+.4f}",
        f"{low:+.3f} to {high:+.3f}",
        p_text(found.permutation_p),
        p_text(corrected),
        p_text(found.wilcoxon_p),
        f"{found.better} : {found.worse}",
    )
    return [Cell(text) for text in texts]


def _predictions(folder: Path, rule: str) -> pd.DataFrame | None:
    """Return truth, prediction and class count of each clip and seed, sorted; None if they are not there."""
    file, column = folder / "predictions.csv", f"predicted ({rule})"
    if not file.is_file():
        return None
    key = ["database", "subject", "clip", "seed"]
    table = pd.read_csv(file, dtype=dict.fromkeys(key[:3], str), keep_default_na=False)
    if column not in table:
        return None
    classes = sum(name.startswith("p_") for name in table.columns)
    kept = table.rename(columns={column: "predicted"}).set_index(key)[["label", "predicted"]]
    return kept.assign(classes=classes).sort_index()


def _compared(first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
    """Compare two runs; every seed's predictions of a subject go together. Kept in the cache."""
    subjects = ["/".join(map(str, key[:2])) for key in first.index]
    arrays = [first["label"], first["predicted"], second["predicted"]]
    truth, a, b = (np.asarray(x, np.int64) for x in arrays)
    n_classes = int(first["classes"].iloc[0])
    code = source_hash("microexp.benchmark.paired", "microexp.evaluate.metrics")
    key = (identity_of([truth, a, b, subjects, n_classes, RESAMPLES]), code)

    def make() -> dict[str, np.ndarray]:
        found = compare(truth, a, b, np.array(subjects), n_classes, RESAMPLES)
        return {name: np.asarray(value) for name, value in vars(found).items()}

    values = {name: array.tolist() for name, array in cached("comparisons", key, make).items()}
    return Comparison(**{**values, "interval": tuple(values["interval"])})


def beside_published(
    found: Sequence[State],
    rows: Sequence[Mapping[str, Any]],
    quality: pd.DataFrame,
    distances: pd.DataFrame,
) -> list[Table]:
    """Return ours beside theirs: one table for every published one of which a cell was computed.

    Cells match by database, classes, resolution, super-resolution, magnification, recogniser and measure.
    Parts of a composite database match tables of that composite alone.

    Parameters
    ----------
    found : sequence of State
        The jobs.
    rows : sequence of mapping
        The table of the benchmark, see `microexp.benchmark.report.table_rows`.
    quality : pandas.DataFrame
        See `microexp.benchmark.quality.read_quality`.
    distances : pandas.DataFrame
        See `microexp.benchmark.quality.read_distances`; no difference to FID is taken.
    """
    summaries = {state.folder: state.summary for state in found if state.summary is not None}
    ours = pd.DataFrame([*_figures(rows, summaries), *_qualities(quality), *_set_distances(distances)])
    tables = []
    for paper, numbers in published.tables().items():
        for number in numbers:
            theirs = published.read(paper, number).dropna(subset=["value"])
            if not ours.empty and (table := _beside(paper, number, ours, theirs)) is not None:
                tables.append(table)
    nothing = Table("Beside the published figures", note="No job matches a cell of a published table.")
    return tables or [nothing]


def _figures(
    rows: Iterable[Mapping[str, Any]], summaries: Mapping[str, Mapping[str, Any]]
) -> Iterable[dict[str, Any]]:
    """Yield every figure of the table and of a composite's parts, with what a published cell is found by."""
    for row in rows:
        if row["status"] != "done":
            continue
        summary = summaries[row["folder"]]
        whole = row["database"].removesuffix("_flow")
        parts = {whole: row}
        if whole == _COMPOSITE and row["rule"] == summary["rule"]:
            parts |= summary["databases"]
        about = _about(row) | {"classes": len(summary["classes"]), "recogniser": row["method"]}
        about |= {"composite": whole == _COMPOSITE, "source": row["folder"]}
        about |= {"shown": row["label"], "rule": row["rule"]}
        for database, figures in parts.items():
            for metric in METRICS:
                yield about | {"database": database, "measure": metric, "ours": figures[metric]}


def _qualities(quality: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for (database, variant), part in quality.groupby(["database", "variant"], sort=False):
        about = _about({**part.iloc[0], "variant": variant}) | {"database": database, "classes": None}
        about |= {"recogniser": None, "composite": False, "source": part["file"].iloc[0]}
        for measure, shown in MEASURED.items():
            yield about | {"shown": "", "rule": "", "measure": shown, "ours": float(part[measure].mean())}


def _set_distances(distances: pd.DataFrame) -> Iterable[dict[str, Any]]:
    for row in distances.to_dict("records"):
        about = _about(row) | {"database": row["part"], "classes": None, "recogniser": None}
        about |= {"composite": row["database"] == _COMPOSITE, "source": row["file"]}
        yield about | {"shown": "", "rule": "", "measure": "FID", "ours": row[_FRECHET]}


def _about(row: _Run) -> dict[str, Any]:
    """Return the factors of a row in the words of the published tables, in which nothing done is empty."""
    levels = {factor: row.get(factor) for factor in ("resolution", "superres", "magnification")}
    nothing = {"superres": "original", "magnification": "none"}
    about = {f: None if pd.isna(x) or x == nothing.get(f) else x for f, x in levels.items()}
    if not pd.isna(row.get("cascade")) and row["cascade"] > 1:  # papers print no figure of a second pass
        about["magnification"] = f"{about['magnification']} x {row['cascade']}"
    return about | {"variant": row["variant"]}


def _beside(paper: str, number: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> Table | None:
    composite = bool((theirs["database"] == _COMPOSITE).any())
    printed = {_cell(cell): cell for cell in theirs.to_dict("records")}
    rows, sources, note = [], [], "protocol and clips may differ"
    for figure in ours[ours["composite"] == composite].to_dict("records"):
        cell = printed.get(_cell(figure))
        if cell is None:
            continue
        sources.append(figure["source"])
        texts = [figure["database"], figure["variant"], figure["shown"], figure["rule"], figure["measure"]]
        digits = len(str(cell["printed"]).partition(".")[2])
        difference = f"{figure['ours'] - cell['value']:+.{digits}f}"
        if figure["measure"] == "FID":
            texts[-1], difference, note = f"{_FRECHET} beside FID", "not comparable", _NOT_FID
        numbers = (f"{figure['ours']:.{digits}f}", cell["printed"], difference)
        rows.append([*(Cell(text) for text in texts), *(Cell(text) for text in numbers)])
    if not rows:
        return None
    return Table(
        f"Beside table {number} of {published.SOURCES[paper]}",
        ["database", "variant", "recogniser", "epoch", "measure", "ours", "published", "ours - published"],
        rows,
        f"Matched by database, number of classes, variant, recogniser and measure; {note}.",
        list(dict.fromkeys(sources)),
        5,
    )


def _cell(row: Mapping[Any, Any]) -> _Key:
    return tuple(None if pd.isna(row[name]) else row[name] for name in _CELL)
