import numpy as np
import pytest

from microexp.errors import OptionError
from microexp.motion.mdmo import MDMO
from microexp.recognize.mdmo import MDMOSVM
from tests.contracts.test_recognize import moving_clip


def test_beta_weighs_magnitudes_against_angles():
    clips = [moving_clip(k, seed=k) for k in range(3)]
    motion = MDMO(n_frames=2)
    plain = motion.transform(clips)
    for beta in (0.0, 0.25, 1.0):
        features = MDMOSVM(beta=beta, motion=motion).features(clips)
        assert features.dtype == np.float32
        np.testing.assert_allclose(features[:, :36], beta * plain[:, :36], rtol=1e-6)
        np.testing.assert_allclose(features[:, 36:], (1 - beta) * plain[:, 36:], rtol=1e-6)


def test_the_classes_lie_apart_in_unseen_clips():
    labels = np.arange(24) % 3
    clips = [moving_clip(int(k), seed) for seed, k in enumerate(labels)]
    model = MDMOSVM(motion=MDMO(n_frames=4)).fit(clips[:12], labels[:12])
    assert (model.predict(clips[12:]) == labels[12:]).mean() >= 0.75


def test_bad_parameters_are_named():
    X, y = np.eye(4, 72, dtype=np.float32), np.arange(4) % 2
    with pytest.raises(OptionError, match="beta must be from 0 to 1, got 1.5"):
        MDMOSVM(beta=1.5).fit(X, y)
    with pytest.raises(OptionError, match="degree"):
        MDMOSVM(degree=-1).fit(X, y)
