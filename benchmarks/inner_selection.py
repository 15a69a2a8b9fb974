"""How far a support vector machine gets on the MEGC2019 motion images if inner subjects choose all of it.

    python benchmarks/inner_selection.py --root path/to/megc2019-flow

For each left-out subject, every setting of a grid fixed beforehand is judged by 5-fold cross-validation over
the subjects that are left, by UF1; the best is fitted on all of them and predicts the left-out one. So
neither kernel, width nor penalty has seen the subject that it is judged on. The figures go into
benchmarks/results/inner_selection.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
from joblib import Parallel, delayed  # noqa: E402
from sklearn.metrics import pairwise_distances  # noqa: E402
from sklearn.model_selection import GroupKFold  # noqa: E402
from sklearn.svm import SVC  # noqa: E402

from microexp import datasets  # noqa: E402
from microexp.evaluate.folds import make_folds  # noqa: E402
from microexp.evaluate.metrics import bootstrap_draws, intervals, scores  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402

RESULT = Path(__file__).parent / "results" / "inner_selection.json"
INPUTS = ("pixels", "gradients", "both")
KERNELS = ("linear", "rbf 0.5", "rbf 1", "rbf 2")  # a width in 1 / median squared distance of training clips
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
GRID = list(product(INPUTS, KERNELS, PENALTIES))
INNER_FOLDS = 5


def gradient_histograms(images: np.ndarray, cells: int = 7, bins: int = 8) -> np.ndarray:
    """Histograms of the direction of the gradient in each cell of each channel, of length 1 a channel."""
    y, x = np.gradient(images, axis=(-2, -1))
    sector = np.floor((np.arctan2(y, x) / (2 * np.pi) % 1) * bins).astype(int) % bins
    n, channels, side, _ = images.shape
    cell = np.arange(side) * cells // side
    place = cell[:, None] * cells + cell
    votes = np.zeros((n, channels, cells * cells, bins))
    sample, channel = np.ogrid[:n, :channels]
    where = (sample[..., None, None], channel[..., None, None], place, sector)
    np.add.at(votes, where, np.hypot(x, y))
    flat = votes.reshape(n, channels, -1)
    return (flat / np.linalg.norm(flat, axis=-1, keepdims=True).clip(1e-12)).reshape(n, -1)


class Kernels:
    """Kernel matrices of all clips; what is scaled is scaled by the training clips."""

    def __init__(self, images: np.ndarray) -> None:
        vectors = {"pixels": images.reshape(len(images), -1), "gradients": gradient_histograms(images)}
        self.products = {name: v.astype(float) @ v.T for name, v in vectors.items()}
        self.distances = {name: pairwise_distances(v, metric="sqeuclidean") for name, v in vectors.items()}

    def matrix(self, inputs: str, kernel: str, train: np.ndarray) -> np.ndarray:
        """``(N, N)``; the mean of both inputs' for "both"."""
        if inputs == "both":
            return sum(self.matrix(one, kernel, train) for one in self.products) / 2
        if kernel == "linear":
            product = self.products[inputs]
            return product / np.diag(product)[train].mean()
        distance = self.distances[inputs]
        inside = distance[np.ix_(train, train)]
        return np.exp(-float(kernel.split()[1]) * distance / np.median(inside[inside > 0]))


def predict(matrix: np.ndarray, C: float, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    machine = SVC(C=C, kernel="precomputed", class_weight="balanced")
    machine.fit(matrix[np.ix_(train, train)], y[train])
    return machine.predict(matrix[np.ix_(test, train)])


def inner_predictions(
    kernels: Kernels, y: np.ndarray, groups: np.ndarray, train: np.ndarray
) -> Iterator[np.ndarray]:
    """Predictions of the training clips by each setting, none by a machine that saw the subject."""
    predicted = np.zeros((len(GRID), len(train)), int)
    for rest, held in GroupKFold(INNER_FOLDS).split(train, groups=groups[train]):
        inner, test = train[rest], train[held]
        for k, (inputs, kernel, C) in enumerate(GRID):
            if k % len(PENALTIES) == 0:
                matrix = kernels.matrix(inputs, kernel, inner)
            predicted[k, held] = predict(matrix, C, y, inner, test)
    yield from predicted


def fold(
    kernels: Kernels, y: np.ndarray, groups: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, int]:
    """The predictions of the left-out subject's clips, and the setting that inner subjects chose."""
    inner = [scores(y[train], p, 3).uf1 for p in inner_predictions(kernels, y, groups, train)]
    chosen = int(np.argmax(inner))
    inputs, kernel, C = GRID[chosen]
    return predict(kernels.matrix(inputs, kernel, train), C, y, train, test), chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    data = datasets.create("megc2019_flow", root=options.root).load()
    y, groups, start = data.y, data.groups, time.perf_counter()
    kernels, folds = Kernels(data.flow_images), make_folds("loso", data.groups)
    done: list[tuple[np.ndarray, int]] = Parallel(options.jobs)(
        delayed(fold)(kernels, y, groups, f.train, f.test) for f in folds
    )
    predicted = np.zeros(len(y), int)
    for f, (values, _) in zip(folds, done, strict=True):
        predicted[f.test] = values
    result: dict[str, Any] = {
        **{k: round(v, 4) for k, v in scores(y, predicted, 3).as_dict().items() if isinstance(v, float)},
        "intervals": intervals(bootstrap_draws(y, predicted, groups, 3)),
        "settings_tried": len(GRID),
        "chosen": {" ".join(map(str, GRID[k])): n for k, n in Counter(k for _, k in done).most_common()},
        "seconds": round(time.perf_counter() - start, 1),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
