"""How well spotting finds expressions, on synthetic long videos of subjects it was not learned on.

    python benchmarks/spotting.py [--videos 12] [--fast 6] [--still 4] [--seed 900] [--jobs 1] [--cache DIR]

writes benchmarks/results/spotting.json and the tables of docs/spotting.md. Drawing takes most of the time;
the motion measured is kept in DIR. CPU time is of one thread, alignment and drawing not counted.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import cv2  # noqa: E402
import joblib  # noqa: E402
import numpy as np  # noqa: E402

from learn_spotting import EXPRESSIONS, FIRST_FAST, SECONDS, Video, measured  # noqa: E402
from microexp import faces  # noqa: E402
from microexp.analyze._spot_measure import Counts, count, pairs  # noqa: E402
from microexp.analyze.signals import face_motion  # noqa: E402
from microexp.analyze.spotting import spot  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.datasets.synthetic import Synthetic  # noqa: E402
from microexp.evaluate.store import write_atomically  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.frames import ArrayFrames  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "spotting.json"
PAGE = ROOT / "docs" / "spotting.md"
TABLES = re.compile(r"(<!-- tables -->\n).*(<!-- end of tables -->)", re.DOTALL)
SHOWN = (*EXPRESSIONS, "both", "blink")


def counts(videos: Iterable[Video]) -> dict[str, Counts]:
    """Found, true and both, of each kind; "both" are micro- and macro-expressions together."""
    total = dict.fromkeys(SHOWN, Counts())
    for motion, true in videos:
        found = spot(motion)
        for kind in (*EXPRESSIONS, "blink"):
            total[kind] += count(
                [(i.onset, i.offset) for i in found if i.kind == kind],
                [(onset, offset) for name, onset, offset in true if name == kind],
            )
    total["both"] = total["micro"] + total["macro"]
    return total


def bounds(videos: Iterable[Video]) -> dict[str, float]:
    """Median distance in milliseconds of onset and offset from the true ones, of what was found."""
    onsets, offsets = [], []
    for motion, true in videos:
        found = [i for i in spot(motion) if i.kind in EXPRESSIONS]
        truth = [(a, b) for kind, a, b in true if kind in EXPRESSIONS]
        for i, j in pairs([(f.onset, f.offset) for f in found], truth):
            onsets.append(abs(found[i].onset - truth[j][0]) / motion.fps)
            offsets.append(abs(found[i].offset - truth[j][1]) / motion.fps)
    return {
        "onset, ms": round(1000 * float(np.median(onsets))) if onsets else float("nan"),
        "offset, ms": round(1000 * float(np.median(offsets))) if offsets else float("nan"),
    }


def false_blinks(videos: Iterable[Video]) -> int:
    """How many expressions found touch a blink, and neither a true expression nor a turn of the head."""
    false = 0
    for motion, true in videos:
        for found in spot(motion):
            touched = {kind for kind, a, b in true if a <= found.offset and b >= found.onset}
            false += found.kind in EXPRESSIONS and "blink" in touched and not touched & {*EXPRESSIONS, "turn"}
    return false


def still_clip(seed: int, subject: int, seconds: float, fps: float = 30.0) -> Clip:
    """One resting face, repeated with the noise of a camera."""
    picture = Synthetic(n_subjects=subject + 1, clips_per_subject=1, seed=seed, size=192)
    neutral = picture.clip(subject, 0).metadata["truth"].neutral().astype(np.float32)
    rng = np.random.default_rng([seed, subject])
    frames = [neutral + rng.normal(0, 2.5, neutral.shape) for _ in range(round(seconds * fps))]
    return Clip(ArrayFrames(np.clip(np.rint(frames), 0, 255).astype(np.uint8)), fps, name=f"still {subject}")


def aligned(clip: Clip) -> Clip:
    aligner = faces.create("aligner", size=224, mode="smooth", missing="hold", rate=5.0)
    clip = aligner.transform([clip])[0]
    return clip.replace(frames=ArrayFrames(clip.frames[:]))


def stills(number: int, seed: int) -> tuple[dict[str, int], float]:
    """What is found in still faces of 10 s; CPU milliseconds a frame."""
    found = dict.fromkeys((*EXPRESSIONS, "blink"), 0)
    cpu, frames = 0.0, 0
    cv2.setNumThreads(1)
    for subject in range(number):
        clip = aligned(still_clip(seed, subject, 10.0))
        start = time.process_time()
        intervals = spot(face_motion(clip))
        cpu += time.process_time() - start
        frames += len(clip)
        for interval in intervals:
            found[interval.kind] += 1
    return found, 1000 * cpu / max(frames, 1)


def row(name: str, kind: str, c: Counts) -> str:
    return (
        f"| {name} | {kind} | {c.true} | {c.found} | {c.hits} "
        f"| {c.precision:.2f} | {c.recall:.2f} | {c.f1:.2f} |"
    )


def tables(result: dict) -> str:
    lines = [
        "| videos | kind | true | found | of these true | precision | recall | F1 |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, group in result["groups"].items():
        label = f"{group['videos']} at {name}"
        lines += [row(label, kind, Counts(*group["counts"][kind])) for kind in SHOWN]
    lines.append("")
    for name, group in result["groups"].items():
        lines.append(
            f"At {name}: median distance from the true onset {group['bounds']['onset, ms']} ms, from the "
            f"true offset {group['bounds']['offset, ms']} ms; expressions invented at a blink (and at no "
            f"turn of the head): {group['false at blinks']}."
        )
    still = result["still"]
    lines.append(
        f"In {still['videos']} still faces of 10 s with camera noise: {still['found']['micro']} "
        f"micro-expressions, {still['found']['macro']} macro-expressions, {still['found']['blink']} blinks. "
        f"Motion and spotting take {result['CPU ms a frame']} ms of one CPU thread a frame."
    )
    return "\n".join([*lines, "", "Made by", "", f"    {result['command']}", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=int, default=12, help="at 30 frames a second")
    parser.add_argument("--fast", type=int, default=6, help="videos at 200 frames a second")
    parser.add_argument("--still", type=int, default=4, help="still faces")
    parser.add_argument("--seed", type=int, default=900)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "microexp-spotting")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    asked = {30.0: range(options.videos), 200.0: range(FIRST_FAST, FIRST_FAST + options.fast)}
    groups = {}
    for fps, subjects in asked.items():
        videos = joblib.Parallel(n_jobs=options.jobs)(
            joblib.delayed(measured)(options.seed, subject, fps, False, options.cache) for subject in subjects
        )
        groups[f"{fps:g} frames a second"] = {
            "videos": len(videos),
            "counts": {kind: (c.hits, c.found, c.true) for kind, c in counts(videos).items()},
            "bounds": bounds(videos),
            "false at blinks": false_blinks(videos),
        }
    found, cpu = stills(options.still, options.seed)
    result = {
        "command": f"python benchmarks/spotting.py --videos {options.videos} --fast {options.fast} "
        f"--still {options.still} --seed {options.seed}",
        "seconds a video": SECONDS,
        "groups": groups,
        "still": {"videos": options.still, "found": found},
        "CPU ms a frame": round(cpu, 1),
        "versions": versions(),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULT, json.dumps(result, indent=1) + "\n")
    text = PAGE.read_text(encoding="utf-8")
    made = tables(result)
    write_atomically(PAGE, TABLES.sub(lambda match: f"{match[1]}\n{made}\n{match[2]}", text))
    print(made)


if __name__ == "__main__":
    main()
