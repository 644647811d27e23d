"""The driver: an engine behind a transport, from identification to logits.

Source: docs/registers.md, docs/package.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from boards.host import registers
from boards.host.closing import Closing
from boards.host.errors import DeviceError, UserError
from boards.host.faults import fault_text, status_bits
from boards.host.frames import LIGHTS_BITS
from boards.host.layout import BATCH, Layout
from boards.host.package import Package
from boards.host.registers import CONTROL_BITS, EVENTS, REGISTERS, UNITS
from boards.host.transport import Transport

LIMIT_S = 2.0
RESET_S = 20e-6  # some thousand cycles; a reset takes 128, if memory is quiet
WORD_BITS = 32
ERROR_LIGHT = 1 << LIGHTS_BITS - 1
START, RESET = (1 << CONTROL_BITS.index(bit) for bit in ("start", "reset"))


@dataclass(frozen=True, eq=False)
class RunOutput:
    """Outputs of images.

    Parameters
    ----------
    outputs : (images, classes) or (images, tokens, width) int32
    cycles : tuple of float
        Of each image: of a run's first one from the start to its end; of the others their mean,
        from one's end to the next one's, as images of a run overlap.
    indices : (images, tokens) int32, optional
        Index in the image of each token, where the network drops some.
    """

    outputs: np.ndarray
    cycles: tuple[float, ...]
    indices: np.ndarray | None = None


class Accelerator(Closing):
    """An engine with a network in its memory.

    ::

        with Accelerator(transport) as engine:
            engine.load(Package.load("digits.package"))
            outcome = engine.classify(images)

    Parameters
    ----------
    transport : Transport
        Closed with this.
    limit_s : float
        Longest time without an image done, and of a reset.
    batch : int
        Images of a run at most.
    watchdog_cycles : int, optional
        Cycles without progress after which the engine itself stops, in place of its default.

    Every method raises ``DeviceError`` where the device does not do what it should. After that,
    what the run had given is discarded, and the next call resets the engine and checks its memory
    anew.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        limit_s: float = LIMIT_S,
        batch: int = BATCH,
        watchdog_cycles: int | None = None,
    ):
        self.transport = transport
        self.limit_s = limit_s
        self.batch = batch
        self.watchdog_cycles = watchdog_cycles
        self.package: Package | None = None
        self._layout = Layout(0, 0, 0, 0, 0)
        self._clean = False  # reset, registers written, memory compared
        self._values: dict[str, int] = {}  # of the registers, as they were written

    def identify(self) -> int:
        """Return the engine's hash.

        Raises
        ------
        DeviceError
            If there is no engine, or one with other registers.
        """
        identity = self.read("identity")
        if identity != registers.IDENTITY:
            raise DeviceError(
                f"register identity is 0x{identity:08x}, not 0x{registers.IDENTITY:08x}:"
                " no engine is there, or its bitstream is not loaded"
            )
        version = self.read("version")
        if version != registers.VERSION:
            raise DeviceError(
                f"register version is {version}, this driver knows {registers.VERSION}:"
                " take bitstream and driver of one release"
            )
        return self.read("engine")

    def load(self, package: Package, *, self_test: bool = True) -> None:
        """Load a network: write the MODEL region, compare it, and run the self-test.

        Raises
        ------
        UserError
            If the package is for another engine, or does not fit the memory.
        DeviceError
            If memory does not hold what was written, or the self-test's output is another one.
        """
        self.package, self._clean = None, False
        found = self.identify()
        if found != package.engine_hash:
            raise UserError(
                f"{package.model} is packaged for engine {package.engine['name']}, hash"
                f" {package.engine_hash:016x}; the device holds {found:016x}: package it for that"
                " engine, or load the other bitstream"
            )
        self._layout = Layout.of(package, self.transport.memory_bytes, self.batch)
        self._prepare(package)
        self.package = package
        if self_test:
            self._self_test(package)

    def classify(self, images: np.ndarray) -> RunOutput:
        """Run images, in as few runs as memory allows.

        Parameters
        ----------
        images : (images, height, width, channels) uint8
            At least one; of one image the first axis may be missing.
        """
        package = self._loaded()
        images = np.asarray(images)
        images = images[None] if images.ndim == len(package.image) else images
        if images.shape[1:] != package.image or images.dtype != np.uint8 or not len(images):
            raise UserError(
                f"images must be uint8 of {_sizes(package.image)} (height x width x channels),"
                f" not {images.dtype} of {_sizes(images.shape[1:]) or 'no pixels'}"
            )
        parts = [
            self._run(package, images[at : at + self._layout.images])
            for at in range(0, len(images), self._layout.images)
        ]
        outputs = np.concatenate([part.outputs for part in parts])
        with self._discarding():
            self.transport.show(package.meaning.lights(outputs[-1]))
        indices = [part.indices for part in parts if part.indices is not None]
        return RunOutput(
            outputs,
            tuple(cycles for part in parts for cycles in part.cycles),
            np.concatenate(indices) if indices else None,
        )

    def check(self) -> None:
        """Compare the MODEL region with the package, between runs.

        Raises
        ------
        DeviceError
            If a byte differs; the next run writes the region again.
        """
        package = self._loaded()
        with self._discarding():
            at = self.transport.difference(0, package.region)
            if at is not None:
                raise DeviceError(f"memory has changed: first at byte 0x{at:x} of the model")

    def counters(self) -> dict[str, dict[str, int]]:
        """Cycles of the last run, by unit and event."""
        return {
            unit.lower(): {event: self.read(f"{unit.lower()}_{event}") for event in EVENTS}
            for unit in UNITS
        }

    def reset(self) -> None:
        """Reset the engine, and wait until memory has answered all that was outstanding.

        Never from outside: a reset while reads are outstanding would wedge the memory's port.
        """
        self._clean, self._values = False, {}
        self.write("control", RESET)
        ends = self.transport.now() + self.limit_s
        while "resetting" in (status := self.status()):
            left = ends - self.transport.now()
            if left <= 0:
                raise DeviceError(
                    f"register status is {_shown(status)} {self.limit_s:g} s after a reset:"
                    " memory does not answer; switch the board off and on"
                )
            self.transport.wait(min(left, RESET_S))  # no interrupt will come
        self._values = {name: value for name, (_, _, value) in REGISTERS.items()}

    def close(self) -> None:
        """Let go of the device; an engine that is still running is reset first."""
        try:
            if self._values and "busy" in self.status():
                self.reset()
        except DeviceError:
            pass  # it is gone: there is nothing to stop
        finally:
            self._clean, self._values = False, {}
            self.transport.close()

    # ------------------------------------------------------------ registers

    def read(self, name: str) -> int:
        """Read a register, all its words."""
        offset, words, _ = REGISTERS[name]
        parts = (self.transport.read32(offset + 4 * part) for part in range(words))
        return sum(word << WORD_BITS * part for part, word in enumerate(parts))

    def write(self, name: str, value: int) -> None:
        """Write a register, all its words."""
        offset, words, _ = REGISTERS[name]
        for part in range(words):
            word = value >> WORD_BITS * part & ((1 << WORD_BITS) - 1)
            self.transport.write32(offset + 4 * part, word)

    def status(self) -> frozenset[str]:
        """Names of the status bits that are set."""
        return status_bits(self.read("status"))

    def _set(self, **values: int) -> None:
        """Write the registers that do not have these values yet."""
        for name, value in values.items():
            if self._values.get(name) != value:
                self.write(name, value)
                self._values[name] = value

    # ------------------------------------------------------------ a network

    def _loaded(self) -> Package:
        if self.package is None:
            raise UserError("no network is loaded: call load() first")
        return self.package

    def _prepare(self, package: Package) -> None:
        """Reset, write what is the same in all runs, and make sure of the MODEL region."""
        self.reset()
        layout, base = self._layout, self.transport.base
        region_end = base + len(package.region)
        self._set(
            program_address=base + package.program_offset,
            program_bytes=package.program_bytes,
            model_base=base,
            model_limit=region_end,
            image_base=base + layout.images_at,
            image_limit=base + layout.outputs_at,
            image_stride=layout.image_stride,
            output_base=base + layout.outputs_at,
            output_limit=base + layout.bytes,
            output_stride=layout.output_stride,
            irq_enable=int(self.transport.interrupts),
        )
        if self.watchdog_cycles is not None:
            self._set(watchdog_cycles=self.watchdog_cycles)
        if self.transport.difference(0, package.region) is not None:
            self.transport.put(0, package.region)
            at = self.transport.difference(0, package.region)
            if at is not None:
                raise DeviceError(f"memory does not hold what was written: first at byte 0x{at:x}")
        self._clean = True

    def _self_test(self, package: Package) -> None:
        found = self._run(package, package.sample[None])
        wrong = int((found.outputs[0] != package.expected).sum())
        if found.indices is not None:
            wrong += int((found.indices[0] != package.indices).sum())
        if wrong:
            self.package, self._clean = None, False
            raise DeviceError(
                f"self-test of {package.model}: {wrong} of {package.expected.size} values differ"
                " from the golden model's"
            )

    # ------------------------------------------------------------ a run

    def _run(self, package: Package, images: np.ndarray) -> RunOutput:
        with self._discarding():
            if not self._clean:
                self._prepare(package)
            if "busy" in (status := self.status()):
                raise DeviceError(
                    f"register status is {_shown(status)} before the start: another program uses"
                    " the engine"
                )
            layout = self._layout
            content = np.zeros((len(images), layout.image_stride), np.uint8)
            content[:, : package.image_bytes] = images.reshape(len(images), -1)
            self.transport.put(layout.images_at, content.tobytes())
            self._set(images=len(images))
            self.write("control", START)
            self._finish(len(images))
            regions = self.transport.get(layout.outputs_at, len(images) * layout.output_stride)
            first, last = self.read("cycles_first"), self.read("cycles_last")
        found = np.frombuffer(regions, np.uint8).reshape(len(images), -1)
        others = (last - first) / max(1, len(images) - 1)
        cycles = (first, *(others for _ in range(len(images) - 1)))
        meaning = package.meaning
        return RunOutput(meaning.decode(found), cycles, meaning.indices(found))

    def _finish(self, images: int) -> None:
        """Wait for the end of a run, as long as images come."""
        done, ends = 0, self.transport.now() + self.limit_s
        while "done" not in (status := self.status()):
            if "ignored" in status or "busy" not in status:
                break
            left = ends - self.transport.now()
            if left > 0:
                self.transport.wait(left)
                continue
            now = self.read("images_done")
            if now == done:
                raise DeviceError(
                    f"register status is {_shown(status)}, and images_done is {now} of {images},"
                    f" for {self.limit_s:g} s: the engine stands still"
                )
            done, ends = now, self.transport.now() + self.limit_s
        now = self.read("images_done")
        if "error" in status:
            self.transport.show(ERROR_LIGHT)
            fault = fault_text(self.read("error"), self.read("waits"))
            raise DeviceError(
                f"the engine stopped after {now} of {images} images: {fault};"
                " all images of this run are discarded"
            )
        if "done" not in status or "ignored" in status or now != images:
            raise DeviceError(
                f"register status is {_shown(status)} behind a run, and images_done is {now} of"
                f" {images}"
            )

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        """Have the engine reset before its next run if this block does not end well."""
        clean = False
        try:
            yield
            clean = True
        finally:
            self._clean = self._clean and clean


def _shown(status: frozenset[str]) -> str:
    return "+".join(name for name in registers.STATUS_BITS if name in status) or "idle"


def _sizes(sizes: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in sizes)
