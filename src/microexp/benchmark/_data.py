"""The clips of a benchmark: databases loaded, and prepared for every variant and row.

Faces are aligned and apexes spotted now. Variants are only planned: their frames are made when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from microexp import datasets
from microexp.benchmark._document import Place
from microexp.benchmark.spec import Spec
from microexp.benchmark.variants import Variant, is_lazy, make_step
from microexp.datasets.base import Dataset, fingerprint
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError
from microexp.evaluate.prepare import prepare
from microexp.evaluate.workers import Progress


@dataclass(frozen=True, eq=False)
class Ready:
    """The clips of one variant for one row.

    Those of `checked` are as good to find out whether the row can run on them, and nothing is restored for
    it. A `problem` is what keeps the clips from being made.
    """

    variant: Variant
    dataset: Dataset
    checked: Dataset
    restored: Dataset | None = None
    original: Dataset | None = None
    problem: str = ""


def load(spec: Spec, i: int) -> Dataset:
    """Load a database of a spec; blame the key that is at fault."""
    database, place = spec.databases[i], ("databases", i)
    params = {**database.params, **({} if database.root is None else {"root": database.root})}
    try:
        datasets.card(database.name)
    except MicroexpError as error:
        raise spec.fault((*place, "name"), str(error)) from error
    for key, value in params.items():
        try:
            datasets.create(database.name, **{key: value})
        except OptionError as error:
            given = (*place, "root") if key == "root" else (*place, "params", key)
            raise spec.fault(given, str(error)) from error
    try:
        source = datasets.create(database.name, **params)
        source.scheme(database.labels)
    except (OptionError, PathMissingError, DataError) as error:
        raise spec.fault((*place, "labels"), str(error)) from error
    try:
        return source.load(database.labels)
    except PathMissingError as error:
        raise spec.fault((*place, "root"), str(error)) from error
    except MicroexpError as error:
        raise spec.fault(place, str(error)) from error


def make_steps(spec: Spec) -> dict[str, tuple[Any, str]]:
    """Create the steps of the preparations, as they are written; with each why it cannot be used yet."""
    places: list[tuple[Place, str]] = [(("prepare", i), text) for i, text in enumerate(spec.prepare)]
    for i, row in enumerate(spec.recognisers):
        places += [(("recognisers", i, "prepare", k), text) for k, text in enumerate(row.prepare)]
    return {text: make_step(spec, place, text) for place, text in places}


def prepared(
    spec: Spec,
    dataset: Dataset,
    variants: Sequence[Variant],
    steps: Mapping[str, tuple[Any, str]],
    jobs: int | None,
    progress: Progress | None,
) -> list[list[Ready]]:
    """Return the clips of every row, variant by variant; rows that are prepared alike share them."""

    def through(clips: Dataset, names: Sequence[str]) -> tuple[Dataset, str]:
        made = [steps[name] for name in names]
        return _through(clips, [step for step, _ in made], "".join(p for _, p in made), jobs, progress)

    common, lacking = through(dataset, spec.prepare)
    plain = [_of_variant(common, lacking, variant, jobs, progress) for variant in variants]
    ready: dict[tuple[str, ...], list[Ready]] = {}
    for row in spec.recognisers:
        if (own := tuple(row.prepare)) not in ready:
            checked, _ = through(common, own)
            ready[own] = [_of_row(one, checked, through, own) for one in plain]
    return [ready[tuple(row.prepare)] for row in spec.recognisers]


def _of_variant(
    common: Dataset, lacking: str, variant: Variant, jobs: int | None, progress: Progress | None
) -> Ready:
    """Return the clips of a variant, before what rows do to them."""
    missing = lacking or variant.problem
    dataset, problem = _through(common, variant.steps, missing, jobs, progress)
    if variant.original is None or problem:
        return Ready(variant, dataset, common, problem=problem)
    original, _ = _through(common, [variant.original], "", jobs, progress)
    return Ready(variant, dataset, common, dataset, original)


def _of_row(
    ready: Ready,
    checked: Dataset,
    through: Callable[[Dataset, Sequence[str]], tuple[Dataset, str]],
    own: Sequence[str],
) -> Ready:
    """Return the clips of a variant after what a row does to them."""
    if ready.problem:
        return ready
    dataset, problem = through(ready.dataset, own)
    return replace(
        ready,
        dataset=dataset,
        checked=checked if is_lazy(ready.variant.steps) else dataset,
        problem=problem,
    )


def _through(
    dataset: Dataset, steps: Sequence[Any], missing: str, jobs: int | None, progress: Progress | None
) -> tuple[Dataset, str]:
    """Send clips through steps; if something for that is missing they stay, under another fingerprint.

    What is only planned is done in this process: all clips share one network then, in place of one a worker.
    """
    if missing:
        apart = fingerprint(dataset.fingerprint, *map(str, steps), missing)
        return replace(dataset, fingerprint=apart), missing
    if not steps:
        return dataset, ""
    ready = prepare(dataset, steps, 1, None) if is_lazy(steps) else prepare(dataset, steps, jobs, progress)
    return ready, ""
