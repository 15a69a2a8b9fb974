"""The loop that fits networks. In: a bare module and staged tensors. Out: the same module, trained.

Knows nothing of clips, databases or protocols; `recognize` (and later `superres`, `magnify`) call it.
"""

from microexp.train.loop import Recipe, device_of_fold, pick_device, train_epochs

__all__ = ["Recipe", "device_of_fold", "pick_device", "train_epochs"]
