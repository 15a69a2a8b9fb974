"""The command that finds the expressions in videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from microexp.cli._common import EXIT_ON_BAD_INPUT, EXIT_ON_FAULT, Bars, err, out

if TYPE_CHECKING:
    from microexp.analyze.batch import Report


def analyze(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO...", help="Videos, folders of videos, or a folder of frames."),
    ],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the results, one sub-folder a video.")],
    fps: Annotated[
        float | None,
        typer.Option(help="Frames a second: of a folder of frames; of a video in place of the file's own."),
    ] = None,
    annotate: Annotated[
        bool, typer.Option("--annotate", help="Also write the video with what was found drawn on it.")
    ] = False,
    magnify: Annotated[
        bool, typer.Option("--magnify/--no-magnify", help="Show each apex magnified, too.")
    ] = True,
    jobs: Annotated[
        int | None, typer.Option(help="Videos at a time, each in a process (default: one a core).")
    ] = None,
) -> None:
    """Find the expressions in videos: where, which, how sure, and pictures that show why.

    Of each video come a page (page.html), a table (intervals.csv) and all of it for programs (analysis.json);
    of several also a page and a table of all. One that cannot be analysed stops no other. What is done is not
    done again: stop with Ctrl-C and run the same command again to go on.

    It says where a face moved, not what a person felt, and it is no lie detector.

    [bold]microexp analyze interview.mp4 --out answers/[/bold]

    [bold]microexp analyze recordings/ --out answers/ --jobs 4 --annotate[/bold]

    [bold]microexp analyze frames/ --fps 200 --out answers/[/bold]
    """
    from microexp.analyze.batch import INDEX, analyze_all, find_videos

    sources = find_videos(videos)
    reports = []
    with _VideoBars(f"Videos that are done are kept in {out_dir}", len(sources)) as bars:
        for report in analyze_all(
            sources,
            out_dir,
            fps=fps,
            annotate=annotate,
            magnify=magnify,
            jobs=jobs,
            progress=bars.update,
        ):
            reports.append(report)
            bars.finished(report.source.name)
            _tell(report, out_dir)
    if len(sources) > 1:
        out.print(f"All: {out_dir / INDEX}", highlight=False, soft_wrap=True, markup=False)
    failed = sum(report.content is None for report in reports)
    if failed:
        raise typer.Exit(EXIT_ON_BAD_INPUT if len(sources) == 1 else EXIT_ON_FAULT)


class _VideoBars(Bars):
    """A bar for each video at work, which goes when it is done, and one for all where there are several."""

    def __init__(self, kept: str, videos: int) -> None:
        super().__init__(kept)
        self._done, self._videos = 0, videos

    def __enter__(self) -> _VideoBars:
        super().__enter__()
        if self._videos > 1:
            self.update("all videos", 0, self._videos)
        return self

    def finished(self, name: str) -> None:
        """Take the bar of a video away."""
        self._done += 1
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
        if self._videos > 1:
            self.update("all videos", self._done, self._videos)


def _tell(report: Report, out_dir: Path) -> None:
    from microexp.analyze.analysis import KINDS
    from microexp.analyze.batch import PAGE
    from microexp.analyze.page import verdict

    name = report.source.name
    if report.content is None:
        err.print(
            f"[bold red]Error:[/] {escape(_named(report))}",
            highlight=False,
            soft_wrap=True,
        )
        return
    kinds = [interval["kind"] for interval in report.content["intervals"]]
    found = verdict({kind: kinds.count(kind) for kind in KINDS})
    for remark in report.content["remarks"]:
        err.print(f"[yellow]Warning:[/] {escape(f'{name}: {remark}')}", highlight=False, soft_wrap=True)
    # Where both are one terminal, the bars would overwrite what their own console does not print.
    console = err if out.is_terminal and err.is_terminal else out
    console.print(f"{name}: {found}. {out_dir / name / PAGE}", highlight=False, soft_wrap=True, markup=False)


def _named(report: Report) -> str:
    """Return the error of a video; it names the file once."""
    path = str(report.source.path)
    return report.error if path in report.error else f"{path}: {report.error}"
