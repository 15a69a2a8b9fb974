"""The analysis of variance of the SR-MER study's table VI, repeated from its tables II to IV.

    python benchmarks/anova_published.py

prints a Markdown page and writes it to docs/anova.md, and the figures to
benchmarks/results/anova_published.json.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import optimize, stats

from microexp.benchmark import published
from microexp.benchmark.grouping import group
from microexp.benchmark.statistics import RESIDUAL, anova, correlation
from microexp.evaluate.versions import versions

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "anova_published.json"
PAGE = ROOT / "docs" / "anova.md"
DATABASES = {"casme2": ("II", "CASME II"), "samm": ("III", "SAMM"), "smic": ("IV", "SMIC-HS")}
FACTORS = ["resolution", "superres", "recogniser"]
AT_EVERY_RESOLUTION = ["bicubic_restore", "edsr", "rdn", "glean"]
MODELS = {  # rows, order of interactions
    "five levels, main effects": (["bicubic", *AT_EVERY_RESOLUTION], 1),
    "five levels, interactions of two": (["bicubic", *AT_EVERY_RESOLUTION], 2),
    "four levels, main effects": (AT_EVERY_RESOLUTION, 1),
    "four levels, interactions of two": (AT_EVERY_RESOLUTION, 2),
    "all 13 methods and bicubic, main effects": (None, 1),
}
THEIRS = "five levels, main effects"

INTRODUCTION = """# The published tables of the SR-MER study, analysed again

Zhou et al., "An Empirical Study of Super-resolution on Low-resolution Micro-expression Recognition", print
the WAR of seven recognisers after every super-resolution method (tables II to IV) and an analysis of variance
by resolution, super-resolution and recogniser with groups of levels (table VI). The tables ship with the
package (`microexp.benchmark.published`), so their analysis can be repeated from their own figures. This page
is made by `python benchmarks/anova_published.py`.

## In short

* Table VI is an analysis of variance by main effects alone, and its letters are Duncan's at level .05. That
  follows from the figures: {means} of {all_means} group means, all {letters} letters and the three p-values
  of super-resolution come out, to the last printed digit.
* Super-resolution has **five** levels in it, not the four that the paper names: the small clips that were not
  enlarged (`bicubic`) are the fifth. That is why the means by resolution and by recogniser contain them.
* The six other p-values are printed far larger than the F of the same model gives. All are below .0001 either
  way.
* Resolution and recogniser interact. With the interactions of two factors in the model super-resolution has
  p = {p_five:.3f} on CASME II, but only through the small clips: among the four methods that enlarge, p is
  {p_four:.2f}.
* Over all resolutions quality and recognition rise together. Among the methods at 64 x 64, where resolution
  plays no part, the intervals of the correlation hold 0 on CASME II and SAMM and hardly miss it on SMIC-HS.

The noise of this analysis is what the main effects leave of 140 cells, one for each combination. The cells of
a database are of the same clips and not independent, so its p-values are no more than a description.
"""

DIFFERENCES = """
## What contradicts what

Found while the tables were transcribed and repeated; none is corrected in the data.

{found}
* Section III-D says that super-resolution has four levels; its p-values are those of five (see above).
* The caption of table VI has categories a to d; 3DHOG is e on CASME II and SAMM.
* Section III-C gives .6093 as the video methods' mean SSIM on CASME II; table V gives .8093. It gives
  Real-ESRGAN an SSIM of .9670 on SAMM; table V has .8670, and the mean that the text prints needs .8670.
* Section III-D sets 128 x 128 apart from the other resolutions on all databases; on CASME II 64 x 64 is in
  its group.
* Section II-A counts 256 clips of CASME II. All figures of LBP-TOP, LBP-SIP and 3DHOG are shares of 255 there
  (of 159 on SAMM, of 164 on SMIC-HS).

The transcription: all 111 means printed beside and below tables II to IV are those of the cells within
rounding, so no cell alone is misread by more than .014; none of the 420 behind table VI is by more than .002,
or a mean there would not come out. The means in section III-C come out of tables II to V but for the one
above.

