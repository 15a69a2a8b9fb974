"""Regions: how many, where, that they scale, tile and mirror as they should."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from microexp.errors import DataError, OptionError
from microexp.faces import regions
from microexp.faces.alignment import canonical_landmarks
from microexp.faces.faceapi68 import MIRRORED

FACE = canonical_landmarks(224, 0.1)
OF_LANDMARKS = [(regions.hog3d_regions, 12), (regions.mdmo_regions, 36), (regions.frl_dgt_regions, 6)]


@pytest.mark.parametrize(("function", "number"), OF_LANDMARKS)
def test_as_many_as_the_paper_says_all_inside_and_scaling_with_the_face(
    function: Callable[[np.ndarray], list[regions.Region]], number: int
) -> None:
    found = function(FACE)
    assert len(found) == number
    assert len({region.name for region in found}) == number
    larger = function(FACE * 2 + 10)
    for region, twice in zip(found, larger, strict=True):
        assert region.polygon.dtype == np.float32
        assert np.allclose(twice.polygon, region.polygon * 2 + 10, atol=1e-3)
        x0, y0, x1, y1 = region.box
        assert -10 < x0 < x1 < 234
        assert -10 < y0 < y1 < 234
        assert region.mask(224, 224).sum() > 50


@pytest.mark.parametrize(("function", "number"), OF_LANDMARKS)
def test_the_mirrored_face_has_the_mirrored_regions(
    function: Callable[[np.ndarray], list[regions.Region]], number: int
) -> None:
    mirrored = FACE[MIRRORED] * (-1, 1) + (223, 0)
    areas = sorted(int(region.mask(224, 224).sum()) for region in function(FACE))
    others = sorted(int(region.mask(224, 224).sum()) for region in function(mirrored))
    assert np.allclose(areas, others, atol=12)


def test_mdmo_regions_share_no_pixel_and_cover_the_face() -> None:
    masks = np.stack([region.mask(224, 224) for region in regions.mdmo_regions(FACE)])
    assert masks.sum(0).max() == 1
    assert masks.any(0).mean() > 0.4


def test_an_unshared_rule_of_the_border() -> None:
    square = regions.Region("square", np.array([[1, 1], [4, 1], [4, 3], [1, 3]], np.float32))
    beside = regions.Region("beside", np.array([[4, 1], [6, 1], [6, 3], [4, 3]], np.float32))
    assert square.mask(5, 8).sum() == 6
    assert not (square.mask(5, 8) & beside.mask(5, 8)).any()
    assert square.box == (1.0, 1.0, 4.0, 3.0)


@pytest.mark.parametrize(("height", "width"), [(50, 50), (64, 61), (5, 5)])
def test_blocks_tile_the_picture(height: int, width: int) -> None:
    masks = np.stack([block.mask(height, width) for block in regions.blocks(height, width)])
    assert len(masks) == 25
    assert (masks.sum(0) == 1).all()
    assert np.ptp(masks.sum((1, 2))) <= height // 5 + width // 5 + 1
    assert masks[1, 0, width // 5]


def test_fixed_boxes_stand_at_the_mean_of_a_data_set() -> None:
    both = np.stack([FACE, FACE + (10, 0)])
    moved = regions.frl_dgt_regions(both)[0].polygon - regions.frl_dgt_regions(FACE)[0].polygon
    assert np.allclose(moved, (5, 0), atol=1e-4)


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match="68 finite landmarks"):
        regions.hog3d_regions(FACE[:66])
    with pytest.raises(DataError, match="68 finite landmarks"):
        regions.mdmo_regions(FACE * np.nan)
    with pytest.raises(DataError, match="on one place"):
        regions.mdmo_regions(np.ones((68, 2)))
    with pytest.raises(OptionError, match="do not fit"):
        regions.blocks(4, 100)


def test_a_drawing_leaves_the_picture_alone() -> None:
    picture = np.zeros((224, 224, 3), np.uint8)
    drawn = regions.draw(picture, regions.mdmo_regions(FACE), enlarged=2)
    assert drawn.shape == (448, 448, 3)
    assert drawn.any()
    assert not picture.any()
