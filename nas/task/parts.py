"""A folder's images in three parts: those that train, those that choose, those that test.

A folder may have them, or some; what is missing is drawn from the training images, as many of
each class as of any other, and always the same ones. ImageNet's own layout is known by the names
of its classes, WordNet's numbers: what is called validation there is what everyone reports on, so
it becomes the test part.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nas.image_files import find_images, is_hidden
from nas.labels import TABLES, WORDNET, composed, labels_of, read_table, table_beside
from rtl.errors import UserError
from rtl.files import atomic_write

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NAMES = {
    TRAIN: ("train", "training"),
    VALIDATION: ("validation", "val", "valid"),
    TEST: ("test", "testing"),
}
"""Folders of the parts, in any case."""
SHARES = {TEST: 0.2, VALIDATION: 0.15}
"""Shares of the training images that become a part that is missing, drawn in this order."""
MOST_DRAWN = 10_000  # images of such a part
DEVELOPMENT_KIT = "ILSVRC2012_devkit_t12/data"
SEED = 0
LEAST_IMAGES = 2  # of each class to train with, behind what was drawn


@dataclass(frozen=True, eq=False)
class Part:
    """Images of a part, by class.

    Parameters
    ----------
    files : tuple of Path
    labels : (files,) int64
    """

    files: tuple[Path, ...]
    labels: np.ndarray

    def take(self, index: np.ndarray) -> "Part":
        """Return the images at the given positions."""
        return Part(tuple(self.files[i] for i in index), self.labels[index])

    def without(self, files: set[Path]) -> "Part":
        """Return the part without some files."""
        return self.take(np.array([i for i, f in enumerate(self.files) if f not in files], int))


@dataclass(frozen=True, eq=False)
class Parts:
    """A folder's images.

    Parameters
    ----------
    folder : Path
    class_names : tuple of str
        Sorted.
    train, validation, test_part : Part
    drawn : tuple of str
        Names of the parts that the folder did not have.
    test_folder : str, optional
        Name of the folder whose images test, where it says otherwise.
    """

    folder: Path
    class_names: tuple[str, ...]
    train: Part
    validation: Part
    test_part: Part
    drawn: tuple[str, ...]
    test_folder: str | None = None

    @property
    def by_name(self) -> dict[str, Part]:
        """The parts by their names."""
        return {TRAIN: self.train, VALIDATION: self.validation, TEST: self.test_part}

    def without(self, files: set[Path]) -> "Parts":
        """Return the parts without some files."""
        return replace(
            self,
            train=self.train.without(files),
            validation=self.validation.without(files),
            test_part=self.test_part.without(files),
        )

    def describe(self) -> str:
        """Say in a line what there is."""
        counts = ", ".join(f"{len(part.files):,} {name}" for name, part in self.by_name.items())
        found = f"{self.folder}: {len(self.class_names)} classes; images: {counts}"
        if self.test_folder:
            found += f"; test images are those of '{self.test_folder}', as usual with ImageNet"
        return f"{found}; drawn here: {' and '.join(self.drawn)}" if self.drawn else found

    def save(self, path: Path) -> None:
        """Write which image is in which part."""
        files = {
            name: [file.relative_to(self.folder).as_posix() for file in part.files]
            for name, part in self.by_name.items()
        }
        about = {"schema": 1, "classes": self.class_names, "drawn": self.drawn}
        if self.test_folder:
            about["test_folder"] = self.test_folder
        with atomic_write(path, "w") as file:
            json.dump(about | files, file, indent=1, ensure_ascii=False)
            file.write("\n")


def find_parts(folder: Path) -> Parts:
    """Find the images of a folder, by part and class.

    Raises
    ------
    UserError
        If there are no classes, one alone, an empty one, one that differs between the parts, or
        too few images to draw from.
    """
    given = _part_folders(folder)
    if given and TRAIN not in given:
        other = next(iter(given.values())).name
        raise UserError(f"{folder} has a folder '{other}', but none for training, 'train'")
    given, test_folder = _imagenet(given)
    files = {
        name: _with_classes(place, folder) for name, place in (given or {TRAIN: folder}).items()
    }
    names = tuple(sorted({label for _, label in files[TRAIN]}))
    if len(names) == 1:
        raise UserError(
            f"{given.get(TRAIN, folder)} has one class, '{names[0]}': there is nothing to learn,"
            " it takes two at least"
        )
    _require_equal_classes(folder, names, files)
    parts = {name: _part(found, names) for name, found in files.items()}
    drawn = tuple(name for name in SHARES if name not in parts)
    for name in drawn:
        parts[TRAIN], parts[name] = _draw(parts[TRAIN], SHARES[name])
    _require_enough(folder, names, parts[TRAIN])
    return Parts(folder, names, parts[TRAIN], parts[VALIDATION], parts[TEST], drawn, test_folder)


def _part_folders(folder: Path) -> dict[str, Path]:
    """Find the folders of parts; none where the folder is one of classes."""
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    found: dict[str, Path] = {}
    for place in sorted(folder.iterdir()):
        name = next((name for name, known in NAMES.items() if place.name.lower() in known), None)
        if name is None or not place.is_dir():
            continue
        if name in found:
            raise UserError(
                f"{folder} has two folders for {name}: {found[name].name}, {place.name}"
            )
        found[name] = place
    return found


def _imagenet(given: dict[str, Path]) -> tuple[dict[str, Path], str | None]:
    """Take ImageNet's validation images for the test part; return the folders, and its name.

    A folder 'test' without classes, as ImageNet has one, is left aside.
    """
    if not {TRAIN, VALIDATION} <= given.keys() or not _of_wordnet(given[TRAIN]):
        return given, None
    if TEST in given and (_classes_of(given[TEST]) or table_beside(given[TEST])):
        return given, None
    test = given[VALIDATION]
    return {TRAIN: given[TRAIN], TEST: test}, test.name


def _of_wordnet(folder: Path) -> bool:
    """Whether all class folders have WordNet's numbers."""
    classes = _classes_of(folder)
    return bool(classes) and all(WORDNET.fullmatch(name) for name in classes)


