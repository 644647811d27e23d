"""The fetcher in the timing model: beats become instructions, which are decoded into the queues.

Follows :mod:`rtl.control.fetch`. All times are clock cycles of the RTL.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from rtl.config import EngineConfig
from rtl.isa.instructions import IMAGES_IN_FLIGHT, INSTRUCTION_BYTES, Unit
from rtl.timing.latencies import UnitLatencies
from rtl.timing.port import NEVER, ProgramReader

NO_UNIT = -1  # stands for the unit of BEGIN and END, or for none


class FetchTiming:
    """The fetcher: reads the program once per image, and decodes one instruction after the other.

    Parameters
    ----------
    engine : EngineConfig
    latencies : UnitLatencies
    address : int
        First byte of the program.
    units : sequence of Unit or None
        The unit that executes each instruction; None for BEGIN and END.
    images : int
        How often the program is run.

    Attributes
    ----------
    reader : ProgramReader
        Reads the program for the latest image that it was asked for.
    available : list of float
        Per instruction, image by image, when it can be at the head of its unit's queue at the
        earliest; NEVER if it was not decoded yet. One image more comes before the first, as in
        :mod:`rtl.timing.simulate`.
    issued : list of deque of float
        Per unit, when instructions leave its queue, as far as known: appended by the units, taken
        by the fetcher for each place that it fills. All places were empty from the start.
    full : int
        The unit whose queue the fetcher waits for; ``NO_UNIT`` if it does not.
    """

    def __init__(
        self,
        engine: EngineConfig,
        latencies: UnitLatencies,
        address: int,
        units: Sequence[Unit | None],
        images: int,
    ):
        self.latencies = latencies
        self.beat_bytes = engine.memory_bytes
        self.beats = max(1, INSTRUCTION_BYTES // self.beat_bytes)  # of an instruction
        self.per_beat = max(1, self.beat_bytes // INSTRUCTION_BYTES)  # instructions
        self.address = address
        self.units = [NO_UNIT if unit is None else int(unit) for unit in units]
        self.images = images
        self.available = [NEVER] * len(units) * (images + 1)
        self.issued = [deque([-NEVER] * engine.queue_depth) for _ in Unit]
        self.full = NO_UNIT
        self.decoded = 0  # images whose END was decoded
        self.ended = 0.0  # when the latest one was
        self.asked = 1  # images whose program was asked for
        self.reader = self._read(latencies.request)

    def _read(self, requested: float) -> ProgramReader:
        return ProgramReader(
            self.address, len(self.units), self.beat_bytes, requested, self.latencies.queue
        )

    def ask(self, done: Sequence[float]) -> None:
        """Ask for the program of the next image, once the image before the latest one is done.

        Parameters
        ----------
        done : sequence of float
            When each image is done; NEVER if unknown.
        """
        image = self.asked
        if image == self.images or self.decoded < image:
            return
        before = done[image - IMAGES_IN_FLIGHT] if image >= IMAGES_IN_FLIGHT else 0.0
        if before != NEVER:
            self.asked += 1
            self.reader = self._read(max(self.ended, before) + self.latencies.again)

    def process(self, done: Sequence[float]) -> Iterator[int]:
        """Decode as far as beats are there and queues have room, whenever it is resumed.

        Yields a bit for each unit that got instructions since then.
        """
        decode, queue = self.latencies.decode, self.latencies.queue
        beats, per_beat = self.beats, self.per_beat
        available, issued = self.available, self.issued
        woken = 0
        for image in range(self.images):
            while self.asked <= image:
                yield woken
                woken = 0
            reader = self.reader
            buffered, take = reader.buffered, reader.take
            beat, inside = 0, 0  # instructions of the latest beat that are still inside
            # When the latest instruction leaves the gearbox, and enters and leaves the decoder;
            # when the one before entered it.
            at = entered = left = before = 0.0
            for number, unit in enumerate(self.units, (image + 1) * len(self.units)):
                if inside:
                    inside -= 1
                    at += 1
                else:
                    stop = beat + beats
                    while len(buffered) < stop:
                        yield woken
                        woken = 0
                    at = take(beat, stop, at)
                    beat, inside = stop, per_beat - 1
                if before >= at:
                    at = before + 1
                before, entered = entered, at + decode - 1
                if left > entered:
                    entered = left
                left = entered + 1
                if unit != NO_UNIT:
                    places = issued[unit]
                    while not places:
                        self._take_ahead(beat, inside, at, (before, entered))
                        self.full = unit
                        yield woken
                        woken = 0
                    room = places.popleft() + 1
                    if room > left:
                        left = room
                    available[number] = left + queue
                    woken |= 1 << unit
            self.ended = left
            self.decoded += 1
            self.ask(done)
        while True:
            yield woken
            woken = 0

    def _take_ahead(self, beat: int, inside: int, at: float, entered: tuple[float, float]) -> None:
        """Take the beats of those instructions that still move while the decoder waits.

        Two of them fit into the skid buffer in front of it, and one into the gearbox.

        Parameters
        ----------
        beat : int
            The first one that the decoder's instruction did not need.
        inside : int
            Instructions that are left of the beat before.
        at : float
            When the decoder's instruction left the gearbox.
        entered : (float, float)
            When the instruction before it entered the decoder, and when it did itself.
        """
        reader = self.reader
        for free in (*entered, NEVER):
            if inside:
                inside -= 1
                at += 1
            else:
                stop = beat + self.beats
                if len(reader.buffered) < stop:
                    return
                at = reader.take(beat, stop, at)
                beat, inside = stop, self.per_beat - 1
            at = max(at, free + 1)
