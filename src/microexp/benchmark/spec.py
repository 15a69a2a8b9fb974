"""The file that says what a benchmark is: databases, what their clips go through, recognisers, protocol.

Nothing of the machine stands in it.

A spec is YAML. Its keys are the fields of `Spec`; unknown keys, repeated keys and wrong types are refused
with file, line and key::

    title: Two wavelets
    source: Table 7
    databases: [{name: casme2, labels: megc3}]        # or none, and --database at run time
    prepare: [aligner, apex]                          # as the option --prepare has them
    defaults: {epochs: 50}                            # given to every recogniser
    recognisers:
      - {label: Haar, method: bowam, params: {wavelet: haar}, published: {UF1: 0.9090}}
      - {label: db4, method: bowam, params: {wavelet: db4}, published: {UF1: 0.8954}}
      - {label: magnified, method: bowam, prepare: ["eulerian:factor=4"]}
    published_data: MEGC2019
    published_protocol: epoch chosen on the test subject
    protocol: loso
    selection: last-epoch
    seeds: [0]

With ``restorations`` or ``variants`` (see `microexp.benchmark.variants`) every recogniser is run on each
variant of the clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from microexp.benchmark._document import Document, Place, SpecError
from microexp.benchmark._restoration import STRICT, MethodSpec
from microexp.benchmark.variants import NONE, RestorationsSpec, VariantSpec, check_variants
from microexp.errors import OptionError, PathMissingError, UnknownNameError, suggestion
from microexp.evaluate.metrics import METRICS

Selection = Literal["last-epoch", "inner-subjects", "test-fold"]
Protocol = Literal["loso", "subjects-5", "samples-5"]


class DatabaseSpec(BaseModel):
    """One database.

    Attributes
    ----------
    name : str
        As in `microexp.datasets`.
    root : str or None
        Folder of the copy; best given at run time.
    labels : str or None
        Class scheme; None for the database's first.
    params : dict
        Further arguments of the database.
    """

    model_config = STRICT

    name: str
    root: str | None = None
    labels: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)


class RecogniserSpec(BaseModel):
    """One row of the table.

    Attributes
    ----------
    label : str
        What the row is called; no other row may be called the same.
    method : str
        As in `microexp.recognize`.
    preset : str or None
        Settings that the method's card names.
    params : dict
        Arguments of the recogniser; they go before those of the preset, and these before the defaults.
    prepare : list of str
        What clips go through after the steps of the spec, for this row alone.
    published : dict
        The row as printed: UF1, UAR and WAR in [0, 1]; other columns as numbers or text. Only where the spec
        has one variant.
    note : str
        What has to be said of the row.
    """

    model_config = STRICT

    label: str = Field(min_length=1)
    method: str
    preset: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    prepare: list[str] = Field(default_factory=list)
    published: dict[str, float | str] = Field(default_factory=dict)
    note: str = ""


class SetDistanceSpec(BaseModel):
    """What distances of sets are measured by; see `microexp.benchmark.quality`.

    Attributes
    ----------
    weights : str
        Of Inception-v3: a name in the catalogue or one of the hub, or a file.
    """

    model_config = STRICT

    weights: str = Field(min_length=1)


@dataclass(frozen=True)
class Changes:
    """What is given at run time, and goes before what the spec says.

    Attributes
    ----------
    database, root, labels : str or None
        Run on this database in place of the spec's; its folder, its class scheme. Where databases of several
        names are run on, the folder is that in which each lies under its name.
    data : mapping
        Arguments of the database.
    params : mapping
        Arguments given to every recogniser, a smaller size for instance; none that a row sets itself.
    prepare : sequence of str or None
        In place of the spec's; empty for no preparation.
    selection : str or None
        In place of the spec's.
    seeds : sequence of int or None
        In place of the spec's.
    """

    database: str | None = None
    root: str | None = None
    labels: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    prepare: Sequence[str] | None = None
    selection: str | None = None
    seeds: Sequence[int] | None = None

    @property
    def said(self) -> list[str]:
        """Sentences for the report on what is not as the spec has it; where the data are is no change."""
        said = [f"{key} = {value!r} for every recogniser" for key, value in self.params.items()]
        if self.prepare is not None:
            said.append(f"clips prepared by {', then '.join(self.prepare) or 'nothing'}")
        if self.selection is not None:
            said.append(f"selection {self.selection}")
        if self.seeds is not None:
            said.append(f"seeds {', '.join(map(str, self.seeds))}")
        return said

    def option(self, place: Place) -> str | None:
        """Return the option that gave what is at a place, if one did."""
        head, key = place[0], place[-1]
        if head == "databases":
            given: dict[str, object] = {"root": self.root, "labels": self.labels, "name": self.database}
            if given.get(str(key)) is not None:
                return "--database" if key == "name" else f"--{key}"
            if key in self.data:
                return f"--data {key}"
            return "--database" if self.database is not None else None
        if "params" in place and key in self.params:
            return f"--param {key}"
        given = {"prepare": self.prepare, "selection": self.selection, "seeds": self.seeds}
        return f"--{head}".removesuffix("s") if given.get(str(head)) is not None else None


class Spec(BaseModel):
    """A grid of evaluations: every recogniser on every variant of every database.

    Attributes
    ----------
    title, source : str
        Heading of the report, and where the published figures are from.
    databases : list of DatabaseSpec
        May be empty; then one is named at run time.
    prepare : list of str
        What clips go through first, ``NAME`` or ``NAME:OPTION=VALUE:...``.
    restorations : RestorationsSpec or None
        Variants by low resolution and method of super-resolution.
    variants : list of VariantSpec
        Other variants; a spec has these or restorations, or neither.
    set_distance : SetDistanceSpec or None
        How far the apex frames of the variants are from the unmagnified ones as sets; None for not measured.
    defaults : dict
        Arguments given to every recogniser.
    recognisers : list of RecogniserSpec
        The rows.
    published_data, published_protocol : str
        On what data, and by which rule, the published figures came about. Where a row has published
        figures the protocol must be said.
    protocol : {"loso", "subjects-5", "samples-5"}
        How clips are divided into those that train and those that test; see `microexp.evaluate.folds`.
    selection : {"last-epoch", "inner-subjects", "test-fold"}
        Which epoch of a network counts; see `microexp.evaluate.loso`.
    seeds : list of int
        The whole protocol is run once under each.
    """

    model_config = STRICT

    title: str
    source: str = ""
    databases: list[DatabaseSpec] = Field(default_factory=list)
    prepare: list[str] = Field(default_factory=list)
    restorations: RestorationsSpec | None = None
    variants: list[VariantSpec] = Field(default_factory=list)
    set_distance: SetDistanceSpec | None = None
    defaults: dict[str, Any] = Field(default_factory=dict)
    recognisers: list[RecogniserSpec] = Field(min_length=1)
    published_data: str = ""
    published_protocol: str = ""
    protocol: Protocol = "loso"
    selection: Selection = "last-epoch"
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1)

    _document: Document = PrivateAttr()
    _changes: Changes = PrivateAttr()

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return Path(self._document.name).stem

    @property
    def changes(self) -> Changes:
        """What was changed at run time."""
        return self._changes

    def fault(self, place: Place, message: str) -> SpecError:
        """Return the error for what is wrong at a place of the file, or of the options at run time."""
        option = self._changes.option(place)
        return SpecError(f"{option}: {message}") if option else self._document.fault(place, message)


def shipped_specs() -> dict[str, str]:
    """Return the text of the specs in the package by their names, in order."""
    folder = files(__package__).joinpath("specs")
    found = {f.name.removesuffix(".yaml"): f for f in folder.iterdir() if f.name.endswith(".yaml")}
    return {name: found[name].read_text("utf-8") for name in sorted(found, key=_by_number)}


def _by_number(name: str) -> tuple[str, int]:
    """Order table4 before table10."""
    digits = name[len(name.rstrip("0123456789")) :]
    return name.removesuffix(digits), int(digits or 0)


def load_spec(name: str | Path, changes: Changes | None = None) -> Spec:
    """Read a spec.

    Parameters
    ----------
    name : str or path
        A YAML file, or the name of a spec in the package.
    changes : Changes or None
        What goes before it.

    Raises
    ------
    SpecError
        If it is no YAML, has an unknown key, a wrong type, or contradicts itself or the changes. What its
        methods and databases are is not looked at; see `microexp.benchmark.plan`.
    PathMissingError, UnknownNameError
        If there is no such file and none in the package.
    """
    return parse_spec(_text(name), Path(name).name, changes)


def parse_spec(text: str, name: str, changes: Changes | None = None) -> Spec:
    """Read a spec from its text; `name` is what errors call it. Raises as `load_spec`."""
    document, changes = Document(text, name), changes or Changes()
    if not isinstance(document.content, dict):
        raise SpecError(f"{name} is no spec: it must hold keys, at least title and recognisers")
    content = dict(document.content)
    for key in ("prepare", "seeds", "selection"):
        if (value := getattr(changes, key)) is not None:
            content[key] = value if isinstance(value, str) else list(value)
    try:
        spec = Spec.model_validate(content)
    except ValidationError as error:
        raise _in_words(error, document, changes) from error
    spec._document, spec._changes = document, changes
    _check(spec)
    chosen = _chosen(spec, changes)
    several = len({base.name for base in chosen}) > 1
    block = None if spec.restorations is None else spec.restorations.resolved()
    databases = [_changed(base, changes, several) for base in chosen]
    changed = spec.model_copy(update={"databases": databases, "restorations": block})
    changed._document, changed._changes = document, changes
    return changed


def _text(name: str | Path) -> str:
    file, shipped = Path(name), shipped_specs()
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SpecError(f"{file} is no text in UTF-8") from error
    if str(name).removesuffix(".yaml") in shipped:
        return shipped[str(name).removesuffix(".yaml")]
    if file.suffix or len(file.parts) > 1:
        raise PathMissingError(f"there is no benchmark file {file}")
    raise UnknownNameError("benchmark spec", str(name), shipped)


_PARTS: Mapping[str, type[BaseModel]] = {
    "databases": DatabaseSpec,
    "recognisers": RecogniserSpec,
    "variants": VariantSpec,
    "restorations": RestorationsSpec,
    "restorations.methods": MethodSpec,
    "set_distance": SetDistanceSpec,
}


def _in_words(error: ValidationError, document: Document, changes: Changes) -> SpecError:
    """Turn pydantic's first complaint into one sentence."""
    first = error.errors()[0]
    place: Place = first["loc"]
    known = _PARTS.get(".".join(part for part in place[:-1] if isinstance(part, str)), Spec)
    if first["type"] == "extra_forbidden":
        message = f"unknown key '{place[-1]}'.{suggestion(str(place[-1]), known.model_fields)}"
    elif first["type"] == "missing":
        message = f"the key '{place[-1]}' is missing"
    else:
        message = f"{first['msg'].replace('Input should', 'this should')}, not {first['input']!r}"
    option = changes.option(place)
    return SpecError(f"{option}: {message}") if option else document.fault(place, message)


