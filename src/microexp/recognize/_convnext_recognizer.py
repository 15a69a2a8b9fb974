"""What BOWAM and its baseline share: flow pictures in, views drawn by class, one recipe."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from microexp.clip import Clip
from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.motion.base import FlowEstimator
from microexp.recognize._convnext import (
    DEPTHS,
    DIMS,
    MAX_STRIDE,
    STEM,
    ConvNeXtModule,
    load_pretrained,
)
from microexp.recognize._flow_augment import augment_flow, augment_pictures
from microexp.recognize._flow_views import ENCODINGS, FLOWS, SHIFTS, flow_source, flow_views
from microexp.recognize.torch_base import TorchRecognizer
from microexp.train import Recipe
from microexp.weights import read_weights
from microexp.weights.download import locate

AUGMENTATIONS = ("published", "flow", "none")


@dataclass(eq=False, repr=False)
class ConvNeXtRecognizer(TorchRecognizer):
    """A ConvNeXt on flow pictures, with BOWAM's views, sampling, augmentation and recipe.

    Parameters as `TorchRecognizer`, and these.

    Subclasses give `unit`, the module that stands in each block before the perceptron.

    Parameters
    ----------
    flow : {"add", "multiply", "concat", "traditional", "mdmo"}
        The first three: flows from the apex to onset and to offset, fused by `Bidirectional`.
        "traditional": from onset to apex. "mdmo": the same, only where it goes the main way of its region
        (`MainDirection`).
    encoding : {"hsv", "uvs", "uvm", "oms"}
        What the three channels of a picture are, see `encode_flow`: colours of OpenCV's tutorial; signed u,
        v and strain, or magnitude; orientation, magnitude and strain, the ingredients of Bi-WOOF.
    apex_shifts : bool
        Also compute pictures with the apex 2 and 1 frames earlier and later, from which `expand` balances
        the classes.
    augmentation : {"published", "flow", "none"} or None
        "published": rotation, flip and colour jitter as of a photograph, not for "uvs" and "uvm". "flow":
        rotation and flip that turn the motion too, and scaling of its strength. None for "published" with
        "hsv", else "flow".
    size : int
        Side of the flow pictures, pixels; the network sees a crop of 224/240 of it.
    dims, depths : sequence of int
        Channels and blocks of each stage.
    layer_scale : float
        First value of the factors of each block's output, > 0.
    pretrained : str, Path or None
        ConvNeXt weights to begin with, with names of timm or torchvision: a file, or the name of a model
        such as "timm/convnext_tiny.in12k_ft_in1k", which is downloaded (see `microexp.weights.download`).
    estimator : FlowEstimator or None
        None for `Farneback` at its defaults.

    Attributes
    ----------
    pretrained_report_ : PretrainedReport
        What of `pretrained` was used; print it.
    """

    feature_ndim = 5
    channels_last = True
    published = Recipe(epochs=100, batch_size=32, lr=1e-4, weight_decay=1e-4, optimizer="adamw", decay=0.987)

    flow: str = "add"
    encoding: str = "hsv"
    apex_shifts: bool = True
    augmentation: str | None = None
    size: int = 240
    dims: Sequence[int] = DIMS
    depths: Sequence[int] = DEPTHS
    layer_scale: float = 1e-6
    pretrained: str | Path | None = None
    estimator: FlowEstimator | None = None

    @abstractmethod
    def unit(self, channels: int) -> nn.Module:
        """Return what mixes the places of `channels` maps in a block."""

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the flow pictures ``(N, V, C, size, size) float32``, view 0 of the annotated apex.

        V is 5 (apex moved by 0, -2, -1, 1, 2 frames, within onset and offset) or 1, C is 3, or 6 of two
        stacked flows.

        Raises
        ------
        DataError
            If there is no clip, or one lacks the annotation of a frame that is needed.
        """
        self._check_input()
        if len(clips) == 0:
            raise DataError("there are no clips to describe")
        source = flow_source(self.flow, self.estimator)
        shifts = SHIFTS if self.apex_shifts else SHIFTS[:1]
        return np.stack([flow_views(clip, source, self.encoding, self.size, shifts) for clip in clips])

    def stage(self, features: np.ndarray) -> Tensor:
        wanted = (self._channels, self.size, self.size)
        if features.shape[2:] != wanted or features.shape[1] == 0:
            raise DataError(
                f"{type(self).__name__} takes flow pictures (N, V, {', '.join(map(str, wanted))}), "
                f"V views of each clip; got {features.shape}"
            )
        return torch.from_numpy(features)

    def build(self, n_classes: int) -> nn.Module:
        module = ConvNeXtModule(
            self.unit, n_classes, self._channels, self.dims, self.depths, self.layer_scale
        )
        if self.pretrained is not None:
            file = locate(self.pretrained)
            self.pretrained_report_ = load_pretrained(module, read_weights(file), self.pretrained)
        return module

    def expand(self, staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(M, 1, C, S, S)``: view 0 of every clip, and other views of clips of the rarer classes.

        Of V views each clip of a class with n clips adds V * n_min / n - 1 on average (none if that is
        negative), drawn without replacement; the rarest class so adds them all.
        """
        clips, views = staged.shape[:2]
        counts = torch.bincount(labels)
        extras = (views * counts.min() / counts - 1).clamp(min=0)[labels]
        extras = (extras + torch.rand(clips)).floor()  # rounded up as often as its fraction says
        rank = torch.rand(clips, views - 1).argsort(1).argsort(1)
        taken = torch.cat((torch.ones(clips, 1, dtype=torch.bool), rank < extras[:, None]), dim=1)
        clip, view = taken.nonzero(as_tuple=True)
        return staged[clip, view][:, None], labels[clip]

    def augment(self, staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        kind, images = self._augmentation, staged[:, 0]
        if kind == "published":
            images = augment_pictures(images, self.crop)
        elif kind == "flow":
            images = augment_flow(images, self.crop, self.encoding, vectors=self.flow != "multiply")
        return images[:, None], labels

    def forward(self, module: nn.Module, staged: Tensor) -> Tensor:
        """Return the logits ``(B, K)`` of view 0, cropped at its centre and brought to [-1, 1]."""
        margin = (staged.shape[-1] - self.crop) // 2
        images = staged[:, 0, :, margin : margin + self.crop, margin : margin + self.crop]
        return module(images if self.encoding in ("uvs", "uvm") else 2 * images - 1)

    def attended(self, module: nn.Module) -> nn.Module:
        """Return the module whose output ``(N, C, H, W)`` class activation maps explain: the last stage."""
        *_, last = module.get_submodule("stages").children()
        return last

    @property
    def crop(self) -> int:
        """Side of the picture that the network sees, pixels."""
        return round(self.size * 224 / 240)

    @property
    def _channels(self) -> int:
        return 6 if self.flow == "concat" else 3

    @property
    def _augmentation(self) -> str:
        return self.augmentation or ("published" if self.encoding == "hsv" else "flow")

    def check_parameters(self) -> None:
        self._check_input()
        if self._augmentation not in AUGMENTATIONS:
            raise UnknownNameError("augmentation", self._augmentation, AUGMENTATIONS)
        if self._augmentation == "published" and self.encoding in ("uvs", "uvm"):
            raise OptionError(
                f"the published augmentation changes colours, which the encoding '{self.encoding}' has not: "
                "use augmentation 'flow'"
            )
        if not self.layer_scale > 0:
            raise OptionError(f"layer_scale must be positive, got {self.layer_scale}")
        self._check_stages()
        super().check_parameters()

    def _check_input(self) -> None:
        if self.flow not in FLOWS:
            raise UnknownNameError("flow", self.flow, FLOWS)
        if self.encoding not in ENCODINGS:
            raise UnknownNameError("encoding of flow", self.encoding, ENCODINGS)
        if isinstance(self.size, bool) or not isinstance(self.size, Integral) or self.size < 1:
            raise OptionError(f"size must be a whole number of pixels, got {self.size!r}")
        if self.estimator is not None and not isinstance(self.estimator, FlowEstimator):
            raise OptionError(
                f"estimator must be a FlowEstimator such as Farneback(), not {self.estimator!r}"
            )

    def _check_stages(self) -> None:
        sizes = [*self.dims, *self.depths]
        if len(self.dims) != len(self.depths) or not self.dims:
            raise OptionError(
                f"dims {self.dims} and depths {self.depths} must name the same number of stages"
            )
        if not all(isinstance(n, Integral) and n > 0 for n in sizes):
            raise OptionError(f"dims {self.dims} and depths {self.depths} must be whole numbers, 1 or more")
        stride = min(STEM * 2 ** (len(self.dims) - 1), MAX_STRIDE)
        if self.crop < stride:
            raise OptionError(
                f"size {self.size} is cropped to {self.crop} pixels, too few for {len(self.dims)} stages, "
                f"which shrink it by {stride}"
            )
