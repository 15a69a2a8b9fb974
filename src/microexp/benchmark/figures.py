"""Figures of a benchmark: means by factor, quality beside recognition (SVG), strips of pictures (WebP)."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from microexp.benchmark.analysis import MEASURED, Results, balanced
from microexp.benchmark.plan import Task
from microexp.clip import Clip
from microexp.flow_colours import colour_flow
from microexp.motion.dis import DIS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRIPS = "strips"
_SIDE, _CAPTION, _GAP = 176, 22, 8
_FULL = 64  # motion by one part of so many of the height is shown in full colour
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
_MARKS = "osD^vPX*"
_FAINT = "#9aa5b1"


@dataclass(frozen=True)
class Figure:
    """A figure: title, SVG (empty if it cannot be made), how to read it or why it is not there."""

    title: str
    svg: str = ""
    note: str = ""
    sources: Sequence[str] = ()


def factor_figure(results: Results, metric: str = "WAR") -> Figure:
    """Draw the mean of every recogniser by one factor, over the levels of the others; the study's figure 4.

    The factor is the super-resolution where there is one, else the first that varies.
    """
    part, varying = balanced(results)
    if not varying:
        return Figure(f"Means on {results.name}", note="Not drawn: no factor of the variants varies.")
    shown = "superres" if "superres" in varying else varying[0]
    title = f"Mean {metric} by {shown} on {results.name}"
    if lacking := int(part[metric].isna().sum()):
        return Figure(title, note=f"Not drawn: {lacking} of its {len(part)} cells are not complete.")
    means = part.groupby([shown, "label"], sort=False)[metric].mean().unstack()[results.labels]
    others = [f for f in varying if f != shown]
    figure, axes = _canvas(max(6.5, 1.6 + 0.24 * means.size + 0.5 * len(means)), 4.2)
    width = 0.8 / len(results.labels)
    for k, label in enumerate(results.labels):
        places = np.arange(len(means)) + (k - (len(results.labels) - 1) / 2) * width
        axes.bar(places, means[label], 0.9 * width, label=label, color=_COLOURS[k % len(_COLOURS)])
    nothing = part[f"{metric}_majority"].mean()
    axes.axhline(nothing, color=_FAINT, linestyle="--", label="majority class")
    axes.set_xticks(range(len(means)), [_text(level) for level in means.index])
    axes.set(ylabel=f"{metric}", ylim=(0, min(1.0, 1.12 * max(means.to_numpy().max(), nothing))))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    over = f", each the mean over {' and '.join(others)}" if others else ""
    levels = "; ".join(f"{f} {', '.join(map(_text, dict.fromkeys(part[f])))}" for f in others)
    note = f"One bar a recogniser{over}{f' ({levels})' if levels else ''}. {results.leak_note}"
    return Figure(title, svg(figure), note.strip(), list(dict.fromkeys(part["folder"])))


def quality_figure(results: Results, quality: pd.DataFrame, metric: str = "WAR") -> Figure:
    """Draw PSNR and SSIM of the variants above the recognition on them, as the study's figure 5."""
    title = f"Quality and {metric} by variant on {results.name}"
    own = quality[quality["database"] == results.table["database"].iloc[0]]
    means = own.groupby("variant", sort=False)[list(MEASURED)].mean()
    variants = [variant for variant in results.variants if variant in means.index]
    if len(variants) < 2:
        return Figure(title, note="Not drawn: quality was measured of fewer than two variants.")
    values = results.table.pivot(index="variant", columns="label", values=metric).loc[variants]
    figure, (above, below) = _canvas(max(7.5, 3.0 + 0.42 * len(variants)), 6.4, 2)
    places = range(len(variants))
    for measure, axes, colour, mark in (
        ("psnr", above, _COLOURS[0], "o"),
        ("ssim", above.twinx(), _COLOURS[1], "s"),
    ):
        axes.plot(places, means.loc[variants, measure], color=colour, marker=mark)
        axes.set_ylabel(f"{MEASURED[measure]}{', dB' if measure == 'psnr' else ''}", color=colour)
        axes.tick_params(axis="y", colors=colour)
        axes.spines[["top"]].set_visible(False)
    for k, label in enumerate(results.labels):
        style = {"color": _COLOURS[k % len(_COLOURS)], "marker": _MARKS[k % len(_MARKS)]}
        below.plot(places, values[label], label=label, linewidth=1.2, markersize=5, **style)
    below.set_ylabel(metric)
    below.set_xticks(places, variants, rotation=60, ha="right", rotation_mode="anchor", fontsize=9)
    below.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    used = results.table[results.table["variant"].isin(variants)]
    lacking = int(used[metric].isna().sum())
    said = f" {lacking} cells are not complete and have no mark." if lacking else ""
    note = f"Above: PSNR (circles, left) and SSIM (squares, right). Below: {metric} of each recogniser.{said}"
    return Figure(title, svg(figure), note, [*dict.fromkeys(own["file"]), *dict.fromkeys(used["folder"])])