Of the other papers' tables: in table I of Song et al. MEMM has the lowest FID on SAMM (16.404 against
19.911), though the text says that their method is best. Table 1 of Mariyathas et al. calls SRGAN what the
text calls ESRGAN, and the earlier figures that it compares with (29.5 dB, mean squared error .00085) cannot
be means of the same pictures: a mean PSNR is never below the PSNR of the mean error, here 30.7 dB.
"""


def cells(database: str) -> pd.DataFrame:
    table = published.read("sr_mer", DATABASES[database][0])
    return table[(table["measure"] == "WAR") & table["superres"].notna()]


def printed(database: str) -> pd.DataFrame:
    table = published.read("sr_mer", "VI")
    return table[table["database"] == database]


def printed_p(database: str, factor: str) -> float:
    table = printed(database)
    return float(table.loc[table["measure"] == f"p of {factor}", "value"].iloc[0])


def analyse(database: str) -> dict[str, Any]:
    """All models of one database, the groups of the paper's model beside those printed, the correlations."""
    models = {}
    for name, (methods, order) in MODELS.items():
        table = cells(database)
        table = table if methods is None else table[table["superres"].isin(methods)]
        models[name] = anova(table, "value", FACTORS, order)
    theirs = models[THEIRS]
    table = cells(database)
    table = table[table["superres"].isin(MODELS[THEIRS][0])]
    return {
        "models": {
            name: {effect: row.dropna().to_dict() for effect, row in model.iterrows()}
            for name, model in models.items()
        },
        "p": {
            factor: {
                "printed": printed_p(database, factor),
                "ours": float(theirs.at[factor, "p"]),
                "denominator_df_that_gives_the_printed_p": _denominator(
                    float(theirs.at[factor, "F"]), int(theirs.at[factor, "df"]), printed_p(database, factor)
                ),
            }
            for factor in FACTORS
        },
        "groups": [row for factor in FACTORS for row in _groups(database, factor, table, theirs)],
        "correlations": _correlations(database),
    }


def _denominator(f: float, df: int, p: float) -> float:
    return float(optimize.brentq(lambda d: stats.f.logsf(f, df, d) - math.log(p), 1, 2000))


def _groups(database: str, factor: str, table: pd.DataFrame, analysis: pd.DataFrame) -> list[dict[str, Any]]:
    levels = (
        printed(database).dropna(subset=[factor]).pivot(index=factor, columns="measure", values="printed")
    )
    rows = []
    for level, ours in group(table, "value", factor, analysis).iterrows():
        theirs = levels.loc[level].dropna().to_dict() if level in levels.index else {}
        mean = theirs.get("mean WAR")
        half = 0.5 * 10.0 ** -len(mean.partition(".")[2]) if mean else None
        rows.append(
            {
                "factor": factor,
                "level": str(level),
                "mean": float(ours["mean"]),
                "printed_mean": mean,
                "agrees": abs(ours["mean"] - float(mean)) <= half + 1e-9 if mean else None,
                "duncan": ours["duncan"],
                "printed_letters": theirs.get("letters"),
                "tukey": ours["tukey"],
            }
        )
    return rows


def _correlations(database: str) -> list[dict[str, Any]]:
    """Correlate PSNR and SSIM with the mean WAR of the seven recognisers, over all rows and those at 64."""
    keys = ["strategy", "superres"]
    quality = published.read("sr_mer", "V")
    quality = quality[quality["database"] == database].pivot(index=keys, columns="measure", values="value")
    joined = quality.join(cells(database).groupby(keys)["value"].mean())
    rows = []
    for name, part in (("all resolutions", joined), ("64 alone", joined.loc[["64to256"]])):
        for measure in ("PSNR", "SSIM"):
            found = correlation(part[measure].to_numpy(float), part["value"].to_numpy(float))
            rows.append({"rows": name, "measure": measure, **vars(found)})
    return rows


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(result: dict[str, Any]) -> str:
    """Return the Markdown page."""
    groups = [g for d in result.values() for g in d["groups"] if g["printed_mean"]]
    of_casme2 = result["casme2"]["models"]
    parts = [
        INTRODUCTION.format(
            means=sum(g["agrees"] for g in groups),
            all_means=len(groups),
            letters=_same_letters(groups),
            p_five=of_casme2["five levels, interactions of two"]["superres"]["p"],
            p_four=of_casme2["four levels, interactions of two"]["superres"]["p"],
        )
    ]
    parts.append(
        "\n## Analysis of variance\n\nMain effects, five levels of super-resolution, type II.\n\n"
        + _anova(result)
    )
    parts.append(
        "\n## Groups\n\nOurs beside the printed; letters of one factor and database. Levels by our mean.\n"
    )
    for database, (_, title) in DATABASES.items():
        parts.append(f"\n### {title}\n\n" + _group_table(result[database]["groups"]))
    parts.append("\n## Other models\n\np-values; r is resolution, s super-resolution, m recogniser.\n\n")
    parts.append(_models(result))
    parts.append(
        "\n## Quality and recognition\n\nMean WAR of the seven recognisers against table V; "
        "95% intervals by the bootstrap over rows.\n\n"
    )
    parts.append(_correlation_table(result))
    parts.append(DIFFERENCES.format(found="\n".join(differences(result))))
    return "".join(parts)


