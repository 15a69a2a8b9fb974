from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.clip import ActionUnit, Clip
from microexp.errors import DataError


def frames(n: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 4, 5, 3), dtype=np.uint8)


@given(st.integers(0, 12), st.none() | st.integers(0, 12), st.none() | st.integers(0, 12))
def test_onset_apex_offset_are_in_order_and_in_range_or_refused(
    onset: int, apex: int | None, offset: int | None
) -> None:
    known = [i for i in (onset, apex, offset) if i is not None]
    good = known == sorted(known) and known[-1] < 10
    if good:
        assert Clip.from_array(frames(), onset=onset, apex=apex, offset=offset).onset == onset
    else:
        with pytest.raises(DataError, match="in this order and within the 10 frames"):
            Clip.from_array(frames(), onset=onset, apex=apex, offset=offset)


def test_a_clip_is_immutable_and_a_change_gives_a_new_one() -> None:
    clip = Clip.from_array(frames(), metadata={"a": 1}, subject="s1", name="c", database="d")
    with pytest.raises(AttributeError):
        clip.onset = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        clip.metadata["a"] = 2  # type: ignore[index]
    assert clip.replace(onset=3).onset == 3
    assert clip.onset == 0
    assert clip.identity == "d/s1/c"


def test_pickling_keeps_everything() -> None:
    clip = Clip.from_array(frames(), apex=3, metadata={"a": 1}, action_units=(ActionUnit(12, "L", 0.5),))
    again = pickle.loads(pickle.dumps(clip))
    assert (again.apex, dict(again.metadata), again.action_units) == (3, {"a": 1}, clip.action_units)
    assert (again.frames[3] == clip.frames[3]).all()


def test_key_frames() -> None:
    clip = Clip.from_array(frames(), onset=1, apex=4)
    assert (clip.key_frame("apex") == frames()[4]).all()
    with pytest.raises(DataError, match="offset frame is not annotated"):
        clip.key_frame("offset")


def test_fps_must_be_positive() -> None:
    with pytest.raises(DataError, match="fps must be positive"):
        Clip.from_array(frames(), fps=0)


def test_action_units_read_as_coders_write_them() -> None:
    assert [str(ActionUnit(12, "L")), str(ActionUnit(4))] == ["L12", "4"]
