"""The report of a benchmark, made of what is on the disk: CSV, LaTeX, and one self-contained HTML file.

Every row that is not complete stands there with its status and no figure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from microexp.benchmark import analysis
from microexp.benchmark.analysis import Cell, Results, Table
from microexp.benchmark.comparisons import beside_published, paired
from microexp.benchmark.figures import factor_figure, quality_figure, strip_file
from microexp.benchmark.plan import Plan
from microexp.benchmark.quality import read_distances, read_quality
from microexp.benchmark.run import State, failures, states
from microexp.evaluate.evaluation import leaks
from microexp.evaluate.metrics import METRICS
from microexp.evaluate.report import page_template
from microexp.evaluate.store import features_seconds, write_atomically

TABLE_CSV, TABLE_TEX, REPORT_HTML = "table.csv", "table.tex", "report.html"
TIMES_CSV = "times.csv"  # apart, as they differ between two runs of the same
DISTANCES_CSV = "distances.csv"
Against = Literal["published"]
_WHOLE = [
    "parameters",
    "multiply_adds",
    "classes",
]  # numbers that may be missing, and stay whole all the same
_TEX_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "†": r"\dag{}", "±": r"$\pm$",
}  # fmt: skip
_TEX_BEST = {"row": r"\underline{%s}", "column": r"\textbf{%s}", "": "%s"}


def write_reports(plan: Plan, out: Path, against: Against | None = None) -> tuple[Path, Path, Path]:
    """Write ``table.csv``, ``table.tex``, ``report.html`` and ``times.csv`` into a benchmark's folder.

    Where distances of sets were measured there is ``distances.csv``, too.

    Parameters
    ----------
    plan : Plan
        What was run.
    out : Path
        Folder of the benchmark.
    against : {"published"} or None
        Show figures beside those that papers print for the same database, variant and recogniser.

    Returns
    -------
    tuple of Path
        Table, LaTeX and page. The table is the same however often a plan was interrupted; what differs
        between runs, the times, is in ``times.csv`` beside it.
    """
    found = states(plan, out)
    rows = table_rows(plan, found)
    quality, distances = (read(out, plan.qualities) for read in (read_quality, read_distances))
    every = analysis.by_database(rows, plan.factors)
    csv, tex, html = out / TABLE_CSV, out / TABLE_TEX, out / REPORT_HTML
    times = [_times(state, out) for state in found]
    frame = pd.DataFrame(rows)
    frame[_WHOLE] = frame[_WHOLE].astype("Int64")
    write_atomically(csv, frame.to_csv(index=False, lineterminator="\n"))
    write_atomically(out / TIMES_CSV, pd.DataFrame(times).to_csv(index=False, lineterminator="\n"))
    sections = [_section(plan, results, quality, out) for results in every]
    measured = [analysis.quality_table(every, quality)] if any(s["grids"] for s in sections) else []
    if plan.spec["set_distance"]:
        failed = (reason for _, reason in failures(plan.qualities, out))
        measured = [analysis.distance_table(every, distances, failed)]
        write_atomically(out / DISTANCES_CSV, distances.to_csv(index=False, lineterminator="\n"))
    grids = [table for section in sections for table in section["grids"]]
    write_atomically(tex, _latex(plan, found, rows, [t for t in [*grids, *measured] if t.rows]))
    beside = beside_published(found, rows, quality, distances) if against else []
    write_atomically(html, _html(plan, found, rows, times, sections, measured, beside))
    return csv, tex, html


def table_rows(plan: Plan, found: Sequence[State]) -> list[dict[str, Any]]:
    """Return the table: a row a job and rule of choosing the epoch, all rows with the same keys.

    Figures are UF1, UAR and WAR of all clips (mean over the seeds), each with ``_low`` and ``_high`` (95 %
    interval over subjects), ``_sd`` (over the seeds) and ``_majority``; None where a job is not done. Every
    factor of the variants has a column of its name, None where a variant has no level of it.
    """
    printed = _printed_columns(found)
    return [_row(plan, state, figures, printed) for state in found for figures in figures_by_rule(state)]


def figures_by_rule(state: State) -> list[Mapping[str, Any]]:
    """Return the figures of each rule of choosing the epoch; one empty set where a job is not done."""
    if state.summary is None:
        return [{}]
    return [state.summary, *state.summary["other_rules"].values()]


def _printed_columns(found: Iterable[State]) -> list[str]:
    """Published columns, the metrics first, then as they come."""
    keys = dict.fromkeys(key for state in found for key in state.job.published)
    return [m for m in METRICS if m in keys] + [k for k in keys if k not in METRICS]


def _row(plan: Plan, state: State, figures: Mapping[str, Any], printed: list[str]) -> dict[str, Any]:
    job, summary = state.job, state.summary or {}
    row: dict[str, Any] = {
        "label": job.label,
        "method": job.method,
        "variant": job.variant,
        **{factor: job.factors.get(factor) for factor in plan.factors},
        "database": job.database,
        "data": _data(state),
        "status": state.status,
        "folds": f"{state.folds}/{job.folds}",
        "rule": figures.get("rule", ""),
        "classes": len(summary["classes"]) if summary else None,
        "clips": job.clips,
        "subjects": job.subjects,
        "parameters": job.parameters,
        "multiply_adds": job.multiply_adds,
    }
    for metric in METRICS:
        for key in (metric, *(f"{metric}_{end}" for end in ("low", "high", "sd", "majority"))):
            row[key] = figures.get(key)
    for key in printed:
        row[f"published_{key}"] = job.published.get(key)
    versions = {v["microexp"] for v in summary.get("versions", ())}
    return {
        **row,
        "published_data": plan.published_data if job.published else "",
        "published_protocol": plan.published_protocol if job.published else "",
        "seeds": " ".join(map(str, job.seeds)),
        "changes": "; ".join(plan.changes),
        "note": job.note,
        "reason": state.reason,
        "microexp": " ".join(sorted(versions)),
        "folder": state.folder,
    }


def _times(state: State, out: Path) -> dict[str, Any]:
    """Return seconds of one thread: the features, and training and testing of all folds."""
    job, summary = state.job, state.summary or {}
    return {
        "label": job.label,
        "database": job.database,
        "variant": job.variant,
        "key": job.key,
        "features_seconds": features_seconds(out / state.folder),
        "seconds": summary.get("train_and_test_seconds"),
        "cpu_seconds": summary.get("train_and_test_cpu_seconds"),
    }


def remarks(plan: Plan, found: Sequence[State]) -> list[str]:
    """Return what has to be said wherever the table is shown; of data with variants, what holds for all."""
    changed = f"Changed at run time, not as the benchmark has it: {'; '.join(plan.changes)}."
    said = [changed] if plan.changes else []
    said += [remark for state in found for remark in _common_remarks(found, state.job.database)]
    if any(state.summary and state.summary["leaks"] for state in found):
        said.append(
            "Rows marked LEAKS let the test clips have a say. They compare with tables made that way; where "
            "the epoch was chosen so, the honest figures of the same training are in the rows 'last epoch'."
        )
    if lacking := sum(state.status != "done" for state in found):
        said.append(f"{lacking} of {len(found)} rows are not complete and have no figure.")
    if any(state.job.published for state in found):
        said.append(f"† {_published(plan)}")
    return list(dict.fromkeys(said))


def _common_remarks(found: Sequence[State], database: str) -> list[str]:
    """Return the remarks on a database that all its variants share; without variants, every remark."""
    own = [s.job.remarks for s in found if s.job.database == database]
    if not any(s.job.variant for s in found):
        return [remark for said in own for remark in said]
    return [remark for remark in own[0] if all(remark in said for said in own)]


def _variant_remarks(found: Sequence[State]) -> list[tuple[str, list[str]]]:
    """Return what is to be said of each variant, in the order of the plan."""
    said: dict[str, list[str]] = {}
    for state in (s for s in found if s.job.variant):
        common = _common_remarks(found, state.job.database)
        said.setdefault(state.job.variant, []).extend(r for r in state.job.remarks if r not in common)
    return [(variant, list(dict.fromkeys(texts))) for variant, texts in said.items() if texts]


def _data(state: State) -> str:
    """Say how the database was loaded: its class scheme and its arguments."""
    job = state.job
    return ", ".join([f"labels {job.config['labels']}", *(f"{k} = {v!r}" for k, v in job.data.items())])


def _published(plan: Plan) -> str:
    where = f"Published figures are from {plan.source}" if plan.source else "Published figures"
    on = f", on {plan.published_data}" if plan.published_data else ""
    return f"{where}{on}; their protocol: {plan.published_protocol}."


def _section(plan: Plan, results: Results, quality: pd.DataFrame, out: Path) -> dict[str, Any]:
    """Return what is shown of a database; what tells its variants apart only if it has any."""
    section: dict[str, Any] = {"name": results.name, "grids": [], "figures": [], "strips": []}
    if not any(results.variants):
        return {**section, "tables": paired(results, out)}
    correlations = analysis.correlations(results, quality)
    return {
        **section,
        "grids": [analysis.grid(results, metric) for metric in ("WAR", "UF1", "UAR")],
        "figures": [factor_figure(results), quality_figure(results, quality)],
        "tables": [*analysis.variance(results), correlations, *paired(results, out)],
        "strips": _strips(plan, results.table["database"].iloc[0], out),
    }


def _strips(plan: Plan, database: str, out: Path) -> list[tuple[str, str]]:
    """Return label and picture of every variant of which there is a strip."""
    jobs = [job for job in plan.jobs if job.database == database]
    there = {
        job.variant: strip_file(out, database, job.variant, job.config["data"]) for job in reversed(jobs)
    }
    order = dict.fromkeys(job.variant for job in jobs)
    return [
        (v, "data:image/webp;base64," + base64.b64encode(there[v].read_bytes()).decode())
        for v in order
        if there[v].is_file()
    ]


def _html(
    plan: Plan,
    found: Sequence[State],
    rows: list[dict[str, Any]],
    times: Sequence[Mapping[str, Any]],
    sections: Sequence[Mapping[str, Any]],
    quality: Sequence[Table],
    beside: Sequence[Table],
) -> str:
    versions = {
        f"{name} {version}"
        for state in found
        for computed in (state.summary or {}).get("versions", ())
        for name, version in computed.items()
    }
    return page_template(__package__).render(
        plan=plan,
        rows=rows,
        found=found,
        metrics=METRICS,
        printed=_printed_columns(found),
        networks=any(state.job.parameters for state in found),
        remarks=remarks(plan, found),
        variant_remarks=_variant_remarks(found),
        leaks=leaks,
        several_databases=len({state.job.database for state in found}) > 1,
        variants=any(state.job.variant for state in found),
        done=sum(state.status == "done" for state in found),
        databases=list(dict.fromkeys((s.job.database, _data(s)) for s in found)),
        fingerprints=list(
            dict.fromkeys((s.job.database, s.job.variant, s.job.config["data"]) for s in found)
        ),
        configs=list({(s.job.database, s.job.label): s for s in reversed(found)}.values())[::-1],
        versions=sorted(versions),
        seconds=sum(time["seconds"] or 0.0 for time in times),
        cpu_seconds=sum(time["cpu_seconds"] or 0.0 for time in times),
        seconds_of={s.folder: t["seconds"] for s, t in zip(found, times, strict=True)},
        sections=sections,
        quality=quality,
        beside=beside,
        notes=dict.fromkeys((s.job.label, s.job.note) for s in found if s.job.note),
        script=files(__package__).joinpath("report.js").read_text("utf-8"),
    )


def _latex(plan: Plan, found: Sequence[State], rows: list[dict[str, Any]], tables: Sequence[Table]) -> str:
    """Return tabulars of the package booktabs; what has to be said stands above them as comments."""
    lines = [f"% {plan.title}", *(f"% {remark}" for remark in remarks(plan, found))]
    for table in tables:
        columns = "l" * table.text_columns + "c" * (len(table.head) - table.text_columns)
        body = [_tex_row(row) for row in table.rows]
        lines += ["", f"% {table.title}", f"% {table.note}", *_tabular(columns, table.head, body)]
    printed = _printed_columns(found)
    several = any(row["variant"] for row in rows)
    heads = ["", *(["variant"] if several else []), "data", "epoch", "clips", *METRICS]
    heads += [f"{key}†" for key in printed]
    texts = 4 if several else 3
    body = []
    for row in rows:
        cells = [row["label"], *([row["variant"]] if several else []), row["database"]]
        cells += [row["rule"] or row["status"], str(row["clips"])]
        cells += [_figure(row, metric) for metric in METRICS]
        cells += [_plain(row[f"published_{key}"]) for key in printed]
        body.append(_tex_row(map(Cell, cells)))
    columns = "l" * texts + "r" + "c" * (len(heads) - texts - 1)
    return "\n".join([*lines, *([""] if tables else []), *_tabular(columns, heads, body), ""])


def _tabular(columns: str, heads: Sequence[str], body: Sequence[str]) -> list[str]:
    top = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _tex_row(map(Cell, heads)), r"\midrule"]
    return [*top, *body, r"\bottomrule", r"\end{tabular}"]


def _figure(row: Mapping[str, Any], metric: str) -> str:
    if row[metric] is None:
        return "--"
    spread = "" if row[f"{metric}_sd"] is None else f" ± {row[f'{metric}_sd']:.4f}"
    return f"{row[metric]:.4f}{spread} [{row[f'{metric}_low']:.3f}, {row[f'{metric}_high']:.3f}]"


def _plain(value: float | str | None) -> str:
    if value is None:
        return "--"
    return value if isinstance(value, str) else f"{value:.4f}"


def _tex_row(cells: Iterable[Cell]) -> str:
    def shown(cell: Cell) -> str:
        return _TEX_BEST[cell.best] % re.sub(r".", lambda m: _TEX_SIGNS.get(m[0], m[0]), cell.text)

    return " & ".join(map(shown, cells)) + r" \\"
