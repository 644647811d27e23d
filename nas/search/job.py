"""The main job, stage by stage. Each stage leaves on disk what a later stage or run needs."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import TaskID

from nas.cost import ExactCosts, HardwareTarget
from nas.report.page import write_report
from nas.search import pareto, run_folder
from nas.search.evolution import Candidate, Evolution
from nas.search.evolution_state import Evaluate, EvolutionState
from nas.search.options import ENGINE_SEARCH, SearchOptions
from nas.search.page import PICTURES, search_report
from nas.search.ranking import Outcome, Ranking
from nas.search.report import MeasuredWinner, TestImages, measure_winner, refuse_mismatches
from nas.search.scoring import scores_on, scoring_pool
from nas.search.setup import SearchSetup, cost_workers, prepare
from nas.search.summary import Summary, versions
from nas.search.table import baselines_table, summary_lines, winners_table, work_table
from nas.supernet.export import export
from nas.supernet.supernet import Supernet
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import moved_net
from nas.training.processes import Processes
from nas.training.train import train_supernet
from rtl.console import DETAIL, progress_bars
from rtl.files import atomic_write
from rtl.model import IntegerModel
from sim import testbench
from sim.toolchain import builder


@dataclass(frozen=True, eq=False)
class EngineResult:
    """Result of the search on one engine.

    Parameters
    ----------
    setup : SearchSetup
    net : Supernet
    hardware : HardwareTarget
    found, drawn : list of Candidate
        Subnets that the search evaluated, and random ones, with their costs on this engine.
    outcomes : list of Outcome
        Winners with their baselines, in the order of the frame rates.
    """

    setup: SearchSetup
    net: Supernet
    hardware: HardwareTarget
    found: list[Candidate]
    drawn: list[Candidate]
    outcomes: list[Outcome]

    @property
    def winners(self) -> list[Candidate]:
        """Winners, in the order of the frame rates."""
        return [outcome.winner.candidate for outcome in self.outcomes]

    @property
    def rank(self) -> tuple[float, float, float]:
        """Mean loss of the winners, then their cycles, then the resources; lower is better."""
        losses = np.mean([outcome.winner.loss for outcome in self.outcomes])
        cycles = np.log([winner.cycles for winner in self.winners]).mean()
        return float(losses), float(cycles), self.setup.candidates.share(self.hardware)


def run(options: SearchOptions) -> Summary:
    """Do the main job.

    Raises
    ------
    UserError
        Before anything long begins, if the options do not fit each other, the board, the run
        folder or its content.
    ToolError
        At the end, if any two executors of a winner disagree.
    """
    started = time.monotonic()
    console = Console(stderr=True)
    torch.set_num_threads(options.threads)
    if options.images:
        builder.require()  # before the training, not after it
    with cost_workers(options) as executor:
        costs = ExactCosts(executor)
        setups = prepare(options, costs, console)
        folder = setups[0].folder
        with run_folder.locked(folder):
            states = load_states(setups)
            run_folder.write_task(setups[0].task, folder)
            announce(setups[0], console)
            results = [
                result
                for setup, state in zip(setups, states, strict=True)
                for result in search_engines(setup, state, console)
            ]
            best = min(results, key=lambda result: result.rank)
            models = export_winners(best)
            write_predictions(best, models)
            write_engine(best.hardware, folder)
            plot_candidates(best)
            test = TestImages(best.setup.task)
            measurements = measure_winners(best, models, test, console)
            summary = Summary(
                seed=options.seed,
                task=best.setup.task_figures,
                wall_s=round(time.monotonic() - started, 1),
                costing_s=round(costs.timer.seconds, 1),
                versions=versions(),
                **best.setup.candidates.report(best.hardware),
                objectives=options.objectives,
                tolerance=options.tolerance,
                caveats=tuple(best.setup.caveats(best.hardware)),
                candidates=sum(len(state.found) for state in states),
                supernet=best.setup.supernet_key,
                winners=tuple(measurement.winner for measurement in measurements),
            )
            summary.save(folder / run_folder.SUMMARY)
            write_page(best, models, summary, test)
    print_summary(summary, folder)
    refuse_mismatches(measurements)
    return summary


# --- before the search --------------------------------------------------------------------------


def load_states(setups: Sequence[SearchSetup]) -> list[EvolutionState]:
    """Read the states of an interrupted run, or discard it if the options say so."""
    if setups[0].options.restart:
        run_folder.discard(setups[0].folder)
    return [setup.load_state() for setup in setups]


def announce(setup: SearchSetup, console: Console) -> None:
    """Print the caveats; begin to build the simulation, on a core that training leaves idle."""
    for caveat in setup.caveats(setup.engines[0]):
        console.print(f"warning: {caveat}")
    if setup.options.images and setup.options.engine != ENGINE_SEARCH:
        testbench.build_meanwhile(setup.engines[0].engine)


# --- training and search ------------------------------------------------------------------------


def search_engines(
    setup: SearchSetup, state: EvolutionState, console: Console
) -> list[EngineResult]:
    """Train the supernet, or load it, and search it for each engine."""
    checkpoint = train_supernet(
        setup.training,
        setup.supernets,
        setup.data,
        console=console,
        processes=Processes(device=setup.device),
        workers=setup.options.workers,
    )
    net = load_supernet(checkpoint)
    bands = setup.bands(net.order)
    with evaluators(setup, checkpoint, net) as (evaluate, rerank):
        evolution = Evolution(setup.space, bands, evaluate, setup.evolution, state)
        ranking = Ranking(evolution, rerank, setup.options.tolerance / 100)
        outcomes = search(setup, evolution, ranking, console)
    count = len(setup.targets)
    return [
        EngineResult(
            setup,
            net,
            hardware,
            evolution.candidates(state.found, first),
            evolution.candidates(state.drawn, first),
            outcomes[first : first + count],
        )
        for first, hardware in zip(range(0, len(outcomes), count), setup.engines, strict=True)
    ]


@contextmanager
def evaluators(
    setup: SearchSetup, checkpoint: Path, net: Supernet
) -> Iterator[tuple[Evaluate, Evaluate]]:
    """Scores on the search images and on the re-ranking images.

    On a CPU by several processes, if the options say so.
    """
    parts = setup.searching, setup.reranking
    if setup.options.workers == 1 or setup.device.type != "cpu":
        evaluated = moved_net(net, setup.device)
        yield scores_on(evaluated, parts[0]), scores_on(evaluated, parts[1])
        return
    with scoring_pool(checkpoint, parts, setup.options.workers) as pool:
        yield pool.on(0), pool.on(1)


def search(
    setup: SearchSetup, evolution: Evolution, ranking: Ranking, console: Console
) -> list[Outcome]:
    """Search for every engine and frame rate; the state is saved after each generation."""
    state, outcomes = evolution.state, []
    with progress_bars(DETAIL, console=console) as progress:
        bars = [
            progress.add_task(f"search, {target:g} fps{label}", total=setup.stages, detail="")
            for label in setup.candidates.labels
            for target in setup.targets
        ]
        for index, bar in enumerate(bars):

            def after_generation(index: int = index, bar: TaskID = bar) -> None:
                state.save(setup.state_path)
                best = min(state.scores[g].cross_entropy for g in state.targets[index].found)
                done = state.targets[index].generations + 1 + bool(state.targets[index].drawn)
                progress.update(bar, completed=done, detail=f"cross-entropy {best:.4f}")

            evolution.run(index, after_generation)
            outcomes.append(ranking.outcome(index))
            state.save(setup.state_path)
            progress.update(bar, completed=setup.stages)
    return outcomes


# --- the winners --------------------------------------------------------------------------------


def export_winners(best: EngineResult) -> list[IntegerModel]:
    """Write the integer model of each winner."""
    setup, models = best.setup, []
    for target, winner in zip(setup.targets, best.winners, strict=True):
        info = {
            "made_by": "python -m nas.search",
            "seed": setup.options.seed,
            "supernet": setup.supernet_key,
            "board": best.hardware.board.name,
            "target_fps": target,
            "predicted_cycles": winner.cycles,
            "accuracy_search": 1 - winner.score.error,
        }
        model = export(
            best.net,
            winner.arch,
            class_names=setup.data.class_names,
            preprocessing=setup.data.preprocessing,
            info=info,
        )
        model.save(setup.folder / run_folder.model_file(target))
        models.append(model)
    return models


def write_predictions(best: EngineResult, models: Sequence[IntegerModel]) -> None:
    """Write the predicted cycles, before the first simulation."""
    predictions = [
        {
            "target_fps": target,
            "predicted_cycles": winner.cycles,
            "model": run_folder.model_file(target),
            "model_hash": model.hash,
        }
        for target, winner, model in zip(best.setup.targets, best.winners, models, strict=True)
    ]
    with atomic_write(best.setup.folder / run_folder.PREDICTIONS, "w") as file:
        json.dump({"schema": 1, "predictions": predictions}, file, indent=2)


def write_engine(hardware: HardwareTarget, folder: Path) -> None:
    """Write the sizes of the engine, as ``--engine`` takes them."""
    with atomic_write(folder / run_folder.ENGINE, "w") as file:
        json.dump(hardware.engine.to_json(), file, indent=2)


def plot_candidates(best: EngineResult) -> None:
    """Plot all candidates and the winners."""
    board, engine = best.hardware.board, best.hardware.engine
    pareto.plot(
        best.setup.folder / run_folder.PLOT,
        best.found,
        best.drawn,
        best.outcomes,
        best.setup.targets,
        board.clock_hz,
        f"Subnets on board '{board.name}', engine '{engine.name}'",
        best.setup.options.objectives,
    )


def measure_winners(
    best: EngineResult, models: Sequence[IntegerModel], test: TestImages, console: Console
) -> list[MeasuredWinner]:
    """Measure all winners on the test set and on the RTL."""
    setup, measurements = best.setup, []
    with progress_bars(DETAIL, console=console) as progress:
        bar = progress.add_task("winners", total=len(models), detail="")
        for target, outcome, model in zip(setup.targets, best.outcomes, models, strict=True):

            def advance(stage: str, target: float = target) -> None:
                progress.update(bar, detail=f"{target:g} fps: {stage}")

            measurements.append(
                measure_winner(
                    best.net,
                    outcome,
                    model,
                    target_fps=target,
                    file=run_folder.model_file(target),
                    hardware=best.hardware,
                    test=test,
                    images=setup.options.images,
                    device=setup.device,
                    advance=advance,
                )
            )
            progress.advance(bar)
    return measurements


def write_page(
    best: EngineResult, models: Sequence[IntegerModel], summary: Summary, test: TestImages
) -> None:
    """Write the report to look at."""
    setup, shown = best.setup, test.some(PICTURES)
    page = search_report(
        summary, best.hardware, models, best.found, best.drawn, best.outcomes, shown
    )
    write_report(page, setup.folder / run_folder.REPORT)


def print_summary(summary: Summary, folder: Path) -> None:
    """Print the tables of the winners, and where everything was written."""
    console = Console()
    console.print(winners_table(summary))
    console.print(baselines_table(summary))
    if set(summary.objectives) != {"cycles"}:
        console.print(work_table(summary))
    print(*summary_lines(summary), sep="\n")
    print(
        f"Wrote {folder}: {run_folder.REPORT}, {run_folder.SUMMARY}, {run_folder.ENGINE},"
        f" {len(summary.winners)} models (.pulsar)"
    )
