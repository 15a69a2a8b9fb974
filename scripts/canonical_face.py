"""Make ``src/microexp/faces/canonical.json``: where the 68 landmarks lie in an aligned face.

It is the mean shape, made symmetric, of what the default detector finds on synthetic faces at rest: detected
and not true landmarks, so that it has the detector's habits (its brows lie higher than the true ones).
Nothing of any database is in it. The square that holds the shape is the unit square::

    python scripts/canonical_face.py [--subjects 200]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from microexp import faces
from microexp.datasets.synthetic import Synthetic
from microexp.faces.base import main_face
from microexp.faces.faceapi68 import MIRRORED
from microexp.faces.geometry import fit_similarity, transform_points

OUT = Path(__file__).resolve().parents[1] / "src/microexp/faces/canonical.json"


def main() -> None:
    """Detect, average, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--subjects", type=int, default=200)
    options = parser.parse_args()
    detector = faces.create("faceapi68")
    shapes = []
    for clip in Synthetic(n_subjects=options.subjects, clips_per_subject=1, seed=1).clips():
        found = detector.detect(clip.metadata["truth"].neutral())
        if found:
            shapes.append(main_face(found, clip.size).landmarks)
    mean = unit_square(average(np.stack(shapes)))
    OUT.write_text(json.dumps(np.round(mean, 4).tolist()) + "\n", encoding="utf-8")
    print(f"{OUT.name}: mean of {len(shapes)} faces of {options.subjects} pictures")


def average(shapes: np.ndarray) -> np.ndarray:
    """Return the mean of shapes ``(N, 68, 2)`` up to similarity, symmetric about x = 0."""
    mirrored = shapes[:, MIRRORED] * (-1, 1)
    shapes = np.concatenate([shapes, mirrored])
    mean = shapes[0]
    for _ in range(10):
        moved = np.stack([transform_points(shape, fit_similarity(shape, mean)) for shape in shapes])
        mean = moved.mean(0)
        mean = mean - mean.mean(0)
        mean = (mean + mean[MIRRORED] * (-1, 1)) / 2
        mean /= np.sqrt((mean**2).sum())
    return mean


def unit_square(shape: np.ndarray) -> np.ndarray:
    """Return a shape scaled and shifted so that its longer extent is [0, 1] and its middle (0.5, 0.5)."""
    low, high = shape.min(0), shape.max(0)
    return (shape - (low + high) / 2) / (high - low).max() + 0.5


if __name__ == "__main__":
    main()
