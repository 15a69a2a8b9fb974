"""A benchmark that is killed again and again ends with the table of the one that was not.

    python benchmarks/killed_runs.py [--kills 30] [--seed 0]

A small grid on drawn faces is run to its end once. Then, so many times: it is started in a folder of its own,
the runner or one of its workers is killed (SIGKILL) at a random moment, it is run again to the end, and

  * table.csv must be the same, byte for byte;
  * what was finished at the kill must not have been written again (same inode, same time stamp);
  * no file under its final name may ever be half-written: after the kill each is read.

Every run has a cache of its own. The source must not change meanwhile, as its version is in the table. Counts
go into benchmarks/results/killed_runs.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from microexp.evaluate.versions import versions

RESULT = Path(__file__).resolve().parent / "results" / "killed_runs.json"
SPEC = """\
title: Small, to be killed
databases: [{name: synthetic, labels: megc3, params: {n_subjects: 4, clips_per_subject: 3, size: 64}}]
restorations:
  size: 64
  resolutions: [16, 32]
  methods:
    - {label: Bicubic, method: none}
    - {label: Bicubic_restore, method: bicubic}
recognisers:
  - {label: SVM, method: linear_svm}
  - {label: soft SVM, method: linear_svm, params: {C: 0.001}}
  - {label: LBPTOP, method: lbp_top, params: {size: 32}}
"""
PATIENCE = 1800  # seconds for a run to end, on a machine that does other things
Stamp = tuple[int, int]  # inode, time of the last change of content in ns


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the benchmark in a folder; its output goes to a file there."""
    command = [sys.executable, "-m", "microexp.cli", "benchmark", "run", str(folder / "small.yaml")]
    command += ["--out", str(folder / "out"), "--engine", "joblib", "--jobs", "2"]
    environment = {**os.environ, "MICROEXP_CACHE": str(folder / "cache")}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def finish(folder: Path) -> bytes:
    """Run the benchmark to its end and return its table."""
    code = start(folder).wait(timeout=PATIENCE)
    if code != 0:
        raise SystemExit(
            f"exit code {code}; see {folder / 'log.txt'}:\n{(folder / 'log.txt').read_text()[-3000:]}"
        )
    return (folder / "out" / "table.csv").read_bytes()


def kill(
    runner: subprocess.Popen[bytes], folder: Path, seconds: float, rng: random.Random
) -> tuple[str | None, dict[str, Stamp]]:
    """Kill the runner or a worker of it after some time; return which, and what was finished by then.

    None if it had ended before.
    """
    try:
        runner.wait(timeout=seconds)
        return None, stamps(folder)
    except subprocess.TimeoutExpired:
        pass
    workers = workers_of(runner.pid)
    if workers and rng.random() < 0.5:
        finished = stamps(folder)
        os.kill(rng.choice(workers), signal.SIGKILL)
        code = runner.wait(timeout=PATIENCE)
        return "worker, runner went on" if code == 0 else "worker, runner ended", finished
    runner.kill()
    runner.wait()
    for worker in workers:  # they end by themselves, after what they are at
        wait_for(worker)
    return "runner", stamps(folder)


def workers_of(runner: int) -> list[int]:
    """Return the process ids of joblib's workers."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, parent, words in rows if int(parent) == runner and "LokyProcess" in words]


def wait_for(process: int) -> None:
    """Wait until a process is gone."""
    for _ in range(600):
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
        if state.stdout.strip()[:1] in ("", "Z"):
            return
        time.sleep(0.1)
    raise SystemExit(f"the worker {process} outlives its runner by more than a minute")


def stamps(folder: Path) -> dict[str, Stamp]:
    """Return the stamps of all results that are finished: folds and features."""
    runs = folder / "out" / "runs"
    files = [*runs.glob("*/folds/*.json"), *runs.glob("*/features.npy")]
    return {
        str(f.relative_to(runs)): (f.stat().st_ino, f.stat().st_mtime_ns) for f in files if f.name[0] != "."
    }


def code_of(folder: Path) -> set[str]:
    """Return the versions of microexp that the runs in a folder are of."""
    files = (folder / "out" / "runs").glob("*/run.json")
    return {json.loads(file.read_text())["config"]["microexp"] for file in files}


def half_written(folder: Path) -> list[str]:
    """Return the files under a final name that cannot be read."""
    broken = []
    for file in (folder / "out").rglob("[!.]*"):
        try:
            if file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix == ".npy":
                np.load(file, allow_pickle=False)
        except ValueError:
            broken.append(file.name)
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    counts: Counter[str] = Counter()
    victims: Counter[str] = Counter()
    moments = []
    with tempfile.TemporaryDirectory(prefix="microexp-killed-") as name:

        def prepared(label: str) -> Path:
            folder = Path(name) / label
            folder.mkdir()
            (folder / "small.yaml").write_text(SPEC, encoding="utf-8")
            return folder

        begun = time.perf_counter()
        wanted = finish(prepared("whole"))
        code = code_of(Path(name) / "whole")
        whole = time.perf_counter() - begun
        for number in itertools.count():
            if victims.total() == options.kills:
                break
            folder, moment = prepared(f"killed-{number}"), rng.uniform(0, whole)
            victim, before = kill(start(folder), folder, moment, rng)
            if victim is None:
                continue  # it had ended: another moment
            broken = half_written(folder)
            table = finish(folder)
            if code_of(folder) != code:
                raise SystemExit("the source of microexp was changed meanwhile: start again")
            after = stamps(folder)
            again = [file for file in before if after.get(file) != before[file]]
            victims[victim] += 1
            moments.append({"seconds": moment, "of": whole, "victim": victim, "finished": len(before)})
            counts["tables that differ"] += table != wanted
            counts["finished files written again"] += len(again)
            counts["half-written files"] += len(broken)
            counts["finished files at a kill"] += len(before)
            print(
                number,
                f"{moment:.1f} s of {whole:.1f}",
                victim,
                len(before),
                "finished",
                dict(counts),
                flush=True,
            )
    result = {
        "kills": options.kills, "seed": options.seed, "victims": dict(victims), "counts": dict(counts),
        "moments": moments, "versions": versions(),
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if counts["tables that differ"] or counts["finished files written again"] or counts["half-written files"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
