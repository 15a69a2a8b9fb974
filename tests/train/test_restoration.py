from __future__ import annotations

import copy
import dataclasses

import cv2
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from microexp.errors import OptionError, WeightsError
from microexp.train.losses import adversarial_loss, discriminator_loss, pixel_loss, sharpened
from microexp.train.restoration import RestorationRecipe
from microexp.train.restoration_loop import RestorationTraining, follow


class Net(nn.Module):
    """Pictures to pictures twice as large."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = nn.Conv2d(3, 4, 3, padding=1)
        self.tail = nn.Conv2d(4, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.pixel_shuffle(self.tail(self.flow(x.flatten(0, -4)).relu()), 2)
        return y.unflatten(0, x.shape[:-3])


class Middle(Net):
    """Of consecutive frames the middle one."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, x.shape[1] // 2]


def net(kind: type[nn.Module] = Net) -> nn.Module:
    torch.manual_seed(0)
    return kind()


def critic() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 4, 2), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.Flatten(), nn.LazyLinear(1)
    ).train()


def data(*leading: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(2)
    small = torch.rand(*(leading or (2,)), 3, 6, 6)
    large = nn.functional.interpolate(small.flatten(0, -4), scale_factor=2)
    return small, large.unflatten(0, small.shape[:-3])


def made_critic() -> nn.Module:
    network = critic()
    network(torch.rand(2, 3, 12, 12))
    return network


def equal(first: nn.Module, second: nn.Module) -> bool:
    others = second.state_dict()
    return all(torch.equal(value, others[key]) for key, value in first.state_dict().items())


# losses


def test_pixel_losses_in_closed_form() -> None:
    output, target = torch.tensor([0.0, 3e-6, 1.0]), torch.tensor([0.0, 0.0, 0.5])
    assert pixel_loss("l1", output, target).item() == pytest.approx((3e-6 + 0.5) / 3)
    assert pixel_loss("mse", output, target).item() == pytest.approx((9e-12 + 0.25) / 3)
    parts = 1e-6 + np.sqrt(9e-12 + 1e-12) + 0.5
    assert pixel_loss("charbonnier-sum", output, target).item() == pytest.approx(parts)
    assert pixel_loss("charbonnier", output, target).item() == pytest.approx(parts / 3)
    with pytest.raises(OptionError, match="huber"):
        pixel_loss("huber", output, target)


def test_relativistic_losses_by_hand() -> None:
    real, fake = np.array([[1.0], [3.0]]), np.array([[-1.0], [0.5]])
    a, b = 1 / (1 + np.exp(-(real - fake.mean()))), 1 / (1 + np.exp(-(fake - real.mean())))
    of_critic = (-np.log(a).mean() - np.log(1 - b).mean()) / 2
    of_network = (-np.log(1 - a).mean() - np.log(b).mean()) / 2
    logits = torch.tensor(real), torch.tensor(fake)
    assert discriminator_loss("relativistic", *logits).item() == pytest.approx(of_critic)
    assert adversarial_loss("relativistic", *logits).item() == pytest.approx(of_network)


def test_vanilla_losses_by_hand() -> None:
    real, fake = torch.tensor([0.0]), torch.tensor([2.0])
    s = 1 / (1 + np.exp(-2.0))
    assert discriminator_loss("vanilla", real, fake).item() == pytest.approx(-np.log(0.5) - np.log(1 - s))
    assert adversarial_loss("vanilla", None, fake).item() == pytest.approx(-np.log(s))


@pytest.mark.parametrize("size", [(60, 70), (9, 5), (1, 8)])
def test_sharpened_equals_opencv(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    blur = {"ksize": (51, 51), "sigmaX": 0, "borderType": cv2.BORDER_REFLECT_101}
    detail = picture - cv2.GaussianBlur(picture, **blur)
    mask = cv2.GaussianBlur((np.abs(detail) * 255 > 10).astype(np.float32), **blur)
    wanted = mask * np.clip(picture + 0.5 * detail, 0, 1) + (1 - mask) * picture
    found = sharpened(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert np.abs(found.numpy() - wanted).max() < 1e-5


def test_a_flat_picture_stays_as_it_is() -> None:
    picture = torch.full((1, 3, 40, 40), 0.3)
    assert torch.allclose(sharpened(picture), picture)


# schedule


def test_cosine_is_that_of_pytorch() -> None:
    recipe = RestorationRecipe(steps=50, lr=1e-3, cosine=(10, 10, 30), lr_min=1e-5)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10, eta_min=1e-5)
    for step in range(20):
        assert recipe.learning_rate(step) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert recipe.learning_rate(35) == pytest.approx((1e-3 + 1e-5) / 2)
    assert recipe.learning_rate(50) == 1e-5


def test_halving() -> None:
    recipe = RestorationRecipe(steps=30, lr=1.0, halve_at=(10, 20))
    assert [recipe.learning_rate(step) for step in (0, 9, 10, 19, 20)] == [1, 1, 0.5, 0.5, 0.25]


def test_a_shorter_recipe_is_the_same_in_shape() -> None:
    recipe = RestorationRecipe(
        steps=1000, halve_at=(500,), cosine=(200, 800), frozen={"a": 100}, ema=0.99, lr_min=0.0
    )
    short = recipe.in_steps(100)
    assert (short.steps, short.halve_at, short.cosine, short.frozen) == (100, (50,), (20, 80), {"a": 10})
    assert short.ema == pytest.approx(0.9)  # the last tenth either way: 100 of 1000 steps, 10 of 100
    for step in range(100):
        assert short.learning_rate(step) == pytest.approx(recipe.learning_rate(10 * step))
    assert recipe.in_steps(2000).ema == 0.99
    with pytest.raises(OptionError, match="steps"):
        recipe.in_steps(0)


# the loop


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.999), st.integers(1, 5))
def test_the_running_mean_is_a_geometric_sum(decay: float, count: int) -> None:
    start, end = net(), net()
    with torch.no_grad():
        for parameter in end.parameters():
            parameter.add_(1.0)
    average = copy.deepcopy(start)
    for _ in range(count):
        follow(average, end, decay)
    for mean, parameter in zip(average.parameters(), start.parameters(), strict=True):
        assert torch.allclose(mean, parameter + 1 - decay**count, atol=1e-5)


