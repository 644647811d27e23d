"""The vectorised traffic against that of each network's program."""

from dataclasses import replace

import numpy as np
import pytest

from nas.cost import HardwareTarget
from nas.cost.networks import Networks
from nas.cost.subnets import sample_subnets
from nas.cost.traffic import Traffic, traffic_of
from nas.space import DIGITS
from rtl.config import TINY, ZCU102, EngineConfig
from rtl.model.shape import NetworkShape, plain_vit
from rtl.timing.traffic import Work, work_of

SMALL = plain_vit(width=192, heads=3, row_granularity=32, depth=2, wide=0.25)


def both(shapes: list[NetworkShape], engine: EngineConfig) -> tuple[Traffic, list[Work]]:
    return traffic_of(Networks.of_shapes(shapes), engine), [work_of(s, engine) for s in shapes]


def assert_alike(traffic: Traffic, works: list[Work]) -> None:
    """Everything but the program is the same."""
    assert traffic.array_cycles.tolist() == [work.array_cycles for work in works]
    data = [sum(work.read_bytes.values()) - work.read_bytes["program"] for work in works]
    assert traffic.data_bytes.tolist() == data
    assert traffic.written_bytes.tolist() == [work.written_bytes for work in works]
    reads = [work.scratchpad_read_bytes for work in works]
    assert traffic.scratchpad_read_bytes.tolist() == reads
    writes = [work.scratchpad_written_bytes for work in works]
    assert traffic.scratchpad_written_bytes.tolist() == writes
    assert traffic.scratchpad_bytes.tolist() == [work.scratchpad_bytes for work in works]


@pytest.mark.parametrize("board, most", [("sim", 0.04), ("ulx3s", 0.04), ("zcu102", 0.001)])
def test_random_networks(board, most):
    """Memory's bytes, whose instructions are estimated, are as close as design note 11 says."""
    hardware = HardwareTarget.load(board)
    samples = sample_subnets(hardware.board, hardware.engine, 24, seed=7)
    traffic, works = both([sample.shape for sample in samples], hardware.engine)
    assert_alike(traffic, works)
    total = np.array([work.bytes for work in works])
    assert abs(traffic.memory_bytes / total - 1).max() < most


def test_a_search_space():
    rng = np.random.default_rng(2)
    genes = rng.integers(0, DIGITS.gene_choices, (24, len(DIGITS.gene_choices)))
    works = [work_of(DIGITS.shape(DIGITS.decode(row)), TINY) for row in genes]
    assert_alike(traffic_of(Networks.of_genes(DIGITS, genes), TINY), works)


@pytest.mark.parametrize("sizes", [{"pixel_words": 400}, {"activation_words": 300}])
def test_groups_of_token_tiles_load_weights_again(sizes):
    """Scratchpads that hold only some of the pixels, or of the hidden activations."""
    traffic, works = both([SMALL], replace(ZCU102, name="other", **sizes))
    assert_alike(traffic, works)
    assert traffic.data_bytes > both([SMALL], ZCU102)[0].data_bytes


@pytest.mark.parametrize("act_bits", [4, 8])
def test_activations_of_other_widths(act_bits):
    assert_alike(*both([SMALL], replace(ZCU102, name="other", act_bits=act_bits)))


@pytest.mark.parametrize("sizes", [{"depth": 1}, {"heads": 1}, {"patch": 112}], ids=str)
def test_one_block_one_head_one_patch(sizes):
    usual = {"patch": 16, "heads": 3, "depth": 2}
    shape = plain_vit(image=(112, 112, 1), width=192, row_granularity=32, **usual | sizes)
    assert_alike(*both([shape], ZCU102))


def test_mean_pooling_is_refused():
    networks = Networks.of_shapes([replace(SMALL, mean_pool=True)])
    with pytest.raises(ValueError, match="mean pooling"):
        traffic_of(networks, ZCU102)
