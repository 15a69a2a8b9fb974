from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from microexp import superres
from microexp.clip import Clip
from microexp.errors import OptionError, UnknownNameError, WeightsError
from microexp.networks.stages import recipe_of
from microexp.superres._network import NetworkUpscaler
from microexp.superres.edsr import EDSR
from microexp.superres.training import train
from microexp.train.restoration import RestorationRecipe
from microexp.weights import read_metadata, read_weights, write_weights

SETTINGS = {"scale": 2, "channels": 8, "blocks": 1, "device": "cpu"}
RECIPE = RestorationRecipe(steps=6, batch_size=2, patch=16, lr=1e-3, cosine=(6,), ema=0.5)


def method(**changes: object) -> NetworkUpscaler:
    return superres.create("edsr", **{**SETTINGS, **changes})


def faces(count: int = 3, seed: int = 0) -> list[Clip]:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 8, 7, 3), dtype=np.uint8)
    smooth = [np.asarray(Image.fromarray(c).resize((28, 32), Image.Resampling.BICUBIC)) for c in coarse]
    return [Clip.from_array(p[None], subject=f"s{seed}{i}", name=f"{i}") for i, p in enumerate(smooth)]


def lines(folder: Path, stage: str = "psnr") -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / f"{stage}.jsonl").read_text().splitlines()]


def test_the_weights_are_loaded_by_create_and_say_where_they_come_from(tmp_path: Path) -> None:
    file = train(method(), faces(), tmp_path, recipe=RECIPE, seed=3)
    assert file == tmp_path / "psnr.safetensors"
    loaded = superres.create("edsr", weights=str(file), scale=2)
    small = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert loaded.upscale(small).shape == (18, 14, 3)
    said = read_metadata(file)
    assert (said["method"], said["stage"], said["seed"]) == ("EDSR", "psnr", "3")
    assert json.loads(said["recipe"])["steps"] == 6
    assert json.loads(said["architecture"])["channels"] == 8
    assert {"data", "microexp"} <= said.keys()


def test_arrays_are_taken_for_clips(tmp_path: Path) -> None:
    arrays = [faces()[0].frames[0], faces()[1].frames[:]]
    assert train(method(), arrays, tmp_path, recipe=RECIPE).is_file()


def test_training_beats_no_training_on_people_it_never_saw(tmp_path: Path) -> None:
    recipe = RestorationRecipe(steps=150, batch_size=4, patch=16, lr=5e-3)
    train(
        method(),
        faces(6),
        tmp_path,
        validation=faces(2, seed=1),
        recipe=recipe,
        save_every=5,
        validate_every=75,
    )
    noted = lines(tmp_path)
    losses = [line["pixel"] for line in noted if "pixel" in line]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:2])
    judged = [line for line in noted if "psnr" in line]
    assert [line["step"] for line in judged] == [75, 150]
    assert judged[0]["psnr_bicubic"] == judged[1]["psnr_bicubic"]
    assert judged[1]["psnr"] > judged[0]["psnr"]


def test_validation_is_the_methods_own_restoration(tmp_path: Path) -> None:
    held_out = faces(2, seed=1)
    file = train(method(), faces(), tmp_path, validation=held_out, recipe=RECIPE)
    trained = method(weights=str(file))

    def figure(upscaler: superres.base.Upscaler) -> float:
        ratios = []
        for clip in held_out:
            true = clip.frames[0]
            small = superres.degradation.degrade(true, "bicubic", 2, np.random.default_rng(0))
            error = (upscaler.upscale(small).astype(float) - true) ** 2
            ratios.append(10 * np.log10(255**2 / error.mean()))
        return float(np.mean(ratios))

    last = lines(tmp_path)[-1]
    assert last["psnr"] == pytest.approx(figure(trained), abs=1e-6)
    assert last["psnr_bicubic"] == pytest.approx(figure(superres.create("bicubic", scale=2)), abs=1e-6)
    sheet = Image.open(tmp_path / "psnr-validation" / "0000006.png")
    assert sheet.size == (4 * 28, 2 * 36)
    assert np.array_equal(np.asarray(sheet)[:32, 3 * 28 :], held_out[0].frames[0])


