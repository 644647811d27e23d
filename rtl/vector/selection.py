"""Selection of tokens: importance, threshold, places; and when each of them may begin."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Opcode
from rtl.isa.layouts import operands_layout
from rtl.lib.counts import count_flags
from rtl.lib.streams import connect
from rtl.memory.ports import (
    NUMBER,
    TOKEN,
    WritePort,
    importance_read,
    importance_write,
    place_write,
)
from rtl.vector.importance import ROWS, ClassRow, ImportanceRows, weight_beat
from rtl.vector.places import PlaceWriter
from rtl.vector.threshold import ThresholdSearch

OPERANDS = operands_layout(Opcode.SELECT)


class TokenSelection(wiring.Component):
    """Add up the importance of keys, and execute SELECT beside the softmax unit.

    ::

        weights, rows ─► importance ─► importance memory ─► threshold ─► places ─► place memory

    Not more than two flagged SOFTMAXes are between ``takes_row`` and the end of their additions,
    and none while a SELECT is between ``takes_select`` and its end: ``refuse_row`` and
    ``refuse_select`` see to that, so importance never changes under a selection. A SELECT that
    reaches the end of the unit's pipeline begins when all rows before it are added.

    A selection that comes in cycle t begins in t + 1, or in the cycle after the ``done`` of the
    last row before it. ``cycles(config, patches, others)`` after it began, ``selecting`` is low.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    takes_row, takes_select : In(1)
        The unit takes a SOFTMAX with ``importance``, or a SELECT.
    refuse_row, refuse_select : Out(1)
        It must not.
    weights : In(WritePort(weight_beat(config)))
    row : In(ClassRow)
    row_valid : In(1)
    select : In(operands of SELECT)
    number : In(NUMBER)
        With ``takes_select``.
    select_valid : In(1)
        The SELECT that was taken has reached the end of the pipeline.
    read : Out(importance_read(config))
    sums : Out(WritePort(importance_write()))
    places : Out(WritePort(place_write()))
    selecting : Out(1)
        From the cycle after ``takes_select`` until all places were written.
    idle : Out(1)
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "takes_row": In(1),
                "takes_select": In(1),
                "refuse_row": Out(1),
                "refuse_select": Out(1),
                "weights": In(WritePort(weight_beat(config))),
                "row": In(ClassRow),
                "row_valid": In(1),
                "select": In(OPERANDS),
                "number": In(NUMBER),
                "select_valid": In(1),
                "read": Out(importance_read(config)),
                "sums": Out(WritePort(importance_write())),
                "places": Out(WritePort(place_write())),
                "selecting": Out(1),
                "idle": Out(1),
            }
        )

    @classmethod
    def cycles(cls, config: EngineConfig, patches: int, others: int) -> int:
        """Cycles of a selection: threshold, places, and one until ``selecting`` is low."""
        tokens = patches + others
        return ThresholdSearch.cycles(config, patches) + PlaceWriter.cycles(tokens) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.importance = importance = ImportanceRows(self.config)
        m.submodules.search = search = ThresholdSearch(self.config)
        m.submodules.places = places = PlaceWriter(self.config)
        rows = count_flags(m, self.takes_row, importance.done, most=ROWS, name="rows")
        select, number = Signal(OPERANDS, reset_less=True), Signal(NUMBER, reset_less=True)
        selecting, waits, begins = Signal(), Signal(), Signal()
        m.d.comb += [
            begins.eq(waits & self._rows_added(m, importance)),
            self.selecting.eq(selecting),
            self.refuse_row.eq(selecting | ~rows.not_full),
            self.refuse_select.eq(selecting),
            self.idle.eq(~selecting & ~rows.not_empty),
        ]
        with m.If(self.takes_select):
            m.d.sync += [selecting.eq(1), select.eq(self.select), number.eq(self.number)]
        with m.Elif(places.done):
            m.d.sync += selecting.eq(0)
        with m.If(self.select_valid):
            m.d.sync += waits.eq(1)
        with m.Elif(begins):
            m.d.sync += waits.eq(0)
        connect(m, producer=wiring.flipped(self.weights), consumer=importance.write)
        connect(m, producer=importance.sums, consumer=wiring.flipped(self.sums))
        connect(m, producer=places.write, consumer=wiring.flipped(self.places))
        tokens = Signal(TOKEN, reset_less=True)
        m.d.sync += tokens.eq(select.patches + select.others)
        m.d.comb += [
            importance.row.eq(self.row),
            importance.row_valid.eq(self.row_valid),
            search.start.eq(begins),
            search.patches.eq(select.patches),
            search.keep.eq(select.keep),
            places.start.eq(search.done),
            places.patches.eq(select.patches),
            places.tokens.eq(tokens),
            places.stride.eq(select.stride),
            places.threshold.eq(search.threshold),
            places.ties.eq(search.ties),
            places.number.eq(number),
        ]
        self._connect_reads(m, importance, search, places)
        return m

    def _rows_added(self, m: Module, importance: ImportanceRows) -> Value:
        """Whether no row is behind ``row_valid`` and not yet done."""
        rows = count_flags(m, self.row_valid, importance.done, most=ROWS, name="landed")
        return ~rows.not_empty

    def _connect_reads(
        self, m: Module, importance: ImportanceRows, search: ThresholdSearch, places: PlaceWriter
    ) -> None:
        """One reader after the other: only one has a request in any cycle."""
        readers = importance.read, search.read, places.read
        request = self.read.request
        m.d.comb += self.read.enable.eq(Cat(reader.enable for reader in readers).any())
        for reader in readers:
            m.d.comb += reader.data.eq(self.read.data)
            with m.If(reader.enable):
                m.d.comb += request.eq(reader.request)
