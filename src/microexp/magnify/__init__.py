"""Magnification: stronger movements of weak ones. In: clips, pictures. Out: the same, with larger motion.

Pictures are ``(H, W, 3) uint8 RGB`` and keep their size; inside networks ``(N, 3, H, W) float32 RGB`` in
[0, 1].
"""

from microexp.registry import Registry

_registry = Registry(__name__)
names, card, get, create = _registry.names, _registry.card, _registry.get, _registry.create

__all__ = ["card", "create", "get", "names"]
