"""The digits: the split's properties, and who may see the test set."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import nas
from nas.digits import SPLITS, digit_images, digit_split, load_digits
from nas.testset import load_digits_test

TEST_SET = {
    "nas.testset",
    "nas.digits.digit_split",
    "nas.digits.digit_images",
    "nas.task.parts.Parts.test_part",
}
"""Names through which a test image can be seen."""
MAY_SEE_TEST = {
    "nas/search/report.py",
    "nas/studies/alone.py",
    "nas/studies/keep.py",
    "nas/studies/ranking.py",
    "nas/studies/splits.py",
    "nas/task/folder.py",  # to count them, and to say before the training what cannot be read
    "nas/task/parts.py",
    "nas/testset.py",
    "nas/vit/digits.py",
}


@pytest.mark.parametrize("index", range(SPLITS))
def test_split_covers_the_digits_without_overlap(index):
    split = digit_split(index)
    assert {name: len(part) for name, part in split.items()} == {
        "train": 3500,
        "validation": 500,
        "test": 1000,
    }
    together = np.sort(np.concatenate([*split.values()]))
    assert (together == np.arange(5000)).all()


def test_every_digit_is_a_test_image_once():
    tests = np.concatenate([digit_split(index)["test"] for index in range(SPLITS)])
    assert (np.sort(tests) == np.arange(5000)).all()


@pytest.mark.parametrize("index", range(SPLITS))
def test_split_is_stratified(index):
    labels = digit_images().labels.numpy()
    for part in digit_split(index).values():
        counts = np.bincount(labels[part])
        assert (counts == len(part) // 10).all()


def stratified_split(labels: np.ndarray, sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Draw disjoint sets with the same number of images of every class.

    Parameters
    ----------
    labels : ndarray
        (count,) class of each image; the classes are of equal size.
    sizes : dict of str to int
        Number of images in each set, a multiple of the number of classes.
    """
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    for name, size in sizes.items():
        if size % len(classes):
            raise ValueError(f"{name} must be a multiple of {len(classes)} classes, not {size}")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in sizes}
    for label in classes:
        members = rng.permutation(np.flatnonzero(labels == label))
        start = 0
        for name, size in sizes.items():
            count = size // len(classes)
            parts[name].append(members[start : start + count])
            start += count
    return {name: np.sort(np.concatenate(part)) for name, part in parts.items()}


def test_split_is_what_made_it():
    made = stratified_split(digit_images().labels.numpy(), {"validation": 500, "test": 1000}, 2024)
    for name, part in made.items():
        assert (part == digit_split()[name]).all()


@pytest.mark.parametrize("index", range(SPLITS))
def test_no_test_image_is_among_the_training_data(index):
    data, test = load_digits(index), load_digits_test(index)
    assert len(data.train) == 3500 and len(data.validation) == 500 and len(test) == 1000
    seen = {
        image.numpy().tobytes() for image in torch.cat([data.train.pixels, data.validation.pixels])
    }
    assert not any(image.numpy().tobytes() in seen for image in test.pixels)


def names_used(source: str, package: str) -> Iterator[str]:
    """Yield what a module of ``package`` imports, and every name that it looks up in something."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            yield from (module, *(f"{module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value  # of importlib or getattr


def may_see_test(source: str, package: str) -> bool:
    short = {name.rpartition(".")[2] for name in TEST_SET}
    return bool((TEST_SET | short) & set(names_used(source, package)))


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("nas", "from nas.testset import load_digits_test"),
        ("nas", "import nas.testset as images"),
        ("nas", "from nas import testset"),
        ("nas", "from . import testset"),
        ("nas", "from .digits import load_digits, digit_images"),
        ("nas.search", "from ..testset import load_digits_test"),
        ("nas.search", "from .. import testset"),
        ("nas.search", "from ..digits import digit_split as split"),
        ("nas.search", "from nas import digits\ndigits.digit_images()"),
        ("nas.search", "import nas\nnas.digits.digit_split()"),
        ("nas.search", "import importlib\nimportlib.import_module('nas.testset')"),
        ("nas.search", "from nas import digits\ngetattr(digits, 'digit_split')"),
    ],
)
def test_the_guard_sees_every_way_to_the_test_set(package, source):
    assert may_see_test(source, package)


@pytest.mark.parametrize(
    "source",
    ["from nas.digits import load_digits", "from .digits import DIGITS", "from . import data"],
)
def test_the_guard_lets_the_other_images_pass(source):
    assert not may_see_test(source, "nas")


def test_only_the_report_may_see_the_test_set():
    root = Path(nas.__file__).parents[1]
    seeing = {
        name
        for path in Path(nas.__file__).parent.rglob("*.py")
        for name in [path.relative_to(root).as_posix()]
        if may_see_test(path.read_text(encoding="utf-8"), ".".join(Path(name).parts[:-1]))
    }
    assert seeing == MAY_SEE_TEST
