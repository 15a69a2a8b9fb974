"""Prepare the clips of a data set: align faces, spot apexes, enlarge, magnify: what turns clips into clips.

What a step makes of a clip depends on no other clip, so preparing all clips at once looks at no label and at
no other subject: it is no leak to do it before the folds are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from joblib import cpu_count, delayed

from microexp import faces, magnify, motion, superres
from microexp.cache import identity_of
from microexp.clip import Clip
from microexp.datasets.base import Dataset, fingerprint
from microexp.errors import MicroexpError, OptionError, UnknownNameError, WeightsError
from microexp.evaluate.workers import Progress, in_workers, leave_ctrl_c_to_the_parent, one_thread
from microexp.magnify.base import Magnifier
from microexp.registry import read_params
from microexp.superres.base import Upscaler
from microexp.superres.cascade import Cascade

_CLIPS_A_TASK = 4
_FAMILIES = (faces, motion, superres, magnify)


def create_step(name: str, **params: Any) -> Any:
    """Return a transformer of clips by its name, which may be that of any method that turns clips into clips.

    Raises
    ------
    UnknownNameError
        If there is none of that name; the message suggests the nearest.
    OptionError
        If it does not turn clips into clips, takes no such parameter, or has a value it cannot use.
    """
    families = {step: family for family in _FAMILIES for step in family.names()}
    if name in families and name not in _steps():
        raise OptionError(f"'{name}' does not turn clips into clips; steps that do: {', '.join(_steps())}")
    if name not in families:
        raise UnknownNameError("step", name, _steps())
    step = families[name].create(name, **params)
    if isinstance(step, Upscaler | Magnifier):
        step.check_parameters()
    return step


def read_step(text: str) -> Any:
    """Return the transformer that ``NAME`` or ``NAME:OPTION=VALUE:...`` stands for, as `create_step`."""
    name, *options = text.split(":")
    return create_step(name, **read_params(options, f"the step {name}:"))


def prepare(
    dataset: Dataset, steps: Sequence[Any], jobs: int | None = None, progress: Progress | None = None
) -> Dataset:
    """Send every clip through some transformers of clips.

    Parameters
    ----------
    dataset : Dataset
        With clips.
    steps : sequence of transformer
        Each turns a list of clips into a list of clips; frames are still read, and warped, when indexed.
    jobs : int or None
        Worker processes; None for one a core.
    progress : callable or None
        Called as ``progress("prepare", done, total)``.

    Returns
    -------
    Dataset
        The same rows, but for clips that a step left out (counted in its remarks).

    Raises
    ------
    OptionError
        If the data set holds motion images in place of clips.
    MicroexpError
        Whatever a step cannot do, as finding no face in a clip.
    """
    if dataset.clips is None:
        raise OptionError("this database holds motion images, not clips: there is nothing to prepare")
    clips, report = dataset.clips, progress or (lambda what, done, total: None)
    workers = jobs or cpu_count()
    ready: dict[int, list[Clip | None]] = {}

    def tasks() -> list[Any]:
        starts = [s for s in range(0, len(clips), _CLIPS_A_TASK) if s not in ready]
        return [delayed(_prepared)(list(clips[s : s + _CLIPS_A_TASK]), steps, s) for s in starts]

    done = 0
    for start, part in in_workers(tasks, workers):
        ready[start] = part
        done += len(part)
        report("prepare", done, len(clips))
    results = [clip for start in sorted(ready) for clip in ready[start]]
    kept = [clip for clip in results if clip is not None]
    if not kept:
        raise MicroexpError("the preparation left out every clip")
    return Dataset(
        dataset.table[[clip is not None for clip in results]].reset_index(drop=True),
        dataset.classes,
        clips=kept,
        scheme=dataset.scheme,
        fingerprint=fingerprint(
            dataset.fingerprint, *(repr(identity_of(step)) for step in steps), *_weights_read(steps)
        ),
        remarks=(*dataset.remarks, *_remarks(dataset, steps, kept)),
    )


def networks(steps: Sequence[Any]) -> Iterator[Any]:
    """Yield the steps that are networks with weights, those inside cascades, too.

    Raises
    ------
    WeightsError
        If one is given none.
    """
    for step in steps:
        if isinstance(step, Cascade):
            yield from networks(step.upscalers)
        elif isinstance(step, Upscaler | Magnifier) and hasattr(step, "weights"):
            if step.weights is None:
                raise WeightsError(
                    f"{type(step).__name__} needs weights: a file, or what 'microexp weights list' shows"
                )
            yield step


def _weights_read(steps: Sequence[Any]) -> list[str]:
    """Return the SHA-256 of the weight files of some steps: retrained ones make other clips."""
    sources = [network.weights for network in networks(steps)]
    if not sources:
        return []
    from microexp.weights.download import named_file  # here, as it brings torch

    files = [named_file(source) for source in sources]
    here = [file for file in files if file is not None and file.is_file()]
    return [_sha256(file, file.stat().st_mtime_ns, file.stat().st_size) for file in here]


@lru_cache(maxsize=64)
def _sha256(file: Path, changed: int, size: int) -> str:
    """Return the checksum of a file, read again only if it changed."""
    from microexp.weights.download import sha256_of

    return sha256_of(file)


def _prepared(clips: list[Clip], steps: Sequence[Any], start: int) -> tuple[int, list[Clip | None]]:
    """Send clips through the steps one by one, so that one that is left out is known; None stands for it."""
    leave_ctrl_c_to_the_parent()
    with one_thread():
        return start, [_through(clip, steps) for clip in clips]


def _through(clip: Clip, steps: Sequence[Any]) -> Clip | None:
    clips = [clip]
    for step in steps:
        clips = step.fit_transform(clips) if clips else clips
    return clips[0] if clips else None


def _remarks(dataset: Dataset, steps: Sequence[Any], clips: Sequence[Clip]) -> list[str]:
    """What has to be said of prepared clips wherever a figure on them is shown."""
    said = ["Clips prepared by " + ", then ".join(str(step) for step in steps) + "."]
    if left_out := len(dataset) - len(clips):
        said.append(f"{left_out} of {len(dataset)} clips were left out by the preparation.")
    sources = Counter(str(clip.metadata["apex_source"]) for clip in clips if "apex_source" in clip.metadata)
    if sources:
        said.append(
            "Apex frames: " + ", ".join(f"{n} {source}" for source, n in sorted(sources.items())) + "."
        )
    return said


def _steps() -> list[str]:
    """Names of what turns clips into clips, by the cards."""
    cards = [family.card(name) for family in _FAMILIES for name in family.names()]
    return [
        card.name
        for card in cards
        if card.family in ("superres", "magnify")
        or (card.takes.startswith("clips") and card.gives.startswith("clips"))
    ]
