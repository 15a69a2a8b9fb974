"""The command line. Each command checks what it was given, calls one function, and shows the outcome.

Nothing heavy is imported before a command needs it: ``microexp --help`` answers at once.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from microexp.errors import MicroexpError, MicroexpWarning, OptionError, UnknownNameError

if TYPE_CHECKING:
    from microexp.evaluate import Evaluation
    from microexp.registry import Card

app = typer.Typer(
    name="microexp",
    help="Facial micro-expressions: from clips to an honest leave-one-subject-out table.\n\n"
    "Start with [bold]microexp demo[/bold]; see what there is with [bold]microexp list[/bold].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
datasets_app = typer.Typer(
    help="Look at a licensed copy of a database, or write synthetic clips.", no_args_is_help=True
)
app.add_typer(datasets_app, name="datasets")
cache_app = typer.Typer(
    help="What is kept on the disk so that it need not be computed twice: pictures of synthetic faces, "
    "aligned clips, motion. Deleting it costs time, never a result.",
    no_args_is_help=True,
)
app.add_typer(cache_app, name="cache")
out, err = Console(), Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs, and nothing else.")]
EXIT_ON_FAULT = 1
EXIT_ON_BAD_INPUT = 2
EXIT_ON_INTERRUPT = 130


def main() -> None:
    """Run the command line; print one clear sentence for what the user can mend, or should know."""
    warnings.showwarning = _show_warning
    try:
        app()
    except MicroexpError as error:
        _fail(str(error))
    except OSError as error:  # no permission, disk full, ...; what has a file name is the user's to mend
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}")


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
    """Print our own warnings as a sentence; of others, say also where they come from."""
    if issubclass(category, MicroexpWarning):
        text = str(message)
    else:
        text = f"{category.__name__}: {message} ({where[0]}:{where[1]})"
    err.print(f"[yellow]Warning:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _fail(message: str) -> NoReturn:
    err.print(f"[bold red]Error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(EXIT_ON_BAD_INPUT)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Shared options."""
    if version:
        from microexp import __version__

        out.print(__version__, highlight=False)
        raise typer.Exit


