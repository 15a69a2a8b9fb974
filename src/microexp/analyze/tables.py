"""An `Analysis` as text for programs: JSON, and a table of its intervals."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from microexp.analyze.analysis import Analysis, Finding

CSV_COLUMNS = (
    *("video", "kind", "onset", "apex", "offset", "onset_s", "apex_s", "offset_s", "duration_s", "score"),
    *("label", "p_negative", "p_positive", "p_surprise", "moves"),
)


def to_json(analysis: Analysis, **more: Any) -> str:
    """Return an analysis as JSON: the video, remarks, intervals, settings and versions, and what is given."""
    video = analysis.video
    content = {
        "video": {**vars(video), "seconds": round(video.seconds, 3)},
        "remarks": analysis.remarks,
        "intervals": [_interval(analysis, finding) for finding in analysis.findings],
        "settings": analysis.settings,
        "versions": analysis.made_by,
        **more,
    }
    return json.dumps(content, indent=1) + "\n"


def to_csv(analysis: Analysis) -> str:
    """Return the intervals as CSV, one row each, with a heading."""
    intervals = [_interval(analysis, finding) for finding in analysis.findings]
    return csv_text([csv_row(analysis.video.name, interval) for interval in intervals])


def csv_row(video: str, interval: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an interval as it stands in the JSON."""
    probabilities = interval["probabilities"] or {}
    row = {**interval, **{f"p_{name}": value for name, value in probabilities.items()}}
    row["moves"] = "; ".join(move["in_words"] for move in interval["moves"])
    return {"video": video, **{key: row.get(key, "") for key in CSV_COLUMNS if key != "video"}}


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as CSV with the heading `CSV_COLUMNS`."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _interval(analysis: Analysis, finding: Finding) -> dict[str, Any]:
    interval, answer = finding.interval, finding.answer
    begins, ends = analysis.span(interval)
    return {
        "kind": interval.kind,
        "onset": interval.onset,
        "apex": interval.apex,
        "offset": interval.offset,
        "onset_s": round(begins, 4),
        "apex_s": round(float(analysis.times[interval.apex]), 4),
        "offset_s": round(float(analysis.times[interval.offset]), 4),
        "duration_s": round(ends - begins, 4),
        "score": round(interval.score, 4),
        "label": "" if answer is None else answer.in_words,
        "probabilities": answer and {name: round(p, 4) for name, p in answer.probabilities.items()},
        "moves": [
            {"region": m.region, "u": round(m.u, 2), "v": round(m.v, 2), "in_words": m.in_words}
            for m in interval.moves
        ],
    }
