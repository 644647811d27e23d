"""Classes of images: from folders, from a table, or from ImageNet's own files.

Tables are read as they come: a comma, semicolon, tab or space between an image's name and its
class, with or without a heading; Kaggle's ``LOC_val_solution.csv`` is one of them. ImageNet's
development kit numbers its classes in an order of its own, which its ``meta.mat`` explains.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rtl.errors import UserError

TABLES = ("labels.csv", "labels.txt", "LOC_val_solution.csv")
"""Tables that are looked for in a folder of images."""

TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
VALIDATION = "ILSVRC2012_val_{:08}"
WORDNET = re.compile(r"n\d{8}\b")
DELIMITERS = ",;\t"


def table_beside(folder: Path) -> Path | None:
    """Return the table of classes in a folder of images, if there is one."""
    return next((folder / name for name in (*TABLES, TRUTH) if (folder / name).is_file()), None)


def read_table(path: Path) -> dict[str, str]:
    """Read the class of each image by its name: (name as written, class as written).

    Parameters
    ----------
    path : Path
        A table; or the ground truth of ImageNet's development kit, or that kit's folder.

    Raises
    ------
    UserError
        If it cannot be read, or names an image twice.
    """
    if path.is_dir():
        found = next(
            (path / sub / TRUTH for sub in (".", "data") if (path / sub / TRUTH).is_file()), None
        )
        if found is None:
            raise UserError(f"{path}: a folder without ImageNet's {TRUTH}")
        path = found
    if path.name == TRUTH:
        return _development_kit(path)
    classes: dict[str, str] = {}
    for name, label in _rows(path):
        if classes.setdefault(name, label) != label:
            raise UserError(f"{path}: '{name}' has two classes, '{classes[name]}' and '{label}'")
    if not classes:
        raise UserError(f"{path}: no line with an image and its class")
    return classes


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the first two fields of each line."""
    lines = [line for line in _text(path).splitlines() if line.strip()]
    delimiter = next((each for each in DELIMITERS if lines and each in lines[0]), None)
    for number, line in enumerate(lines, 1):
        fields = (
            next(csv.reader([line], delimiter=delimiter)) if delimiter else line.rsplit(None, 1)
        )
        if len(fields) < 2:
            raise UserError(
                f"{path}, line {number}: an image and its class are needed, not '{line}'"
            )
        label = fields[1].strip()
        synset = WORDNET.match(label)  # Kaggle's has boxes behind it
        yield composed(fields[0].strip().removeprefix("./")), synset[0] if synset else label


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: classes cannot be read: {reason}") from None


def _development_kit(path: Path) -> dict[str, str]:
    """Read the classes of ImageNet's validation images, as WordNet's numbers."""
    from scipy.io import loadmat

    meta = path.with_name(META)
    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        names = {int(each["ILSVRC2012_ID"]): str(each["WNID"]) for each in synsets}
        labels = [names[int(line)] for line in _text(path).split()]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"{path}: its numbers are those of {META} beside it, which cannot be used: {error}"
        ) from None
    return {VALIDATION.format(number): label for number, label in enumerate(labels, 1)}


def labels_of(
    files: Sequence[Path], folder: Path, table: Mapping[str, str], name: str
) -> list[str]:
    """Return the class of each file, as a table has it by path, name, or name without ending.

    Raises
    ------
    UserError
        If images are not in the table: names the first.
    """
    found = []
    for file in files:
        path = composed(file.relative_to(folder).as_posix())
        keys = (path, composed(file.name), str(Path(path).with_suffix("")), composed(file.stem))
        found.append(next((table[key] for key in keys if key in table), None))
    missing = [file for file, label in zip(files, found, strict=True) if label is None]
    if missing:
        raise UserError(
            f"{name} has no class for {len(missing)} of {len(files)} images, such as {missing[0]};"
            f" it has '{next(iter(table))}'"
        )
    return [label for label in found if label is not None]


def match_classes(
    origin: Path, names: Sequence[str], class_names: Sequence[str], classes: int
) -> tuple[dict[str, int], str]:
    """Return the network's class of each name, and how it was found, in words.

    Parameters
    ----------
    origin : Path
        Folder or table that has the names; for errors.
    names : sequence of str
        Different ones, sorted.
    class_names : sequence of str
        Of the network; may be empty.
    classes : int
        Of the network.

    Raises
    ------
    UserError
        If there is a name that is no class of the network.
    """
    known = {composed(name): number for number, name in enumerate(class_names)}
    if known.keys() >= {composed(name) for name in names}:
        return {name: known[composed(name)] for name in names}, "by name"
    if all(name.isdecimal() and int(name) < classes for name in names):
        return {name: int(name) for name in names}, "by number"
    if all(WORDNET.fullmatch(name) for name in names) and (synsets := _synsets(classes)):
        if synsets.keys() >= set(names):
            return {name: synsets[name] for name in names}, "by ImageNet's WordNet numbers"
    if len(names) == classes:
        return {name: number for number, name in enumerate(names)}, "in sorted order"
    stranger = next(name for name in names if composed(name) not in known)
    if len(names) == 1:
        alone = origin / stranger
        remedy = f"; to measure without classes, give {alone}" if alone.is_dir() else ""
        raise UserError(
            f"{origin}: the network has {classes:,} classes, none of them '{stranger}', the only"
            f" one here: name it after one of them, or number it from 0{remedy}"
        )
    raise UserError(
        f"{origin}: the network has no class '{stranger}', and {len(names)} names are not its"
        f" {classes:,} classes in sorted order: name them after its classes, or number them from 0"
    )


def _synsets(classes: int) -> dict[str, int]:
    """Return the classes of ImageNet's variant with so many, by their WordNet numbers."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset  # timm takes a second

    subset = infer_imagenet_subset({"num_classes": classes})
    names = ImageNetInfo(subset).label_names() if subset else ()
    return {name: number for number, name in enumerate(names)}


def composed(name: str) -> str:
    """Return a name with each letter and its accents in one character: macOS takes them apart."""
    return unicodedata.normalize("NFC", name)
