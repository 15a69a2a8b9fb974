"""The starter recogniser on synthetic people it never saw and, never shown a real face, on real ones.

    python benchmarks/starter_recogniser.py [--real DIR] [--only PART...] [--subjects 20] [--clips 12]

On drawn clips it is asked as `microexp analyze` asks it: faces found and aligned, flow measured. UF1 with
intervals over subjects, the calibration of its probabilities, and how often it is sure and then right.
DIR holds the published motion images of MEGC2019 (`megc2019_flow`): all 442 as they are, by the network as
it is shipped; then leave-one-subject-out by the same network and recipe, from the starter weights and from a
random start. Figures go into benchmarks/results/starter_recogniser.json, the reliability diagram into
docs/images/starter_reliability.png; docs/starter_recogniser.md is the card. With `--only` the other parts
keep their figures.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from microexp import datasets, faces  # noqa: E402
from microexp.analyze.recognition import SURE, WEIGHTS, recognise, starter  # noqa: E402
from microexp.evaluate import loso, scores  # noqa: E402
from microexp.evaluate.metrics import bootstrap_draws, intervals, majority  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.recognize.starter_cnn import StarterCNN  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "starter_recogniser.json"
FIGURE = ROOT / "docs" / "images" / "starter_reliability.png"
SEED = 7000  # people that are neither trained on nor calibrated with
BINS = 10
PARTS = ("drawn", "real", "loso")
FINE = {"epochs": 30, "class_weight": "balanced", "device": "cpu"}  # fixed before the first run


def judged(y: np.ndarray, predicted: np.ndarray, subjects: np.ndarray) -> dict[str, Any]:
    """Return UF1 and UAR with 95 % intervals over subjects, beside the majority class."""
    found, low_high = scores(y, predicted, 3), intervals(bootstrap_draws(y, predicted, subjects, 3))
    return {
        "clips": len(y),
        "subjects": len(set(subjects)),
        **{name: [getattr(found, name.lower()), *low_high[name]] for name in ("UF1", "UAR")},
        "UF1 of the majority": majority(y, 3).uf1,
        "confusion": found.confusion.tolist(),
    }


def drawn_people(subjects: int, clips: int) -> dict[str, Any]:
    """Ask of drawn clips what `analyze` asks; measure answers, calibration and doubt."""
    data = datasets.create(
        "synthetic", n_subjects=subjects, clips_per_subject=clips, size=256, seed=SEED
    ).load("megc3")
    aligned = faces.create("aligner", size=224, missing="skip").align(data.clips)
    answers = [
        recognise(clip.key_frame("onset"), clip.key_frame("apex"), clip.metadata["alignment"].landmarks)
        for clip in aligned.clips
    ]
    y, people = data.y[aligned.kept], data.table["subject"].to_numpy()[aligned.kept]
    probabilities = np.array([answer.probabilities for answer in answers])
    return {
        "faces not found": len(aligned.left_out),
        **judged(y, probabilities.argmax(1), people),
        **doubt(y, probabilities),
        **calibration(y, probabilities),
    }


def doubt(y: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return how often it is sure, and how often it is right then and else."""
    sure, right = probabilities.max(1) >= SURE, probabilities.argmax(1) == y
    return {
        "sure from": SURE,
        "sure": float(sure.mean()),
        "right when sure": float(right[sure].mean()),
        "right when not sure": float(right[~sure].mean()),
    }


def calibration(y: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Return the expected calibration error, all classes weighing the same, and what it is made of."""
    top, right = probabilities.max(1), probabilities.argmax(1) == y
    weight = 1 / np.bincount(y)[y] / len(np.unique(y))
    bins = np.minimum((top * BINS).astype(int), BINS - 1)
    rows = []
    for number in np.unique(bins):
        own = bins == number
        share = weight[own].sum()
        rows.append(
            {
                "clips": int(own.sum()),
                "share": share,
                "says": float((weight * top)[own].sum() / share),
                "is": float((weight * right)[own].sum() / share),
            }
        )
    error = sum(row["share"] * abs(row["says"] - row["is"]) for row in rows)
    return {"expected calibration error": float(error), "bins": rows}


def shipped(root: Path) -> dict[str, Any]:
    """Judge the network as it is on the published images: all of the composite, and each database of it."""
    data = datasets.create("megc2019_flow", root=root).load()
    probabilities = starter().predict_proba(data.flow_images)
    predicted, database = probabilities.argmax(1), data.table["database"].to_numpy()
    subjects = data.table["subject"].to_numpy()
    parts = {}
    for name in np.unique(database):
        own = database == name
        parts[str(name)] = judged(data.y[own], predicted[own], subjects[own])
    return {
        **judged(data.y, predicted, subjects),
        **doubt(data.y, probabilities),
        **calibration(data.y, probabilities),
        "parts": parts,
    }


def trained(root: Path) -> dict[str, Any]:
    """Leave one subject out of the published images, last epoch: with starter weights and without."""
    data, found = datasets.create("megc2019_flow", root=root).load(), {}
    for name, start in (("from the starter weights", WEIGHTS), ("from a random start", None)):
        row = loso(StarterCNN(pretrained=start, **FINE), data).table.iloc[0]
        found[name] = {m: [row[m], row[f"{m}_low"], row[f"{m}_high"]] for m in ("UF1", "UAR")}
    return found


def draw(bins: list[dict[str, float]], error: float) -> None:
    """Draw the reliability diagram."""
    figure, axes = plt.subplots(figsize=(4.2, 4), layout="constrained")
    axes.plot([1 / 3, 1], [1 / 3, 1], color="#9aa5b1", lw=1, ls="--", label="as it should be")
    says, true, clips = ([row[key] for row in bins] for key in ("says", "is", "clips"))
    axes.plot(says, true, color="#1f6f8b", lw=1.5)
    axes.scatter(
        says, true, s=np.array(clips) * 2 + 10, color="#1f6f8b", zorder=3, label="clips (area: how many)"
    )
    axes.set(xlabel="probability it gives", ylabel="share that is right", xlim=(0.3, 1.02), ylim=(0, 1.02))
    axes.set_title(f"Synthetic people never seen; error {error:.3f}", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(FIGURE, dpi=140)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, help="folder of megc2019_flow; the parts real and loso need it")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--clips", type=int, default=12)
    options = parser.parse_args()
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    for part in options.only:
        if part == "drawn":
            result[part] = drawn_people(options.subjects, options.clips)
            draw(result[part]["bins"], result[part]["expected calibration error"])
        elif options.real:
            result[part] = (shipped if part == "real" else trained)(options.real)
        else:
            continue
        result[part]["versions"] = versions()
        print(json.dumps({part: result[part]}, indent=1), flush=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
