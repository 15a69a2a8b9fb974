"""How large a network is: its parameters, and the multiply-adds that one clip, or one frame, costs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.base import clone
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.magnify._network import NetworkMagnifier
from microexp.networks.weighted import RANDOM
from microexp.recognize.base import Recognizer
from microexp.recognize.torch_base import TorchRecognizer
from microexp.superres._network import NetworkUpscaler, VideoUpscaler

_SIDE, _FRAMES = 64, 12  # of the clip that is counted; most recognisers bring any clip to one size
_FACE = 112  # side of the picture that a magnification network is counted on
_RESTORED = 12  # frames that a super-resolution network of video is counted on


@dataclass(frozen=True)
class Complexity:
    """Counts of a network.

    Attributes
    ----------
    parameters : int
        All numbers that training may change.
    multiply_adds : int
        Multiplications, each with its addition, of one clip's forward pass in evaluation mode:
        those of convolutions (at padded positions too) and of matrix products, attention's included.
        Biases, normalisation, activations, pooling, interpolation and all element-wise work are not counted,
        nor is what turns the clip into the network's input.
    input_shape : tuple of int
        Of the network's input for one clip, without the axis of the clips.
    """

    parameters: int
    multiply_adds: int
    input_shape: tuple[int, ...]


def complexity(recognizer: Recognizer, n_classes: int = 3) -> Complexity:
    """Count the parameters and multiply-adds of a recogniser's network.

    Nothing is computed: the network is built, and sees one clip, on PyTorch's "meta" device, where tensors
    have a shape and no values. There every layer comes down to convolutions and matrix products; the fused
    kernels of a processor, which PyTorch's counter does not see, are not used.

    Parameters
    ----------
    recognizer : Recognizer
        One that is a network, fitted or not.
    n_classes : int
        Outputs, 2 or more.

    Returns
    -------
    Complexity
        A network that takes pictures of any size is counted at the size that its settings make of a clip of
        64x64 pixels.

    Raises
    ------
    OptionError
        If the recogniser is no network, `n_classes` is below 2 or a setting cannot be used.
    """
    module = _network(recognizer, n_classes)
    staged = recognizer.stage(recognizer.features([_clip()])).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        recognizer.forward(module, staged)
    return Complexity(
        parameters=_size(module),
        multiply_adds=counter.get_total_flops() // 2,
        input_shape=tuple(staged.shape[1:]),
    )


def restoration_complexity(upscaler: NetworkUpscaler) -> Complexity:
    """Count the parameters and multiply-adds of a super-resolution network, a frame of 64x64 pixels.

    As `complexity`; a network of video is counted on 12 frames, and the sum divided by 12. What a network
    repeats as often as the frames need it (RealBasicVSR cleans them) is counted once.

    Raises
    ------
    OptionError
        If a setting cannot be used.
    """
    module = _built(upscaler)
    count = _RESTORED if isinstance(upscaler, VideoUpscaler) else 1
    frames = torch.zeros(count, 3, _SIDE, _SIDE, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        upscaler._apply(module, frames)
    return Complexity(_size(module), counter.get_total_flops() // 2 // count, (3, _SIDE, _SIDE))


def magnification_complexity(magnifier: NetworkMagnifier) -> Complexity:
    """Count the parameters and multiply-adds of a magnification network, a frame of 112x112 pixels.

    The onset's share is in it where the method needs one. Parameters that are never trained (those of VGG19
    in `single_image`) are not counted.

    Raises
    ------
    OptionError
        If a setting cannot be used.
    """
    drawn = clone(magnifier).set_params(weights=RANDOM, device="cpu")
    face = np.zeros((_FACE, _FACE, 3), np.uint8)
    with FlopCounterMode(display=False) as counter:
        drawn.magnify(face, face if drawn.needs_onset else None)
    return Complexity(_size(_built(magnifier)), counter.get_total_flops() // 2, (3, _FACE, _FACE))


def count_parameters(method: Recognizer | NetworkUpscaler | NetworkMagnifier, n_classes: int = 3) -> int:
    """Count the parameters alone, which takes no clip; arguments and errors as `complexity`."""
    if isinstance(method, NetworkUpscaler | NetworkMagnifier):
        return _size(_built(method))
    return _size(_network(method, n_classes))


def _built(method: NetworkUpscaler | NetworkMagnifier) -> nn.Module:
    """Build the network on the meta device, in training mode: there RealBasicVSR cleans just once."""
    method.check_parameters()
    with torch.device("meta"):
        return method.build().to("meta")


def _network(recognizer: Recognizer, n_classes: int) -> nn.Module:
    """Build the network on the meta device, in evaluation mode."""
    if not isinstance(recognizer, TorchRecognizer):
        raise OptionError(f"{type(recognizer).__name__} is no network: there is nothing to count")
    if n_classes < 2:
        raise OptionError(f"a network tells 2 classes or more apart, not {n_classes}")
    recognizer.check_parameters()
    with torch.device("meta"):
        module = recognizer.build(n_classes)
    return module.to("meta").eval()


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _clip() -> Clip:
    """A texture that slides down and back again."""
    texture = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    apex = _FRAMES // 2
    frames = [np.roll(texture, apex - abs(apex - i), axis=0) for i in range(_FRAMES)]
    return Clip.from_array(np.stack(frames), onset=0, apex=apex, offset=_FRAMES - 1)
