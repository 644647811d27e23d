"""The table ``[zynq]``: ports, addresses, and what is said of a wrong one."""

import pytest

from rtl.board import load_board
from rtl.errors import UserError

BOARD = """
name = "mine"
device = "part"
clock_hz = 200_000_000
engine = "TINY"
[memory]
gigabytes_per_second = 6.4
latency_cycles = 50
"""
ZYNQ = """
[zynq]
board_part = "xilinx.com:zcu102"
trees = ["zynqmp-zcu102-rev*.dtb"]
ports = ["HP0", "HP1", "HP3"]
"""
ON_A_ZYNQ = BOARD.replace('"part"', '"xczu9eg-ffvb1156-2-e"')


def test_ports_of_a_zynq(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(ON_A_ZYNQ + ZYNQ)
    zynq = load_board(str(file)).require_zynq()
    assert zynq.ports == ("HP0", "HP1", "HP3")
    assert zynq.bytes_per_second(200_000_000) == 3 * 16 * 200_000_000
    assert (zynq.control_address, zynq.control_bytes) == (0xA000_0000, 4096)
    assert zynq.accepted == ()


def test_critical_warnings_that_are_accepted(tmp_path):
    ids = ("Board 49-71", "PSU-1", "DRC NSTD-1", "xilinx.com:ip:smartconnect:1.0-1")
    file = tmp_path / "mine.toml"
    file.write_text(f"{ON_A_ZYNQ}{ZYNQ}accepted = {list(ids)}\n")
    assert load_board(str(file)).require_zynq().accepted == ids


@pytest.mark.parametrize("device", ["LFE5U-85F-6BG381C", "xc7z020clg400-1", "xcz9eg", "xcku5p"])
def test_the_table_is_for_a_zynq_alone(tmp_path, device):
    file = tmp_path / "mine.toml"
    file.write_text(BOARD.replace('"part"', f'"{device}"') + ZYNQ)
    with pytest.raises(UserError) as error:
        load_board(str(file))
    assert str(error.value) == (
        f"{file}: device = {device!r} is no Zynq UltraScale+, such as xczu9eg or xck26, which the"
        " table [zynq] is for: correct the device, or leave the table out"
    )
    file.write_text(BOARD.replace('"part"', f'"{device}"'))
    assert load_board(str(file)).zynq is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"HP3"', '"HP2"', "zynq.ports = ['HP0', 'HP1', 'HP2']: take one of HP1 and HP2, which"),
        ('"HP1", "HP3"', '"HP0"', "zynq.ports = ['HP0', 'HP0']: name each port once"),
        ('"HP3"', '"HP4"', "zynq.ports.2 = 'HP4': input should be 'HP0', 'HP1', 'HP2' or 'HP3'"),
        ('"HP0", "HP1", "HP3"', "", "zynq.ports = []: tuple should have at least 1 item"),
        ("ports", "port_bits = 256\nports", "zynq.port_bits = 256: input should be 32, 64 or 128"),
        ("ports", "interrupt = 90\nports", "zynq.interrupt = 90: input should be 89"),
        (
            "ports",
            "control_address = 0xA000_1000\nports",
            "zynq.control_address = 0xa0001000: must be a multiple of 0x10000 from 0xa0000000 up to"
            " 0xafff0000",
        ),
        (
            "ports",
            "control_address = 0x8000_0000\nports",
            "zynq.control_address = 0x80000000: must be a multiple of 0x10000 from 0xa0000000 up",
        ),
        (
            "ports",
            "control_address = 0xB000_0000\nports",
            "zynq.control_address = 0xb0000000: must",
        ),
        (
            "ports",
            "control_address = 'a'\nports",
            "zynq.control_address = 'a': input should be a v",
        ),
        (
            "xilinx.com:",
            "",
            "zynq.board_part = 'zcu102': must be VENDOR:BOARD without a version, su",
        ),
        ('zcu102"', 'zcu102:part0:3.4"', "zynq.board_part = 'xilinx.com:zcu102:part0:3.4': must"),
        (
            "ports",
            "accepted = ['Board']\nports",
            "zynq.accepted = ['Board']: 'Board' is no id of a",
        ),
        (
            "ports",
            "accepted = ['A 1-2} x']\nports",
            "zynq.accepted = ['A 1-2} x']: 'A 1-2} x' is no",
        ),
        ('trees = ["zynqmp-zcu102-rev*.dtb"]', "", "zynq.trees is missing"),
    ],
)
def test_a_wrong_table_names_field_and_limit(tmp_path, old, new, message):
    assert old in ZYNQ
    file = tmp_path / "mine.toml"
    file.write_text(ON_A_ZYNQ + ZYNQ.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        load_board(str(file))
    assert str(error.value).startswith(f"{file}: {message}")
