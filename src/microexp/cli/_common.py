"""What the commands share: where they print, exit codes, progress bars, NAME=VALUE options."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

out, err = Console(), Console(stderr=True)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs, and nothing else.")]
Param = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE of the method, as its card lists them, e.g. --param blocks=4. Repeatable."),
]
Preset = Annotated[str | None, typer.Option(help="Named settings of the method, as on its card.")]
Weights = Annotated[
    str | None, typer.Option(help="A file, or a name of `microexp weights list`; networks need it.")
]
NetworkDevice = Annotated[str | None, typer.Option(help="auto, cpu, cuda, mps (networks).")]
EXIT_ON_FAULT = 1
EXIT_ON_BAD_INPUT = 2
EXIT_ON_INTERRUPT = 130


class Bars:
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

    def __enter__(self) -> Bars:
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
