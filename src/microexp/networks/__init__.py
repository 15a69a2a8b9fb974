"""What the networks of several families have in common: weights and where they come from, warping, VGG.

In: tensors, files of weights. Out: bare modules and tensors. Nothing here knows of clips or of a family.
"""
