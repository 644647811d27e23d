"""One step of training: which subnets it takes."""

from nas.training.trainer import Trainer


def test_every_width_and_fraction_is_sampled(tiny_config, tiny_data, tmp_path):
    trainer = Trainer(tiny_config, tiny_data, tmp_path / "none.pt")
    widths, fractions = set(), set()
    for turn in range(6):
        trainer.step = trainer.float_steps + turn
        subnets = trainer._subnets()
        assert list(subnets) == ["largest", "random0", "random1", "smallest"]
        widths |= {subnets["random0"].width, subnets["random1"].width}
        fractions.add(subnets["largest"].head_wide)
    assert widths == {8, 16} and fractions == {0.0, 0.5, 1.0}
