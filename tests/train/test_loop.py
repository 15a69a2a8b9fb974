from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from microexp.errors import OptionError
from microexp.train import Recipe, device_of_fold, pick_device, train_epochs


def data(n: int = 50) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    y = torch.arange(n) % 3
    return torch.randn(n, 4) + y[:, None], y


def net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_equals_a_plain_loop_with_a_data_loader(optimizer: str) -> None:
    X, y = data()
    ours, plain = net(), net()
    recipe = Recipe(
        epochs=5, batch_size=16, lr=0.01, weight_decay=0.01, optimizer=optimizer, decay=0.9, order="by-class"
    )
    losses = list(train_epochs(ours, X, y, recipe))
    order = torch.argsort(y, stable=True)
    loader = DataLoader(TensorDataset(X[order], y[order]), batch_size=16)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
    extra = {"momentum": 0.9} if optimizer == "sgd" else {}
    step = make(plain.parameters(), lr=0.01, weight_decay=0.01, **extra)
    schedule = torch.optim.lr_scheduler.ExponentialLR(step, 0.9)
    for _ in range(5):
        total = 0.0
        for x, t in loader:
            step.zero_grad()
            loss = nn.functional.cross_entropy(plain(x), t)
            loss.backward()
            step.step()
            total += loss.item() * len(t)
        schedule.step()
    assert losses[-1] == pytest.approx(total / len(y), rel=1e-4)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def seen_labels(recipe: Recipe, y: Tensor) -> list[Tensor]:
    """The labels of every batch, caught by the augmentation hook."""
    batches: list[Tensor] = []

    def catch(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        batches.append(labels.clone())
        return x, labels

    list(train_epochs(net(), torch.zeros(len(y), 4), y, recipe, augment=catch))
    return batches


def test_orders() -> None:
    y = torch.tensor([0] * 90 + [1] * 8 + [2] * 2)[torch.randperm(100)]
    by_class = torch.cat(seen_labels(Recipe(epochs=1, batch_size=30, order="by-class"), y))
    assert (by_class == y.sort().values).all()
    shuffled = torch.cat(seen_labels(Recipe(epochs=1, batch_size=30), y))
    assert (shuffled.sort().values == y.sort().values).all()
    assert not (shuffled == y).all()
    balanced = torch.cat(seen_labels(Recipe(epochs=30, batch_size=30, order="balanced"), y))
    assert torch.allclose(torch.bincount(balanced) / len(balanced), torch.full((3,), 1 / 3), atol=0.05)


def test_balanced_class_weights_change_the_loss_as_the_closed_form_says() -> None:
    X, y = torch.zeros(4, 4), torch.tensor([0, 0, 0, 1])
    plain = nn.Linear(4, 2)
    nn.init.zeros_(plain.weight)
    with torch.no_grad():
        plain.bias.copy_(torch.tensor([2.0, 0.0]))
    p = torch.softmax(plain.bias, 0)
    expected = -(0.5 * torch.log(p[0]) + 0.5 * torch.log(p[1]))
    recipe = Recipe(epochs=1, batch_size=4, class_weight="balanced")
    assert next(iter(train_epochs(copy.deepcopy(plain), X, y, recipe))) == pytest.approx(
        float(expected.detach())
    )


def test_training_ends_after_the_epoch_that_goes_below_the_stop_loss() -> None:
    X, y = data()
    every = list(train_epochs(net(), X, y, Recipe(epochs=40, lr=0.01, order="by-class")))
    ended = list(train_epochs(net(), X, y, Recipe(epochs=40, lr=0.01, order="by-class", stop_loss=every[20])))
    assert ended == every[:22]  # the 22nd epoch is the first below the loss of the 21st


def test_bfloat16_trains_float32_weights_to_nearly_the_same() -> None:
    X, y = data()
    recipe = {"epochs": 5, "batch_size": 16, "lr": 0.01, "order": "by-class"}
    exact, rounded = net(), net()
    list(train_epochs(exact, X, y, Recipe(**recipe)))
    list(train_epochs(rounded, X, y, Recipe(**recipe, precision="bfloat16")))
    for a, b in zip(exact.parameters(), rounded.parameters(), strict=True):
        assert b.dtype == torch.float32
        assert torch.allclose(a, b, atol=0.02)
    assert not all(torch.equal(a, b) for a, b in zip(exact.parameters(), rounded.parameters(), strict=True))


def test_the_caller_may_own_the_loss() -> None:
    X, y = data()
    ours, theirs = net(), net()
    recipe = Recipe(epochs=2, batch_size=50, lr=0.01, optimizer="sgd", order="by-class")
    doubled = Recipe(epochs=2, batch_size=50, lr=0.02, optimizer="sgd", order="by-class")
    twice = list(train_epochs(ours, X, y, recipe, loss=lambda net, x, t, criterion: 2 * criterion(net(x), t)))
    once = list(train_epochs(theirs, X, y, doubled))
    assert twice == pytest.approx([2 * value for value in once], rel=1e-4)


def test_the_caller_may_stop_between_epochs() -> None:
    X, y = data()
    epochs = train_epochs(net(), X, y, Recipe(epochs=1000))
    assert next(epochs) > 0
    epochs.close()


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"precision": "float16"},
        {"batch_size": 0},
        {"lr": 0},
        {"decay": 1.5},
        {"weight_decay": -1},
        {"optimizer": "lion"},
        {"order": "sorted"},
        {"class_weight": "heavy"},
    ],
)
def test_bad_values_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Recipe(**bad)


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda")
    with pytest.raises(OptionError, match="try 'cpu' or 'auto'"):
        pick_device("tpu")


def test_folds_take_several_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_of_fold("auto", fold) for fold in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_of_fold("cpu", 1) == "cpu"
    assert device_of_fold("cuda:1", 0) == "cuda:1"  # the user's choice stands
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device_of_fold("auto", 1) == "auto"