def _canvas(width: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True)
    every: list[Axes] = list(np.ravel(axes))
    for one in every:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(axis="y", color="#e8ecf0", linewidth=0.8)
        one.set_axisbelow(True)
    return figure, axes


def svg(figure: Any) -> str:
    """Return a figure as an SVG element; the same figure gives the same text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "microexp", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _text(level: Any) -> str:
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


def strip_file(out: Path, database: str, variant: str, data: str) -> Path:
    """Return where the strip of a variant is kept; `data` is the fingerprint of its clips."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", f"{database}-{variant}").strip("-.")
    return out / STRIPS / f"{plain}-{data[:8]}.webp"


def write_strips(tasks: Sequence[Task], out: Path) -> list[str]:
    """Write a strip of pictures for every variant, each of the same clip; those that are there stay.

    From left to right, as far as there are such variants: the small clip, the clip of the variant, the flow
    from its onset to its apex, the original.

    Parameters
    ----------
    tasks : sequence of Task
        Of a plan.
    out : Path
        Folder of the benchmark.

    Returns
    -------
    list of str
        A sentence for every strip that could not be made: a strip is never the end of a run.
    """
    first: dict[tuple[str, str], Task] = {}
    for task in tasks:
        if task.job.variant and task.dataset.clips:
            first.setdefault((task.job.database, task.job.variant), task)
    failed = []
    for (database, variant), task in first.items():
        file = strip_file(out, database, variant, task.dataset.fingerprint)
        if file.is_file():
            continue
        beside = [other for (name, _), other in first.items() if name == database]
        try:
            picture = _strip(task, beside)
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
            picture.save(temporary, "WEBP", quality=85)
            temporary.replace(file)
        except Exception as error:  # noqa: BLE001  a picture must not cost the run its reports
            failed.append(f"No strip of {variant} on {database}: {type(error).__name__}: {error}")
    return failed


def _strip(task: Task, beside: Sequence[Task]) -> Image.Image:
    factors = task.job.factors
    clip = _chosen(task, beside[0])
    small = _sibling(beside, {"superres": "bicubic", "resolution": factors.get("resolution")})
    original = _sibling(beside, {"superres": "original"}) or _sibling(beside, {"magnification": "none"})
    apex = clip.key_frame("apex")
    flow = DIS().flow(clip.key_frame("onset"), apex)
    panels = [(task.job.variant, apex), ("flow, onset to apex", colour_flow(flow, clip.size[0] / _FULL))]
    if small is not None and small is not task:
        panels.insert(0, (small.job.variant, _chosen(small, beside[0]).key_frame("apex")))
    if original is not None and original is not task:
        panels.append((original.job.variant, _chosen(original, beside[0]).key_frame("apex")))
    return _joined(panels)


def _sibling(tasks: Sequence[Task], factors: Mapping[str, Any]) -> Task | None:
    there = (
        t for t in tasks if all(f in t.job.factors and t.job.factors[f] == x for f, x in factors.items())
    )
    return next(there, None)


def _chosen(task: Task, first: Task) -> Clip:
    """Return the clip that all strips of a database show: the first with an apex of the first variant."""
    wanted = next((c.identity for c in first.dataset.clips or () if c.apex is not None), None)
    clips = task.dataset.clips or ()
    return next((clip for clip in clips if clip.identity == wanted), clips[0])


def _joined(panels: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Put pictures side by side with their names below."""
    size = (len(panels) * (_SIDE + _GAP) - _GAP, _SIDE + _CAPTION)
    strip = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(13)
    for k, (name, picture) in enumerate(panels):
        left = k * (_SIDE + _GAP)
        smaller = len(picture) < _SIDE  # its pixels shall be seen
        how = Image.Resampling.NEAREST if smaller else Image.Resampling.LANCZOS
        shown = Image.fromarray(picture).resize((_SIDE, _SIDE), how)
        strip.paste(shown, (left, 0))
        draw.text((left + _SIDE / 2, _SIDE + 3), name, "#1c2430", font, anchor="ma")
    return strip
