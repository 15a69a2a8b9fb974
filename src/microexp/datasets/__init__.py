"""Databases: each module reads one and gives a table of clips. In: a root folder. Out: a `Dataset`.

What may come in: paths and label schemes. What goes out: `Dataset`s of lazily read `Clip`s (or of the
motion images that some databases publish in their place). Nothing here looks at motion or at models.
"""

from microexp.registry import Registry

_registry = Registry(__name__)
names, card, get, create = _registry.names, _registry.card, _registry.get, _registry.create

__all__ = ["card", "create", "get", "names"]
