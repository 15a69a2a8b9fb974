"""The command that trains networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microexp.cli._common import EXIT_ON_INTERRUPT, JsonFlag, err, out
from microexp.errors import OptionError
from microexp.registry import read_params

if TYPE_CHECKING:
    from microexp.clip import Clip
    from microexp.superres._network import NetworkUpscaler

train_app = typer.Typer(
    help="Train networks on your own pictures, by the recipes of their papers.", no_args_is_help=True
)


@train_app.callback()
def _root() -> None:
    """Train networks on your own pictures, by the recipes of their papers."""


@train_app.command("superres")
def superres(
    method: Annotated[str, typer.Argument(help="A network, as in `microexp list superres`.")],
    out_dir: Annotated[
        Path, typer.Option("--out", help="Folder of the training; its stages are told apart by name.")
    ],
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of faces: pictures, videos, folders of numbered frames. Its uppermost sub-folders "
            "are taken for subjects; files in none are each their own."
        ),
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="In place of --pictures: a database, as in `microexp list datasets`.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of your copy of the database.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the database, e.g. --data variant=cropped. Repeatable."),
    ] = None,
    validation_subjects: Annotated[
        int | None,
        typer.Option(
            help="Subjects held out to validate on (default: a tenth, at least one if there are 2)."
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help="psnr, gan, ... as the method has them (default: its first). A stage that begins "
            "from another's result finds it in the folder."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="In place of the paper's number; its schedule is shortened alike."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step.")] = None,
    patch: Annotated[
        int | None, typer.Option(help="Side of a true sample, pixels; a multiple of the scale.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Consecutive frames a sample, of video methods.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate of Adam.")] = None,
    degradation: Annotated[
        str | None, typer.Option(help="How small pictures are made: bicubic, gan-paper or real-world.")
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Factor of width and height.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the method, e.g. --param blocks=4. Repeatable."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Named settings of the method, as on its card.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Weights to begin from: a file, or published ones by name.")
    ] = None,
    vgg: Annotated[
        Path | None,
        typer.Option(
            help="ImageNet weights of the VGG network that the paper's loss compares features of: "
            "torchvision's .pth or .safetensors, or an .npz of the original ones. None come with microexp."
        ),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="TAP=WEIGHT in place of the paper's taps, e.g. --features 16=1 where the file ends there; "
            "'none' for no such loss. Repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, samples and the choice of subjects.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    save_every: Annotated[
        int | None, typer.Option(help="Steps between checkpoints (default: a tenth of all, at most 1000).")
    ] = None,
    validate_every: Annotated[
        int | None, typer.Option(help="Steps between validations (default: the same).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's checkpoint, after Ctrl-C or a kill.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a super-resolution network on a folder of faces or a database.

    Losses, schedule and discriminator are the paper's. In the folder grow STAGE.jsonl (losses, PSNR of
    held-out people against bicubic), STAGE-validation (pictures) and, at the end, STAGE.safetensors, for
    --param weights=FILE. No subject is both trained and validated on.

    [bold]microexp train superres edsr --pictures faces --out run --steps 20000 --patch 96[/bold]

    A kill or Ctrl-C loses nothing but steps since the last checkpoint; go on with --resume:

    [bold]microexp train superres edsr --pictures faces --out run --steps 20000 --patch 96 --resume[/bold]

    Adversarial stages start from the first one's result and want VGG19's ImageNet weights:

    [bold]microexp train superres esrgan --pictures faces --out run --stage gan --vgg vgg19.pth[/bold]
    """
    from microexp.networks.beginning import recipe_of
    from microexp.superres.training import train
    from microexp.train.restoration_data import split_subjects

    changes: dict[str, Any] = {
        "batch_size": batch_size,
        "patch": patch,
        "frames": frames,
        "lr": lr,
        "degradation": degradation,
        "feature_weights": _taps(features),
    }
    upscaler = _upscaler(method, preset, scale, device, read_params(param or [], "--param"))
    stage, recipe = recipe_of(upscaler, stage, steps, **changes)
    options = read_params(data or [], "--data")
    clips = _clips(pictures, database, {**options, **({} if root is None else {"root": root})}, recipe.frames)
    training, held_out = split_subjects(clips, validation_subjects, seed)
    if not as_json:
        err.print(_told(training, held_out), highlight=False, markup=False)
    with _Bar(f"{method} {stage}", out_dir, quiet=as_json) as bar:
        file = train(
            upscaler,
            training,
            out_dir,
            validation=held_out,
            stage=stage,
            recipe=recipe,
            seed=seed,
            start=start,
            vgg=vgg,
            resume=resume,
            save_every=save_every,
            validate_every=validate_every,
            progress=bar.update,
        )
    if as_json:
        print(json.dumps({"weights": str(file), "steps": recipe.steps, **bar.figures}, indent=1))
        return
    out.print(
        f"Weights: {file}\nUse them: microexp.superres.create('{method}', weights='{file}')",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


class _Bar:
    """A progress bar with the last loss and PSNR; Ctrl-C ends the command with a word on how to go on."""

    def __init__(self, title: str, folder: Path, quiet: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.figures: dict[str, float] = {}
        self._folder = folder
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=err,
            disable=quiet,
        )
        self._task = self._progress.add_task(title, total=None, figures="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._progress.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            told = f"Interrupted. What is done is kept in {self._folder}; run the same command with --resume."
            err.print(told, markup=False, soft_wrap=True)
            raise typer.Exit(EXIT_ON_INTERRUPT) from None

    def update(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        self.figures = dict(figures)
        words = []
        if "loss" in figures:
            words.append(f"loss {figures['loss']:.4g}")
        if "psnr" in figures:
            words.append(f"PSNR {figures['psnr']:.2f} (bicubic {figures['psnr_bicubic']:.2f})")
        self._progress.update(self._task, completed=done, total=total, figures=", ".join(words))


def _upscaler(
    method: str, preset: str | None, scale: int | None, device: str, params: dict[str, Any]
) -> NetworkUpscaler:
    from microexp import superres as family
    from microexp.superres._network import NetworkUpscaler

    taken = {"scale": "--scale", "device": "--device", "weights": "--start"}
    for name in taken.keys() & params.keys():
        raise OptionError(f"--param {name}: give it as {taken[name]}")
    if not issubclass(family.get(method), NetworkUpscaler):
        raise OptionError(f"'{method}' is no network: there is nothing to train")
    chosen = {} if scale is None else {"scale": scale}
    made: NetworkUpscaler = family.create(method, preset, device=device, **chosen, **params)
    made.check_parameters()
    return made


def _clips(pictures: Path | None, database: str | None, options: dict[str, Any], frames: int) -> list[Clip]:
    """Return what to train on: of a folder, or of a database whatever the emotion."""
    from microexp import datasets
    from microexp.datasets.annotated import AnnotatedDatabase
    from microexp.train.restoration_data import read_faces

    if (pictures is None) == (database is None):
        raise OptionError("name what to train on: either --pictures FOLDER or --database NAME")
    if pictures is not None:
        if options:
            raise OptionError("--root and --data go with a --database, and not with --pictures")
        return read_faces(pictures, frames)
    opened = datasets.create(str(database), **options)
    clips = opened.read().clips if isinstance(opened, AnnotatedDatabase) else opened.load().clips
    if not clips:
        raise OptionError(f"the database '{database}' has no pictures of faces to train on")
    return list(clips)


def _taps(features: list[str] | None) -> dict[str, float] | None:
    """Read ``TAP=WEIGHT`` items; none of them for 'none'."""
    if features is None:
        return None
    if features == ["none"]:
        return {}
    taps: dict[str, float] = {}
    for tap, weight in read_params(features, "--features").items():
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise OptionError(f"--features takes TAP=WEIGHT with a number, or 'none', got '{tap}={weight}'")
        taps[tap] = float(weight)
    return taps


def _told(training: list[Clip], held_out: list[Clip]) -> str:
    """Say how the clips are divided."""

    def count(clips: list[Clip]) -> str:
        people = {(clip.database, clip.subject) for clip in clips}
        return f"{len(clips)} clips or pictures of {len(people)} subjects (folders, or files in none)"

    if not held_out:
        return f"Training on {count(training)}; none are held out, so there is no validation."
    return f"Training on {count(training)}; validating on {count(held_out)}, none of them trained on."
