from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from microexp.benchmark import Plan, Task, make_plan, make_tasks, run, write_reports
from microexp.benchmark.figures import strip_file, write_strips
from microexp.benchmark.plan import make_quality_tasks
from microexp.benchmark.spec import parse_spec
from microexp.datasets.base import Dataset
from microexp.evaluate.engines import make_engine
from tests.evaluate.test_report import Balance

TEXT = """\
title: Small & <b>quick</b>
databases:
  - {name: synthetic, labels: megc3, params: {n_subjects: 3, clips_per_subject: 3, size: 64}}
restorations:
  size: 64
  resolutions: [16, 32]
  methods:
    - {label: Bicubic, method: none}
    - {label: Restored, method: bicubic}
recognisers:
  - {label: weak, method: linear_svm, params: {C: 1e-7}}
  - {label: strong_1, method: linear_svm, params: {C: 0.1}}
"""
VARIANTS = 5
Ran = tuple[Plan, list[Task], Path]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    out = tmp_path_factory.mktemp("report")
    spec = parse_spec(TEXT, "small.yaml")
    tasks = make_tasks(spec, 1)
    plan = make_plan(spec, tasks)
    run(plan, tasks, out, qualities=make_quality_tasks(spec, tasks), engine=make_engine("serial"))
    assert not write_strips(tasks, out)
    return plan, tasks, out


def test_the_table_has_a_row_a_job_in_the_order_of_the_plan_and_no_times(ran: Ran) -> None:
    plan, _, out = ran
    files = write_reports(plan, out)
    before = [file.read_bytes() for file in files]
    table = pd.read_csv(files[0])
    assert list(zip(table["label"], table["variant"], strict=True)) == [
        (j.label, j.variant) for j in plan.jobs
    ]
    assert len(table) == 2 * VARIANTS
    assert table["resolution"].tolist() == [job.factors["resolution"] for job in plan.jobs]
    assert table["superres"].tolist() == [job.factors["superres"] for job in plan.jobs]
    assert not [column for column in table if "second" in column]
    times = pd.read_csv(out / "times.csv")
    assert times["key"].tolist() == [job.key for job in plan.jobs]
    assert (times["seconds"] > 0).all()
    assert [file.read_bytes() for file in write_reports(plan, out)] == before


def test_the_page_is_one_well_formed_file_whose_links_lead_to_the_runs(ran: Ran) -> None:
    plan, _, out = ran
    html = write_reports(plan, out)[2].read_text()
    parser = Balance()
    parser.feed(
        re.sub(r"<script>.*</script>", "", re.sub(r"<svg.*?</svg>", "", html, flags=re.S), flags=re.S)
    )
    assert not parser.faults
    assert not parser.open
    assert "Small &amp; &lt;b&gt;quick&lt;/b&gt;" in html
    places = set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', html))
    assert len([place for place in places if place.startswith("runs/")]) == 2 * VARIANTS
    assert all((out / place).exists() for place in places)
    assert html.count("<svg") == 2
    assert html.count('src="data:image/webp') == VARIANTS
    assert "http" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.S)
    titles = ("Analysis of variance of WAR on synthetic", "Groups of levels", "Quality of the restored clips")
    others = ("Quality and WAR", "Recognisers in pairs", "Against superres bicubic_restore")
    assert all(title in html for title in (*titles, *others))
    for job in plan.jobs:
        assert job.config["data"] in html
    assert "resolutions" in html  # of the spec


def test_latex_has_the_grids_and_the_plain_table(ran: Ran) -> None:
    plan, _, out = ran
    tex = write_reports(plan, out)[1].read_text()
    tabulars = re.findall(r"\\begin\{tabular\}\{([lrc]+)\}(.*?)\\end\{tabular\}", tex, flags=re.S)
    assert len(tabulars) == 5  # WAR, UF1, UAR, quality, all rows
    for columns, body in tabulars:
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) > 1
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines)
    assert r"strong\_1" in tex
    assert r"\underline{" in tex


def test_what_is_not_complete_has_no_figure_and_no_mean(ran: Ran, tmp_path: Path) -> None:
    plan, _, _ = ran
    csv, tex, html = write_reports(plan, tmp_path)
    table = pd.read_csv(csv)
    assert set(table["status"]) == {"to do"}
    assert table[["UF1", "WAR", "WAR_majority", "classes"]].isna().all(axis=None)
    assert "incomplete (0 of 2)" in tex.read_text()
    page = html.read_text()
    assert "<svg" not in page
    assert f"0 of {2 * VARIANTS} rows complete" in page
    for reason in ("Not made: 8 of its 8 cells are not complete", "No quality was measured", "Not drawn"):
        assert reason in page


def test_published_figures_stand_in_the_page_only_if_asked_for(ran: Ran) -> None:
    plan, _, out = ran
    assert "Beside the published figures" not in write_reports(plan, out)[2].read_text()
    page = write_reports(plan, out, against="published")[2].read_text()
    assert "No job matches a cell of a published table" in page  # drawn faces are in no paper


def test_quality_of_other_data_under_the_same_names_is_left_out(ran: Ran) -> None:
    plan, _, out = ran
    spec = parse_spec(TEXT.replace("  size: 64", "  kernel: opencv\n  size: 64"), "small.yaml")
    other = make_plan(spec, make_tasks(spec, 1))
    assert [job.variant for job in other.jobs] == [job.variant for job in plan.jobs]
    assert "No quality was measured" in write_reports(other, out)[2].read_text()


def test_a_strip_shows_small_restored_flow_and_original(ran: Ran, tmp_path: Path) -> None:
    plan, tasks, out = ran
    widths = {}
    for job in plan.jobs:
        with Image.open(strip_file(out, job.database, job.variant, job.config["data"])) as strip:
            widths[job.factors["superres"]] = strip.width
    panel = widths["bicubic"] - widths["original"]
    assert widths["bicubic_restore"] == widths["bicubic"] + panel
    broken = Dataset(tasks[0].dataset.table, tasks[0].dataset.classes, clips=[
        clip.replace(apex=None) for clip in tasks[0].dataset.clips or ()], fingerprint="no apex")  # fmt: skip
    (remark,) = write_strips([replace(tasks[0], dataset=broken)], tmp_path)
    assert "No strip of" in remark
    assert "apex" in remark
    assert not list(tmp_path.rglob("*.webp"))


def test_a_strip_is_drawn_of_the_pictures_themselves(ran: Ran) -> None:
    _, tasks, out = ran
    task = next(t for t in tasks if t.job.factors["superres"] == "original")
    file = strip_file(out, task.job.database, task.job.variant, task.job.config["data"])
    apex = (task.dataset.clips or ())[0].key_frame("apex")
    with Image.open(file) as strip:
        shown = np.asarray(
            strip.convert("RGB").crop((0, 0, 176, 176)).resize((64, 64), Image.Resampling.BOX), int
        )
    assert np.abs(shown - apex).mean() < 4
