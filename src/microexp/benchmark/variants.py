"""What clips go through before a recogniser sees them: variants named one by one, or a grid of restorations.

The block ``restorations`` of a spec makes every clip small and brings it back to its size by each method. An
entry whose method is "none" leaves the small clips as they are::

    restorations:
      size: 256
      resolutions: [16, 32, 64, 128]
      methods: [{label: Bicubic, method: none}, {label: EDSR, method: edsr, weights: {4: edsr-x4-mmagic}}]

Other variants, as magnified clips, are named one by one::

    variants:
      - {label: as it is, factors: {magnification: none, cascade: 0}}
      - {label: Phase, prepare: ["phase:factor=4"], factors: {magnification: phase, cascade: 1}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from microexp.benchmark._document import Place
from microexp.benchmark._restoration import (
    STRICT,
    Entry,
    MethodSpec,
    check_plain,
    make_upscaler,
    missing_weights,
)
from microexp.clip import Clip
from microexp.errors import MicroexpError
from microexp.evaluate.prepare import networks, read_step
from microexp.magnify.base import Magnifier
from microexp.stateless import Stateless
from microexp.superres.base import Upscaler
from microexp.superres.degradation import Downscale, GanPaperDegradation, RealWorldDegradation
from microexp.superres.resize import PictureFunction, check_kernel, resize

if TYPE_CHECKING:
    from microexp.benchmark.spec import Spec

NONE, ORIGINAL = "none", "original"
_PUBLISHED_NAMES = {NONE: "bicubic", "bicubic": "bicubic_restore"}  # what the tables of the study call them


class VariantSpec(BaseModel):
    """One variant.

    Attributes
    ----------
    label : str
        What it is called.
    prepare : list of str
        What clips go through after the steps of the spec, ``NAME`` or ``NAME:OPTION=VALUE:...``.
    factors : dict
        What is varied and its level; the same names in all variants.
    """

    model_config = STRICT

    label: str = Field(min_length=1)
    prepare: list[str] = Field(default_factory=list)
    factors: dict[str, str | int] = Field(default_factory=dict)


class RestorationsSpec(BaseModel):
    """Low resolutions by methods of restoration.

    Attributes
    ----------
    size : int
        Side, pixels, that clips are brought to first, whatever their form, and restored to.
    resolutions : list of int
        Sides of the small clips; each divides `size`.
    degradation : {"bicubic", "gan-paper", "real-world"}
        How small clips come about; see `microexp.superres.degradation`.
    kernel : str
        Of bringing clips to `size` and of the degradation "bicubic"; see `microexp.superres.resize`.
    original : bool
        Whether the clips at `size` are a variant, too.
    methods : list of MethodSpec
        What brings them back.
    """

    model_config = STRICT

    size: int = Field(default=256, ge=1)
    resolutions: list[int] = Field(min_length=1)
    degradation: Literal["bicubic", "gan-paper", "real-world"] = "bicubic"
    kernel: str = "matlab"
    original: bool = True
    methods: list[MethodSpec] = Field(min_length=1)

    def resolved(self) -> RestorationsSpec:
        """Return the block with the resolutions of every method written out."""
        methods = [
            method.model_copy(update={"resolutions": self.resolutions})
            if method.resolutions is None
            else method
            for method in self.methods
        ]
        return self.model_copy(update={"methods": methods})


@dataclass(frozen=True)
class Variant:
    """What clips go through after the preparation that is common to all.

    Attributes
    ----------
    label : str
        What it is called; empty where the spec has one variant only.
    factors : mapping
        What is varied, and its level here.
    steps : tuple of transformer
        From clips to clips.
    original : transformer or None
        What makes the clips that restored ones are compared with; None where there is nothing to compare.
    problem : str
        Why it cannot be computed yet, with file, line and key: weights that are not here. Empty if it can.
    """

    label: str = ""
    factors: Mapping[str, str | int] = field(default_factory=dict)
    steps: tuple[Any, ...] = ()
    original: Any = None
    problem: str = ""


@dataclass(eq=False, repr=False)
class Resize(Stateless):
    """Clips brought to one size; those that have it stay as they are.

    Parameters
    ----------
    size : int
        Side of the square frames, pixels. Frames of another form are squeezed.
    kernel : str
        See `microexp.superres.resize`.
    """

    size: int = 256
    kernel: str = "matlab"

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return the clips; frames are resized when they are read, annotation and metadata stay."""
        square = (self.size, self.size)
        function = PictureFunction(resize, (square, self.kernel))
        return [
            clip if clip.size == square else clip.replace(frames=clip.frames.map(function, square))
            for clip in clips
        ]


def make_variants(spec: Spec) -> list[Variant]:
    """Create the variants of a spec, in order; one without a name where it has none.

    Nothing is downloaded and no network is loaded. Weights that are not here yet make no error: the variant
    says so as its `problem`.

    Raises
    ------
    SpecError
        If a step, method, parameter, scale, kernel or name of weights is unknown or cannot be used; the
        message names file, line and key.
    """
    if spec.restorations is not None:
        return list(_restored(spec, spec.restorations))
    return [_given(spec, i) for i in range(len(spec.variants))] or [Variant()]


