"""Processes that train one network together, each on its share of every batch.

``torchrun`` starts them. The first one alone writes and prints; what one process refuses, all do.
"""

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, distributed, nn

from nas.numerics.device import usable_device
from nas.training.share import Share
from rtl.cli import EXIT_USER
from rtl.errors import UserError

BUCKET_BYTES = 25 << 20  # of gradients that are summed at once
CPU = torch.device("cpu")
PATIENCE = timedelta(hours=2)  # of processes with one another: reading a large folder takes time
T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process, and how many there are.

    Parameters
    ----------
    rank : int
        This one, from 0.
    count : int
    device : torch.device
        Device that this process computes on.
    group : ProcessGroup, optional
        Carries tensors of the device; by default the group of all, which is the CPU's.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default=CPU)
    group: distributed.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def share(self, batch: int) -> Share:
        """Return this process's share of a batch.

        Raises
        ------
        UserError
            If a process would get none.
        """
        if batch < 2 * self.count - 1:
            raise UserError(
                f"a batch of {batch} images is too small for {self.count} processes: choose a"
                f" batch of at least {2 * self.count}, or fewer processes"
            )
        return Share.of(batch, self.rank, self.count)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes: few, large transfers."""
        if self.count == 1:
            return
        for bucket in buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            distributed.all_reduce(flat, group=self._carrier(flat))
            for tensor, part in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def copy_first(self, net: nn.Module) -> None:
        """Give all processes the parameters of the first one."""
        if self.count > 1:
            for parameter in net.parameters():
                distributed.broadcast(parameter.detach(), 0, group=self._carrier(parameter))

    def _carrier(self, tensor: Tensor) -> distributed.ProcessGroup | None:
        """Return the group that carries tensors of the place where this one is."""
        return self.group if tensor.device == self.device else None

    def of_first(self, value: T) -> T:
        """Return the first process's value: one that pickle takes, tensors on the CPU."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, 0)
        return box[0]

    def of_all(self, value: T) -> list[T]:
        """Return the values of all processes."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def require_equal(self, value: object, problem: str) -> None:
        """Refuse to go on, in one line, unless all processes have the same value.

        Parameters
        ----------
        value : object
            One that pickle takes.
        problem : str
            Says what differs, and the remedy; put behind the names of two processes.
        """
        values = self.of_all(pickle.dumps(value))
        for rank, other in enumerate(values):
            if other != values[0]:
                self.refuse(UserError(f"process {rank} and process 0 {problem}"))

    def refuse(self, error: UserError) -> NoReturn:
        """Raise an error that all processes have found; the first one says it."""
        if self.first:
            raise error
        raise SystemExit(EXIT_USER)

    @contextmanager
    def agreed(self, *, ahead: bool = False) -> Iterator[None]:
        """Let no process go on unless the block ends well in all; the first one says why not.

        With ``ahead`` the first one goes through the block before the others: what it leaves in
        caches is there for them.
        """
        if self.count == 1:
            yield
            return
        if ahead and not self.first:
            self.of_first(None)
        problem = None
        try:
            yield
        except UserError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{error.strerror or error}: {error.filename}"
        finally:
            if ahead and self.first:
                self.of_first(None)
        for rank, text in enumerate(self.of_all(problem)):
            if text is not None:
                self.refuse(UserError(text if rank == 0 else f"process {rank}: {text}"))


ALONE = Processes()


def buckets(tensors: Sequence[Tensor], size: int = BUCKET_BYTES) -> Iterator[list[Tensor]]:
    """Gather tensors of one type in the order given, up to ``size`` bytes or one tensor each."""
    bucket: list[Tensor] = []
    filled = 0
    for tensor in tensors:
        if bucket and (filled + tensor.nbytes > size or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, filled = [], 0
        bucket.append(tensor)
        filled += tensor.nbytes
    if bucket:
        yield bucket


def require_alone(remedy: str) -> None:
    """Refuse to be one of several processes that ``torchrun`` started.

    Raises
    ------
    UserError
        If it is one: ends in the remedy.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise UserError(f"torchrun is for training alone: {remedy}")


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; this one alone where it did not.

    Parameters
    ----------
    device : str
        Such as ``cpu``, or ``cuda``: then each process of a machine gets a GPU of its own.

    Raises
    ------
    UserError
        If the device cannot be used.
    """
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield Processes(device=usable_device(device, torch.float64))
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    elif device != "cpu":
        raise UserError(f"--device must be cpu or cuda with torchrun, not {device}")
    distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        processes = Processes(rank, count)
        with processes.agreed():
            own = usable_device(device, torch.float64)
        group = None
        if own.type == "cuda":
            torch.cuda.set_device(own)
            group = distributed.new_group(backend="nccl", timeout=PATIENCE)
        yield replace(processes, device=own, group=group)
    finally:
        distributed.destroy_process_group()
