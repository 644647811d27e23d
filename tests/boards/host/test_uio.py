"""UIO and u-dma-buf on a fake device: its folders, file-backed registers and memory."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from boards.host import uio
from boards.host.accelerator import Accelerator
from boards.host.errors import DeviceError
from boards.host.registers import REGISTERS
from boards.host.uio import FROM_DEVICE, TO_DEVICE, UioTransport
from rtl.config import TINY
from tests.boards.host.engine_model import EngineModel
from tests.boards.host.networks import small

CONTROL = REGISTERS["control"][0]
BYTES = 1 << 18
BASE = 0x7000_0000


class Words:
    """The registers as the driver sees them: an access is logged, and reaches the engine."""

    def __init__(self, model: EngineModel):
        self.model = model
        self.log: list[tuple[str, int]] = []

    def __getitem__(self, index: int) -> np.uint32:
        assert type(index) is int  # one word, never a slice
        self.log.append(("read", 4 * index))
        return np.uint32(self.model.read32(4 * index))

    def __setitem__(self, index: int, value: int) -> None:
        assert type(index) is int
        self.log.append(("write", 4 * index))
        self.model.write32(4 * index, value)


class Incoherent(UioTransport):
    """A device whose engine sees only what was synchronised.

    The driver maps the file; the engine's memory is another one, and a sync copies.
    """

    def attach(self, model: EngineModel) -> None:
        self.model, self.words = model, Words(model)

    def sync(self, way: str, offset: int, count: int, direction: int) -> None:
        super().sync(way, offset, count, direction)
        part = slice(offset, offset + count)
        if (way, direction) == ("sync_for_device", TO_DEVICE):
            self.model.memory[part] = self.memory[part]
        if (way, direction) == ("sync_for_cpu", FROM_DEVICE):
            self.memory[part] = self.model.memory[part]


def files(root: Path, name: str = "pulsar") -> Path:
    """Make the folders of a device."""
    buffer, device = root / "sys/class/u-dma-buf/udmabuf0", root / "sys/class/uio/uio3"
    for folder in (buffer, device / "maps/map0", root / "dev"):
        folder.mkdir(parents=True)
    (buffer / "size").write_text(f"{BYTES}\n")
    (buffer / "phys_addr").write_text(f"0x{BASE:016x}\n")
    (device / "name").write_text(f"{name}\n")
    (device / "maps/map0/size").write_text("0x1000\n")
    (root / "dev/uio3").write_bytes(bytes(4096))
    (root / "dev/udmabuf0").write_bytes(bytes(BYTES))
    return root


@pytest.fixture
def root(tmp_path):
    return files(tmp_path)


@pytest.fixture
def transport(root):
    with Incoherent(root=root) as transport:
        transport.attach(EngineModel(TINY, np.zeros(BYTES, np.uint8), BASE))
        yield transport


def test_logits_through_a_buffer_that_must_be_synchronised(transport):
    words = transport.words
    with Accelerator(transport) as engine:
        engine.load(small().package)
        words.log.clear()
        outputs = engine.classify(small().images).outputs
    np.testing.assert_array_equal(outputs, small().logits)
    assert words.log.count(("write", CONTROL)) == 1


@pytest.mark.parametrize("way", ["sync_for_device", "sync_for_cpu"])
def test_the_fake_notices_a_sync_that_is_missing(transport, way, monkeypatch):
    original = Incoherent.sync

    def sync(self, which, *arguments):
        if which != way:
            original(self, which, *arguments)

    monkeypatch.setattr(Incoherent, "sync", sync)
    with pytest.raises(DeviceError):
        Accelerator(transport).load(small().package)


def test_registers_are_words_of_the_mapped_file(root):
    with UioTransport(root=root) as transport:
        assert transport.words.dtype == np.uint32 and transport.words.flags.aligned
        transport.write32(8, 0x12345678)
        assert (root / "dev/uio3").read_bytes()[8:12] == bytes.fromhex("78563412")
        transport.write32(8, 0xFFFFFFFF)
        assert transport.read32(8) == 0xFFFFFFFF
        with pytest.raises(ValueError, match="0x6 of a register is not a multiple of 4"):
            transport.read32(6)
        assert (transport.memory_bytes, transport.base) == (BYTES, BASE)


def test_put_and_get_say_what_they_synchronise(root):
    with UioTransport(root=root) as transport:
        transport.put(64, b"abcd")
        said = {
            name: (root / "sys/class/u-dma-buf/udmabuf0" / name).read_text()
            for name in ("sync_offset", "sync_size", "sync_direction", "sync_for_device")
        }
        assert list(said.values()) == ["64", "4", "1", "1"]
        assert transport.get(64, 4) == b"abcd" == (root / "dev/udmabuf0").read_bytes()[64:68]
        assert (root / "sys/class/u-dma-buf/udmabuf0/sync_direction").read_text() == "2"


def test_wait_ends_at_the_interrupt_and_at_the_limit(root, monkeypatch):
    mine, theirs = os.pipe()
    with UioTransport(root=root) as transport:
        written = []
        monkeypatch.setattr(transport, "_events", mine)
        monkeypatch.setattr(uio.os, "write", lambda file, data: written.append((file, data)))
        before = transport.now()
        transport.wait(0.02)
        assert transport.now() - before >= 0.02 and written == [(mine, b"\1\0\0\0")]
        monkeypatch.undo()
        os.write(theirs, b"\1\0\0\0")
        monkeypatch.setattr(transport, "_events", mine)
        monkeypatch.setattr(uio.os, "write", lambda file, data: None)
        transport.wait(30)
    os.close(mine)
    os.close(theirs)


def refusal(root: Path, name: str = "pulsar") -> str:
    with pytest.raises(DeviceError) as error:
        UioTransport(name, root)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_missing_is_named(root, tmp_path):
    assert refusal(tmp_path / "empty").startswith(f"{tmp_path}/empty/sys/class/uio has no device")
    assert "no device named 'other': load the device tree overlay" in refusal(root, "other")
    (root / "dev/udmabuf0").unlink()
    assert refusal(root) == f"{root}/dev/udmabuf0: No such file or directory"


def test_a_port_of_a_wrong_width_is_a_fault_of_the_engine(transport):
    """What the processors write and compare does not pass it: docs/zynq.md says what is seen."""
    half = np.arange(BYTES) % 16 < 8

    class Narrow(EngineModel):
        def run(self):
            self.memory[half] = 0
            super().run()

    transport.attach(Narrow(TINY, np.zeros(BYTES, np.uint8), BASE))
    page = (Path(__file__).parents[3] / "docs" / "zynq.md").read_text()
    said = r"the engine stopped after 0 of 1 images: fault [A-Z]+ in fetch"
    assert re.search(rf"^\| `{said}` or another fault", page, re.M)
    with pytest.raises(DeviceError, match=said):
        Accelerator(transport).load(small().package)


def buffer(root: Path, name: str, count: int) -> None:
    """Make another buffer."""
    folder = root / "sys/class/u-dma-buf" / name
    folder.mkdir()
    (folder / "size").write_text(f"{count}\n")
    (folder / "phys_addr").write_text("0x60000000\n")
    (root / "dev" / name).write_bytes(bytes(count))


def test_of_several_buffers_the_engine_s_is_taken(root):
    """By the overlay's name, wherever it comes in their order; else the first one."""
    for name, count, found in (
        ("udmabuf9", 4096, BYTES),  # behind udmabuf0
        ("udmabuf-other", 8192, 8192),  # before it
        ("udmabuf-pulsar", 16_384, 16_384),
    ):
        buffer(root, name, count)
        with UioTransport(root=root) as transport:
            assert transport.memory_bytes == found


def test_permission_and_then_a_good_run(root, monkeypatch):
    original = os.open

    def denied(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(uio.os, "open", denied)
    said = "Permission denied: run as root, or give your user access"
    assert refusal(root) == f"{root}/dev/uio3: {said}"
    monkeypatch.setattr(uio.os, "open", original)
    UioTransport(root=root).close()
