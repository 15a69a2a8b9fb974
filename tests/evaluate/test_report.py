from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from microexp import recognize
from microexp.evaluate import LeakageWarning, loso
from microexp.evaluate.report import write_report
from tests.conftest import flow_dataset


class Balance(HTMLParser):
    """Collects tags that are opened and not closed, or closed and not opened."""

    VOID = frozenset({"meta", "img", "br", "link", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def test_the_report_is_one_well_formed_file_that_needs_nothing_else(tmp_path: Path) -> None:
    result = loso(recognize.create("linear_svm"), flow_dataset(databases=2), seeds=(0, 1), jobs=1)
    html = write_report(tmp_path / "r.html", [result], title="A <b>title</b> & more").read_text()
    parser = Balance()
    parser.feed(html)
    assert not parser.faults
    assert not parser.open
    assert "A &lt;b&gt;title&lt;/b&gt; &amp; more" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "<script" not in html
    row = result.table.iloc[0]
    for figure in (row["UF1"], row["UF1_low"], row["UF1_high"], row["UF1_majority"]):
        assert f"{figure:.3f}" in html
    for count in result.confusion().confusion.ravel():
        assert f">{count}</td>" in html
    assert result.dataset.fingerprint in html


def test_leaking_figures_are_marked(tmp_path: Path) -> None:
    net = recognize.create("ststnet", epochs=2, device="cpu")
    with pytest.warns(LeakageWarning):
        result = loso(net, flow_dataset(), selection="test-fold", jobs=1)
    html = write_report(tmp_path / "r.html", [result], title="t").read_text()
    assert 'class="remark">The epoch was chosen on the test subject' in html
    assert "LEAKS: epoch chosen on the test subject" in html
