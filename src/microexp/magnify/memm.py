"""MEMM: a two-frame network that learns macro-expressions from a teacher that sees them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.magnify._two_frames import ResidualBlock, TwoFrameMagnifier, check_terms
from microexp.networks.warp import flow_warp
from microexp.train.magnification import MagnificationRecipe, Triples

CARD = {
    "class": "MEMM",
    "title": "MEMM (teacher-student micro-expression magnification)",
    "summary": "Onset and frame to a macro-expression, guided in training by a network that sees the apex.",
    "takes": "clips of aligned faces, or pictures (H, W, 3) uint8 RGB with their onset",
    "gives": "the same, with a stronger expression; there is no factor",
    "paper": {
        "authors": "Song, Y. and Zhao, W. and Chen, T. and Li, S. and Li, J.",
        "title": "Recognizing Microexpression as Macroexpression by the Teacher-student Framework Network",
        "venue": "IEEE International Symposium on Mixed and Augmented Reality Adjunct (ISMAR-Adjunct)",
        "year": 2022,
        "url": "https://openreview.net/forum?id=wpcMZr5GdPE",
    },
    "parameters": 1117902,
    "published": [
        {"source": "Table I of the single-input paper", "data": "CASME II, apex", "FID": 19.986},
        {"source": "Table I of the single-input paper", "data": "SAMM, apex", "FID": 16.404},
        {"source": "Table I of the single-input paper", "data": "SMIC, apex", "FID": 16.866},
        {"source": "Table I of the single-input paper", "data": "MEGC2019, apex", "FID": 14.081},
        {"source": "Table I of the single-input paper", "data": "wild samples, apex", "FID": 32.342},
        {
            "source": "Table II of the single-input paper, MEMM + ResNet50",
            "data": "MEGC2019",
            "UF1": 0.824,
            "UAR": 0.806,
        },
        {
            "source": "Table II of the single-input paper, MEMM + ResNet50",
            "data": "MEGC2019, SAMM part",
            "UF1": 0.81,
            "UAR": 0.7753,
        },
        {
            "source": "Table II of the single-input paper, MEMM + ResNet50",
            "data": "MEGC2019, SMIC part",
            "UF1": 0.7326,
            "UAR": 0.7305,
        },
        {
            "source": "Table II of the single-input paper, MEMM + ResNet50",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.9367,
            "UAR": 0.9279,
        },
    ],
    "notes": [
        "Of the paper only the abstract was at hand. It says: an image animation network (FOMM) extracts the "
        "features of the change from a neutral face to a macro-expression, and is the teacher; an "
        "encoder-decoder of two channels is guided by the teacher's middle layer to go from the features of "
        "a micro-expression to those of a macro-expression; there are self-attention and losses for the "
        "strength and for the picture. Layers, losses, their weights and the settings of training are ours.",
        "The teacher has no key points as FOMM has: it is shown onset and apex, and must make the apex by "
        "moving the onset. Of the apex nothing reaches the picture but through its middle layer.",
        "The student has the teacher's layers, is shown onset and frame, and moves the frame. In both, two "
        "encoders begin with equal weights, their features' difference is brought to unit spread by batch "
        "normalisation, joined with the second picture's and passed through self-attention, which is the "
        "middle layer. The decoder gives a flow, a change of colour and, in the student, how much of the "
        "difference from the onset is added again; all are 0 in an untrained network.",
        "Losses, ours: the teacher's mean squared error; the student's mean absolute error, and that of its "
        "middle layer against the teacher's.",
        "The teacher is in the weight file, as training needs it; magnification uses the student alone.",
        "There is no factor: what is learned is the ratio of apex to middle in the training triples.",
        "The figures are those of another paper, 'Microexpression to Macroexpression: Facial Expression "
        "Magnification by Single Input'.",
    ],
}

_LEAST_WIDTH = 4
_CHANGE = 0.1  # of the range of a picture, beside a pixel of flow: both begin to be learned alike


class Channel(nn.Module):
    """One of the two encoders.

    Parameters
    ----------
    width : int
        Channels at half size; 2 and 4 times as many at the smaller ones.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_half = nn.Sequential(nn.Conv2d(3, width, 5, 2, 2), nn.ReLU(), ResidualBlock(width))
        self.to_quarter = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(), ResidualBlock(2 * width)
        )
        self.to_eighth = nn.Sequential(nn.Conv2d(2 * width, 4 * width, 3, 2, 1), nn.ReLU())

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at a half, a quarter and an eighth of the size: w, 2 w and 4 w channels."""
        half = self.to_half(2 * picture - 1)
        quarter = self.to_quarter(half)
        return half, quarter, self.to_eighth(quarter)


class SelfAttention(nn.Module):
    """Every position asks all others; what they answer is added, times a number that begins at 0.

    Parameters
    ----------
    channels : int
        In and out; an eighth of them for questions and keys.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv2d(channels, channels // 8, 1) for _ in range(2))
        self.value = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, h, w)`` of the same."""
        query, key, value = (layer(x).flatten(2).mT for layer in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(query, key, value)
        return x + self.gain * seen.mT.view_as(x)


class Animator(nn.Module):
    """What both teacher and student are: two pictures to a motion, and a picture moved by it.

    Parameters
    ----------
    width : int
        Channels at half size.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.onset_channel, self.frame_channel = Channel(width), Channel(width)
        self.frame_channel.load_state_dict(self.onset_channel.state_dict())  # no motion: no difference
        self.spread = nn.BatchNorm2d(4 * width)  # differences are small beside the features themselves
        self.joint = nn.Conv2d(8 * width, 4 * width, 1)
        self.attention = SelfAttention(4 * width)
        self.up_quarter = nn.Conv2d(4 * width, 2 * width, 3, padding=1)
        self.up_half = nn.Conv2d(4 * width, width, 3, padding=1)
        self.last = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 6, 3, padding=1)
        )
        for parameter in cast(nn.Conv2d, self.last[-1]).parameters():
            nn.init.zeros_(parameter)

    def motion(self, onset: Tensor, frame: Tensor) -> Tensor:
        """Return the middle layer: features ``(N, 4 w, H / 8, W / 8)`` of the frame and of what changed."""
        both = torch.cat([frame, self.spread(frame - onset)], dim=1)
        return self.attention(F.relu(self.joint(both)))

    def moved(
        self, picture: Tensor, features: tuple[Tensor, Tensor, Tensor], motion: Tensor, since: Tensor
    ) -> Tensor:
        """Return a picture moved and retouched.

        Parameters
        ----------
        picture : torch.Tensor
            ``(N, 3, H, W)`` in [0, 1].
        features : tuple of torch.Tensor
            Of the picture, from its channel.
        motion : torch.Tensor
            The middle layer.
        since : torch.Tensor
            What changed in the picture since the onset, ``(N, 3, H, W)``; some of it is added.
        """
        half, quarter, _ = features
        x = torch.cat([F.relu(self.up_quarter(_doubled(motion))), quarter], dim=1)
        x = torch.cat([F.relu(self.up_half(_doubled(x))), half], dim=1)
        flow, colour, more = _doubled(self.last(x)).split((2, 3, 1), dim=1)
        return flow_warp(picture, flow, padding="border") + _CHANGE * colour + more * since


