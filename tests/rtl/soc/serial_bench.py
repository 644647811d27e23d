"""A bridge with a memory and a port of registers, spoken to byte by byte over its pins."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.host.frames import ANSWER, HEADER_BYTES, REQUEST, Header, decode, unchecked
from rtl.lib.streams import connect
from rtl.memory.axi import Axi4Lite, Response
from rtl.soc.bridge import SerialBridge
from rtl.soc.memory import BlockMemory
from tests.rtl.simulation import simulate

MEMORY_WORDS = 2048
PERIOD = 4
CLOCK_HZ = 115_200 * PERIOD
SILENCE_BITS = 100  # in place of 8,192: a test waits for it
REFUSED = 0xFFC  # offset of a register that answers with an error


class BridgeDesign(wiring.Component):
    """Bridge and memory; the registers are the bench's."""

    rx: In(1, init=1)
    tx: Out(1)
    registers: Out(Axi4Lite())

    def __init__(self, init=()):
        self.memory = BlockMemory(MEMORY_WORDS, init)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge = bridge = SerialBridge(CLOCK_HZ, MEMORY_WORDS)
        m.submodules.memory = self.memory
        connect(m, producer=bridge.memory, consumer=self.memory.port)
        connect(m, producer=bridge.registers, consumer=wiring.flipped(self.registers))
        m.d.comb += [bridge.rx.eq(self.rx), self.tx.eq(bridge.tx)]
        return m


class SerialHost:
    """The other end of the line: sends bytes, collects bytes, serves the registers.

    Parameters
    ----------
    init : sequence of int
        Words of the memory.
    """

    def __init__(self, init=()):
        self.design = BridgeDesign(init)
        self.received = bytearray()
        self.registers: dict[int, int] = {}
        self.accesses: list[tuple] = []
        self.period = PERIOD
        self.sequence = 0

    def run(self, bench):
        """Run ``bench(ctx, host)``."""

        async def main(ctx):
            await ctx.tick().repeat(10)
            await bench(ctx, self)

        simulate(self.design, main, background=[self._listen, self._serve])

    async def _listen(self, ctx):
        tx = self.design.tx
        while True:
            while ctx.get(tx):
                await ctx.tick()
            await ctx.tick().repeat(self.period // 2)
            byte = 0
            for bit in range(8):
                await ctx.tick().repeat(self.period)
                byte |= ctx.get(tx) << bit
            await ctx.tick().repeat(self.period)
            assert ctx.get(tx), "no stop bit"
            self.received.append(byte)

    async def _serve(self, ctx):
        bus = self.design.registers
        while True:
            await ctx.tick()
            if ctx.get(bus.awvalid & bus.wvalid):
                offset, value = ctx.get(bus.awaddr), ctx.get(bus.wdata)
                self.accesses.append(("write", offset, value))
                if offset != REFUSED:
                    self.registers[offset] = value
                await self._respond(ctx, offset, "aw", "w", "b")
            elif ctx.get(bus.arvalid):
                offset = ctx.get(bus.araddr)
                self.accesses.append(("read", offset))
                ctx.set(bus.rdata, self.registers.get(offset, 0))
                await self._respond(ctx, offset, "ar", "r")

    async def _respond(self, ctx, offset, *channels):
        """Take an access on all channels but the last, on which it is answered."""
        *taken, answer = channels
        bus = self.design.registers
        for level in (1, 0):
            for name in taken:
                ctx.set(getattr(bus, f"{name}ready"), level)
            if level:
                await ctx.tick()
        response = Response.SLVERR if offset == REFUSED else Response.OKAY
        ctx.set(getattr(bus, f"{answer}resp"), response.value)
        ctx.set(getattr(bus, f"{answer}valid"), 1)
        await ctx.tick()
        ctx.set(getattr(bus, f"{answer}valid"), 0)

    async def send(self, ctx, content):
        """Put bytes on the line, without a pause."""
        for byte in content:
            for bit in (0, *(byte >> i & 1 for i in range(8)), 1):
                ctx.set(self.design.rx, bit)
                await ctx.tick().repeat(self.period)

    async def silence(self, ctx):
        """Wait until the bridge has noticed silence."""
        await ctx.tick().repeat(self.period * (SILENCE_BITS + 12))

    async def answer(self, ctx, *, patience=60):
        """The next answer and its payload; None if nothing comes for ``patience`` bytes' time."""
        if not await self._wait(ctx, HEADER_BYTES, patience):
            return None
        header = decode(bytes(self.received[:HEADER_BYTES]))
        assert header and header.mark == ANSWER
        del self.received[:HEADER_BYTES]
        payload = b""
        if header.payload_bytes:
            assert await self._wait(ctx, header.payload_bytes + 4, patience)
            payload = unchecked(bytes(self.received[: header.payload_bytes + 4]))
            assert payload is not None
            del self.received[: header.payload_bytes + 4]
        return header, payload

    async def _wait(self, ctx, count, patience):
        quiet = 0
        while len(self.received) < count:
            before = len(self.received)
            await ctx.tick().repeat(10 * self.period)
            quiet = quiet + 1 if len(self.received) == before else 0
            if quiet > patience:
                return False
        return True

    async def ask(self, ctx, operation, address=0, value=0, payload=b"", *, step=1):
        """Send a request with the next sequence (or that of ``step``), return its answer."""
        self.sequence = (self.sequence + step) % 256
        await self.send(ctx, self.request(operation, address, value) + payload)
        found = await self.answer(ctx)
        assert found, f"no answer to {operation!r}"
        header, _ = found
        assert (header.sequence, header.operation) == (self.sequence, operation)
        assert header.address == address
        return found

    def request(self, operation, address=0, value=0):
        """Bytes of a request's header, with the current sequence."""
        return Header(REQUEST, self.sequence, operation, 0, address, value).encode()
