"""From a picture of a face to the flow that takes its expression away: E_exp, D_exp and the refiner."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import UnknownNameError
from microexp.magnify._flow_fields import LIMIT, positions

HEADS = ("absp", "disp", "abs", "bins", "tanh")
NORMS = ("bn", "none")
_CODE, _MAP, _BINS = 256, 16, 17
_REACH = 0.2  # standard deviation of the prior of "absp", in units of half a picture
_SLOPE = 0.1
_HEAD = {"bn": 0.005, "none": 0.05}  # standard deviation of initial weights

Norm = Callable[[int], nn.Module]


def scaled(channels: int, width: float) -> int:
    """Return a number of channels under a width multiplier, at least 8."""
    return max(8, int(channels * width))


class Attention(nn.Module):
    """Attention between channels; its cost grows linearly with the number of positions.

    Parameters
    ----------
    channels : int
        Of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g, self.theta, self.phi = (nn.Conv2d(channels, channels, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return maps ``(N, C, H, W)`` with what other channels say of them added."""
        over_positions = self.theta(x).flatten(2).softmax(2)
        over_channels = self.g(x).flatten(2).softmax(1)
        between = self.phi(x).flatten(2) @ over_positions.transpose(1, 2)
        return F.leaky_relu(x + (between @ over_channels).view_as(x), _SLOPE)


class Residual(nn.Module):
    """Two convolutions, and their input added.

    Parameters
    ----------
    channels : int
        Of input and output.
    norm : callable
        Makes the layer after each convolution.
    slope : float
        Of the rectifiers below 0.
    """

    def __init__(self, channels: int, norm: Norm = nn.Identity, slope: float = _SLOPE) -> None:
        super().__init__()
        self.slope = slope
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList([norm(channels), norm(channels)])

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the same shape."""
        inner = F.leaky_relu(self.norms[0](self.first(x)), self.slope)
        return F.leaky_relu(x + self.norms[1](self.second(inner)), self.slope)


def convolution(
    inputs: int, outputs: int, stride: int = 1, norm: Norm = nn.Identity, side: int = 3
) -> nn.Module:
    """Return a convolution, its normalisation and a leaky rectifier."""
    layer = nn.Conv2d(inputs, outputs, side, stride, side // 2)
    return nn.Sequential(layer, norm(outputs), nn.LeakyReLU(_SLOPE))


class ExpressionEncoder(nn.Module):
    """E_exp: a picture ``(N, 3, S, S)`` in [0, 1] to the code of its expression, ``(N, 256 w)``, -1 to 1.

    Parameters
    ----------
    width : float
        Factor w on all numbers of channels.
    norm : {"bn", "none"}
        Batch normalisation after every convolution, or none.
    size : int
        Side S of the pictures.
    """

    def __init__(self, width: float = 1.0, norm: str = "none", size: int = 112) -> None:
        super().__init__()
        n = _norm(norm)
        a, b, c = (scaled(channels, width) for channels in (64, 128, 256))
        self.layers = nn.Sequential(
            *(convolution(3, a, 2, n, side=7), convolution(a, a, 1, n)),
            *(convolution(a, a, 1, n), Attention(a), convolution(a, a, 1, n)),
            *(convolution(a, b, 2, n), Attention(b), convolution(b, b, 1, n), Residual(b, n), Residual(b, n)),
            *(convolution(b, b, 2, n), convolution(b, b, 1, n)),
            *(convolution(b, c, 2, n), convolution(c, c, 1, n)),
            *(convolution(c, c, 2, n), convolution(c, b, 1, n)),
        )
        side = -(-size // 32)
        hidden, code = scaled(2 * _CODE, width), scaled(_CODE, width)
        self.code = nn.Sequential(
            nn.Flatten(),
            nn.Linear(b * side**2, hidden),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(hidden, code),
            nn.Tanh(),
        )
        _initialise(self)
        if norm == "bn":
            for layer in self.code:
                if isinstance(layer, nn.Linear):
                    nn.init.kaiming_normal_(layer.weight, _SLOPE)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the codes."""
        return self.code(self.layers(2 * pictures - 1))


class FlowDecoder(nn.Module):
    """D_exp with its head: the code of an expression to a flow ``(N, 2, k, k)``.

    Parameters
    ----------
    width : float
        Factor on all numbers of channels.
    k : int
        Side of the flow.
    head : {"absp", "disp", "abs", "bins", "tanh"}
        What makes a flow of the last maps: the `Refiner` ("absp", "disp", "abs"); displacements from -.25 to
        .25, weighted by a softmax ("bins"); or a hyperbolic tangent, without refiner ("tanh").
    sigma : float
        Temperature of the softmax.
    norm : {"bn", "none"}
        Batch normalisation after every convolution of 3x3 pixels, or none.
    """

    bins: Tensor

    def __init__(
        self, width: float = 1.0, k: int = 8, head: str = "absp", sigma: float = 0.1, norm: str = "none"
    ) -> None:
        super().__init__()
        n = _norm(norm)
        if head not in HEADS:
            raise UnknownNameError("flow head", head, HEADS)
        self.head_kind, self.sigma = head, sigma
        outputs = {"tanh": 2, "bins": 2 * _BINS}.get(head, k * k)
        self.side = k if head in ("tanh", "bins") else _MAP
        a, b, c, code = (scaled(channels, width) for channels in (64, 128, 256, _CODE))
        self.first = nn.Sequential(
            *(nn.Conv2d(code, 16 * c, 1), nn.PixelShuffle(4), nn.LeakyReLU(_SLOPE)),
            *(Attention(c), convolution(c, c, 1, n)),
        )
        self.second = nn.Sequential(
            *(convolution(c, b, 1, n), Attention(b), convolution(b, b, 1, n), Residual(b, n), Residual(b, n))
        )
        self.third = convolution(b, a, 1, n)
        self.head = nn.Conv2d(a, outputs, 1, bias=False)
        _initialise(self)
        nn.init.normal_(self.head.weight, 0, _HEAD[norm])
        self.refine = Refiner(k, head, sigma) if outputs == k * k else None
        self.register_buffer("bins", torch.linspace(-LIMIT, LIMIT, _BINS), persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        """Return the flows."""
        x = self.second(_enlarged(self.first(code[:, :, None, None]), 8))
        features = self.head(self.third(_enlarged(x, self.side)))
        if self.refine is not None:
            return self.refine(features)
        if self.head_kind == "tanh":
            return features.tanh()
        weights = (features.unflatten(1, (2, _BINS)) / self.sigma).softmax(2)
        return torch.einsum("ncbhw,b->nchw", weights, self.bins)


class Refiner(nn.Module):
    """Soft-argmax: one heat map a node of the flow to that node's displacement.

    The softmax is over the positions of a heat map, and the expected position is the result ("disp"), or its
    distance from the node ("abs"), or, with a Gaussian prior around the node (standard deviation .2), its
    distance from the position that the prior alone expects ("absp"): then equal heat gives no flow.

    Parameters
    ----------
    k : int
        Side of the flow; heat map ``i k + j`` is of row i, column j.
    kind : {"absp", "disp", "abs"}
        As above.
    sigma : float
        Temperature: heat is divided by it.
    side : int
        Side of the heat maps.
    """

    places: Tensor
    prior: Tensor
    origin: Tensor

    def __init__(self, k: int, kind: str = "absp", sigma: float = 0.1, side: int = _MAP) -> None:
        super().__init__()
        self.k, self.sigma = k, sigma
        places, nodes = (positions(n).flatten(1).T for n in (side, k))
        prior = torch.zeros(k * k, side * side)
        origin = torch.zeros(k * k, 2)
        if kind == "abs":
            origin = nodes
        elif kind == "absp":
            prior = -(torch.cdist(nodes, places) ** 2) / (2 * _REACH**2)
            origin = prior.softmax(1) @ places
        for name, value in (("places", places), ("prior", prior), ("origin", origin)):
            self.register_buffer(name, value.contiguous(), persistent=False)

    def forward(self, heat: Tensor) -> Tensor:
        """Return the flow ``(N, 2, k, k)`` of heat maps ``(N, k k, side, side)``."""
        weights = (heat.flatten(2) / self.sigma + self.prior).softmax(2)
        flow = weights @ self.places - self.origin
        return flow.transpose(1, 2).unflatten(2, (self.k, self.k))


def _norm(name: str) -> Norm:
    if name not in NORMS:
        raise UnknownNameError("normalisation", name, NORMS)
    return nn.BatchNorm2d if name == "bn" else nn.Identity


def _enlarged(x: Tensor, side: int) -> Tensor:
    return F.interpolate(x, (side, side), mode="bilinear", align_corners=True)


def _initialise(module: nn.Module) -> None:
    """Draw weights as FaceCycle does: convolutions by their number of outputs, linear layers of .01."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0, (2 / (layer.kernel_size[0] ** 2 * layer.out_channels)) ** 0.5)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
