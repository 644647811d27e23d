"""What the loaders have in common."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from rtl.config import EngineConfig
from rtl.memory.clients import beat_layout
from rtl.memory.load.transfer import transfer_layout


class Loader(wiring.Component):
    """What the loaders have in common: a transfer, its beats, and the scratchpads that get them.

    A loader takes the transfer when it has made the last of its writes. It is ready for beats while
    the transfer is running, and only then.

    Members
    -------
    transfer : In(stream of transfer_layout)
    beats : In(stream of beat_layout)
        Those of the transfer, no more.
    """

    def __init__(self, config: EngineConfig, writes: dict[str, wiring.Member]):
        self.config = config
        super().__init__(
            {
                "transfer": In(stream.Signature(transfer_layout(config))),
                "beats": In(stream.Signature(beat_layout(config.memory_bytes))),
                **writes,
            }
        )

    def running(self, m: Module) -> Signal:
        """Low for the cycle in which a transfer's counters are set."""
        running = Signal()
        m.d.sync += running.eq(self.transfer.valid & ~(running & self.transfer.ready))
        return running
