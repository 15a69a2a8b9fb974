"""Methods of restoration from what a spec says of them, and the weights of networks, here or not yet.

Nothing is downloaded and no network is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from microexp import superres
from microexp.benchmark._document import Place, SpecError
from microexp.errors import MicroexpError, OptionError, UnknownNameError, WeightsError
from microexp.superres.base import Upscaler
from microexp.superres.cascade import Cascade, stages_to

if TYPE_CHECKING:
    from microexp.benchmark.spec import Spec
    from microexp.weights.catalogue import Entry as Published

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
_RANDOM = "random"


class MethodSpec(BaseModel):
    """One method of restoration.

    Attributes
    ----------
    label : str
        What it is called.
    method : str
        As in `microexp.superres`, or "none": the small clips as they are.
    preset : str or None
        Settings that the method's card names.
    params : dict
        Arguments of the method; they go before those of the preset.
    weights : dict of int to str
        Factor of enlargement to a file, a name in the catalogue or one of the hub. Larger factors are reached
        in steps; see `microexp.superres.cascade`.
    resolutions : list of int or None
        Those of the block at which it is used; None for all.
    """

    model_config = STRICT

    label: str = Field(min_length=1)
    method: str
    preset: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    weights: dict[int, str] = Field(default_factory=dict)
    resolutions: list[int] | None = None


@dataclass(frozen=True)
class Entry:
    """A method of restoration where it stands in a spec."""

    spec: Spec
    method: MethodSpec
    place: Place

    def fault(self, error: object, *keys: str | int) -> SpecError:
        return self.spec.fault((*self.place, *keys), str(error))


def check_plain(entry: Entry) -> None:
    """Refuse settings of the method "none"."""
    for key in ("preset", "params", "weights"):
        if getattr(entry.method, key):
            raise entry.fault("the small clips as they are have no such thing", key)


def make_upscaler(entry: Entry, factor: int) -> tuple[Upscaler, str]:
    """Create what enlarges by a factor, in steps if need be; say too why it cannot be used yet."""
    method = entry.method
    try:
        scales = getattr(superres.get(method.method), "scales", None)
    except MicroexpError as error:
        raise entry.fault(error, "method") from error
    for key in ("scale", "weights"):
        if key in method.params:
            raise entry.fault("factors and their weights are said by the key 'weights'", "params", key)
    if scales is None:  # no network: any factor in one step
        if method.weights:
            raise entry.fault(f"{method.method} has no weights", "weights")
        return _create(entry, {"scale": factor}), ""
    for scale in method.weights:
        if scale not in scales:
            known = ", ".join(map(str, scales))
            raise entry.fault(f"{method.method} enlarges by {known}, not by {scale}", "weights", scale)
    made = {scale: _network(entry, scale) for scale in method.weights}
    try:
        stages = stages_to(made, factor)
    except OptionError as error:
        lacking = "" if made else f"{method.method} is a network and needs weights, as {{4: FILE}}; "
        raise entry.fault(f"{lacking}{error}", "weights") from error
    used = [made[scale] for scale in stages]
    upscaler = used[0][0] if len(used) == 1 else Cascade(tuple(network for network, _ in used))
    return upscaler, next((problem for _, problem in used if problem), "")


def _network(entry: Entry, scale: int) -> tuple[Upscaler, str]:
    """Create a network of one factor; published weights bring their settings."""
    method, source = entry.method, entry.method.weights[scale]
    settings: Mapping[str, Any] = {}
    try:
        if known := _published(source):
            if (known.method, known.scale) != (method.method, scale):
                raise WeightsError(
                    f"'{source}' is {known.method} of factor {known.scale}, not {method.method} of {scale}"
                )
            settings = known.settings
        missing = missing_weights(source)
    except MicroexpError as error:
        raise entry.fault(error, "weights", scale) from error
    network = _create(entry, {**settings, "scale": scale, "weights": source})
    return network, str(entry.fault(missing, "weights", scale)) if missing else ""


def _create(entry: Entry, given: Mapping[str, Any]) -> Upscaler:
    """Create a method with its preset and arguments; blame the key that is at fault."""
    method = entry.method
    presets = superres.card(method.method).presets
    if method.preset is not None and method.preset not in presets:
        unknown = UnknownNameError(f"preset of superres '{method.method}'", method.preset, presets)
        raise entry.fault(unknown, "preset")
    for key, value in method.params.items():
        try:
            superres.create(method.method, **{key: value})
        except OptionError as error:
            raise entry.fault(error, "params", key) from error
    try:
        made: Upscaler = superres.create(method.method, method.preset, **{**given, **method.params})
        made.check_parameters()
    except MicroexpError as error:
        raise entry.fault(error, *(("params",) if method.params else ("weights",))) from error
    return made


def missing_weights(source: str | Path) -> str:
    """Return why weights cannot be read yet; empty if they can, or come by themselves when first used.

    Raises
    ------
    UnknownNameError
        If it is neither a file nor a name.
    """
    from microexp.weights import catalogue, download  # here, as they bring torch, which others need not

    file = download.named_file(source)
    if file is not None:
        return "" if file.is_file() else download.not_here(source)
    if source != _RANDOM and "/" not in str(source):  # else it is untrained, or one of the hub
        raise UnknownNameError("published weights", str(source), catalogue.names())
    return ""


def _published(source: str) -> Published | None:
    """Return the entry of the catalogue of this name, if there is one."""
    from microexp.weights import catalogue

    return catalogue.entry(source) if source in catalogue.names() else None
