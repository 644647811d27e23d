"""Tables of classes, ImageNet's files, and how names become the network's classes."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from nas.labels import META, TRUTH, labels_of, match_classes, read_table
from rtl.errors import UserError

KAGGLE = """ImageId,PredictionString
ILSVRC2012_val_00048981,n03995372 85 1 499 272
ILSVRC2012_val_00000001,n01751748 111 108 428 366 n01751748 1 2 3 4
"""
FIRST = ["n01440764", "n01443537", "n01484850"]
"""ImageNet's first classes, in sorted order."""


@pytest.mark.parametrize(
    "text",
    ["a.png,1\nb.png,2\n", "a.png;1\nb.png;2", "a.png\t1\n\nb.png\t2\n", "a.png 1\nb.png  2\n"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_come_in_several_ways(tmp_path, text, encoding):
    (tmp_path / "t.csv").write_text(text, encoding=encoding)
    assert read_table(tmp_path / "t.csv") == {"a.png": "1", "b.png": "2"}


def test_names_may_have_spaces_commas_and_quotes(tmp_path):
    (tmp_path / "t.csv").write_text('"my, image.png","tench, Tinca tinca",5\n')
    assert read_table(tmp_path / "t.csv") == {"my, image.png": "tench, Tinca tinca"}
    (tmp_path / "t.txt").write_text("my image.png 7\n")
    assert read_table(tmp_path / "t.txt") == {"my image.png": "7"}
    (tmp_path / "t.txt").write_text("./a/b.png 7\n")
    assert read_table(tmp_path / "t.txt") == {"a/b.png": "7"}


def test_kaggles_table(tmp_path):
    (tmp_path / "LOC_val_solution.csv").write_text(KAGGLE)
    table = read_table(tmp_path / "LOC_val_solution.csv")
    files = [tmp_path / "ILSVRC2012_val_00000001.JPEG", tmp_path / "ILSVRC2012_val_00048981.JPEG"]
    assert labels_of(files, tmp_path, table, "t") == ["n01751748", "n03995372"]


def development_kit(folder: Path) -> Path:
    """Write the two files of ImageNet's kit, with its order of classes turned around."""
    data = folder / "data"
    data.mkdir()
    kinds = [("ILSVRC2012_ID", "<i4"), ("WNID", "O"), ("words", "O")]
    rows = [(number, synset, "words") for number, synset in enumerate(reversed(FIRST), 1)]
    savemat(data / META, {"synsets": np.array(rows, dtype=kinds)})
    (data / TRUTH).write_text("3\n1\n3\n")
    return folder


def test_imagenets_own_files(tmp_path):
    expected = dict(
        zip(
            [f"ILSVRC2012_val_0000000{i}" for i in (1, 2, 3)],
            ["n01440764", "n01484850", "n01440764"],
            strict=True,
        )
    )
    assert read_table(development_kit(tmp_path)) == expected
    assert read_table(tmp_path / "data" / TRUTH) == expected
    (tmp_path / "data" / META).unlink()
    with pytest.raises(UserError, match=f"numbers are those of {META} beside it"):
        read_table(tmp_path)
    with pytest.raises(UserError, match="a folder without ImageNet's"):
        read_table(tmp_path.parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line with an image and its class"),
        ("a.png,1\nb.png", r"t.csv, line 2: an image and its class are needed, not 'b.png'"),
        ("a.png,1\na.png,2\n", r"'a.png' has two classes, '1' and '2'"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / "t.csv")
    with pytest.raises(UserError, match="classes cannot be read: No such file"):
        read_table(tmp_path / "none.csv")


def test_images_that_are_not_in_the_table(tmp_path):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    message = r"^t has no class for 1 of 2 images, such as \S*b.png; it has 'a.png'$"
    with pytest.raises(UserError, match=message):
        labels_of(files, tmp_path, {"a.png": "1"}, "t")


def test_files_are_known_by_path_or_name(tmp_path):
    table = {"x/a.png": "1", "b.png": "2", "y/c": "3", "d": "4"}
    names = ("x/a.png", "x/b.png", "y/c.jpg", "y/d.jpg")
    assert labels_of([tmp_path / name for name in names], tmp_path, table, "t") == list("1234")


def test_letters_with_accents_are_equal_whether_or_not_they_are_taken_apart():
    apart = unicodedata.normalize("NFD", "Bläuling")
    numbers, how = match_classes(Path("data"), [apart], ["Ameise", "Bläuling"], 2)
    assert (numbers, how) == ({apart: 1}, "by name")


def test_wordnets_numbers_are_imagenets_classes():
    """Some of them are enough, and a network's own names come first."""
    numbers, how = match_classes(Path("data"), FIRST[1:], (), 1000)
    assert numbers == {"n01443537": 1, "n01484850": 2}
    assert how == "by ImageNet's WordNet numbers"
    assert match_classes(Path("data"), FIRST[1:], FIRST[::-1], 3)[0] == {FIRST[1]: 1, FIRST[2]: 0}
    strange = ["n00000000", "n00000001"]
    with pytest.raises(UserError, match="no class 'n00000000', and 2 names are not its 1,000"):
        match_classes(Path("data"), strange, (), 1000)


def test_one_class_alone(tmp_path):
    """It counts where it is the network's; otherwise there is a way without classes."""
    assert match_classes(tmp_path, ["bee"], ["ant", "bee"], 2) == ({"bee": 1}, "by name")
    said = "has 2 classes, none of them 'cat', the only one here: name it after one of them"
    with pytest.raises(UserError, match=f"{said}, or number it from 0$"):
        match_classes(tmp_path, ["cat"], ["ant", "bee"], 2)
    (tmp_path / "cat").mkdir()
    with pytest.raises(UserError, match=f"0; to measure without classes, give {tmp_path}/cat$"):
        match_classes(tmp_path, ["cat"], ["ant", "bee"], 2)
