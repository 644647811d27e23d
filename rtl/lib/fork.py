"""One stream into several."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring


def fork(m: Module, source: wiring.PureInterface, *sinks: wiring.PureInterface) -> None:
    """Hand each transfer of ``source`` to all ``sinks`` in the same cycle, once all are ready.

    A sink gets those fields of the source's payload that its own payload has. No register; the
    ``ready`` of a sink must not depend on its ``valid``.
    """
    m.d.comb += source.ready.eq(Cat(sink.ready for sink in sinks).all())
    for sink in sinks:
        others = Cat(other.ready for other in sinks if other is not sink)
        m.d.comb += sink.valid.eq(source.valid & others.all())
        m.d.comb += [sink.p[name].eq(source.p[name]) for name, _ in sink.p.shape()]
