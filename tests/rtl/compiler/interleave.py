"""A random engine: every order of events that queues and semaphores allow, and nothing else."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from rtl.isa.instructions import IMAGES_IN_FLIGHT, UNITS, Instruction, Opcode, Unit
from rtl.isa.semantics import SemaphoreCounts

# Instructions that a unit may have taken and not completed: more than any unit of ours.
IN_FLIGHT = {Unit.LOAD: 8, Unit.MATMUL: 4, Unit.NORM: 2, Unit.SOFTMAX: 2, Unit.STORE: 1}
Event = tuple[str, int, int]


def events(
    program: Sequence[Instruction], queue_depth: int, rng: np.random.Generator, images: int = 1
) -> Iterator[Event]:
    """Yield ``("start", image, number)`` and ``("finish", image, number)`` until all have ended.

    ``program`` begins with BEGIN. Asserts that it does end, that no semaphore passes its width,
    and that all are back at their credits.
    """
    queues: list[deque[tuple[int, int]]] = [deque() for _ in range(UNITS)]
    flight: list[deque[tuple[int, int]]] = [deque() for _ in range(UNITS)]
    semaphores = SemaphoreCounts(program[0])
    speed = rng.choice([0.01, 1.0, 30.0], size=(3, UNITS))  # start, finish, fetch of each unit
    left = [sum(i.unit is not None for i in program)] * images  # instructions of each image
    image = fetched = 0
    while True:
        choices: list[tuple[str, int]] = []
        for unit in range(UNITS):
            head = program[queues[unit][0][1]] if queues[unit] else None
            free = len(flight[unit]) < IN_FLIGHT[Unit(unit)]
            if head and selects(head):
                free &= not any(selects(program[number]) for _, number in flight[unit])
            if head and free and semaphores.available(head):
                choices.append(("start", unit))
            if flight[unit]:
                choices.append(("finish", unit))
        while image < images and (fetched == len(program) or program[fetched].unit is None):
            if fetched < len(program):
                fetched += 1  # BEGIN or END
            elif image + 1 < IMAGES_IN_FLIGHT or not left[image + 1 - IMAGES_IN_FLIGHT]:
                image, fetched = image + 1, 0
            else:
                break  # two images are in flight
        target = program[fetched].unit if image < images and fetched < len(program) else None
        if target is not None and len(queues[target]) < queue_depth:
            choices.append(("fetch", target))
        if not choices:
            break
        weights = [speed[("start", "finish", "fetch").index(what), u] for what, u in choices]
        what, unit = choices[rng.choice(len(choices), p=np.array(weights) / sum(weights))]
        if what == "fetch":
            queues[unit].append((image, fetched))
            fetched += 1
        elif what == "start":
            flight[unit].append(queues[unit].popleft())
            semaphores.lower(program[flight[unit][-1][1]])
            yield what, *flight[unit][-1]
        else:
            of_image, number = flight[unit].popleft()
            yield what, of_image, number
            left[of_image] -= 1
            semaphores.raise_(program[number])
    assert image == images and not any(queues), "deadlock"
    assert semaphores.balanced(), "the program is not balanced"


def selects(instruction: Instruction) -> bool:
    """Whether an instruction uses the importance of patches: the unit does one after the other."""
    return instruction.opcode is Opcode.SELECT or bool(instruction["importance"])
