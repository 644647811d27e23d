"""The top's Verilog is kept by the source that it comes from."""

import pytest

from rtl import config
from rtl.board import load_board
from rtl.errors import UserError
from rtl.lib.devices import Primitives
from rtl.lib.emit import mark_used
from sim.pins import top
from sim.pins.top import build_top, generate_top, rtl_hash


def test_only_hardware_counts(monkeypatch):
    files = []
    monkeypatch.setattr(top, "source_hash", lambda given: files.extend(given) or "0")
    rtl_hash()
    names = {file.relative_to(top.ROOT).as_posix() for file in files}
    assert {"rtl/engine.py", "rtl/soc/ulx3s.py", "rtl/lib/emit.py", "rtl/build/verilog.py",
            "rtl/isa/registers.py", "boards/host/frames.py"} <= names  # fmt: skip
    assert not any(name.startswith(("rtl/compiler/", "rtl/timing/")) for name in names)
    assert not {"rtl/build/route.py", "rtl/board/board.py", "rtl/cli.py"} & names


def test_verilog_is_emitted_once(monkeypatch, tmp_path):
    made = []
    monkeypatch.setenv("PULSAR_CACHE", str(tmp_path))

    def emit(component, name, primitives, **_):
        mark_used(component)
        assert primitives is Primitives.ECP5
        made.append(name)
        return "text"

    monkeypatch.setattr(top, "emit_verilog", emit)
    board = load_board("ulx3s")
    first = generate_top(board, config.ULX3S)
    assert (first.read_text(), first.name) == ("text", "pulsar_ulx3s.v")
    assert generate_top(board, config.ULX3S) == first and made == ["pulsar_ulx3s"]
    monkeypatch.setenv("PULSAR_HOSTILE", "1")
    assert generate_top(board, config.ULX3S) != first and len(made) == 2


def test_a_board_without_a_top():
    with pytest.raises(UserError, match=r"^board 'zcu102' has no pins here: choose ulx3s$"):
        build_top(load_board("zcu102"), config.ZCU102)
