"""``python -m rtl.compiler --package``."""

import numpy as np
import pytest

from boards.host.package import Package
from rtl.cli import command
from rtl.compiler import package as package_module
from rtl.compiler.__main__ import main
from rtl.compiler.package import package_file
from rtl.model import IntegerModel
from sim import golden
from sim.random_model import random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.pulsar"
    random_model(patch=14, width=16, blocks=((1, 16),), classes=3).save(path)
    return path


def run(*arguments):
    return command(main, prog="python -m rtl.compiler", args=[str(a) for a in arguments])


def test_a_package_holds_what_the_engine_takes(model, tmp_path):
    assert run(model, "--package", tmp_path / "a.package", "--out", tmp_path / "out") == 0
    package = Package.load(tmp_path / "a.package")
    assert package.region == (tmp_path / "out" / "model.bin").read_bytes()
    assert package.encode() == package_file(model, "sim").encode()
    expected = golden.run(IntegerModel.load(model), package.sample[None])[0]
    np.testing.assert_array_equal(package.expected, expected)
    assert len(set(package.sample.reshape(-1).tolist())) > 100


def test_without_a_golden_model(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(package_module, "offered", lambda group: {})
    assert run(model, "--package", tmp_path / "a.package") == 2
    assert "no golden model is installed: pip install 'pulsar-vit[sim]'" in capsys.readouterr().err
    assert not (tmp_path / "a.package").exists()


def test_a_model_that_the_board_s_memory_does_not_hold(tmp_path, capsys):
    random_model().save(tmp_path / "large.pulsar")
    files = "--package", tmp_path / "a.package", "--out", tmp_path / "out"
    assert run(tmp_path / "large.pulsar", "--board", "ulx3s", *files) == 2
    assert capsys.readouterr().err == (
        "python -m rtl.compiler: error: large.pulsar does not fit the memory of board 'ulx3s':"
        " model and one image take 167,488 bytes > 147,456: take a smaller network, or fewer 8-bit"
        " rows\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["large.pulsar"]
    assert run(tmp_path / "large.pulsar", "--board", "ulx3s") == 0  # its report alone