def _check(spec: Spec) -> None:
    """What one field alone cannot tell."""
    check_variants(spec)
    levels = [variant.factors.get("magnification") for variant in spec.variants]
    if spec.set_distance is not None and (levels.count(NONE) != 1 or len(levels) < 2):
        raise spec.fault(
            ("set_distance",), "needs one variant whose factor magnification is none, and others to compare"
        )
    labels: set[str] = set()
    for i, row in enumerate(spec.recognisers):
        place: Place = ("recognisers", i)
        if row.label in labels:
            raise spec.fault((*place, "label"), f"another row is called '{row.label}' already")
        labels.add(row.label)
        if row.published and not spec.published_protocol:
            raise spec.fault(
                (*place, "published"), "say by which rule the epoch was chosen: published_protocol"
            )
        if row.published and (spec.restorations is not None or len(spec.variants) > 1):
            raise spec.fault((*place, "published"), "published figures of a row are those of one variant")
        for metric in METRICS:
            value = row.published.get(metric, 0.0)
            if isinstance(value, str) or not 0 <= value <= 1:
                raise spec.fault((*place, "published", metric), f"must be from 0 to 1, not {value!r}")
    for i, seed in enumerate(spec.seeds):
        if seed < 0 or seed in spec.seeds[:i]:
            raise spec.fault(("seeds", i), f"seeds must be different numbers, 0 or more, not {spec.seeds}")


