"""The engine misused: mistakes that a host may make, and the state that it finds afterwards.

Job and memory are those of sim/benches/network.py. Every test ends with a clean inference, whose
logits must be those in the job's ``logits``.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from rtl.isa.faults import FaultCode
from rtl.isa.instructions import Unit
from rtl.isa.registers import IDENTITY
from sim.benches.host import Host


async def _started(dut: Any) -> tuple[Host, dict[str, Any]]:
    """A host after power-on, and the job."""
    job = json.loads(Path(os.environ["PULSAR_JOB"]).read_text())
    host = Host(dut)
    await host.power_on(**job["memory"])
    return host, job


async def _configure(host: Host, job: dict[str, Any], image: int = 0, **registers: int) -> None:
    address, output = job["images"][image]
    regions = {
        "image_base": address,
        "image_limit": address + job["image_bytes"],
        "output_base": output,
        "output_limit": output + job["output_bytes"],
        "images": 1,
    }
    for name, value in (job["registers"] | regions | registers).items():
        await host.write(name, value)


def _two_images(job: dict[str, Any]) -> dict[str, int]:
    """Registers for the job's first two images in one run."""
    (first, output), (second, output_2) = job["images"][:2]
    return {
        "images": 2,
        "image_stride": second - first,
        "output_stride": output_2 - output,
        "image_limit": second + job["image_bytes"],
        "output_limit": output_2 + PAGE,
    }


async def _clean_run(host: Host, job: dict[str, Any]) -> None:
    """After a reset by register, an inference works."""
    await host.command("reset")
    while "resetting" in await host.status():
        await ClockCycles(host.dut.clk, 8)
    await _configure(host, job)
    await host.command("start")
    await host.wait_for_interrupt(job["limit_cycles"])
    assert await host.status() == {"done", "irq"}
    assert await host.read("images_done") == 1


async def _fails(host: Host, job: dict[str, Any], code: FaultCode) -> int:
    """Start, expect the fault, and return the error register."""
    await host.command("start")
    await host.wait_for_interrupt(job["limit_cycles"])
    assert {"done", "error"} <= await host.status()
    error = await host.read("error")
    assert error & 15 == code, f"{FaultCode(error & 15).name}, not {code.name}"
    return error


@cocotb.test()
async def identifies_itself(dut: Any) -> None:
    """Identity and engine hash are readable; accesses to no register are ignored, and say so."""
    host, job = await _started(dut)
    assert await host.read("identity") == IDENTITY
    assert await host.read("engine") == job["engine"]
    assert await host.status() == set()
    assert await host.read_word(0xFFC) == 0
    assert await host.status() == {"ignored"}
    await _clean_run(host, job)
    await host.write_word(0xFFC, 1)
    assert await host.status() == {"done", "irq", "ignored"}


@cocotb.test()
async def loops_over_images(dut: Any) -> None:
    """Several images in one run, by the strides; counts them."""
    host, job = await _started(dut)
    await _configure(host, job, **_two_images(job))
    await host.command("start")
    await host.wait_for_interrupt(job["limit_cycles"])
    assert await host.read("images_done") == 2
    one, both = await host.read("cycles_first"), await host.read("cycles_last")
    assert 1.5 * one < both < 1.95 * one  # they overlap


@cocotb.test()
async def stops_at_a_fault_in_the_second_image(dut: Any) -> None:
    """The first one may be in flight then; what is done is counted."""
    host, job = await _started(dut)
    two = _two_images(job)
    await _configure(host, job, **two | {"image_limit": job["images"][1][0] + 16})
    error = await _fails(host, job, FaultCode.ADDRESS)
    assert error >> 4 & 15 == Unit.LOAD
    assert await host.read("images_done") <= 1
    await _clean_run(host, job)
    dut.error_address.value = job["images"][1][1]
    await _configure(host, job, **two)
    error = await _fails(host, job, FaultCode.WRITE)
    assert error >> 4 & 15 == Unit.STORE
    assert await host.read("images_done") == 1
    dut.error_address.value = job["memory"]["error_address"]
    await _clean_run(host, job)


@cocotb.test()
async def resets_with_two_images_in_flight(dut: Any) -> None:
    """A reset around the end of an image, then a clean inference each time."""
    host, job = await _started(dut)
    await _configure(host, job, **_two_images(job))
    await host.command("start")
    await host.wait_for_interrupt(job["limit_cycles"])
    one = await host.read("cycles_first")
    for cycles in range(one - 600, one + 200, 100):
        await _configure(host, job, **_two_images(job))
        await host.command("start")
        await ClockCycles(dut.clk, cycles)
        assert "busy" in await host.status()
        await _clean_run(host, job)


@cocotb.test()
async def ignores_a_second_start(dut: Any) -> None:
    """A start while busy changes nothing but the sticky bit."""
    host, job = await _started(dut)
    await _configure(host, job)
    await host.command("start")
    await ClockCycles(dut.clk, 200)
    await host.command("start")
    assert {"busy", "ignored"} <= await host.status()
    await host.wait_for_interrupt(job["limit_cycles"])
    assert "error" not in await host.status()
    await _clean_run(host, job)


@cocotb.test()
async def resets_in_mid_network(dut: Any) -> None:
    """A reset at several moments, then a clean inference each time."""
    host, job = await _started(dut)
    for cycles in (3, 150, 700, 1200):
        await _configure(host, job)
        await host.command("start")
        await ClockCycles(dut.clk, cycles)
        await _clean_run(host, job)


@cocotb.test()
async def refuses_an_address_outside_the_region(dut: Any) -> None:
    """A region that is too small stops the first load beyond it."""
    host, job = await _started(dut)
    await _configure(host, job, image_limit=job["images"][0][0] + 16)
    error = await _fails(host, job, FaultCode.ADDRESS)
    assert error >> 4 & 15 == Unit.LOAD
    await _clean_run(host, job)


@cocotb.test()
async def reports_a_read_error(dut: Any) -> None:
    """SLVERR on a beat of the weights names the load."""
    host, job = await _started(dut)
    await _configure(host, job)
    dut.error_address.value = job["registers"]["program_address"] // 2
    error = await _fails(host, job, FaultCode.READ)
    assert error >> 4 & 15 == Unit.LOAD and error >> 8 > 0
    dut.error_address.value = job["memory"]["error_address"]
    await _clean_run(host, job)


@cocotb.test()
async def reports_a_write_error(dut: Any) -> None:
    """SLVERR on the logits names the store."""
    host, job = await _started(dut)
    await _configure(host, job)
    dut.error_address.value = job["images"][0][1]
    error = await _fails(host, job, FaultCode.WRITE)
    assert error >> 4 & 15 == Unit.STORE
    dut.error_address.value = job["memory"]["error_address"]
    await _clean_run(host, job)


@cocotb.test()
async def refuses_a_program_of_another_length(dut: Any) -> None:
    """A truncated program is not run."""
    host, job = await _started(dut)
    await _configure(host, job, program_bytes=job["registers"]["program_bytes"] - 32)
    await _fails(host, job, FaultCode.ENGINE)
    await _clean_run(host, job)


PAGE = 4096
