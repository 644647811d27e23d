"""The fingerprint: comments, docstrings and layout do not count, anything else does."""

import re
import shutil
import sys

import pytest

from rtl.timing import fingerprint
from rtl.timing.fingerprint import RTL, source_hash

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
        return source_hash([file])

    return hash_of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# lanes", "# values"),
        ("Twice a value.", "Doubled."),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ('    """Twice a value."""\n', ""),
    ],
)
def test_what_does_not_change_what_the_code_does(hashed, old, new):
    assert old in CODE
    assert hashed(CODE) == hashed(CODE.replace(old, new))


@pytest.mark.parametrize(("old", "new"), [("WIDTH = 4", "WIDTH = 8"), ("2 *", "3 *")])
def test_what_does(hashed, old, new):
    assert old in CODE
    assert hashed(CODE) != hashed(CODE.replace(old, new))


def test_a_function_of_a_docstring_alone_is_hashed(hashed):
    assert hashed('def f():\n    """One."""\n') == hashed('def f():\n    """Two."""\n')
    assert hashed('def f():\n    """One."""\n') != hashed('def g():\n    """One."""\n')


def test_it_is_16_digits_and_does_not_change():
    assert re.fullmatch(r"[0-9a-f]{16}", fingerprint())
    assert fingerprint() == fingerprint()


@pytest.mark.parametrize(
    "file", ["compiler/__init__.py", "timing/port.py", "isa/instructions.py", "model/shape.py"]
)
def test_it_covers_what_decides_cycles(file, monkeypatch, tmp_path):
    """In a copy of ``rtl``, one more line in one file changes it."""
    module = sys.modules["rtl.timing.fingerprint"]
    copy = shutil.copytree(RTL, tmp_path / "rtl", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "RTL", copy)
    before = fingerprint.__wrapped__()
    assert before == fingerprint()
    with (copy / file).open("a") as text:
        text.write("MORE = 1\n")
    assert fingerprint.__wrapped__() != before
