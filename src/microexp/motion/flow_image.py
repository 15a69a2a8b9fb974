"""Flow images: the flow of a clip as a small picture, the input of most motion networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from types import MappingProxyType

import cv2
import numpy as np

from microexp.clip import Clip
from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.flow_colours import direction_hue, hsv_to_rgb
from microexp.motion.base import ClipFlow
from microexp.motion.strain import optical_strain
from microexp.motion.tvl1 import TVL1
from microexp.stateless import Stateless

CARD = {
    "class": "FlowImage",
    "title": "Flow image",
    "summary": "Flow of a clip as channels u, v, strain (as STSTNet), magnitude, or colours, at one size.",
    "takes": "clips, or flow (N, H, W, 2) float32",
    "gives": "flow images (N, C, size, size) float32 in [0, 1], or [-1, 1] with scaling='signed'",
    "paper": {
        "authors": "Liong, Sze-Teng and Gan, Y. S. and See, John and Khor, Huai-Qian and Huang, Yen-Chang",
        "title": "Shallow Triple Stream Three-Dimensional CNN (STSTNet) for Micro-Expression Recognition",
        "venue": "IEEE International Conference on Automatic Face and Gesture Recognition (FG)",
        "year": 2019,
        "doi": "10.1109/FG.2019.8756567",
    },
    "notes": [
        "Defaults (TV-L1; u, v, strain; 28x28; min-max of each channel of each picture) are those of the 442 "
        "public images of STSTNet and HTNet. Min-max scaling loses the strength of motion and the place of "
        "zero.",
        "Flow, strain and magnitude are computed at the size of the clip and then averaged by area to `size` "
        "(bilinear where that enlarges); the values stay in pixels of the clip. The papers do not say.",
        "scaling='signed' keeps zero at zero and the strength of motion: divided by a fixed limit and "
        "clipped. "
        "The limits (2 px, strain 0.1) are ours.",
        "'hsv' (hue = angle, value = magnitude, full saturation, to RGB) is OpenCV's tutorial picture. "
        "BOWAM's "
        "files look like it, but nothing published confirms that.",
        "A frame that is not square is squeezed to a square.",
    ],
}

_MEASURES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "u": lambda flow: flow[..., 0],
        "v": lambda flow: flow[..., 1],
        "strain": optical_strain,
        "magnitude": lambda flow: np.hypot(flow[..., 0], flow[..., 1]),
    }
)
CHANNELS = (*_MEASURES, "hsv")
SCALINGS = ("minmax", "signed", "none")


class FlowImage(Stateless):
    """Clips to flow images.

    Parameters
    ----------
    estimator : ClipFlow or None
        Flow estimator, or `Bidirectional`; None for `TVL1` at its defaults.
    channels : str or sequence of str
        Any of "u", "v" (flow to the right and downwards), "strain", "magnitude", and "hsv", which is a
        colour picture and counts three channels.
    scaling : {"minmax", "signed", "none"}
        "minmax": each channel of each picture to [0, 1], a constant channel to 0. "signed": divided by
        the limit and clipped, u and v to [-1, 1], strain and magnitude to [0, 1]; no motion is 0.
        "none": pixels as they are (not with "hsv").
    size : int or None
        Height and width of the pictures; None for the clip's own size.
    limit : float
        Pixels of flow that "signed" scales to 1.
    strain_limit : float
        Strain, in pixels per pixel, that "signed" scales to 1.

    Examples
    --------
    >>> import numpy as np
    >>> flow = np.zeros((1, 64, 64, 2), np.float32)
    >>> FlowImage(channels=("u", "v"), scaling="signed").images(flow).shape
    (1, 2, 28, 28)
    """

    def __init__(
        self,
        estimator: ClipFlow | None = None,
        channels: str | Sequence[str] = ("u", "v", "strain"),
        scaling: str = "minmax",
        size: int | None = 28,
        limit: float = 2.0,
        strain_limit: float = 0.1,
    ) -> None:
        self.estimator = estimator
        self.channels = channels
        self.scaling = scaling
        self.size = size
        self.limit = limit
        self.strain_limit = strain_limit

    def transform(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the flow image of each clip, ``(N, C, size, size) float32``.

        The clips may differ in size unless ``size=None``.

        Raises
        ------
        DataError
            If there is no clip, a clip lacks a frame that is needed, or the pictures differ in size.
        OptionError
            If a parameter has a value that cannot be used.
        """
        self._check_parameters()
        if len(clips) == 0:
            raise DataError("there are no clips to make flow images of")
        estimator = self.estimator if self.estimator is not None else TVL1()
        images = [self._image(estimator.clip_flow(clip)) for clip in clips]
        if len({image.shape for image in images}) > 1:
            raise DataError("the clips differ in size: give FlowImage a size, or resize the clips first")
        return np.stack(images)

    def images(self, flow: np.ndarray) -> np.ndarray:
        """Return the flow image of each flow.

        Parameters
        ----------
        flow : numpy.ndarray
            ``(N, H, W, 2 K)``, pixels: K flows (2 of a stacked `Bidirectional`), each dx then dy.

        Returns
        -------
        numpy.ndarray
            ``(N, K C, size, size) float32``, in the order of `channel_names`.

        Raises
        ------
        DataError
            If the array is not of that shape or is empty.
        OptionError
            If a parameter has a value that cannot be used.
        """
        self._check_parameters()
        flow = np.asarray(flow)
        if flow.ndim != 4 or flow.shape[3] % 2 or 0 in flow.shape:
            raise DataError(f"flow images are made of flow (N, H, W, 2), got {flow.shape}")
        return np.stack([self._image(one) for one in flow])

    def channel_names(self, n_flows: int = 1) -> list[str]:
        """Return the names of the channels; of two stacked flows ``onset_u``, ..., ``offset_u``, ..."""
        names = []
        for channel in self._channels():
            names += ["red", "green", "blue"] if channel == "hsv" else [channel]
        prefixes = {1: [""], 2: ["onset_", "offset_"]}.get(n_flows, [f"{i}_" for i in range(n_flows)])
        return [prefix + name for prefix in prefixes for name in names]

    def _channels(self) -> tuple[str, ...]:
        return (self.channels,) if isinstance(self.channels, str) else tuple(self.channels)

    def _check_parameters(self) -> None:
        for channel in self._channels():
            if channel not in CHANNELS:
                raise UnknownNameError("flow channel", channel, CHANNELS)
        if self.scaling not in SCALINGS:
            raise UnknownNameError("scaling of flow images", self.scaling, SCALINGS)
        if not self._channels():
            raise OptionError(f"FlowImage needs at least one channel of {', '.join(CHANNELS)}")
        if self.scaling == "none" and "hsv" in self._channels():
            raise OptionError("the channel 'hsv' has no unscaled values: use scaling 'minmax' or 'signed'")
        if self.size is not None and (not isinstance(self.size, Integral) or self.size < 1):
            raise OptionError(f"FlowImage: size must be a whole number of pixels, got {self.size!r}")
        if not (self.limit > 0 and self.strain_limit > 0):
            raise OptionError("FlowImage: limit and strain_limit must be positive")

    def _image(self, flow: np.ndarray) -> np.ndarray:
        """Return the image ``(K C, size, size)`` of ``(H, W, 2 K)``."""
        pairs = np.split(np.asarray(flow, np.float32), flow.shape[-1] // 2, axis=-1)
        return np.concatenate([self._planes(pair, name) for pair in pairs for name in self._channels()])

    def _planes(self, flow: np.ndarray, channel: str) -> np.ndarray:
        """Return one channel, scaled, as ``(1, size, size)``; ``(3, size, size)`` of "hsv"."""
        if channel == "hsv":
            u, v = self._resize(flow[..., 0]), self._resize(flow[..., 1])
            value = self._scale(np.hypot(u, v), "magnitude")
            return np.moveaxis(hsv_to_rgb(direction_hue(u, v), np.ones_like(value), value), -1, 0)
        return self._scale(self._resize(_MEASURES[channel](flow)), channel)[np.newaxis]

    def _resize(self, plane: np.ndarray) -> np.ndarray:
        if self.size is None or plane.shape == (self.size, self.size):
            return plane
        shrinks = self.size <= min(plane.shape)
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(np.ascontiguousarray(plane), (self.size, self.size), interpolation=method)

    def _scale(self, plane: np.ndarray, channel: str) -> np.ndarray:
        if self.scaling == "none":
            return plane
        if self.scaling == "signed":
            limit = self.strain_limit if channel == "strain" else self.limit
            return np.clip(plane / np.float32(limit), -1, 1)
        low, high = plane.min(), plane.max()
        return (plane - low) / (high - low) if high > low else np.zeros_like(plane)
