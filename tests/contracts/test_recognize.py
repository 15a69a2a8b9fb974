"""What every recogniser must do. A new one is tested here by existing; run one with ``-k name``."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from microexp import recognize
from microexp.clip import Clip
from microexp.errors import DataError, UnknownNameError

NAMES = recognize.names()
# Smaller than the papers' settings, so that a fit takes seconds; a method that is not here runs at its own.
QUICK: dict[str, dict[str, Any]] = {
    "ststnet": {"epochs": 40, "lr": 0.003, "device": "cpu"},
    "off_apexnet": {"epochs": 15, "lr": 0.001, "device": "cpu"},
    "dual_inception": {"epochs": 4, "device": "cpu"},
    "rcn_a": {"epochs": 30, "lr": 0.04, "batch_size": 8, "device": "cpu"},
    "featref": {"epochs": 6, "batch_size": 8, "device": "cpu"},
    "resnet18": {
        "width": 8,
        "size": 32,
        "difference": True,
        "epochs": 30,
        "lr": 0.003,
        "batch_size": 6,
        "device": "cpu",
    },
    "cnn_svm": {
        "size": 32,
        "difference": True,
        "epochs": 20,
        "lr": 0.002,
        "batch_size": 8,
        "device": "cpu",
    },
    "resnet3d": {
        "width": 8,
        "size": 32,
        "n_frames": 8,
        "difference": True,
        "epochs": 15,
        "lr": 0.003,
        "batch_size": 6,
        "device": "cpu",
    },
    "bowam": {
        "size": 32,
        "dims": (8, 16),
        "depths": (1, 1),
        "layer_scale": 0.1,
        "epochs": 15,
        "batch_size": 16,
        "lr": 0.004,
        "augmentation": "flow",
        "device": "cpu",
    },
    "convnext": {
        "size": 32,
        "dims": (8, 16),
        "depths": (1, 1),
        "layer_scale": 0.1,
        "epochs": 15,
        "batch_size": 16,
        "lr": 0.004,
        "augmentation": "flow",
        "device": "cpu",
    },
    "frl_dgt": {
        "size": 32,
        "width": 16,
        "heads": 2,
        "patch": 8,
        "epochs": 8,
        "batch_size": 3,
        "lr": 0.001,
        "decay": 0.75,
        "device": "cpu",
    },
    "htnet": {"width": 24, "depths": (1, 1, 1), "epochs": 30, "lr": 0.002, "device": "cpu"},
}


def make(name: str) -> Any:
    return recognize.create(name, **QUICK.get(name, {}))


def moving_clip(label: int, seed: int, size: int = 64) -> Clip:
    """A textured picture of which one region moves; which one, and where to, tells the class."""
    import cv2

    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (size, size, 3)).astype(np.float32), (0, 0), 1.5)
    texture = cv2.normalize(texture, None, 20, 235, cv2.NORM_MINMAX)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    centre = ((0.3, 0.3), (0.3, 0.7), (0.7, 0.5))[label]
    direction = ((0.0, 1.0), (1.0, 0.0), (-0.7, -0.7))[label]
    bump = np.exp(-((x / size - centre[0]) ** 2 + (y / size - centre[1]) ** 2) / 0.03).astype(np.float32)
    steps = 2.5 * np.sin(np.linspace(0, np.pi, 21))
    frames = [
        cv2.remap(texture, x - s * direction[0] * bump, y - s * direction[1] * bump, cv2.INTER_LINEAR)
        for s in steps.astype(np.float32)
    ]
    return Clip.from_array(
        np.stack(frames).clip(0, 255).astype(np.uint8), onset=0, apex=10, offset=20, subject=f"s{seed}"
    )


@pytest.fixture(scope="module")
def clips() -> tuple[list[Clip], np.ndarray]:
    y = np.arange(24) % 3
    return [moving_clip(int(k), seed) for seed, k in enumerate(y)], y


@pytest.fixture(scope="module", params=NAMES)
def fitted(
    request: pytest.FixtureRequest, clips: tuple[list[Clip], np.ndarray]
) -> tuple[str, Any, np.ndarray]:
    recognizer = make(request.param)
    features = recognizer.features(clips[0])
    return request.param, recognizer.fit(features, clips[1]), features


def test_features_are_finite_floats_one_row_a_clip(fitted: Any) -> None:
    _, recognizer, features = fitted
    assert features.shape[0] == 24
    assert features.ndim == recognizer.feature_ndim
    assert features.dtype == np.float32


def test_features_of_one_clip_do_not_depend_on_the_others(fitted: Any, clips: Any) -> None:
    """What may be computed once for all folds must look at one clip at a time."""
    _, recognizer, features = fitted
    assert np.array_equal(np.concatenate([recognizer.features([c]) for c in clips[0][:4]]), features[:4])


def test_a_planted_signal_is_learned(fitted: Any, clips: Any) -> None:
    name, _, features = fitted
    train, test = np.arange(24) < 18, np.arange(24) >= 18
    recognizer = make(name).fit(features[train], clips[1][train])
    assert (recognizer.predict(features[test]) == clips[1][test]).mean() >= 0.5
    assert (recognizer.predict(features[train]) == clips[1][train]).mean() >= 0.8


def test_probabilities_go_with_predictions(fitted: Any) -> None:
    _, recognizer, features = fitted
    p = recognizer.predict_proba(features)
    assert p.shape == (24, 3)
    assert p.dtype == np.float64
    assert np.allclose(p.sum(1), 1)
    assert (p >= 0).all()
    assert (recognizer.classes_[p.argmax(1)] == recognizer.predict(features)).all()


def test_clips_and_their_features_give_the_same(fitted: Any, clips: Any) -> None:
    _, recognizer, features = fitted
    assert np.array_equal(recognizer.predict(clips[0][:3]), recognizer.predict(features[:3]))


def test_a_batch_equals_one_by_one(fitted: Any) -> None:
    _, recognizer, features = fitted
    single = np.concatenate([recognizer.predict_proba(f[None]) for f in features[:5]])
    assert np.allclose(single, recognizer.predict_proba(features[:5]), atol=1e-6)


def test_fitting_again_gives_the_same(fitted: Any, clips: Any) -> None:
    name, recognizer, features = fitted
    again = make(name).fit(features, clips[1])
    assert np.array_equal(again.predict_proba(features), recognizer.predict_proba(features))


def test_labels_may_be_any_integers(fitted: Any, clips: Any) -> None:
    name, _, features = fitted
    labels = np.array([-3, 5, 40])[clips[1]]
    recognizer = make(name).fit(features, labels)
    assert recognizer.classes_.tolist() == [-3, 5, 40]
    assert set(recognizer.predict(features)) <= {-3, 5, 40}


def test_two_classes_are_enough(fitted: Any, clips: Any) -> None:
    name, _, features = fitted
    two = clips[1] < 2
    recognizer = make(name).fit(features[two], clips[1][two])
    assert recognizer.predict_proba(features).shape == (24, 2)


def test_clone_keeps_the_parameters_untouched_and_pickle_the_fit(fitted: Any) -> None:
    name, recognizer, features = fitted
    assert clone(recognizer).get_params() == recognizer.get_params() == make(name).get_params()
    again = pickle.loads(pickle.dumps(recognizer))
    assert np.array_equal(again.predict_proba(features), recognizer.predict_proba(features))


@pytest.mark.parametrize("name", NAMES)
def test_unfitted_and_bad_input_are_refused(name: str, clips: Any) -> None:
    recognizer = make(name)
    X = recognizer.features(clips[0][:6])
    with pytest.raises(NotFittedError):
        recognizer.predict(X)
    with pytest.raises(DataError, match="all of one class"):
        recognizer.fit(X, np.zeros(6, int))
    with pytest.raises(DataError, match="6 clips but labels of shape"):
        recognizer.fit(X, np.arange(5))
    with pytest.raises(DataError, match="axes"):
        recognizer.fit(np.zeros((6, 5, 4, 3, 2, 1)), np.arange(6))
    with pytest.raises(DataError, match="NaN"):
        recognizer.fit(np.full_like(X, np.nan), np.arange(6) % 2)


@pytest.mark.parametrize("name", NAMES)
def test_presets_can_be_made(name: str) -> None:
    for preset in recognize.card(name).presets:
        recognize.create(name, preset).check_parameters()
    with pytest.raises(UnknownNameError, match=f"preset of recognize '{name}' 'best'"):
        recognize.create(name, "best")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", ["apex", "offset"])
def test_a_clip_without_an_annotation_is_described_or_refused_by_name(
    name: str, missing: str, clips: Any
) -> None:
    clip = clips[0][0].replace(**{missing: None, "name": "c1"})
    try:
        features = make(name).features([clip])
    except DataError as error:
        assert f"s0/c1: the {missing} frame is not annotated" in str(error)
    else:
        assert features.shape == make(name).features(clips[0][:1]).shape


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_of_one_frame_is_described_or_refused_by_name(name: str, clips: Any) -> None:
    clip = Clip.from_array(clips[0][0].frames[0][None], apex=0, offset=0, subject="s0", name="c1")
    try:
        assert make(name).features([clip]).shape[0] == 1
    except DataError as error:
        assert "s0/c1" in str(error)


@pytest.mark.parametrize("name", NAMES)
def test_grey_pictures_are_clips_like_others(name: str, clips: Any) -> None:
    grey = clips[0][0].frames[:].mean(axis=-1, keepdims=True).astype(np.uint8).repeat(3, axis=-1)
    clip = Clip.from_array(grey, onset=0, apex=10, offset=20)
    assert make(name).features([clip]).shape == make(name).features(clips[0][:1]).shape


@pytest.mark.parametrize("name", NAMES)
def test_the_parameter_count_on_the_card_is_that_of_the_network(name: str) -> None:
    recognizer = recognize.create(name)
    if not recognizer.has_epochs:
        assert recognize.card(name).parameters is None
        return
    with torch.device("meta"):  # counted without the memory
        module = recognizer.build(3)
    assert sum(p.numel() for p in module.parameters()) == recognize.card(name).parameters
