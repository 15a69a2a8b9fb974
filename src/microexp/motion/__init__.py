"""Motion: optical flow, strain, flow images, temporal interpolation. In: clips. Out: arrays or clips.

Array law: flow is ``(H, W, 2) float32``, dx then dy, in pixels, from the first frame to the second;
flow images are ``(N, C, H, W) float32`` in [0, 1] (or [-1, 1] where signed scaling is asked for).
"""

from microexp.registry import Registry

_registry = Registry(__name__)
names, card, get, create = _registry.names, _registry.card, _registry.get, _registry.create

__all__ = ["card", "create", "get", "names"]
