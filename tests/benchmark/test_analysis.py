from __future__ import annotations

from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from microexp.benchmark import analysis, published
from microexp.benchmark.analysis import Results, Table, balanced, by_database
from microexp.benchmark.comparisons import beside_published, paired
from microexp.benchmark.figures import factor_figure, quality_figure
from microexp.benchmark.paired import holm
from microexp.benchmark.plan import Job
from microexp.benchmark.run import State
from microexp.evaluate.metrics import scores

TABLES = {"casme2": "II", "samm": "III", "smic": "IV"}
FACTORS = ["resolution", "superres"]
NO_SETS = pd.DataFrame(columns=["database", "variant"])


def row(label: str, variant: str, value: float | None, **more: object) -> dict[str, Any]:
    """A row of a benchmark's table; all three measures are the same."""
    figures = dict.fromkeys(("UF1", "UAR", "WAR"), value)
    nothing = {f"{metric}_majority": None if value is None else 0.3 for metric in figures}
    base = {"label": label, "method": label, "variant": variant, "database": "casme2", "data": "labels x"}
    base |= {"status": "failed" if value is None else "done", "rule": "last epoch" if value else ""}
    return {**base, "folder": f"runs/{label}-{variant}", **figures, **nothing, **more}


def study(database: str) -> Results:
    """The study's table of a database, as if it had been run here."""
    table = published.read("sr_mer", TABLES[database])
    rows = [
        row(
            cell["recogniser"],
            f"{cell['superres']} {cell['strategy']}",
            cell["value"],
            database=database,
            resolution=cell["resolution"],
            superres="original" if pd.isna(cell["superres"]) else cell["superres"],
        )
        for cell in table[table["measure"] == "WAR"].to_dict("records")
    ]
    (results,) = by_database(rows, FACTORS)
    return results


def study_quality(database: str) -> pd.DataFrame:
    table = published.read("sr_mer", "V")
    own = table[table["database"] == database]
    keys = ["resolution", "superres", "strategy"]
    wide = own.pivot(index=keys, columns="measure", values="value").reset_index()
    wide["variant"] = wide["superres"] + " " + wide["strategy"]
    wide = wide.rename(columns={"PSNR": "psnr", "SSIM": "ssim"})
    return wide.assign(database=database, clip="c", data="d", file="quality/x.json")


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in line] for line in table.rows]


@pytest.mark.parametrize("database", TABLES)
def test_the_means_of_the_studys_tables_are_those_printed_beside_and_below(database: str) -> None:
    results = study(database)
    table = analysis.grid(results, "WAR")
    cells = {line[0]: line for line in texts(table)}
    theirs = published.read("sr_mer", TABLES[database])
    means = theirs[theirs["measure"] == "mean WAR"]
    beside = means[means["recogniser"].isna()]
    assert len(beside) == len(table.rows) - 1 == 30
    for cell in beside.to_dict("records"):
        assert float(cells[f"{cell['superres']} {cell['strategy']}"][-1]) == pytest.approx(
            cell["value"], abs=1e-3
        )
    below = means.dropna(subset=["recogniser"]).set_index("recogniser")["value"]
    for label, text in zip(table.head[3:-1], cells["mean"][3:-1], strict=True):
        assert float(text) == pytest.approx(below[label], abs=1e-3)


@pytest.mark.parametrize("database", TABLES)
def test_the_studys_analysis_of_variance_comes_out_of_its_tables(database: str) -> None:
    effects, groups = analysis.variance(study(database))
    found = {line[0]: line for line in texts(effects)}
    theirs = published.read("sr_mer", "VI")
    theirs = theirs[theirs["database"] == database]
    p = theirs.set_index("measure")["value"]["p of superres"]
    assert float(found["superres"][4]) == pytest.approx(p, abs=1e-4)
    assert [found[name][1] for name in (*FACTORS, "recogniser", "residual")] == ["3", "4", "6", "126"]
    letters = theirs[theirs["measure"] == "letters"]
    printed = {str(c["resolution"] if pd.isna(c["recogniser"]) else c["recogniser"]): c["printed"]
               for c in letters.to_dict("records")}  # fmt: skip
    ours = {line[1]: line[4] for line in texts(groups)}
    assert {level: ours[level] for level in printed} == printed


