"""What is left of each image: ranks, agreement, squared lengths."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.evaluate.answers import Answers
from nas.evaluate.compare import joined, measure, measured, ranks, selected

LOGITS = np.array([[3, 1, 2, 2], [0, 5, 5, 1]], np.float32)


def test_the_first_class_is_in_front_among_equals():
    assert ranks(LOGITS, np.array([3, 2])).tolist() == [2, 1]
    assert ranks(LOGITS, np.array([2, 1])).tolist() == [1, 0]
    best = ranks(LOGITS, LOGITS.argmax(1))
    assert best.tolist() == [0, 0]


def test_labels_and_agreement():
    integer, exact = Answers(logits=LOGITS), Answers(logits=LOGITS[:, ::-1].copy())
    found = measured(np.array([0, 3]), integer, exact, 0)
    assert found["integer.rank"].tolist() == [0, 2]
    assert found["float.rank"].tolist() == [1, 3]
    assert found["agree"].tolist() == [False, True]
    assert measured(None, integer, None, 0) == {}
    assert set(measured(np.array([0, 3]), integer, None, 0)) == {"integer.rank"}


def test_cosine_is_that_of_the_patches():
    one, other = np.zeros((2, 3, 4)), np.zeros((2, 3, 4))
    one[:, :2, 0] = other[:, :2, 0] = 2  # the patches point the same way
    one[:, 2, 1] = other[:, 2, 2] = 1  # the class token does not
    found = measured(None, Answers(features=one), Answers(features=other), 2)
    assert found["features.cosine"].tolist() == [1, 1]
    assert found["features.error"].tolist() == [2, 2]
    assert found["features.length"].tolist() == [9, 9]


KEPT = {"integer": ([0, 2, 3, 5, 6], [1, 3, 4]), "float": ([1, 2, 3, 4, 6], [0, 1, 4])}
"""Of 6 patches and a class token, 4 stay, then 2: 2 and 5, by the image; 1 and 2, by itself."""


def kept(who, second=None):
    first, other = KEPT[who]
    parts = {"blocks.1.kept": first, "blocks.4.kept": second or other}
    return {name: torch.tensor([part]) for name, part in parts.items()}


def test_tokens_that_both_choose():
    value = np.ones((1, 5), np.float32)
    integer, own = (Answers(features=value, kept=kept(who)) for who in KEPT)
    # On the integer model's tokens, it would take the patches 0 and 3 of those 4: one of them is.
    same = Answers(features=2 * value, kept=kept("float", [0, 3, 4]))
    found = selected(integer, own, same, 6)
    assert found["kept.own.1"].tolist() == [0.5]  # 2 and 3
    assert found["kept.own.4"].tolist() == [0.5]  # 2 is left of both
    assert found["kept.same.1"].tolist() == [0.5]
    assert found["kept.same.4"].tolist() == [0.5]
    assert (found["same.features.error"].tolist(), found["same.features.length"].tolist()) == (
        [5],
        [20],
    )
    assert found["same.features.cosine"] == pytest.approx([1])


def test_all_tokens_are_compared_where_they_are_the_same_ones():
    def answer(images, given=None):
        who = "float" if given is None else "integer"
        return Answers(features=np.ones((1, 3, 5)), kept=kept(who))

    (found,) = measure(
        [torch.zeros(1)],
        None,
        lambda images: replace(answer(images), kept=kept("integer")),
        answer,
        6,
    )
    assert "features.error" not in found
    assert found["same.features.error"].tolist() == [0]
    assert found["same.features.cosine"].tolist() == pytest.approx([1])


def test_correlation_of_an_output_does_not_see_scale_and_offset():
    rng = np.random.default_rng(0)
    value = rng.standard_normal((2, 3, 5))
    integer, exact = Answers(outputs={"map": 3 * value + 1}), Answers(outputs={"map": value})
    found = measured(None, integer, exact, 0)
    assert found["map.correlation"] == pytest.approx([1, 1])
    exact = Answers(outputs={"map": rng.standard_normal((2, 3, 5))})
    pairs = zip(value, exact.outputs["map"], strict=True)
    wanted = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]
    assert measured(None, integer, exact, 0)["map.correlation"] == pytest.approx(wanted)


def test_batches_have_their_own_labels():
    seen = []

    def answer(images):
        seen.append(len(images))
        return Answers(logits=images.float().numpy())

    batches = [torch.eye(3)[:2], torch.eye(3)[2:]]
    parts = measure(batches, np.array([0, 1, 2]), answer, None, 0)
    found = joined(parts)
    assert found["integer.rank"].tolist() == [0, 0, 0]
    assert found["integer.seconds"].shape == (3,) and (found["integer.seconds"] > 0).all()
    assert seen == [2, 1]
