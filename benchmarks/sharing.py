"""What a benchmark saves by computing restored frames and flow once, and what a second worker gains.

    python benchmarks/sharing.py [SPEC]

Runs SPEC (quick) in an empty folder each time: one unit after the other in this process with the disk cache;
the same without it for flow and restored frames, as if every job stood alone; and by the engine joblib with
two workers, for the efficiency of the second one. Faces are drawn before the first, as that is not part of
the grid. The counts are exact; the seconds are of this machine, which must be idle. They go into
benchmarks/results/sharing.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from microexp import cache  # noqa: E402
from microexp.benchmark import load_spec, make_plan, make_tasks, run  # noqa: E402
from microexp.benchmark.plan import make_quality_tasks  # noqa: E402
from microexp.datasets.base import Dataset  # noqa: E402
from microexp.evaluate.engines import Engine, make_engine  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402

RESULT = Path(__file__).resolve().parent / "results" / "sharing.json"
SHARED = ("superres", "magnify", "motion")  # kinds of the cache that jobs share
USERS = ("superres.base", "magnify.base", "motion.base", "motion.apex", "motion.mdmo")  # of `cached`


@contextmanager
def counted(keep: bool) -> Iterator[Counter[str]]:
    """Count what is asked of the cache and what is computed, by kind; keep nothing if so wished."""
    counts: Counter[str] = Counter()

    def cached(kind: str, key: object, make: Callable[[], cache.Arrays]) -> cache.Arrays:
        def made() -> cache.Arrays:
            counts[f"{kind}, computed"] += 1
            return make()

        counts[f"{kind}, asked for"] += 1
        return cache.cached(kind, key if keep else None, made)

    with ExitStack() as stack:
        for module in USERS:
            stack.enter_context(patch(f"microexp.{module}.cached", cached))
        yield counts


def timed_run(spec: str, engine: Engine) -> dict[str, float]:
    """Run a spec in an empty folder, with nothing cached of what jobs share; return seconds."""
    for kind in SHARED:
        shutil.rmtree(cache.cache_folder(kind), ignore_errors=True)
    loaded = load_spec(spec)
    tasks = make_tasks(loaded, jobs=1)
    plan = make_plan(loaded, tasks)
    qualities = make_quality_tasks(loaded, tasks)
    draw(quality.original for quality in qualities)
    with tempfile.TemporaryDirectory(prefix="microexp-sharing-") as out:
        wall, cpu = time.perf_counter(), time.process_time()
        states = run(plan, tasks, Path(out), qualities=qualities, engine=engine)
        seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    if faults := [f"{state.job.label}: {state.reason}" for state in states if state.status != "done"]:
        raise SystemExit("\n".join(faults))
    return seconds


def draw(datasets: Iterable[Dataset]) -> None:
    """Have the key frames of all clips drawn, which are kept in the cache under a kind of their own."""
    for clip in {id(clip): clip for dataset in datasets for clip in dataset.clips or ()}.values():
        for name in ("onset", "apex"):
            clip.key_frame(name)


def measure(spec: str) -> dict[str, Any]:
    """Return all figures; the cache is one of its own."""
    result: dict[str, Any] = {"spec": spec, "versions": versions()}
    with tempfile.TemporaryDirectory(prefix="microexp-cache-") as folder:
        weights = cache.cache_folder("weights").resolve()
        if weights.is_dir():
            (Path(folder) / "weights").symlink_to(weights, target_is_directory=True)
        os.environ["MICROEXP_CACHE"] = folder
        for name, keep in (("with the cache", True), ("without", False)):
            with counted(keep) as counts:
                seconds = timed_run(spec, make_engine("serial"))
            result[name] = {**seconds, "counts": dict(sorted(counts.items()))}
            print(name, result[name], flush=True)
        serial = result["with the cache"]["seconds"]
        two = timed_run(spec, make_engine("joblib", 2))["seconds"]
    result["workers"] = {"serial": serial, "joblib, 2 workers": two, "efficiency": serial / (2 * two)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("spec", nargs="?", default="quick")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    result = measure(options.spec)
    shared, alone = result["with the cache"], result["without"]
    result["times less"] = {
        key: alone["counts"][key] / shared["counts"][key]
        for key in shared["counts"]
        if key.endswith("computed")
    } | {"seconds": alone["seconds"] / shared["seconds"]}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"times less": result["times less"], "workers": result["workers"]}, indent=1))


if __name__ == "__main__":
    main()
