"""The command line. Each command checks what it was given, calls one function, and shows the outcome.

Nothing heavy is imported before a command needs it: ``microexp --help`` answers at once.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from microexp.cli._common import EXIT_ON_BAD_INPUT, Bars, JsonFlag, err, out
from microexp.cli.analyze import analyze
from microexp.cli.app import web_page
from microexp.cli.benchmark import benchmark_app
from microexp.cli.cache import cache_app
from microexp.cli.databases import datasets_app
from microexp.cli.judge import audit, evaluate
from microexp.cli.magnify import magnify
from microexp.cli.train import train_app
from microexp.cli.upscale import upscale
from microexp.cli.weights import weights_app
from microexp.errors import MicroexpError, MicroexpWarning, UnknownNameError

if TYPE_CHECKING:
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


@app.command()
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("microexp-demo"),
    jobs: Annotated[int | None, typer.Option(help="Worker processes (default: one a core).")] = None,
) -> None:
    """The whole path on the embedded synthetic faces: clips, flow, three recognisers, a report."""
    from microexp.demo import run_demo

    with Bars(f"What is finished is kept in {out_dir}") as bars:
        report = run_demo(out_dir, jobs=jobs, progress=bars.update)
    out.print(f"Report: {report}", highlight=False, soft_wrap=True, markup=False)


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


def _source(card: Card) -> str:
    return f"{card.paper.authors.split(',')[0]} {card.paper.year}" if card.paper else "microexp"


app.command()(analyze)
app.command()(upscale)
app.command()(magnify)
app.command("app")(web_page)
app.command()(evaluate)
app.command()(audit)
app.add_typer(datasets_app, name="datasets")
app.add_typer(benchmark_app, name="benchmark")
app.add_typer(train_app, name="train")
app.add_typer(weights_app, name="weights")
app.add_typer(cache_app, name="cache")
