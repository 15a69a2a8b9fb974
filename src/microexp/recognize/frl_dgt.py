"""FRL-DGT: a learned displacement of onset and apex, and transformer fusion (Zhai et al., CVPR 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TypeVar, cast

import cv2
import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.recognize._displacement import DisplacementGenerator, normalised, warping_loss
from microexp.recognize._fusion import TransformerFusion, au_boxes, check_boxes, draw_fusion_weights
from microexp.recognize.base import Inputs
from microexp.recognize.torch_base import TorchRecognizer
from microexp.train import Recipe

CARD = {
    "class": "FRLDGT",
    "title": "FRL-DGT (displacement generation and transformer fusion)",
    "summary": "A network generates the displacement of the apex; transformers fuse it over facial regions.",
    "takes": "clips of aligned faces, or grey frames (N, 1 + V, S, S) float32 in [0, 1]: onset, apex, "
    "neighbours of the apex",
    "gives": "labels (N,) int64, probabilities (N, K); displacements and fusion weights on request",
    "paper": {
        "authors": "Zhai, Zhijun and Zhao, Jianhui and Long, Chengjiang and Xu, Wenju and He, Shuangjiang "
        "and Zhao, Huijuan",
        "title": "Feature Representation Learning with Adaptive Displacement Generation and Transformer "
        "Fusion for Micro-Expression Recognition",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2023,
        "url": "https://arxiv.org/abs/2304.04420",
    },
    "parameters": 7398509,
    "published": [
        {"source": "Table 1 of the BOWAM paper", "data": "MEGC2019", "UF1": 0.812, "UAR": 0.811},
        {"source": "Table 1 of the BOWAM paper", "data": "MEGC2019, SMIC part", "UF1": 0.743, "UAR": 0.749},
        {
            "source": "Table 1 of the BOWAM paper",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.919,
            "UAR": 0.903,
        },
        {"source": "Table 1 of the BOWAM paper", "data": "MEGC2019, SAMM part", "UF1": 0.772, "UAR": 0.758},
        {"source": "FRL-DGT paper, without displacement generation", "data": "MEGC2019", "UF1": 0.778},
    ],
    "notes": [
        "From the supplement: the layers of displacement generation (618,338 parameters), the normalisation "
        "of the displacement, the range of apex frames, six fixed regions, and 2, 2 and 4 transformer layers "
        "of local, global and full-face fusion. No code is public, and no other part of the paper but its "
        "abstract could be read: what follows is ours.",
        "Displacement generation: convolutions have biases, LeakyReLU a slope of 0.2, upsampling does not "
        "align corners, 4x4 convolutions are padded by 1; half the filters of the first start as differences "
        "of the frames, and batch normalisation has a momentum of 0.2: without these two, small sets of "
        "synthetic clips were learned by heart or not at all. The convolutions take 3.786 G multiply-adds at "
        "224 pixels.",
        "The paper trains the displacement by self-supervision and by recognition. Here the loss is the "
        "cross-entropy plus warp_weight times the mean absolute difference of the onset and the apex sampled "
        "at (x, y) + displacement; an output of 1 is displacement_scale pixels at a size of 224. Of pictures "
        "in [0, 1] that difference is near 0.01, so that with a weight of 1 self-supervision counted for "
        "nothing: the weight is 50. warmup gives the displacement steps of its own before recognition.",
        "The displacement follows the law of this package's flow, but need not be the motion: where the face "
        "has no texture nothing holds it, and after training on synthetic clips it was further from the true "
        "flow than no displacement is, though what expressions do could be read from it.",
        "A fusion layer is the sum of tokens weighted by the softmax of a linear score, times learned "
        "factors of each place and channel; so its weights sum to 1 and differ from clip to clip. Without "
        "the factors, our first reading, the fused token forgot where a motion is, and Farneback flow in "
        "place of the displacement was hardly recognised on synthetic clips. The fused token goes before "
        "the others through the transformer layers (fusion before attention); this does not save the time "
        "that the paper says it saves. Batch normalisation, no part of the supplement, brings displacement "
        "and frames to one spread before the fusion.",
        "Width 256, 8 heads, MLP ratio 4, patches of 16 pixels on the face, of 8 on regions brought to "
        "56x56; the outputs of global and full-face fusion lie side by side before one linear layer.",
        "The paper averages the centres of regions over its data; here they lie where the face that the "
        "aligner aligns to has them (au_boxes makes those of given landmarks). Which landmarks, and the "
        "sizes, are ours; each region is one box that holds both sides of the face.",
        "In training the apex is one of apex_views frames spread evenly over the paper's range, the "
        "annotated one among them, and not any frame of the range: features are computed once, and 6 frames "
        "of 224 pixels are 1.2 MB a clip.",
        "AdamW at 1e-4 times 0.95 after every epoch, weight decay 1e-4, 50 epochs, batches of 16: not tuned "
        "on any data.",
    ],
}

__all__ = ["CARD", "FRLDGT", "FRLDGTModule", "build_module", "draw_fusion_weights", "jitter_range"]

JITTER = 0.4  # the supplement's r
_PAPER_SIZE = 224
_T = TypeVar("_T")


def build_module(
    n_classes: int = 3,
    size: int = 224,
    width: int = 256,
    heads: int = 8,
    patch: int = 16,
    boxes: np.ndarray | None = None,
    generator_width: int = 32,
) -> FRLDGTModule:
    """Return the bare network."""
    return FRLDGTModule(n_classes, size, width, heads, patch, boxes, generator_width)


class FRLDGTModule(nn.Module):
    """The network, ``(N, 2, size, size)`` (onset, apex) to logits ``(N, K)``.

    Parameters
    ----------
    n_classes : int
        Outputs.
    size, width, heads, patch, boxes, generator_width
        As of `FRLDGT`.
    """

    def __init__(
        self,
        n_classes: int = 3,
        size: int = 224,
        width: int = 256,
        heads: int = 8,
        patch: int = 16,
        boxes: np.ndarray | None = None,
        generator_width: int = 32,
    ) -> None:
        super().__init__()
        self.generator = DisplacementGenerator(generator_width)
        self.fusion = TransformerFusion(size, patch, width, heads, au_boxes() if boxes is None else boxes)
        self.classifier = nn.Linear(2 * width, n_classes)

    def forward(self, frames: Tensor) -> Tensor:
        return self.classify(frames, self.generator(frames))[0]

    def classify(self, frames: Tensor, displacement: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return logits and fusion weights (see `TransformerFusion`) of frames and their displacement."""
        learned, weights = self.fusion(torch.cat([normalised(displacement), frames], dim=1))
        return self.classifier(learned), weights


