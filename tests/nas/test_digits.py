"""The digits: the split's properties, and who may see the test set."""

import ast
from pathlib import Path

import numpy as np
import torch

import nas
from nas.digits import digit_images, digit_split, load_digits
from nas.testset import load_digits_test

TEST_SET = {"nas.testset", "nas.digits.digit_split", "nas.digits.digit_images"}
"""Names through which a test image can be seen."""
MAY_SEE_TEST = {"nas/search/report.py", "nas/testset.py", "nas/vit/digits.py"}


def test_split_covers_the_digits_without_overlap():
    split = digit_split()
    assert {name: len(part) for name, part in split.items()} == {
        "train": 3500,
        "validation": 500,
        "test": 1000,
    }
    together = np.sort(np.concatenate([*split.values()]))
    assert (together == np.arange(5000)).all()


def test_split_is_stratified():
    labels = digit_images().labels.numpy()
    for part in digit_split().values():
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


def test_no_test_image_is_among_the_training_data():
    data, test = load_digits(), load_digits_test()
    assert len(data.train) == 3500 and len(data.validation) == 500 and len(test) == 1000
    seen = {
        image.numpy().tobytes() for image in torch.cat([data.train.pixels, data.validation.pixels])
    }
    assert not any(image.numpy().tobytes() in seen for image in test.pixels)


def imported_names(path):
    """Yield what a module imports: modules, and names with their modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_only_the_report_may_see_the_test_set():
    root = Path(nas.__file__).parents[1]
    seeing = {
        path.relative_to(root).as_posix()
        for path in Path(nas.__file__).parent.rglob("*.py")
        if TEST_SET & set(imported_names(path))
    }
    assert seeing == MAY_SEE_TEST
