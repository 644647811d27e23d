"""Scores of subnets by several processes are those of this one."""

import numpy as np

from nas.search.scoring import scores_on, scoring_pool
from nas.training.checkpoint import load_supernet


def test_processes_give_the_same_scores(tiny_checkpoint, tiny_data):
    net, parts = load_supernet(tiny_checkpoint), (tiny_data.train, tiny_data.validation)
    space, rng = net.config.space, np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(5)]
    with scoring_pool(tiny_checkpoint, parts, 2) as pool:
        found = [pool.on(index)(archs) for index in range(2)]
        assert pool.on(0)([]) == []
    assert found == [scores_on(net, part)(archs) for part in parts]
    assert found[0] != found[1] and len(set(found[0])) > 1
