from __future__ import annotations

from pathlib import Path

import pytest

from microexp import demo


def test_the_demo_ends_in_a_report_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SUBJECTS", 3)
    monkeypatch.setattr(demo, "CLIPS_EACH", 4)
    monkeypatch.setattr(demo, "SIZE", 64)
    monkeypatch.setitem(demo.RECOGNISERS, "ststnet", {"epochs": 2})
    seen: list[str] = []
    report = demo.run_demo(tmp_path / "demo", jobs=1, progress=lambda what, done, total: seen.append(what))
    html = report.read_text(encoding="utf-8")
    for name in demo.RECOGNISERS:
        assert name in html
        assert len(list((tmp_path / "demo" / "runs").glob(f"{name}-*/table.csv"))) == 1
        assert f"{name}: folds" in seen
    assert "results on them prove code, not science" in html
    assert html.count('class="sample"') >= 3
    assert html.count("data:image/webp;base64,") == 5 * html.count('class="sample"')
    folds = {p: p.stat().st_mtime_ns for p in (tmp_path / "demo").rglob("folds/*.json")}
    assert len(folds) == 9
    demo.run_demo(tmp_path / "demo", jobs=1)
    assert {p: p.stat().st_mtime_ns for p in folds} == folds
