"""The command that magnifies the motion in pictures, folders and videos."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from microexp.cli._common import Bars, NetworkDevice, Param, Preset, Weights, out
from microexp.errors import OptionError
from microexp.registry import read_params

_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_BAND = re.compile(rf"\s*{_NUMBER}\s*[-, ]\s*{_NUMBER}\s*")


def magnify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a folder of them, or a video.")],
    out_path: Annotated[
        Path,
        typer.Option("--out", help="The result: a picture (.png), a folder, a video (.mkv is lossless)."),
    ],
    method: Annotated[str, typer.Option(help="As in `microexp list magnify`.")],
    factor: Annotated[
        float | None, typer.Option(help="How many times as large a motion is made; 1 changes nothing.")
    ] = None,
    cascade: Annotated[
        int | None,
        typer.Option(help="How many times in a row it is magnified (methods that take no factor)."),
    ] = None,
    onset: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NUMBER",
            help="The face at rest, that motion is measured from: a picture of the same recording, or of a "
            "video or folder of frames the number of one (from 0; default: the first).",
        ),
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(
            metavar="LOW-HIGH", help="Hz: only motion this fast is magnified (temporal methods), e.g. 0.5-3."
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames a second: of a folder of frames; of a video in place of the file's own."),
    ] = None,
    align: Annotated[
        bool | None,
        typer.Option(
            "--align/--no-align",
            help="Find the face and magnify the aligned face alone (default: if the method needs it).",
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the aligned face, pixels.")] = 224,
    weights: Weights = None,
    preset: Preset = None,
    param: Param = None,
    device: NetworkDevice = None,
) -> None:
    """Make a weak motion strong: in one picture, all of a folder (and its sub-folders), or a video.

    Some methods magnify the motion between the face at rest (the onset) and another frame, some the motion
    in a band of frequencies, and some need one picture alone: `microexp list magnify` says which. Beside the
    result stand a record of what made it and a contact sheet: input, magnified, flow, difference. A folder
    or a video that was stopped goes on where it stopped: run the same command again.

    [bold]microexp magnify apex.png --method eulerian --factor 5 --onset onset.png --out strong.png[/bold]

    [bold]microexp magnify clip.mp4 --method phase --factor 8 --band 0.5-3 --out strong.mkv[/bold]

    [bold]microexp magnify frames/ --method lvmm --weights lvmm.pth --factor 4 --out strong/[/bold]

    [bold]microexp magnify face.jpg --method single_image --weights mine.safetensors --out strong.png[/bold]
    """
    from microexp import magnify as family
    from microexp.magnify.files import magnify_path

    given = {
        "factor": factor,
        "cascade": cascade,
        "band": None if band is None else _band(band),
        "weights": weights,
        "device": device,
    }
    params: dict[str, Any] = read_params(param or [], "--param")
    params |= {k: v for k, v in given.items() if v is not None}
    magnifier = family.create(method, preset, **params)
    with Bars(kept="What was magnified is kept") as bars:
        result, record, sheet = magnify_path(
            source,
            out_path,
            magnifier,
            bars.update,
            onset=_onset(onset),
            fps=fps,
            align=align,
            size=size,
        )
    out.print(f"{result}", highlight=False, soft_wrap=True, markup=False)
    out.print(f"made by: {record}; contact sheet: {sheet}", highlight=False, soft_wrap=True, markup=False)


def _onset(text: str | None) -> Path | int | None:
    if text is None:
        return None
    return int(text) if re.fullmatch(r"[0-9]+", text) else Path(text)


def _band(text: str) -> tuple[float, float]:
    """Read "LOW-HIGH" or "LOW HIGH" in Hz."""
    found = _BAND.fullmatch(text)
    if found is None:
        raise OptionError(f"--band takes LOW-HIGH in Hz, for instance 0.5-3, got '{text}'")
    return float(found[1]), float(found[2])
