"""Learn the parameters of spotting from synthetic long videos, and write src/microexp/analyze/spotting.json.

    python scripts/learn_spotting.py [--videos 12] [--fast 3] [--seed 700] [--jobs 1] [--cache DIR]

Draws videos of 20 s at 30 and at 200 frames a second (every other blink is but a partial one), aligns them,
measures the motion (kept in DIR, so that learning can be repeated cheaply), and chooses by cross-validation
over videos. No other video is looked at; benchmarks/spotting.py reports on subjects of another seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import tempfile
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import joblib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GroupKFold, cross_val_predict  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from microexp import faces  # noqa: E402
from microexp.analyze._spot_candidates import (  # noqa: E402
    Candidate,
    Shape,
    blink_candidates,
    candidates,
    without_blinks,
)
from microexp.analyze._spot_measure import Counts, count, pairs  # noqa: E402
from microexp.analyze.signals import LOOKS, FaceMotion, face_motion  # noqa: E402
from microexp.analyze.spotting import LEARNED, Judge, Parameters, judged, kind_of  # noqa: E402
from microexp.cache import source_hash  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.datasets.synthetic import SyntheticFrames, Truth, long_video  # noqa: E402
from microexp.evaluate.store import write_atomically  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.frames import Frames  # noqa: E402

SIZE, SECONDS = 192, 20.0
FIRST_FAST = 100  # subject of the first video at 200 fps
EXPRESSIONS = ("micro", "macro")
SHAPES = [
    Shape(*values)
    for values in itertools.product(
        (0.02, 0.04, 0.06), (0.5, 0.8, 1.2), (0.2, 0.3, 0.4), (0.4, 0.6, 0.8, 1.0, 1.2)
    )
]
MEASURED_BY = (
    *(
        f"microexp.analyze.{name}"
        for name in ("signals", "_motion_head", "_motion_regions", "_motion_tracking")
    ),
    *("microexp.faces", "microexp.frames", "microexp.datasets.synthetic"),
)  # what the kept motion depends on
Video = tuple[FaceMotion, list[tuple[str, int, int]]]


class KeptFrames(Frames):
    """Frames that are drawn once: aligning looks at some of them that are read again."""

    def __init__(self, source: Frames) -> None:
        self.source, self.drawn = source, dict[int, np.ndarray]()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.source.shape

    def read(self, index: int) -> np.ndarray:
        if index not in self.drawn:
            self.drawn[index] = self.source[index]
        return self.drawn[index]


def with_partial_blinks(clip: Clip, seed: int, subject: int) -> Clip:
    """Make every other blink of a long video a partial one: the eyes close by a tenth to six tenths."""
    rng = np.random.default_rng([seed, subject, 5])
    script = clip.metadata["truth"].script
    events, blinks = [], 0
    for event in script.events:
        blinks += event.kind == "blink"
        if event.kind == "blink" and blinks % 2 == 0:
            event = dataclasses.replace(event, units=((45, "", float(rng.uniform(0.1, 0.6))),))
        events.append(event)
    script = dataclasses.replace(script, events=tuple(events))
    return clip.replace(frames=SyntheticFrames(script), metadata={"truth": Truth(script)})


def measured(seed: int, subject: int, fps: float, partial: bool, cache: Path) -> Video:
    """Return the motion of one long video, and what is true of it: (kind, onset, offset)."""
    file = cache / f"{source_hash(*MEASURED_BY)}_{seed}_{subject}_{fps:g}_{partial}.pkl"
    if not file.exists():
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        clip = long_video(SECONDS, fps, subject=subject, size=SIZE, seed=seed)
        if partial:
            clip = with_partial_blinks(clip, seed, subject)
        aligner = faces.create("aligner", size=224, mode="smooth", missing="hold", rate=5.0)
        motion = face_motion(aligner.transform([clip.replace(frames=KeptFrames(clip.frames))])[0])
        true = [(i.kind, i.onset, i.offset) for i in clip.metadata["truth"].intervals]
        joblib.dump((motion, true), file.with_suffix(".part"))
        file.with_suffix(".part").replace(file)
        print(f"seed {seed}, subject {subject}, {fps:g} fps: measured", flush=True)
    video: Video = joblib.load(file)
    return video


def span(motion: FaceMotion, candidate: Candidate) -> tuple[int, int]:
    """Return the first and last frame of the video that a candidate covers."""
    return int(motion.frames[candidate.first]), int(motion.frames[candidate.last])


def fit(features: np.ndarray, labels: np.ndarray, accept: float) -> Judge:
    """Return a judge fitted to candidates ``(N, F)`` and whether each is one."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=1.0).fit(scaler.transform(features), labels)
    lists = (scaler.mean_, scaler.scale_, model.coef_[0])
    mean, scale, weights = (tuple(round(float(v), 6) for v in values) for values in lists)
    return Judge(mean, scale, weights, round(float(model.intercept_[0]), 6), round(accept, 3))


