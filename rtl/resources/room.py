"""Room for an engine on an ECP5, beside what a board's top module puts around it."""

from rtl.board import Board
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.resources.memories import block_memories
from rtl.resources.structure import dsps

FAMILY = "ecp5"


def require_room(board: Board, engine: EngineConfig, block_rams: int) -> None:
    """Check the resources that are counted exactly, before hours of placing and routing.

    Parameters
    ----------
    board : Board
        One with an ECP5, and limits.
    engine : EngineConfig
    block_rams : int
        Block RAMs of 18 kbit around the engine.

    Raises
    ------
    UserError
        If block RAMs or multipliers do not suffice; says which, and by how much.
    """
    needed = {
        "block RAMs": (2 * sum(block_memories(engine, FAMILY).values()), block_rams),
        "multipliers": (sum(dsps(engine, FAMILY).values()), 0),
    }
    limits = {"block RAMs": 2 * (board.limits.bram36 or 0), "multipliers": board.limits.dsp or 0}
    for name, (own, around) in needed.items():
        if own + around > limits[name]:
            raise UserError(
                f"engine '{engine.name}' does not fit board '{board.name}' with what is around it:"
                f" {name} {own:g} + {around} > {limits[name]}; give smaller sizes with --engine,"
                " or --no-bitstream to count alone"
            )
