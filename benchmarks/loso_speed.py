"""Wall-clock time of a small network under leave-one-subject-out: microexp against the plain loop.

The plain loop is what public code does: one fold after the other, the network layer by layer, a
DataLoader with batches of 256, loss and accuracy of training and of the left-out subject after every epoch,
PyTorch's own number of threads. microexp runs the same folds and epochs as
``microexp evaluate`` does, and the start of its workers is part of its time. Both run in turns on a sample
of folds.

    python benchmarks/loso_speed.py ststnet [--root path/to/megc2019-flow] [--folds 8] [--epochs 50]
    python benchmarks/loso_speed.py off_apexnet [--precision bfloat16] ...

Without ``--root`` it runs on random images of the same number and size; the time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from microexp import datasets, recognize
from microexp.datasets.base import Dataset
from microexp.evaluate.folds import make_folds
from microexp.evaluate.loso import make_experiment, run_missing
from microexp.evaluate.versions import versions
from microexp.recognize.torch_base import TorchRecognizer

BATCH = 256
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


class PlainOFFApexNet(nn.Module):
    """Two streams and two wide layers, with PyTorch's own dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, 6, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 16, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
            )
            for _ in range(2)
        )
        self.head = nn.Sequential(
            nn.Linear(1568, 1024),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(1024, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([stream(x[:, k : k + 1]) for k, stream in enumerate(self.streams)], dim=1))


@dataclass(frozen=True)
class Method:
    """A network written plainly, and what its recipe asks of the loop."""

    network: Callable[[], nn.Module]
    images: Callable[[np.ndarray], Tensor]  # of flow images (N, 3, 28, 28) in [0, 1]
    rate: float
    shuffle: bool
    epochs: int


def as_files_hold_them(flow_images: np.ndarray) -> Tensor:
    """Return strain, v, u in 0..255, channels last in memory, as pictures come from a file."""
    pixels = np.ascontiguousarray(flow_images[:, ::-1].transpose(0, 2, 3, 1)) * np.float32(255)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


METHODS = {
    "ststnet": Method(PlainSTSTNet, as_files_hold_them, 5e-5, False, 800),
    "off_apexnet": Method(PlainOFFApexNet, lambda x: torch.from_numpy(x[:, :2].copy()), 1e-4, True, 200),
}


def plain(method: Method, data: Dataset, folds: int, epochs: int) -> float:
    """Train the first folds one after the other; return seconds."""
    images, labels = method.images(data.flow_images), torch.from_numpy(data.y.copy())
    start = time.perf_counter()
    for fold in make_folds("loso", data.groups)[:folds]:
        order = fold.train[np.argsort(data.y[fold.train], kind="stable")]
        loader = DataLoader(TensorDataset(images[order], labels[order]), BATCH, shuffle=method.shuffle)
        test_loader = DataLoader(TensorDataset(images[fold.test], labels[fold.test]), batch_size=BATCH)
        module, criterion = method.network(), nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(module.parameters(), lr=method.rate)
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


def ours(recognizer: TorchRecognizer, data: Dataset, folds: int) -> float:
    """Run the same folds in new workers, as `microexp evaluate` does; return seconds."""
    get_reusable_executor().shutdown(wait=True)
    with tempfile.TemporaryDirectory() as folder:
        experiment, every = make_experiment(
            recognizer, data, selection="last-epoch", out=Path(folder) / "run"
        )
        start = time.perf_counter()
        run_missing(experiment, data.flow_images, every[:folds], (0,), cpu_count(), lambda *_: None)
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
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--folds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    if options.root is None:
        data = random_data()
    else:
        data = datasets.create("megc2019_flow", root=options.root).load()
    method, folds, epochs = METHODS[options.method], options.folds, options.epochs
    params = {"device": "cpu", "precision": options.precision}
    recognizer = recognize.create(options.method, epochs=epochs, **params)
    seconds: dict[str, list[float]] = {"plain": [], "microexp": []}
    for _ in range(options.rounds):
        seconds["plain"].append(plain(method, data, folds, epochs))
        seconds["microexp"].append(ours(recognizer, data, folds))
        print({name: round(values[-1], 1) for name, values in seconds.items()}, flush=True)
    # workers, imports, patches: what does not grow with the epochs
    start = ours(recognize.create(options.method, epochs=1, **params), data, folds)
    ratio = min(seconds["plain"]) / min(seconds["microexp"])
    steps = 68 * method.epochs
    whole = {
        "plain": min(seconds["plain"]) / folds / epochs * steps,
        "microexp": (min(seconds["microexp"]) - start) / folds / epochs * steps + start,
    }
    result = {
        "folds": folds,
        "epochs": epochs,
        "precision": options.precision,
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
    file = Path(__file__).parent / "results" / f"{options.method}_loso.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{folds} folds of {epochs} epochs: microexp is {ratio:.2f} times faster")
    faster = whole["plain"] / whole["microexp"]
    print(f"68 folds of {method.epochs} epochs, from these: {faster:.2f} times faster")


if __name__ == "__main__":
    main()
