"""Networks by the name that a user gives."""

import pytest

from nas.importer import load
from rtl.errors import UserError
from tests.nas.importer.tiny import MEAN, STD, Style, export


def test_a_quantized_network_is_refused():
    with pytest.raises(UserError, match=r"digits.pulsar is quantized already: give the float net"):
        load("examples/digits.pulsar")


def test_class_names_are_counted(tmp_path):
    path, _ = export(tmp_path, Style("classes"))
    names = tmp_path / "names.txt"
    names.write_text("one\ntwo\n")
    with pytest.raises(UserError, match=r"2 class names for 7 classes"):
        load(path, mean=MEAN, std=STD, class_names=names)
