"""AXI4 and AXI4-Lite, with the standard's signal names, as the manager sees them.

Amaranth names a port ``<member>__<signal>``: a member ``memory`` gives ``memory__araddr``.
"""

from dataclasses import dataclass

from amaranth.hdl import Module
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out, Signature

from rtl.isa.registers import ADDRESS_BITS, LITE_ADDRESS_BITS

ID_BITS = 1
BURST_BEATS = 16  # at most; a burst lies in a block of so many beats, hence never crosses 4 KB
BOUNDARY_BYTES = 4096
LITE_BYTES = 4

INCR = 1


@dataclass(frozen=True)
class AxiAttributes:
    """Signals of the address channels that the host's system decides on.

    Parameters
    ----------
    cache : int
        AxCACHE, 4 bits: bufferable and modifiable. Coherent ports want 0b1011 or 0b1111.
    prot : int
        AxPROT, 3 bits: data, secure, unprivileged. A coherent port under Linux wants 0b010.
    """

    cache: int = 0b0011
    prot: int = 0b000


NORMAL = AxiAttributes()


class Response(enum.Enum, shape=2):
    """RRESP and BRESP; bit 1 tells errors from the rest."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _address_channel(prefix: str) -> dict[str, wiring.Member]:
    return {
        f"{prefix}id": Out(ID_BITS),
        f"{prefix}addr": Out(ADDRESS_BITS),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}lock": Out(1),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def _read_channels(data_bytes: int) -> dict[str, wiring.Member]:
    return _address_channel("ar") | {
        "rid": In(ID_BITS),
        "rdata": In(8 * data_bytes),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write_channels(data_bytes: int) -> dict[str, wiring.Member]:
    return _address_channel("aw") | {
        "wdata": Out(8 * data_bytes),
        "wstrb": Out(data_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(ID_BITS),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


class Axi4Read(Signature):
    """Channels AR and R, ``data_bytes`` wide."""

    def __init__(self, data_bytes: int):
        super().__init__(_read_channels(data_bytes))


class Axi4Write(Signature):
    """Channels AW, W and B, ``data_bytes`` wide."""

    def __init__(self, data_bytes: int):
        super().__init__(_write_channels(data_bytes))


class Axi4(Signature):
    """All five channels, ``data_bytes`` wide."""

    def __init__(self, data_bytes: int):
        super().__init__(_read_channels(data_bytes) | _write_channels(data_bytes))


class Axi4Lite(Signature):
    """32 bits of data, ``LITE_ADDRESS_BITS`` of address."""

    def __init__(self) -> None:
        super().__init__(
            {
                "awaddr": Out(LITE_ADDRESS_BITS),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(8 * LITE_BYTES),
                "wstrb": Out(LITE_BYTES),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(LITE_ADDRESS_BITS),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(8 * LITE_BYTES),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


def pass_through(m: Module, outer: wiring.PureInterface, inner: wiring.PureInterface) -> None:
    """Wire a component's own port ``outer`` to the channels that its submodule ``inner`` has.

    Both are seen as their owner sees them, with the manager's directions.
    """
    for name, member in inner.signature.members.items():
        source, sink = (inner, outer) if member.flow is Out else (outer, inner)
        m.d.comb += getattr(sink, name).eq(getattr(source, name))


def drive_address(
    m: Module, port: wiring.PureInterface, prefix: str, data_bytes: int, attributes: AxiAttributes
) -> None:
    """The constant signals of an address channel: incrementing bursts of whole beats, ID 0."""
    constants = {
        "id": 0,
        "size": data_bytes.bit_length() - 1,
        "burst": INCR,
        "lock": 0,
        "cache": attributes.cache,
        "prot": attributes.prot,
    }
    for name, value in constants.items():
        m.d.comb += getattr(port, prefix + name).eq(value)
