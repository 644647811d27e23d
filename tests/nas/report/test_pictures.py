"""Images and answers inside the page."""

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from nas.report.markup import written
from nas.report.pictures import LARGE, picture_card
from tests.nas.report import samples


def images(text: str) -> list[Image.Image]:
    found = re.findall(r"data:image/\w+;base64,([^\"]+)", text)
    return [Image.open(BytesIO(b64decode(each))) for each in found]


def test_a_card_has_image_attention_map_and_answers():
    picture = samples.picture(name=samples.HOSTILE)
    text = written(picture_card(picture))
    assert "<script" not in text
    assert "attention, float" in text and "tokens, float" in text and "class: seven" in text
    assert "70.0 %" in text and "Mean cosine: 0.99" in text
    first, *_, tokens = images(text)
    np.testing.assert_array_equal(np.asarray(first), picture.pixels)
    np.testing.assert_array_equal(np.asarray(tokens), picture.maps["tokens"]["float"])


def test_attention_glows_where_it_is_large():
    weights = np.zeros((2, 3))
    weights[1, 2] = 0.5
    text = written(picture_card(replace(samples.picture(), attention={"integer": weights})))
    glow = np.asarray(images(text)[2])
    assert glow.shape == (2, 3, 4)
    assert (glow[..., 3] == np.array([[0, 0, 0], [0, 0, 235]])).all()


def test_the_first_answer_of_each_is_marked():
    text = written(picture_card(samples.picture()))
    assert 'class="value first">70.0 %' in text and 'class="value first">50.0 %' in text
    assert 'class="name good">seven' in text and 'class="name">one' in text


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 500])
def test_large_images_are_made_smaller(channels, size):
    pixels = samples.random_images((size, size, channels), 1)[0]
    text = written(picture_card(replace(samples.picture(), pixels=pixels)))
    first = images(text)[0]
    assert max(first.size) == min(size, LARGE)
    assert first.format == ("JPEG" if size > 96 else "PNG")


def test_a_map_of_numbers_is_grey():
    values = np.array([[-1.0, 0.0], [1.0, 3.0]])
    text = written(picture_card(replace(samples.picture(), maps={"m": {"integer": values}})))
    grey = np.asarray(images(text)[-1])
    assert grey[..., 0].tolist() == [[0, 63], [127, 255]]


def test_without_answers():
    picture = samples.Picture("plain", samples.random_images((8, 8, 1), 1)[0])
    assert "answers" not in written(picture_card(picture))
