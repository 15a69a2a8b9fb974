"""The starter recogniser on synthetic people it never saw and, never shown a real face, on real ones.

    python benchmarks/starter_recogniser.py [--real DIR] [--subjects 20] [--clips 12]

On drawn clips it is asked as `microexp analyze` asks it: faces found and aligned, flow measured. UF1 with
intervals over subjects, the calibration of its probabilities, and how often it is sure and then right.
DIR holds the published motion images of MEGC2019 (`megc2019_flow`): all 442 as they are, by the network as
it is shipped; then leave-one-subject-out by the same network and recipe, from the starter weights and from a
random start. Figures go into benchmarks/results/starter_recogniser.json, the reliability diagram into
docs/images/starter_reliability.png; docs/starter_recogniser.md is the card.
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
from microexp.datasets.base import Dataset  # noqa: E402
from microexp.evaluate import loso, scores  # noqa: E402
from microexp.evaluate.metrics import bootstrap_draws, intervals, majority  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.recognize.starter_cnn import StarterCNN  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "starter_recogniser.json"
FIGURE = ROOT / "docs" / "images" / "starter_reliability.png"
SEED = 7000  # people that are neither trained on nor calibrated with
BINS = 10
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
    sure = np.array([answer.label is not None for answer in answers])
    best = probabilities.argmax(1)
    return {
        **judged(y, best, people),
        "faces not found": len(aligned.left_out),
        "sure from": SURE,
        "sure": float(sure.mean()),
        "right when sure": float((best == y)[sure].mean()),
        "right when not sure": float((best == y)[~sure].mean()),
        **calibration(y, probabilities),
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


def real_people(root: Path) -> dict[str, Any]:
    """Judge the starter on the published images, then trained on them, from it and from nothing."""
    data = datasets.create("megc2019_flow", root=root).load()
    return {"never shown a real face": shipped(data)} | {
        name: trained(data, start)
        for name, start in (("fine-tuned within LOSO", WEIGHTS), ("from scratch within LOSO", None))
    }


def shipped(data: Dataset) -> dict[str, Any]:
    """Judge the network as it is: all of the composite, and each database of it."""
    predicted = starter().predict(data.flow_images)
    subjects, database = data.table["subject"].to_numpy(), data.table["database"].to_numpy()
    parts = {name: judged(data.y[own], predicted[own], subjects[own])
             for name in np.unique(database) if (own := database == name).any()}  # fmt: skip
    return {**judged(data.y, predicted, subjects), "parts": parts}


def trained(data: Dataset, start: str | None) -> dict[str, Any]:
    """Leave one subject out, last epoch."""
    table = loso(StarterCNN(pretrained=start, **FINE), data).table
    row = table.iloc[0]
    return {name: [row[name], row[f"{name}_low"], row[f"{name}_high"]] for name in ("UF1", "UAR")}


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
    parser.add_argument("--real", type=Path, help="folder of megc2019_flow")
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--clips", type=int, default=12)
    options = parser.parse_args()
    result = {"drawn people": drawn_people(options.subjects, options.clips)}
    draw(result["drawn people"]["bins"], result["drawn people"]["expected calibration error"])
    print(json.dumps(result, indent=1), flush=True)
    if options.real:
        result["real people (megc2019_flow)"] = real_people(options.real)
    result["versions"] = versions()
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
