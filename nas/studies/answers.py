"""Answers of subnets on the test images, as integer models."""

from nas.data import Images, TrainingData
from nas.numerics.integer import IntegerNetwork
from nas.search.report import evaluate_model
from nas.space import Arch
from nas.supernet.export import export
from nas.supernet.supernet import Supernet
from nas.training.evaluate import Result


def integer_answers(net: Supernet, arch: Arch, data: TrainingData, images: Images) -> Result:
    """Classify images by the integer model of a subnet; ``data`` trained it."""
    model = export(net, arch, class_names=data.class_names, preprocessing=data.preprocessing)
    return evaluate_model(IntegerNetwork(model), images)
