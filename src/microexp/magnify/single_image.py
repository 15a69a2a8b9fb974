"""The network of Song et al.: from one picture of a weak expression to the strong one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from microexp.errors import OptionError, UnknownNameError
from microexp.frames import check_rgb8
from microexp.magnify._expression import HEADS, NORMS
from microexp.magnify._flow_fields import BACKWARD, in_pixels
from microexp.magnify._generator import face_features
from microexp.magnify._network import NetworkMagnifier
from microexp.magnify._single_image import STAGE1, STAGE2, TERMS, Losses, SingleImageModule, Stages, T
from microexp.networks.tensors import to_frames, to_tensor
from microexp.train.magnification import MagnificationRecipe, Triples

CARD = {
    "class": "SingleImage",
    "title": "Single-image magnification",
    "summary": "A macro-expression from one picture: its flow from rest is found, magnified, and warps it.",
    "takes": "one picture of an aligned face, (H, W, 3) uint8 RGB of any size, seen at 112x112",
    "gives": "the same picture with a stronger expression, same size",
    "paper": {
        "authors": "Song, Yaqi and Chen, Tong and Li, Shigang and Li, Jianfeng",
        "title": "Microexpression to Macroexpression: Facial Expression Magnification by Single Input",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition (FG)",
        "year": 2024,
        "url": "https://openreview.net/forum?id=f1MeCqcB08",
    },
    "parameters": 2381817,
    "presets": {
        "paper": {
            "width": 1.0,
            "blocks": 8,
            "flow_channels": 64,
            "norm": "none",
            "generator": "paper",
            "flow_head": "absp",
            "k": 8,
            "backward": "paper",
        }
    },
    "published": [
        {"source": "Table I", "data": "CASME II", "FID": 14.725},
        {"source": "Table I", "data": "SAMM", "FID": 19.911},
        {"source": "Table I", "data": "SMIC", "FID": 13.93},
        {"source": "Table I", "data": "the three together", "FID": 12.002},
        {"source": "Table I", "data": "pictures from the wild", "FID": 27.052},
        {"source": "Table II, with ResNet18", "data": "SAMM", "UF1": 0.8221, "UAR": 0.8146},
        {"source": "Table II, with ResNet18", "data": "SMIC", "UF1": 0.7349, "UAR": 0.7447},
        {"source": "Table II, with ResNet18", "data": "CASME II", "UF1": 0.861, "UAR": 0.8746},
        {"source": "Table II, with ResNet18", "data": "MEGC2019 composite", "UF1": 0.8045, "UAR": 0.8153},
    ],
    "notes": [
        "The paper gives no layers: E_exp, D_exp and G_exp are those of FaceCycle, whose skeleton it "
        "shares, for pictures of 112; M_flow is ours: three scales with skips, its result added to the "
        "flow times a gain.",
        "The default trains on one processor core: a quarter of the channels, 3 residual blocks, batch "
        "normalisation in E_exp and D_exp. Without it codes, and D_exp's features, shrink to nothing, and "
        "no flow was learned in 336 steps. Preset 'paper' has neither.",
        "Generators of the default add to the picture, warped at its own size; those of 'paper' make the "
        "whole picture of warped features at 112x112, which is enlarged.",
        "With generator 'warp' the magnified picture is the input moved by the magnified flow, and nothing "
        "is rendered: neither VGG19 nor generators are part of the network, and no perceptual loss of its "
        "training. Starter weights have this form. Flows, their magnification and cascades are as they are; "
        "shading and wrinkles that a strong expression adds are not made.",
        "Equation 9 leaves open what the soft-argmax expects. Default: a position under a Gaussian prior "
        "around the node (.2 of half a picture), less what the prior expects. 'disp' is equation 9 to the "
        "letter, 'abs' has no prior, 'bins' weights displacements; 'tanh' is without the refiner. Sigma .1"
        " is that of reference 25, the paper gives none.",
        "Equation 10 has the inner sign wrong for an inverse; the default iterates to one, 'paper' is as "
        "printed.",
        "Equation 12 warps the features of the generated resting face, as the text says, not of the input;"
        " equation 19 uses a generator of its own, G_mag, which begins as G_exp.",
        "Equations 17 and 21 add SSIM to what is minimised; here 1 - SSIM is, on pictures in [0, 1].",
        "Weights of the terms are not given: 1, 0.1 and 1. Features are divided by their mean on a fixed "
        "picture of noise with as much detail of every size as photographs have.",
        "The perceptual loss compares conv2_1, conv3_1 and conv4_1; conv3_4 where the file of VGG19 ends "
        "before.",
        "Magnified flows are cut at a quarter of half a picture, and scaled down where they would fold it,"
        " until no piece shrinks below a tenth of its area.",
        "Adam's betas are those of FaceCycle. The stage 'flow' of the default is ours: E_exp and D_exp "
        "alone, by the pictures warped there and back and, of synthetic triples, by the exact flow. It takes "
        "squared distances: under L1 what does not move outweighs what does, and all flow vanishes for "
        "hundreds of steps. In 3 of 10 triples the apex stands in the middle's place, for cascades.",
    ],
}

GENERATORS = ("residual", "paper", "warp")
SIZES = (8, 12, 16)


@dataclass(eq=False, repr=False)
class SingleImage(NetworkMagnifier):
    """The single-image network; other parameters as `NetworkMagnifier`.

    Parameters
    ----------
    cascade : int
        1 to 3: how often the result, clipped to [0, 1], is magnified again.
    width : float
        Factor on the channels of E_exp, D_exp, G_exp and G_mag; 1 in the paper.
    blocks : int
        Residual blocks of each generator.
    flow_channels : int
        Of M_flow at its full size.
    norm : {"bn", "none"}
        Batch normalisation in E_exp and D_exp, or none.
    generator : {"residual", "paper", "warp"}
        Whether generators add to the warped picture, make the whole picture from warped features, or there
        are none, and pictures are only warped, which takes no VGG19.
    flow_head : {"absp", "disp", "abs", "bins", "tanh"}
        See `microexp.magnify._expression.FlowDecoder`; "tanh" is without the refiner.
    k : {8, 12, 16}
        Side of the flow fields.
    sigma : float
        Temperature of the refiner.
    backward : {"paper", "neg", "fixed_point"}
        See `microexp.magnify._flow_fields.backward`.
    size : int
        Side of the pictures that the network looks at, a multiple of 4.
    """

    needs_onset = False
    aligned = True
    architecture = (
        *("width", "blocks", "flow_channels", "norm", "generator", "flow_head", "k", "sigma", "backward"),
        "size",
    )

    cascade: int = 1
    width: float = 0.25
    blocks: int = 3
    flow_channels: int = 32
    norm: str = "bn"
    generator: str = "residual"
    flow_head: str = "absp"
    k: int = 8
    sigma: float = 0.1
    backward: str = "fixed_point"
    size: int = 112

    def build(self) -> SingleImageModule:
        return SingleImageModule(**{name: getattr(self, name) for name in self.architecture})

    def check_parameters(self) -> None:
        super().check_parameters()
        choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ("normalisation", self.norm, NORMS),
            ("generator", self.generator, GENERATORS),
            ("flow head", self.flow_head, HEADS),
            ("backward flow", self.backward, BACKWARD),
        )
        for what, value, known in choices:
            if value not in known:
                raise UnknownNameError(what, value, known)
        for name, number, allowed in (("cascade", self.cascade, (1, 2, 3)), ("k", self.k, SIZES)):
            if number not in allowed:
                raise OptionError(f"{name} must be one of {', '.join(map(str, allowed))}, got {number}")
        if not (self.width > 0 and self.sigma > 0 and min(self.blocks, self.flow_channels) >= 1):
            raise OptionError("width and sigma must be positive, blocks and flow_channels 1 or more")
        if self.size < 32 or self.size % 4:
            raise OptionError(f"size must be a multiple of 4 and 32 or more, got {self.size}")

    def prepare(self, module: nn.Module, vgg: str | Path | None) -> None:
        """Give a network that renders VGG19: see `NetworkMagnifier.prepare`; "random" is for tests.

        Raises
        ------
        OptionError
            If it renders, and no weights are named.
        WeightsError
            If the file is missing, damaged, of another network, or ends before conv3_4.
        """
        if self.generator == "warp":
            return
        if vgg is None:
            raise OptionError(
                "SingleImage moves features of VGG19: name a file of its ImageNet weights (--vgg FILE), or "
                "say 'random' for untrained ones, with which nothing but the code can be tried; generator "
                "'warp' renders nothing and needs none"
            )
        network, device = _named(module), next(module.parameters()).device
        network.features = face_features(vgg).to(device)
        network.compare_by(face_features(vgg, deepest=True).to(device))

    def canonical(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors by the names of this network.

        As long as M_flow has learned nothing, G_mag is G_exp: so the second stage begins from the first.
        """
        tensors = super().canonical(state)
        begun = (tensors.get(f"flow_magnifier.change.{part}") for part in ("weight", "bias"))
        if any(tensor is None or bool(tensor.any()) for tensor in begun):
            return tensors
        copied = {
            key.replace("generator_exp.", "generator_mag.", 1): value
            for key, value in tensors.items()
            if key.startswith("generator_exp.")
        }
        return {**tensors, **copied}

    def recipes(self) -> dict[str, MagnificationRecipe]:
        first, second = ("encoder.", "decoder.", "generator_exp."), ("flow_magnifier.", "generator_mag.")
        if self.generator == "paper" and self.norm == "none":
            return {
                "stage1": MagnificationRecipe(720, STAGE1, size=self.size, trained=first),
                "stage2": MagnificationRecipe(1920, STAGE2, size=self.size, trained=second, start="stage1"),
            }
        flow = MagnificationRecipe(
            2400,
            {"warp_squared": 100.0, "flow": 0.1},
            size=self.size,
            lr=1e-3,
            cosine=True,
            trained=first[:2],
            strong=0.3,
        )
        more = {**STAGE1, "warp": 1.5, "flow": 0.1}
        few = replace(flow, batch_size=8, strong=0.0)
        stages = {
            "flow": flow,
            "stage1": replace(few, steps=100, losses=more, lr=1e-4, trained=first, start="flow"),
            "stage2": replace(few, steps=300, losses=STAGE2, lr=5e-4, trained=second, start="stage1"),
        }
        if self.generator == "warp":
            return {name: _unrendered(recipe) for name, recipe in stages.items()}
        return stages

    def losses(self, module: nn.Module, batch: Triples, terms: Collection[str]) -> dict[str, Tensor]:
        """Return terms of the loss: see `NetworkMagnifier.losses`.

        "l1", "perceptual" and "ssim" are of the first stage, equations 14, 15 and 17 with 1 - SSIM: the sums
        over resting face and re-expressed picture. "apex_l1", "apex_perceptual" and "apex_ssim" are those of
        the second, equation 21, on the magnified picture. "warp" is L1 of the pictures warped by the flows
        alone, there and back between the true ones, "warp_squared" the squared distance; "flow" is the mean
        squared end-point error of the flow to the resting face, in square pixels, in which triples count as
        0 whose exact flow is not known; "symmetry" is L1 of the resting face and its mirror image.
        """
        unknown = set(terms) - set(TERMS)
        if unknown:
            raise OptionError(f"losses: there is no {', '.join(sorted(unknown))}; known: {', '.join(TERMS)}")
        network = _named(module)
        if not network.deep and any(term.endswith("perceptual") for term in terms):
            raise OptionError(
                "losses: perceptual needs VGG19's weights (--vgg FILE), and a generator other than 'warp'"
            )
        return Losses(network, batch, terms).values()

    def intermediates(self, picture: np.ndarray) -> Stages[np.ndarray]:
        """Return what the network makes of a picture on its way, ready to be drawn.

        Of a cascade it is the first pass.

        Parameters
        ----------
        picture : numpy.ndarray
            ``(H, W, 3) uint8 RGB``, an aligned face.

        Returns
        -------
        Stages of numpy.ndarray
            Pictures ``(H, W, 3) uint8``, flows ``(H, W, 2) float32``, dx then dy, in pixels.

        Raises
        ------
        DataError
            If it is no such picture.
        """
        self.check_parameters()
        check_rgb8(picture, "magnification")
        made = self._applied(picture, lambda module, pictures: module(pictures))
        height, width = picture.shape[:2]
        drawn = {
            name: in_pixels(value, height, width)[0].permute(1, 2, 0).cpu().numpy()
            if name.startswith("flow")
            else to_frames(value)[0]
            for name, value in made._asdict().items()
        }
        return Stages(**drawn)

    def _magnify(
        self, frames: Iterable[np.ndarray], onset: np.ndarray | None, fps: float | None
    ) -> Iterator[np.ndarray]:
        for frame in frames:
            yield self._applied(frame, self._cascaded)

    def _cascaded(self, module: SingleImageModule, pictures: Tensor) -> np.ndarray:
        for _ in range(self.cascade):
            pictures = module.magnify(pictures).clamp(0, 1)
        return to_frames(pictures)[0]

    def _applied(self, frame: np.ndarray, function: Callable[[SingleImageModule, Tensor], T]) -> T:
        """Return what a function makes of the network and a picture ``(1, 3, H, W)`` on its device."""
        module = _named(self.module())
        with torch.inference_mode():
            return function(module, to_tensor(frame[np.newaxis]).to(next(module.parameters()).device))


def _unrendered(recipe: MagnificationRecipe) -> MagnificationRecipe:
    """Return the recipe without generators, and without the loss that needs VGG19."""
    return replace(
        recipe,
        losses={term: weight for term, weight in recipe.losses.items() if not term.endswith("perceptual")},
        trained=tuple(part for part in recipe.trained if not part.startswith("generator_")),
    )


def _named(module: nn.Module) -> SingleImageModule:
    """Return a network of this method under its own type."""
    if not isinstance(module, SingleImageModule):
        raise OptionError(f"SingleImage needs its own network, not a {type(module).__name__}")
    return module
