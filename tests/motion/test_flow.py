import pickle

import cv2
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from microexp import motion
from microexp.clip import Clip
from microexp.errors import DataError, MicroexpError, UnknownNameError
from microexp.frames import ArrayFrames
from microexp.motion.bidirectional import Bidirectional
from microexp.motion.dis import DIS
from microexp.motion.farneback import Farneback
from microexp.motion.flow_image import FlowImage
from microexp.motion.strain import Strain
from microexp.motion.tim import TIM
from microexp.motion.tvl1 import TVL1

INNER = np.s_[16:-16, 16:-16]
ESTIMATORS = [  # estimator, tolerance of the median in pixels (8-bit pictures)
    (Farneback(), 0.02),
    (TVL1(), 0.06),
    (TVL1("fast"), 0.06),
    (DIS(), 0.06),
    (DIS("fast"), 0.15),
    (DIS("ultrafast"), 0.15),
]
ids = [repr(estimator) for estimator, _ in ESTIMATORS]


@pytest.mark.parametrize(("estimator", "tolerance"), ESTIMATORS, ids=ids)
@pytest.mark.parametrize("shift", [(0.6, -0.3), (-0.6, 0.3), (0.0, 0.8), (1.5, -0.5)])
def test_recovers_a_known_shift_dx_then_dy(estimator, tolerance, shift, moving):
    first, second = moving([(0, 0), shift])
    flow = estimator.flow(first, second)
    assert flow.shape == (96, 96, 2) and flow.dtype == np.float32
    assert np.median(flow[INNER], axis=(0, 1)) == pytest.approx(shift, abs=tolerance)


@pytest.mark.parametrize(("estimator", "tolerance"), ESTIMATORS, ids=ids)
def test_identical_pictures_do_not_move(estimator, tolerance, moving):
    (picture,) = moving([(0, 0)])
    assert np.abs(estimator.flow(picture, picture)[INNER]).max() < 1e-3


@pytest.mark.parametrize(("estimator", "tolerance"), ESTIMATORS, ids=ids)
def test_wrong_pictures_are_refused(estimator, tolerance, moving):
    (picture,) = moving([(0, 0)])
    with pytest.raises(DataError, match="one size, got 96x96 and 48x96"):
        estimator.flow(picture, picture[:, :48])
    with pytest.raises(DataError, match="uint8"):
        estimator.flow(picture, picture / 255)
    with pytest.raises(DataError, match="uint8"):
        estimator.flow(picture[..., 0], picture[..., 0])


def test_not_contiguous_pictures_are_taken(moving):
    first, second = moving([(0, 0), (0.5, 0)])
    mirrored = Farneback().flow(first[:, ::-1], second[:, ::-1])
    assert np.median(mirrored[INNER][..., 0]) == pytest.approx(-0.5, abs=0.02)


def test_clips_onset_to_apex_reads_two_frames_only(clip_of):
    read = []

    class Watched(ArrayFrames):
        def read(self, index):
            read.append(index)
            return super().read(index)

    clip = clip_of()
    watched = clip.replace(frames=Watched(clip.frames[:]))
    flow = Farneback().fit_transform([watched])
    assert flow.shape == (1, 96, 96, 2) and sorted(read) == [0, 2]
    assert np.array_equal(flow[0], Farneback().flow(clip.frames[0], clip.frames[2]))


def test_clips_are_named_in_errors(clip_of):
    with pytest.raises(DataError, match=r"s/c1: the apex .* not annotated"):
        Farneback().transform([clip_of(), clip_of(seed=1, apex=None)])
    with pytest.raises(DataError, match="s/c1 is 64x64, but s/c0 is 96x96"):
        Farneback().transform([clip_of(), clip_of(64, seed=1)])
    with pytest.raises(DataError, match="no clips"):
        Farneback().transform([])
    with pytest.raises(DataError, match="DIS cannot be computed at 8x8"):
        DIS().flow(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8))


def test_unknown_preset_is_refused(clip_of):
    for estimator in (TVL1("fsat"), DIS("fsat")):
        with pytest.raises(UnknownNameError, match="Did you mean 'fast'"):
            estimator.transform([clip_of()])


