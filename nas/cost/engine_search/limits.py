"""The limits of a board: how much of them an engine takes, and which one keeps an engine out."""

from dataclasses import asdict, dataclass

from rtl.board import Board
from rtl.build.synthesis import Resources
from rtl.config import EngineConfig
from rtl.errors import UserError

LANES = ("token_lanes", "row_lanes", "depth_lanes")


@dataclass(frozen=True)
class Binding:
    """A limit, and an engine that it keeps out.

    Parameters
    ----------
    resource : str
        Name of the limit, as in the board's file.
    engine : str
        Description of the engine, by :func:`described`.
    needed, limit : float
        How much the engine needs, and how much the board has.
    """

    resource: str
    engine: str
    needed: float
    limit: float

    def __str__(self) -> str:
        return f"{self.resource}: {self.engine} would need {self.needed:,} of {self.limit:,}"


def require_limits(board: Board) -> None:
    """Require a limit for every resource of the board.

    Raises
    ------
    UserError
        If it lacks a limit; says how to state it.
    """
    missing = [name for name, limit in board.limits.model_dump().items() if limit is None]
    if missing:
        raise UserError(
            f"an engine search needs a board with limits, and board '{board.name}' has none of"
            f" {', '.join(missing)}: state them under [limits] in its file, or choose another board"
        )


def shares(resources: Resources, board: Board) -> dict[str, float]:
    """Return the fraction of each limit that is used."""
    limits = board.limits.model_dump()
    return {name: used / limits[name] for name, used in asdict(resources).items()}


def fullest(resources: Resources, board: Board) -> float:
    """Return the largest fraction of a limit that is used; above 1 the engine does not fit."""
    return max(shares(resources, board).values())


def binding_of(
    engine: EngineConfig, resources: Resources, board: Board, chosen: EngineConfig | None = None
) -> Binding:
    """Find the limit that an engine exceeds most."""
    used = shares(resources, board)
    name = max(used, key=used.__getitem__)
    needed, limit = getattr(resources, name), getattr(board.limits, name)
    return Binding(name, described(engine, chosen), needed, limit)


def described(engine: EngineConfig, other: EngineConfig | None = None) -> str:
    """Describe an engine by its lanes; where another one has the same, also by other sizes."""
    text = " x ".join(str(getattr(engine, name)) for name in LANES)
    if other is None or any(getattr(engine, name) != getattr(other, name) for name in LANES):
        return text
    sizes, others = asdict(engine), asdict(other)
    differing = [f"{name} {size}" for name, size in sizes.items() if size != others[name]]
    return f"{text} with {', '.join(differing)}"