def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    def stop(done: int, total: int, figures: object) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    whole = train(method(), faces(), tmp_path / "whole", recipe=RECIPE, save_every=2)
    with pytest.raises(KeyboardInterrupt):
        train(method(), faces(), tmp_path / "parts", recipe=RECIPE, save_every=2, progress=stop)
    assert not (tmp_path / "parts" / "psnr.safetensors").exists()
    assert int(read_weights(tmp_path / "parts" / "psnr.checkpoint.safetensors")["step"]) == 4
    parts = train(method(), faces(), tmp_path / "parts", recipe=RECIPE, save_every=2, resume=True)
    assert_same(whole, parts)
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")


def test_the_users_handler_of_interrupts_is_given_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    train(method(), faces(), tmp_path, recipe=RECIPE)
    assert signal.getsignal(signal.SIGINT) is before


CHILD = """
import sys
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads({threads})  # sums depend on it, and so does the last bit of a weight
from pathlib import Path
from tests.superres.test_training import RECIPE, faces, method
from microexp.superres.training import train
import dataclasses
recipe = dataclasses.replace(RECIPE, steps=2000)
train(method(), faces(), Path({out!r}), recipe=recipe, save_every=10)
"""


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    out, here = tmp_path / "killed", str(Path(__file__).parents[2])
    child_code = CHILD.format(here=here, out=str(out), threads=torch.get_num_threads())
    child = subprocess.Popen([sys.executable, "-c", child_code])
    checkpoint = out / "psnr.checkpoint.safetensors"
    while not checkpoint.exists() and child.poll() is None:
        time.sleep(0.02)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    done = int(read_weights(checkpoint)["step"])
    assert 0 < done < 2000
    recipe = replace(RECIPE, steps=2000)
    target = done + 3

    def stop(at: int, total: int, figures: object) -> None:
        if at == target:
            signal.raise_signal(signal.SIGINT)

    for folder in (out, tmp_path / "whole"):
        with pytest.raises(KeyboardInterrupt):
            train(method(), faces(), folder, recipe=recipe, save_every=10, resume=True, progress=stop)
    assert_same(checkpoint, tmp_path / "whole" / checkpoint.name)
    steps = [line["step"] for line in lines(out)]
    assert steps == sorted(set(steps))


def assert_same(first: Path, second: Path) -> None:
    a, b = read_weights(first), read_weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[key]) for key, value in a.items())


def test_a_folder_with_a_training_is_not_overwritten(tmp_path: Path) -> None:
    train(method(), faces(), tmp_path, recipe=RECIPE)
    with pytest.raises(OptionError, match="--resume"):
        train(method(), faces(), tmp_path, recipe=RECIPE)
    with pytest.raises(OptionError, match="seed 0, not 1"):
        train(method(), faces(), tmp_path, recipe=RECIPE, seed=1, resume=True)
    with pytest.raises(OptionError, match="data"):
        train(method(), faces(2), tmp_path, recipe=RECIPE, resume=True)
    (tmp_path / "psnr.checkpoint.safetensors").unlink()
    with pytest.raises(OptionError, match="there already"):
        train(method(), faces(), tmp_path, recipe=RECIPE, resume=True)


