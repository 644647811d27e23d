"""Where a network lies, and what its hash depends on."""

from dataclasses import replace

from nas.importer import load
from nas.warm.source import NetworkSource, content_hash
from tests.nas.warm.networks import source_of


def test_the_hash_is_that_of_the_content(tmp_path):
    one, _ = source_of(tmp_path / "one")
    other, _ = source_of(tmp_path / "other")
    network = load(one.name)
    assert content_hash(network) == content_hash(load(other.name))
    block = network.blocks[0]
    changed = [
        replace(network, position=network.position + 1e-9),
        replace(network, std=network.std * 2),
        replace(network, class_names=("a", "b", "c", "d")),
        replace(network, blocks=(replace(block, heads=1), *network.blocks[1:])),
        replace(network, blocks=(replace(block, activation="tanh"), *network.blocks[1:])),
    ]
    assert len({content_hash(each) for each in (network, *changed)}) == 6


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pth").touch()
    found = NetworkSource("vit_tiny_patch16_224", "weights.pth", sha256="0f").resolved
    assert found == NetworkSource(
        "vit_tiny_patch16_224", str(tmp_path / "weights.pth"), sha256="0f"
    )
    (tmp_path / "net").mkdir()
    assert NetworkSource("net").resolved.name == str(tmp_path / "net")
