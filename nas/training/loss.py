"""Loss of a subnet in a step of training."""

from torch import Tensor
from torch.nn import functional

from nas.training.recipe import TrainConfig


def subnet_loss(
    config: TrainConfig,
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None,
    answers: Tensor | None,
) -> Tensor:
    """Compute one subnet's loss: a scalar.

    Parameters
    ----------
    config : TrainConfig
    logits : (batch, classes)
    labels : (batch,) int64, or (batch, classes) where images are mixed
    teacher, answers : (batch, classes), optional
        Probabilities of the largest subnet, and of the recipe's teacher.
    """
    loss = functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
    if answers is not None:
        loss = loss.lerp(functional.cross_entropy(logits, answers), config.teacher_share)
    if teacher is not None:
        loss = loss.lerp(functional.cross_entropy(logits, teacher), config.distillation)
    return loss
