"""Requests over a serial line that loses and damages bytes: numbered, repeated, answered once.

Source: docs/serial.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boards.host import frames
from boards.host.errors import DeviceError
from boards.host.frames import HEADER_BYTES, SEQUENCES, Header, LinkOperation, LinkStatus
from boards.host.line import Line

CRC_BYTES_PER_S = 1_000_000
TRIES = 8
FAST_TRIES = 3  # before the first rate is taken again, and after
FALLBACK_S = 1.25 * frames.FALLBACK_S
CLOSED = "the board was reset or configured anew: open it again"
READS = (LinkOperation.READ_BLOCK, LinkOperation.CRC)
ALONE = (LinkOperation.WRITE32, LinkOperation.PERIOD, LinkOperation.SYNC, LinkOperation.STATE)


@dataclass
class LinkRequest:
    """A request, and its answer.

    Parameters
    ----------
    operation : LinkOperation
    address, value : int
    payload : bytes
        Of WRITE_BLOCK.
    """

    operation: LinkOperation
    address: int = 0
    value: int = 0
    payload: bytes = b""

    def encode(self, sequence: int) -> bytes:
        """Return the frame."""
        header = Header(
            frames.REQUEST, sequence, self.operation, 0, self.address, self.value
        ).encode()
        return header + frames.checked(self.payload) if self.payload else header

    @property
    def answer_bytes(self) -> int:
        """Bytes of the answer's frame."""
        reads = self.operation is LinkOperation.READ_BLOCK
        return HEADER_BYTES + (self.value + frames.CHECK_BYTES) * reads


@dataclass(frozen=True)
class LinkAnswer:
    """The value of an answer, and its payload."""

    header: Header
    payload: bytes = b""


class LostAnswer(Exception):
    """No good answer in time: send again.

    Parameters
    ----------
    said : str
    taken : bool
        The bridge says that it took more requests than were answered: it does answer.
    """

    def __init__(self, said: str = "", taken: bool = False):
        super().__init__(said)
        self.taken = taken


