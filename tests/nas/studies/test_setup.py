"""Images and recipe of a study are those of the main job; few and short where it is tried."""

from nas.cost import HardwareTarget
from nas.digits import load_digits, recipe
from nas.studies.options import StudyOptions
from nas.studies.setup import QUICK_EVERY, study_data, study_recipe


def test_the_recipe_is_that_of_the_main_job():
    options = StudyOptions("alone")
    config = study_recipe(options, HardwareTarget.load("sim"), 3)
    assert config.key(study_data(options)) == recipe(seed=3).key(load_digits())


def test_a_trial_is_short():
    options = StudyOptions("alone", quick=True)
    config = study_recipe(options, HardwareTarget.load("sim"), 0)
    assert config.float_epochs == config.quantized_epochs == 1
    few, all_of_them = study_data(options).train, load_digits().train
    assert abs(len(few) - len(all_of_them) / QUICK_EVERY) < 1
