from __future__ import annotations

import re
from urllib.parse import urlparse

import numpy as np
import pytest
import torch

from microexp import magnify, recognize, superres
from microexp.errors import UnknownNameError, WeightsError
from microexp.networks.weighted import WeightedNetwork
from microexp.superres._lpips import LPIPSNetwork
from microexp.weights import catalogue, locate
from microexp.weights.download import sha256_of

NAMES = catalogue.names()


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_names_a_network_that_can_be_built(name: str) -> None:
    entry = catalogue.entry(name)
    if entry.method == "lpips":
        LPIPSNetwork(**entry.settings)  # another would be refused
        return
    if entry.method in recognize.names():
        recognize.create(entry.method, **entry.settings).check_parameters()
        return
    if entry.method in ("inception", "face_descriptor"):
        assert not entry.settings
        return
    scale = {} if entry.method in magnify.names() else {"scale": entry.scale}
    family = superres if scale else magnify
    network = family.create(entry.method, **scale, **entry.settings)
    assert isinstance(network, WeightedNetwork)
    network.check_parameters()
    assert set(entry.settings) <= set(network.architecture)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_from_where_and_under_which_terms(name: str) -> None:
    entry = catalogue.entry(name)
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert re.fullmatch(r"(pypi|sdist):[\w-]+==[\d.]+|npm:\S+@[\d.]+|https://\S+|microexp", entry.source)
    assert entry.files
    for sha256 in entry.files.values():
        assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", sha256)
    assert entry.licence
    assert entry.trained_on
    assert urlparse(entry.licence_url).scheme == "https"


def test_starter_weights_are_here_whole_and_fit() -> None:
    own = [entry for entry in map(catalogue.entry, NAMES) if entry.source == catalogue.OWN]
    assert {entry.method for entry in own} == {"edsr", "esrgan", "single_image", "starter_cnn"}
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 24, 3)).astype(np.uint8)
    for entry in own:
        (sha256,) = entry.files.values()
        assert sha256_of(locate(entry.name)) == sha256
        if entry.method in recognize.names():
            network = recognize.create(entry.method).load_weights(locate(entry.name), np.arange(3))
            assert network.predict_proba(np.zeros((1, 3, 28, 28), np.float32)).shape == (1, 3)
        elif entry.method in magnify.names():
            network = magnify.create(entry.method, weights=entry.name, device="cpu")
            assert network.magnify(picture).shape == picture.shape
        else:
            network = superres.create(entry.method, scale=entry.scale, weights=entry.name, device="cpu")
            assert network.upscale(picture).shape == (1, 32 * entry.scale, 24 * entry.scale, 3)


def test_restricted_terms_are_said_where_they_apply() -> None:
    for name in NAMES:
        entry = catalogue.entry(name)
        with_flow = entry.method in ("basicvsr", "basicvsr_pp", "iconvsr", "real_basicvsr")
        assert ("research only" in entry.licence and "non-commercial" in entry.note) == with_flow
        assert ("NVIDIA" in entry.licence) == (entry.method == "glean")


@pytest.mark.parametrize(
    ("name", "count"),  # as the networks' authors and code bases give them
    [
        ("realesrgan-x4plus", 16_697_987),
        ("realesrgan-x4plus-anime-6b", 4_467_779),
        ("realesr-animevideov3", 621_424),
        ("realesr-general-x4v3", 1_213_296),
        ("basicvsr-reds4", 6_291_311),
        ("iconvsr-vimeo-bi-mmagic", 8_711_375),
        ("edvr-l-mmagic", 20_633_827),
        ("edvr-m-no-tsa-mmagic", 2_996_259),
        ("glean-cat-x16-mmagic", 171_903_649),
        ("glean-ffhq-x16-mmagic", 175_516_723),
        ("rdn-x2-idealo", 2_619_635),  # from here on counted in the packages' model.json
        ("rrdn-x4-idealo", 4_176_100),
        ("esrgan-thick-x2", 7_239_968),
        ("esrgan-thick-x3", 7_248_623),
        ("esrgan-thick-x4", 7_260_740),
        ("esrgan-thick-x8", 7_343_828),
        ("esrgan-medium-x3", 697_975),
        ("esrgan-medium-x4", 704_611),
        ("esrgan-slim-x3", 226_815),
        ("esrgan-slim-x4", 233_451),
    ],
)
def test_settings_give_the_published_number_of_parameters(name: str, count: int) -> None:
    entry = catalogue.entry(name)
    with torch.device("meta"):
        module = superres.create(entry.method, scale=entry.scale, **entry.settings).build()
    assert sum(p.numel() for p in module.parameters()) == count


def test_names_that_are_not_there_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'realesrgan-x4plus'"):
        catalogue.entry("realesrgan-x4pls")


def test_weights_that_are_not_here_are_not_downloaded_unasked() -> None:
    with pytest.raises(WeightsError, match="'microexp weights get edsr-x2-mmagic' shows their licence"):
        locate("edsr-x2-mmagic")
