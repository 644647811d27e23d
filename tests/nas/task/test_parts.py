"""Images of a folder in three parts: found, or drawn; what cannot be used is refused."""

import json
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from nas.labels import META, TRUTH
from nas.task import parts as module
from nas.task.parts import find_parts
from rtl.errors import UserError
from tests.nas.task.folders import fill, picture


def names(part, folder):
    return [file.relative_to(folder).as_posix() for file in part.files]


def test_missing_parts_are_drawn_class_by_class(tmp_path):
    fill(tmp_path, 20)
    parts = find_parts(tmp_path)
    assert parts.class_names == ("ant", "bee") and parts.drawn == ("test", "validation")
    sizes = {name: len(part.files) for name, part in parts.by_name.items()}
    assert sizes == {"train": 28, "validation": 4, "test": 8}
    every = [name for part in parts.by_name.values() for name in names(part, tmp_path)]
    assert len(set(every)) == len(every) == 40
    for part in parts.by_name.values():
        assert len(set(np.bincount(part.labels))) == 1
        assert part.labels.tolist() == sorted(part.labels)
        assert [file.parent.name for file in part.files] == [
            parts.class_names[label] for label in part.labels
        ]
    again = find_parts(tmp_path)
    assert again.test_part.files == parts.test_part.files
    assert parts.describe() == (
        f"{tmp_path}: 2 classes; images: 28 train, 4 validation, 8 test;"
        " drawn here: test and validation"
    )


def test_parts_that_are_there_stay(tmp_path):
    fill(tmp_path / "Train", 10)
    fill(tmp_path / "val", 3)
    fill(tmp_path / "test", 4)
    parts = find_parts(tmp_path)
    assert parts.drawn == ()
    assert [len(part.files) for part in parts.by_name.values()] == [20, 6, 8]
    assert all("test" in file.parts for file in parts.test_part.files)


def test_only_what_is_missing_is_drawn(tmp_path):
    fill(tmp_path / "train", 10)
    fill(tmp_path / "validation", 3)
    parts = find_parts(tmp_path)
    assert parts.drawn == ("test",) and len(parts.validation.files) == 6
    assert all("train" in file.parts for file in parts.test_part.files)
    assert (len(parts.train.files), len(parts.test_part.files)) == (16, 4)


def test_a_table_of_classes(tmp_path):
    for index in range(12):
        picture(tmp_path / f"{index:02}.png", index)
    lines = "".join(f"{index:02}.png,{'ox' if index % 2 else 'cow'}\n" for index in range(12))
    (tmp_path / "labels.csv").write_text(lines)
    parts = find_parts(tmp_path)
    assert parts.class_names == ("cow", "ox") and len(parts.train.files) == 8
    odd = {int(file.stem) % 2 for file in parts.train.take(parts.train.labels.nonzero()[0]).files}
    assert odd == {1}


def test_what_is_where_is_written_down(tmp_path):
    folder = fill(tmp_path / "images", 10)
    parts = find_parts(folder)
    parts.save(tmp_path / "split.json")
    found = json.loads((tmp_path / "split.json").read_text())
    assert found["classes"] == ["ant", "bee"] and found["drawn"] == ["test", "validation"]
    for name, part in parts.by_name.items():
        assert found[name] == names(part, folder)


def test_hidden_folders_are_no_classes(tmp_path):
    fill(tmp_path, 8)
    picture(tmp_path / ".ipynb_checkpoints" / "0.png")
    assert find_parts(tmp_path).class_names == ("ant", "bee")


def test_without_some_files(tmp_path):
    parts = find_parts(fill(tmp_path, 10))
    lost = {parts.train.files[0], parts.test_part.files[1]}
    left = parts.without(lost)
    assert len(left.train.files) == len(parts.train.files) - 1
    assert len(left.test_part.files) == len(parts.test_part.files) - 1
    assert left.validation.files == parts.validation.files
    assert left.train.labels.tolist() == parts.train.labels.tolist()[1:]


def one_class(folder):
    shutil.rmtree(folder / "bee")


def an_empty_class(folder):
    (folder / "cat").mkdir()


def no_class(folder):
    for name in ("ant", "bee"):
        shutil.rmtree(folder / name)


def a_table_alone(folder):
    no_class(folder)
    (folder / "labels.csv").write_text("a.png,ant\n")


def images_beside_classes(folder):
    picture(folder / "a.png")


def parts_alone(folder):
    (folder / "ant").rename(folder / "test")


def two_for_validation(folder):
    fill(folder / "train"), fill(folder / "val"), fill(folder / "valid")


def another_class(folder):
    fill(folder / "train"), fill(folder / "val", classes=("ant", "bee", "cat"))


