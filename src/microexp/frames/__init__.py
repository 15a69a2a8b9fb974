"""Frames: pictures read when they are indexed, from memory, a folder or a video file.

In: arrays and paths. Out: ``(H, W, 3) uint8 RGB`` pictures, and a fingerprint of where they come from.
"""

from microexp.frames.base import ArrayFrames, Frames, MappedFrames, as_rgb8, check_rgb8
from microexp.frames.folder import IMAGE_SUFFIXES, FolderFrames, read_image
from microexp.frames.video import VideoFrames

__all__ = [
    "IMAGE_SUFFIXES",
    "ArrayFrames",
    "FolderFrames",
    "Frames",
    "MappedFrames",
    "VideoFrames",
    "as_rgb8",
    "check_rgb8",
    "read_image",
]