def test_the_largest_complete_grid_is_what_brute_force_finds() -> None:
    def grids(cells: set[tuple[int, str]]) -> int:
        firsts, seconds = sorted({a for a, _ in cells}), sorted({b for _, b in cells})
        sizes = [
            (int(len(a) > 1) + int(len(b) > 1), len(a) * len(b))
            for n in range(1, len(firsts) + 1)
            for a in combinations(firsts, n)
            for m in range(1, len(seconds) + 1)
            for b in combinations(seconds, m)
            if set(product(a, b)) <= cells
        ]
        return max(sizes)

    @settings(max_examples=60, deadline=None)
    @given(st.sets(st.tuples(st.integers(1, 4), st.sampled_from("abcde")), min_size=1))
    def check(cells: set[tuple[int, str]]) -> None:
        rows = [row("net", f"{a}{b}", 0.5, resolution=a, superres=b) for a, b in sorted(cells)]
        part, varying = balanced(by_database(rows, FACTORS)[0])
        there = set(zip(part["resolution"], part["superres"], strict=True))
        assert there == set(product(set(part["resolution"]), set(part["superres"])))
        assert (len(varying), len(there)) == grids(cells)

    check()


def test_the_study_is_analysed_at_four_resolutions_and_five_methods() -> None:
    part, varying = balanced(study("casme2"))
    assert varying == FACTORS
    assert set(part["resolution"]) == {16, 32, 64, 128}
    assert set(part["superres"]) == {"bicubic", "bicubic_restore", "edsr", "rdn", "glean"}


def test_a_mean_over_an_incomplete_set_is_not_taken() -> None:
    values = {("a", "v"): 0.25, ("b", "v"): None, ("a", "w"): 0.5, ("b", "w"): 0.75}
    rows = [row(label, v, x, resolution=1, superres=v) for (label, v), x in values.items()]
    (results,) = by_database(rows, FACTORS)
    v, w, below = texts(analysis.grid(results, "WAR"))
    assert v[3:] == ["0.2500", "failed", "incomplete (1 of 2)"]
    assert w[3:] == ["0.5000", "0.7500", "0.6250"]
    assert below[3:] == ["0.3750", "incomplete (1 of 2)", "incomplete (3 of 4)"]
    (only,) = analysis.variance(results)
    assert not only.rows
    assert "1 of its 4 cells" in only.note
    assert not factor_figure(results).svg
    assert "1 of its 4 cells" in factor_figure(results).note
    quality = study_quality("casme2").head(2).assign(variant=["v", "w"])
    assert "not complete on 1 of 2 variants" in analysis.correlations(results, quality).note


def test_what_has_one_level_is_not_analysed_and_it_is_said() -> None:
    (results,) = by_database([row("a", "v", 0.5, resolution=1, superres="x")], FACTORS)
    (only,) = analysis.variance(results)
    assert (len(only.rows), only.note[:9]) == (0, "Not made:")
    assert "no factor" in factor_figure(results).note
    empty = study_quality("casme2").head(0)
    for made in (analysis.correlations(results, empty), analysis.quality_table([results], empty)):
        assert not made.rows
        assert "quality" in made.note
    assert not quality_figure(results, empty).svg


def test_of_a_row_that_leaks_the_honest_figure_is_used_and_else_it_is_said() -> None:
    leak = row("net", "v", 0.9, rule="LEAKS: epoch chosen on the test subject", superres="x")
    honest = row("net", "v", 0.5, rule="last epoch", superres="x")
    (results,) = by_database([leak, honest], ["superres"])
    assert results.table["WAR"].tolist() == [0.5]
    assert not results.leak_note
    (alone,) = by_database([leak], ["superres"])
    assert alone.table["WAR"].tolist() == [0.9]
    assert "LEAK" in analysis.grid(alone, "WAR").note


def test_databases_under_two_schemes_stay_apart() -> None:
    rows = [row("net", "", value, data=f"labels {n}") for n, value in enumerate((0.1, 0.2))]
    assert [results.name for results in by_database(rows, [])] == ["casme2 (labels 0)", "casme2 (labels 1)"]


