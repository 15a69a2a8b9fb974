"""Commands on benchmarks: what there is, plan, run, how far it is, report."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from microexp.cli._common import EXIT_ON_FAULT, Bars, JsonFlag, err, out
from microexp.registry import read_params

if TYPE_CHECKING:
    from microexp.benchmark import Changes, Plan, State, Task
    from microexp.benchmark.quality import QualityTask


class EngineName(StrEnum):
    """Where the units of a benchmark are computed."""

    SERIAL = "serial"
    JOBLIB = "joblib"
    DASK = "dask"


class Against(StrEnum):
    """What figures can be shown beside ours."""

    PUBLISHED = "published"


benchmark_app = typer.Typer(
    help="A grid of evaluations from one YAML file: plan it, run it, get its table beside the published one.",
    no_args_is_help=True,
)

SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A YAML file, or a name as in `microexp benchmark list`.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Folder of the benchmark (default: results/SPEC). Resumes there.")
]
DatabaseOption = Annotated[
    str | None, typer.Option(help="Run on this database, as in `microexp list datasets`.")
]
RootOption = Annotated[Path | None, typer.Option(help="Folder of your copy of the database.")]
LabelsOption = Annotated[str | None, typer.Option(help="Class scheme, e.g. megc3, or your own .csv file.")]
DataOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE of the database, e.g. --data n_subjects=12. Repeatable."),
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=VALUE of every recogniser, e.g. --param epochs=5; the report says so. Repeatable."
    ),
]
PrepareOption = Annotated[
    list[str] | None,
    typer.Option(help="Prepare clips by this in place of what the file says, e.g. apex; none for nothing."),
]
SelectionOption = Annotated[
    str | None, typer.Option(help="In place of the file's: last-epoch, inner-subjects, or test-fold (LEAKS).")
]
SeedOption = Annotated[list[int] | None, typer.Option(help="In place of the file's seeds. Repeatable.")]
JobsOption = Annotated[int | None, typer.Option(help="Worker processes (default: one a core).")]

EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="Where it runs: this process, processes here, a dask cluster.")
]
SchedulerOption = Annotated[
    str | None, typer.Option(help="Address of a dask scheduler, e.g. tcp://host:8786 (with --engine dask).")
]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Run jobs again that failed before.")]
NoProbeOption = Annotated[
    bool, typer.Option("--no-probe", help="Do not measure a little to estimate time and disk space.")
]
AgainstOption = Annotated[
    Against | None, typer.Option("--against", help="Show our figures beside those that papers print.")
]

_SHOWN = ("UF1", "UAR")
_MANY = 40  # jobs, of which the terminal shows counts and not a line each
_STYLES = {"done": "green", "partial": "yellow", "failed": "bold red", "to do": "dim"}


@benchmark_app.command("list")
def list_specs(as_json: JsonFlag = False) -> None:
    """The benchmarks that come with microexp: tables of papers that run on any database."""
    from microexp.benchmark import load_spec, shipped_specs

    specs = [load_spec(name) for name in shipped_specs()]
    if as_json:
        found = [{"name": s.name, "title": s.title, "source": s.source} for s in specs]
        rows = [[row.label for row in spec.recognisers] for spec in specs]
        print(json.dumps([{**f, "rows": r} for f, r in zip(found, rows, strict=True)], indent=1))
        return
    table = Table(box=SIMPLE_HEAD)
    for column in ("name", "what", "rows"):
        table.add_column(column, overflow="fold")
    for spec in specs:
        labels = ", ".join(row.label for row in spec.recognisers)
        table.add_row(f"[bold]{spec.name}[/]", escape(spec.title), escape(labels))
    out.print(table)


@benchmark_app.command("plan")
def plan_command(
    spec: SpecArgument,
    out_dir: OutOption = None,
    database: DatabaseOption = None,
    root: RootOption = None,
    labels: LabelsOption = None,
    data: DataOption = None,
    param: ParamOption = None,
    prepare: PrepareOption = None,
    selection: SelectionOption = None,
    seed: SeedOption = None,
    jobs: JobsOption = None,
    no_probe: NoProbeOption = False,
    as_json: JsonFlag = False,
) -> None:
    """Check a benchmark and show its jobs, what of them is done, and what the rest will cost; nothing is run.

    [bold]microexp benchmark plan bowam_table4 --database casme2 --root DIR[/bold]
    """
    from microexp.benchmark import states

    changes = _changes(database, root, labels, data, param, prepare, selection, seed)
    plan, tasks, _, folder = _planned(spec, out_dir, changes, jobs, as_json)
    variants = {job.variant: dict(job.factors) for job in plan.jobs}
    more: dict[str, Any] = {"factors": plan.factors, "variants": variants, "spec": dict(plan.spec)}
    lines = [f"{_counted(plan.jobs, 'job')}, {sum(job.folds for job in plan.jobs)} folds"]
    if plan.factors:
        lines[0] += f"; {_counted(variants, 'variant')} by {' and '.join(plan.factors)}"
    if not no_probe:
        from joblib import cpu_count

        from microexp.benchmark.estimate import estimate

        with Bars("Nothing is kept of the estimate", quiet=True):
            expected = estimate(tasks, folder)
        more["estimate"] = expected.as_dict(jobs or cpu_count())
        lines += expected.lines(jobs or cpu_count())
    _show(plan, states(plan, folder), folder, as_json, more=more, lines=lines)


@benchmark_app.command("run")
def run_command(
    spec: SpecArgument,
    out_dir: OutOption = None,
    database: DatabaseOption = None,
    root: RootOption = None,
    labels: LabelsOption = None,
    data: DataOption = None,
    param: ParamOption = None,
    prepare: PrepareOption = None,
    selection: SelectionOption = None,
    seed: SeedOption = None,
    jobs: JobsOption = None,
    engine: EngineOption = EngineName.JOBLIB,
    scheduler: SchedulerOption = None,
    retry_failed: RetryOption = False,
    as_json: JsonFlag = False,
) -> None:
    """Run a benchmark, or what is left of it, and write its table and report.

    Finished folds are kept as they come: stop with Ctrl-C and run the same command again to go on. The same
    command in a second terminal, or on another computer that sees the folder, shares the work. A job that
    fails does not stop the others; the exit code is 1 then, and the reasons are listed.

    [bold]microexp benchmark run bowam_table4 --database synthetic --data n_subjects=4 --param epochs=2[/bold]
    """
    from microexp.benchmark import run, write_reports
    from microexp.benchmark.figures import write_strips
    from microexp.benchmark.run import failures
    from microexp.evaluate.engines import make_engine

    place = make_engine(engine.value, jobs, scheduler)
    changes = _changes(database, root, labels, data, param, prepare, selection, seed)
    plan, tasks, qualities, folder = _planned(spec, out_dir, changes, jobs, as_json)
    with Bars(f"Finished folds are kept in {folder}", quiet=as_json) as bars, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said while it was planned
        found = run(
            plan,
            tasks,
            folder,
            qualities=qualities,
            engine=place,
            retry_failed=retry_failed,
            progress=bars.update,
        )
        _warn(write_strips(tasks, folder))
    unmeasured = failures((quality.key for quality in qualities), folder)
    _show(plan, found, folder, as_json, write_reports(plan, folder))
    _warn(f"{label}: {reason}" for label, reason in unmeasured)
    if unmeasured or any(state.status != "done" for state in found):
        raise typer.Exit(EXIT_ON_FAULT)


@benchmark_app.command("status")
def status_command(spec: SpecArgument, out_dir: OutOption = None, as_json: JsonFlag = False) -> None:
    """How far a benchmark is, by what is in its folder; no database is read.

    [bold]microexp benchmark status bowam_table4[/bold]
    """
    from microexp.benchmark import states

    plan, folder = _kept(spec, out_dir)
    _show(plan, states(plan, folder), folder, as_json)


@benchmark_app.command("report")
def report_command(
    spec: SpecArgument,
    out_dir: OutOption = None,
    against: AgainstOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write table.csv, table.tex and report.html of what is finished; no database is read.

    [bold]microexp benchmark report bowam_table4[/bold]
    """
    from microexp.benchmark import states, write_reports

    plan, folder = _kept(spec, out_dir)
    files = write_reports(plan, folder, "published" if against else None)
    _show(plan, states(plan, folder), folder, as_json, files)


