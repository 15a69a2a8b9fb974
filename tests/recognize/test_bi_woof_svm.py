import numpy as np
import pytest

from microexp.errors import DataError, OptionError
from microexp.motion.bi_woof import BiWOOF
from microexp.motion.farneback import Farneback
from microexp.recognize.bi_woof import BiWOOFSVM
from tests.contracts.test_recognize import moving_clip


def test_features_are_the_descriptor_and_its_parameters_pass_through():
    clips = [moving_clip(k, seed=k) for k in range(3)]
    for motion in (BiWOOF(Farneback()), BiWOOF(Farneback(), blocks=3, strain="sum")):
        assert np.array_equal(BiWOOFSVM(motion=motion).features(clips), motion.transform(clips))
    assert np.array_equal(BiWOOFSVM().features(clips[:1]), BiWOOF().transform(clips[:1]))


def test_the_classes_lie_apart_in_unseen_clips():
    labels = np.arange(24) % 3
    clips = [moving_clip(int(k), seed) for seed, k in enumerate(labels)]
    model = BiWOOFSVM(motion=BiWOOF(Farneback())).fit(clips[:12], labels[:12])
    assert (model.predict(clips[12:]) == labels[12:]).mean() >= 0.75


def test_bad_parameters_and_clips_are_named():
    X, y = np.eye(4, 200, dtype=np.float32), np.arange(4) % 2
    with pytest.raises(OptionError, match="C"):
        BiWOOFSVM(C=-1).fit(X, y)
    with pytest.raises(OptionError, match="motion must be a transformer"):
        BiWOOFSVM(motion="bi_woof").fit(X, y)
    with pytest.raises(DataError, match="the apex frame is not annotated"):
        BiWOOFSVM().features([moving_clip(0, 0).replace(apex=None)])
