"""Tables of papers as printed, in long form: one row a figure.

They lie in the folder ``published`` beside this file, one CSV a table, named ``<paper>_<table>.csv``. The
columns are those of `COLUMNS`; one that does not matter to a table is empty, and so is a factor over which a
printed mean was taken. Names are those of this package where it has the thing (``lbp_top`` for the paper's
LBPTOP), else the paper's. Figures were taken from the text of the papers and checked against the means
that the papers print; what they contradict is in ``docs/anova.md``.

Notes by paper:

* ``sr_mer``: tables II to IV have WAR by recogniser, and the means that were printed; ``bicubic`` is the
  small clip itself, ``bicubic_restore`` the same enlarged again, and no ``superres`` the whole clip of 256.
  Table V has PSNR and SSIM, table VI group means, letters (text, in the column ``printed``) and p-values.
* ``magnification``: table I has FID, table II other papers' figures as well; ``megc2019`` is its
  "microexpression hybrid database" and "FULL", ``wild`` its wild samples, ``lvmm3`` LVMM at factor 3; MEMM
  stands there as ``memm`` [47] and ``memm4`` [14].
* ``gan_sr``: the only table calls the method SRGAN, the text calls it ESRGAN.
* ``bowam``: tables 1 to 3, ``convnext`` being its baseline. Tables 4 to 11 are in the benchmark files
  ``bowam_table4`` and so on.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

from microexp.errors import OptionError, UnknownNameError

COLUMNS = (
    "paper",
    "table",
    "database",
    "classes",
    "resolution",
    "strategy",
    "superres",
    "magnification",
    "recogniser",
    "measure",
    "value",
)
SOURCES = {
    "sr_mer": "Zhou, Wang, Huang, Zheng, Mao, Zhao, An Empirical Study of Super-resolution on Low-resolution "
    "Micro-expression Recognition",
    "magnification": "Song, Chen, Li, Li, Microexpression to Macroexpression: Facial Expression "
    "Magnification by Single Input",
    "gan_sr": "Mariyathas et al., Micro facial expression recognition using generative adversarial network "
    "generated super resolution images, Journal of Multidisciplinary and Translational Research, 2025, "
    "doi 10.4038/jmtr.v10i1.78",
    "bowam": "Xie et al., Chinese Journal of Computers, doi 10.11897/SP.J.1016.2026.00328",
}
_FOLDER = files(__package__).joinpath("published")


def tables() -> dict[str, list[str]]:
    """Return the tables that there are, by paper, as the papers number them."""
    found: dict[str, list[str]] = {paper: [] for paper in SOURCES}
    for name in sorted(f.name for f in _FOLDER.iterdir() if f.name.endswith(".csv")):
        paper, _, table = name.removesuffix(".csv").rpartition("_")
        found[paper].append(table)
    return found


def read(paper: str, table: str | int) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    paper : str
        As in `tables`, for instance "sr_mer".
    table : str or int
        Its number in the paper, for instance "II".

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, and ``printed``, the text of the value with all its digits. ``value`` is float64, nan where
        no number was printed; ``resolution`` and ``classes`` are Int64, others text, missing where empty.

    Raises
    ------
    UnknownNameError
        If there is no such paper.
    OptionError
        If it has no such table here.
    """
    known = tables()
    if paper not in known:
        raise UnknownNameError("paper with published tables", paper, known)
    if str(table) not in known[paper]:
        raise OptionError(f"no table '{table}' of {paper} is here, only {', '.join(known[paper])}")
    with _FOLDER.joinpath(f"{paper}_{table}.csv").open(encoding="utf-8") as stream:
        found = pd.read_csv(stream, dtype="string", keep_default_na=False, na_values=[""])
    found["printed"] = found["value"]
    numbers = pd.to_numeric(found["value"], errors="coerce")
    found["value"] = numbers.to_numpy(np.float64, na_value=np.nan)
    for column in ("classes", "resolution"):
        found[column] = pd.to_numeric(found[column]).astype("Int64")
    return found
