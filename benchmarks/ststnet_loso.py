"""Wall-clock time of STSTNet under leave-one-subject-out: microexp against the public recipe's plain loop.

The plain loop is what the public recipe does: one fold after the other, three streams layer by layer, a
DataLoader with batches of 256, loss and accuracy of training and of the left-out subject after every epoch,
PyTorch's own number of threads. microexp runs the same folds and epochs as
``microexp evaluate`` does, and the start of its workers is part of its time. Both run in turns on a sample
of folds.

    python benchmarks/ststnet_loso.py [--root path/to/megc2019-flow] [--folds 8] [--epochs 50] [--rounds 1]

Without ``--root`` it runs on random images of the same number and size; the time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from microexp import datasets
from microexp.datasets.base import Dataset
from microexp.evaluate.folds import loso_folds
from microexp.evaluate.loso import Experiment, run_missing
from microexp.evaluate.store import RunStore
from microexp.evaluate.versions import versions
from microexp.recognize.ststnet import STSTNet

BATCH, RATE = 256, 5e-5
CLASSES = ("negative", "positive", "surprise")


class PlainSTSTNet(nn.Module):
    """The network as its public code writes it: three streams, each with its own dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, filters, 3, padding=2),
                nn.ReLU(),
                nn.BatchNorm2d(filters),
                nn.MaxPool2d(3, 3, 1),
                nn.Dropout(0.5),
            )
            for filters in (3, 5, 8)
        )
        self.head = nn.Sequential(nn.AvgPool2d(2, 2), nn.Flatten(), nn.Linear(400, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([stream(x) for stream in self.streams], dim=1))


def plain(data: Dataset, folds: int, epochs: int) -> float:
    """Train the first folds one after the other; return seconds."""
    pixels = np.ascontiguousarray(data.flow_images[:, ::-1].transpose(0, 2, 3, 1)) * np.float32(255)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # as pictures come from a file
    labels = torch.from_numpy(data.y.copy())
    start = time.perf_counter()
    for fold in loso_folds(data.groups)[:folds]:
        order = fold.train[np.argsort(data.y[fold.train], kind="stable")]
        loader = DataLoader(TensorDataset(images[order], labels[order]), batch_size=BATCH)
        test_loader = DataLoader(TensorDataset(images[fold.test], labels[fold.test]), batch_size=BATCH)
        module, criterion = PlainSTSTNet(), nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
        for _ in range(epochs):
            module.train()
            total, right = 0.0, 0
            for x, y in loader:
                optimizer.zero_grad()
                logits = module(x)
                loss = criterion(logits, y)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)
                right += int((logits.argmax(1) == y).sum())
            module.eval()
            for x, y in test_loader:
                logits = module(x)
                total += criterion(logits, y).item() * len(x)
                right += int((logits.argmax(1) == y).sum())
    return time.perf_counter() - start


def ours(data: Dataset, folds: int, epochs: int) -> float:
    """Run the same folds in new workers, as `microexp evaluate` does; return seconds."""
    get_reusable_executor().shutdown(wait=True)
    recognizer = STSTNet(epochs=epochs, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder) / "run", {})
        groups, n_classes = data.groups, len(data.classes)
        experiment = Experiment(recognizer, data.y, groups, n_classes, "last-epoch", None, store, versions())
        start = time.perf_counter()
        run_missing(
            experiment, data.flow_images, loso_folds(groups)[:folds], (0,), cpu_count(), lambda *_: None
        )
        return time.perf_counter() - start


def random_data() -> Dataset:
    """442 images of 68 subjects with the label counts of MEGC2019."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), (250, 109, 83))
    subject = [f"s{k:02d}" for k in rng.integers(0, 68, len(label))]
    columns = {"database": "random", "subject": subject, "clip": "", "emotion": "", "label": label}
    images = rng.uniform(size=(len(label), 3, 28, 28)).astype(np.float32)
    return Dataset(pd.DataFrame(columns), CLASSES, flow_images=images, scheme="megc3")


def main() -> None:
    """Measure both in turns, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--folds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if options.root is None:
        data = random_data()
    else:
        data = datasets.create("megc2019_flow", root=options.root).load()
    seconds: dict[str, list[float]] = {"plain": [], "microexp": []}
    for _ in range(options.rounds):
        seconds["plain"].append(plain(data, options.folds, options.epochs))
        seconds["microexp"].append(ours(data, options.folds, options.epochs))
        print({name: round(values[-1], 1) for name, values in seconds.items()}, flush=True)
    start = ours(data, options.folds, 1)  # workers, imports, patches: what does not grow with the epochs
    ratio = min(seconds["plain"]) / min(seconds["microexp"])
    whole = {
        "plain": min(seconds["plain"]) / options.folds / options.epochs * 68 * 800,
        "microexp": (min(seconds["microexp"]) - start) / options.folds / options.epochs * 68 * 800 + start,
    }
    result = {
        "folds": options.folds,
        "epochs": options.epochs,
        "data": "random images" if options.root is None else "megc2019_flow",
        "seconds": {name: [round(v, 2) for v in values] for name, values in seconds.items()},
        "microexp_start_seconds": round(start, 2),
        "times_faster_on_the_sample": round(ratio, 2),
        "whole_protocol_minutes_estimated": {name: round(v / 60, 1) for name, v in whole.items()},
        "times_faster_on_the_whole_protocol": round(whole["plain"] / whole["microexp"], 2),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": versions(),
    }
    file = Path(__file__).parent / "results" / "ststnet_loso.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{options.folds} folds of {options.epochs} epochs: microexp is {ratio:.2f} times faster")
    print(f"68 folds of 800 epochs, from these: {whole['plain'] / whole['microexp']:.2f} times faster")


if __name__ == "__main__":
    main()
