"""Sizes of spaces, by name and from files."""

import pytest

from nas.digits import SPACES
from nas.task.sizes import SIZES, load_sizes
from rtl.errors import UserError

FILE = """
head_dim = 16
widths = [32, 48]
depths = [2]
heads = [2, 3]
mlp_ratios = [2, 3.5]
"""


@pytest.mark.parametrize("name", SPACES)
def test_those_of_the_digits_give_their_space(name):
    space = SPACES[name]
    assert load_sizes(name.title()).space(space.image, space.patch, space.classes) == space


@pytest.mark.parametrize(("name", "width", "heads"), [("tiny", 192, 3), ("small", 384, 6)])
def test_the_largest_are_those_of_deit(name, width, heads):
    space = SIZES[name].space((224, 224, 3), 16, 1000)
    largest = space.largest()
    assert (largest.width, largest.depth, largest.blocks[0].heads) == (width, 12, heads)
    assert largest.hidden(0) == 4 * width and space.head_dim == 64


def test_a_file(tmp_path):
    path = tmp_path / "Mine.TOML"
    path.write_text(FILE + 'pool = "mean"')
    space = load_sizes(str(path)).space((8, 8, 1), 4, 3)
    assert space.mean_pool
    assert (space.widths, space.mlp_ratios, space.fractions) == ((32, 48), (2, 3.5), (0, 0.5, 1))


@pytest.mark.parametrize("keeps", [(0.5, 0.7), (4, 9)])
def test_a_file_with_patches_that_stay(keeps, tmp_path):
    path = tmp_path / "keep.toml"
    path.write_text(f"{FILE}keeps = {list(keeps)}")
    space = load_sizes(str(path)).space((8, 8, 1), 2, 3)
    assert space.keeps == keeps and {type(each) for each in space.keeps} == {type(keeps[0])}
    with pytest.raises(UserError, match="the space cannot be used: keeps must be"):
        path.write_text(f"{FILE}keeps = [4, 16]")
        load_sizes(str(path)).space((8, 8, 1), 2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("head_dim = 16", "head_dim = 16\nkeeps = []"), "keeps = []: "),
        (
            ("head_dim = 16", "head_dim = 16\nkeeps = [true]"),
            "keeps.0 = True: input should be a num",
        ),
        (
            ("head_dim = 16", 'head_dim = 16\nkeeps = [0.3, "0.5"]'),
            "keeps.1 = '0.5': input should be a number",
        ),
        (("= 16", f"= {'1' * 5000}"), "not a TOML file: "),
        (("head_dim = 16", ""), "head_dim is missing"),
        (("head_dim", "head_dims"), "head_dim is missing"),
        (
            ("head_dim = 16", 'head_dim = 16\npool = "max"'),
            "pool = 'max': input should be 'token' or",
        ),
        (("[2]", "[0]"), "depths.0 = 0: input should be greater than 0"),
        (("[2]", "[]"), "depths = []: "),
        (("[32, 48]", "[8, 16, 24, 32, 40]"), "widths = [8, 16, 24, 32, 40]: "),
        (("head_dim = 16", "head_dim = 16\nwidth = 3"), "width: no such field"),
        (("head_dim = 16", "head_dim = "), "not a TOML file: "),
    ],
)
def test_a_wrong_file(change, message, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(FILE.replace(*change))
    with pytest.raises(UserError) as raised:
        load_sizes(str(path))
    assert str(raised.value).startswith(f"{path}: {message}")


def test_numbers_that_are_none_of_patches(tmp_path):
    path = tmp_path / "a.toml"
    for number in ("inf", "nan", "-inf"):
        path.write_text(f"{FILE}keeps = [{number}]")
        with pytest.raises(UserError, match=rf"keeps must be a rising list .* not \({number},\)"):
            load_sizes(str(path)).space((8, 8, 1), 2, 3)


def test_no_such_space():
    with pytest.raises(UserError, match=r"unknown space 'huge': choose one of digits, .*, small"):
        load_sizes("huge")


def test_choices_that_do_not_rise(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(FILE.replace("[32, 48]", "[48, 32]"))
    with pytest.raises(UserError, match="the space cannot be used: widths must be a rising list"):
        load_sizes(str(path)).space((8, 8, 1), 4, 3)