@pytest.mark.parametrize("database", TABLES)
def test_quality_and_recognition_go_together_as_scipy_says(database: str) -> None:
    results, quality = study(database), study_quality(database)
    table = analysis.correlations(results, quality)
    found = {(line[0], line[1]): line for line in texts(table)}
    mean = results.table.groupby("variant")["WAR"].mean().round(12)
    for name, part in (("all variants", quality), ("resolution 64", quality[quality["resolution"] == 64])):
        for shown, measure in (("PSNR", "psnr"), ("SSIM", "ssim")):
            line = found[name, shown]
            war = mean.loc[part["variant"]]
            assert int(line[2]) == len(part)
            assert float(line[3].split()[0]) == pytest.approx(
                stats.pearsonr(part[measure], war)[0], abs=0.0051
            )
            assert float(line[5].split()[0]) == pytest.approx(
                stats.spearmanr(part[measure], war)[0], abs=0.0051
            )


def test_the_best_of_the_studys_table_v_are_those_that_its_text_names() -> None:
    """Section III-C: at 64 SRCNN has the best PSNR and Real-ESRGAN the best SSIM on all databases."""
    every = [study(database) for database in TABLES]
    quality = pd.concat([study_quality(database) for database in TABLES])
    table = analysis.quality_table(every, quality)
    assert len(table.rows) == 25
    at_64 = {line[0].text: line for line in table.rows if line[1].text == "64"}
    for column, head in enumerate(table.head[3:], start=3):
        best = [name for name, line in at_64.items() if line[column].best]
        assert best == ["srcnn 64to256" if "PSNR" in head else "real_esrgan 64to256"]


def test_figures_are_drawn_of_the_study_and_the_same_each_time() -> None:
    results, quality = study("samm"), study_quality("samm")
    for draw in (lambda: factor_figure(results), lambda: quality_figure(results, quality)):
        first = draw()
        assert first.svg == draw().svg
        assert first.svg.startswith("<svg")
        assert all(label in first.svg for label in results.labels)


def write_run(out: Path, folder: str, truth: list[int], predicted: list[int], people: list[str]) -> None:
    (out / folder).mkdir(parents=True)
    table = pd.DataFrame({"database": "casme2", "subject": people, "clip": range(len(truth)), "emotion": "x"})
    table = table.assign(label=truth, seed=0, p_a=0, p_b=1)
    table["predicted (last epoch)"] = predicted
    table.sample(frac=1, random_state=0).to_csv(out / folder / "predictions.csv", index=False)