def test_tvl1_explains_a_cv2_without_optflow(monkeypatch, clip_of):
    monkeypatch.delattr(cv2, "optflow")
    with pytest.raises(MicroexpError, match="overwrite each other"):
        TVL1().transform([clip_of()])


# --- bidirectional (BOWAM 1.1) ------------------------------------------------------------------


def test_bidirectional_of_three_identical_frames_is_zero(moving):
    (picture,) = moving([(0, 0)])
    for fusion in ("add", "multiply", "concat"):
        flow = Bidirectional(fusion=fusion).flow(picture, picture, picture)
        assert np.abs(flow[INNER]).max() < 1e-3


@pytest.mark.parametrize("estimator", [Farneback(), TVL1()], ids=["farneback", "tvl1"])
@pytest.mark.parametrize(("apex", "left"), [(10, 0.0), (5, 1.0)])
def test_bidirectional_drift_cancels_only_for_a_midway_apex(apex, left, estimator, moving):
    drift, expression, offset = 0.1, np.array([0.0, 0.6]), 20
    onset_frame, apex_frame, offset_frame = moving(
        [(0, 0), (drift * apex + expression[0], expression[1]), (drift * offset, 0)]
    )
    flow = Bidirectional(estimator).flow(onset_frame, apex_frame, offset_frame)
    expected = -2 * expression + np.array([drift * ((offset - apex) - apex), 0])
    assert expected[0] == pytest.approx(left)
    assert np.median(flow[INNER], axis=(0, 1)) == pytest.approx(expected, abs=0.1)


def test_bidirectional_fusions(clip_of):
    clip = clip_of()
    to_onset = Farneback().flow(clip.frames[2], clip.frames[0])
    to_offset = Farneback().flow(clip.frames[2], clip.frames[4])
    made = {f: Bidirectional(fusion=f).fit_transform([clip, clip]) for f in ("add", "multiply", "concat")}
    assert np.array_equal(made["add"][1], to_onset + to_offset)
    assert np.array_equal(made["multiply"][0], to_onset * to_offset)
    assert made["concat"].shape == (2, 96, 96, 4)
    assert np.array_equal(made["concat"][0, ..., 2:], to_offset)


def test_bidirectional_needs_an_offset_and_a_known_fusion(clip_of):
    with pytest.raises(DataError, match="s/c0: the offset"):
        Bidirectional().transform([clip_of(offset=None)])
    with pytest.raises(UnknownNameError, match="multiply"):
        Bidirectional(fusion="multply").transform([clip_of()])


# --- the habits of scikit-learn, for every registered method ------------------------------------


@pytest.mark.parametrize("name", motion.names())
def test_every_method_clones_pickles_and_is_deterministic(name, clip_of):
    method = motion.create(name)
    inputs = np.ones((2, 8, 8, 2), np.float32) if name == "strain" else [clip_of(), clip_of(seed=1)]
    assert method.fit(inputs) is method

    def values(out):
        return [[*clip.frames[:].ravel(), clip.apex] for clip in out] if name in ("tim", "apex") else out

    first = values(method.transform(inputs))
    for again in (clone(method), pickle.loads(pickle.dumps(method)), method):
        assert again.get_params(deep=False) == method.get_params(deep=False)
        assert np.array_equal(values(again.transform(inputs)), first)
    one_by_one = [values(method.transform(inputs[i : i + 1]))[0] for i in range(2)]
    assert np.array_equal(one_by_one, first)


def test_pipelines_and_set_params(clip_of):
    pipeline = make_pipeline(TIM(9), Farneback(), Strain())
    pipeline.set_params(farneback__winsize=11, tim__n_frames=5)
    assert pipeline.get_params()["farneback__winsize"] == 11
    assert pipeline.fit_transform([clip_of()]).shape == (1, 96, 96)
    image = FlowImage(Bidirectional(TVL1())).set_params(estimator__estimator__preset="fast")
    assert clone(image).estimator.estimator.preset == "fast"


def test_pickled_tim_clips_still_read(clip_of):
    (clip,) = TIM(4).transform([clip_of()])
    assert isinstance(clip, Clip)
    assert np.array_equal(pickle.loads(pickle.dumps(clip)).frames[:], clip.frames[:])
