"""Which scenarios, of those in the unit tests, run on the Verilog of each unit too."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.engine import MEMORIES
from rtl.matmul.unit import MatmulUnit
from rtl.memory.load.unit import LoadUnit
from rtl.memory.store import StoreUnit
from rtl.vector.layernorm import NormUnit
from rtl.vector.softmax import SoftmaxUnit
from tests.rtl.matmul import test_relocation, test_unit, test_unit_timing
from tests.rtl.memory import test_store
from tests.rtl.memory.load import test_unit as test_load
from tests.rtl.memory.scratchpads import test_scratchpad
from tests.rtl.sizes import TINY
from tests.rtl.vector import test_layernorm, test_selection, test_softmax
from tests.rtl.vector.selection_bench import SelectingUnit
from tests.rtl.verilog import test_probe


@dataclass(frozen=True)
class Unit:
    """A component, and tests of it by what they show.

    A test may make components of this kind and size alone. The first one finds the device just
    switched on, later ones find it after a reset: memories keep what is in them.

    Parameters
    ----------
    component : callable
        Makes what is built.
    scenarios : dict
        Tests, by a name for what they show.
    side_by_side : bool
        A scenario is about the part of the component that has the scenario's name.
    """

    component: Callable[[], wiring.Component]
    scenarios: dict[str, Callable[[], None]]
    side_by_side: bool = False


class SideBySide(wiring.Component):
    """Several components in one module, which builds faster than a module for each.

    Members
    -------
    The ports of each part, below the part's name.
    """

    def __init__(self, parts: dict[str, wiring.Component]):
        self.parts = parts
        super().__init__({name: Out(part.signature) for name, part in parts.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
            wiring.connect(m, part, wiring.flipped(getattr(self, name)))
        return m


def scratchpads(config: EngineConfig) -> Unit:
    """All memories of one engine."""
    by_beats = test_scratchpad.test_words_written_by_memory_beats
    scenarios = {
        "activations": test_scratchpad.test_activations_by_granule,
        "pixels": test_scratchpad.test_pixels,
        "keys": partial(test_scratchpad.test_keys_and_values, "keys"),
        "values": partial(test_scratchpad.test_keys_and_values, "values"),
        "scores": test_scratchpad.test_scores_read_one_lane,
        "residual": test_scratchpad.test_residual_reads_take_turns_by_half,
        "weights": partial(by_beats, "weights", config.memory_bytes),
        "parameters": partial(by_beats, "parameters", config.memory_bytes),
        "exponents": partial(by_beats, "exponents", config.memory_bytes),
    }
    return Unit(
        lambda: SideBySide({name: memory(config) for name, memory in MEMORIES.items()}),
        {name: partial(scenario, config=config) for name, scenario in scenarios.items()},
        side_by_side=True,
    )


UNITS = {
    "probe": Unit(test_probe.Probe, {"semantics": test_probe.test_semantics}),
    "matmul": Unit(
        partial(MatmulUnit, test_unit.SMALL),
        {
            "values": partial(
                test_unit.test_random_instructions_equal_the_model, "small", 12, (0, 70)
            ),
            "cycles": partial(test_unit_timing.test_cycles_of_instructions_back_to_back, "small"),
            "drain": test_unit_timing.test_the_drain_limits_short_row_tiles,
            "reset": partial(test_unit_timing.test_reset_in_mid_stream, 25),
        },
    ),
    "softmax": Unit(
        partial(SoftmaxUnit, TINY),
        {
            "values": partial(test_softmax.test_values, TINY, 0),
            "stalls": partial(test_softmax.test_stalls_leave_the_output_unchanged, TINY, 0.5),
            "cycles": partial(test_softmax.test_latency_and_throughput, TINY, 13),
            "reset": partial(test_softmax.test_reset_in_mid_stream, 47),
        },
    ),
    "selection": Unit(
        partial(SelectingUnit, test_selection.ENGINES[0]),
        {
            "values": partial(test_selection.test_heads_and_a_selection, test_selection.ENGINES[0]),
            "cycles": partial(test_selection.test_a_selection_ends_when_it_is_said_to, 200, 141, 1),
            "ties": test_selection.test_ties_everywhere,
            "reset": test_selection.test_reset_in_mid_selection,
        },
    ),
    "relocation": Unit(
        partial(MatmulUnit, test_relocation.config_of("small")),
        {
            "values": partial(
                test_relocation.test_a_projection_writes_tokens_that_stay_to_their_places,
                "small",
                "some",
            )
        },
    ),
    "norm": Unit(
        partial(NormUnit, TINY),
        {
            "values": partial(test_layernorm.test_values, TINY, 0),
            "stalls": partial(
                test_layernorm.test_stalls_leave_the_output_unchanged, TINY, 0.3, 0.3
            ),
            "cycles": partial(test_layernorm.test_latency_of_one_instruction, TINY, 12),
            "reset": partial(test_layernorm.test_reset_in_mid_stream, 70),
        },
    ),
    "load": Unit(
        partial(LoadUnit, TINY),
        {
            "values": partial(test_load.test_loads, TINY.memory_bytes, 0.3, 0.3),
            "cycles": test_load.test_cycles_of_loads_that_follow_each_other,
            "reset": partial(test_load.test_reset_in_mid_load, 25),
        },
    ),
    "store": Unit(
        partial(StoreUnit, TINY),
        {
            "values": partial(test_store.test_store, TINY.memory_bytes, 0, 1, "groups"),
            "stalls": partial(test_store.test_store, TINY.memory_bytes, 0.5, 0, "odd words"),
            "reset": partial(test_store.test_reset_in_mid_store, 9),
        },
    ),
    "scratchpads": scratchpads(test_scratchpad.SMALL),
    "ultraram": scratchpads(test_scratchpad.ULTRA),
}
