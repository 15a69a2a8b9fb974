import numpy as np
import pytest

from microexp.analyze.recognition import CLASSES, SURE, Recognition, recognise, spoke_for, starter
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic

SIZE = 160


def ask(clip: Clip) -> Recognition:
    onset, apex = clip.frames[clip.onset], clip.frames[clip.apex]
    return recognise(onset, apex, clip.metadata["truth"].landmarks(clip.onset))


@pytest.fixture(scope="module")
def asked() -> list[tuple[Clip, int, Recognition]]:
    """Clear movements of people whom nobody trained on."""
    made = Synthetic(n_subjects=3, clips_per_subject=4, size=SIZE, nuisance=0, amplitude_scale=2, seed=11)
    data = made.load("megc3")
    return [(clip, int(label), ask(clip)) for clip, label in zip(data.clips, data.y, strict=True)]


def test_clear_movements_are_told_apart(asked: list[tuple[Clip, int, Recognition]]) -> None:
    right = [np.argmax(found.probabilities) == label for _, label, found in asked]
    assert np.mean(right) >= 0.7
    assert len({label for _, label, _ in asked}) == 3


def test_an_answer_is_whole(asked: list[tuple[Clip, int, Recognition]]) -> None:
    for _, _, found in asked:
        best = int(np.argmax(found.probabilities))
        assert found.classes == CLASSES
        assert sum(found.probabilities) == pytest.approx(1)
        assert found.label == (CLASSES[best] if found.probabilities[best] >= SURE else None)
        assert found.flow.shape == (SIZE, SIZE, 2)
        assert found.seen.shape == (3, 28, 28)
        assert found.heat.shape == (28, 28)
        assert 0 <= found.heat.min() <= found.heat.max() <= 1


def test_flow_is_that_of_the_face_in_its_own_pixels(asked: list[tuple[Clip, int, Recognition]]) -> None:
    clip, _, found = asked[0]
    true = clip.metadata["truth"].flow(clip.apex)
    inside = clip.metadata["truth"].face_mask
    error = np.linalg.norm(found.flow - true, axis=-1)[inside].mean()
    assert error < 0.5 * np.linalg.norm(true, axis=-1)[inside].mean()


def test_a_face_at_rest_is_no_error() -> None:
    clip = Synthetic(n_subjects=1, clips_per_subject=1, size=96, nuisance=0).clips()[0]
    onset = clip.frames[clip.onset]
    found = recognise(onset, onset, clip.metadata["truth"].landmarks(clip.onset))
    assert np.abs(found.flow).max() < 0.1
    assert sum(found.probabilities) == pytest.approx(1)


def test_what_spoke_for_a_class_is_where_it_would_be_missed(
    asked: list[tuple[Clip, int, Recognition]],
) -> None:
    """The logit falls more without the motion of the hottest quarter than without that of the coldest."""
    network, wins = starter(), 0
    for _, _, found in asked:
        label = int(np.argmax(found.probabilities))
        heat = spoke_for(network, found.seen, label)
        middle = np.median(found.seen, (1, 2))[:, None, None]
        without = [
            np.where(chosen, middle, found.seen).astype(np.float32)
            for chosen in (heat >= np.quantile(heat, 0.75), heat <= np.quantile(heat, 0.25))
        ]
        hot, cold = network.predict_proba(np.stack(without))[:, label]
        wins += hot < cold
    assert wins >= 0.7 * len(asked)
