"""``python -m tests.sim.pins.proof``: the ULX3S' top proven at its pins, in RTL simulation.

The host's own driver loads the digits model over the serial pins at 4 cycles a bit and classifies
16 digits, then a network of another shape, then a third one over a line that damages bytes. The
result is the section ``pins`` of docs/results/silicon.json. About ten minutes on an idle core, of
which the digits model's way over the pins takes four.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from boards.host.accelerator import Accelerator
from boards.host.errors import DeviceError
from rtl.board import Board
from rtl.config import ULX3S
from rtl.files import require_writable
from sim import golden
from sim.pins.line import PinLine, transport_on
from sim.pins.outcome import DEVIATION, classify_at_pins, compile_for
from sim.pins.top import build_top
from sim.random_model import random_images
from tests.boards.host.bridge import Corrupt, untouched
from tests.boards.host.damage import Damage
from tests.sim.pins import published

OTHER_IMAGES = 4
SEED = 15
LOAD_BYTES = {"to_board": 12_000, "to_host": 700}  # of the damaged load, about
RUN_BYTES = {"to_board": 700, "to_host": 400}  # of a run, about
LOAD_DAMAGES = {"to_board": 9, "to_host": 3}
RUNS = 10


class DamagedLine(PinLine):
    """A line to pins on which bytes are damaged on the way.

    Attributes
    ----------
    to_board, to_host : Corrupt
        From a byte that was sent to those that arrive.
    """

    to_board: Corrupt = staticmethod(untouched)
    to_host: Corrupt = staticmethod(untouched)

    def write(self, data: bytes) -> None:
        super().write(bytes(out for byte in data for out in self.to_board(byte)))

    def read(self, limit_s: float) -> bytes:
        """Read until something is left of what came, or the time is over."""
        ends = self.now() + limit_s
        while (left := ends - self.now()) > 0:
            came = super().read(left)
            kept = bytes(out for byte in came for out in self.to_host(byte))
            if kept or not came:
                return kept
        return b""


class Proof:
    """The parts of the proof, on one simulation that goes on from part to part.

    Parameters
    ----------
    engine : Accelerator
        The driver.
    line : DamagedLine
        To the pins.
    board : Board
    """

    def __init__(self, engine: Accelerator, line: DamagedLine, board: Board):
        self.engine, self.line, self.board = engine, line, board
        self.seconds: dict[str, float] = {}

    def exact(self, name: str, pixels: np.ndarray | None = None) -> dict:
        """Load a network and classify images; golden's logits in the predicted cycles."""
        compiled, package = compile_for(published.MODELS[name], self.board, ULX3S)
        if pixels is None:
            pixels = random_images(package.image, OTHER_IMAGES, SEED)
        loaded = self.line.cycles
        with self._timed(f"{name}_load"):
            self.engine.load(package)
        loaded = self.line.cycles - loaded
        with self._timed(f"{name}_images"):
            outcome = classify_at_pins(self.engine, compiled, self.board, pixels)
        print(f"{name}: {outcome.wrong} wrong, {outcome.deviation:.2%} from the prediction")
        print(outcome.rates.text(), end="", flush=True)
        return {
            "model": published.MODELS[name].name,
            "region_bytes": len(package.region),
            "load_cycles": loaded,
            **outcome.report(),
        }

    def damaged(self) -> dict:
        """Load a network and classify images while bytes are damaged in both directions."""
        path = published.MODELS["damaged"]
        compiled, package = compile_for(path, self.board, ULX3S)
        numbers = np.random.default_rng(SEED)
        images = random_images(package.image, RUNS, SEED)
        expected = golden.run(compiled.model, images)
        repeats, right, wrong, failed = self.engine.transport.link.repeats, 0, 0, 0
        with self._timed("damaged"):
            done = self._damage(numbers, LOAD_BYTES, LOAD_DAMAGES)
            self.engine.load(package, self_test=False)
            in_load = sum(damage.done for damage in done)
            for image, logits in zip(images, expected, strict=True):
                done += self._damage(numbers, RUN_BYTES, {"to_board": 1, "to_host": 1})
                try:
                    same = np.array_equal(self.engine.classify(image).outputs[0], logits)
                    right, wrong = right + same, wrong + (not same)
                except DeviceError as error:
                    print(error)
                    failed += 1
        self.line.to_board = self.line.to_host = untouched
        total = sum(damage.done for damage in done)
        print(f"damaged: {total} bytes, {in_load} in the load; {right} runs right, {wrong} wrong,"
              f" {failed} failed", flush=True)  # fmt: skip
        return {
            "model": path.name,
            "seed": SEED,
            "bytes": total,
            "bytes_in_load": in_load,
            "runs": RUNS,
            "right": right,
            "wrong": wrong,
            "failed": failed,
            "repeats": self.engine.transport.link.repeats - repeats,
        }

    def _damage(
        self, numbers: np.random.Generator, lengths: dict[str, int], counts: dict[str, int]
    ) -> list[Damage]:
        """Damage so many bytes of the next ones in each direction, anywhere among them."""
        damages = []
        for way, length in lengths.items():
            damage = Damage(numbers, numbers.choice(length, counts[way], replace=False).tolist())
            setattr(self.line, way, damage)
            damages.append(damage)
        return damages

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[part] = round(time.monotonic() - started, 1)
        print(f"{part}: {self.seconds[part]:,.0f} s", flush=True)


def prove() -> dict:
    """Return the section of the file."""
    board = published.ulx3s()
    inputs = published.cheap_inputs() | {"verilog": published.verilog_hash()}
    started = time.monotonic()
    build = build_top(board, ULX3S)
    built_s = round(time.monotonic() - started, 1)
    line = DamagedLine(build, board.clock_hz)
    with Accelerator(transport_on(line)) as engine:
        proof = Proof(engine, line, board)
        parts = {
            "other": proof.exact("other"),
            "damaged": proof.damaged(),
            "digits": proof.exact("digits", published.digits()),
        }
        cycles, pin = line.cycles, line.output("wifi_gpio0")
    return {
        "inputs": inputs,
        "versions": published.versions(),
        **parts,
        "wifi_gpio0": pin,
        "simulated_cycles": cycles,
        "seconds": {"build": built_s} | proof.seconds,
    }


def problems(section: dict) -> list[str]:
    """List what a section must not have: wrong logits, other cycles, too little damage."""
    found = []
    for name in ("digits", "other"):
        part = section[name]
        if part["wrong_outputs"]:
            found.append(f"{name}: {part['wrong_outputs']} outputs differ from golden")
        if part["deviation"] > DEVIATION:
            found.append(f"{name}: cycles are {part['deviation']:.2%} off the prediction")
    damaged = section["damaged"]
    if damaged["wrong"] or damaged["failed"]:
        found.append(f"damaged: {damaged['wrong']} runs wrong, {damaged['failed']} failed")
    if damaged["bytes"] < 20 or not damaged["bytes_in_load"]:
        total, in_load = damaged["bytes"], damaged["bytes_in_load"]
        found.append(f"damaged: only {total} bytes, {in_load} in the load")
    if section["wifi_gpio0"] != 1:
        found.append("wifi_gpio0 is not 1")
    return found


def main() -> int:
    """Prove, and write the file if all is well."""
    require_writable(published.RESULTS)
    section = prove()
    if found := problems(section):
        print(*found, sep="\n", file=sys.stderr)
        return 1
    published.merge("pins", section)
    print(f"Wrote {published.RESULTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
