"""What the structure of the vectorised latency model leaves open."""

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Coefficients:
    """What the structure leaves open; cycles unless said. The defaults are first guesses.

    Parameters
    ----------
    start : float
        From the start to the first LOAD's data, beyond two latencies of the memory.
    pixels : float
        From the first weights to the first pixels' use.
    chain : float
        From scores over softmax to the context, beyond the units' own latencies.
    tail : float
        The same of a block's first and last item, where softmax decides.
    norm : float
        From a matrix to LayerNorm to the next matrix, beyond the units' own latencies.
    turn : float
        From a matrix to one that needs its result, beyond the drain.
    query : float
        From the class token's queries to its scores, beyond a turn.
    end : float
        From the last logits to the image's end, beyond the STORE.
    table : float
        Of a GELU table's load, beyond a cycle per entry.
    read : float
        Of a read beyond the memory's latency, where reads in flight limit the bandwidth.
    program : float
        The same for the program's.
    room : float
        From a weight block's last use to the first data of what takes its place, beyond the
        memory's latency.
    contention : float
        Part of the loads' reads in flight that an instruction's read waits for.
    """

    start: float = 16.0
    pixels: float = 15.0
    chain: float = 10.0
    tail: float = 40.0
    norm: float = 15.0
    turn: float = 13.0
    query: float = 12.0
    end: float = 14.0
    table: float = 18.0
    read: float = 10.0
    program: float = 12.0
    room: float = 37.0
    contention: float = 1.0

    def to_json(self) -> dict[str, float]:
        """By name, four digits behind the point."""
        return {name: round(value, 4) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, float]) -> "Coefficients":
        """From a dictionary; ``ValueError`` names what is missing or unknown."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ValueError(f"coefficients {sorted(set(values) ^ names)}")
        return cls(**values)


STEPS = Coefficients(  # in which a fit measures its way
    start=60, pixels=20, chain=10, tail=10, norm=10, turn=10, query=10, end=10, table=20, read=10,
    program=10, room=10, contention=0.1,
)  # fmt: skip
