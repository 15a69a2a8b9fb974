"""The pictures that show one expression: key frames, flow, what the network saw and looked at, magnified."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from microexp import magnify as magnifiers
from microexp.analyze.crop import SIDE, crop_box, crop_matrix
from microexp.analyze.recognition import Recognition
from microexp.faces.geometry import fit_similarity, invert
from microexp.flow_colours import colour_flow
from microexp.magnify.base import Magnifier
from microexp.weights import catalogue

STARTER = "starter-single-image"
FACTOR = 6.0  # of the two-frame method
_TILE = 112  # pixels of each of the three pictures that the network saw
_QUALITY = 80  # of WebP


@dataclass(frozen=True)
class Picture:
    """A picture of the strip.

    Attributes
    ----------
    caption : str
        What it shows.
    webp : bytes
        The picture, encoded.
    """

    caption: str
    webp: bytes

    @classmethod
    def of(cls, caption: str, pixels: np.ndarray) -> Picture:
        """Encode ``(H, W, 3) uint8 RGB``."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "WEBP", quality=_QUALITY)
        return cls(caption, buffer.getvalue())

    @property
    def url(self) -> str:
        """The picture as a ``data:`` address."""
        return "data:image/webp;base64," + base64.b64encode(self.webp).decode()


def strip(
    onset: np.ndarray,
    apex: np.ndarray,
    offset: np.ndarray,
    recognition: Recognition,
    landmarks: np.ndarray,
    magnify: bool,
) -> tuple[Picture, ...]:
    """Return the pictures of one expression.

    Parameters
    ----------
    onset, apex, offset : numpy.ndarray
        ``(224, 224, 3) uint8 RGB``: its aligned key frames.
    recognition : Recognition
        What the recogniser made of them.
    landmarks : numpy.ndarray
        ``(68, 2)``, of the aligned face.
    magnify : bool
        Whether the apex is shown magnified, too.
    """
    longest = float(np.hypot(recognition.flow[..., 0], recognition.flow[..., 1]).max())
    pictures = [
        Picture.of("onset", onset),
        Picture.of("apex", apex),
        Picture.of("offset", offset),
        Picture.of(f"motion, up to {longest:.1f} px", colour_flow(recognition.flow)),
        Picture.of("what decided", heat_over(apex, recognition.heat, landmarks)),
        Picture.of("what the network saw: across, down, strain", _seen(recognition.seen)),
    ]
    if magnify:
        pictures.insert(3, Picture.of("apex, magnified", _magnified(onset, apex)))
    return tuple(pictures)


def heat_over(picture: np.ndarray, heat: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Lay what the network looked at over the face.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3) uint8 RGB``, aligned.
    heat : numpy.ndarray
        ``(28, 28)`` in [0, 1], over the crop that the network saw; outside it there is none.
    landmarks : numpy.ndarray
        ``(68, 2)`` of the picture: they say where the crop is.
    """
    left, top, width, height = crop_box(SIDE)
    corners = np.array([[-0.5, -0.5], [heat.shape[1] - 0.5, heat.shape[0] - 0.5]])
    in_square = fit_similarity(corners, np.array([[left, top], [left + width, top + height]]))
    to_picture = _after(invert(crop_matrix(landmarks)), in_square)
    size = picture.shape[1], picture.shape[0]
    laid = cv2.warpAffine(heat.astype(np.float32), to_picture, size, flags=cv2.INTER_LINEAR)
    laid = np.clip(laid, 0, 1)[..., None]
    colours = cv2.applyColorMap((255 * laid[..., 0]).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.rint(picture * (1 - 0.7 * laid) + 0.7 * laid * colours).astype(np.uint8)


@lru_cache(maxsize=1)
def magnifier() -> Magnifier:
    """Return what magnifies the apex: the starter weights where they are, else the local phases."""
    if magnifier_name() == STARTER:
        made: Magnifier = magnifiers.create(
            "single_image", weights=STARTER, **catalogue.entry(STARTER).settings
        )
        return made
    two_frames: Magnifier = magnifiers.create("phase", factor=FACTOR, pyramid="riesz")
    return two_frames


def magnifier_name() -> str:
    """Return the name of what magnifies the apex."""
    return STARTER if STARTER in catalogue.names() else f"phase x{FACTOR:g}"


def _magnified(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
    chosen = magnifier()
    return chosen.magnify(apex, onset if chosen.needs_onset else None)


def _seen(seen: np.ndarray) -> np.ndarray:
    """Return the three channels beside each other, their pixels as squares."""
    grey = np.rint(255 * np.clip(seen, 0, 1)).astype(np.uint8)
    large = [cv2.resize(channel, (_TILE, _TILE), interpolation=cv2.INTER_NEAREST) for channel in grey]
    return np.repeat(np.hstack(large)[..., None], 3, axis=2)


def _after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the transform that does the first and then the second, ``(2, 3)``."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])
