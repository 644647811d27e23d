"""Rules for an AXI4 manager, checked in every cycle of a bench."""

from typing import Any

from cocotb.triggers import ReadOnly, RisingEdge

CHANNELS = {
    "ar": ("araddr", "arlen", "arsize", "arburst"),
    "aw": ("awaddr", "awlen", "awsize", "awburst"),
    "w": ("wdata", "wstrb", "wlast"),
}
BOUNDARY_BYTES = 4096
BURST_BEATS = 16


class AxiRules:
    """Watches the manager's channels of ``dut.memory__*``.

    A valid stays, with its payload, until it is accepted; bursts are INCR, of whole beats, aligned,
    at most BURST_BEATS and inside 4 KB; ``wlast`` is on a burst's last beat.
    """

    def __init__(self, dut: Any, beat_bytes: int):
        self.dut = dut
        self.beat_bytes = beat_bytes
        self.waiting: dict[str, tuple[int, ...]] = {}
        self.write_beats: list[int] = []  # of each burst, by its address
        self.data_beats: list[int] = []  # of each burst, by its data
        self.sent = 0  # data beats of the burst that is not complete
        self.outstanding = self.most_outstanding = 0

    def value(self, name: str) -> int:
        return int(getattr(self.dut, f"memory__{name}").value)

    async def watch(self) -> None:
        """Run as a task."""
        while True:
            await RisingEdge(self.dut.clk)
            await ReadOnly()
            for channel, names in CHANNELS.items():
                self._check(channel, names)
            self.outstanding -= (
                self.value("rvalid") and self.value("rready") and self.value("rlast")
            )

    def _check(self, channel: str, names: tuple[str, ...]) -> None:
        payload = (
            tuple(self.value(name) for name in names) if self.value(f"{channel}valid") else None
        )
        if channel in self.waiting:
            assert payload == self.waiting.pop(channel), f"{channel} changed before it was accepted"
        if payload is None:
            return
        if not self.value(f"{channel}ready"):
            self.waiting[channel] = payload
        elif channel == "w":
            self._count(payload[2])
        else:
            self._burst(channel, *payload)

    def _burst(self, channel: str, address: int, length: int, size: int, burst: int) -> None:
        bytes_ = (length + 1) * self.beat_bytes
        assert burst == 1 and 1 << size == self.beat_bytes, (burst, size)
        assert address % self.beat_bytes == 0 and length < BURST_BEATS, (address, length)
        assert address % BOUNDARY_BYTES + bytes_ <= BOUNDARY_BYTES, (address, length)
        if channel == "aw":
            self.write_beats.append(length + 1)
            self._compare()
        else:
            self.outstanding += 1
            self.most_outstanding = max(self.outstanding, self.most_outstanding)

    def _count(self, last: int) -> None:
        self.sent += 1
        if last:
            self.data_beats.append(self.sent)
            self.sent = 0
        self._compare()

    def _compare(self) -> None:
        """Compare bursts whose address and data are both there; either may come first."""
        while self.write_beats and self.data_beats:
            assert self.write_beats.pop(0) == self.data_beats.pop(0), "wlast out of place"