class MEMMModule(nn.Module):
    """Student and teacher; pictures ``(N, 3, H, W)`` in [0, 1], height and width multiples of 8.

    Parameters
    ----------
    width : int
        Channels at half size.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.student, self.teacher = Animator(width), Animator(width)

    def taught(self, onset: Tensor, apex: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's middle layer, and the onset moved to the apex that it is shown."""
        of_onset = self.teacher.onset_channel(onset)
        motion = self.teacher.motion(of_onset[-1], self.teacher.frame_channel(apex)[-1])
        return motion, self.teacher.moved(onset, of_onset, motion, torch.zeros_like(onset))

    def onset_features(self, onset: Tensor) -> Tensor:
        """Return what the student keeps of the onset beside its picture."""
        return self.student.onset_channel(onset)[-1]

    def magnified(self, onset: Tensor, onset_features: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Return the student's middle layer, and the frame moved on; the onset's features are given."""
        of_frame = self.student.frame_channel(frame)
        motion = self.student.motion(onset_features, of_frame[-1])
        return motion, self.student.moved(frame, of_frame, motion, frame - onset)

    def forward(self, onset: Tensor, frame: Tensor) -> Tensor:
        """Return the frame with a stronger expression, ``(N, 3, H, W)``; values may leave [0, 1]."""
        return self.magnified(onset, self.onset_features(onset), frame)[1]


def build_module(width: int = 32) -> MEMMModule:
    """Return the untrained network, which leaves frames as they are."""
    return MEMMModule(width)


@dataclass(eq=False, repr=False)
class MEMM(TwoFrameMagnifier):
    """MEMM; other parameters as `NetworkMagnifier`.

    Parameters
    ----------
    width : int
        Channels at half size; 2 and 4 times as many at a quarter and an eighth.
    """

    architecture = ("width",)
    aligned: ClassVar[bool] = True

    width: int = 32

    def build(self) -> nn.Module:
        return build_module(self.width)

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.width < _LEAST_WIDTH:
            raise OptionError(
                f"{type(self).__name__}: width must be {_LEAST_WIDTH} or more, got {self.width}"
            )

    def recipes(self) -> dict[str, MagnificationRecipe]:
        teacher = MagnificationRecipe(
            steps=1000,
            losses={"reconstruction": 1.0},
            batch_size=8,
            lr=1e-3,
            betas=(0.9, 0.999),
            cosine=True,
            trained=("teacher.",),
        )
        student = replace(
            teacher,
            steps=2000,
            losses={"l1": 1.0, "guidance": 0.01},
            trained=("student.",),
            start="teacher",
        )
        return {"teacher": teacher, "student": student}

    def losses(self, module: nn.Module, batch: Triples, terms: Collection[str]) -> dict[str, Tensor]:
        check_terms(type(self).__name__, terms, ("reconstruction", "l1", "guidance"))
        network, found = cast(MEMMModule, module), {}
        if "reconstruction" in terms:
            found["reconstruction"] = F.mse_loss(network.taught(batch.onset, batch.apex)[1], batch.apex)
        if "l1" in terms or "guidance" in terms:
            features = network.onset_features(batch.onset)
            motion, output = network.magnified(batch.onset, features, batch.middle)
            found["l1"] = F.l1_loss(output, batch.apex)
        if "guidance" in terms:
            with torch.no_grad():
                wanted = network.taught(batch.onset, batch.apex)[0]
            found["guidance"] = F.l1_loss(motion, wanted)
        return {term: found[term] for term in terms}

    def _remember(self, module: nn.Module, onset: Tensor) -> tuple[Tensor, Tensor]:
        return onset, cast(MEMMModule, module).onset_features(onset)

    def _apply(self, module: nn.Module, remembered: tuple[Tensor, Tensor], frame: Tensor) -> Tensor:
        return cast(MEMMModule, module).magnified(*remembered, frame)[1]


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
