"""Overlays of device trees: their source, and on the trees of Debian's kernels."""

import re
import shutil
import subprocess

import pytest

from boards.host import uio
from rtl.board import Board, board_names, load_board
from rtl.build.overlay import NODE, overlay, widths
from rtl.errors import UserError
from tests.rtl.build import trees
from tests.test_docs import ROOT

ZYNQ = [board for board in map(load_board, board_names()) if board.zynq]


def with_table(**changes) -> Board:
    """Return the ZCU102 with another table."""
    board = load_board("zcu102")
    return board.model_copy(update={"zynq": board.require_zynq().model_copy(update=changes)})


@pytest.mark.parametrize(
    ("changes", "pairs"),
    [
        ({}, [(4, 0), (5, 0), (10, 0), (11, 0), (14, 0xA00)]),
        ({"ports": ("HP1", "HP3")}, [(6, 0), (7, 0), (10, 0), (11, 0), (14, 0xA00)]),
        ({"ports": ("HP0",), "port_bits": 64}, [(4, 1), (5, 1), (14, 0xA00)]),
        ({"ports": ("HP0",), "port_bits": 32}, [(4, 2), (5, 2), (14, 0xA00)]),
    ],
)
def test_widths_of_ports(changes, pairs):
    """As Documentation/devicetree/bindings/fpga/xlnx,afi-fpga.yaml of linux-xlnx has them."""
    board = with_table(**changes)
    assert widths(board) == pairs
    said = ", ".join(f"<{register} {value:#x}>" for register, value in pairs)
    assert f"config-afi = {said};" in overlay(board, "pulsar_zcu102")


def test_it_names_no_label():
    """So it needs no symbols in the tree."""
    assert not re.search(r"&\w|^\s*\w+:", overlay(load_board("zcu102"), "pulsar_zcu102"), re.M)


def test_the_driver_finds_what_it_declares():
    text = overlay(load_board("zcu102"), "pulsar_zcu102")
    assert f"{uio.NAME}@a0000000 {{" in text
    assert NODE == uio.NAME


def test_the_page_tells_the_kernel_the_same_name():
    page = (ROOT / "docs" / "zynq.md").read_text()
    (name,) = re.findall(r"uio_pdrv_genirq\.of_id=(\S+) ", page)
    text = overlay(load_board("zcu102"), "pulsar_zcu102")
    assert re.findall(r'compatible = "(.*)";', text) == [name, "ikwzm,u-dma-buf", "xlnx,afi-fpga"]


def test_a_board_without_the_table():
    with pytest.raises(UserError, match=r"board 'sim' has no table \[zynq\]"):
        overlay(load_board("sim"), "pulsar_tiny")


@pytest.mark.zynq
@pytest.mark.parametrize("board", ZYNQ, ids=lambda board: board.name)
def test_two_runs_give_the_same_bytes(board, tmp_path):
    one, other = (trees.compiled(overlay(board, "pulsar"), tmp_path, name) for name in "ab")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.zynq
@pytest.mark.parametrize("release", trees.RELEASES)
@pytest.mark.parametrize("board", ZYNQ, ids=lambda board: board.name)
def test_it_applies_to_the_trees_of_debian(board, release, tmp_path):
    """By the commands of docs/zynq.md; then dtc warns of no more than before."""
    zynq = board.require_zynq()
    _, folder = trees.fetch(release)
    found = sorted({tree for name in zynq.trees for tree in folder.glob(name)})
    assert found, f"no {zynq.trees} in {folder}"
    for tree in found:
        merged = apply(board, tree, tmp_path)
        assert trees.warnings_of(merged) == trees.warnings_of(tree)
        node = f"/{NODE}@{zynq.control_address:x}"
        assert trees.cells(merged, node, "reg") == [0, zynq.control_address, 0, zynq.control_bytes]
        assert trees.cells(merged, node, "interrupts") == [0, zynq.interrupt, 4]
        controller = trees.cells(merged, trees.CONTROLLER, "phandle")
        assert [trees.interrupt_parent(merged, node)] == controller
        assert trees.cells(merged, f"/{NODE}-memory", "size") == [zynq.buffer_bytes]
        for name in ("#address-cells", "#size-cells", "compatible"):
            assert trees.run("fdtget", merged, "/", name) == trees.run("fdtget", tree, "/", name)


def apply(board, tree, folder):
    """Run the commands of docs/zynq.md for a tree; return the tree that they leave."""
    text = (ROOT / "docs" / "zynq.md").read_text()
    block = re.search(r"```\n(dtc .*?fdtoverlay .*?)```", text, re.S)
    assert block, "docs/zynq.md has no commands with dtc and fdtoverlay"
    shutil.copy(tree, folder / "base.dtb")
    (folder / "pulsar_zcu102.dtso").write_text(overlay(board, "pulsar_zcu102"))
    ended = subprocess.run(
        ["bash", "-e", "-u", "-c", block[1]], cwd=folder, capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("", "")
    return folder / "system.dtb"


@pytest.mark.zynq
def test_a_tree_whose_root_has_the_parent_needs_no_more(tmp_path):
    """It is inherited."""
    (tmp_path / "base.dts").write_text(
        "/dts-v1/; / { #address-cells = <2>; #size-cells = <2>; interrupt-parent = <&gic>;"
        " gic: controller { interrupt-controller; #interrupt-cells = <3>;"
        " #address-cells = <0>; }; };"
    )
    base, merged = tmp_path / "base.dtb", tmp_path / "merged.dtb"
    trees.run("dtc", "-I", "dts", "-O", "dtb", "-o", base, tmp_path / "base.dts")
    binary = trees.compiled(overlay(load_board("zcu102"), "pulsar_zcu102"), tmp_path)
    trees.run("fdtoverlay", "-i", base, "-o", merged, binary)
    assert trees.warnings_of(merged) == []
    assert [trees.interrupt_parent(merged, "/pulsar@a0000000")] == trees.cells(
        base, "/controller", "phandle"
    )