def make_step(spec: Spec, place: Place, text: str) -> tuple[Any, str]:
    """Create the step that stands at a place of a spec.

    Returns
    -------
    tuple
        The transformer, and why it cannot be used yet (or an empty text).

    Raises
    ------
    SpecError
        If there is no such step, or it cannot be used.
    """
    try:
        step = read_step(text)
        missing = [missing_weights(network.weights) for network in networks([step])]
    except MicroexpError as error:
        raise spec.fault(place, str(error)) from error
    return step, "".join(str(spec.fault(place, reason)) for reason in missing if reason)


def is_lazy(steps: Sequence[Any]) -> bool:
    """Tell whether all steps leave the work to when a frame is read."""
    kinds = (Resize, Downscale, GanPaperDegradation, RealWorldDegradation, Upscaler, Magnifier)
    return all(isinstance(step, kinds) for step in steps)


def check_variants(spec: Spec) -> None:
    """What the fields of `VariantSpec` and `RestorationsSpec` alone cannot tell; raises `SpecError`."""
    if spec.restorations is not None:
        if spec.variants:
            raise spec.fault(("variants",), "a spec has either variants or restorations")
        _check_block(spec, spec.restorations)
        return
    labels: list[str] = []
    for i, variant in enumerate(spec.variants):
        if variant.label in labels:
            raise spec.fault(("variants", i, "label"), f"another variant is called '{variant.label}' already")
        labels.append(variant.label)
        first = spec.variants[0].factors
        if variant.factors.keys() != first.keys():
            names = ", ".join(first) or "none"
            raise spec.fault(
                ("variants", i, "factors"), f"all variants have the same factors; the first has {names}"
            )
        if first and variant.factors in [other.factors for other in spec.variants[:i]]:
            raise spec.fault(("variants", i, "factors"), "another variant has the same factors already")


def _check_block(spec: Spec, block: RestorationsSpec) -> None:
    place: Place = ("restorations",)
    try:
        check_kernel(block.kernel)
    except MicroexpError as error:
        raise spec.fault((*place, "kernel"), str(error)) from error
    for k, resolution in enumerate(block.resolutions):
        if not 0 < resolution < block.size or block.size % resolution or resolution in block.resolutions[:k]:
            raise spec.fault(
                (*place, "resolutions", k),
                f"low resolutions are different sides that divide the size, {block.size}, and are less; not "
                f"{resolution}",
            )
    for i, method in enumerate(block.methods):
        own = method.resolutions or block.resolutions
        if method.label in [other.label for other in block.methods[:i]]:
            raise spec.fault(
                (*place, "methods", i, "label"), f"another method is called '{method.label}' already"
            )
        if method.resolutions == [] or len(set(own)) < len(own) or not set(own) <= set(block.resolutions):
            raise spec.fault(
                (*place, "methods", i, "resolutions"),
                f"must be some of the block's resolutions, {block.resolutions}, not {method.resolutions}",
            )


def _given(spec: Spec, i: int) -> Variant:
    """Create a variant that is named in the spec."""
    variant = spec.variants[i]
    made = [make_step(spec, ("variants", i, "prepare", k), text) for k, text in enumerate(variant.prepare)]
    problem = next((reason for _, reason in made if reason), "")
    return Variant(variant.label, variant.factors, tuple(step for step, _ in made), problem=problem)


def _restored(spec: Spec, block: RestorationsSpec) -> Iterator[Variant]:
    """Yield the clips at their size, then resolution by resolution the methods."""
    square, size = Resize(block.size, block.kernel), block.size
    if block.original:
        yield Variant(f"{size}x{size}", {"resolution": size, "superres": ORIGINAL}, (square,))
    uses = Counter(method.method for method in block.methods)
    for resolution in block.resolutions:
        small = (square, _degradation(block, resolution))
        for i, method in enumerate(block.methods):
            if resolution not in (method.resolutions or block.resolutions):
                continue
            plain = _PUBLISHED_NAMES.get(method.method, method.method)
            level = plain if uses[method.method] == 1 else method.label
            factors: dict[str, str | int] = {"resolution": resolution, "superres": level}
            entry = Entry(spec, method, ("restorations", "methods", i))
            if method.method == NONE:
                check_plain(entry)
                yield Variant(f"{method.label} {resolution}x{resolution}", factors, small)
            else:
                upscaler, problem = make_upscaler(entry, size // resolution)
                label = f"{method.label} {resolution}to{size}"
                yield Variant(label, factors, (*small, upscaler), square, problem)


def _degradation(block: RestorationsSpec, resolution: int) -> Any:
    if block.degradation == "bicubic":
        return Downscale(size=resolution, kernel=block.kernel)
    random = {"gan-paper": GanPaperDegradation, "real-world": RealWorldDegradation}[block.degradation]
    return random(factor=block.size // resolution)
