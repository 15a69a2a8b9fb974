"""The table of a benchmark, made of what is on the disk: CSV, LaTeX, and one self-contained HTML file.

Every row that is not complete stands there with its status and no figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from microexp.benchmark.plan import Plan
from microexp.benchmark.run import State, states
from microexp.evaluate.evaluation import LEAK_MARK
from microexp.evaluate.metrics import METRICS
from microexp.evaluate.report import page_template
from microexp.evaluate.store import write_atomically

TABLE_CSV, TABLE_TEX, REPORT_HTML = "table.csv", "table.tex", "report.html"
_TEX_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "†": r"\dag{}", "±": r"$\pm$",
}  # fmt: skip


def write_reports(plan: Plan, out: Path) -> tuple[Path, Path, Path]:
    """Write ``table.csv``, ``table.tex`` and ``report.html`` into the folder of a benchmark.

    Parameters
    ----------
    plan : Plan
        What was run.
    out : Path
        Folder of the benchmark.

    Returns
    -------
    tuple of Path
        The three files.
    """
    found = states(plan, out)
    rows = table_rows(plan, found)
    csv, tex, html = out / TABLE_CSV, out / TABLE_TEX, out / REPORT_HTML
    write_atomically(csv, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
    write_atomically(tex, _latex(plan, found, rows))
    write_atomically(html, _html(plan, found, rows))
    return csv, tex, html


def table_rows(plan: Plan, found: Sequence[State]) -> list[dict[str, Any]]:
    """Return the table: a row a job and rule of choosing the epoch, all rows with the same keys.

    Figures are UF1, UAR and WAR of all clips (mean over the seeds), each with ``_low`` and ``_high`` (95 %
    interval over subjects), ``_sd`` (over the seeds) and ``_majority``; None where a job is not done.
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
        "database": job.database,
        "data": _data(state),
        "status": state.status,
        "folds": f"{state.folds}/{job.folds}",
        "rule": figures.get("rule", ""),
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
        "seconds": summary.get("train_and_test_seconds"),
        "changes": "; ".join(plan.changes),
        "note": job.note,
        "reason": state.reason,
        "microexp": " ".join(sorted(versions)),
        "folder": state.folder,
    }


def remarks(plan: Plan, found: Sequence[State]) -> list[str]:
    """Return what has to be said wherever the table is shown."""
    changed = f"Changed at run time, not as the benchmark has it: {'; '.join(plan.changes)}."
    said = [changed] if plan.changes else []
    said += [remark for state in found for remark in state.job.remarks]
    if any(state.summary and state.summary["leaks"] for state in found):
        said.append(
            "Rows marked LEAKS chose the epoch on the test subject. They compare with tables made that way; "
            "the honest figures of the same training are in the rows 'last epoch'."
        )
    if lacking := sum(state.status != "done" for state in found):
        said.append(f"{lacking} of {len(found)} rows are not complete and have no figure.")
    if any(state.job.published for state in found):
        said.append(f"† {_published(plan)}")
    return list(dict.fromkeys(said))


def _data(state: State) -> str:
    """Say how the database was loaded: its class scheme and its arguments."""
    job = state.job
    return ", ".join([f"labels {job.config['labels']}", *(f"{k} = {v!r}" for k, v in job.data.items())])


def _published(plan: Plan) -> str:
    where = f"Published figures are from {plan.source}" if plan.source else "Published figures"
    on = f", on {plan.published_data}" if plan.published_data else ""
    return f"{where}{on}; their protocol: {plan.published_protocol}."


def _html(plan: Plan, found: Sequence[State], rows: list[dict[str, Any]]) -> str:
    template = page_template(__package__)
    versions = {
        f"{name} {version}"
        for state in found
        for computed in (state.summary or {}).get("versions", ())
        for name, version in computed.items()
    }
    return template.render(
        plan=plan,
        rows=rows,
        found=found,
        metrics=METRICS,
        printed=_printed_columns(found),
        networks=any(state.job.parameters for state in found),
        remarks=remarks(plan, found),
        leak_mark=LEAK_MARK,
        several_databases=len({state.job.database for state in found}) > 1,
        done=sum(state.status == "done" for state in found),
        databases=list(dict.fromkeys((s.job.database, _data(s), s.job.config["data"]) for s in found)),
        versions=sorted(versions),
        seconds=sum((state.summary or {}).get("train_and_test_seconds", 0.0) for state in found),
    )


def _latex(plan: Plan, found: Sequence[State], rows: list[dict[str, Any]]) -> str:
    """Return a tabular of the package booktabs; what has to be said stands above it as comments."""
    printed = _printed_columns(found)
    heads = ["", "data", "epoch", "clips", *METRICS, *(f"{key}†" for key in printed)]
    columns = "lllr" + "c" * (len(heads) - 4)
    lines = [f"% {plan.title}", *(f"% {remark}" for remark in remarks(plan, found))]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _tex_row(heads), r"\midrule"]
    for row in rows:
        cells = [row["label"], row["database"], row["rule"] or row["status"], str(row["clips"])]
        cells += [_figure(row, metric) for metric in METRICS]
        cells += [_plain(row[f"published_{key}"]) for key in printed]
        lines.append(_tex_row(cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _figure(row: Mapping[str, Any], metric: str) -> str:
    if row[metric] is None:
        return "--"
    spread = "" if row[f"{metric}_sd"] is None else f" ± {row[f'{metric}_sd']:.4f}"
    return f"{row[metric]:.4f}{spread} [{row[f'{metric}_low']:.3f}, {row[f'{metric}_high']:.3f}]"


def _plain(value: float | str | None) -> str:
    if value is None:
        return "--"
    return value if isinstance(value, str) else f"{value:.4f}"


def _tex_row(cells: Iterable[str]) -> str:
    return " & ".join(re.sub(r".", lambda m: _TEX_SIGNS.get(m[0], m[0]), cell) for cell in cells) + r" \\"