def test_a_step_is_adams() -> None:
    small, target = data()
    recipe = RestorationRecipe(steps=3, lr=1e-2, betas=(0.9, 0.99))
    ours, plain = RestorationTraining(net(), recipe), net()
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-2, betas=(0.9, 0.99))
    for _ in range(3):
        losses = ours.advance(small, target)
        loss = (plain(small) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert losses["pixel"].item() == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(ours.module.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_loss_falls() -> None:
    training = RestorationTraining(net(), RestorationRecipe(steps=60, lr=1e-2))
    losses = [training.advance(*data())["pixel"].item() for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


def test_what_is_kept_is_the_running_mean() -> None:
    training = RestorationTraining(net(), RestorationRecipe(steps=5, lr=1e-2, ema=0.5))
    wanted = copy.deepcopy(training.module)
    for _ in range(3):
        training.advance(*data())
        follow(wanted, training.module, 0.5)
    assert equal(training.result, wanted)
    assert not equal(training.result, training.module)


def test_frozen_and_slow_parameters() -> None:
    recipe = RestorationRecipe(steps=4, lr=1e-2, frozen={"flow": 2}, slow={"flow": 0.25})
    training = RestorationTraining(net(), recipe)
    before = copy.deepcopy(training.module)
    for _ in range(2):
        training.advance(*data())
    assert equal(training.module.flow, before.flow)
    assert not equal(training.module.tail, before.tail)
    tail = training.module.tail.weight.detach().clone()
    training.advance(*data())
    moved = (training.module.flow.weight - before.flow.weight).abs().max().item()
    assert moved == pytest.approx(0.25 * 1e-2, rel=1e-2)  # Adam's first step is the learning rate
    assert not torch.equal(training.module.tail.weight, tail)


def test_what_the_network_froze_itself_stays_frozen() -> None:
    module = net()
    module.flow.requires_grad_(False)
    before = copy.deepcopy(module)
    training = RestorationTraining(module, RestorationRecipe(steps=3, lr=1e-2, frozen={"flow": 1}))
    for _ in range(3):
        training.advance(*data())
    assert equal(module.flow, before.flow)


@pytest.mark.parametrize("option", ["slow", "frozen"])
def test_parameters_that_do_not_exist_are_refused(option: str) -> None:
    with pytest.raises(OptionError, match=r"spynet\."):
        RestorationTraining(net(), RestorationRecipe(steps=3, **{option: {"spynet.": 1}}))


def test_targets_of_video_are_all_frames_or_the_middle_one() -> None:
    small, target = data(2, 3)
    recipe = RestorationRecipe(steps=1, frames=3)
    all_frames = RestorationTraining(net(), recipe).advance(small, target)["pixel"]
    middle = RestorationTraining(net(Middle), recipe).advance(small, target)["pixel"]
    assert all_frames.item() == pytest.approx((net()(small) - target).abs().mean().item())
    assert middle.item() == pytest.approx((net()(small)[:, 1] - target[:, 1]).abs().mean().item())
    with pytest.raises(OptionError, match="scale"):
        RestorationTraining(net(), recipe).advance(small, target[..., :4])


def test_cleaned_pictures_are_compared_with_averages() -> None:
    small, target = data(1, 2)
    recipe = RestorationRecipe(steps=1, frames=2, cleaning_weight=2.0)

    def output(module: nn.Module, small: Tensor) -> tuple[Tensor, Tensor]:
        return module(small), small + 0.1  # the target is the small picture's pixels twice

    training = RestorationTraining(net(), recipe, output)
    assert training.advance(small, target)["cleaning"].item() == pytest.approx(0.2, rel=1e-5)
    with pytest.raises(OptionError, match="cleaned"):
        RestorationTraining(net(), recipe).advance(small, target)


@pytest.mark.parametrize("gan", ["vanilla", "relativistic"])
def test_both_networks_of_an_adversarial_training_learn(gan: str) -> None:
    recipe = RestorationRecipe(steps=2, lr=1e-3, gan=gan, gan_weight=0.1)
    module, opponent = net(), made_critic()
    before = copy.deepcopy(module), copy.deepcopy(opponent)
    losses = RestorationTraining(module, recipe, discriminator=opponent).advance(*data())
    assert set(losses) == {"pixel", "gan", "discriminator"}
    assert all(value.isfinite() for value in losses.values())
    assert not equal(module, before[0])
    for a, b in zip(opponent.parameters(), before[1].parameters(), strict=True):
        assert a.requires_grad
        assert not torch.equal(a, b)


def test_a_sharpened_target_is_for_pixels_and_features_but_not_for_the_discriminator() -> None:
    seen: dict[str, Tensor] = {}

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            seen.setdefault("critic", []).append(x.detach())
            return self.factor * x.mean((1, 2, 3))

    def features(output: Tensor, target: Tensor) -> Tensor:
        seen["features"] = target
        return (output - target).abs().mean()

    small, target = data()
    recipe = RestorationRecipe(
        steps=1, sharpen=True, gan="relativistic", gan_weight=0.1, feature_weights={"2": 1.0}
    )
    RestorationTraining(net(), recipe, discriminator=Watching(), features=features).advance(small, target)
    assert torch.equal(seen["features"], sharpened(target))
    assert not torch.equal(sharpened(target), target)
    assert any(torch.equal(picture, target) for picture in seen["critic"])
    assert not any(torch.equal(picture, sharpened(target)) for picture in seen["critic"])


def test_what_a_recipe_needs_must_be_there() -> None:
    with pytest.raises(OptionError, match="discriminator"):
        RestorationTraining(net(), RestorationRecipe(steps=1, gan_weight=0.1))
    with pytest.raises(OptionError, match="vgg19"):
        RestorationTraining(net(), RestorationRecipe(steps=1, feature_weights={"34": 1.0}))


FULL = RestorationRecipe(
    steps=6,
    lr=1e-2,
    cosine=(3, 3),
    ema=0.9,
    frozen={"flow": 4},
    slow={"flow": 0.5},
    gan="relativistic",
    gan_weight=0.1,
)


def test_going_on_from_a_state_is_as_if_nothing_happened() -> None:
    whole = RestorationTraining(net(), FULL, discriminator=made_critic())
    for _ in range(6):
        whole.advance(*data())
    first = RestorationTraining(net(), FULL, discriminator=made_critic())
    for _ in range(3):
        first.advance(*data())
    kept = {key: value.clone() for key, value in first.state().items()}
    torch.manual_seed(99)
    second = RestorationTraining(Net(), FULL, discriminator=copy.deepcopy(made_critic()))
    second.load_state(kept)
    assert second.step == 3
    for _ in range(3):
        second.advance(*data())
    assert equal(second.module, whole.module)
    assert equal(second.result, whole.result)
    wanted = whole.state()
    assert all(torch.equal(value, wanted[key]) for key, value in second.state().items())


@pytest.mark.parametrize("lost", ["step", "module.flow.weight", "average.tail.bias"])
def test_a_state_with_something_missing_is_refused(lost: str) -> None:
    training = RestorationTraining(net(), FULL, discriminator=made_critic())
    training.advance(*data())
    state = {key: value.clone() for key, value in training.state().items() if key != lost}
    with pytest.raises(WeightsError, match="no state of such a training"):
        RestorationTraining(net(), FULL, discriminator=made_critic()).load_state(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel": "huber"}, "huber"),
        ({"gan": "wasserstein"}, "wasserstein"),
        ({"batch_size": 0}, "batch_size"),
        ({"lr": 0.0}, "lr"),
        ({"ema": 1.0}, "ema"),
        ({"cleaning_weight": -1.0}, "negative"),
        ({"feature_weights": {"34": -1.0}}, "negative"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        dataclasses.replace(RestorationRecipe(steps=10), **change)