def _chosen(spec: Spec, changes: Changes) -> list[DatabaseSpec]:
    """Return the databases to run on: the one named at run time, else those of the spec."""
    if changes.database is None:
        return spec.databases
    own = [d for d in spec.databases if d.name == changes.database]
    return own or [DatabaseSpec(name=changes.database)]


def _changed(base: DatabaseSpec, changes: Changes, several: bool) -> DatabaseSpec:
    """Return a database with what was said at run time; several are found below the root by their names."""
    root = changes.root
    if root is not None and several:
        root = str(Path(root) / base.name)
    return base.model_copy(
        update={
            "root": base.root if root is None else root,
            "labels": changes.labels if changes.labels is not None else base.labels,
            "params": {**base.params, **changes.data},
        }
    )


def check_one_database(spec: Spec) -> None:
    """Raise `OptionError` if options that mean one database meet none or several."""
    changes, several = spec.changes, len(spec.databases)
    given = {"--labels": changes.labels, "--data": changes.data or None}
    for option in (o for o, value in given.items() if value is not None and several > 1):
        names = ", ".join(d.name for d in spec.databases)
        raise OptionError(f"{option} is for one database, the spec has {names}: name it with --database")
    if not several:
        raise OptionError(f"{spec.name} names no database to run on: --database NAME, and its --root DIR")
