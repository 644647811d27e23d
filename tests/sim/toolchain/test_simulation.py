"""A built simulation is run: results, logs, waveforms."""

import pytest

from sim.toolchain.builder import build
from sim.toolchain.simulation import SimulationError
from tests.sim.toolchain.counter import BENCH, SOURCES


@pytest.mark.sim
def test_tests_pass_and_are_listed(counter, tmp_path):
    results = counter.run(BENCH, env={"STEP": "3", "HIDDEN": "invisible"}, directory=tmp_path)
    names = [test.name.rpartition(".")[2] for test in results.tests]
    assert names == ["counts", "sees", "fails"]
    assert [test.skipped for test in results.tests] == [False, False, True]
    assert (tmp_path / "simulation.log").read_text() == results.log


@pytest.mark.sim
def test_one_testcase(counter):
    results = counter.run(BENCH, testcase="counts", env={"STEP": "3"})
    assert [test.name.rpartition(".")[2] for test in results.tests] == ["counts"]


@pytest.mark.sim
def test_failing_test_is_named_with_the_end_of_the_log(counter, tmp_path):
    env = {"STEP": "3", "HIDDEN": "invisible", "MISTAKE": "1"}
    log = tmp_path / "deeper" / "run.log"
    with pytest.raises(SimulationError) as error:
        counter.run(BENCH, env=env, log_file=log)
    first_line = str(error.value).splitlines()[0]
    assert first_line == f"{BENCH}: cocotb test failed: {BENCH}.fails:"
    assert "a mistake on purpose" in str(error.value)
    assert f"(whole log: {log})" in str(error.value)


@pytest.mark.sim
def test_unknown_test_module(counter):
    with pytest.raises(SimulationError, match="No module named 'nowhere'"):
        counter.run("nowhere")


@pytest.mark.sim
def test_waveform_needs_a_build_with_trace(counter):
    with pytest.raises(ValueError, match="'counter' was built without trace"):
        counter.run(BENCH, trace=True)


@pytest.mark.sim
def test_waveform(cache, tmp_path):
    traced = build(SOURCES, "counter", trace=True, cache=cache)
    traced.run(BENCH, env={"STEP": "1", "HIDDEN": "invisible"}, directory=tmp_path, trace=True)
    assert (tmp_path / "dump.vcd").stat().st_size > 0
