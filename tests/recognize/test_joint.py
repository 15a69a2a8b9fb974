from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone

from microexp import recognize, superres
from microexp.errors import OptionError
from microexp.recognize.joint import Joint
from microexp.superres.resize import resize
from tests.contracts.test_recognize import moving_clip

SIZE = 32


def joint(**params: object) -> Joint:
    restorer = superres.create("edsr", scale=2, channels=8, blocks=1, weights="random")
    recognizer = recognize.create("cnn_svm", size=SIZE)
    return Joint(restorer=restorer, recognizer=recognizer, epochs=2, batch_size=4, **params)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    clips = [moving_clip(k % 3, seed=k, size=48) for k in range(9)]
    return joint().describe(clips), np.arange(9) % 3


def restorer_of(model: Joint) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.module_.restorer.parameters()]


def test_one_loss_trains_both_networks(data: tuple[np.ndarray, np.ndarray]) -> None:
    model = joint().fit(*data)
    start = list(model.restorer.module().parameters())  # type: ignore[union-attr]
    assert not any(torch.equal(a, b) for a, b in zip(start, restorer_of(model), strict=True))
    assert model.predict(data[0]).shape == (9,)


def test_recognition_alone_reaches_the_restorer(data: tuple[np.ndarray, np.ndarray]) -> None:
    model = joint(restoration_weight=0.0).fit(*data)
    start = list(model.restorer.module().parameters())  # type: ignore[union-attr]
    assert not torch.equal(start[0], restorer_of(model)[0])


def test_a_frozen_restorer_stays_as_it_was(data: tuple[np.ndarray, np.ndarray]) -> None:
    model = joint(freeze=True).fit(*data)
    start = model.restorer.module().parameters()  # type: ignore[union-attr]
    assert all(torch.equal(a, b) for a, b in zip(start, restorer_of(model), strict=True))


def test_restoration_in_the_loss_restores_better(data: tuple[np.ndarray, np.ndarray]) -> None:
    staged = torch.from_numpy(data[0])

    def error(model: Joint) -> float:
        with torch.inference_mode():
            return float((model.restored(model.module_, staged) - staged).abs().mean())

    given = joint(restoration_weight=10.0, lr=3e-3)
    given.epochs = 20
    without = clone(given).set_params(restoration_weight=0.0)
    assert error(given.fit(*data)) < error(without.fit(*data))


def test_pictures_are_made_small_as_everywhere(data: tuple[np.ndarray, np.ndarray]) -> None:
    model = joint()
    seen = []
    module = model.build(3)
    module.restorer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.restored(module, torch.from_numpy(data[0][:1]))
    wanted = resize(data[0][0].transpose(1, 2, 0).astype(np.float64), (SIZE // 2, SIZE // 2))
    assert np.allclose(seen[0][0].numpy().transpose(1, 2, 0), wanted, atol=1e-6)


def test_of_a_difference_both_pictures_are_restored() -> None:
    model = joint().set_params(recognizer__difference=True)
    clips = [moving_clip(k % 3, seed=k, size=48) for k in range(6)]
    features = model.describe(clips)
    assert features.shape == (6, 6, SIZE, SIZE)
    still = clips[0].replace(apex=clips[0].onset)
    module = model.build(3)
    seen = []
    module.recognizer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    with torch.inference_mode():
        model.forward(module, torch.from_numpy(model.describe([still])))
    assert not seen[0].any()
    assert model.fit(features, np.arange(6) % 3).predict(features).shape == (6,)


def test_a_pair_that_does_not_fit_is_refused(data: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(OptionError, match="needs a restorer"):
        Joint().fit(*data)
    for recognizer, word in (
        (recognize.create("cnn_svm", size=33), "a multiple of the scale 2"),
        (recognize.create("resnet3d"), "one picture a clip"),
    ):
        with pytest.raises(OptionError, match=word):
            joint().set_params(recognizer=recognizer).fit(*data)
    with pytest.raises(OptionError, match="not be negative"):
        joint(restoration_weight=-1.0).fit(*data)
