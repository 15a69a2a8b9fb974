"""The recognisers of a spec, created and checked; what is at fault is named by line and key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microexp import recognize
from microexp.benchmark._document import Place
from microexp.benchmark.spec import Spec
from microexp.errors import MicroexpError, OptionError, UnknownNameError
from microexp.recognize.base import Recognizer


def make_recognizers(spec: Spec) -> list[Recognizer]:
    """Create the recogniser of every row and check its parameters.

    Raises
    ------
    SpecError
        If a method, preset or parameter is unknown or has a value that cannot be used.
    OptionError
        If an option at run time sets what a row sets itself.
    """
    return [_recognizer(spec, i) for i in range(len(spec.recognisers))]


def _recognizer(spec: Spec, i: int) -> Recognizer:
    """Create the recogniser of a row; blame the key that is at fault."""
    row, place = spec.recognisers[i], ("recognisers", i)
    own = {**_preset(spec, i), **row.params}
    given = spec.changes.params
    if clash := sorted(own.keys() & given.keys()):
        raise OptionError(
            f"--param {clash[0]}: the row '{row.label}' sets it itself; change the file for that"
        )
    params = {**spec.defaults, **own, **given}
    for key, value in params.items():
        if key == "random_state":
            raise spec.fault(_origin(spec, i, key), "give the seed as seeds of the spec")
        try:
            recognize.create(row.method, **{key: value})
        except OptionError as error:
            raise spec.fault(_origin(spec, i, key), str(error)) from error
    try:
        return _checked(row.method, params)
    except MicroexpError as error:
        guilty = next((key for key in params if _helps(row.method, params, key)), None)
        raise spec.fault(place if guilty is None else _origin(spec, i, guilty), str(error)) from error


def _preset(spec: Spec, i: int) -> Mapping[str, Any]:
    """Return the settings of a row's preset; refuse a method or preset that there is not."""
    row = spec.recognisers[i]
    try:
        presets = recognize.card(row.method).presets
    except MicroexpError as error:
        raise spec.fault(("recognisers", i, "method"), str(error)) from error
    if row.preset is None:
        return {}
    if row.preset not in presets:
        unknown = UnknownNameError(f"preset of recognize '{row.method}'", row.preset, presets)
        raise spec.fault(("recognisers", i, "preset"), str(unknown))
    return presets[row.preset]


def _checked(method: str, params: Mapping[str, Any]) -> Recognizer:
    recognizer: Recognizer = recognize.create(method, **params)
    recognizer.check_parameters()
    return recognizer


def _helps(method: str, params: Mapping[str, Any], key: str) -> bool:
    """Whether a recogniser can be made once a parameter is left out."""
    try:
        _checked(method, {k: v for k, v in params.items() if k != key})
    except MicroexpError:
        return False
    return True


def _origin(spec: Spec, i: int, key: str) -> Place:
    """Return where a parameter of a row was given."""
    row = spec.recognisers[i]
    if key in row.params or key in spec.changes.params:
        return "recognisers", i, "params", key
    if row.preset is not None and key in recognize.card(row.method).presets[row.preset]:
        return "recognisers", i, "preset"
    return "defaults", key
