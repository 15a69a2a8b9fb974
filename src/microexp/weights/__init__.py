"""Published weights as data. In: a file. Out: named tensors, checked against the network they are for.

Nothing is ever unpickled: safetensors, or PyTorch files with ``weights_only=True``.
"""

from microexp.weights.files import load_into, read_weights, write_weights

__all__ = ["load_into", "read_weights", "write_weights"]
