"""Hashes of code: comments, docstrings and layout don't count, anything else does."""

import pytest

from nas.cost import sources

CODE = '''"""A module."""
WIDTH = 4  # lanes


def double(value):
    """Twice a value."""
    return 2 * value
'''


@pytest.fixture
def hashed(tmp_path):
    def hash_of(code):
        file = tmp_path / "code.py"
        file.write_text(code)
        return sources._hash([file])

    return hash_of


@pytest.mark.parametrize(
    ("old", "new"),
    [("# lanes", "# values"), ("Twice a value.", "Doubled."), ("\n\n\ndef", "\n\n\n\n\ndef"),
     ('    """Twice a value."""\n', "")],
)  # fmt: skip
def test_what_does_not_change_what_the_code_does(hashed, old, new):
    assert old in CODE
    assert hashed(CODE) == hashed(CODE.replace(old, new))


@pytest.mark.parametrize(("old", "new"), [("WIDTH = 4", "WIDTH = 8"), ("2 *", "3 *")])
def test_what_does(hashed, old, new):
    assert hashed(CODE) != hashed(CODE.replace(old, new))


def test_parts_cover_the_engine_and_its_compiler():
    hashes = sources.source_hashes()
    assert sorted(hashes) == ["compiler", "model", "resources", "rtl"]
    assert len(set(hashes.values())) == 4
    covered = {file.name for file in sources._files(sources.PARTS["rtl"])}
    assert {"engine.py", "array.py", "softmax.py", "numerics.py"} <= covered
    assert not covered & {"cli.py", "build.py", "timing.py"}
