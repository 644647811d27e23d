"""Row order: the sensitive rows and tiles come first, and heads stay together."""

import torch
from torch.nn import functional

from nas.space import bits8_tiles
from nas.supernet import sensitivity
from nas.supernet.sensitivity import row_permutation, row_sensitivity, tile_order
from nas.supernet.supernet import Supernet


def trained(tiny_config, tiny_data) -> tuple[Supernet, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = Supernet(tiny_config.supernet)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        logits = net(tiny_data.train.pixels, net.config.space.largest())
        functional.cross_entropy(logits, tiny_data.train.labels).backward()
        optimizer.step()
    return net, optimizer


def test_heads_stay_together(tiny_config, tiny_data):
    net, _ = trained(tiny_config, tiny_data)
    permutation = row_permutation(net, row_sensitivity(net, tiny_data.train))
    (_, order), head_dim = permutation["blocks.0.v.weight"][0], net.config.space.head_dim
    assert torch.equal(order // head_dim, torch.arange(len(order)) // head_dim)
    assert torch.equal(permutation["blocks.0.proj.weight"][0][1], order)
    assert "blocks.0.proj.bias" not in permutation and "embed.weight" not in permutation


def test_tiles_are_ranked_by_sensitivity(tiny_config, tiny_data):
    net, _ = trained(tiny_config, tiny_data)
    found = row_sensitivity(net, tiny_data.train)
    order = tile_order(found, row_permutation(net, found), 4)
    assert order["blocks.0.fc1"] == sorted(order["blocks.0.fc1"])  # sorted rows: first tile first
    tiles = found["embed"].view(-1, 4).sum(1)
    assert order["embed"][0] == int(tiles.argmax())
    assert bits8_tiles(2, 0.5, order["embed"]).count(True) == 1


def test_gathering_within_heads_makes_tiles_differ(tiny_config, tiny_data):
    """A head of 8 rows has two tiles of 4: one takes the sensitive rows, and gets the 8 bits."""
    net, _ = trained(tiny_config, tiny_data)
    sensitivity = row_sensitivity(net, tiny_data.train)
    permutation = row_permutation(net, sensitivity)
    gathered = tile_order(sensitivity, permutation, 4)
    [order] = [order for _, order in permutation["blocks.0.v.weight"]]
    tiles = sensitivity["blocks.0.v"][order].view(2, 2, 4)  # (heads, tiles of a head, rows)
    assert (tiles[:, 0].amin(1) >= tiles[:, 1].amax(1)).all()
    assert [tile for tile in gathered["blocks.0.v"] if tile < 2] == [0, 1]  # of the first head
    most = sensitivity["blocks.0.v"].view(2, 2, 4).sum(2)
    assert tiles.sum(2).max() > most.max()  # apart, no tile is as sensitive as the gathered one
    # With tiles of whole heads the ranking is that of rows in their old places.
    assert (
        tile_order(sensitivity, permutation, 8)["blocks.0.v"]
        == (tile_order(sensitivity, {}, 8)["blocks.0.v"])
    )


def test_8_bits_are_nearly_free_and_4_bits_are_not(tiny_config, tiny_data):
    net, _ = trained(tiny_config, tiny_data)
    for rows in row_sensitivity(net, tiny_data.train).values():
        assert rows.min() >= 0 and rows.sum() > 0


def test_a_batch_in_portions_has_the_same_gradients(tiny_config, tiny_data, monkeypatch):
    net, _ = trained(tiny_config, tiny_data)
    whole = row_sensitivity(net, tiny_data.train)
    monkeypatch.setattr(sensitivity, "kept_images", lambda shape, most: 5)
    parts = row_sensitivity(net, tiny_data.train)
    for name, rows in whole.items():
        torch.testing.assert_close(parts[name], rows, rtol=1e-3, atol=1e-9)
