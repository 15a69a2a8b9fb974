"""What a checkpoint is of, by the names and shapes of its tensors: for errors that say what was given."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

# The first row of which every pattern is found in some name decides, so special ones come first.
_NETWORKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("LVMM", (r"^manipulator\.g\.", r"texture_(conv|cba)\.")),
    ("MEMM", (r"^student\.onset_channel\.", r"^teacher\.")),
    ("the single-image network", (r"^flow_magnifier\.", r"^generator_exp\.")),
    ("the single-image network that only warps", (r"^flow_magnifier\.",)),
    ("the starter recogniser", (r"^body\.0\.0\.weight", r"^fc\.weight")),
    ("BasicVSR++", (r"deform_align\.", r"feat_extract\.")),
    ("RealBasicVSR", (r"image_cleaning\.", r"basicvsr\.")),
    ("IconVSR", (r"backward_fusion\.", r"spynet\.")),
    ("BasicVSR", (r"backward_(resblocks|trunk)\.", r"spynet\.")),
    ("EDVR", (r"pcd_align",)),
    ("SPyNet", (r"^basic_module\.\d\.basic_module\.",)),
    ("GLEAN", (r"encoder\.", r"fusion_(out|skip)\.")),
    ("a StyleGAN2 generator", (r"style_mapping\.|style_mlp\.", r"to_rgb")),
    ("RRDN", (r"body\.0\.rdb1\.conv1\.", r"^conv_up\.")),
    ("RRDBNet (ESRGAN, Real-ESRGAN)", (r"body\.0\.rdb1\.conv1\.|RRDB_trunk\.0\.|sub\.0\.RDB1\.",)),
    ("RDN", (r"rdbs\.0\.layers\.0\.conv\.",)),
    ("EDSR", (r"body\.0\.conv1\.", r"conv_after_body\.")),
    ("MSRResNet (SRGAN)", (r"trunk_net\.0\.conv1\.|upconv1\.",)),
    ("SRVGGNetCompact (Real-ESRGAN)", (r"^(generator(_ema)?\.)?body\.0\.weight", r"body\.1\.weight")),
    ("a VGG-style discriminator (SRGAN, ESRGAN)", (r"conv0_0\.", r"bn0_1\.")),
    ("a U-Net discriminator (Real-ESRGAN)", (r"conv_?0\.", r"conv_?[1-9]\.weight_orig")),
    ("SwinIR", (r"relative_position_bias_table", r"conv_after_body\.")),
    ("RCAN", (r"body\.0\.body\.0\.(body|rcab)\.",)),
    ("LPIPS (VGG16)", (r"^lin\.0\.weight", r"^net\.28\.")),
    ("LPIPS (AlexNet)", (r"^lin\.0\.weight", r"^net\.10\.")),
    ("LPIPS", (r"^lin\d?\.\d.*weight",)),
    ("VGG or AlexNet", (r"^features\.0\.weight", r"^classifier\.")),
    ("Inception-v3", (r"^conv2d_94\.|^mixed\.10\.",)),
    ("face-api's face descriptor", (r"^conv256_down_out\.",)),
    ("ConvNeXt", (r"stages\.0\.(blocks\.)?0\.",)),
    ("ResNet", (r"layer1\.0\.conv1\.weight", r"layer4\.")),
    ("a vision transformer", (r"cls_token", r"pos_embed")),
)
_VIDEO = {"BasicVSR++", "RealBasicVSR", "IconVSR", "BasicVSR", "EDVR"}  # which enlarge by 4, all of them
_FOLDED = {3: 4, 12: 2, 48: 1}  # channels that RRDBNet sees of a picture: by scale, it is folded first


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Say what network a checkpoint is of, with scale and channels where shapes show them.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        The named tensors, under the names of any of the usual code bases.

    Returns
    -------
    str or None
        For instance ``"EDSR (scale 2, 64 channels)"``; None if it is not known here.
    """
    if set(state) == {f"conv{i}.{part}" for i in (1, 2, 3) for part in ("weight", "bias")}:
        return "SRCNN"
    for name, patterns in _NETWORKS:
        if all(any(re.search(p, key) for key in state) for p in patterns):
            details = _details(name, state)
            return f"{name} ({', '.join(details)})" if details else name
    return None


def _details(name: str, state: Mapping[str, Tensor]) -> list[str]:
    weights = {key: value for key, value in state.items() if key.endswith("weight") and value.ndim == 4}
    scale, first = _scale(name, weights), _first(weights)
    details = [] if scale is None else [f"scale {scale}"]
    known = scale is not None and first is not None
    return [*details, f"{first.shape[0]} channels"] if known and first is not None else details


def _scale(name: str, weights: Mapping[str, Tensor]) -> int | None:
    first = _first(weights)
    if name in _VIDEO:
        return 4
    if first is None:
        return None
    if name == "RRDN" and "conv_up.weight" in weights:
        return math.isqrt(weights["conv_up.weight"].shape[0] // 3)
    if name.startswith("RRDBNet"):
        return _FOLDED.get(first.shape[1])
    if name.startswith("SRVGGNetCompact"):
        return math.isqrt(list(weights.values())[-1].shape[0] // 3)
    if name in ("EDSR", "RDN", "MSRResNet (SRGAN)"):
        ratios = [
            w.shape[0] // w.shape[1] for k, w in weights.items() if re.search(r"ups(ample|cale)|upconv", k)
        ]
        return math.isqrt(math.prod(ratios)) or None
    return None


def _first(weights: Mapping[str, Tensor]) -> Tensor | None:
    """Return the first convolution: of those that see a picture, the one that the names put first."""
    for pattern in (r"conv_first", r"sfe1", r"feat_extract", r"body\.0\.weight$", r"model\.0\.weight$"):
        for key, weight in weights.items():
            if re.search(pattern, key):
                return weight
    return None
