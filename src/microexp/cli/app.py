"""The command that serves the web page."""

from __future__ import annotations

from typing import Annotated

import typer

from microexp.cli._common import out


def web_page(
    host: Annotated[
        str, typer.Option(help="Address to listen at; anything but this machine's own lets others in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 7860,
    max_mb: Annotated[float, typer.Option(help="Largest file that is taken, megabytes.")] = 500.0,
    max_seconds: Annotated[float, typer.Option(help="Longest video that is taken, seconds.")] = 300.0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep uploads and results when it ends.")] = False,
) -> None:
    """The web page: drop a video and see what is found in it; magnify and upscale, before and after.

    It runs on this machine, asks no other for anything, and deletes what was uploaded. Ctrl-C ends it. It
    needs gradio: pip install 'microexp[app]'.

    [bold]microexp app[/bold]
    """
    from microexp.app.server import serve
    from microexp.app.work import Limits

    def ready(address: str) -> None:
        out.print(f"The page: {address} (Ctrl-C ends it)", highlight=False, soft_wrap=True, markup=False)

    serve(host, port, Limits(max_mb, max_seconds), keep, ready)
