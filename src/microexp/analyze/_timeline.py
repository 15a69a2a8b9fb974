"""The motion of the face over time as SVG: curves of regions, intervals as bands, gaps shaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

import numpy as np

from microexp.analyze.analysis import EXPRESSIONS, Analysis
from microexp.analyze.spotting import Interval

Position = Callable[[float], float]  # of a second, in the picture
COLOURS = {"micro": "#c2410c", "macro": "#1f6f8b", "blink": "#7b8794"}
_LANES = (  # of regions whose names hold one of these words; the rest has a lane, too
    ("brows", ("brow", "glabella")),
    ("eyes", ("lid", "eye")),
    ("nose and cheeks", ("nose", "cheek")),
    ("mouth and chin", ("mouth", "lip", "chin")),
)
_SIDES = {"left": "#1f6f8b", "right": "#b3692f"}  # middle: _MIDDLE
_MIDDLE, _SOFT, _LINE = "#4b5563", "#5b6673", "#dfe4ea"
_WIDTH, _GUTTER, _RIGHT = 1080, 118, 10
_LANE, _BARS, _BLINKS, _AXIS = 62, 30, 14, 22
_BINS = _WIDTH - _GUTTER - _RIGHT  # points of a curve at most
_LEAST = 2.0  # hundredths of the eye distance that a lane reaches up to at least
_CLOSE, _CLOSE_WIDTH, _CLOSE_HEIGHT = 1.0, 420, 132
_CURVES = 4  # of a close-up
_HATCH = (
    '<defs><pattern id="gap" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="6" height="6" fill="#f1f3f5"/>'
    '<line y2="6" stroke="#c3cad2" stroke-width="2"/>'
    "</pattern></defs>"
)
_HUES = ("#c2410c", "#1f6f8b", "#6b7f2a", "#7a4a8f")


def timeline(analysis: Analysis) -> str:
    """Return the whole video at one glance, an SVG element of constant size in bytes."""
    motion, seconds = analysis.motion, float(analysis.times[-1]) or 1.0
    scale = (_WIDTH - _GUTTER - _RIGHT) / seconds
    lanes = _lanes(motion.regions)
    height = _BARS + _BLINKS + _LANE * len(lanes) + _AXIS
    bottom = height - _AXIS

    def x(second: float) -> float:
        return _GUTTER + second * scale

    when = analysis.times[motion.frames]
    parts = [_gap(x(a), x(b), bottom) for a, b in gaps(when, motion.valid)]
    parts += _bars(analysis, x, bottom)
    parts += [_label(_BARS / 2 + 4, "expressions"), _label(_BARS + _BLINKS / 2 + 4, "blinks")]
    moved = np.linalg.norm(motion.moves, axis=2)
    top = _ceiling(moved[motion.valid])
    for place, (name, regions) in enumerate(lanes):
        y = _BARS + _BLINKS + place * _LANE
        parts.append(_rule(_GUTTER, _WIDTH - _RIGHT, y + _LANE, y + _LANE, _LINE))
        parts.append(_label(y + _LANE / 2 + 4, name))
        for region in regions:
            line = _path(
                *decimated(when, moved[:, region], motion.valid, _BINS), x, y + _LANE, _LANE - 6, top
            )
            parts.append(_curve(line, side_colour(motion.regions[region]), motion.regions[region], 0.8))
    parts += _ticks(seconds, x, bottom)
    return _svg(
        _WIDTH, height, [_HATCH, *parts], "Motion of the face over time, with the intervals that were found"
    )


def close_up(analysis: Analysis, interval: Interval) -> str:
    """Return the second around an interval, with the regions that moved most, as an SVG element.

    What is not measured is hatched as in the `timeline`, which must be on the same page.
    """
    motion, (begins, ends) = analysis.motion, analysis.span(interval)
    when = analysis.times[motion.frames]
    low, high = begins - _CLOSE, ends + _CLOSE
    near = (when >= low) & (when <= high)
    bottom, floor = _CLOSE_HEIGHT, _CLOSE_HEIGHT - _AXIS

    def x(second: float) -> float:
        return (second - low) / (high - low) * _CLOSE_WIDTH

    parts = [
        _gap(x(max(a, low)), x(min(b, high)), floor)
        for a, b in gaps(when, motion.valid)
        if a < high and b > low
    ]
    colour = COLOURS[interval.kind]
    parts.append(_band(x(begins), 0, x(ends) - x(begins), floor, colour, 0.13, interval.kind))
    apex = x(float(analysis.times[interval.apex]))
    parts.append(_rule(apex, apex, 0, floor, colour, "3 3"))
    regions = shown_regions(analysis, interval)
    moved = np.linalg.norm(motion.moves[near], axis=2)
    top = max(_LEAST, float(moved[motion.valid[near]].max(initial=0)))
    for region, hue in zip(regions, _HUES, strict=False):
        bins = decimated(when[near], moved[:, region], motion.valid[near], _CLOSE_WIDTH)
        parts.append(_curve(_path(*bins, x, floor, floor - 6, top), hue, motion.regions[region], 1.0))
    parts += [
        f'<text x="{x(second):.0f}" y="{bottom - 6}" text-anchor="{anchor}">{label}</text>'
        for second, label, anchor in ((begins, "onset", "end"), (ends, "offset", "start"))
    ]
    return _svg(_CLOSE_WIDTH, bottom, parts, "Motion around this interval")


def shown_regions(analysis: Analysis, interval: Interval) -> list[int]:
    """Return the regions that a close-up shows: those that moved most at the apex."""
    known = {name: place for place, name in enumerate(analysis.motion.regions)}
    return [known[move.region] for move in interval.moves if move.region in known][:_CURVES]


def legend(analysis: Analysis, interval: Interval) -> list[tuple[str, str]]:
    """Return the colours of a close-up with the names of the regions."""
    regions = shown_regions(analysis, interval)
    return [(hue, analysis.motion.regions[r]) for r, hue in zip(regions, _HUES, strict=False)]


def side_colour(region: str) -> str:
    """Return the colour of a region's curve: one for each side of the face, one for the middle."""
    return next((colour for side, colour in _SIDES.items() if side in region.split()), _MIDDLE)


