"""A second process that computes the gradients of a step's random subnets.

The weights lie in memory that both processes share. Gradients are added in the order in which one
process would add them, so the bytes of a run do not depend on whether it has a partner.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NoReturn

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
from torch import Tensor

from boards.host.closing import Closing
from nas.cost.sweep import end_with_parent
from nas.space import Arch
from nas.supernet.supernet import Supernet
from nas.training.loss import subnet_loss
from nas.training.recipe import TrainConfig
from rtl.errors import UserError

Gradients = list[Tensor | None]
"""Of each parameter in the network's order; None where a subnet does not use it."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Images and aims of a step; the fields are those of :func:`subnet_loss`."""

    images: Tensor
    labels: Tensor
    answers: Tensor | None

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Arrays of the same, for a pipe: a tensor would need a file for each step."""
        answers = None if self.answers is None else self.answers.numpy()
        return self.images.numpy(), self.labels.numpy(), answers

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray, answers: np.ndarray | None) -> "Batch":
        """Return the batch of what :attr:`arrays` gave."""
        probabilities = None if answers is None else torch.from_numpy(answers)
        return cls(torch.from_numpy(images), torch.from_numpy(labels), probabilities)


class Partner(Closing):
    """Handle on the process that computes subnets in quantized mode.

    Parameters
    ----------
    net : Supernet
        On the CPU; its weights move to shared memory.
    config : TrainConfig

    Raises
    ------
    UserError
        If the system's shared memory is too small.
    """

    def __init__(self, net: Supernet, config: TrainConfig) -> None:
        count = config.random_subnets
        with enough_shared_memory():
            net.share_memory()
            shared = [[torch.zeros_like(p) for p in net.parameters()] for _ in range(count)]
            self._gradients = [[tensor.share_memory_() for tensor in each] for each in shared]
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        args = theirs, net, config, self._gradients
        self._process = context.Process(target=_serve, args=args, daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process ends what is read here

    def close(self) -> None:
        """End the process; twice does no harm."""
        self._connection.close()  # the process ends at that
        self._process.join(timeout=10)
        self._process.kill()

    def begin(self, batch: Batch, archs: Sequence[Arch]) -> None:
        """Begin a step's subnets, at most ``random_subnets``."""
        self._send((batch.arrays, list(archs)))

    def teach(self, teacher: Tensor) -> None:
        """Give the largest subnet's probabilities, (batch, classes), for which the losses wait."""
        self._send(teacher.numpy())

    def results(self, count: int) -> Iterator[tuple[Tensor, Gradients]]:
        """Yield loss and gradients of each subnet of the step, valid until the next step."""
        for index in range(count):
            loss, used = self._receive()
            pairs = zip(self._gradients[index], used, strict=True)
            yield torch.tensor(loss), [gradient if is_used else None for gradient, is_used in pairs]

    def _send(self, message: object) -> None:
        try:
            self._connection.send(message)
        except OSError:
            self._ended()

    def _receive(self) -> tuple[float, list[bool]]:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            self._ended()

    def _ended(self) -> NoReturn:
        self._process.join(timeout=10)
        raise UserError(
            "the second training process ended by itself (exit code"
            f" {self._process.exitcode}; out of memory?): the same command goes on from the last"
            " checkpoint, with --workers 1 in one process"
        )


@contextmanager
def enough_shared_memory() -> Iterator[None]:
    """Say in one line that shared memory is too small, as it often is in a container."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"a second training process needs more shared memory ({reason}): enlarge /dev/shm, or"
            " train in one process with --workers 1"
        ) from None


def taken(net: Supernet) -> Gradients:
    """Take the gradients out of a network."""
    found = [parameter.grad for parameter in net.parameters()]
    net.zero_grad(set_to_none=True)
    return found


def added(one: Gradients, other: Gradients) -> Gradients:
    """Add gradients to those of ``one``, in place, as autograd adds to what is there."""
    for index, gradient in enumerate(other):
        if gradient is None:
            continue
        if (before := one[index]) is None:
            one[index] = gradient.clone()
        else:
            before.add_(gradient)
    return one


# --- in the second process ----------------------------------------------------------------------


def _serve(
    connection: Connection, net: Supernet, config: TrainConfig, gradients: list[list[Tensor]]
) -> None:
    """Compute the subnets of each step, until the connection is closed."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process
    torch.set_num_threads(config.threads)
    try:
        while True:
            arrays, archs = connection.recv()
            subnets = list(zip(archs, gradients, strict=False))
            _step(connection, net, config, Batch.of(*arrays), subnets)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _step(
    connection: Connection,
    net: Supernet,
    config: TrainConfig,
    batch: Batch,
    subnets: list[tuple[Arch, list[Tensor]]],
) -> None:
    teacher: Tensor | None = None
    for arch, shared in subnets:
        logits = net.quantized(batch.images, arch)
        if teacher is None:
            teacher = torch.from_numpy(connection.recv())
        loss = subnet_loss(config, logits, batch.labels, teacher, batch.answers)
        loss.backward()
        found = taken(net)
        for gradient, place in zip(found, shared, strict=True):
            if gradient is not None:
                place.copy_(gradient)
        connection.send((float(loss.detach()), [gradient is not None for gradient in found]))
