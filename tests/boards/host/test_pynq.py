"""PYNQ, on a module with the parts of its interface that the driver uses."""

import sys
from types import ModuleType

import numpy as np
import pytest

from boards.host.accelerator import Accelerator
from boards.host.errors import DeviceError, UserError
from boards.host.pynq import REGISTERS_AT, PynqTransport, open_transport
from rtl.config import TINY
from tests.boards.host.engine_model import EngineModel
from tests.boards.host.networks import small

BASE = 0x1680_0000


class Buffer(np.ndarray):
    """An array with a copy that the device sees, which follows at flush and invalidate."""

    far: np.ndarray

    def __array_finalize__(self, parent):
        self.far = getattr(parent, "far", np.zeros(0, np.uint8))

    def __getitem__(self, key):
        part = super().__getitem__(key)
        if isinstance(part, Buffer):
            part.far = self.far[key]
        return part

    def flush(self):
        self.far[:] = self

    def invalidate(self):
        self[:] = self.far

    def freebuffer(self):
        self.board.freed += 1


class FakeBoard:
    """A board with PYNQ: what is loaded, the engine, and what was done in which order."""

    def __init__(self):
        self.loaded, self.freed = "", 0
        self.address, self.mapped = REGISTERS_AT, 0
        self.blocks = {"ps": {"type": "ps"}, "engine": {"phys_addr": REGISTERS_AT}}
        self.events: list[str] = []
        self.model = EngineModel(TINY, np.zeros(0, np.uint8), BASE)
        board = self

        class MMIO:
            def __init__(self, base_addr, length):
                assert (base_addr, length) == (board.address, 4096)
                board.mapped = base_addr

            def read(self, offset):
                return board.model.read32(offset)

            def write(self, offset, value):
                if offset == 0x10 and value == 2:
                    board.events.append("reset")
                board.model.write32(offset, value)

        class Overlay:
            def __init__(self, bitfile_name, download=True):
                assert not download
                if bitfile_name == "absent.bit":
                    raise OSError(f"Bitstream file {bitfile_name} does not exist.")
                self.name, self.ip_dict = bitfile_name, board.blocks

            def is_loaded(self):
                return board.loaded == self.name

            def download(self):
                board.events.append(f"download {self.name}")
                board.loaded = self.name

        def allocate(shape, dtype):
            if shape[0] > 1 << 30:
                raise RuntimeError("Failed to allocate Memory!\nmore")
            buffer = np.zeros(shape, dtype).view(Buffer)
            buffer.far = np.zeros(shape, dtype)
            buffer.device_address, buffer.board = BASE, board
            board.model.memory = buffer.far
            return buffer

        self.module = ModuleType("pynq")
        self.module.MMIO, self.module.Overlay, self.module.allocate = MMIO, Overlay, allocate


@pytest.fixture
def board(monkeypatch):
    board = FakeBoard()
    monkeypatch.setitem(sys.modules, "pynq", board.module)
    return board


def test_logits(board):
    with Accelerator(open_transport("a.bit", small().package)) as engine:
        engine.load(small().package)
        outputs = engine.classify(small().images).outputs
    np.testing.assert_array_equal(outputs, small().logits)
    assert board.events[0] == "download a.bit" and board.freed == 1


def test_the_engine_is_reset_before_its_bitstream_is_replaced(board):
    PynqTransport("a.bit", 4096).close()
    PynqTransport("a.bit", 4096).close()
    assert board.events == ["download a.bit"]
    PynqTransport("a.bit", 4096, reload=True).close()
    assert board.events == ["download a.bit", "reset", "download a.bit"]
    PynqTransport("", 4096).close()
    assert len(board.events) == 3


@pytest.mark.parametrize("name", ["engine", "engine/s_axi_control"])
def test_the_overlay_says_where_the_registers_are(board, name):
    board.address = 0xA123_0000
    board.blocks = {"ps": {"type": "ps"}, name: {"phys_addr": board.address}}
    PynqTransport("a.bit", 4096).close()
    assert board.mapped == 0xA123_0000


@pytest.mark.parametrize(
    ("blocks", "others"),
    [({"ps": {}, "gpio": {"phys_addr": 0}}, "gpio, ps"), ({}, "none"), ({"engine": {}}, "engine")],
)
def test_an_overlay_without_the_engine(board, blocks, others):
    """An access to registers that are not there would stop the processor."""
    board.blocks = blocks
    with pytest.raises(DeviceError) as error:
        PynqTransport("a.bit", 4096)
    assert str(error.value) == (
        f"a.bit: its .hwh file has no block 'engine' with registers, but {others}: take the two"
        " files that rtl.build made"
    )
    assert board.events == []


def test_a_bitstream_is_not_replaced_while_memory_does_not_answer(board, monkeypatch):
    board.loaded, board.model.stuck = "a.bit", True
    times = iter(range(100))
    monkeypatch.setattr(PynqTransport, "now", lambda self: next(times))
    with pytest.raises(DeviceError, match="status is resetting 2 s after a reset"):
        PynqTransport("a.bit", 4096, reload=True)
    assert "download a.bit" not in board.events


def test_one_line_for_what_goes_wrong(board, monkeypatch):
    with pytest.raises(DeviceError, match=r"^pynq: Bitstream file absent.bit does not exist.$"):
        PynqTransport("absent.bit", 4096)
    with pytest.raises(DeviceError, match=r"^pynq: Failed to allocate Memory!$"):
        PynqTransport("a.bit", 1 << 31)
    transport = PynqTransport("a.bit", 4096)
    transport.close()
    with pytest.raises(DeviceError, match="was closed"):
        transport.get(0, 4)
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(UserError, match="'pynq' not found: it comes with the board's PYNQ image"):
        PynqTransport("a.bit", 4096)
