"""The boards that come with the package, and the errors for those that don't."""

import shlex

import pytest
from pydantic import ValidationError

from rtl.board import Limits, board_names, load_board
from rtl.config import ENGINES
from rtl.errors import UserError

VALID = """
name = "mine"
device = "part"
clock_hz = 200_000_000
engine = "TINY"
[limits]
dsp = 100
[memory]
gigabytes_per_second = 6.4
latency_cycles = 50
"""


@pytest.fixture
def board_file(tmp_path):
    """Write a board's file, with one line changed."""

    def write(old: str = "", new: str = "") -> str:
        assert old in VALID
        file = tmp_path / "mine.toml"
        file.write_text(VALID.replace(old, new, 1))
        return str(file)

    return write


def test_names():
    assert board_names() == ["kv260", "sim", "ulx3s", "zcu102", "zcu104"]


@pytest.mark.parametrize("name", board_names())
def test_every_board_is_named_as_its_file(name):
    assert load_board(name).name == name


def test_sim_has_no_limits_and_16_bytes_per_cycle():
    sim = load_board("sim")
    assert (sim.engine, sim.clock_hz, sim.memory.latency_cycles) == ("TINY", 100_000_000, 100)
    assert sim.bytes_per_cycle() == 16
    sim.require(dsp=10**9, lut=10**9, ff=10**9, bram36=10**9, uram=10**9)


def test_zcu102_bytes_per_cycle_follow_from_the_clock():
    zcu102 = load_board("zcu102")
    assert zcu102.bytes_per_cycle() == 64  # four ports of 128 bits
    assert zcu102.bytes_per_cycle(300_000_000) == pytest.approx(12.8e9 / 300e6)  # the memory
    assert zcu102.frames_per_second(150_000) == 1_000


@pytest.mark.parametrize(
    ("resource", "limit"),
    [("dsp", 2_520), ("lut", 274_080), ("ff", 548_160), ("bram36", 912), ("uram", 0)],
)
def test_require_accepts_the_limit_itself_and_no_more(resource, limit):
    zcu102 = load_board("zcu102")
    zcu102.require(**{resource: limit})
    with pytest.raises(UserError, match=f"{resource} {limit + 1:,} > {limit:,}$"):
        zcu102.require(**{resource: limit + 1})


@pytest.mark.parametrize("name", ["kv260", "zcu104"])
def test_boards_with_ultraram_and_one_port(name):
    board = load_board(name)
    assert board.limits.uram == {"kv260": 64, "zcu104": 96}[name]
    assert board.bytes_per_cycle() == ENGINES[name].memory_bytes == 16
    board.require_ports(16)


def test_require_names_every_excess():
    with pytest.raises(UserError) as error:
        load_board("zcu102").require(dsp=2_521, lut=10, bram36=920)
    assert str(error.value) == "does not fit board 'zcu102': dsp 2,521 > 2,520, bram36 920 > 912"


def test_ports_carry_a_beat_of_the_engine():
    zcu102 = load_board("zcu102")
    zcu102.require_ports(64)
    with pytest.raises(UserError, match=r"board 'sim': memory_bytes 64 > 16, 1 x 128 bits: a wid"):
        load_board("sim").require_ports(64)


def test_memory_of_a_stated_size():
    board = load_board("ulx3s")
    board.require_memory(147_456)
    with pytest.raises(UserError) as error:
        board.require_memory(147_457)
    assert str(error.value) == (
        "does not fit the memory of board 'ulx3s': model and one image take 147,457 bytes >"
        " 147,456: take a smaller network, or fewer 8-bit rows"
    )
    load_board("zcu102").require_memory(1 << 40)  # nothing is stated


def test_ports_of_a_zynq_carry_what_is_predicted():
    zcu102 = load_board("zcu102")
    zcu102.require_zynq_ports(64)  # twice 128 bits at 300 MHz are 64 bytes in a cycle of 150 MHz
    with pytest.raises(UserError) as error:
        zcu102.with_ports_for(32).require_zynq_ports(64)
    assert str(error.value) == (
        "HP0 of board 'zcu102': 4.8 GB/s < 9.6, with which cycles are predicted: expect more of"
        " them"
    )
    load_board("sim").require_zynq_ports(1 << 20)  # nothing is stated