@dataclass(eq=False, repr=False)
class FRLDGT(TorchRecognizer):
    """FRL-DGT, trained end to end; parameters as `TorchRecognizer`, and these.

    Parameters
    ----------
    size : int
        Side of the frames, pixels; a multiple of 4 and of ``2 * patch``.
    width, heads : int
        Of tokens and attention; `heads` divides `width`.
    patch : int
        Side of the face's patches, pixels, even; regions are cut into P x P, ``P = size / (2 * patch)``.
    apex_views : int
        Frames that training takes for the apex in turn, 1 or more; 1: the apex alone.
    warp_weight : float
        Of the warping loss, beside 1 of the cross-entropy; 0 trains by recognition alone.
    displacement_scale : float
        Pixels of a picture of 224x224 that an output of 1 stands for; in proportion at other sizes.
    warmup : int
        First steps of training that take the warping loss alone, so that recognition starts from motion.
    boxes : numpy.ndarray or None
        ``(6, 4)``: x0, y0, x1, y1 of the regions in fractions of the side, in [0, 1]; None for `au_boxes()`.
    generator_width : int
        Filters of the first layer of displacement generation, even; the others follow in proportion.
    """

    feature_ndim = 4
    published = Recipe(epochs=50, batch_size=16, lr=1e-4, weight_decay=1e-4, optimizer="adamw", decay=0.95)
    predicted_at_once = 16  # at 64 and 224 pixels the maps would fill gigabytes

    size: int = 224
    width: int = 256
    heads: int = 8
    patch: int = 16
    apex_views: int = 5
    warp_weight: float = 50.0
    displacement_scale: float = 8.0
    warmup: int = 0
    boxes: np.ndarray | None = None
    generator_width: int = 32

    def check_parameters(self) -> None:
        super().check_parameters()
        for name in ("size", "width", "heads", "patch", "apex_views", "generator_width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise OptionError(f"FRLDGT: {name} must be a whole number, 1 or more, got {value!r}")
        if self.patch % 2 or self.size % (2 * self.patch) or self.size % 4:
            raise OptionError(
                "FRLDGT: size must be a multiple of 4 and of twice an even patch, "
                f"got {self.size} and {self.patch}"
            )
        if self.generator_width % 2:
            raise OptionError(f"FRLDGT: generator_width must be even, got {self.generator_width}")
        if self.width % self.heads:
            raise OptionError(f"FRLDGT: heads must divide width, got {self.heads} and {self.width}")
        if isinstance(self.warmup, bool) or not isinstance(self.warmup, Integral) or self.warmup < 0:
            raise OptionError(f"FRLDGT: warmup must be a whole number, 0 or more, got {self.warmup!r}")
        if not 0 <= self.warp_weight < math.inf or not 0 < self.displacement_scale < math.inf:
            raise OptionError("FRLDGT: warp_weight must be 0 or more, displacement_scale more than 0")
        if self.boxes is not None:
            check_boxes(self.boxes)

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return onset, apex, other apex frames: ``(N, 1 + apex_views, size, size) float32``, grey in [0, 1].

        Frames are averaged by area to `size` (bilinear where that enlarges), and squeezed to a square.

        Raises
        ------
        DataError
            If there is no clip, or one has no apex.
        OptionError
            If a parameter has a value that cannot be used.
        """
        self.check_parameters()
        if len(clips) == 0:
            raise DataError("there are no clips to describe")
        return np.stack([self._frames(clip) for clip in clips])

    def build(self, n_classes: int) -> nn.Module:
        return build_module(
            n_classes, self.size, self.width, self.heads, self.patch, self.boxes, self.generator_width
        )

    def stage(self, features: np.ndarray) -> Tensor:
        if features.shape[1:] != (1 + self.apex_views, self.size, self.size):
            raise DataError(
                f"FRLDGT takes frames (N, {1 + self.apex_views}, {self.size}, {self.size}): onset, apex, "
                f"{self.apex_views - 1} other apex frames; got {features.shape}"
            )
        return super().stage(features)

    def augment(self, staged: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Take one of its apex frames for each clip."""
        clips = torch.arange(len(staged), device=staged.device)
        view = 1 + torch.randint(self.apex_views, (len(staged),)).to(staged.device)
        return torch.stack([staged[:, 0], staged[clips, view]], dim=1), labels

    def forward(self, module: nn.Module, staged: Tensor) -> Tensor:
        return module(staged[:, :2])

    def loss(self, module: nn.Module, staged: Tensor, labels: Tensor, criterion: nn.Module) -> Tensor:
        """Return cross-entropy plus the weighted warping loss; in the first `warmup` steps this alone."""
        network, frames = cast(FRLDGTModule, module), staged[:, :2]
        displacement = network.generator(frames)
        warping = warping_loss(frames[:, :1], frames[:, 1:], displacement * self._pixels)
        if network.training and network.generator.steps <= self.warmup:
            return self.warp_weight * warping
        logits, _ = network.classify(frames, displacement)
        return criterion(logits, labels) + self.warp_weight * warping

    def displacements(self, X: Inputs) -> np.ndarray:
        """Return the displacement from onset to apex that the network generates for each clip.

        Recognition trains it, too; a larger `warp_weight` makes it more the motion.

        Returns
        -------
        numpy.ndarray
            ``(N, size, size, 2) float32``: dx, dy in pixels of the frames at `size`; what the onset shows at
            ``(x, y)`` is at ``(x + dx, y + dy)`` in the apex.
        """
        found = self._look(X, lambda network, frames: network.generator(frames) * self._pixels)
        return torch.cat(found).permute(0, 2, 3, 1).cpu().numpy()

    def fusion_weights(self, X: Inputs) -> dict[str, np.ndarray]:
        """Return what the fusion layers weigh the parts of each clip by, ``float32``.

        Returns
        -------
        dict of str to numpy.ndarray
            "local" ``(N, 6, P, P)``: the patches of each region, sum 1 in each; "global" ``(N, 6)``: the
            regions, sum 1; "face" ``(N, 2 P, 2 P)``: the patches of the face, sum 1. See
            `draw_fusion_weights`.
        """
        found = self._look(X, lambda network, frames: network.classify(frames, network.generator(frames))[1])
        return {name: torch.cat([part[name] for part in found]).cpu().numpy() for name in found[0]}

    def _look(self, X: Inputs, at: Callable[[FRLDGTModule, Tensor], _T]) -> list[_T]:
        """What the trained network makes of each batch of onset and apex frames."""
        check_is_fitted(self)
        staged = self.stage(self.features(X)).to(next(self.module_.parameters()).device)
        network = cast(FRLDGTModule, self.module_.eval())
        with torch.inference_mode():
            return [at(network, batch[:, :2]) for batch in staged.split(self.predicted_at_once)]

    @property
    def _pixels(self) -> float:
        """What an output of 1 is in pixels."""
        return self.displacement_scale * self.size / _PAPER_SIZE

    def _frames(self, clip: Clip) -> np.ndarray:
        apex = clip.key_index("apex")
        low, high = jitter_range(clip.onset, apex, len(clip) - 1)
        spread = np.rint(np.linspace(low, high, self.apex_views)).astype(int).tolist()
        spread.remove(min(spread, key=lambda index: abs(index - apex)))  # the apex takes its place
        return np.stack([self._grey(clip.frames[index]) for index in (clip.onset, apex, *spread)])

    def _grey(self, picture: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        method = cv2.INTER_AREA if self.size <= min(grey.shape) else cv2.INTER_LINEAR
        return cv2.resize(grey, (self.size, self.size), interpolation=method)


def jitter_range(onset: int, apex: int, last: int) -> tuple[int, int]:
    """Return the first and last frame that training may take for the apex (supplement, eq. 2 and 3, r = 0.4).

    Parameters
    ----------
    onset, apex, last : int
        Frames, ``onset <= apex <= last``; `last` is the clip's. Where onset and apex are one frame, the
        formulas leave none; then it is that one.

    Examples
    --------
    >>> jitter_range(0, 10, 12)
    (6, 12)
    """
    if apex == onset:
        return apex, apex
    reach = math.floor((apex - onset) * JITTER)
    return max(onset + 1, apex - reach), min(apex + reach, last)
