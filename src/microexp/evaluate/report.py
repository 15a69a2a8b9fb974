"""A self-contained HTML report of one or several evaluations: one file, no script, no network."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import DictLoader, Environment, StrictUndefined, Template
from PIL import Image

from microexp.clip import Clip
from microexp.evaluate.evaluation import ALL, Evaluation, leaks
from microexp.evaluate.metrics import METRICS
from microexp.evaluate.store import write_atomically
from microexp.flow_colours import colour_flow
from microexp.motion.apex import ApexSpotter
from microexp.motion.farneback import Farneback

DIFFERENCE_GAIN = 6
_INK, _ACCENT, _FAINT, _LEAK = "#1c2430", "#1f6f8b", "#9aa5b1", "#b3392f"


def page_template(package: str) -> Template:
    """Return the ``report.html.j2`` of a package, which may include ``page.css``, the style of all."""
    sources = {"page.css": (__package__, "page.css"), "report": (package, "report.html.j2")}
    environment = Environment(
        loader=DictLoader({k: files(p).joinpath(f).read_text("utf-8") for k, (p, f) in sources.items()}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report")


def write_report(
    file: Path,
    evaluations: Sequence[Evaluation],
    title: str,
    clips: Sequence[int] = (),
    facts: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the report of evaluations on one data set.

    Parameters
    ----------
    file : Path
        Where to write it.
    evaluations : sequence of Evaluation
        At least one; all on the same data.
    title : str
        Heading.
    clips : sequence of int
        Rows of the data set to show with their frames and flow.
    facts : sequence of (str, str)
        Further lines for "What was run".

    Returns
    -------
    Path
        `file`.
    """
    template = page_template(__package__)
    dataset = evaluations[0].dataset
    html = template.render(
        title=title,
        remarks=list(dict.fromkeys(r for e in evaluations for r in e.remarks)),
        metrics=METRICS,
        leaks=leaks,
        protocol=evaluations[0].protocol,
        by_sample=evaluations[0].by_sample,
        all_part=ALL,
        rows=[{"method": e.method, **row} for e in evaluations for row in e.table.to_dict("records")],
        several_seeds=len(evaluations[0].seeds) > 1,
        forest=_forest(evaluations),
        confusions=[_confusion(e) for e in evaluations],
        samples=[_sample(evaluations, row) for row in clips],
        facts=[*_facts(evaluations), *facts],
        configs=[(e.method, json.dumps(e.config, indent=1)) for e in evaluations],
        clip_count=len(dataset),
        subject_count=len(np.unique(dataset.groups)),
        classes=dataset.classes,
    )
    write_atomically(file, html)
    return file


def _facts(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    first = evaluations[0]
    computed = {f"{k} {v}" for e in evaluations for versions in e.versions for k, v in versions.items()}
    seconds = ", ".join(
        f"{e.method} {e.seconds:.1f} s (processor {e.cpu_seconds:.1f} s)" for e in evaluations
    )
    return [
        ("protocol", f"{first.protocol}; predictions pooled over all folds, then scored once"),
        ("classes", ", ".join(first.dataset.classes)),
        ("data fingerprint", first.dataset.fingerprint),
        ("seeds", ", ".join(map(str, first.seeds))),
        ("training and test, sum over folds, one thread", seconds),
        ("versions", "; ".join(sorted(computed))),
    ]


def _confusion(evaluation: Evaluation) -> dict[str, Any]:
    confusion = evaluation.confusion().confusion
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    rows = [
        (name, [(int(n), float(s)) for n, s in zip(counts, shares, strict=True)])
        for name, counts, shares in zip(evaluation.dataset.classes, confusion, share, strict=True)
    ]
    return {"method": evaluation.method, "rule": evaluation.rules[0], "rows": rows}


def _forest(evaluations: Sequence[Evaluation]) -> str:
    """Draw UF1 with its interval, one line a method and rule, the majority class as a dashed line."""
    from matplotlib.figure import Figure

    lines = [
        (f"{e.method}\n{row['rule']}", row)
        for e in evaluations
        for row in e.table.to_dict("records")
        if row["part"] == ALL
    ]
    figure = Figure(figsize=(8.0, 0.9 + 0.55 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for y, (_, row) in enumerate(lines):
        colour = _LEAK if leaks(row["rule"]) else _ACCENT
        axes.plot(
            [row["UF1_low"], row["UF1_high"]], [y, y], color=colour, linewidth=3, solid_capstyle="round"
        )
        axes.plot(row["UF1"], y, "o", color=colour, markersize=9)
        axes.annotate(f"{row['UF1']:.3f}", (row["UF1"], y), (0, 9), textcoords="offset points", ha="center")
    axes.axvline(lines[0][1]["UF1_majority"], color=_FAINT, linestyle="--", label="majority class")
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.set(xlim=(0, 1), ylim=(len(lines) - 0.5, -0.7), xlabel="UF1, with 95 % interval over subjects")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return _svg(figure)


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "microexp", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _sample(evaluations: Sequence[Evaluation], row: int) -> dict[str, Any]:
    """Show one clip: moving, its onset, apex, their difference and flow, and what each method said."""
    dataset = evaluations[0].dataset
    (clip,) = ApexSpotter().transform([dataset.inputs[row]])  # spots it only where it is not annotated
    classes = dataset.classes
    onset, apex = clip.key_frame("onset"), clip.key_frame("apex")
    difference = np.clip(128 + DIFFERENCE_GAIN * (apex.astype(np.int16) - onset), 0, 255).astype(np.uint8)
    flow = Farneback().flow(onset, apex)
    return {
        "name": clip.identity,
        "emotion": f"{clip.emotion} ({classes[dataset.y[row]]})",
        "units": " + ".join(str(unit) for unit in clip.action_units),
        "peak": f"{np.percentile(np.linalg.norm(flow, axis=2), 99):.1f}",
        "pictures": [
            ("the clip, slowed down", _animation(clip)),
            ("onset", _data_url(onset)),
            ("apex", _data_url(apex)),
            (f"apex minus onset, x{DIFFERENCE_GAIN}", _data_url(difference)),
            ("optical flow (Farneback)", _data_url(colour_flow(flow))),
        ],
        "said": [
            (
                e.method,
                classes[e.predictions[e.rules[0]][0, row]],
                bool(e.predictions[e.rules[0]][0, row] == dataset.y[row]),
            )
            for e in evaluations
        ],
    }


def _animation(clip: Clip, frames: int = 24, side: int = 192) -> str:
    """Return a looping WebP from onset over apex to offset, and a little before and after."""
    last = len(clip) - 1 if clip.offset is None else min(len(clip) - 1, clip.offset + 4)
    wanted = np.unique(np.linspace(max(0, clip.onset - 4), last, frames).round().astype(int))
    pictures = [Image.fromarray(clip.frames[int(i)]).resize((side, side)) for i in wanted]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=80, loop=0, quality=70
    )
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _data_url(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
