"""Weights as data. In: a file, or a name. Out: named tensors, checked against the network they are
for.

Nothing is ever unpickled: safetensors, PyTorch files with ``weights_only=True``, and the plain arrays of
ncnn, TensorFlow.js and Flax. Starter weights, trained on synthetic faces, come with microexp; of published
ones `catalogue` says what there is, under which licence, and the user has it downloaded.
"""

from microexp.weights.download import locate
from microexp.weights.files import load_into, read_metadata, read_weights, write_weights

__all__ = ["load_into", "locate", "read_metadata", "read_weights", "write_weights"]
