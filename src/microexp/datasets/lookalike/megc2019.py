"""MEGC2019: look-alikes of its three databases side by side, and which of their clips the composite takes."""

from __future__ import annotations

from dataclasses import replace

from microexp.datasets.lookalike import casme2, samm, smic
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Expected, Pictures, Tree

_VARIANTS = ("raw", "cropped")  # that all three have
_CASME2 = ("happiness", "surprise", "disgust", "repression")
_UNUSED = ("EP12_01f", "EP09_05f"), ("EP07_01", "EP07_04f", "EP10_03")  # of 04 and 05; of 24


def write(tree: Tree, studio: Studio, release: str = "20190701") -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    release : {"20140508", "20190701"}
        Which sheet of CASME II.
    """
    first, second, third = (tree.inside(folder) for folder in ("CASME II", "SAMM", "SMIC"))
    casme2.write(first, studio, release)
    samm.write(second, studio)
    smic.write(third, studio)
    _take(tree, "CASME II", [clip for clip in first.clips if _in_casme2(clip)])
    _take(tree, "SAMM", [clip for clip in second.clips if clip.emotion != "Other"])
    _take(tree, "SMIC", list(third.clips))


def _in_casme2(clip: Expected) -> bool:
    unused = _UNUSED[1] if clip.subject == "24" else _UNUSED[0] if clip.subject in ("04", "05") else ()
    return clip.emotion in _CASME2 and clip.name not in unused


def _take(tree: Tree, folder: str, clips: list[Expected]) -> None:
    """Note clips of a folder as those of the whole."""
    for clip in clips:
        pictures = {variant: _below(folder, clip.pictures[variant]) for variant in _VARIANTS}
        tree.expect(replace(clip, pictures=pictures))


def _below(folder: str, pictures: Pictures) -> Pictures:
    onset, apex, offset = (
        None if path is None else f"{folder}/{path}"
        for path in (pictures.onset, pictures.apex, pictures.offset)
    )
    return replace(pictures, onset=onset, apex=apex, offset=offset)
