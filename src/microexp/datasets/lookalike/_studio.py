"""Where the clips of a look-alike are filmed: synthetic faces, or in no time pictures of a few pixels."""

from __future__ import annotations

import numpy as np

from microexp.clip import ActionUnit, Clip
from microexp.datasets.labels import emotion_word
from microexp.datasets.synthetic import Synthetic
from microexp.errors import OptionError

_TINY = (6, 8)  # height and width of a picture of the full-size look-alikes
# What a tiny clip is said to show; the faces of the real mode bring their own.
_UNITS = {
    "happiness": (ActionUnit(6), ActionUnit(12)),
    "surprise": (ActionUnit(1), ActionUnit(2)),
    "disgust": (ActionUnit(4), ActionUnit(9)),
    "repression": (ActionUnit(14, "L"),),
    "sadness": (ActionUnit(15),),
    "fear": (ActionUnit(20, "R"),),
    "anger": (ActionUnit(4), ActionUnit(7)),
    "contempt": (ActionUnit(14, "R"),),
}
_OTHER = (ActionUnit(4),)


class Studio:
    """Films expressions on demand.

    Parameters
    ----------
    full : bool
        Whether the look-alike is to be of the real one's size, with tiny pictures.
    subjects, clips : int
        How many people, and clips of each, otherwise.
    size, nuisance, seed
        Of the synthetic faces.

    Raises
    ------
    OptionError
        If there would be no clip, or the faces cannot be of that size, nuisance or seed.
    """

    def __init__(self, full: bool, subjects: int, clips: int, size: int, nuisance: float, seed: int) -> None:
        if min(subjects, clips) < 1:
            raise OptionError("a look-alike needs at least one subject and one clip of each")
        self.full, self.subjects, self.clips = full, subjects, clips
        self._faces = Synthetic(None, subjects, clips, size=size, nuisance=nuisance, seed=seed)
        self._faces.validate()
        self._used: dict[int, set[int]] = {}

    def film(self, subject: int, emotion: str) -> Clip:
        """Return the next clip of a person that shows an emotion.

        Parameters
        ----------
        subject : int
            Counted from 0; any whole number.
        emotion : str
            Any word; what the synthetic faces do not know ("others") is shown as anger or contempt.
        """
        taken = self._used.setdefault(subject, set())
        if self.full:
            taken.add(len(taken))
            return _tiny(subject + len(taken), emotion_word(emotion))
        word = emotion_word(emotion)
        wanted = {word} if word in _UNITS else {"anger", "contempt"}
        number = 0
        while number in taken or self._faces.emotion(subject, number) not in wanted:
            number += 1
        taken.add(number)
        return self._faces.clip(subject, number)


def _tiny(variation: int, emotion: str) -> Clip:
    """A clip of a few grey pixels; its pictures grow brighter from each to the next."""
    length = 9 + variation % 4
    shades = np.arange(20, 20 + 10 * length, 10, dtype=np.uint8)
    frames = np.broadcast_to(shades[:, None, None, None], (length, *_TINY, 3)).copy()
    units = _UNITS.get(emotion, _OTHER)
    return Clip.from_array(
        frames, onset=1, apex=3 + variation % 3, offset=length - 2, emotion=emotion, action_units=units
    )
