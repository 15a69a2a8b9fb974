"""How many workers a benchmark keeps busy: its schedule, simulated from the seconds that it took.

    python benchmarks/schedule.py DIR [--study sr_mer]

DIR is the folder of a benchmark that was run to its end. Its units (features of a job, folds) are scheduled
on 1, 2, 8, 64 and 1,024 workers. So is the study: every job of it gets the seconds of a measured job of the
same recogniser (of any, where there is none), drawn with seed 0, in proportion to the number of clips. Who
computed the features of a variant first restored its frames, so the others wait for that job here. Figures go
into benchmarks/results/schedule.json, the table into docs/benchmark.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microexp.benchmark import Plan, load_spec
from microexp.benchmark.plan import Job
from microexp.benchmark.schedule import Unit, job_units, simulate
from microexp.benchmark.variants import make_variants
from microexp.evaluate.versions import versions

HERE = Path(__file__).resolve().parent
RESULT, PAGE = HERE / "results" / "schedule.json", HERE.parent / "docs" / "benchmark.md"
BEGIN, END = "<!-- made by benchmarks/schedule.py -->", "<!-- end of schedule -->"
WORKERS = (1, 2, 8, 64, 1024)
SUBJECTS_AND_CLIPS = {"casme2": (26, 256), "samm": (32, 159), "smic": (16, 164)}  # table I of the study


@dataclass(frozen=True)
class Measured:
    """A finished job."""

    job: Job
    features: float
    finished: float  # when the features were
    folds: list[float]


def measured(out: Path, job: Job) -> Measured:
    """Read what a job took."""
    folder = job.folder(out)
    folds = [json.loads(file.read_text())["seconds"] for file in sorted(folder.glob("folds/*.json"))]
    if len(folds) != job.folds:
        raise SystemExit(
            f"{folder}: {len(folds)} of {job.folds} folds are finished; run the benchmark to its end"
        )
    features = json.loads((folder / "features.json").read_text())["seconds"]
    return Measured(job, features, (folder / "features.npy").stat().st_mtime, folds)


def own_units(found: Sequence[Measured]) -> list[Unit]:
    """Return the units of the benchmark that was run."""
    first: dict[tuple[str, str], Measured] = {}
    for one in sorted(found, key=lambda one: one.finished):
        first.setdefault((one.job.database, one.job.variant), one)
    units: list[Unit] = []
    for one in found:
        payer = first[one.job.database, one.job.variant]
        needs = [] if payer is one else [f"{payer.job.key}/features"]
        units += job_units(one.job.key, one.features, one.folds, needs)
    return units


def study_units(found: Sequence[Measured], study: str) -> tuple[list[Unit], int]:
    """Return the units of the whole study with seconds drawn from those measured, and its number of jobs."""
    spec, rng = load_spec(study), np.random.default_rng(0)
    variants, units, jobs = len(make_variants(spec)), [], 0
    for database in spec.databases:
        subjects, clips = SUBJECTS_AND_CLIPS[database.name]
        for row in spec.recognisers:
            alike = [one for one in found if one.job.method == row.method] or list(found)
            for variant in range(variants):
                one = alike[rng.integers(len(alike))]
                scale = clips / one.job.clips
                folds = scale * rng.choice(one.folds, subjects * len(spec.seeds))
                key = f"{database.name}/{row.label}/{variant}"
                payer = f"{database.name}/{spec.recognisers[0].label}/{variant}"
                needs = [] if key == payer else [f"{payer}/features"]
                units += job_units(key, scale * one.features, folds.tolist(), needs)
                jobs += 1
    return units, jobs


def simulated(units: Sequence[Unit], jobs: int) -> dict[str, Any]:
    """Return the schedule on every number of workers."""
    runs = [simulate(units, workers) for workers in WORKERS]
    return {
        "jobs": jobs,
        "units": len(units),
        "work_seconds": runs[0].work,
        "longest_chain_seconds": runs[0].longest_chain,
        "workers": {str(r.workers): {"makespan": r.makespan, "efficiency": r.efficiency} for r in runs},
    }


def table(result: dict[str, Any]) -> str:
    """The table as Markdown."""
    names = [name for name in result if name != "versions"]
    lines = ["| workers | " + " | ".join(f"{n}: hours | efficiency" for n in names) + " |"]
    lines.append("|---:|" + "---:|---:|" * len(names))
    for workers in map(str, WORKERS):
        cells = [result[name]["workers"][workers] for name in names]
        shown = " | ".join(f"{c['makespan'] / 3600:.3g} | {c['efficiency']:.3f}" for c in cells)
        lines.append(f"| {int(workers):,} | {shown} |")
    sizes = "; ".join(f"{n}: {result[n]['jobs']:,} jobs, {result[n]['units']:,} units" for n in names)
    return "\n".join([*lines, "", f"{sizes}.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, metavar="DIR", help="folder of a finished benchmark")
    parser.add_argument("--study", default="sr_mer", help="the spec of the whole study")
    options = parser.parse_args()
    name = json.loads((options.out / "plan.json").read_text())["name"]
    jobs = {job.key: job for job in Plan.read(options.out, name).jobs if not job.problem}
    found = [measured(options.out, job) for job in jobs.values()]
    study, n_jobs = study_units(found, options.study)
    result = {
        name: simulated(own_units(found), len(found)),
        options.study: simulated(study, n_jobs),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(result)}\n{END}{after}", encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
