"""BOWAM: bidirectional flow and wavelet attention in a ConvNeXt (Xie et al., Chin. J. Comput. 2026)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral

from torch import nn

from microexp.errors import OptionError, UnknownNameError
from microexp.recognize._convnext import DEPTHS, DIMS, ConvNeXtModule
from microexp.recognize._convnext_recognizer import ConvNeXtRecognizer
from microexp.recognize._frequency import FREQUENCIES, frequency_unit
from microexp.recognize._wavelets import check_wavelet

CARD = {
    "class": "BOWAM",
    "title": "BOWAM (bidirectional optical flow and wavelet-based attention)",
    "summary": "ConvNeXt-T on the flows from the apex to both ends; attention to wavelet bands in blocks.",
    "takes": "clips of aligned faces with onset, apex and offset, or flow pictures "
    "(N, V, 3, 240, 240) float32 of V views",
    "gives": "labels (N,) int64, probabilities (N, K)",
    "paper": {
        "authors": "Xie, Weicheng and Xiao, Hang and Fan, Weijia and Wang, Zihan and Yu, Zitong "
        "and Shen, Linlin",
        "title": "Micro-Expression Recognition Based on Bidirectional Optical Flow and Wavelet-Based "
        "Attention Mechanism",
        "venue": "Chinese Journal of Computers",
        "year": 2026,
        "doi": "10.11897/SP.J.1016.2026.00328",
    },
    "parameters": 31475175,
    "published": [
        {
            "source": "BOWAM, Table 1",
            "data": "MEGC2019",
            "UF1": 0.9090,
            "UAR": 0.9103,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {
            "source": "BOWAM, Table 1",
            "data": "MEGC2019, SMIC part",
            "UF1": 0.8529,
            "UAR": 0.8573,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {
            "source": "BOWAM, Table 1",
            "data": "MEGC2019, SAMM part",
            "UF1": 0.8941,
            "UAR": 0.8714,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {
            "source": "BOWAM, Table 1",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.9861,
            "UAR": 0.9924,
            "protocol": "leaks: the public code keeps the epoch that is best on the left-out subject",
        },
        {
            "source": "BOWAM, Table 2",
            "data": "CAS(ME)^3, 3 classes",
            "UF1": 0.8078,
            "UAR": 0.7998,
            "protocol": "leave-one-subject-out; how the epoch was chosen is not said",
        },
        {
            "source": "BOWAM, Table 2",
            "data": "CAS(ME)^3, 4 classes",
            "UF1": 0.6698,
            "UAR": 0.6781,
            "protocol": "leave-one-subject-out; how the epoch was chosen is not said",
        },
        {
            "source": "BOWAM, Table 2",
            "data": "CAS(ME)^3, 7 classes",
            "UF1": 0.5019,
            "UAR": 0.5031,
            "protocol": "leave-one-subject-out; how the epoch was chosen is not said",
        },
        {
            "source": "BOWAM, Table 3",
            "data": "DFME, test set B of CCAC2024, 7 classes",
            "UF1": 0.3921,
            "UAR": 0.4124,
            "protocol": "fixed test set of a challenge; the authors' entry of 2024 had .3534 and .3661",
        },
    ],
    "presets": {
        "paper": {},
        "table4_a": {"flow": "traditional", "frequency": "none"},
        "table4_b": {"frequency": "none"},
        "table4_c": {"channel_attention": False, "spatial_attention": False},
        "table4_d": {"spatial_attention": False},
        "table4_e": {"channel_attention": False},
        "multiply": {"flow": "multiply"},
        "concat": {"flow": "concat"},
        "unshared_mlp": {"shared_mlp": False},
        "db4": {"wavelet": "db4"},
        "sym5": {"wavelet": "sym5"},
        "biorthogonal": {"wavelet": "bior2.2"},
        "coif5": {"wavelet": "coif5"},
        "ratio_4": {"ratio": 4},
        "ratio_8": {"ratio": 8},
        "ratio_32": {"ratio": 32},
        "kernel_5": {"spatial_kernel": 5},
        "kernel_7": {"spatial_kernel": 7},
        "stages_3": {"dims": (96, 192, 384), "depths": (3, 3, 9)},
        "stages_5": {"dims": (96, 192, 384, 768, 1536), "depths": (3, 3, 9, 3, 3)},
        "bi_woof": {"flow": "traditional", "encoding": "oms"},
        "mdmo": {"flow": "mdmo", "encoding": "uvm"},
        "fourier": {"frequency": "fourier"},
        "freq_hd": {"frequency": "stfa"},
    },
    "notes": [
        # What the network is.
        "Layers follow the authors' public code: ConvNeXt-T whose depthwise convolution in every block is "
        "the wavelet unit, with batch norm and ReLU after it. The paper calls the unit a down-sampling and "
        "draws it so; it keeps the size, and the down-sampling between stages is ConvNeXt's own.",
        "A build with 7x7 depthwise convolutions, ratio 16, 3 classes and 224 pixels gives the parameters "
        "and multiply-adds of Table 10 to rounding (13.99 M / 3.71 G, 31.45 M / 4.47 G, 96.30 M / 7.28 G), "
        "if counted as thop does, which skips layer scale, layer norms and the 'same' convolution before a "
        "fifth stage. The true totals are 14,007,345, 31,475,175 and 101,062,941.",
        "The spatial attention's kernel is 3 by default, best in Table 9; the public code has 7, and Table "
        "10 rounds exactly only with 7.",
        "The public code resizes maps of side 7 to 6 and back, and fails at other odd sides; here every odd "
        "side is treated so, and a side of 1 is resized to 2.",
        "The wavelet transform is periodised and exactly invertible. The public one pads nothing, so "
        "filters longer than Haar's lose the border or do not fit the maps. 'Biorthogonal' has no order in "
        "the paper; bior2.2 is our choice.",
        "Row C of Table 4, the transform without attention, is the identity on even maps: against row B it "
        "only adds batch norm, ReLU and, at side 7, a smoothing.",
        "Unshared perceptrons, the Fourier unit (bands split at half the band by radius; spatial attention "
        "to the low, channel attention to the high part) and the STFA-style unit (channels gated by their "
        "share of energy in the upper half of the band) are ours; the paper names them without a "
        "definition, and Freq-HD's STFA selects clips of a video and attends to no maps.",
        # What goes in.
        "Published neither in the paper nor in code: Farneback's parameters (ours: OpenCV's tutorial's) and "
        "how a flow becomes three channels. The public code reads 8-bit RGB pictures and changes their hue; "
        "that hints at OpenCV's colour picture ('hsv'), and nothing confirms it. 'uvs' keeps the sign and "
        "the strength of the motion.",
        "Flow is computed at the clip's size, and the picture resized to 240. Clips are to be aligned first "
        "(68 landmarks, as in the paper); SMIC has no apex, so spot it.",
        "The sum of the two flows cancels a steady head drift only where the apex is midway between onset "
        "and offset, not in general as the paper says.",
        "How Bi-WOOF and MDMO, which are histograms, become pictures is not said. Ours: orientation, "
        "magnitude and strain of the flow from onset to apex; and u, v and magnitude of that flow where it "
        "goes the main way of its cell, of 6x6.",
        # How it is trained.
        "AdamW at 1e-4, weight decay 1e-4, 100 epochs, batches of 32; the factor .987 an epoch is the "
        "code's. The paper's 'unbalanced sampling' is in the code a set of additional pictures with the "
        "apex moved by -2, -1, 1 or 2 frames, more of the rarer classes; here a moved apex stays between "
        "onset and offset.",
        "The public code starts from ImageNet (timm's convnext_tiny.in12k_ft_in1k), or from weights trained "
        "on the flow of MiE-X that are not public; the paper mentions neither. Names that match are copied, "
        "so the depthwise convolutions and the attention stay random. Here the start is random unless "
        "`pretrained` says otherwise.",
        "Augmentation as in the code: rotation of up to 8 degrees, flip, colour jitter .2, crop of 224 from "
        "240. A flip and a change of hue alter the direction that a colour stands for; augmentation='flow' "
        "does it as physics would, with a scaling of strength in place of the jitter. Rotation is bilinear.",
        "The public code also rotates the test pictures at random; here a test picture is only cropped.",
        # What the figures are worth.
        "The public code keeps, for each left-out subject, the epoch with the best macro F1 on that very "
        "subject; there is no validation set, and the paper says that nothing leaks. So the figures are "
        "optimistic.",
        "The figures of SMIC, SAMM and CASME II pool to UF1 .9055 to .9061 and UAR .9025, not to .9090 and "
        ".9103. Those of CASME II force 143 of 145 clips right.",
        "Table 11's Bi-WOOF is digit for digit Table 5's concatenation, and its Fourier UAR the product's: "
        "likely copied by mistake. The gain of 2.61 points over the best prior UAR overlooks EDMDBN's .8933 "
        "in the same table; it is 1.70.",
        "The paper's counts of SMIC (157 clips) and SAMM (224) are not those of the databases (164; 159 of "
        "micro-expressions).",
        "Trained on a CPU, the whole protocol of 68 subjects would take about two months; use a GPU.",
    ],
}


def build_module(
    n_classes: int = 3,
    in_channels: int = 3,
    dims: Sequence[int] = DIMS,
    depths: Sequence[int] = DEPTHS,
    layer_scale: float = 1e-6,
    frequency: str = "wavelet",
    wavelet: str = "haar",
    ratio: int = 16,
    shared_mlp: bool = True,
    spatial_kernel: int = 3,
    channel_attention: bool = True,
    spatial_attention: bool = True,
) -> ConvNeXtModule:
    """Return the bare network, ``(N, in_channels, H, W)`` to logits ``(N, n_classes)``."""
    unit = partial(
        frequency_unit,
        frequency=frequency,
        wavelet=wavelet,
        ratio=ratio,
        shared_mlp=shared_mlp,
        spatial_kernel=spatial_kernel,
        channel_attention=channel_attention,
        spatial_attention=spatial_attention,
    )
    return ConvNeXtModule(unit, n_classes, in_channels, dims, depths, layer_scale)


@dataclass(eq=False, repr=False)
class BOWAM(ConvNeXtRecognizer):
    """BOWAM; parameters as `ConvNeXtRecognizer`, and those of its frequency unit.

    Parameters
    ----------
    frequency : {"wavelet", "fourier", "stfa", "none"}
        How a block parts the frequencies: by wavelets as published, by Fourier's transform, by a gate on the
        energy of the high ones, or not at all (the plain ConvNeXt block).
    wavelet : str
        Any discrete wavelet of PyWavelets.
    ratio : int
        Channels to hidden units of the channel attention (and of the gate).
    shared_mlp : bool
        One perceptron for the means and the maxima of the channels, or one each.
    spatial_kernel : int
        Side of the spatial attention's convolution, odd.
    channel_attention, spatial_attention : bool
        Without both the wavelets only come and go. For "wavelet" and "fourier".
    """

    frequency: str = "wavelet"
    wavelet: str = "haar"
    ratio: int = 16
    shared_mlp: bool = True
    spatial_kernel: int = 3
    channel_attention: bool = True
    spatial_attention: bool = True

    def unit(self, channels: int) -> nn.Module:
        return frequency_unit(
            channels,
            self.frequency,
            self.wavelet,
            self.ratio,
            self.shared_mlp,
            self.spatial_kernel,
            self.channel_attention,
            self.spatial_attention,
        )

    def check_parameters(self) -> None:
        if self.frequency not in FREQUENCIES:
            raise UnknownNameError("frequency unit", self.frequency, FREQUENCIES)
        check_wavelet(self.wavelet)
        for name in ("ratio", "spatial_kernel"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise OptionError(f"{name} must be a whole number, 1 or more, got {value!r}")
        if self.spatial_kernel % 2 == 0:
            raise OptionError(f"spatial_kernel must be odd, got {self.spatial_kernel}")
        super().check_parameters()
