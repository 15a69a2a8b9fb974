"""Commands on databases: is a copy complete, and look-alikes to try things on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from microexp.cli._common import EXIT_ON_FAULT, Bars, JsonFlag, out
from microexp.errors import OptionError
from microexp.registry import read_params

datasets_app = typer.Typer(
    help="Look at a licensed copy of a database, or write synthetic clips.", no_args_is_help=True
)


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

    checks = datasets.create(name, root=root, **read_params(data or [], "--data")).check()
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
        with Bars(f"{directory} is half-written; empty it") as bars:
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
                **read_params(data or [], "--data"),
            )
        told = f"Wrote a look-alike of {layout} with {len(made.clips)} clips to {directory}"
        out.print(told, highlight=False, soft_wrap=True, markup=False)
        return
    if full or data:
        raise OptionError("--full and --data say how a --layout is written; name the layout as well")
    database = datasets.create(
        "synthetic", n_subjects=subjects, clips_per_subject=clips, size=size, nuisance=nuisance, seed=seed
    )
    with Bars(f"Finished clips are kept in {directory}") as bars:
        write_frames(database.load(), directory, progress=bars.update)
    out.print(f"Wrote {subjects * clips} clips to {directory}", highlight=False, soft_wrap=True, markup=False)
