from __future__ import annotations

import copy
import json
import signal
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.errors import DataError, OptionError, UnknownNameError, WeightsError
from microexp.magnify._network import NetworkMagnifier
from microexp.magnify.training import MagnificationTraining, train
from microexp.networks.tensors import to_frames, to_tensor
from microexp.train.magnification import MagnificationRecipe, Triples
from microexp.train.magnification_data import MagnificationSamples, draw_places, read_picture, resized
from microexp.weights import read_metadata, read_weights, write_weights

RECIPE = MagnificationRecipe(
    steps=6, losses={"l1": 1.0, "noise": 0.1}, batch_size=2, size=16, lr=1e-2, cosine=True
)


class Net(nn.Module):
    """The difference to the onset goes through two layers, and is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))
        self.tail = nn.Sequential(nn.BatchNorm2d(width, affine=False), nn.Conv2d(width, 3, 1))
        self.register_buffer("features", torch.zeros(1))

    def forward(self, middle: Tensor, onset: Tensor) -> Tensor:
        return middle + self.tail(self.body(middle - onset))


@dataclass(eq=False, repr=False)
class Gain(NetworkMagnifier):
    """A network as small as can be."""

    architecture: ClassVar[tuple[str, ...]] = ("width",)

    width: int = 4

    def build(self) -> nn.Module:
        return Net(self.width)

    def prepare(self, module: nn.Module, vgg: str | Path | None) -> None:
        module.get_buffer("features").fill_(float(vgg is not None))

    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        assert onset is not None
        for frame in frames:
            with torch.no_grad():
                yield to_frames(self.module()(to_tensor(frame[None]), to_tensor(onset[None])))[0]

    def recipes(self) -> dict[str, MagnificationRecipe]:
        return {
            "first": replace(RECIPE, trained=("body",)),
            "second": replace(RECIPE, trained=("tail",), start="first"),
        }

    def losses(self, module: nn.Module, batch: Triples, terms: Collection[str]) -> dict[str, Tensor]:
        if unknown := set(terms) - {"l1", "noise", "features"}:
            raise OptionError(f"Gain has no loss {unknown}")
        found = module(batch.middle, batch.onset)
        parts = {"l1": (found - batch.apex).abs().mean()}
        if "noise" in terms:
            parts["noise"] = (found * torch.rand_like(found)).mean()
        return parts


@dataclass(eq=False, repr=False)
class Level(Gain):
    """Gives a grey picture that says the factor it was asked for."""

    factor: float = 2.0

    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        for frame in frames:
            yield np.full_like(frame, round(self.factor * 50))


def method(**changes: object) -> Gain:
    return Gain(**{"device": "cpu", **changes})


def faces(count: int = 3, seed: int = 0, size: int = 16) -> list[Clip]:
    """Expressions that fade in: an apex is as far from the middle frame as that is from the onset."""
    clips = []
    for number in range(count):
        generator = np.random.default_rng((seed, number))
        rest, peak = generator.uniform(0, 255, (2, size, size, 3))
        peak = rest + 0.4 * (peak - rest)
        frames = np.stack([rest + level * (peak - rest) for level in (0, 0.5, 1)])
        clips.append(Clip.from_array(np.rint(frames).astype(np.uint8), apex=2, subject=f"s{seed}{number}"))
    return clips


def lines(folder: Path, stage: str = "first") -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / f"{stage}.jsonl").read_text().splitlines()]


def assert_same(first: Path, second: Path) -> None:
    a, b = read_weights(first), read_weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[key]) for key, value in a.items())


def test_the_weights_are_read_by_the_method_and_say_where_they_come_from(tmp_path: Path) -> None:
    file = train(method(width=5), faces(), tmp_path, seed=3, vgg="random")
    assert file == tmp_path / "first.safetensors"
    strong = method(weights=str(file)).magnify(faces()[0].frames[:])
    assert strong.shape == (3, 16, 16, 3)
    said = read_metadata(file)
    assert (said["method"], said["stage"], said["seed"], said["vgg"]) == ("Gain", "first", "3", "random")
    assert json.loads(said["architecture"]) == {"width": 5}
    recipe = {**asdict(method().recipes()["first"])}
    assert json.loads(said["recipe"]) == json.loads(json.dumps(recipe))
    assert {"data", "validation", "microexp"} <= said.keys()


def test_training_beats_identity_on_people_it_never_saw(tmp_path: Path) -> None:
    recipe = MagnificationRecipe(steps=200, losses={"l1": 1.0}, batch_size=4, size=16, lr=3e-2, cosine=True)
    held_out = faces(2, seed=1)
    train(method(), faces(6), tmp_path, validation=held_out, recipe=recipe, validate_every=100)
    judged = [line for line in lines(tmp_path) if "l1_identity" in line]
    assert [line["step"] for line in judged] == [100, 200]
    assert judged[0]["l1_identity"] == judged[1]["l1_identity"]
    assert judged[1]["l1"] < 0.5 * judged[1]["l1_identity"]


def test_validation_is_the_methods_own_magnification(tmp_path: Path) -> None:
    held_out = faces(5, seed=1, size=20)
    file = train(method(), faces(), tmp_path, validation=held_out)
    trained, found, still = method(weights=str(file)), [], []
    for clip in held_out:
        onset, middle, apex = (resized(frame, 16) for frame in clip.frames)
        found.append(np.abs(trained.magnify(middle, onset).astype(float) - apex).mean() / 255)
        still.append(np.abs(middle.astype(float) - apex).mean() / 255)
    last = lines(tmp_path)[-1]
    assert last["l1"] == pytest.approx(np.mean(found))
    assert last["l1_identity"] == pytest.approx(np.mean(still))
    sheet = np.asarray(Image.open(tmp_path / "first-validation" / "0000006.png"))
    assert sheet.shape == (4 * 20, 5 * 16, 3)
    onset, middle, strong, apex, difference = np.split(sheet[:16], 5, axis=1)
    for picture, frame in zip((onset, middle, apex), held_out[0].frames, strict=True):
        assert np.array_equal(picture, resized(frame, 16))
    assert np.array_equal(strong, trained.magnify(middle, onset))
    off = np.abs(strong.astype(int) - apex) * 4
    assert np.array_equal(difference, np.minimum(off, 255))


def test_validation_asks_for_the_factor_of_the_triple(tmp_path: Path) -> None:
    made = Synthetic(n_subjects=2, clips_per_subject=1, size=48).clips()
    recipe = replace(RECIPE, steps=1, batch_size=1)
    train(Level(device="cpu"), made[:1], tmp_path, validation=made[1:], recipe=recipe)
    places = draw_places(made[1], recipe.factors, np.random.default_rng(0))
    apex = resized(read_picture(made[1], places.apex), 16).astype(float)
    level = round(places.factor * 50)
    assert level != 100
    assert lines(tmp_path)[-1]["l1"] == pytest.approx(np.abs(level - apex).mean() / 255)
    train(Level(device="cpu"), faces(), tmp_path / "b", validation=faces(1, 1), recipe=recipe)
    apex = faces(1, 1)[0].frames[2].astype(float)
    assert lines(tmp_path / "b")[-1]["l1"] == pytest.approx(np.abs(100 - apex).mean() / 255)


def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    def stop(done: int, total: int, figures: object) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    options = {"recipe": RECIPE, "save_every": 2, "validation": faces(1, seed=1)}
    whole = train(method(), faces(), tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(method(), faces(), tmp_path / "parts", progress=stop, **options)
    assert not (tmp_path / "parts" / "first.safetensors").exists()
    assert int(read_weights(tmp_path / "parts" / "first.checkpoint.safetensors")["step"]) == 4
    with pytest.raises(OptionError, match="--resume"):
        train(method(), faces(), tmp_path / "parts", **options)
    parts = train(method(), faces(), tmp_path / "parts", resume=True, **options)
    assert_same(whole, parts)
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")


def test_another_training_is_not_gone_on(tmp_path: Path) -> None:
    train(method(), faces(), tmp_path)
    for changes, told in (({"seed": 1}, "seed 0, not 1"), ({"vgg": "random"}, "vgg")):
        with pytest.raises(OptionError, match=told):
            train(method(), faces(), tmp_path, resume=True, **changes)
    with pytest.raises(OptionError, match="data"):
        train(method(), faces(2), tmp_path, resume=True)
    checkpoint = tmp_path / "first.checkpoint.safetensors"
    write_weights(checkpoint, {"layer": torch.zeros(1)}, read_metadata(checkpoint))
    with pytest.raises(WeightsError, match=r"first\.checkpoint\.safetensors cannot be gone on"):
        train(method(), faces(), tmp_path, resume=True)


def test_a_stage_starts_from_the_result_of_another_and_trains_its_own_part(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"stage 'first'.*--start"):
        train(method(), faces(), tmp_path, stage="second")
    first = read_weights(train(method(), faces(), tmp_path))
    file = train(method(), faces(), tmp_path, stage="second")
    assert file.name == "second.safetensors"
    second = read_weights(file)
    for key, value in first.items():
        assert torch.equal(second[key], value) == (not key.startswith("tail")), key
    with pytest.raises(UnknownNameError, match="first"):
        train(method(), faces(), tmp_path, stage="frist")


def test_the_network_is_prepared_before_weights_are_loaded(tmp_path: Path) -> None:
    first = train(method(), faces(), tmp_path / "a", vgg="random")
    assert read_weights(first)["features"].item() == 1
    second = train(method(), faces(), tmp_path / "b", start=first)
    assert read_weights(second)["features"].item() == 1
    with pytest.raises(WeightsError, match="does not exist"):
        train(method(), faces(), tmp_path / "c", vgg=tmp_path / "vgg.pth")


# one step


def training(**changes: object) -> MagnificationTraining:
    torch.manual_seed(0)
    return MagnificationTraining(Net(4), replace(RECIPE, **changes), method().losses, seed=1)


def batch(step: int = 0) -> Triples:
    return MagnificationSamples(faces(), RECIPE).batch(step)


def test_what_is_not_trained_stays_and_gets_no_gradients() -> None:
    one = training(trained=("tail",))
    before = copy.deepcopy(one.module.state_dict())
    one.advance(*batch())
    for name, value in one.module.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith("tail")), name
    for name, parameter in one.module.named_parameters():
        assert (parameter.grad is not None) == name.startswith("tail")
    assert not one.module.body[1].training
    assert one.module.tail[0].training


def test_without_names_everything_is_trained_but_what_needs_no_gradients() -> None:
    net = Net(4)
    net.body.requires_grad_(False)
    one = MagnificationTraining(net, RECIPE, method().losses)
    before = copy.deepcopy(net.state_dict())
    one.advance(*batch())
    for name, value in net.state_dict().items():
        still = name.startswith(("body", "features"))
        assert torch.equal(value, before[name]) == still, name
    with pytest.raises(OptionError, match=r"trained: .*'body'"):
        MagnificationTraining(net, replace(RECIPE, trained=("body",)), method().losses)


def test_terms_are_weighted_and_those_without_weight_are_not_asked_for() -> None:
    one, other = training(losses={"l1": 3.0, "noise": 0.0}), training(losses={"l1": 1.0})
    found, single = one.advance(*batch()), other.advance(*batch())
    assert found.keys() == {"l1"}
    assert found["l1"].item() == pytest.approx(3 * single["l1"].item())
    with pytest.raises(OptionError, match="no loss"):
        training(losses={"huber": 1.0}).advance(*batch())
    with pytest.raises(OptionError, match="above 0"):
        training(losses={"l1": 0.0})


def test_a_step_is_adams() -> None:
    one = training(losses={"l1": 1.0}, lr=0.1, cosine=False)
    net = copy.deepcopy(one.module)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1, betas=RECIPE.betas)
    for step in range(3):
        one.advance(*batch(step))
        assert one.learning_rate == 0.1
        optimizer.zero_grad()
        triples = batch(step)
        (net(triples.middle, triples.onset) - triples.apex).abs().mean().backward()
        optimizer.step()
    for key, value in net.state_dict().items():
        assert torch.equal(one.result.state_dict()[key], value), key


def test_a_state_is_gone_on_to_the_same_result() -> None:
    whole, parts = training(), training()
    for step in range(2):
        whole.advance(*batch(step))
    state = {key: value.clone() for key, value in whole.state().items()}
    parts.load_state(state)
    assert parts.step == 2
    for one in (whole, parts):
        one.advance(*batch(2))
    for key, value in whole.state().items():
        assert torch.equal(parts.state()[key], value), key
    for wrong in ({"step": state["step"]}, {k: v for k, v in state.items() if k != "step"}):
        with pytest.raises(WeightsError, match="no state"):
            training().load_state(wrong)


def test_bad_data_and_losses_end_the_training(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clip"):
        train(method(), [], tmp_path)
    wide = Clip.from_array(np.zeros((3, 8, 9, 3), np.uint8), name="wide")
    with pytest.raises(DataError, match="wide"):
        train(method(), faces(), tmp_path / "a", validation=[wide])
    recipe = replace(RECIPE, lr=1e38, steps=20, losses={"l1": 1.0})
    with pytest.raises(OptionError, match=r"not finite.*--lr"):
        train(method(), faces(), tmp_path / "b", recipe=recipe, save_every=1)
    assert not (tmp_path / "b" / "first.safetensors").exists()


def test_the_callers_random_numbers_are_not_touched(tmp_path: Path) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train(method(), faces(), tmp_path)
    assert torch.equal(torch.rand(3), wanted)
