"""Errors of the spotted apex on synthetic clips, against the middle frame.

    python benchmarks/apex.py [--subjects 12] [--clips 4] [--size 256] [--seed 0]

prints a Markdown page and writes it to docs/apex.md. Everything runs in one thread, nothing from the cache.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from microexp import datasets, motion  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.frames import ArrayFrames  # noqa: E402

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "apex.md"
NUISANCES = (0.0, 0.5, 1.0)
BANDS = ((0.0, 1.0), (1.0, 2.0), (2.0, np.inf))  # largest displacement at the apex, pixels at 256x256

INTRODUCTION = """# How exact is the spotted apex?

Distance, in frames, between the apex that `microexp.motion.apex.ApexSpotter` finds (at its defaults, onset
and offset known) and the true one of the synthetic database; *middle* is the frame
`onset + (offset - onset) // 2`, the usual guess where no apex is annotated, and what the spotter falls back
on. *Not found* is how often it did. Pixels are the largest displacement at the apex.
Faces are not aligned, as their heads move little. CPU time is for one clip in one thread, without drawing it.

**Results on synthetic data prove code, not science.** How the apex lies between onset and offset there is a
choice of the generator (a quarter to nearly half of the way), and so is what the middle frame gets.
"""


@dataclass(frozen=True)
class Outcome:
    """One clip: its size of movement, errors in frames, whether a peak was found, span, CPU ms."""

    amplitude: float
    spotted: int
    middle: int
    found: bool
    span: int
    cpu_ms: float


def measure(clip: Clip) -> Outcome:
    """Spot the apex of a clip as if it were not annotated."""
    truth, amplitude = clip.apex, clip.metadata["truth"].amplitude
    drawn = clip.replace(frames=ArrayFrames(clip.frames[:]), apex=None)
    start = time.process_time()
    (spotted,) = motion.create("apex").transform([drawn])
    cpu_ms = 1000 * (time.process_time() - start)
    return Outcome(
        amplitude * 256 / clip.size[0],
        abs(spotted.apex - truth),
        abs(clip.onset + (clip.offset - clip.onset) // 2 - truth),
        spotted.metadata["apex_source"] == "spotted",
        clip.offset - clip.onset,
        cpu_ms,
    )


def row(name: str, outcomes: list[Outcome]) -> str:
    spotted, middle = [o.spotted for o in outcomes], [o.middle for o in outcomes]
    missed = sum(not o.found for o in outcomes)
    return (
        f"| {name} | {len(outcomes)} | {np.median([o.span for o in outcomes]):.0f} "
        f"| {np.median(spotted):.1f} | {np.mean(spotted):.1f} | {np.percentile(spotted, 90):.1f} "
        f"| {np.median(middle):.1f} | {np.mean(middle):.1f} | {np.percentile(middle, 90):.1f} "
        f"| {missed} | {np.mean([o.cpu_ms for o in outcomes]):.0f} |"
    )


def table(options: argparse.Namespace) -> str:
    rows = [
        "| clips | number | frames onset to offset | spotted: median | mean | 90 % "
        "| middle: median | mean | 90 % | not found | CPU ms |",
        "|---|" + "---:|" * 10,
    ]
    for nuisance in NUISANCES:
        clips = datasets.create(
            "synthetic",
            n_subjects=options.subjects,
            clips_per_subject=options.clips,
            size=options.size,
            nuisance=nuisance,
            seed=options.seed,
        ).clips()
        outcomes = []
        for clip in clips:
            outcomes.append(measure(clip))
            print(f"nuisance {nuisance:g}: {clip.identity}", file=sys.stderr)
        rows.append(row(f"nuisance {nuisance:g}, all", outcomes))
        for low, high in BANDS:
            band = [o for o in outcomes if low <= o.amplitude < high]
            name = f"{low:g} to {high:g} px" if np.isfinite(high) else f"{low:g} px or more"
            if band:
                rows.append(row(f"nuisance {nuisance:g}, {name}", band))
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--clips", type=int, default=4, help="clips of each subject")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, pixels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MICROEXP_CACHE"] = folder
        figures = table(options)
    command = (
        f"python benchmarks/apex.py --subjects {options.subjects} --clips {options.clips} "
        f"--size {options.size} --seed {options.seed}"
    )
    where = (
        f"microexp {versions()['microexp']}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, OpenCV {cv2.__version__}, {platform.machine()}"
    )
    page = (
        f"{INTRODUCTION}\n{figures}\n\nPictures of {options.size}x{options.size}; displacements are given at "
        f"256x256. {where}.\n\nMade by\n\n    {command}\n"
    )
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
