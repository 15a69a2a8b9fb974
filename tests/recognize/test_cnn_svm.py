from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from microexp import recognize
from microexp.errors import OptionError
from microexp.recognize.base import Monitor
from microexp.recognize.cnn_svm import build_module
from tests.conftest import planted_images


def small(**params: object) -> object:
    default = {"size": 16, "epochs": 4, "batch_size": 6, "lr": 3e-3, "device": "cpu"}
    return recognize.create("cnn_svm", **{**default, **params})


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    X, y = planted_images(30, size=16)
    return X, np.array([7, 8, 9])[y]


def hidden(net: object, X: np.ndarray) -> np.ndarray:
    """The last hidden layer, layer by layer."""
    x = net.standardised(torch.from_numpy(X))
    for layer in (*net.module_.maps, *net.module_.hidden):
        x = layer(x)
    return x.detach().double().numpy()


def own_svm(net: object, X: np.ndarray, y: np.ndarray) -> LinearSVC:
    return LinearSVC(C=net.C, random_state=0, max_iter=10_000).fit(hidden(net, X), y)


def test_three_convolutions_and_two_hidden_layers() -> None:
    with torch.device("meta"):
        module = build_module(5)
    kinds = [type(m) for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert kinds == [nn.Conv2d] * 3 + [nn.Linear] * 3
    assert module.fc.out_features == 5
    counted = sum(p.numel() for p in module.parameters())
    convolutions = sum(9 * a * b + b for a, b in ((3, 16), (16, 32), (32, 64)))
    layers = sum(a * b + b for a, b in ((64 * 16 * 16, 128), (128, 64), (64, 5)))
    assert counted == convolutions + layers


@pytest.mark.parametrize("classes", [3, 2])
def test_it_predicts_as_an_svm_fitted_by_hand_on_the_last_hidden_layer(
    data: tuple[np.ndarray, np.ndarray], classes: int
) -> None:
    X, y = (part[data[1] < 7 + classes] for part in data)
    net = small().fit(X[:14], y[:14])
    svm = own_svm(net, X[:14], y[:14])
    margin = svm.decision_function(hidden(net, X))
    if classes == 2:
        margin = np.stack([-margin / 2, margin / 2], axis=1)
    assert np.allclose(net.predict_proba(X), softmax(margin, axis=1), atol=1e-3)
    assert np.array_equal(net.predict(X), svm.predict(hidden(net, X)))
    assert (net.predict(X) == y).mean() >= 0.9


def test_the_chosen_and_the_last_network_have_an_svm_each(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    scores = iter([0.1, 0.9, 0.2, 0.3])
    net = small().fit(X[:20], y[:20], monitor=Monitor(X[20:], lambda predicted: next(scores)))
    assert net.best_epoch_ == 2
    last, plain = net.at_last_epoch(), small().fit(X[:20], y[:20])
    assert not np.allclose(last.predict_proba(X), net.predict_proba(X), atol=1e-3)
    assert np.array_equal(last.predict_proba(X), plain.predict_proba(X))
    for fitted in (net, last):
        margin = own_svm(fitted, X[:20], y[:20]).decision_function(hidden(fitted, X))
        assert np.allclose(fitted.predict_proba(X), softmax(margin, axis=1), atol=1e-3)


def test_what_is_saved_and_pickled_is_the_svm(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, y = data
    net = small().fit(X, y)
    net.save_weights(tmp_path / "net.safetensors")
    again = small().load_weights(tmp_path / "net.safetensors", net.classes_)
    assert np.array_equal(again.predict_proba(X), net.predict_proba(X))
    assert np.array_equal(pickle.loads(pickle.dumps(net)).predict_proba(X), net.predict_proba(X))


def test_a_network_that_was_loaded_without_an_svm_predicts_by_its_softmax_layer(
    data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    module = build_module(3, 16)
    torch.save(module.state_dict(), tmp_path / "net.pth")
    net = small().load_weights(tmp_path / "net.pth", np.array([7, 8, 9]))
    logits = module(net.standardised(torch.from_numpy(data[0]))).detach()
    assert np.allclose(net.predict_proba(data[0]), torch.softmax(logits, 1), atol=1e-6)


def test_an_interrupted_training_predicts_by_its_softmax_layer(
    data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = data
    net = small().fit(X, y)  # the SVM of an earlier fit must not outlive it
    calls = []

    def stop_in_the_second_epoch(staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return staged, labels

    monkeypatch.setattr(net, "augment", stop_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    assert len(net.losses_) == 1
    logits = net.module_(net.standardised(torch.from_numpy(X))).detach()
    assert np.allclose(net.predict_proba(X), torch.softmax(logits, 1), atol=1e-6)
    margin = own_svm(net, X, y).decision_function(hidden(net, X))
    assert not np.allclose(net.predict_proba(X), softmax(margin, axis=1), atol=1e-3)


@pytest.mark.parametrize("wrong", [{"C": 0.0}, {"size": 7}, {"lr": -1.0}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        small(**wrong).check_parameters()