def _classes_of(folder: Path) -> set[str]:
    """Names of the class folders, empty ones too."""
    return {each.name for each in folder.iterdir() if each.is_dir() and not is_hidden(each.name)}


def _with_classes(folder: Path, whole: Path) -> list[tuple[Path, str]]:
    """List images with their classes, by a table or by their folders.

    ``whole``: the folder of all parts, where the table of a part without class folders may be.
    """
    files = find_images(folder)
    if not files:
        raise UserError(f"{folder}: no images: put each into a folder named after its class")
    flat = [file.name for file in files if file.parent == folder]
    places = (folder, whole, whole / DEVELOPMENT_KIT) if len(flat) == len(files) else (folder,)
    if table := next((table for place in places if (table := table_beside(place))), None):
        return list(
            zip(files, labels_of(files, folder, read_table(table), str(table)), strict=True)
        )
    if flat:
        raise UserError(
            f"{folder}: {flat[0]} has no class: put each image into a folder named after its class,"
            f" or a table into {folder}, such as {TABLES[0]}"
        )
    classes = [file.relative_to(folder).parts[0] for file in files]
    if empty := sorted(_classes_of(folder) - set(classes)):
        raise UserError(f"{folder}: no image in class '{empty[0]}': fill its folder, or remove it")
    return [(file, composed(name)) for file, name in zip(files, classes, strict=True)]


def _require_equal_classes(
    folder: Path, names: Sequence[str], files: dict[str, list[tuple[Path, str]]]
) -> None:
    for part, found in files.items():
        have = {label for _, label in found}
        if stranger := sorted(have - set(names)):
            raise UserError(f"{folder}: {part} has class '{stranger[0]}', {TRAIN} has not")
        if missing := sorted(set(names) - have):
            raise UserError(f"{folder}: {part} has no image of class '{missing[0]}'")


def _part(found: list[tuple[Path, str]], names: Sequence[str]) -> Part:
    """Make a part, sorted by class."""
    number = {name: index for index, name in enumerate(names)}
    ordered = sorted(found, key=lambda each: (number[each[1]], each[0]))
    labels = np.array([number[label] for _, label in ordered], np.int64)
    return Part(tuple(file for file, _ in ordered), labels)


def _draw(part: Part, share: float) -> tuple[Part, Part]:
    """Return what remains, and a share of each class, at least an image."""
    share = min(share, MOST_DRAWN / len(part.files))
    rng = np.random.default_rng(SEED)
    taken = []
    for label in np.unique(part.labels):
        members = np.flatnonzero(part.labels == label)
        count = max(1, round(share * len(members)))
        taken.append(rng.permutation(members)[:count])
    chosen = np.sort(np.concatenate(taken))
    rest = np.setdiff1d(np.arange(len(part.files)), chosen)
    return part.take(rest), part.take(chosen)


def _require_enough(folder: Path, names: Sequence[str], train: Part) -> None:
    counts = np.bincount(train.labels, minlength=len(names))
    if counts.min() < LEAST_IMAGES:
        few = names[int(counts.argmin())]
        raise UserError(
            f"{folder}: class '{few}' has too few images: {counts.min()} to train with, at least"
            f" {LEAST_IMAGES} beside those for validation and test"
        )
