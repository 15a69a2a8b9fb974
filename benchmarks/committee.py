"""The mean of several recognisers' probabilities: a committee in which all votes weigh alike.

    python benchmarks/committee.py RUN RUN...

Each RUN is a folder of ``microexp evaluate`` on the same data. No vote is chosen or weighed by what it
predicts, and no voter saw the subject that it votes on, so the committee leaks nothing that its members do
not. The figures go into benchmarks/results/committee.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from microexp.evaluate.metrics import bootstrap_draws, intervals, scores
from microexp.evaluate.versions import versions

RESULT = Path(__file__).parent / "results" / "committee.json"
CLIP = ["database", "subject", "clip", "seed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    tables = [
        pd.read_csv(run / "predictions.csv", dtype={"subject": str, "clip": str}) for run in options.runs
    ]
    summaries = [json.loads((run / "summary.json").read_text(encoding="utf-8")) for run in options.runs]
    for run, table, summary in zip(options.runs, tables, summaries, strict=True):
        if summary["leaks"] or not table[[*CLIP, "label"]].equals(tables[0][[*CLIP, "label"]]):
            raise SystemExit(f"{run} leaks, or is not of the same clips and seeds as {options.runs[0]}")
    classes = [f"p_{name}" for name in summaries[0]["classes"]]
    predicted = np.mean([table[classes] for table in tables], axis=0).argmax(axis=1)
    truth = tables[0]["label"].to_numpy()
    subjects = (tables[0]["database"] + "/" + tables[0]["subject"]).to_numpy()
    result = {
        "members": {
            summary["config"]["method"]: {**summary["config"]["recipe"], "UF1": round(summary["UF1"], 4)}
            if summary["config"]["recipe"]
            else {"UF1": round(summary["UF1"], 4)}
            for summary in summaries
        },
        **{
            name: round(value, 4)
            for name, value in scores(truth, predicted, len(classes)).as_dict().items()
            if isinstance(value, float)
        },
        "intervals": intervals(bootstrap_draws(truth, predicted, subjects, len(classes))),
        "clips": len(truth),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
