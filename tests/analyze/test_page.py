from __future__ import annotations

import html
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microexp.analyze import to_json
from microexp.analyze._timeline import clock, decimated, gaps, timeline
from microexp.analyze.crop import USUAL
from microexp.analyze.page import RESPONSIBLE_USE, index_html, to_html, write_page
from microexp.analyze.pictures import heat_over
from microexp.faces.alignment import canonical_landmarks
from tests.analyze import made


class Page(HTMLParser):
    """What a page refers to, its tags, and whether each is closed."""

    VOID = frozenset({"meta", "img", "br", "line", "rect", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.references += [found[key] or "" for key in ("src", "href") if key in found]
        self.ids += [value for key, value in attrs if key == "id" and value is not None]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag


FOUND = (
    made.interval("micro", 50, 54, 60),
    made.interval("blink", 100, 103, 108),
    made.interval("macro", 200, 230, 270),
)


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    file = write_page(tmp_path / "page.html", made.analysis(FOUND))
    page = Page(file.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert "link" not in page.tags
    inside = {f"#{name}" for name in page.ids}
    assert len(inside) == len(page.ids)
    assert all(r.startswith("data:") or r in inside for r in page.references)
    assert sum(r.startswith("data:image/webp") for r in page.references) == 2


def test_it_says_where_which_and_how_sure() -> None:
    text = html.unescape(to_html(made.analysis(FOUND)))
    assert "1 micro-expression and 1 macro-expression" in text
    assert "1 blink set apart" in text
    assert "0:01.00" in text
    assert "positive</b>, 70 %" in text
    assert made.MOVES[0].in_words in text
    assert RESPONSIBLE_USE in text
    assert "docs/responsible_use.md" in text


def test_not_sure_is_said_plainly() -> None:
    assert "not sure" not in to_html(made.analysis(FOUND)).lower()
    text = to_html(made.analysis(FOUND, None))
    assert text.count('<span class="unsure">not sure</span>') == 4  # two in the table, two at the pictures
    assert "no class is likely enough" in text


def test_nothing_found_is_an_answer() -> None:
    text = to_html(made.analysis([made.interval("blink", 10, 12, 15)]))
    assert "No expression was found" in text
    assert "<section" not in text


def test_names_and_remarks_are_text() -> None:
    text = to_html(made.analysis(FOUND, name="<b>x</b>", remarks=("a < b",)))
    assert "<b>x</b>" not in text
    assert "a &lt; b" in text


def test_a_long_video_makes_no_large_page() -> None:
    found = [made.interval("micro", i, i + 4, i + 9, (i % 997) / 997) for i in range(100, 60_000, 100)]
    text = to_html(made.analysis(found, n_frames=72_000, fps=60.0))
    assert text.count("<section") == 60
    assert len(text) < 1_500_000
    kept = sorted((i.score for i in found), reverse=True)[59]
    assert text.count(f"{kept:.2f}</td>") >= 1


def test_a_video_of_a_frame_is_drawn() -> None:
    Page(to_html(made.analysis(n_frames=1)))
    Page(to_html(made.analysis(n_frames=200, invalid=slice(None))))


def test_gaps_are_shaded() -> None:
    assert timeline(made.analysis()).count("url(#gap)") == 0
    assert timeline(made.analysis(invalid=slice(20, 60))).count("url(#gap)") == 1


@given(arrays(bool, st.integers(1, 40)))
def test_gaps_are_the_runs_of_what_is_not_valid(valid: np.ndarray) -> None:
    when = np.arange(len(valid)) / 10
    inside = np.zeros(len(valid), bool)
    for low, high in gaps(when, valid):
        inside |= (when >= low) & (when < high)
    inside[-1] = not valid[-1]  # the last frame has none after it
    np.testing.assert_array_equal(inside, ~valid)


@given(st.integers(1, 300), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_a_decimated_curve_keeps_its_peaks(count: int, bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, valid = rng.uniform(0, 9, count), rng.uniform(size=count) < 0.7
    when, peaks = decimated(np.arange(count) / 25, values, valid, bins)
    assert len(when) == len(peaks) <= bins
    edges = [*np.rint(when * 25).astype(int), count]
    for low, high, peak in zip(edges[:-1], edges[1:], peaks, strict=True):
        known = values[low:high][valid[low:high]]
        assert np.isnan(peak) if len(known) == 0 else peak == known.max()


@pytest.mark.parametrize(
    ("second", "text"),
    [(0, "0:00.00"), (62.346, "1:02.35"), (59.999, "1:00.00"), (3723.5, "1:02:03.50")],
)
def test_clock(second: float, text: str) -> None:
    assert clock(second) == text


def test_heat_lies_where_the_network_looked() -> None:
    points = canonical_landmarks(224, 0.1)
    eyes = np.array([points[36:42].mean(0), points[42:48].mean(0)])
    side = np.linalg.norm(eyes[1] - eyes[0]) / USUAL.eye_distance
    heat = np.zeros((28, 28), np.float32)
    heat[round(28 * USUAL.eye_row - 0.5), 13:15] = 1.0
    grey = np.full((224, 224, 3), 128, np.uint8)
    changed = np.abs(heat_over(grey, heat, points).astype(int) - 128).sum(2)
    rows, columns = np.nonzero(changed > 0.5 * changed.max())
    middle = eyes.mean(0)
    assert (columns.mean(), rows.mean()) == pytest.approx(middle, abs=0.02 * side)
    assert np.ptp(columns) == pytest.approx(2 / 28 * side, abs=0.03 * side)
    np.testing.assert_array_equal(heat_over(grey, np.zeros((28, 28), np.float32), points), grey)


def test_the_index_lists_answers_and_errors() -> None:
    videos = [
        {"name": "good one", **json.loads(to_json(made.analysis(FOUND, None)))},
        {"name": "bad", "error": "it is <no> video"},
    ]
    text = index_html(videos)
    page = Page(text)
    assert "good%20one/page.html" in page.references
    assert "it is &lt;no&gt; video" in text
    assert "1 not sure" in text
    assert RESPONSIBLE_USE in html.unescape(text)