class SerialLink:
    """Numbered requests to a bridge.

    Parameters
    ----------
    line : Line
        At the first rate.

    :meth:`ask` gets an answer to each request, or raises ``DeviceError`` within two seconds.
    """

    def __init__(self, line: Line):
        self.line = line
        self.baud = frames.FIRST_BAUD
        self.repeats = 0  # how often something was sent again
        self.bad: set[int] = set()  # rates at which answers stayed away
        self._last = 0  # sequence of the last request that was numbered
        self._sent_at = line.now()  # when the last byte will have left
        self._input = bytearray()
        self._certain = True  # that _last is what the bridge has, too

    def open(self) -> None:
        """Open the link: from here on, requests are numbered."""
        self._quiet()
        self._exchange(LinkRequest(LinkOperation.SYNC), self._last, TRIES)
        self._certain = True

    def ask(self, requests: Sequence[LinkRequest]) -> list[LinkAnswer]:
        """Send requests, several at a time where that is allowed; return their answers in order.

        Raises
        ------
        DeviceError
            If the bridge does not answer, refuses one, or was reset.
        """
        if self.baud != frames.FIRST_BAUD and self.line.now() - self._sent_at > FALLBACK_S:
            self._fall_back()  # so has the bridge
        if not self._certain:
            self._quiet()
            self._last = self._state() >> frames.LAST_BIT & (SEQUENCES - 1)
        self._certain = False  # should this end early, a number may be taken already
        answers = self._answered(requests)
        self._certain = True
        return answers

    def _answered(self, requests: Sequence[LinkRequest]) -> list[LinkAnswer]:
        """Send again what was lost, until there is an answer to each request."""
        answers: list[LinkAnswer] = []
        tries = 0
        while len(answers) < len(requests):
            count = len(answers)
            try:
                self._stream(requests, answers)
            except LostAnswer as lost:
                tries = 1 if len(answers) > count else tries + 1
                self.repeats += 1
                self._quiet()
                if self.baud != frames.FIRST_BAUD and tries >= FAST_TRIES:
                    self.bad.add(self.baud)
                    self._fall_back()
                    tries = TRIES - FAST_TRIES
                if lost.taken:  # and perhaps more of them since
                    self._last = self._state() >> frames.LAST_BIT & (SEQUENCES - 1)
                elif tries >= TRIES:
                    raise DeviceError(f"the board does not answer ({lost})") from None
        return answers

    def set_period(self, period: int, baud: int) -> bool:
        """Change bit period and rate; False if the new one does not work, and the first is back.

        Parameters
        ----------
        period : int
            Cycles of the bridge's clock.
        baud : int
            The same as a rate that the line knows.
        """
        self.ask([LinkRequest(LinkOperation.PERIOD, value=period)])
        self.line.pause(self._seconds(1 / frames.BITS_PER_BYTE))  # the answer's stop bit
        if self.line.set_baud(baud):
            self.baud = baud
            try:
                self._exchange(LinkRequest(LinkOperation.STATE), self._last, FAST_TRIES)
                return True
            except DeviceError:
                pass
        self._fall_back()
        return False

    # ------------------------------------------------------------ sending and receiving

    def _stream(self, requests: Sequence[LinkRequest], answers: list[LinkAnswer]) -> None:
        """Send what has no answer yet, and take answers until all are there.

        Raises
        ------
        LostAnswer
            If an answer does not come, or is another one's. ``_last`` is then the sequence of the
            last request that was answered, or that the bridge says it took.
        """
        sent = len(answers)
        base = self._last - len(answers)  # sequence of a request: base + 1 + index
        while len(answers) < len(requests):
            while sent < len(requests) and self._may_send(requests, len(answers), sent):
                self._send(requests[sent], base + 1 + sent)
                sent += 1
            index = len(answers)
            answer = self._receive(requests[index:sent])
            ahead = (answer.header.sequence - (base + 1 + index)) % SEQUENCES
            if ahead >= sent - index:
                continue  # late: to something that was answered before
            if answer.header.status == LinkStatus.ORDER:
                self._resume(answer.header.value, base + index, sent - index)
            if ahead or answer.header.operation != requests[index].operation:
                raise LostAnswer("an answer is missing")
            self._require_ok(requests[index], answer.header)
            answers.append(answer)
            self._last = (self._last + 1) % SEQUENCES

    def _resume(self, last: int, answered: int, waiting: int) -> None:
        """Number what has no answer anew, behind the last request that the bridge took.

        Parameters
        ----------
        last : int
            Sequence of that, as the bridge says.
        answered : int
            Sequence of the last request that was answered.
        waiting : int
            How many were sent behind it.
        """
        taken = (last - answered) % SEQUENCES
        if taken > waiting:
            raise DeviceError("the board takes requests of another program: close that one")
        raise LostAnswer("a request was lost", taken > 0)

    def _may_send(self, requests: Sequence[LinkRequest], first: int, index: int) -> bool:
        """Whether a request may follow those that have no answer yet."""
        open_ = requests[first:index]
        if not open_:
            return True
        if any(each.operation in ALONE for each in (*open_, requests[index])):
            return False
        reads = any(each.operation in READS for each in (*open_, requests[index]))
        return len(open_) < (frames.UNANSWERED_READS if reads else frames.UNANSWERED)

    def _send(self, request: LinkRequest, sequence: int) -> None:
        data = request.encode(sequence % SEQUENCES)
        self.line.write(data)
        self._sent_at = max(self._sent_at, self.line.now()) + self._seconds(len(data))

    def _receive(self, waiting: Sequence[LinkRequest]) -> LinkAnswer:
        """Take the next answer.

        Raises
        ------
        LostAnswer
            If none comes in time, or it is damaged.
        """
        busy = sum(each.value for each in waiting if each.operation is LinkOperation.CRC)
        limit = max(self._sent_at, self.line.now()) + self.line.latency_s + busy / CRC_BYTES_PER_S
        limit += sum(self._seconds(each.answer_bytes) for each in waiting)
        data = self._take(HEADER_BYTES, limit)
        header = frames.decode(data)
        if header is None or header.mark != frames.ANSWER:
            raise LostAnswer("its answers are damaged")
        count = header.payload_bytes
        if not count:
            return LinkAnswer(header)
        if count > frames.PAYLOAD_MAX:
            raise LostAnswer("its answers are damaged")
        payload = frames.unchecked(self._take(count + frames.CHECK_BYTES, limit))
        if payload is None:
            raise LostAnswer("its answers are damaged")
        return LinkAnswer(header, payload)

    def _take(self, count: int, limit: float) -> bytes:
        while len(self._input) < count:
            left = limit - self.line.now()
            data = self.line.read(left) if left > 0 else b""
            if not data:
                heard = "its answers are cut short" if self._input else "nothing came"
                raise LostAnswer(f"{heard} at {self.baud:,} baud")
            self._input += data
        taken = bytes(self._input[:count])
        del self._input[:count]
        return taken

    def _require_ok(self, request: LinkRequest, header: Header) -> None:
        if header.status == LinkStatus.CLOSED:
            raise DeviceError(CLOSED)
        if header.status != LinkStatus.OK:
            known = header.status in tuple(LinkStatus)
            status = LinkStatus(header.status).name if known else str(header.status)
            raise DeviceError(
                f"the board refuses {request.operation.name} at 0x{request.address:08x}: {status}"
            )

    # ------------------------------------------------------------ when something went wrong

    def _quiet(self) -> None:
        """Drop what comes until there was silence on both sides."""
        silence = self._seconds(frames.SILENCE_BITS / frames.BITS_PER_BYTE) * 1.1
        ends = max(self._sent_at, self.line.now()) + silence
        limit = ends + self.line.latency_s + self._seconds(frames.UNANSWERED * HEADER_BYTES)
        while (left := ends - self.line.now()) > 0:
            if self.line.read(left) and self.line.now() < limit:
                ends = max(ends, self.line.now() + silence)
        self._input.clear()

    def _fall_back(self) -> None:
        """Go back to the first rate, when the bridge has, and make sure that it is the same one."""
        left = self._sent_at + FALLBACK_S - self.line.now()
        if left > 0:
            self.line.pause(left)
        self.baud = frames.FIRST_BAUD
        self.line.set_baud(self.baud)
        self._quiet()
        self._state()

    def _state(self) -> int:
        """Ask for the bridge's state, and make sure that it is open."""
        state = self._exchange(
            LinkRequest(LinkOperation.STATE), self._last, FAST_TRIES
        ).header.value
        if not state >> frames.OPEN_BIT & 1:
            raise DeviceError(CLOSED)
        return state

    def _exchange(self, request: LinkRequest, sequence: int, tries: int) -> LinkAnswer:
        """Ask STATE or SYNC, which any sequence will do for."""
        lost = LostAnswer()
        for _ in range(tries):
            try:
                self._send(request, sequence)
                answer = self._receive([request])
                while answer.header.operation != request.operation:  # late, to something else
                    answer = self._receive([request])
                return answer
            except LostAnswer as error:
                lost = error
                self.repeats += 1
                self._quiet()
        raise DeviceError(f"the board does not answer ({lost})")

    def _seconds(self, count: float) -> float:
        """Seconds that bytes take at the rate of now."""
        return count * frames.BITS_PER_BYTE / self.baud
