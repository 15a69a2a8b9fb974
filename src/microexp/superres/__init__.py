"""Super-resolution: larger faces of small ones. In: clips, pictures. Out: the same, `scale` times as large.

Also what goes with it: degradation (how small faces come about) and quality (how near a restored picture
is to the true one). Pictures are ``(H, W, 3) uint8 RGB``; inside networks ``(N, 3, H, W) float32 RGB`` in
[0, 1].
"""

from microexp.registry import Registry

_registry = Registry(__name__)
names, card, get, create = _registry.names, _registry.card, _registry.get, _registry.create

__all__ = ["card", "create", "get", "names"]
