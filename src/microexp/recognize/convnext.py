"""ConvNeXt-T on one-way flow: the baseline of the BOWAM paper (Liu et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from microexp.recognize._convnext import DEPTHS, DIMS, ConvNeXtModule
from microexp.recognize._convnext_recognizer import ConvNeXtRecognizer
from microexp.recognize._frequency import frequency_unit

CARD = {
    "class": "ConvNeXt",
    "title": "ConvNeXt-T on one-way flow (BOWAM's baseline)",
    "summary": "The plain ConvNeXt-T on a colour picture of the flow from onset to apex.",
    "takes": "clips of aligned faces with onset and apex, or flow pictures (N, V, 3, 240, 240) float32 of V "
    "views",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Liu, Zhuang and Mao, Hanzi and Wu, Chao-Yuan and Feichtenhofer, Christoph "
        "and Darrell, Trevor and Xie, Saining",
        "title": "A ConvNet for the 2020s",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2022,
        "doi": "10.1109/CVPR52688.2022.01167",
    },
    "parameters": 27822435,
    "published": [
        {
            "source": "BOWAM, Tables 1 and 4 (baseline)",
            "data": "MEGC2019",
            "UF1": 0.8580,
            "UAR": 0.8689,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {
            "source": "BOWAM, Table 1 (baseline)",
            "data": "MEGC2019, SMIC part",
            "UF1": 0.8011,
            "UAR": 0.8095,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {
            "source": "BOWAM, Table 1 (baseline)",
            "data": "MEGC2019, SAMM part",
            "UF1": 0.8621,
            "UAR": 0.8697,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {
            "source": "BOWAM, Table 1 (baseline)",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.9212,
            "UAR": 0.9298,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
    ],
    "notes": [
        "Flow, views, sampling, augmentation and recipe are those of BOWAM; its card says what of them is "
        "published and what is ours.",
        "The baseline's first weights are not stated; the public code of BOWAM starts from ImageNet. Here "
        "the start is random unless `pretrained` says otherwise.",
        "The baseline's row over all three databases is not the pooled sum of its rows of each.",
    ],
}


def build_module(
    n_classes: int = 3,
    in_channels: int = 3,
    dims: Sequence[int] = DIMS,
    depths: Sequence[int] = DEPTHS,
    layer_scale: float = 1e-6,
) -> ConvNeXtModule:
    """Return the bare network; its state_dict has the names of timm's ``convnext_tiny``."""
    unit = partial(frequency_unit, frequency="none")
    return ConvNeXtModule(unit, n_classes, in_channels, dims, depths, layer_scale)


@dataclass(eq=False, repr=False)
class ConvNeXt(ConvNeXtRecognizer):
    """ConvNeXt-T on flow pictures; parameters as `ConvNeXtRecognizer`, the flow one-way by default."""

    flow: str = "traditional"

    def unit(self, channels: int) -> nn.Module:
        return frequency_unit(channels, frequency="none")
