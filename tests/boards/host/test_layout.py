"""Places in memory."""

from dataclasses import replace

import pytest

from boards.host.errors import UserError
from boards.host.layout import PAGE, Layout
from tests.boards.host.networks import small

PACKAGE = small().package


def test_pages_where_there_is_room():
    layout = Layout.of(PACKAGE, 1 << 20, 8)
    assert layout.images == 8 and layout.bytes == Layout.wanted(PACKAGE, 8)
    assert layout.images_at % PAGE == layout.image_stride % PAGE == layout.outputs_at % PAGE == 0
    assert layout.images_at >= len(PACKAGE.region)
    assert layout.outputs_at == layout.images_at + 8 * layout.image_stride


def test_words_where_there_is_little():
    region = replace(PACKAGE, region=bytes(146_272))
    layout = Layout.of(region, 147_456)
    assert (layout.images_at, layout.images, layout.bytes) == (146_304, 1, 147_200)
    with pytest.raises(UserError, match="need 147,200 bytes of memory, the device has 147,199"):
        Layout.of(region, 147_199)
