"""Commands that judge: cross-validation of a recogniser, and the audit of published rows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from microexp.cli._common import Bars, JsonFlag, err, out
from microexp.errors import OptionError
from microexp.registry import read_params

if TYPE_CHECKING:
    from microexp.evaluate import Evaluation


def evaluate(
    method: Annotated[str, typer.Argument(help="A recogniser, as in `microexp list recognize`.")],
    database: Annotated[str, typer.Option(help="A database, as in `microexp list datasets`.")],
    root: Annotated[Path | None, typer.Option(help="Folder of your copy of the database.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Class scheme, e.g. megc3 or emotion7, or your own: a .csv file with columns emotion, class."
        ),
    ] = None,
    selection: Annotated[
        str,
        typer.Option(
            help="Which epoch counts: last-epoch, inner-subjects (chosen on training subjects held back), or "
            "test-fold (chosen on the test subject: LEAKS, to compare with tables made that way)."
        ),
    ] = "last-epoch",
    protocol: Annotated[
        str,
        typer.Option(
            help="How clips are split: loso (one subject left out), subjects-5 (five folds by subject), or "
            "samples-5 (five folds by clip: LEAKS, to compare with tables made that way)."
        ),
    ] = "loso",
    epochs: Annotated[int | None, typer.Option(help="Epochs of a network (default: its paper's).")] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed; give it several times for several runs.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes (default: one a core).")] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the run (default: results/METHOD-DATABASE-KEY). Resumes there."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder of published weights, <left-out subject>.pth; no training.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of the recogniser, e.g. --param C=0.01. Repeatable.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Named settings of the recogniser, as its card has them, e.g. sr_mer or paper."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the database, e.g. --data n_subjects=12. Repeatable."),
    ] = None,
    prepare: Annotated[
        list[str] | None,
        typer.Option(
            help="What clips go through first, in order: aligner (faces to one place and size), apex (spot "
            "it where none is annotated). Options after colons: aligner:size=128:missing=skip. Repeatable."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge a recogniser by leave-one-subject-out, or in five folds.

    Every subject is predicted by a model that never saw it (but in samples-5). Finished folds are kept as
    they come: stop with Ctrl-C (or a power cut) and run the same command again to go on.

    [bold]microexp evaluate linear_svm --database synthetic --data n_subjects=8[/bold]

    [bold]microexp evaluate ststnet --database smic --root DIR --prepare aligner --prepare apex[/bold]
    """
    from microexp import datasets, recognize
    from microexp.evaluate.loso import check_protocol, loso, run_config
    from microexp.evaluate.prepare import prepare as prepare_clips
    from microexp.evaluate.prepare import read_step
    from microexp.evaluate.report import write_report
    from microexp.evaluate.store import run_key

    params = read_params(param or [], "--param")
    if "random_state" in params:
        raise OptionError("--param random_state: give the seed as --seed")
    if epochs is not None:
        params["epochs"] = epochs
    options = read_params(data or [], "--data")
    if root is not None:
        options["root"] = root
    recognizer = recognize.create(method, preset, **params)
    steps = [read_step(text) for text in prepare or []]
    dataset = datasets.create(database, **options).load(labels)
    seeds = tuple(seed or [0])
    if steps:
        with Bars("Nothing is kept of the preparation but what is in the cache", quiet=as_json) as bars:
            dataset = prepare_clips(dataset, steps, jobs, bars.update)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_protocol(recognizer, dataset, selection, seeds, jobs, weights, protocol)
    for warning in caught:
        err.print(f"[yellow]Warning:[/] {escape(str(warning.message))}", highlight=False)
    key = run_key(run_config(recognizer, dataset, selection, weights, protocol))
    folder = out_dir or Path("results") / f"{method}-{database}-{key}"
    with Bars(f"Finished folds are kept in {folder}", quiet=as_json) as bars, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said above
        result = loso(
            recognizer,
            dataset,
            selection=selection,
            protocol=protocol,
            seeds=seeds,
            jobs=jobs,
            out=folder,
            weights=weights,
            progress=bars.update,
        )
    result.save(folder)
    report = write_report(folder / "report.html", [result], title=f"{method} on {database}")
    if as_json:
        print(json.dumps({**result.as_dict(), "folder": str(folder)}, indent=1))
        return
    _show(result)
    out.print(
        f"Report: {report}\nTables: {folder}/table.csv, {folder}/predictions.csv",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def audit(
    table: Annotated[
        Path | None,
        typer.Argument(
            help="CSV: method, then <part>_UF1, <part>_UAR of each database, and UF1, UAR of all together, "
            "as printed (default: the rows published on MEGC2019)."
        ),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(help="CSV of clips a class: part, then a column a class (default: MEGC2019)."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say of published rows whether one confusion matrix can give them.

    Class counts are public and figures have four decimals, so all matrices can be searched. A row without one
    is not one evaluation on these clips: another subset, a mean over seeds, or precision for recall. It
    proves no wrong-doing.

    [bold]microexp audit[/bold]   [bold]microexp audit my_table.csv[/bold]
    """
    from dataclasses import asdict

    from microexp.evaluate.audit import MEGC2019_COUNTS, PUBLISHED, audit_table, read_counts

    rows = list(audit_table(table or PUBLISHED, read_counts(counts) if counts else MEGC2019_COUNTS))
    if as_json:
        print(json.dumps([{**asdict(row), "possible": row.possible} for row in rows], indent=1))
        return
    shown = Table(box=SIMPLE_HEAD)
    for column in ("", "method", "what the search says"):
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row("[green]yes[/]" if row.possible else "[bold red]no[/]", row.method, row.sentence)
    out.print(shown)


def _show(result: Evaluation) -> None:
    """Print the table, the confusion matrix and what has to be said with them."""
    from microexp.evaluate.evaluation import leaks
    from microexp.evaluate.metrics import METRICS

    for rule in result.rules:
        style = "bold red" if leaks(rule) else "bold"
        table = Table(
            title=f"{result.protocol.capitalize()}, {rule}",
            title_justify="left",
            title_style=style,
            box=SIMPLE_HEAD,
            caption="Below each figure: its 95 % interval over subjects, and what the majority class gives.",
            caption_justify="left",
        )
        for column in ("data", "clips", "subjects", *METRICS):
            table.add_column(column, justify="left" if column == "data" else "right", no_wrap=True)
        for row in result.table[result.table["rule"] == rule].to_dict("records"):
            table.add_row(
                str(row["part"]), str(row["clips"]), str(row["subjects"]), *(_figure(row, m) for m in METRICS)
            )
        out.print(table)
    matrix = Table(title="Confusion (rows: truth)", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name in ("", *result.dataset.classes):
        matrix.add_column(name, justify="right")
    for name, counts in zip(result.dataset.classes, result.confusion().confusion, strict=True):
        matrix.add_row(name, *(str(c) for c in counts))
    out.print(matrix)
    for remark in result.remarks:
        out.print(f"[yellow]{remark}[/]")


def _figure(row: Mapping[Any, Any], metric: str) -> str:
    """A figure, its 95 % interval over subjects, and what the majority class gives, one under the other."""
    spread = "" if row[f"{metric}_sd"] is None else f" ± {row[f'{metric}_sd']:.4f}"
    low, high, nothing = (row[f"{metric}_{end}"] for end in ("low", "high", "majority"))
    return f"[bold]{row[metric]:.4f}[/]{spread}\n[dim]{low:.3f}-{high:.3f}\nmajority {nothing:.3f}[/]"
