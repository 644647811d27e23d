"""Reset as a tree of two stages of registers: the engine's root, and a copy of it for each part.

One register, or the LUT that combines two causes of a reset, cannot drive ten thousand flip-flops
far apart. A copy is in reset two cycles after the cause, and leaves it two cycles after.
"""

from collections.abc import Iterable

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Elaboratable,
    Fragment,
    Module,
    ResetInserter,
    Signal,
    Value,
)

from rtl.lib.emit import Emitter
from rtl.lib.pipeline import COPY


class ResetTree:
    """Gives parts of a module a copy each of its reset.

    When Verilog is made, a part's own ``rst`` is its copy, and nothing else resets it, so that no
    logic lies between a copy and the flip-flops. In Amaranth's simulator the module's reset acts on
    the part as well, and at once.

    Parameters
    ----------
    m : Module
        The parts' parent.
    root : Value
        A register that is high in reset, whatever the cause.
    platform : object
        That of the parent's ``elaborate``.
    """

    def __init__(self, m: Module, root: Value, platform: object):
        self.m = m
        self.root = root
        self.platform = platform

    def part(
        self, name: str, part: Elaboratable, branches: Iterable[str] = ()
    ) -> Elaboratable | Fragment:
        """Return ``part``, reset by a copy of the root.

        Parameters
        ----------
        name : str
            Name of the part, unlike any other in the design.
        part : Elaboratable
        branches : iterable of str
            Submodules of the part that get a copy of their own, because they are large.
        """
        if not isinstance(self.platform, Emitter):
            return ResetInserter(self._copy(f"{name}_reset"))(part)
        fragment = Fragment.get(part, self.platform)
        branches = set(branches)
        for index, (inside, label, place) in enumerate(fragment.subfragments):
            if label in branches:
                branches.remove(label)
                domain = self._domain(f"{name}_{label}", f"rst_{label}")
                fragment.subfragments[index] = (DomainRenamer(domain)(inside), label, place)
        assert not branches, f"{name} has no submodules {branches}"
        return DomainRenamer(self._domain(name, "rst"))(fragment)

    def _domain(self, name: str, port: str) -> str:
        """Add a clock domain with the parent's clock, whose reset is a copy of the root."""
        domain = ClockDomain(f"{name}_domain", local=True)
        domain.clk, domain.rst = Signal(name="clk"), Signal(name=port)
        self.m.domains += domain
        self.m.d.comb += [
            domain.clk.eq(ClockSignal()),
            domain.rst.eq(self._copy(f"{name}_reset")),
        ]
        return domain.name

    def _copy(self, name: str) -> Signal:
        copy = Signal(name=name, reset_less=True, attrs=COPY)
        self.m.d.sync += copy.eq(self.root)
        return copy
