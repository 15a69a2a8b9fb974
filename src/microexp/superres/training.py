"""Training of super-resolution networks: a method, a recipe and clips to a file of weights.

A training is a folder; of each stage it holds::

    <stage>.safetensors             the weights, when it is done; create(name, weights=FILE) takes them
    <stage>.checkpoint.safetensors  all that the next step depends on; written anew every so many steps
    <stage>.jsonl                   losses and validation, a line each
    <stage>-validation/<step>.png   held-out pictures: small, bicubic, restored, true

Training goes on from the checkpoint after a kill, to the same weights as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.networks.stages import RunOptions, recipe_of, run_stage
from microexp.networks.vgg import FeatureLoss, vgg_features
from microexp.superres._network import NetworkUpscaler
from microexp.superres._validation import Validation
from microexp.superres.degradation import degrade
from microexp.train import pick_device
from microexp.train.restoration import RestorationRecipe
from microexp.train.restoration_data import Degrade, Samples
from microexp.train.restoration_loop import RestorationTraining


def train(
    method: NetworkUpscaler,
    clips: Sequence[Clip | np.ndarray],
    out: str | Path,
    *,
    validation: Sequence[Clip | np.ndarray] = (),
    stage: str | None = None,
    recipe: RestorationRecipe | None = None,
    degrade: Degrade = degrade,
    **options: Unpack[RunOptions],
) -> Path:
    """Train a method's network and write its weights.

    On Ctrl-C the step is finished and the checkpoint written before `KeyboardInterrupt` is raised, so no step
    is lost; after a kill, those since the last checkpoint are taken again.

    Parameters
    ----------
    method : NetworkUpscaler
        Says architecture, scale and device.
    clips : sequence of Clip or numpy.ndarray
        True pictures to train on: clips, or pictures ``(H, W, 3)`` and frames ``(T, H, W, 3)``, uint8 RGB.
    out : path
        Folder of the training.
    validation : sequence of Clip or numpy.ndarray
        Others, of other people; empty for none. See `microexp.train.restoration_data.split_subjects`.
    stage : str or None
        One of ``method.recipes()``; None for the first. It names the files.
    recipe : RestorationRecipe or None
        In place of the stage's own, see `recipe_of`.
    degrade : callable
        Makes the small pictures, see `microexp.train.restoration_data.Samples`.
    **options
        See `microexp.networks.stages.RunOptions`.

    Returns
    -------
    Path
        The weights, ``<stage>.safetensors``.

    Raises
    ------
    OptionError
        If an option cannot be used, `out` holds a training and `resume` is not given, or it holds another.
    WeightsError
        If a file of weights is missing, damaged or of another network.
    DataError
        If pictures cannot be read or are smaller than a patch.
    """
    method.check_parameters()
    seed, vgg = options.get("seed", 0), options.get("vgg")
    stage, usual = recipe_of(method, stage)
    recipe = usual if recipe is None else recipe
    training_clips, held_out = _as_clips(clips), _as_clips(validation)
    samples = Samples(training_clips, recipe, method.scale, degrade, seed)
    return run_stage(
        method,
        stage,
        recipe,
        out,
        lambda: _training(method, recipe, seed, vgg),
        samples,
        training_clips,
        held_out,
        lambda: Validation(method, held_out, recipe, degrade),
        **options,
    )


def _training(
    method: NetworkUpscaler, recipe: RestorationRecipe, seed: int, vgg: str | Path | None
) -> RestorationTraining:
    """Build the networks on the device, with initial weights drawn from the seed."""
    device = pick_device(method.device)
    features = _feature_loss(recipe, vgg)
    torch.manual_seed(seed)
    module = method.build().to(device)
    discriminator = method.discriminator(recipe.patch).to(device) if recipe.gan_weight else None
    loss = None if features is None else features.to(device)
    return RestorationTraining(module, recipe, method.training_output, discriminator, loss, seed)


def _feature_loss(recipe: RestorationRecipe, vgg: str | Path | None) -> FeatureLoss | None:
    if not recipe.feature_weights:
        return None
    if vgg is None:
        taps = ", ".join(recipe.feature_weights)
        raise OptionError(
            f"this training compares features {taps} of {recipe.features}: name a file of its ImageNet "
            "weights (--vgg FILE; torchvision's, or an .npz of the original ones; for vgg16 'microexp "
            "weights get lpips-vgg16'), or train without them, which is not the paper's loss "
            "(--features none)"
        )
    features = vgg_features(recipe.features, vgg, recipe.feature_weights)
    return FeatureLoss(features, recipe.feature_weights, recipe.feature_loss)


def _as_clips(pictures: Sequence[Clip | np.ndarray]) -> list[Clip]:
    """Return clips of arrays, numbered."""

    def clip(number: int, item: Clip | np.ndarray) -> Clip:
        if isinstance(item, Clip):
            return item
        return Clip.from_array(item if item.ndim == 4 else item[np.newaxis], name=f"array {number}")

    return [clip(number, item) for number, item in enumerate(pictures)]
