"""The authors' published STSTNet weights against their own prediction log, clip by clip.

    python benchmarks/ststnet_published.py --root path/to/megc2019-flow --weights path/to/ststnet-weights

The folder of weights holds one file a left-out subject and ``STSTNet_python_logfile.txt``, as published.
Neither may be redistributed, so this is no test of the suite.
"""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path

import numpy as np

from microexp import datasets, recognize
from microexp.evaluate import loso


def read_log(file: Path) -> dict[str, tuple[list[int], list[int]]]:
    """Return subject to (truth, prediction), sorted by truth within the subject as the log is."""
    pattern = r"Subject: (\S+)\s+Predicted\s*: (\[.*?\])\s+Ground Truth\s*: (\[.*?\])"
    found = re.findall(pattern, file.read_text(encoding="utf-8"))
    return {subject: (ast.literal_eval(truth), ast.literal_eval(said)) for subject, said, truth in found}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    data = datasets.create("megc2019_flow", root=options.root).load()
    result = loso(recognize.create("ststnet"), data, weights=options.weights)
    predicted = result.predictions[result.rules[0]][0]
    log = read_log(options.weights / "STSTNet_python_logfile.txt")
    equal = clips = 0
    for subject, (truth, said) in log.items():
        rows = np.flatnonzero(data.table["subject"] == subject)
        # The log does not name the clips: it goes through the class folders, and each by file name.
        rows = rows[np.lexsort((data.table["clip"].to_numpy(str)[rows], data.y[rows]))]
        if data.y[rows].tolist() != truth:
            raise SystemExit(f"{subject}: the log has other labels than the data")
        for k in set(truth):  # within a class the order of files is the file system's: compare as counts
            here = [p for p, t in zip(predicted[rows], truth, strict=True) if t == k]
            there = [p for p, t in zip(said, truth, strict=True) if t == k]
            equal += sum(min(here.count(p), there.count(p)) for p in set(here))
        clips += len(truth)
    print(f"{equal} of {clips} predictions of {len(log)} subjects as in the log")
    print(result.table[["part", "clips", "UF1", "UAR", "WAR"]].round(4).to_string(index=False))


if __name__ == "__main__":
    main()
