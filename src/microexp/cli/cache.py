"""Commands on the cache."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from microexp.cli._common import JsonFlag, out

cache_app = typer.Typer(
    help="What is kept on the disk so that it need not be computed twice: pictures of synthetic faces, "
    "aligned clips, restored frames, motion; and weights that you had downloaded. Deleting it costs time, "
    "never a result.",
    no_args_is_help=True,
)


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
    kind: Annotated[
        str | None,
        typer.Argument(help="As in `microexp cache info` (default: all but weights, which were downloaded)."),
    ] = None,
    older_than: Annotated[
        float, typer.Option(metavar="DAYS", help="Only what has been unused for so many days.")
    ] = 0.0,
) -> None:
    """Delete what is kept, and say how much that freed.

    Nothing is asked: whatever is missed later is computed again (weights: downloaded again, by you). Other
    files in the folder are left alone.

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
