"""The command that enlarges pictures, folders and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from microexp.cli._common import Bars, NetworkDevice, Param, Preset, Weights, out
from microexp.registry import read_params


def upscale(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a folder of them, or a video.")],
    out_path: Annotated[
        Path,
        typer.Option("--out", help="The result: a picture (.png), a folder, a video (.mkv is lossless)."),
    ],
    method: Annotated[str, typer.Option(help="As in `microexp list superres`.")] = "bicubic",
    scale: Annotated[int, typer.Option(help="How many times as wide and high.")] = 4,
    weights: Weights = None,
    preset: Preset = None,
    param: Param = None,
    device: NetworkDevice = None,
) -> None:
    """Enlarge faces: one picture, all of a folder (and its sub-folders), or a video.

    Beside the result stand a record of what made it, with the weights' checksum, and a picture of before and
    after. A folder or a video that was stopped goes on where it stopped: run the same command again.

    [bold]microexp upscale face.png --method bicubic --scale 4 --out large.png[/bold]

    [bold]microexp upscale clip.mp4 --method real_esrgan --weights realesrgan-x4plus --out large.mkv[/bold]
    """
    from microexp import superres
    from microexp.superres.files import upscale_path

    params: dict[str, Any] = {"scale": scale, **read_params(param or [], "--param")}
    params |= {k: v for k, v in (("weights", weights), ("device", device)) if v is not None}
    upscaler = superres.create(method, preset, **params)
    with Bars(kept="What was enlarged is kept") as bars:
        result, record, comparison = upscale_path(source, out_path, upscaler, bars.update)
    out.print(f"{result}", highlight=False, soft_wrap=True, markup=False)
    out.print(
        f"made by: {record}; before and after: {comparison}", highlight=False, soft_wrap=True, markup=False
    )