def a_class_less(folder):
    fill(folder / "train"), fill(folder / "val", classes=("ant",))


def too_few(folder):
    for index in range(3, 10):
        (folder / "bee" / f"{index}.png").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_class, "{} has one class, 'ant': there is nothing to learn, it takes two at least"),
        (an_empty_class, "{}: no image in class 'cat': fill its folder, or remove it"),
        (no_class, "{}: no images: put each into a folder named after its class"),
        (a_table_alone, "{}: no images: put each into a folder named after its class"),
        (images_beside_classes, "{}: a.png has no class: put each image into a folder named after"),
        (parts_alone, "{} has a folder 'test', but none for training, 'train'"),
        (two_for_validation, "{} has two folders for validation: val, valid"),
        (another_class, "{}: validation has class 'cat', train has not"),
        (a_class_less, "{}: validation has no image of class 'bee'"),
        (too_few, "{}: class 'bee' has too few images: 1 to train with, at least 2 beside those"),
    ],
)
def test_refused(change, message, tmp_path):
    fill(tmp_path)
    change(tmp_path)
    with pytest.raises(UserError) as raised:
        find_parts(tmp_path)
    assert str(raised.value).startswith(message.format(tmp_path))


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="none: no such folder"):
        find_parts(tmp_path / "none")


SYNSETS = ("n01440764", "n01443537")


def flat_validation(folder, count=4):
    """Put validation images beside each other, as ImageNet's archive does."""
    for number in range(1, count + 1):
        picture(folder / "val" / f"ILSVRC2012_val_{number:08}.JPEG", number)


def development_kit(folder):
    kit = folder / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    (kit / TRUTH).write_text("2\n1\n2\n1\n")
    synsets = [{"ILSVRC2012_ID": n, "WNID": name} for n, name in enumerate(SYNSETS, 1)]
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O")]
    table = np.array([tuple(each.values()) for each in synsets], dtype=kind)
    savemat(kit / META, {"synsets": table})


def kaggle(folder):
    lines = [f"ILSVRC2012_val_{n:08},{SYNSETS[n % 2]} 1 2 3 4" for n in range(1, 5)]
    (folder / "val" / "LOC_val_solution.csv").write_text(
        "\n".join(["ImageId,PredictionString", *lines])
    )


def with_its_test_images(folder):
    kaggle(folder)
    picture(folder / "test" / "ILSVRC2012_test_00000001.JPEG")


@pytest.mark.parametrize("classes_of", [development_kit, kaggle, with_its_test_images, None])
def test_imagenet_s_validation_images_test(classes_of, tmp_path):
    fill(tmp_path / "train", 20, classes=SYNSETS)
    if classes_of is None:
        fill(tmp_path / "val", 2, classes=SYNSETS)
    else:
        flat_validation(tmp_path)
        classes_of(tmp_path)
    parts = find_parts(tmp_path)
    assert parts.class_names == SYNSETS and parts.drawn == ("validation",)
    assert [file.parent.name in ("val", *SYNSETS) for file in parts.test_part.files] == [True] * 4
    assert all("val" in file.parts for file in parts.test_part.files)
    assert all("train" in file.parts for file in parts.validation.files)
    assert (len(parts.train.files), len(parts.validation.files)) == (34, 6)
    assert parts.test_part.labels.tolist() == [0, 0, 1, 1]
    if classes_of is not None:
        assert [int(file.stem[-8:]) % 2 for file in parts.test_part.files] == [0, 0, 1, 1]
    assert parts.describe().endswith(
        "; test images are those of 'val', as usual with ImageNet; drawn here: validation"
    )
    parts.save(tmp_path / "split.json")
    assert json.loads((tmp_path / "split.json").read_text())["test_folder"] == "val"


def test_other_names_and_a_test_part_with_classes_keep_their_places(tmp_path):
    for part in ("train", "val", "test"):
        fill(tmp_path / part, 4, classes=SYNSETS)
    parts = find_parts(tmp_path)
    assert parts.test_folder is None and parts.drawn == ()
    assert all("test" in file.parts for file in parts.test_part.files)


def test_validation_images_without_classes(tmp_path):
    fill(tmp_path / "train", 20, classes=SYNSETS)
    flat_validation(tmp_path)
    with pytest.raises(UserError) as raised:
        find_parts(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}/val: ILSVRC2012_val_00000001.JPEG has no class: put each image into a folder"
        f" named after its class, or a table into {tmp_path}/val, such as labels.csv"
    )


def test_of_very_many_images_few_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_DRAWN", 6)
    parts = find_parts(fill(tmp_path, 40))
    assert len(parts.test_part.files) == len(parts.validation.files) == 6