def test_bad_checkpoints_are_named(tmp_path: Path) -> None:
    train(method(), faces(), tmp_path, recipe=RECIPE)
    checkpoint = tmp_path / "psnr.checkpoint.safetensors"
    whole, said = checkpoint.read_bytes(), read_metadata(checkpoint)
    checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"psnr\.checkpoint\.safetensors"):
        train(method(), faces(), tmp_path, recipe=RECIPE, resume=True)
    write_weights(checkpoint, {"layer": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="no checkpoint of a training"):
        train(method(), faces(), tmp_path, recipe=RECIPE, resume=True)
    write_weights(checkpoint, {"layer": torch.zeros(1)}, said)
    with pytest.raises(WeightsError, match=r"psnr\.checkpoint\.safetensors cannot be gone on"):
        train(method(), faces(), tmp_path, recipe=RECIPE, resume=True)


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Adversarial(EDSR):
    """EDSR with a second stage."""

    def recipes(self) -> dict[str, RestorationRecipe]:
        gan = RestorationRecipe(
            steps=2, batch_size=2, patch=16, gan="relativistic", gan_weight=0.01, start="psnr"
        )
        return {"psnr": RECIPE, "gan": gan}

    def discriminator(self, patch: int) -> nn.Module:
        return Critic()


def test_a_stage_starts_from_the_result_of_another(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"stage 'psnr'.*--start"):
        train(Adversarial(**SETTINGS), faces(), tmp_path, stage="gan")
    first = train(Adversarial(**SETTINGS), faces(), tmp_path)
    still = replace(Adversarial().recipes()["gan"], lr=1e-12)
    second = train(Adversarial(**SETTINGS), faces(), tmp_path, stage="gan", recipe=still)
    assert second.name == "gan.safetensors"
    for key, value in read_weights(first).items():
        assert torch.allclose(read_weights(second)[key], value, atol=1e-8)
    assert {"gan", "discriminator"} <= lines(tmp_path, "gan")[-1].keys()


class Cleaning(EDSR):
    """EDSR that gives, in training, its small pictures as well."""

    def recipes(self) -> dict[str, RestorationRecipe]:
        return {"psnr": RestorationRecipe(steps=1, batch_size=1, patch=16, cleaning_weight=1.0)}

    def training_output(self, module: nn.Module, small: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return module(small), small


def test_a_method_says_what_its_network_gives_in_training(tmp_path: Path) -> None:
    grey = [np.full((24, 24, 3), 77, np.uint8)]
    train(Cleaning(**SETTINGS), grey, tmp_path)
    assert lines(tmp_path)[-1]["cleaning"] == pytest.approx(0, abs=1e-6)


def test_weights_of_another_scale_give_what_fits(tmp_path: Path) -> None:
    first = train(method(), faces(), tmp_path / "x2", recipe=RECIPE)
    slow = RestorationRecipe(steps=1, batch_size=1, patch=16, lr=1e-12)
    second = train(method(scale=4), faces(), tmp_path / "x4", recipe=slow, start=first)
    before, after = read_weights(first), read_weights(second)
    assert torch.allclose(before["body.0.conv1.weight"], after["body.0.conv1.weight"], atol=1e-8)
    write_weights(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"method": "RDN"})
    with pytest.raises(WeightsError, match="holds RDN"):
        train(method(), faces(), tmp_path / "n", recipe=RECIPE, start=tmp_path / "other.safetensors")


def test_features_are_never_random(tmp_path: Path) -> None:
    recipe = RestorationRecipe(steps=2, batch_size=1, patch=16, feature_weights={"34": 1.0})
    with pytest.raises(OptionError, match=r"34 of vgg19.*--vgg"):
        train(method(), faces(), tmp_path / "a", recipe=recipe)
    with pytest.raises(WeightsError, match="does not exist"):
        train(method(), faces(), tmp_path / "b", recipe=recipe, vgg=tmp_path / "vgg.pth")


def test_recipes_are_shortened_and_changed() -> None:
    stage, recipe = recipe_of(method(), steps=3000, patch=32, lr=None)
    assert (stage, recipe.steps, recipe.halve_at, recipe.patch) == ("psnr", 3000, (2000,), 32)
    assert recipe.lr == method().recipes()["psnr"].lr
    with pytest.raises(UnknownNameError, match="psnr"):
        recipe_of(method(), "pnsr")


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    recipe = RestorationRecipe(steps=40, batch_size=1, patch=16, lr=1e30)
    with pytest.raises(OptionError, match=r"not finite.*--lr"):
        train(method(), faces(), tmp_path, recipe=recipe, save_every=1)
    assert not (tmp_path / "psnr.safetensors").exists()


def test_the_callers_random_numbers_are_not_touched(tmp_path: Path) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train(method(), faces(), tmp_path, recipe=RECIPE)
    assert torch.equal(torch.rand(3), wanted)
