"""Faces: detection, 68 landmarks, alignment, regions. In: pictures, clips. Out: faces, aligned clips.

Landmarks are ``(68, 2) float32``, x and y in pixels, in the iBUG order; pixel centres lie at whole numbers.
Landmark noise is as large as a micro-expression, so a clip is aligned once, never frame by frame.
"""

from microexp.registry import Registry

_registry = Registry(__name__)
names, card, get, create = _registry.names, _registry.card, _registry.get, _registry.create

__all__ = ["card", "create", "get", "names"]
