"""A random engine: every order of events that queues and semaphores allow, and nothing else."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from rtl.control.isa import SEMAPHORE_BITS, UNITS, Instruction, Unit

# Instructions that a unit may have taken and not completed: more than any unit of ours.
IN_FLIGHT = {Unit.LOAD: 8, Unit.MATMUL: 4, Unit.NORM: 2, Unit.SOFTMAX: 2, Unit.STORE: 1}


def events(
    program: Sequence[Instruction], queue_depth: int, rng: np.random.Generator
) -> Iterator[tuple[str, int]]:
    """Yield ``("start", number)`` and ``("finish", number)`` until the program has ended.

    Asserts that it does end, that no semaphore passes its width, and that all end at zero.
    """
    queues: list[deque[int]] = [deque() for _ in range(UNITS)]
    flight: list[deque[int]] = [deque() for _ in range(UNITS)]
    semaphores = np.zeros((UNITS, UNITS), int)  # [producer, consumer]
    speed = rng.choice([0.01, 1.0, 30.0], size=(3, UNITS))  # start, finish, fetch of each unit
    fetched = 0
    while True:
        choices: list[tuple[str, int]] = []
        for unit in range(UNITS):
            head = program[queues[unit][0]] if queues[unit] else None
            free = len(flight[unit]) < IN_FLIGHT[Unit(unit)]
            if head and free and all(semaphores[p, unit] for p in producers(head)):
                choices.append(("start", unit))
            if flight[unit]:
                choices.append(("finish", unit))
        while fetched < len(program) and program[fetched].unit is None:  # BEGIN and END
            fetched += 1
        target = program[fetched].unit if fetched < len(program) else None
        if target is not None and len(queues[target]) < queue_depth:
            choices.append(("fetch", target))
        if not choices:
            break
        weights = [speed[("start", "finish", "fetch").index(what), u] for what, u in choices]
        what, unit = choices[rng.choice(len(choices), p=np.array(weights) / sum(weights))]
        if what == "fetch":
            queues[unit].append(fetched)
            fetched += 1
        elif what == "start":
            number = queues[unit].popleft()
            flight[unit].append(number)
            for producer in producers(program[number]):
                semaphores[producer, unit] -= 1
            yield what, number
        else:
            number = flight[unit].popleft()
            yield what, number
            for consumer in Unit:
                semaphores[unit, consumer] += program[number].signal >> consumer & 1
            assert semaphores.max() < 1 << SEMAPHORE_BITS
    assert fetched == len(program) and not any(queues), "deadlock"
    assert not semaphores.any(), "the program is not balanced"


def producers(instruction: Instruction) -> list[Unit]:
    return [unit for unit in Unit if instruction.wait >> unit & 1]