def test_pairs_are_those_of_one_variant_and_those_with_the_baseline(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    people = [f"0{i // 4}" for i in range(24)]
    truth = rng.integers(2, size=24).tolist()
    variants = [("small", 16, "bicubic"), ("large", 16, "bicubic_restore"), ("net", 16, "edsr"),
                ("whole", 64, "original")]  # fmt: skip
    rows, predicted = [], {}
    for (variant, resolution, superres), label in product(variants, ("a", "b")):
        rows.append(row(label, variant, 0.5, resolution=resolution, superres=superres))
        folder = rows[-1]["folder"]
        predicted[variant, label] = rng.integers(2, size=24).tolist()
        write_run(tmp_path, folder, truth, predicted[variant, label], people)
    (results,) = by_database(rows, FACTORS)
    recognisers, baseline = paired(results, tmp_path)
    assert [line[:3] for line in texts(recognisers)] == [[v, "a", "b"] for v, _, _ in variants]
    assert {tuple(line[:3]) for line in texts(baseline)} == {
        (variant, label, "large") for variant, label in product(("small", "net"), ("a", "b"))
    }
    for line in texts(recognisers):
        uf1 = [scores(np.array(truth), np.array(predicted[line[0], label]), 2).uf1 for label in ("a", "b")]
        assert float(line[3]) == pytest.approx(uf1[0] - uf1[1], abs=5e-5)
    p = [float(line[5]) for line in texts(recognisers)]
    np.testing.assert_allclose([float(line[6]) for line in texts(recognisers)], holm(p), atol=4e-4)
    (tmp_path / "runs/a-net/predictions.csv").unlink()
    assert "1 of 4 pairs" in paired(results, tmp_path)[0].note


MAGNIFIED = [("plain", "none", 0), ("wave", "phase", 1), ("Mag1", "net", 1), ("Mag2", "net", 2)]


def magnified(out: Path, sides: tuple[int, ...] = (64,)) -> tuple[Results, dict[str, list[int]]]:
    """Runs of one recogniser on magnified clips, of one size or several, and what it predicted of each."""
    people = [f"0{i // 4}" for i in range(24)]
    rng = np.random.default_rng(0)
    truth, rows, predicted = rng.integers(2, size=24).tolist(), [], {"truth": []}
    for side, (name, method, passes) in product(sides, MAGNIFIED):
        variant = f"{name} {side}"
        rows.append(row("net", variant, 0.5, side=side, magnification=method, cascade=passes))
        predicted[variant] = rng.integers(2, size=24).tolist()
        write_run(out, rows[-1]["folder"], truth, predicted[variant], people)
    (results,) = by_database(rows, ["side", "magnification", "cascade"])
    return results, {**predicted, "truth": truth}


def test_every_magnification_is_tested_against_none_however_many_its_passes(tmp_path: Path) -> None:
    results, predicted = magnified(tmp_path)
    recognisers, baseline = paired(results, tmp_path)
    assert not recognisers.rows  # there is one
    assert baseline.title == "Against magnification none on casme2"
    assert [line[:3] for line in texts(baseline)] == [
        [f"{name} 64", "net", "plain 64"] for name in ("wave", "Mag1", "Mag2")
    ]
    truth = np.array(predicted["truth"])
    for line in texts(baseline):
        first, second = (scores(truth, np.array(predicted[name]), 2).uf1 for name in (line[0], line[2]))
        assert float(line[3]) == pytest.approx(first - second, abs=5e-5)
    p = [float(line[5]) for line in texts(baseline)]
    np.testing.assert_allclose([float(line[6]) for line in texts(baseline)], holm(p), atol=4e-4)


def test_magnification_is_tested_against_none_of_the_same_size(tmp_path: Path) -> None:
    results, _ = magnified(tmp_path, (32, 64))
    pairs = [(line[0], line[2]) for line in texts(paired(results, tmp_path)[1])]
    assert pairs == [(f"{name} {s}", f"plain {s}") for s in (32, 64) for name in ("wave", "Mag1", "Mag2")]


def test_without_the_run_on_unmagnified_clips_nothing_is_tested_and_it_is_said(tmp_path: Path) -> None:
    results, _ = magnified(tmp_path)
    lacking = results.table.assign(status=["failed", "done", "done", "done"])
    table = paired(Results("casme2", lacking, results.factors), tmp_path)[1]
    assert not table.rows
    assert "none of the 3 pairs" in table.note
    without = Results("casme2", results.table[1:], results.factors)
    assert "no pair to compare" in paired(without, tmp_path)[1].note


def test_runs_on_different_clips_are_not_compared(tmp_path: Path) -> None:
    (results,) = by_database([row("a", "", 0.5), row("b", "", 0.5)], [])
    write_run(tmp_path, "runs/a-", [0, 1, 0], [0, 1, 1], ["x", "y", "z"])
    write_run(tmp_path, "runs/b-", [0, 1], [0, 1], ["x", "y"])
    (table,) = paired(results, tmp_path)
    assert not table.rows
    assert "none of the 1 pairs" in table.note


def state(folder: str, **summary: object) -> State:
    job = Job(
        label="x", database="d", data={}, published={}, note="", config={}, seeds=[0], clips=1, subjects=1,
        n_folds=1, remarks=[],
    )  # fmt: skip
    return State(job, "done", 1, folder, summary={"rule": "last epoch", "databases": {}, **summary})


def test_cells_of_the_study_stand_beside_ours_with_the_difference() -> None:
    results, quality = study("smic"), study_quality("smic").assign(psnr=lambda q: q["psnr"] + 1)
    ours = results.table.assign(WAR=results.table["WAR"] - 0.1)
    found = [state(folder, classes=["a", "b", "c"]) for folder in ours["folder"]]
    tables = {
        t.title.split()[2]: t for t in beside_published(found, ours.to_dict("records"), quality, NO_SETS)
    }
    assert set(tables) == {"IV", "V"}
    assert len(tables["IV"].rows) == 30 * 7
    assert {line[-1] for line in texts(tables["IV"])} == {"-0.100"}
    assert len(tables["V"].rows) == 25 * 2
    differences = {(line[4], line[-1]) for line in texts(tables["V"])}
    assert differences == {("PSNR", "+1.00"), ("SSIM", "+0.0000")}
    found = [state(folder, classes=["a", "b"]) for folder in ours["folder"]]  # of another scheme
    (nothing,) = beside_published(found, ours.to_dict("records"), quality.head(0), NO_SETS)
    assert not nothing.rows


def test_parts_of_the_composite_stand_beside_its_tables_and_single_databases_do_not() -> None:
    figures = {"UF1": 0.5, "UAR": 0.5, "WAR": 0.5}
    parts = dict.fromkeys(("smic", "samm", "casme2"), figures)
    summary = {"classes": ["a", "b", "c"], "databases": parts}
    ours = [row("mine", "", 0.5, database="megc2019", method="featref", folder="runs/f")]
    empty = pd.DataFrame(columns=["database", "variant"])
    tables = beside_published([state("runs/f", **summary)], ours, empty, NO_SETS)
    assert len(tables) == 2  # table 1 of BOWAM and table II on magnification
    for table in tables:
        assert {line[0] for line in texts(table)} == {"megc2019", "smic", "samm", "casme2"}
        assert {line[4] for line in texts(table)} == {"UF1", "UAR"}
    alone = [{**ours[0], "database": "smic"}]
    (nothing,) = beside_published([state("runs/f", **summary)], alone, empty, NO_SETS)
    assert not nothing.rows


def set_distances() -> pd.DataFrame:
    """Distances of the composite database and two parts, magnified once and twice."""
    parts = {"megc2019": 442, "casme2": 145, "samm": 133}
    return pd.DataFrame(
        {"database": "megc2019", "variant": f"Mag{n}", "magnification": "single_image", "cascade": n,
         "part": part, "pictures": count, "singular": count < 769, "FD-768": 3.5 + n, "KID-768": -0.00125,
         "file": f"quality/{n}.json"}
        for n in (1, 2) for part, count in parts.items()
    )  # fmt: skip


def test_published_fid_stands_beside_ours_without_a_difference() -> None:
    (table,) = beside_published([], [], NO_SETS, set_distances())
    assert table.title.startswith("Beside table I of Song")
    printed = {"megc2019": "12.002", "casme2": "14.725", "samm": "19.911"}  # table I, of one pass
    assert texts(table) == [
        [part, "Mag1", "", "", "FD-768 beside FID", "4.500", fid, "not comparable"]
        for part, fid in printed.items()
    ]
    assert "values are not comparable" in table.note
    assert table.sources == ["quality/1.json"]
    alone = set_distances().assign(database="casme2", part="casme2")
    (nothing,) = beside_published([], [], NO_SETS, alone)
    assert not nothing.rows  # the paper's figures are of the composite database


def test_the_table_of_distances_has_a_row_a_variant_and_says_what_they_rest_on() -> None:
    rows = [
        row("net", name, 0.5, database="megc2019", magnification=method, cascade=n)
        for name, method, n in (
            ("plain", "none", 0),
            ("Mag1", "single_image", 1),
            ("Mag2", "single_image", 2),
        )
    ]
    every = by_database(rows, ["magnification", "cascade"])
    distances = set_distances()
    table = analysis.distance_table(every, distances[:5], [])
    assert table.head[3:] == [
        f"{measure}, {name}"
        for name in ("megc2019", "megc2019: casme2", "megc2019: samm")
        for measure in ("FD-768", "KID-768")
    ]
    assert texts(table) == [
        ["Mag1", "single_image", "1", *["4.50", "-0.0013"] * 3],
        ["Mag2", "single_image", "2", *["5.50", "-0.0013"] * 2, "to do", "to do"],
    ]
    assert (
        "megc2019 442, singular; megc2019: casme2 145, singular; megc2019: samm 133, singular" in table.note
    )
    many = distances.assign(pictures=900, singular=False)
    assert "megc2019 900; megc2019: casme2 900;" in analysis.distance_table(every, many, []).note
    nothing = analysis.distance_table(every, distances[:0], ["no weights", "no weights"])
    assert (nothing.rows, nothing.note) == ((), "Not measured: no weights.")