@app.command("list")
def list_methods(
    family: Annotated[
        str | None, typer.Argument(help="datasets, motion, recognize, ... (default: all)")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """What there is: databases, motion and recognition methods, with licence and source."""
    from dataclasses import asdict

    from microexp.registry import FAMILIES, Registry

    if family is not None and family not in FAMILIES:
        raise UnknownNameError("family", family, FAMILIES)
    cards = [
        registry.card(name)
        for registry in (Registry(f"microexp.{f}") for f in FAMILIES if family in (None, f))
        for name in registry.names()
    ]
    if as_json:
        print(json.dumps([asdict(card) for card in cards], indent=1))
        return
    for group in dict.fromkeys(card.family for card in cards):
        table = Table(title=f"{group}", title_justify="left", title_style="bold", expand=True)
        for column in ("name", "what", "source", "licence"):
            table.add_column(column, overflow="fold")
        for card in cards:
            if card.family == group:
                table.add_row(f"[bold]{card.name}[/]", card.summary, _source(card), card.licence)
        out.print(table)


@app.command()
def cite(methods: Annotated[list[str], typer.Argument(help="Names as in `microexp list`.")]) -> None:
    """Print BibTeX entries of methods and databases."""
    from microexp.registry import FAMILIES, Registry

    registries = [Registry(f"microexp.{family}") for family in FAMILIES]
    known = {name: registry for registry in registries for name in registry.names()}
    for method in methods:
        if method not in known:
            raise UnknownNameError("method", method, known)
    for method in methods:
        card = known[method].card(method)
        if card.paper is None:
            print(f"% {method}: {card.title} has no paper of its own; cite microexp (CITATION.cff)")
        else:
            print(card.paper.bibtex(method))


@app.command()
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
    data: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the database, e.g. --data n_subjects=12. Repeatable."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Judge a recogniser by leave-one-subject-out.

    Every subject is predicted by a model that never saw it. Finished folds are kept as they come: stop
    with Ctrl-C (or a power cut) and run the same command again to go on.

    [bold]microexp evaluate linear_svm --database synthetic --data n_subjects=8[/bold]
    """
    from microexp import datasets, recognize
    from microexp.evaluate.loso import check_protocol, loso, run_config
    from microexp.evaluate.report import write_report
    from microexp.evaluate.store import run_key

    params = _pairs(param, "--param")
    if "random_state" in params:
        raise OptionError("--param random_state: give the seed as --seed")
    if epochs is not None:
        params["epochs"] = epochs
    options = _pairs(data, "--data")
    if root is not None:
        options["root"] = root
    recognizer = recognize.create(method, **params)
    dataset = datasets.create(database, **options).load(labels)
    seeds = tuple(seed or [0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_protocol(recognizer, dataset, selection, seeds, jobs, weights)
    for warning in caught:
        err.print(f"[yellow]Warning:[/] {escape(str(warning.message))}", highlight=False)
    key = run_key(run_config(recognizer, dataset, selection, weights))
    folder = out_dir or Path("results") / f"{method}-{database}-{key}"
    with _Bars(f"Finished folds are kept in {folder}", quiet=as_json) as bars, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said above
        result = loso(
            recognizer,
            dataset,
            selection=selection,
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


@app.command()
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("microexp-demo"),
    jobs: Annotated[int | None, typer.Option(help="Worker processes (default: one a core).")] = None,
) -> None:
    """The whole path on the embedded synthetic faces: clips, flow, three recognisers, a report."""
    from microexp.demo import run_demo

    with _Bars(f"What is finished is kept in {out_dir}") as bars:
        report = run_demo(out_dir, jobs=jobs, progress=bars.update)
    out.print(f"Report: {report}", highlight=False, soft_wrap=True, markup=False)


@datasets_app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="A database, as in `microexp list datasets`.")],
    root: Annotated[Path | None, typer.Argument(help="Folder of your copy.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE of the database, e.g. --data variant=cropped or --data sheet=FILE. Repeatable."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Is my copy complete, and what is odd in it? Exit code 0 if all is well, 1 if not.

    Counts are compared with the published ones, every row of the annotation with the frames on disk. Nothing
    is changed.

    [bold]microexp datasets check casme2 /data/CASME2 --data variant=cropped[/bold]
    """
    from dataclasses import asdict

    from microexp import datasets

    checks = datasets.create(name, root=root, **_pairs(data, "--data")).check()
    good = all(c.ok for c in checks)
    if as_json:
        print(json.dumps({"database": name, "ok": good, "checks": [asdict(c) for c in checks]}, indent=1))
        raise typer.Exit(0 if good else EXIT_ON_FAULT)
    table = Table(title=name, title_justify="left", title_style="bold")
    for column in ("", "what", "expected", "found"):
        table.add_column(column, overflow="fold")
    for c in checks:
        table.add_row("[green]ok[/]" if c.ok else "[bold red]no[/]", c.what, c.expected, c.found)
    out.print(table)
    for c in checks:
        for detail in c.details[:20]:
            out.print(f"  {c.what}: {escape(detail)}", highlight=False, soft_wrap=True)
        if len(c.details) > 20:
            out.print(f"  ... and {len(c.details) - 20} more (all with --json)")
    raise typer.Exit(0 if good else EXIT_ON_FAULT)


@datasets_app.command("synthesize")
def synthesize(
    directory: Annotated[Path, typer.Argument(help="Folder to write into.")],
    subjects: Annotated[int, typer.Option(help="Number of people.")] = 4,
    clips: Annotated[int, typer.Option(help="Clips of each.")] = 6,
    size: Annotated[int, typer.Option(help="Side of the frames, pixels.")] = 256,
    nuisance: Annotated[
        float, typer.Option(help="Head motion, noise, distractors; 0 none, 1 as real data.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same clips, bit for bit.")] = 0,
    layout: Annotated[
        str | None, typer.Option(help="Lay the clips out as this database has them, sheet included.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="With --layout: as many clips and people as the real one, in tiny pictures."
        ),
    ] = False,
    data: Annotated[
        list[str] | None,
        typer.Option(help="With --layout: NAME=VALUE of it, e.g. --data release=20140508. Repeatable."),
    ] = None,
) -> None:
    """Write synthetic clips as frames, with annotation and exact ground truth.

    With --layout they look like a copy of a licensed database: its folders, its sheet, and the odd rows that
    the real sheet is known to have. So a script for the real one can be tried before the licence comes:

    [bold]microexp datasets synthesize /tmp/look --layout casme2[/bold]
    [bold]microexp datasets check casme2 /tmp/look[/bold]

    lookalike.json in the folder lists the clips that a loader should find.
    """
    from microexp import datasets
    from microexp.datasets import lookalike
    from microexp.datasets.synthetic import write_frames

    if layout is not None:
        with _Bars(f"{directory} is half-written; empty it") as bars:
            made = lookalike.write(
                layout,
                directory,
                full=full,
                subjects=subjects,
                clips=clips,
                size=size,
                nuisance=nuisance,
                seed=seed,
                progress=bars.update,
                **_pairs(data, "--data"),
            )
        told = f"Wrote a look-alike of {layout} with {len(made.clips)} clips to {directory}"
        out.print(told, highlight=False, soft_wrap=True, markup=False)
        return
    if full or data:
        raise OptionError("--full and --data say how a --layout is written; name the layout as well")
    database = datasets.create(
        "synthetic", n_subjects=subjects, clips_per_subject=clips, size=size, nuisance=nuisance, seed=seed
    )
    with _Bars(f"Finished clips are kept in {directory}") as bars:
        write_frames(database.load(), directory, progress=bars.update)
    out.print(f"Wrote {subjects * clips} clips to {directory}", highlight=False, soft_wrap=True, markup=False)


@cache_app.command("info")
def cache_info(as_json: JsonFlag = False) -> None:
    """What is kept, where, how large and since when unused.

    The folder is the user's cache folder, or $MICROEXP_CACHE where that is set.
    """
    from dataclasses import asdict

    from microexp.cache import cache_folder, usage

    found = usage()
    total = sum(one.bytes for one in found)
    if as_json:
        kept = {"folder": str(cache_folder()), "bytes": total, "kinds": [asdict(one) for one in found]}
        print(json.dumps(kept, indent=1))
        return
    table = Table(title="Cache", title_justify="left", title_style="bold")
    for column in ("kind", "files", "size", "longest unused", "last used"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for one in found:
        table.add_row(one.kind, f"{one.files:,}", _size(one.bytes), _day(one.oldest), _day(one.newest))
    if found:
        out.print(table)
    out.print(f"{_size(total)} in {cache_folder()}", highlight=False, soft_wrap=True, markup=False)


@cache_app.command("clear")
def cache_clear(
    kind: Annotated[str | None, typer.Argument(help="As in `microexp cache info` (default: all).")] = None,
    older_than: Annotated[
        float, typer.Option(metavar="DAYS", help="Only what has been unused for so many days.")
    ] = 0.0,
) -> None:
    """Delete what is kept, and say how much that freed.

    Nothing is asked: whatever is missed later is computed again. Other files in the folder are left alone.

    [bold]microexp cache clear motion --older-than 30[/bold]
    """
    from microexp.cache import clear, kinds

    if kind is not None and kind not in kinds():
        out.print(
            f"Nothing of kind '{kind}' is kept; there is: {', '.join(kinds()) or 'nothing'}", markup=False
        )
        return
    files, freed = clear(kind, older_than)
    out.print(f"Deleted {files:,} files, {_size(freed)}", highlight=False)


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _day(seconds: float | None) -> str:
    from datetime import datetime

    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


@app.command()
def audit(
    table: Annotated[
        Path | None,
        typer.Argument(
            help="CSV: method, then <part>_UF1, <part>_UAR of each database, and UF1, UAR of all together, as "
            "printed (default: the rows published on MEGC2019)."
        ),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(help="CSV of clips a class: part, then a column a class (default: MEGC2019, 442 clips)."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Can a published row come from one confusion matrix?

    Class counts are public and figures have four decimals, so all matrices can be searched. A row without one
    is not one evaluation on these clips: another subset, a mean over seeds, or precision for recall. It proves no
    wrong-doing.

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


class _Bars:
    """Progress bars, one for each thing that is going on, on the error stream.

    Ctrl-C ends the command with the word on what is `kept` in place of a traceback.
    """

    def __init__(self, kept: str, quiet: bool = False) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=quiet,
        )
        self._kept = kept
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._progress.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            err.print(f"Interrupted. {self._kept}; run the same command to go on.", markup=False)
            raise typer.Exit(EXIT_ON_INTERRUPT) from None

    def update(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


def _pairs(items: list[str] | None, option: str) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value is a Python literal where it is one, else text."""
    import ast

    pairs: dict[str, Any] = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise OptionError(f"{option} takes NAME=VALUE, got '{item}'")
        try:
            pairs[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            pairs[name] = value
    return pairs


def _source(card: Card) -> str:
    return f"{card.paper.authors.split(',')[0]} {card.paper.year}" if card.paper else "microexp"


def _show(result: Evaluation) -> None:
    """Print the table, the confusion matrix and what has to be said with them."""
    from microexp.evaluate.evaluation import LEAK_MARK
    from microexp.evaluate.metrics import METRICS

    for rule in result.rules:
        style = "bold red" if rule == LEAK_MARK else "bold"
        table = Table(
            title=f"Leave-one-subject-out, {rule}",
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


if __name__ == "__main__":
    main()