def clock(second: float) -> str:
    """Return minutes and seconds, and hours where there are any: "1:02.35"."""
    hundredths = round(second * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest / 100:05.2f}"
    return f"{minutes}:{rest / 100:05.2f}"


def gaps(when: np.ndarray, valid: np.ndarray) -> list[tuple[float, float]]:
    """Return the spans, in seconds, in which nothing was measured."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], valid, [True]]).astype(np.int8)))
    last = len(when) - 1
    return [(float(when[a]), float(when[min(b, last)])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def decimated(
    when: np.ndarray, values: np.ndarray, valid: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve of so many points at most, which keeps every peak; NaN where nothing was measured.

    Parameters
    ----------
    when : numpy.ndarray
        ``(n,)``, rising.
    values, valid : numpy.ndarray
        ``(n,)``, the curve and where it holds.
    bins : int
        Points at most. Each is the largest value of as many neighbours as it stands for.
    """
    if len(when) == 0:
        return np.empty(0), np.empty(0)
    starts = np.unique(np.linspace(0, len(when), min(bins, len(when)), endpoint=False).astype(np.int64))
    known = np.where(valid, values, -np.inf)
    peaks = np.maximum.reduceat(known, starts)
    return when[starts], np.where(np.isfinite(peaks), peaks, np.nan)


def _lanes(regions: Sequence[str]) -> list[tuple[str, list[int]]]:
    left = dict(enumerate(regions))
    lanes = []
    for name, words in _LANES:
        members = [place for place, region in left.items() if any(word in region for word in words)]
        lanes.append((name, members))
        for place in members:
            del left[place]
    lanes.append(("other", list(left)))
    return [(name, members) for name, members in lanes if members]


def _ceiling(moved: np.ndarray) -> float:
    """The motion that fills a lane: nearly the largest, so that one stray value does not flatten the rest."""
    return max(_LEAST, float(np.quantile(moved.max(1), 0.998))) if len(moved) else _LEAST


def _path(when: np.ndarray, values: np.ndarray, x: Position, floor: float, height: float, top: float) -> str:
    """The path of a curve; the root of the motion is drawn, so that weak motion shows beside strong."""
    words, pen = [], "M"
    for second, value in zip(when.tolist(), values.tolist(), strict=True):
        if math.isnan(value):
            pen = "M"
            continue
        words.append(f"{pen}{x(second):.1f} {floor - height * math.sqrt(min(value / top, 1.0)):.1f}")
        pen = "L"
    return "".join(words)


def _bars(analysis: Analysis, x: Position, bottom: float) -> Iterable[str]:
    """Bands of the expressions over all lanes, numbered where there is room, and marks of the blinks."""
    number, free = 0, 0.0
    for finding in analysis.findings:
        interval = finding.interval
        begins, ends = analysis.span(interval)
        left, colour = x(begins), COLOURS[interval.kind]
        width = max(x(ends) - left, 2.0)
        title = f"{interval.kind}, {clock(begins)} to {clock(ends)}"
        if interval.kind not in EXPRESSIONS:
            yield _band(left, _BARS + 2, width, _BLINKS - 4, colour, 0.8, title)
            continue
        number += 1
        yield _band(left, 16, width, _BARS - 16, colour, 1.0, title)
        yield _band(left, _BARS + _BLINKS, width, bottom - _BARS - _BLINKS, colour, 0.16, title)
        middle = left + width / 2
        if middle >= free:
            yield f'<text x="{middle:.1f}" y="12" text-anchor="middle" fill="{colour}">{number}</text>'
            free = middle + 8 + 7 * len(str(number))


def _band(x: float, y: float, width: float, height: float, colour: str, opacity: float, title: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" '
        f'opacity="{opacity}"><title>{escape(title)}</title></rect>'
    )


def _rule(x1: float, x2: float, y1: float, y2: float, colour: str, dashes: str = "none") -> str:
    return (
        f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-dasharray="{dashes}"/>'
    )


def _gap(left: float, right: float, height: float) -> str:
    return _band(left, 0, max(right - left, 1.0), height, "url(#gap)", 1.0, "not measured")


def _label(y: float, text: str) -> str:
    return f'<text x="{_GUTTER - 10}" y="{y:.0f}" text-anchor="end">{escape(text)}</text>'


def _curve(path: str, colour: str, title: str, opacity: float) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.2" opacity="{opacity}">'
        f"<title>{escape(title)}</title></path>"
    )


def _ticks(seconds: float, x: Position, bottom: float) -> Iterable[str]:
    """Marks of the time axis, at most about twelve, at round times."""
    steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600]
    step = next((step for step in steps if seconds / step <= 12), seconds / 12)
    for tick in np.arange(0, seconds + 1e-9, step).tolist():
        label = f"{tick:g} s" if seconds < 60 else clock(tick).split(".")[0]
        yield _rule(x(tick), x(tick), bottom, bottom + 5, _SOFT)
        yield f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>'


def _svg(width: int, height: int, parts: Iterable[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" font-size="12" '
        f'fill="{_SOFT}" font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )
