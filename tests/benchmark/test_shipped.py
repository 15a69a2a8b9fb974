"""The specs that come with microexp: what the issue and the papers say of them, and that all can be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from microexp.benchmark import Changes, load_spec, make_recognizers, make_tasks, published, shipped_specs
from microexp.benchmark.plan import make_quality_tasks
from microexp.benchmark.variants import make_variants

BOWAM = [name for name in shipped_specs() if name.startswith("bowam")]
OTHERS = ["gan_sr", "gan_sr_by_sample", "magnification", "quick", "sr_mer"]
DATA = {"n_subjects": 2, "clips_per_subject": 2, "size": 64}


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights in the cache or below the folder."""
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_the_shipped_specs_in_order() -> None:
    assert list(shipped_specs()) == [*(f"bowam_table{n}" for n in range(1, 12)), *OTHERS]


@pytest.mark.parametrize("name", shipped_specs())
@pytest.mark.usefixtures("nothing_here")
def test_every_row_and_variant_of_a_shipped_spec_can_be_made_and_no_two_rows_are_the_same(name: str) -> None:
    spec = load_spec(name)
    made = [repr((type(r), sorted(r.get_params().items(), key=str))) for r in make_recognizers(spec)]
    assert len(set(made)) == len(spec.recognisers)
    variants = make_variants(spec)
    assert len({variant.label for variant in variants}) == len(variants)
    assert all(variant.problem.startswith(f"{name}, line ") for variant in variants if variant.problem)


@pytest.mark.parametrize("name", BOWAM)
def test_a_table_of_bowam_says_how_its_figures_came_about(name: str) -> None:
    spec = load_spec(name)
    assert spec.source.endswith(name.replace("bowam_table", "table "))
    assert name == "bowam_table3" or "test subject" in spec.published_protocol
    assert all(row.published for row in spec.recognisers)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_published_figures_of_the_comparisons_are_all_those_of_the_methods_that_are_here(number: int) -> None:
    table = published.read("bowam", number)
    known = {row.method: row.published for row in load_spec(f"bowam_table{number}").recognisers}
    table = table[table["recogniser"].isin(known)]
    for row in table.itertuples():
        column = row.measure
        if number == 1 and row.database != "megc2019":
            column = f"{row.database} {column}"
        if number == 2:
            column = f"{row.classes} classes {column}"
        assert known[row.recogniser][column] == row.value
    assert len(table) == sum(len(figures) for figures in known.values())


def test_the_papers_own_model_has_the_same_figures_and_settings_in_every_ablation() -> None:
    ours = []
    for name in [f"bowam_table{n}" for n in (1, *range(4, 12))]:
        spec = load_spec(name)
        made = zip(spec.recognisers, make_recognizers(spec), strict=True)
        best = [(row, r) for row, r in made if row.published["UF1"] == 0.9090]
        assert len(best) == 1
        ours.append((best[0][0].published["UAR"], repr(best[0][1].get_params())))
    assert len(set(ours)) == 1
    assert ours[0][0] == 0.9103


@pytest.mark.parametrize("table", ["II", "III", "IV"])
@pytest.mark.usefixtures("nothing_here")
def test_the_study_has_every_cell_of_its_tables_and_no_other(table: str) -> None:
    spec = load_spec("sr_mer")
    cells = published.read("sr_mer", table)
    cells = cells[cells["measure"] == "WAR"].fillna({"superres": "original"})
    ours = {
        (row.method, variant.factors["resolution"], variant.factors["superres"])
        for row in spec.recognisers
        for variant in make_variants(spec)
    }
    assert ours == set(cells[["recogniser", "resolution", "superres"]].itertuples(index=False, name=None))
    (database,) = set(cells["database"])
    assert database in {d.name for d in spec.databases}
    printed = set(cells["strategy"])
    assert {variant.label.rpartition(" ")[2] for variant in make_variants(spec)} == printed


def test_magnification_has_the_rows_of_the_paper() -> None:
    spec = load_spec("magnification")
    levels = [(v.factors["magnification"], v.factors["cascade"]) for v in spec.variants]
    assert {("none", 0), *(("single_image", n) for n in (1, 2, 3))} <= set(levels)
    assert set(published.read("magnification", "I")["magnification"]) <= {name for name, _ in levels}


def test_the_gan_paper_is_there_by_subject_and_by_sample_and_else_the_same() -> None:
    honest, leaking = load_spec("gan_sr"), load_spec("gan_sr_by_sample")
    assert (honest.protocol, leaking.protocol) == ("subjects-5", "samples-5")
    aside = {"protocol", "title"}
    assert honest.model_dump(exclude=aside) == leaking.model_dump(exclude=aside)


@pytest.mark.usefixtures("nothing_here")
def test_quick_needs_no_option_and_no_download() -> None:
    spec = load_spec("quick")
    tasks = make_tasks(spec, jobs=1)
    assert len(tasks) == 6 * 4
    assert not any(task.job.problem for task in tasks)
    assert {task.job.folds for task in tasks} == {5}
    assert len(make_quality_tasks(spec, tasks)) == 3


@pytest.mark.usefixtures("nothing_here")
def test_the_study_plans_on_drawn_faces_and_says_what_weights_are_missing() -> None:
    spec = load_spec("sr_mer", Changes(database="synthetic", data=DATA, prepare=[]))
    jobs = [task.job for task in make_tasks(spec, jobs=1)]
    assert len(jobs) == 30 * 7
    runnable = {job.factors["superres"] for job in jobs if not job.problem}
    assert runnable == {"original", "bicubic", "bicubic_restore"}
    (problem,) = {job.problem for job in jobs if job.variant == "RDN 128to256"}
    assert problem.startswith("sr_mer, line ")
    assert "weights[2]" in problem
    assert "microexp weights get rdn-x2-mmagic" in problem
    keys = {(job.label, job.variant): job.key for job in jobs}
    assert len(set(keys.values())) == len(jobs)
