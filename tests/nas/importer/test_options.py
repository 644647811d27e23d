"""Options about a network from elsewhere."""

import pytest

from nas.importer import ImportOptions
from rtl.errors import UserError


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_size": 0}, "--image-size must be from 1 to 4096, not 0"),
        ({"classes": -1}, "--classes must be from 0 to 65536, not -1"),
        ({"mean": (0.5,)}, "--mean and --std belong together: give both"),
        ({"mean": (1.0, 2.0), "std": (1.0,)}, "--mean takes a number per channel, 1 or 3, not 2"),
        ({"mean": (127.0,), "std": (1.0,)}, "pixels from 0 to 1, not 127: divide by 255"),
        ({"mean": (0.5,), "std": (58.4,)}, "pixels from 0 to 1, not 58.4: divide by 255"),
        ({"mean": (0.5,), "std": (0.0,)}, "--std must be positive, not 0"),
        ({"mean": (0.5,), "std": (float("nan"),)}, "--std must be positive, not nan"),
    ],
)
def test_wrong_values(options, message):
    with pytest.raises(UserError, match=message):
        ImportOptions(**options)


def test_class_names_are_lines(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("cat\nZoë's dog\n", encoding="utf-8")
    assert ImportOptions(class_names=path).names() == ("cat", "Zoë's dog")
    assert ImportOptions().names() == ()
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"names.txt: class names cannot be read"):
        ImportOptions(class_names=path).names()
