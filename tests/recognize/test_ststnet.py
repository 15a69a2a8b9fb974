from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from microexp import recognize
from microexp.errors import DataError, WeightsError
from microexp.recognize._layers import half_dropout
from microexp.recognize.ststnet import STSTNet, build_module
from microexp.train import Recipe, train_epochs
from tests.conftest import planted_images


class ThreeStreams(nn.Module):
    """The published network layer by layer, as an independent reference."""

    def __init__(self, n_classes: int = 3) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(3, f, 3, padding=2) for f in (3, 5, 8))
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(f) for f in (3, 5, 8))
        self.fc = nn.Linear(400, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        streams = ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3))
        pooled = torch.cat([F.max_pool2d(bn(F.relu(conv(x))), 3, 3, 1) for conv, bn in streams], 1)
        if self.training:  # the same random bits at the same places as the merged network draws
            pooled = half_dropout(pooled)
        return self.fc(F.avg_pool2d(pooled, 2).flatten(1))


def assert_same_state(ours: nn.Module, plain: nn.Module, rtol: float, atol: float) -> None:
    expected = plain.state_dict()
    for name, value in ours.state_dict().items():
        assert torch.allclose(value.float(), expected[name].float(), rtol=rtol, atol=atol), name


def test_parameter_count_and_keys_are_those_of_the_published_weights() -> None:
    module = build_module()
    assert sum(p.numel() for p in module.parameters()) == 1683 == recognize.card("ststnet").parameters
    shapes = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    assert shapes["conv1.weight"] == (3, 3, 3, 3)
    assert shapes["conv2.weight"] == (5, 3, 3, 3)
    assert shapes["conv3.weight"] == (8, 3, 3, 3)
    assert shapes["fc.weight"] == (3, 400)
    assert shapes.keys() == ThreeStreams().state_dict().keys()


@pytest.mark.parametrize("training", [False, True])
def test_the_merged_streams_are_the_three_streams(training: bool) -> None:
    plain = ThreeStreams().train(training)
    for norm in (plain.bn1, plain.bn2, plain.bn3):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.running_mean.uniform_(0, 50)
        norm.running_var.uniform_(100, 2000)
    ours = build_module().train(training)
    ours.load_state_dict(plain.state_dict())
    images = torch.rand(21, 3, 28, 28) * 255
    torch.manual_seed(3)
    expected = plain(images)
    torch.manual_seed(3)
    assert torch.allclose(ours(images), expected, atol=2e-4)
    assert_same_state(ours, plain, rtol=1e-4, atol=1e-6)


def raw(X: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(X[:, ::-1])).to(dtype) * 255


def plain_fit(X: np.ndarray, y: np.ndarray, seed: int, dtype: torch.dtype) -> nn.Module:
    """The public recipe as people write it: DataLoader, three streams, Adam."""
    torch.manual_seed(seed)  # the layers draw their first weights in the same order as the merged network
    module = ThreeStreams().to(dtype)
    order = np.argsort(y, kind="stable")
    apart = torch.Generator()  # a DataLoader draws a number an epoch, which would shift the dropout
    samples = TensorDataset(raw(X[order], dtype), torch.from_numpy(y[order]))
    loader = DataLoader(samples, batch_size=16, generator=apart)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-5)
    module.train()
    for _ in range(6):
        for x, t in loader:
            optimizer.zero_grad()
            F.cross_entropy(module(x), t).backward()
            optimizer.step()
    return module.eval()


@pytest.mark.parametrize("fold", range(3))
def test_training_gives_what_the_plain_loop_gives(fold: int) -> None:
    """Six epochs of both with the same start and the same dropout, on a part of the clips.

    In double precision, as Adam turns the sign of a gradient that is zero but for rounding into a step.
    """
    X, y = planted_images(40)
    train = np.arange(40) // 3 % 3 != fold
    plain = plain_fit(X[train], y[train], fold, torch.float64)
    torch.manual_seed(fold)
    ours = build_module().double()
    images, answers = raw(X[train], torch.float64), torch.from_numpy(y[train])
    recipe = Recipe(epochs=6, batch_size=16, lr=5e-5, order="by-class")
    losses = list(train_epochs(ours, images, answers, recipe))
    assert len(losses) == 6
    assert_same_state(ours, plain, rtol=1e-5, atol=1e-8)


def test_the_recogniser_predicts_what_the_plain_loop_predicts() -> None:
    X, y = planted_images(40)
    ours = STSTNet(epochs=6, batch_size=16, random_state=5, device="cpu").fit(X[:28], y[:28])
    plain = plain_fit(X[:28], y[:28], 5, torch.float32)
    expected = torch.softmax(plain(raw(X[28:], torch.float32)), 1).detach().numpy()
    assert np.allclose(ours.predict_proba(X[28:]), expected, atol=5e-3)


def test_input_is_fed_as_the_published_weights_want_it() -> None:
    """Raw 0..255 in the order strain, v, u: a filter that sees its first channel only sees strain."""
    net = STSTNet(device="cpu")
    net.classes_ = np.arange(3)
    net.module_ = build_module().eval()
    seen: list[Tensor] = []
    net.forward = lambda module, staged: seen.append(staged) or torch.zeros(len(staged), 3)  # type: ignore
    X = np.zeros((1, 3, 28, 28), np.float32)
    X[:, 2] = 1.0  # strain
    net.predict_proba(X)
    assert seen[0][0, 0].unique().tolist() == [255.0]
    assert seen[0][0, 1:].unique().tolist() == [0.0]


def test_published_weights_load_by_key_and_others_are_refused(tmp_path: Path) -> None:
    torch.save(ThreeStreams().state_dict(), tmp_path / "006.pth")
    net = STSTNet(device="cpu").load_weights(tmp_path / "006.pth", np.arange(3))
    assert net.predict(planted_images(5)[0]).shape == (5,)
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth does not fit STSTNetModule"):
        STSTNet().load_weights(tmp_path / "other.pth", np.arange(3))


def test_saved_weights_give_the_same_predictions(tmp_path: Path) -> None:
    X, y = planted_images(12)
    net = STSTNet(epochs=2, device="cpu").fit(X, y)
    net.save_weights(tmp_path / "net.safetensors")
    again = STSTNet(device="cpu").load_weights(tmp_path / "net.safetensors", net.classes_)
    assert (again.predict_proba(X) == net.predict_proba(X)).all()


def test_fitting_leaves_the_users_random_state_alone() -> None:
    X, y = planted_images(9)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    STSTNet(epochs=1, device="cpu").fit(X, y)
    assert (torch.rand(3) == expected).all()


def test_an_interrupted_fit_keeps_the_network_of_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = planted_images(9)
    net = STSTNet(epochs=50, device="cpu")
    calls = []

    def stop_in_the_third_epoch(staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return staged, labels

    monkeypatch.setattr(net, "augment", stop_in_the_third_epoch)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    assert len(net.losses_) == 2
    assert net.predict(X).shape == (9,)


def test_images_of_another_size_are_refused() -> None:
    X, y = planted_images(9, size=32)
    with pytest.raises(DataError, match="28, 28"):
        STSTNet(epochs=1).fit(X, y)
