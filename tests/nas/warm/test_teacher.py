"""Teachers answer as they do by themselves, on images of their own size and statistics."""

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from nas.warm.source import NetworkSource
from nas.warm.teacher import load_teacher, resized
from rtl.errors import UserError
from tests.nas.importer import transformers_folders
from tests.nas.importer.timm_models import CONFIG, normalised, pixels
from tests.nas.warm.networks import NAMES, source_of

CONVOLUTIONAL = "test_resnet"  # a small one of timm's, without attention


def answers(model, images, mean, std):
    return model.double()(normalised(images, mean, std)).softmax(1).detach().float()


def test_a_folder_of_timms_with_parts_that_the_engine_has_not(tmp_path):
    source, model = source_of(tmp_path, qk_norm=True)
    teacher = load_teacher(source, NAMES)
    expected = answers(model, pixels(), CONFIG["mean"], CONFIG["std"])
    torch.testing.assert_close(teacher.probabilities(pixels()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_convolutional_network_by_its_name(tmp_path, suffix):
    """It sees images of the size that timm states for it."""
    torch.manual_seed(0)
    model = timm.create_model(CONVOLUTIONAL, num_classes=4).eval()
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": model.state_dict()}, file)
    else:
        save_file(model.state_dict(), file)
    teacher = load_teacher(NetworkSource(CONVOLUTIONAL, str(file)), NAMES)
    assert teacher.image == (160, 160, 3)
    images = resized(pixels(), (160, 160, 3))
    stated: dict[str, Any] = model.pretrained_cfg  # pyright: ignore
    expected = answers(model, images, stated["mean"], stated["std"])
    torch.testing.assert_close(teacher.probabilities(pixels()), expected, rtol=1e-4, atol=1e-5)


def test_a_folder_of_transformers(tmp_path):
    model = transformers_folders.saved(
        tmp_path,
        "vit",
        "vit.",
        {"id2label": {"0": "dog", "1": "ant", "2": "bee", "3": "cat"}},
        num_classes=4,
    )
    teacher = load_teacher(NetworkSource(str(tmp_path)), NAMES)
    statistics = [transformers_folders.PROCESSOR[name] for name in ("image_mean", "image_std")]
    expected = answers(model, pixels(), *statistics)[:, [1, 2, 3, 0]]
    torch.testing.assert_close(teacher.probabilities(pixels()), expected, rtol=1e-4, atol=1e-5)


def test_names_decide_the_order_of_timms_classes_too(tmp_path):
    config = CONFIG | {"label_names": list(reversed(NAMES))}
    source, model = source_of(tmp_path, config=config)
    expected = answers(model, pixels(), CONFIG["mean"], CONFIG["std"]).flip(1)
    found = load_teacher(source, NAMES).probabilities(pixels())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match=r"has other classes \(.*\): a teacher must"):
        load_teacher(source, ("w", "x", "y", "z"))


def test_the_hash_is_that_of_content(tmp_path):
    one, _ = source_of(tmp_path / "one")
    other, _ = source_of(tmp_path / "other")
    teacher = load_teacher(one, NAMES)
    assert load_teacher(other, NAMES).sha256 == teacher.sha256
    assert load_teacher(replace(one, sha256=teacher.sha256), NAMES).rows == [0, 1, 2, 3]
    assert load_teacher(replace(one, mean=(0.1,), std=(0.2,)), NAMES).sha256 != teacher.sha256
    with pytest.raises(UserError, match="has changed since the command began"):
        load_teacher(replace(one, sha256="0" * 64), NAMES)


def test_images_of_the_teachers_size_and_colours():
    images = pixels(8)
    assert torch.equal(resized(images, (8, 8, 3)), images.float())
    grey = pixels(8, channels=1)
    assert torch.equal(resized(grey, (8, 8, 3)), grey.float().expand(-1, -1, -1, 3))
    white = torch.full((1, 6, 4, 3), 255, dtype=torch.uint8)
    for image in ((6, 4, 1), (12, 12, 3), (3, 2, 1)):
        found = resized(white, image)
        assert found.shape == (1, *image)
        torch.testing.assert_close(found, torch.full_like(found, 255))


def weights_of(folder, name=CONVOLUTIONAL, classes=4):
    model = timm.create_model(name, num_classes=classes)
    save_file(model.state_dict(), folder / "weights.safetensors")
    return str(folder / "weights.safetensors")


def test_what_is_refused(tmp_path):
    weights, junk, empty = weights_of(tmp_path), tmp_path / "junk.pth", tmp_path / "empty"
    junk.write_bytes(b"junk")
    empty.mkdir()
    headless, _ = source_of(tmp_path / "headless", num_classes=0)
    for source, message in (
        (NetworkSource(CONVOLUTIONAL, weights), "has 4 classes, the task 2: a teacher must"),
        (NetworkSource(CONVOLUTIONAL), "no weights for it: give a checkpoint"),
        (NetworkSource(CONVOLUTIONAL, "none.pth"), "none.pth: no such file"),
        (NetworkSource(CONVOLUTIONAL, str(junk)), f"not weights of {CONVOLUTIONAL}"),
        (NetworkSource("test_vit", weights), "not weights of test_vit"),
        (NetworkSource("teacher"), "no file, no folder, and no name of timm's"),
        (NetworkSource(str(empty)), "no config.json of timm's or of transformers' in it"),
        (headless, "has 0 classes, the task 2"),
    ):
        with pytest.raises(UserError, match=message) as raised:
            load_teacher(source, ("a", "b"))
        assert "\n" not in str(raised.value)


def test_an_import_without_a_classifier_is_refused(tmp_path):
    transformers_folders.saved(tmp_path, "dinov2", init_values=0.1)
    with pytest.raises(UserError, match="has no classifier: a teacher needs one"):
        load_teacher(NetworkSource(str(tmp_path)), NAMES)


def test_unknown_statistics_are_a_matter_of_the_task_file(tmp_path):
    transformers_folders.saved(tmp_path, "vit", "vit.", processor=None, num_classes=4)
    with pytest.raises(UserError, match="give mean and std beside its name in a task's file"):
        load_teacher(NetworkSource(str(tmp_path)), NAMES)


def test_reading_draws_no_random_numbers(tmp_path):
    weights = weights_of(tmp_path)
    state = torch.get_rng_state()
    load_teacher(NetworkSource(CONVOLUTIONAL, weights), NAMES)
    assert torch.equal(torch.get_rng_state(), state)
