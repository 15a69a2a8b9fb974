"""The commands that train networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microexp.cli._common import EXIT_ON_INTERRUPT, JsonFlag, Param, Preset, err, out
from microexp.errors import OptionError
from microexp.registry import Registry, read_params

if TYPE_CHECKING:
    from microexp.clip import Clip
    from microexp.networks.weighted import WeightedNetwork
    from microexp.train.magnification import MagnificationRecipe
    from microexp.train.restoration import RestorationRecipe

train_app = typer.Typer(
    help="Train networks on your own pictures, by the recipes of their papers.", no_args_is_help=True
)

_TRIPLE = 3  # frames that a sequence to learn magnification from has at least

OutDir = Annotated[
    Path, typer.Option("--out", help="Folder of the training; its stages are told apart by name.")
]
Database = Annotated[
    str | None, typer.Option(help="In place of --pictures: a database, as in `microexp list datasets`.")
]
Root = Annotated[Path | None, typer.Option(help="Folder of your copy of the database.")]
Data = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE of the database, e.g. --data variant=cropped. Repeatable."),
]
ValidationSubjects = Annotated[
    int | None,
    typer.Option(help="Subjects held out to validate on (default: a tenth, at least one if there are 2)."),
]
Stage = Annotated[
    str | None,
    typer.Option(
        help="Stage of the method's training (default: its first; a wrong name is answered with all). One "
        "that begins from another's result finds it in the folder."
    ),
]
Steps = Annotated[
    int | None, typer.Option(help="In place of the paper's number; its schedule is shortened alike.")
]
BatchSize = Annotated[int | None, typer.Option(help="Samples a step.")]
LearningRate = Annotated[float | None, typer.Option("--lr", help="Learning rate of Adam.")]
Start = Annotated[str | None, typer.Option(help="Weights to begin from: a file, or published ones by name.")]
Seed = Annotated[int, typer.Option(help="Of weights, samples and the choice of subjects.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
SaveEvery = Annotated[
    int | None, typer.Option(help="Steps between checkpoints (default: a tenth of all, at most 1000).")
]
ValidateEvery = Annotated[int | None, typer.Option(help="Steps between validations (default: the same).")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the folder's checkpoint, after Ctrl-C or a kill.")
]


@train_app.callback()
def _root() -> None:
    """Train networks on your own pictures, by the recipes of their papers."""


@train_app.command("superres")
def superres(
    method: Annotated[str, typer.Argument(help="A network, as in `microexp list superres`.")],
    out_dir: OutDir,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of faces: pictures, videos, folders of numbered frames. Its uppermost sub-folders "
            "are taken for subjects; files in none are each their own."
        ),
    ] = None,
    database: Database = None,
    root: Root = None,
    data: Data = None,
    validation_subjects: ValidationSubjects = None,
    stage: Stage = None,
    steps: Steps = None,
    batch_size: BatchSize = None,
    patch: Annotated[
        int | None, typer.Option(help="Side of a true sample, pixels; a multiple of the scale.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Consecutive frames a sample, of video methods.")] = None,
    lr: LearningRate = None,
    degradation: Annotated[
        str | None, typer.Option(help="How small pictures are made: bicubic, gan-paper or real-world.")
    ] = None,
    scale: Annotated[int | None, typer.Option(help="Factor of width and height.")] = None,
    param: Param = None,
    preset: Preset = None,
    start: Start = None,
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
    seed: Seed = 0,
    device: Device = "auto",
    save_every: SaveEvery = None,
    validate_every: ValidateEvery = None,
    resume: Resume = False,
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
    from microexp.networks.stages import recipe_of
    from microexp.superres.training import train

    changes: dict[str, Any] = {
        "batch_size": batch_size,
        "patch": patch,
        "frames": frames,
        "lr": lr,
        "degradation": degradation,
        "feature_weights": _taps(features),
    }
    params = read_params(param or [], "--param")
    upscaler = _network("superres", method, preset, params, device=device, scale=scale)
    stage, recipe = recipe_of(upscaler, stage, steps, **changes)
    clips = _clips(pictures, database, root, data, recipe.frames)
    options = {"start": start, "vgg": vgg, "resume": resume, "save_every": save_every}
    options["validate_every"] = validate_every
    task = _Task("superres", method, stage, recipe, out_dir)
    task.carry_out(train, upscaler, clips, validation_subjects, seed, as_json, **options)


@train_app.command("magnify")
def magnify(
    method: Annotated[str, typer.Argument(help="A network, as in `microexp list magnify`.")],
    out_dir: OutDir,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of expressions: videos and folders of numbered frames, each from a resting face to "
            "the peak and back, whose middle is taken for the peak. Its uppermost sub-folders are taken for "
            "subjects; files in none are each their own."
        ),
    ] = None,
    database: Database = None,
    root: Root = None,
    data: Data = None,
    align: Annotated[
        bool,
        typer.Option(
            "--align",
            help="Find, align and cut out the faces first, as the paper does; clips without one are left "
            "out. Else pictures must be square faces.",
        ),
    ] = False,
    validation_subjects: ValidationSubjects = None,
    stage: Stage = None,
    steps: Steps = None,
    batch_size: BatchSize = None,
    size: Annotated[int | None, typer.Option(help="Side of the pictures, pixels.")] = None,
    lr: LearningRate = None,
    param: Param = None,
    preset: Preset = None,
    start: Start = None,
    vgg: Annotated[
        str | None,
        typer.Option(
            help="ImageNet weights of VGG19, for methods that need them: torchvision's .pth or .safetensors, "
            "or an .npz of the original ones; 'random' for none, which is not the paper's. None come with "
            "microexp."
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    save_every: SaveEvery = None,
    validate_every: ValidateEvery = None,
    resume: Resume = False,
    as_json: JsonFlag = False,
) -> None:
    """Train a network that magnifies expressions, on a database or a folder of videos.

    Of each sequence it sees three pictures: the resting face, a weak and a strong movement. Losses, stages
    and learning rates are the method's. In the folder grow STAGE.jsonl (losses; L1 of magnified pictures of
    held-out people to the strong ones, against "identity", that of the weak ones as they are),
    STAGE-validation (pictures) and, at the end, STAGE.safetensors, for --param weights=FILE. No subject is
    both trained and validated on.

    A try without any data, on synthetic faces whose movement is made as strong as it should be:

    [bold]microexp train magnify lvmm --database synthetic --size 96 --steps 500 --out run[/bold]

    As the paper does, on macro-expressions (CK+, MMI), faces aligned, VGG19's weights named:

    [bold]microexp train magnify single_image --database ckplus --root DIR --align --vgg FILE --out run[/bold]

    Stages are trained one after the other in the same folder, each beginning from the result of the one
    before: name the next one with --stage. A kill or Ctrl-C loses nothing but steps since the last
    checkpoint; the same command with --resume goes on.
    """
    from microexp.magnify.training import train
    from microexp.networks.stages import recipe_of

    magnifier = _network("magnify", method, preset, read_params(param or [], "--param"), device=device)
    stage, recipe = recipe_of(magnifier, stage, steps, batch_size=batch_size, size=size, lr=lr)
    clips = _clips(pictures, database, root, data, frames=_TRIPLE)
    if align:
        from microexp.faces.aligner import FaceAligner

        clips = FaceAligner(size=recipe.size, missing="skip").transform(clips)
    options = {"start": start, "vgg": vgg, "resume": resume, "save_every": save_every}
    options["validate_every"] = validate_every
    task = _Task("magnify", method, stage, recipe, out_dir)
    task.carry_out(train, magnifier, clips, validation_subjects, seed, as_json, **options)


@dataclass(frozen=True)
class _Task:
    """One stage of a training of one method."""

    family: str
    method: str
    stage: str
    recipe: RestorationRecipe | MagnificationRecipe
    out_dir: Path

    def carry_out(
        self,
        train: Callable[..., Path],
        network: WeightedNetwork,
        clips: list[Clip],
        validation_subjects: int | None,
        seed: int,
        as_json: bool,
        **options: Any,
    ) -> None:
        """Train on some subjects, validate on the others, and say where the weights are."""
        from microexp.train.restoration_data import split_subjects

        training, held_out = split_subjects(clips, validation_subjects, seed)
        if not as_json:
            err.print(_told(training, held_out), highlight=False, markup=False)
        kept = {"validation": held_out, "stage": self.stage, "recipe": self.recipe, "seed": seed}
        with _Bar(f"{self.method} {self.stage}", self.out_dir, quiet=as_json) as bar:
            file = train(network, training, self.out_dir, **kept, **options, progress=bar.update)
        if as_json:
            print(json.dumps({"weights": str(file), "steps": self.recipe.steps, **bar.figures}, indent=1))
            return
        out.print(
            f"Weights: {file}\nUse them: microexp.{self.family}.create('{self.method}', weights='{file}')",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


class _Bar:
    """A progress bar with the last loss and figures of held-out people.

    Ctrl-C ends the command with a word on how to go on.
    """

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
        if "l1" in figures:
            words.append(f"L1 {figures['l1']:.4f} (identity {figures['l1_identity']:.4f})")
        self._progress.update(self._task, completed=done, total=total, figures=", ".join(words))


def _network(family: str, method: str, preset: str | None, params: dict[str, Any], **own: Any) -> Any:
    """Return the method that is trained; those of its parameters that have options of their own are `own`."""
    from microexp.networks.weighted import WeightedNetwork

    taken = {**{name: f"--{name}" for name in own}, "weights": "--start"}
    for name in taken.keys() & params.keys():
        raise OptionError(f"--param {name}: give it as {taken[name]}")
    registry = Registry(f"microexp.{family}")
    if not issubclass(registry.get(method), WeightedNetwork):
        raise OptionError(f"'{method}' is no network: there is nothing to train")
    given = {name: value for name, value in own.items() if value is not None}
    made = registry.create(method, preset, **given, **params)
    made.check_parameters()
    return made


def _clips(
    pictures: Path | None, database: str | None, root: Path | None, data: list[str] | None, frames: int
) -> list[Clip]:
    """Return what to train on: of a folder, or of a database whatever the emotion."""
    from microexp import datasets
    from microexp.datasets.annotated import AnnotatedDatabase
    from microexp.train.restoration_data import read_faces

    options = {**read_params(data or [], "--data"), **({} if root is None else {"root": root})}
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
