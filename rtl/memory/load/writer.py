"""What the writers of pixels and of tables have in common."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In

from rtl.config import EngineConfig
from rtl.memory.beats import word_layout
from rtl.memory.load.transfer import LOAD


class CutWriter(wiring.Component):
    """Gives the words of a cutter, one by one, their places in a scratchpad.

    No register between a word and its write.

    Members
    -------
    start : In(1)
        High before the first word.
    load : In(LOAD)
        Constant from ``start`` on.
    valid : In(1)
    word : In(word_layout(depth_lanes))
    """

    def __init__(self, config: EngineConfig, writes: dict[str, wiring.Member]):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "load": In(LOAD),
                "valid": In(1),
                "word": In(word_layout(config.depth_lanes)),
                **writes,
            }
        )