def out_of_fold(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Probability of each candidate by a judge that never saw its video."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0))
    folds = GroupKFold(min(5, len(np.unique(groups))))
    return cross_val_predict(model, features, labels, groups=groups, cv=folds, method="predict_proba")[:, 1]


def learn_blinks(videos: list[Video]) -> Judge:
    """A candidate is a blink if its peak lies in one."""
    features, labels = [], []
    for motion, true in videos:
        spans = [(onset, offset) for kind, onset, offset in true if kind == "blink"]
        for run in motion.runs():
            for candidate in blink_candidates(motion, run):
                at = int(motion.frames[candidate.peak])
                features.append(candidate.features)
                labels.append(any(onset <= at <= offset for onset, offset in spans))
    print(f"blinks: {sum(labels)} of {len(labels)} candidates are blinks")
    return fit(np.array(features), np.array(labels), 0.5)


def counts(videos: list[Video], accepted: list[list[Candidate]]) -> dict[str, Counts]:
    """Counts of each kind of expression."""
    total = dict.fromkeys(EXPRESSIONS, Counts())
    for (motion, true), found in zip(videos, accepted, strict=True):
        for kind in EXPRESSIONS:
            spans = [span(motion, c) for c in found if kind_of(motion, c) == kind]
            total[kind] += count(spans, [(a, b) for k, a, b in true if k == kind])
    return total


def examine(videos: list[Video], quiet: list[np.ndarray], shape: Shape) -> tuple[float, str, Judge | None]:
    """Cross-validated F1 of both kinds together, a line to print, and the judge fitted to all."""
    found = [
        [c for run in motion.runs() for c in candidates(motion, moves, run, shape)]
        for (motion, _), moves in zip(videos, quiet, strict=True)
    ]
    features, labels, groups = [], [], []
    for group, ((motion, true), those) in enumerate(zip(videos, found, strict=True)):
        spans = [(a, b) for kind, a, b in true if kind in EXPRESSIONS]
        mine = [span(motion, c) for c in those]
        matched = {i for i, _ in pairs(mine, spans)}
        features += [c.features for c in those]
        labels += [i in matched for i in range(len(those))]
        groups += [group] * len(those)
    X, y = np.array(features), np.array(labels)
    if y.sum() < 5 or (~y).sum() < 5:
        return 0.0, "too few candidates", None
    chance = out_of_fold(X, y, np.array(groups))
    best = (-1.0, 0.5, {})
    for accept in np.arange(0.2, 0.81, 0.05):
        kept = iter(chance >= accept)
        total = counts(videos, [[c for c in those if next(kept)] for those in found])
        score = (total["micro"] + total["macro"]).f1
        if score > best[0]:
            best = (score, float(accept), total)
    line = ", ".join(f"{kind} {c.f1:.3f} ({c.hits}/{c.found}/{c.true})" for kind, c in best[2].items())
    return best[0], f"{y.sum()} of {len(y)} candidates; accept {best[1]:.2f}; {line}", fit(X, y, best[1])


def learn(videos: list[Video]) -> Parameters:
    """Choose the shape of candidates and the judges of expressions and blinks."""
    blink = learn_blinks(videos)
    quiet = []
    for motion, _ in videos:
        found = [c for run in motion.runs() for c in blink_candidates(motion, run)]
        quiet.append(without_blinks(motion, [c for c, _ in judged(found, blink)]))
    best: tuple[float, Parameters | None] = (-1.0, None)
    for shape in SHAPES:
        score, line, judge = examine(videos, quiet, shape)
        print(f"{score:.3f} {shape}: {line}", flush=True)
        if judge is not None and score > best[0]:
            best = (score, Parameters(shape, judge, blink))
    if best[1] is None:
        raise SystemExit("no shape of candidates gave enough of them: draw more videos")
    return best[1]


def main() -> None:
    """Draw, learn, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=int, default=12, help="at 30 frames a second")
    parser.add_argument("--fast", type=int, default=3, help="videos at 200 frames a second")
    parser.add_argument("--seed", type=int, default=700)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "microexp-spotting")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    wanted = [(subject, 30.0) for subject in range(options.videos)]
    wanted += [(FIRST_FAST + subject, 200.0) for subject in range(options.fast)]
    videos = joblib.Parallel(n_jobs=options.jobs)(
        joblib.delayed(measured)(options.seed, subject, fps, True, options.cache) for subject, fps in wanted
    )
    values = learn(videos).to_json()
    values["learned"] = {
        "command": f"python scripts/learn_spotting.py --videos {options.videos} --fast {options.fast} "
        f"--seed {options.seed}",
        "looks a second, at most": LOOKS,
        "microexp": versions()["microexp"],
    }
    write_atomically(LEARNED, json.dumps(values, indent=1) + "\n")
    print(f"wrote {LEARNED}")


if __name__ == "__main__":
    main()