@pytest.mark.parametrize(
    ("memory_bytes", "ports"),
    [(4, ("HP0",)), (32, ("HP0",)), (64, ("HP0", "HP3")), (128, ("HP0", "HP3"))],
)
def test_an_engine_takes_no_more_ports_than_its_beats_fill(memory_bytes, ports):
    board = load_board("zcu102").with_ports_for(memory_bytes)
    assert board.require_zynq().ports == ports


def test_a_board_without_the_table():
    assert load_board("zcu102").require_zynq().interrupt == 89
    with pytest.raises(UserError, match=r"^board 'sim' has no table \[zynq\], which a block d"):
        load_board("sim").require_zynq()


def test_require_knows_its_resources():
    with pytest.raises(ValueError, match="'slr' is no resource: dsp, lut, ff, bram36, uram"):
        load_board("sim").require(slr=1)


def test_unknown_board():
    with pytest.raises(UserError) as error:
        load_board("zcu106")
    assert str(error.value) == (
        "unknown board 'zcu106': choose one of kv260, sim, ulx3s, zcu102, zcu104, or a path ending"
        " in .toml"
    )


def test_board_from_a_path(board_file):
    mine = load_board(board_file())
    assert mine.limits == Limits(dsp=100)
    assert mine.bytes_per_cycle() == 16  # 32 by bandwidth, but one port of 128 bits


@pytest.mark.parametrize("name", ["ZCU102", "Zcu102", "SIM"])
def test_a_board_by_its_name_in_any_case(name):
    assert load_board(name) == load_board(name.lower())


@pytest.mark.parametrize("name", ["mine.toml", "my board.TOML", "é.toml"])
@pytest.mark.parametrize(
    ("mark", "end"), [("", "\n"), ("\ufeff", "\n"), ("", "\r\n"), ("\ufeff", "\r\n")]
)
def test_files_of_other_systems(tmp_path, name, mark, end):
    file = tmp_path / name
    file.write_bytes((mark + VALID.replace("\n", end)).encode())
    board = load_board(str(file))
    assert board.limits == Limits(dsp=100)
    assert shlex.split(board.option) == [str(file)]  # as in a remedy, for a shell
    assert board.calibration == file.with_suffix(".calibration.json")


def test_a_board_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load_board("sim").clock_hz = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_board(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dsp = 100", "dsp = -3", "limits.dsp = -3: input should be greater than 0"),
        ("dsp = 100", "dsp = 2.5", "limits.dsp = 2.5: input should be a valid integer"),
        ("dsp = 100", "dps = 100", "limits.dps = 100: no such field"),
        (
            "= 50",
            "= 50\naxi_cache = 0b10011",
            "memory.axi_cache = 19: input should be less than or equal to 15",
        ),
        ("latency_cycles = 50", "", "memory.latency_cycles is missing"),
        (
            "= 50",
            "= 50\nport_bits = 224",
            "memory.port_bits = 224: input should be 32, 64, 128 or 256",
        ),
        (
            '"TINY"',
            '"nowhere.json"',
            "engine = 'nowhere.json': No such file or directory",
        ),
        ("= 50", "= 50\nports = 5", "memory.ports = 5: input should be less than or equal to 4"),
        (
            "= 6.4",
            "= 0.001",
            "memory.gigabytes_per_second = 0.001: input should be greater than or equal to 0.01",
        ),
        ("= 6.4", "= inf", "memory.gigabytes_per_second = inf: input should be a finite number"),
        (
            "latency_cycles = 50",
            "latency_cycles = 65536",
            "memory.latency_cycles = 65536: input should be less than or equal to 65535",
        ),
        (
            "= 50",
            "= 50\ncapacity_bytes = 0",
            "memory.capacity_bytes = 0: input should be greater than 0",
        ),
        ('"mine"', '"[b]"', "name = '[b]': string should match pattern '^[\\w.+-]+$'"),
        (
            '"TINY"',
            '"BIG"',
            f"unknown engine 'BIG': choose one of {', '.join(ENGINES)}, or a path ending in .json",
        ),
        (
            "200_000_000",
            "2_000",
            "clock_hz = 2000: input should be greater than or equal to 1000000",
        ),
        ('"mine"', '"mine', "not a TOML file: Illegal character '\\n' (at line 2, column 13)"),
    ],
)
def test_wrong_file_names_field_value_and_limit(board_file, old, new, message):
    file = board_file(old, new)
    with pytest.raises(UserError) as error:
        load_board(file)
    assert str(error.value) == f"{file}: {message}"
