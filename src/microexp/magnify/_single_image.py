"""The single-image network as a whole, and the losses that it is trained with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.magnify._expression import ExpressionEncoder, FlowDecoder
from microexp.magnify._flow_fields import backward as flow_back
from microexp.magnify._flow_fields import in_pixels, warp
from microexp.magnify._generator import Black, Blind, FaceFeatures, FlowMagnifier, Generator
from microexp.train.magnification import Triples

APEX = "apex_"
STAGE1 = {"l1": 1.0, "perceptual": 0.1, "ssim": 1.0}
STAGE2 = {f"{APEX}{name}": weight for name, weight in STAGE1.items()}
_DIRECT = {"warp": F.l1_loss, "warp_squared": F.mse_loss}
TERMS = (*STAGE1, *_DIRECT, "flow", "symmetry", *STAGE2, "apex_warp")
_WINDOW, _SIGMA, _C1, _C2 = 11, 1.5, 0.01**2, 0.03**2  # of SSIM

T = TypeVar("T")
_Pair = tuple[list[Tensor], list[Tensor]]


class Stages(NamedTuple, Generic[T]):
    """All that the network makes of a picture.

    Attributes
    ----------
    neutral : array
        The resting face (De-expression), a picture.
    flow_fw, flow_bw : array
        Flow from the picture to the resting face, and back.
    reexpressed : array
        The picture again, from the resting face (Re-expression).
    flow_mag : array
        The magnified flow.
    magnified : array
        The stronger expression (Mag-expression), a picture.
    """

    neutral: T
    flow_fw: T
    flow_bw: T
    reexpressed: T
    flow_mag: T
    magnified: T


class SingleImageModule(nn.Module):
    """The network; settings as `SingleImage`.

    Attributes
    ----------
    features : FaceFeatures or Blind
        What generators are fed with; without generators, nothing.
    deep : tuple of FaceFeatures
        One that gives a deeper layer, too, for the perceptual loss; empty until it is set by `compare_by`.
    """

    def __init__(
        self,
        width: float = 0.25,
        blocks: int = 3,
        flow_channels: int = 32,
        norm: str = "bn",
        generator: str = "residual",
        flow_head: str = "absp",
        k: int = 8,
        sigma: float = 0.1,
        backward: str = "fixed_point",
        size: int = 112,
    ) -> None:
        super().__init__()
        self.size, self.backward, self.is_residual = size, backward, generator != "paper"
        renders = generator != "warp"
        self.features = FaceFeatures() if renders else Blind()
        self.encoder = ExpressionEncoder(width, norm, size)
        self.decoder = FlowDecoder(width, k, flow_head, sigma, norm)
        self.generator_exp = Generator(width, blocks, starts_black=self.is_residual) if renders else Black()
        self.flow_magnifier = FlowMagnifier(flow_channels)
        self.generator_mag = Generator(width, blocks) if renders else Black()
        self.generator_mag.load_state_dict(self.generator_exp.state_dict())
        self.deep: tuple[FaceFeatures, ...] = ()  # so it is not registered as a part

    def compare_by(self, features: FaceFeatures) -> None:
        """Let the perceptual loss compare these features; they do not become part of the state."""
        self.deep = (features,)

    def forward(self, pictures: Tensor) -> Stages[Tensor]:
        """Return all stages of pictures ``(N, 3, H, W)`` in [0, 1] of any size.

        Pictures are ``(N, 3, H, W)``, not clipped; flows are ``(N, 2, k, k)``, in units of half a picture.
        """
        small = self.seen(pictures)
        flow_fw, flow_bw = self.express(small)
        features = self.features(small)
        neutral = self.render(self.generator_exp, pictures, features, flow_fw)
        of_neutral = self.features(self.seen(neutral))
        reexpressed = self.render(self.generator_exp, neutral, of_neutral, flow_bw)
        flow_mag = self.flow_magnifier(flow_bw)
        magnified = self.render(self.generator_mag, pictures, features, flow_mag)
        return Stages(neutral, flow_fw, flow_bw, reexpressed, flow_mag, magnified)

    def magnify(self, pictures: Tensor) -> Tensor:
        """Return `forward`'s last stage alone, which takes less."""
        small = self.seen(pictures)
        flow_mag = self.flow_magnifier(self.express(small)[1])
        return self.render(self.generator_mag, pictures, self.features(small), flow_mag)

    def express(self, small: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flow to the resting face and the one back, of pictures ``(N, 3, S, S)``."""
        flow = self.decoder(self.encoder(small))
        return flow, flow_back(flow, self.backward)

    def render(
        self, generator: nn.Module, pictures: Tensor, features: Sequence[Tensor], flow: Tensor
    ) -> Tensor:
        """Return pictures moved by a flow, of the size they have; features are of their small copies."""
        made = _resized(generator(*features[:2], flow), *pictures.shape[-2:])
        return warp(pictures, flow) + made if self.is_residual else made

    def seen(self, pictures: Tensor) -> Tensor:
        """Return pictures of the size that the network looks at."""
        return _resized(pictures, self.size, self.size)


class Losses:
    """The terms of the loss of a batch; what no term needs is not computed.

    Parameters
    ----------
    network : SingleImageModule
        What is trained.
    batch : Triples
        What with.
    terms : collection of str
        Some of `TERMS`.
    """

    def __init__(self, network: SingleImageModule, batch: Triples, terms: Collection[str]) -> None:
        self._network, self._batch, self._terms = network, batch, frozenset(terms)
        is_deep = any(term.endswith("perceptual") for term in terms)
        self._see = network.deep[0] if is_deep else network.features
        self._flow, self._back = network.express(batch.middle)

    def values(self) -> dict[str, Tensor]:
        """Return the terms by name, each a scalar."""
        first, second = self._terms & {*STAGE1, "symmetry"}, self._terms & {*STAGE2, "apex_warp"}
        found = {**(self._first(first) if first else {}), **(self._second(second) if second else {})}
        found |= {name: self._warped(name) for name in _DIRECT if name in self._terms}
        return found | ({"flow": self._misled()} if "flow" in self._terms else {})

    def _warped(self, name: str) -> Tensor:
        onset, middle, distance = self._batch.onset, self._batch.middle, _DIRECT[name]
        return distance(warp(middle, self._flow), onset) + distance(warp(onset, self._back), middle)

    def _misled(self) -> Tensor:
        """Return the mean squared end-point error of the flow to the resting face, square pixels."""
        exact = self._batch.flow
        known = ~exact.isnan().flatten(1).any(1).view(-1, 1, 1, 1)
        found = in_pixels(self._flow, *exact.shape[-2:])
        return (found - exact.where(known, found)).square().sum(1).mean()

    def _first(self, terms: Collection[str]) -> dict[str, Tensor]:
        network, (onset, middle, *_) = self._network, self._batch
        of_middle = self._see(middle)
        neutral = network.render(network.generator_exp, middle, of_middle, self._flow)
        of_neutral = self._see(neutral)
        again = network.render(network.generator_exp, neutral, of_neutral, self._back)
        parts = [
            self._compared(terms, neutral, onset, lambda: (of_neutral, self._see(onset))),
            self._compared(terms, again, middle, lambda: (self._see(again), of_middle)),
        ]
        found = {name: parts[0][name] + parts[1][name] for name in parts[0]}
        if "symmetry" in terms:
            found["symmetry"] = F.l1_loss(neutral, neutral.flip(3))
        return found

    def _second(self, terms: Collection[str]) -> dict[str, Tensor]:
        network, middle, apex = self._network, self._batch.middle, self._batch.apex
        flow = network.flow_magnifier(self._back)
        magnified = network.render(network.generator_mag, middle, self._see(middle), flow)
        plain = {term.removeprefix(APEX) for term in terms}
        found = self._compared(plain, magnified, apex, lambda: (self._see(magnified), self._see(apex)))
        if "warp" in plain:
            found["warp"] = F.l1_loss(warp(middle, flow), apex)
        return {f"{APEX}{name}": value for name, value in found.items()}

    def _compared(
        self, terms: Collection[str], made: Tensor, true: Tensor, features: Callable[[], _Pair]
    ) -> dict[str, Tensor]:
        """Return how far a picture is from the true one."""
        found = {}
        if "l1" in terms:
            found["l1"] = F.l1_loss(made, true)
        if "perceptual" in terms:
            pairs = zip(*features(), strict=True)
            found["perceptual"] = torch.stack([F.l1_loss(one, other) for one, other in pairs]).sum()
        if "ssim" in terms:
            found["ssim"] = 1 - ssim(made, true)
        return found


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean structural similarity of pictures ``(N, C, H, W)`` in [0, 1].

    Gaussian windows of 11x11 pixels, standard deviation 1.5, zeros outside, C1 = .01^2, C2 = .03^2.
    """
    channels = first.shape[1]
    offsets = torch.arange(_WINDOW, device=first.device) - _WINDOW // 2
    kernel = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).to(first).expand(channels, 1, 1, -1)

    def mean(x: Tensor) -> Tensor:
        rows = F.conv2d(x, kernel, padding=(0, _WINDOW // 2), groups=channels)
        return F.conv2d(rows, kernel.mT, padding=(_WINDOW // 2, 0), groups=channels)

    m, n = mean(first), mean(second)
    variances = mean(first**2) - m**2 + mean(second**2) - n**2
    covariance = mean(first * second) - m * n
    similarity = (2 * m * n + _C1) * (2 * covariance + _C2) / ((m**2 + n**2 + _C1) * (variances + _C2))
    return similarity.mean()


def _resized(pictures: Tensor, height: int, width: int) -> Tensor:
    """Return pictures of another size: averaged where they shrink, bilinear where they grow."""
    if pictures.shape[-2:] == (height, width):
        return pictures
    return F.interpolate(pictures, (height, width), mode="bilinear", antialias=True)
