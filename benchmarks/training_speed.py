"""What bfloat16 and channels-last do for one training step of each network, on one thread.

    python benchmarks/training_speed.py [NAME...]

The fastest of several steps on random input of the network's size; milliseconds. Into
benchmarks/results/training_speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import product
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from torch import nn

from microexp import recognize
from microexp.evaluate.versions import versions
from microexp.recognize.complexity import complexity
from microexp.recognize.torch_base import TorchRecognizer

RESULT = Path(__file__).parent / "results" / "training_speed.json"
CLIPS = {"off_apexnet": 256, "dual_inception": 32, "featref": 32, "rcn_a": 64, "resnet18": 8, "bowam": 4}
MODES = list(product(("float32", "bfloat16"), (False, True)))


def step_ms(recognizer: TorchRecognizer, clips: int, precision: str, channels_last: bool) -> float:
    """Return the milliseconds of the fastest step."""
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    module = recognizer.build(3).to(memory_format=layout).train()
    inputs = torch.rand(clips, *complexity(recognizer).input_shape)
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=layout)
    labels, criterion = torch.arange(clips) % 3, nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    seconds, end = [], time.perf_counter() + 3
    while time.perf_counter() < end or len(seconds) < 3:
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = recognizer.loss(module, inputs, labels, criterion)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CLIPS)}; all")
    names = parser.parse_args().names or list(CLIPS)
    torch.set_num_threads(1)
    print("| network | clips a step | " + " | ".join(_title(*mode) for mode in MODES) + " |")
    print("|---|---:|" + "---:|" * len(MODES))
    rows = {}
    for name in names:
        recognizer = recognize.create(name, device="cpu")
        rows[name] = {_title(*mode): round(step_ms(recognizer, CLIPS[name], *mode), 1) for mode in MODES}
        print(f"| `{name}` | {CLIPS[name]} | " + " | ".join(map(str, rows[name].values())) + " |", flush=True)
    RESULT.write_text(json.dumps({"ms": rows, "versions": versions()}, indent=1) + "\n", encoding="utf-8")


def _title(precision: str, channels_last: bool) -> str:
    return precision + (", channels-last" if channels_last else "")


if __name__ == "__main__":
    main()
