"""One driver over three ends: equal logits, equal accesses, a good run behind every error."""

from dataclasses import replace

import pytest

from boards.host.errors import DeviceError
from tests.boards.ends import CONTROL, AxiEnd, SerialEnd, UioEnd, driver
from tests.boards.host.answers import failure, good
from tests.boards.host.networks import small

ENDS = {"axi": AxiEnd, "uio": UioEnd, "serial": SerialEnd}


@pytest.fixture(params=ENDS)
def end(request, tmp_path, monkeypatch):
    return ENDS[request.param](tmp_path, monkeypatch)


def test_one_driver(end):
    images = small().images
    with driver(end) as engine:
        good(engine)
        end.log.clear()
        for _ in range(3):
            good(engine)
        starts = [access for access in end.log if access == ("write", CONTROL)]
        assert len(starts) == 3 and all(offset % 4 == 0 for _, offset in end.log)

        assert failure(engine.classify, images[:, :9]).startswith("images must be uint8 of 28x28x1")
        good(engine)

        end.fail_reads(True)
        assert "fault READ in" in failure(engine.classify, images)
        end.fail_reads(False)
        good(engine)

        at = small().package.program_offset
        word = bytearray(engine.transport.get(at, 64))
        word[32] ^= 0xF
        engine.transport.put(at, bytes(word))
        assert "the engine stopped after 0 of 5 images: fault" in failure(engine.classify, images)
        good(engine)

        other = replace(small().package, engine={"name": "other", "hash": "0" * 16})
        assert "is packaged for engine other, hash 0000" in failure(engine.load, other)
        engine.load(small().package)
        good(engine)

        end.stand_still(True)
        before = engine.transport.now()
        with pytest.raises(DeviceError):
            engine.classify(images)
        assert engine.transport.now() - before <= 2.0
        end.stand_still(False)
        good(engine)

        end.unplug(True)
        with pytest.raises(DeviceError):
            engine.classify(images)
    end.unplug(False)
    with driver(end) as engine:
        good(engine)


def test_a_busy_engine(end):
    """Somebody else has started it, and it is not done yet."""
    with driver(end) as engine:
        if isinstance(end, AxiEnd):
            end.transport.setting("latency", 5_000)
            engine.write("control", 1)
        else:
            end.model.flag("busy")
        assert "before the start: another program uses the engine" in failure(
            engine.classify, small().images
        )
        if isinstance(end, AxiEnd):
            end.transport.setting("latency", small().package.board.latency_cycles)
        good(engine)
