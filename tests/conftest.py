"""What several tests share: small data with a signal that a recogniser can learn."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from microexp.datasets import lookalike
from microexp.datasets.base import Dataset

CLASSES = ("negative", "positive", "surprise")


def planted_images(n: int, seed: int = 0, size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Flow images ``(n, 3, size, size)`` in [0, 1] whose bright quarter tells the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % len(CLASSES)
    X = rng.uniform(0.3, 0.5, (n, 3, size, size)).astype(np.float32)
    half = size // 2
    for k, (row, column) in enumerate(((0, 0), (0, half), (half, 0))):
        X[y == k, :, row : row + half, column : column + half] += 0.4
    return X, y


def flow_dataset(subjects: int = 4, clips: int = 6, databases: int = 1, seed: int = 0) -> Dataset:
    """A data set of flow images, as `megc2019_flow` gives one."""
    X, y = planted_images(subjects * clips, seed)
    people = np.repeat(np.arange(subjects), clips)
    table = pd.DataFrame(
        {
            "database": [f"db{p % databases}" for p in people],
            "subject": [f"s{p:02d}" for p in people],
            "clip": [f"clip{i}" for i in range(len(y))],
            "emotion": [CLASSES[k] for k in y],
            "label": y.astype(np.int64),
        }
    )
    return Dataset(table, CLASSES, flow_images=X, scheme="megc3", fingerprint=f"test-{seed}")


def write_megc_tree(root: Path, subjects: int = 4, clips: int = 6, space: bool = True) -> Path:
    """Lay out flow images as the public repository does, odd file names included."""
    data = flow_dataset(subjects, clips)
    folder = root / "STSNet_whole_norm_u_v_os"
    folder.mkdir(parents=True)
    rows = []
    images = (data.flow_images * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    for (_, row), image in zip(data.table.iterrows(), images, strict=True):
        stem = f"{row['subject']}_{row['clip']}"
        Image.fromarray(image).save(folder / (f"{stem} .png" if space else f"{stem}.png"))
        rows.append(("smic", row["subject"], row["clip"], row["label"], "", f"{stem}.jpg", ""))
    columns = ["dataset", "sub", "filename_o", "label", "apex", "imagename", "sub_filename"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "combined_3_class2_for_optical_flow.csv", index=False)
    return root


@pytest.fixture
def megc_tree(tmp_path: Path) -> Path:
    return write_megc_tree(tmp_path / "megc")


@pytest.fixture(autouse=True, scope="session")
def cache_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MICROEXP_CACHE", str(tmp_path_factory.getbasetemp().parent / "microexp-cache"))


@pytest.fixture(scope="session")
def look_alike(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a look-alike of a database, each kind once; to change it, take a copy with `copy_tree`."""
    made: dict[str, Path] = {}

    def make(name: str, **options: object) -> Path:
        key = repr((name, sorted(options.items())))
        if key not in made:
            made[key] = tmp_path_factory.mktemp(name)
            lookalike.write(name, made[key], **options)
        return made[key]

    return make


def copy_tree(source: Path, target: Path, *parts: str) -> Path:
    """Copy some parts of a tree, in no time: files are links, so replace them, do not write into them."""
    for part in parts:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, copy_function=os.link)
        else:
            shutil.copy(source / part, target / part)
    return target