def _same_letters(groups: list[dict[str, Any]]) -> int:
    lettered = [g for g in groups if g["printed_letters"]]
    if any(g["duncan"] != g["printed_letters"] for g in lettered):
        raise SystemExit("the letters no longer agree: the page says that they do")
    return len(lettered)


def _anova(result: dict[str, Any]) -> str:
    rows = []
    for database, (_, title) in DATABASES.items():
        for factor, row in result[database]["models"][THEIRS].items():
            if factor != RESIDUAL:
                p = result[database]["p"][factor]
                rows.append(
                    [title, factor, f"{row['df']:.0f}", f"{row['F']:.3f}", _p(p["ours"]), _p(p["printed"]),
                     f"{row['partial_eta_sq']:.3f}", f"{row['omega_sq']:.3f}",
                     f"{p['denominator_df_that_gives_the_printed_p']:.1f}"]
                )  # fmt: skip
    header = [
        "database",
        "factor",
        "df",
        "F",
        "p",
        "p printed",
        "partial eta²",
        "omega²",
        "df that would give it",
    ]
    note = """
The residual has 126 degrees of freedom. The last column is how many it would need for the printed p: for
super-resolution those that it has within rounding, for the recogniser 15.2 on every database. So these p are
a function of our F that is not the tail of its distribution with 126. We found no test that gives them.
"""
    return _table(header, rows) + note


def _group_table(groups: list[dict[str, Any]]) -> str:
    rows = [
        [g["factor"], g["level"], f"{g['mean']:.5f}", g["printed_mean"] or "-", g["duncan"],
         g["printed_letters"] or "-", g["tukey"]]
        for g in groups
    ]  # fmt: skip
    return _table(["factor", "level", "mean", "printed", "Duncan", "printed", "Tukey"], rows)


def _models(result: dict[str, Any]) -> str:
    effects = [*FACTORS, "resolution:superres", "resolution:recogniser", "superres:recogniser"]
    rows = []
    for database, (_, title) in DATABASES.items():
        rows.append([title, "printed", *(_p(printed_p(database, f)) for f in FACTORS), "-", "-", "-"])
        for name, model in result[database]["models"].items():
            rows.append([title, name, *(_p(model[e]["p"]) if e in model else "-" for e in effects)])
    return _table(["database", "model", *FACTORS, "r x s", "r x m", "s x m"], rows)


def _correlation_table(result: dict[str, Any]) -> str:
    def coefficient(value: float, interval: tuple[float, float]) -> str:
        return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"

    rows = [
        [title, c["rows"], c["measure"], str(c["n"]), coefficient(c["pearson"], c["pearson_interval"]),
         coefficient(c["spearman"], c["spearman_interval"])]
        for database, (_, title) in DATABASES.items()
        for c in result[database]["correlations"]
    ]  # fmt: skip
    return _table(["database", "rows", "measure", "n", "Pearson", "Spearman"], rows)


def _p(p: float) -> str:
    return f"{p:.4f}" if p >= 0.001 else f"{p:.1e}"


def differences(result: dict[str, Any]) -> list[str]:
    """Return a line for every figure of table VI that does not come out."""
    lines = []
    for database, (_, title) in DATABASES.items():
        where = f"* Table VI, {title}"
        lines += [
            f"{where}, {g['level']}: mean {g['printed_mean']} printed, {g['mean']:.6f} from the cells."
            for g in result[database]["groups"]
            if g["agrees"] is False
        ]
        lines += [
            f"{where}, p of {factor}: {p['printed']:.3g} printed, {p['ours']:.3g} found."
            for factor, p in result[database]["p"].items()
            if abs(p["ours"] - p["printed"]) > 0.00005 or p["ours"] < 0.1 * p["printed"]
        ]
    return lines


def main() -> None:
    """Analyse, print, write."""
    result = {database: analyse(database) for database in DATABASES}
    RESULT.write_text(json.dumps({**result, "versions": versions()}, indent=1) + "\n", encoding="utf-8")
    text = page(result)
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