def _changes(
    database: str | None,
    root: Path | None,
    labels: str | None,
    data: list[str] | None,
    param: list[str] | None,
    prepare: list[str] | None,
    selection: str | None,
    seed: list[int] | None,
) -> Changes:
    from microexp.benchmark import Changes

    return Changes(
        database=database,
        root=None if root is None else str(root),
        labels=labels,
        data=read_params(data or [], "--data"),
        params=read_params(param or [], "--param"),
        prepare=[] if prepare == ["none"] else prepare or None,
        selection=selection,
        seeds=seed or None,
    )


def _planned(
    name: str, out_dir: Path | None, changes: Changes, jobs: int | None, quiet: bool
) -> tuple[Plan, list[Task], list[QualityTask], Path]:
    from microexp.benchmark import load_spec, make_plan, make_tasks
    from microexp.benchmark.plan import make_quality_tasks

    spec = load_spec(name, changes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Bars("Nothing is kept of the preparation but what is in the cache", quiet=quiet) as bars:
            tasks = make_tasks(spec, jobs, bars.update)
    _warn(dict.fromkeys(str(warning.message) for warning in caught))
    return make_plan(spec, tasks), tasks, make_quality_tasks(spec, tasks), _folder(spec.name, out_dir)


def _warn(messages: Iterable[str]) -> None:
    for message in messages:
        err.print(f"[yellow]Warning:[/] {escape(message)}", highlight=False)


def _kept(name: str, out_dir: Path | None) -> tuple[Plan, Path]:
    from microexp.benchmark import Plan

    stem = Path(name).stem
    folder = _folder(stem, out_dir)
    return Plan.read(folder, stem), folder


def _folder(name: str, out_dir: Path | None) -> Path:
    return out_dir or Path("results") / name


def _show(
    plan: Plan,
    found: Sequence[State],
    folder: Path,
    as_json: bool,
    files: Sequence[Path] = (),
    more: dict[str, Any] | None = None,
    lines: Sequence[str] = (),
) -> None:
    if as_json:
        content: dict[str, Any] = {
            "name": plan.name,
            "title": plan.title,
            "folder": str(folder),
            "changes": plan.changes,
            **(more or {}),
            "files": [str(file) for file in files],
            "jobs": [{**state.as_dict(), "problem": state.job.problem} for state in found],
        }
        print(json.dumps(content, indent=1))
        return
    out.print(_summary(plan, found) if len(found) > _MANY else _table(plan, found))
    for line in lines:
        out.print(line, highlight=False, soft_wrap=True, markup=False)
    if plan.changes:
        changes = escape("; ".join(plan.changes))
        out.print(f"[yellow]Changed at run time:[/] {changes}", highlight=False, soft_wrap=True)
    for state in found:
        if reason := state.reason or (state.job.problem if state.status != "done" else ""):
            name = " ".join(filter(None, (state.job.label, state.job.variant)))
            out.print(f"[red]{escape(name)}:[/] {escape(reason)}", highlight=False, soft_wrap=True)
    for file in files:
        out.print(str(file), highlight=False, soft_wrap=True, markup=False)


def _table(plan: Plan, found: Sequence[State]) -> Table:
    from microexp.benchmark.report import figures_by_rule
    from microexp.evaluate.evaluation import LEAK_MARK

    printed = any(state.job.published for state in found)
    table = Table(
        title=plan.title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        caption=f"† published: {plan.published_protocol}" if printed else None,
        caption_justify="left",
    )
    several = len({state.job.database for state in found}) > 1
    table.add_column("row", overflow="fold", min_width=18)
    table.add_column("folds", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("epoch", overflow="fold")
    for column in (*_SHOWN, *(f"{metric}†" for metric in _SHOWN if printed)):
        table.add_column(column, justify="right", no_wrap=True)
    for state in found:
        job, status = state.job, "cannot run" if state.job.problem else state.status
        name = f"[bold]{escape(job.label)}[/]" + (f" {escape(job.variant)}" if job.variant else "")
        name += f" ({job.database})" if several else ""
        first = (name, f"{state.folds}/{job.folds}", f"[{_STYLES[state.status]}]{status}[/]")
        published = [_figure(job.published.get(metric)) for metric in _SHOWN if printed]
        for number, figures in enumerate(figures_by_rule(state)):
            rule = figures.get("rule", "")
            table.add_row(
                *(first if number == 0 else ("", "", "")),
                "[bold red]LEAKS[/]" if rule == LEAK_MARK else rule,
                *(_figure(figures.get(metric)) for metric in _SHOWN),
                *published,
            )
    return table


def _summary(plan: Plan, found: Sequence[State]) -> Table:
    """Count what is done of each database and variant: too many jobs for a line each."""
    table = Table(title=plan.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    databases = list(dict.fromkeys(state.job.database for state in found))
    table.add_column("variant", overflow="fold")
    for database in databases:
        table.add_column(f"{database}\ndone/jobs", justify="right", no_wrap=True)
    cells = Counter((state.job.variant, state.job.database) for state in found)
    done = Counter((s.job.variant, s.job.database) for s in found if s.status == "done")
    for variant in dict.fromkeys(state.job.variant for state in found):
        counts = [(done[variant, database], cells[variant, database]) for database in databases]
        table.add_row(escape(variant) or "(as they are)", *(f"{d}/{n}" for d, n in counts))
    return table


def _counted(things: Sequence[Any] | dict[str, Any], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _figure(value: float | str | None) -> str:
    return f"{value:.4f}" if isinstance(value, float) else ""
