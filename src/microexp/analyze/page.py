"""The HTML page of an analysis: one file, no script, nothing from the network. And the page of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from microexp.analyze import _timeline
from microexp.analyze.analysis import EXPRESSIONS, KINDS, Analysis, Finding, strongest
from microexp.evaluate.report import page_template
from microexp.evaluate.store import write_atomically

RESPONSIBLE_USE = (
    "This page says where a face moved and which movements that looks like. It does not say what the person "
    "felt, thought or intended, it cannot tell a lie, and no decision about a person may rest on it."
)
RESPONSIBLE_PAGE = "docs/responsible_use.md"
_NAMES = {
    "micro": ("micro-expression", "micro-expressions"),
    "macro": ("macro-expression", "macro-expressions"),
    "blink": ("blink", "blinks"),
}


def write_page(file: str | Path, analysis: Analysis) -> Path:
    """Write the page of one video.

    Parameters
    ----------
    file : path
        The HTML file; its folder must exist.
    analysis : Analysis
        What is shown.

    Returns
    -------
    Path
        `file`.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    write_atomically(Path(file), to_html(analysis))
    return Path(file)


def to_html(analysis: Analysis) -> str:
    """Return the page of one video as text."""
    expressions = [f for f in analysis.findings if f.interval.kind in EXPRESSIONS]
    listed = {id(interval) for interval in strongest([f.interval for f in expressions])}
    return page_template(__package__).render(
        video=analysis.video,
        length=_timeline.clock(analysis.video.seconds),
        verdict=verdict({kind: analysis.count(kind) for kind in KINDS}),
        blinks=_counted("blink", analysis.count("blink")),
        responsible_use=RESPONSIBLE_USE,
        responsible_page=RESPONSIBLE_PAGE,
        remarks=analysis.remarks,
        timeline=_timeline.timeline(analysis),
        colours=_timeline.COLOURS,
        rows=[_row(analysis, n, f) for n, f in enumerate(expressions, 1) if id(f.interval) in listed],
        n_expressions=len(expressions),
        facts=_facts(analysis),
    )


def index_html(videos: Sequence[Mapping[str, Any]]) -> str:
    """Return the page that lists several videos.

    Parameters
    ----------
    videos : sequence of mapping
        Each with ``name``, and either ``error`` or what `to_json` writes.
    """
    rows = []
    for video in videos:
        if "error" in video:
            rows.append({"name": video["name"], "error": video["error"]})
            continue
        kinds = [interval["kind"] for interval in video["intervals"]]
        rows.append(
            {
                "name": video["name"],
                "length": _timeline.clock(video["video"]["seconds"]),
                "fps": video["video"]["fps"],
                "counts": [kinds.count(kind) for kind in KINDS],
                "labels": _labels(video["intervals"]),
                "remarks": video["remarks"],
            }
        )
    environment = page_template(__package__).environment
    text = files(__package__).joinpath("index.html.j2").read_text("utf-8")
    return environment.from_string(text).render(
        rows=rows,
        failed=sum("error" in row for row in rows),
        responsible_use=RESPONSIBLE_USE,
        responsible_page=RESPONSIBLE_PAGE,
    )


def verdict(counts: Mapping[str, int]) -> str:
    """Return how many expressions there are, in words."""
    found = [_counted(kind, counts[kind]) for kind in EXPRESSIONS if counts[kind]]
    return " and ".join(found) or "No expression was found"


def _counted(kind: str, number: int) -> str:
    return f"{number or 'no'} {_NAMES[kind][number != 1]}"


def _labels(intervals: Sequence[Mapping[str, Any]]) -> str:
    """Say how often each answer was given to the micro-expressions of a video."""
    given = [interval["label"] for interval in intervals if interval["kind"] == "micro"]
    return ", ".join(f"{given.count(label)} {label}" for label in dict.fromkeys(given))


def _row(analysis: Analysis, number: int, finding: Finding) -> dict[str, Any]:
    interval, answer = finding.interval, finding.answer
    begins, ends = analysis.span(interval)
    return {
        "number": number,
        "kind": interval.kind,
        "from": _timeline.clock(begins),
        "to": _timeline.clock(ends),
        "lasts": f"{ends - begins:.2f} s",
        "frames": (interval.onset, interval.apex, interval.offset),
        "score": interval.score,
        "answer": answer,
        "probabilities": [] if answer is None else list(answer.probabilities.items()),
        "moves": [move.in_words for move in interval.moves[:4]],
        "pictures": finding.pictures,
        "close_up": _timeline.close_up(analysis, interval),
        "legend": _timeline.legend(analysis, interval),
    }


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    video = analysis.video
    without = 1 - float(analysis.motion.valid.mean()) if len(analysis.motion.valid) else 1.0
    return [
        ("file", video.file or "a clip in memory"),
        ("video", f"{video.n_frames} frames of {video.width}x{video.height}, {video.fps:g} a second"),
        (
            "faces",
            f"looked for in {video.looked_at} frames; none in {video.missing}, several in {video.several}",
        ),
        (
            "motion",
            f"measured in {len(analysis.motion.frames)} frames; not measured in {without:.0%} of these",
        ),
        (
            "settings",
            "; ".join(f"{k} {v}" for k, v in analysis.settings.items() if v is not None) or "default",
        ),
        ("versions", "; ".join(f"{name} {version}" for name, version in analysis.made_by.items())),
    ]
