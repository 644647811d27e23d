"""Selection of tokens beside networks that keep them all, in cycles at equal accuracy.

A supernet of the digits with keep among its genes is searched, all patches kept, for the best
trades between cross-entropy and cycles. For three frame rates the best network is taken; then the
fastest one that selects and is not worse on the images that choose, of the best networks with every
choice of patches kept; and, as a control, the best one without selection that is as fast as that.
The supernet trains few subnets that keep all, so each network is also trained further, alone and
alike. The test images choose nothing; all networks are measured on them as integer models.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from nas.cost import ExactCosts, HardwareTarget
from nas.data import Images, ImageSet, read
from nas.finetune.job import TRAINING
from nas.finetune.trainer import SubnetTrainer
from nas.intervals import Difference, paired_mean_difference
from nas.search import run_folder
from nas.search.band import Band
from nas.search.evolution import Candidate, Evolution
from nas.search.options import SearchOptions
from nas.search.scoring import scores_on
from nas.search.setup import SearchSetup, prepare
from nas.search.targets import default_targets
from nas.space import Arch, Space
from nas.studies.answers import integer_answers
from nas.studies.options import StudyOptions
from nas.studies.resampling import cell
from nas.studies.setup import begin
from nas.supernet.supernet import Supernet
from nas.testset import load_digits_test
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import Result, evaluate_subnet
from nas.training.train import train_supernet
from nas.warm.source import NetworkSource
from rtl.config import SELECTED_TOKENS
from rtl.console import DETAIL, print_tables, progress_bars, table
from rtl.files import atomic_write

SCHEMA = 1
SPACE = "digits-keep"
EQUAL = 0.015  # nats: what the upper end of the interval may be at most
SHORTLIST = 8  # networks by the search images, of which others choose
PARENTS = 6  # networks, of all and of those that are fast enough, with every choice of patches kept
GENERATIONS = 4
SEARCH_EVERY = 8  # training images beside those for validation that the searches see
EPOCH_SHARE = 6  # of the epochs of the recipe's second stage, one in so many trains further
SHARED, TUNED = "shared", "tuned"  # weights: the supernet's, or trained further
Answers = dict[float, dict[str, dict[str, Result]]]
"""On the test images: by frame rate, network and kind of weights."""
MARGIN = 0.01  # nats by which one that selects may be worse on the search images


@dataclass(frozen=True)
class Chosen:
    """A network, its cycles, and its cross-entropy on the images that choose, in quantized mode."""

    arch: Arch
    cycles: int
    loss: float


class NetworkChoice:
    """Choice of the networks that are measured.

    Parameters
    ----------
    space : Space
        With keep among its choices.
    dense : sequence of Candidate
        Networks that keep all, scored on the search images.
    cycles : callable
        Returns the cycles of networks.
    searched, choosing : callable
        Return the cross-entropy of a network on the search images, and on those that choose.
    """

    def __init__(
        self,
        space: Space,
        dense: Sequence[Candidate],
        cycles: Callable[[Sequence[Arch]], Sequence[float]],
        searched: Callable[[Arch], float],
        choosing: Callable[[Arch], float],
    ) -> None:
        self.space, self.cycles = space, cycles
        self.dense = sorted(dense, key=lambda each: each.score.cross_entropy)
        self.searched, self.choosing = cache(searched), cache(choosing)

    def networks(self, limit: float) -> dict[str, Chosen]:
        """Choose the networks of a frame rate.

        Parameters
        ----------
        limit : float
            Most cycles of an image.

        Returns
        -------
        dict of str to Chosen
            ``dense``: the best that keeps all. ``selecting``: the fastest that selects and is no
            worse; missing if there is none. ``smaller``: the best that keeps all and is as fast as
            that; missing if there is none.
        """
        dense = self.best(limit)
        assert dense is not None
        found = {"dense": dense}
        if selecting := self.fastest(dense):
            found["selecting"] = selecting
            if smaller := self.best(selecting.cycles):
                found["smaller"] = smaller
        return found

    def best(self, limit: float) -> Chosen | None:
        """Return the best network that keeps all and takes at most so many cycles."""
        able = [each for each in self.dense if each.cycles <= limit][:SHORTLIST]
        chosen = [Chosen(each.arch, each.cycles, self.choosing(each.arch)) for each in able]
        return min(chosen, key=lambda each: each.loss, default=None)

    def fastest(self, dense: Chosen) -> Chosen | None:
        """Return the fastest network that selects and is no worse than one that keeps all."""
        able = [each.arch for each in self.dense if each.cycles <= dense.cycles]
        parents = [each.arch for each in self.dense][:PARENTS] + able[:PARENTS]
        archs = [*dict.fromkeys(each for arch in parents for each in selecting(self.space, arch))]
        most = self.searched(dense.arch) + MARGIN
        costed = sorted(zip(self.cycles(archs), archs, strict=True), key=lambda each: each[0])
        for cycles, arch in costed:
            if cycles < dense.cycles and self.searched(arch) <= most:
                if (loss := self.choosing(arch)) <= dense.loss:
                    return Chosen(arch, int(cycles), loss)
        return None


def selecting(space: Space, arch: Arch) -> list[Arch]:
    """Return the network with every choice of patches that its blocks keep but all of them."""
    found = []
    for keeps in product(space.keep_choices, repeat=arch.depth - 1):
        chosen = zip(arch.blocks, (*keeps, None), strict=True)
        blocks = tuple(replace(block, keep=keep) for block, keep in chosen)
        found.append(space.decode(space.encode(replace(arch, blocks=blocks))))
    return [each for each in dict.fromkeys(found) if any(block.keep for block in each.blocks)]


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    UserError
        If the folder cannot be written, or training diverges.
    """
    path, console = begin(options, f"keep-{options.seed}")
    keeping = _setup(options, console)
    plain = _of_same_supernet(keeping, replace(keeping.space, keeps=()), index=1)
    checkpoint = train_supernet(
        keeping.training,
        keeping.supernets,
        keeping.data,
        console=console,
        workers=options.workers,
    )
    net = load_supernet(checkpoint)
    candidates = searched(plain, net, console)
    [hardware] = keeping.engines
    rates = default_targets(hardware, plain.space, plain.costs)
    choice = _choice(keeping, net, candidates)
    networks = {rate: choice.networks(hardware.cycle_limit(rate)) for rate in rates}
    test = load_digits_test()
    answers: Answers = {rate: {name: {} for name in chosen} for rate, chosen in networks.items()}
    about = {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "board": hardware.board.name,
        "engine_sizes": hardware.engine.to_json(),
        "supernet": keeping.supernet_key,
        "tile_order": {name: [*map(int, tiles)] for name, tiles in net.order.items()},
        "dense_candidates": len(candidates),
        "choosing_images": len(_choosing(keeping)),
        "test_images": len(test),
        "equal": EQUAL,
    }
    report: dict[str, Any] = {}
    for kind in (SHARED, TUNED):  # the second takes long: what there is is written before it
        for rate, chosen in networks.items():
            for name, each in chosen.items():
                tuned = kind == TUNED
                own = tuned_further(keeping, checkpoint, each.arch, console) if tuned else net
                answers[rate][name][kind] = integer_answers(own, each.arch, keeping.data, test)
        targets = [target_report(rate, networks[rate], answers[rate]) for rate in rates]
        report = {**about, "targets": targets}
        with atomic_write(path, "w") as file:
            json.dump(report, file, indent=2)
    print_tables(keep_table(report))
    print(f"Wrote {path}")
    return report


# --- search and training ------------------------------------------------------------------------


def searched(setup: SearchSetup, net: Supernet, console: Console) -> list[Candidate]:
    """Search a space in a trained supernet, or take up what was kept of that.

    Returns
    -------
    list of Candidate
        The search's and as many random ones.
    """
    [hardware] = setup.engines
    costs = setup.subnet_costs(hardware, net.order)
    [slowest] = costs.of([setup.space.largest()])
    band = Band(setup.space, costs, slowest.cycles, narrow=False)
    state, evaluate = setup.load_state(), scores_on(net, _searching(setup))
    evolution = Evolution(setup.space, [band], evaluate, setup.evolution, state)
    with run_folder.locked(setup.folder), progress_bars(DETAIL, console=console) as progress:
        bar = progress.add_task("search", total=setup.evolution.generations + 2, detail="")

        def after_generation() -> None:
            state.save(setup.state_path)
            progress.advance(bar)

        evolution.run(0, after_generation)
    [target] = state.targets
    found = dict.fromkeys([*target.found, *target.drawn])
    return evolution.candidates(found, 0)


def _choice(setup: SearchSetup, net: Supernet, dense: Sequence[Candidate]) -> NetworkChoice:
    [hardware] = setup.engines
    costs = setup.subnet_costs(hardware, net.order)

    def cycles(archs: Sequence[Arch]) -> list[float]:
        return [cost.cycles for cost in costs.of(archs)]

    def loss_on(images: ImageSet, arch: Arch) -> float:
        return float(evaluate_subnet(net, arch, images).cross_entropy.mean())

    parts = _searching(setup), _choosing(setup)
    return NetworkChoice(
        setup.space, dense, cycles, *(partial(loss_on, images) for images in parts)
    )


def _searching(setup: SearchSetup) -> ImageSet:
    """Images that search: those for validation, and one in some of the training's."""
    train = setup.data.train
    return _joined(setup.data.validation, train.take(range(0, len(train), SEARCH_EVERY)))


def _choosing(setup: SearchSetup) -> ImageSet:
    """Images that choose: those for validation, and the half of the training's for ranking."""
    return _joined(setup.data.validation, setup.reranking)


def tuned_further(setup: SearchSetup, checkpoint: Path, arch: Arch, console: Console) -> Supernet:
    """Train a subnet further, alone, as :mod:`nas.finetune` does, or take up what was kept."""
    training = setup.training
    config = replace(
        training,
        alone=arch,
        start=NetworkSource(str(checkpoint), sha256=setup.supernet_key),
        float_epochs=0,
        quantized_epochs=max(1, training.quantized_epochs // EPOCH_SHARE),
        teacher_share=training.distillation,
    )
    folder = setup.folder / TRAINING
    path = train_supernet(config, folder, setup.data, console=console, kind=SubnetTrainer)
    return load_supernet(path)


def _joined(*parts: Images) -> ImageSet:
    whole = [read(part) for part in parts]
    return ImageSet(
        torch.cat([part.pixels for part in whole]), torch.cat([part.labels for part in whole])
    )


def _setup(options: StudyOptions, console: Console) -> SearchSetup:
    """Settle what the main job would, on the board's engine with selection."""
    given = HardwareTarget.load(options.board).engine
    engine = replace(
        given, name=f"{given.name}_select", select_tokens=given.select_tokens or SELECTED_TOKENS[1]
    )
    searching = SearchOptions(
        name=f"keep-{options.seed}",
        space=SPACE,
        out=options.out,
        board=options.board,
        engine=str(options.out / f"keep-{options.seed}" / run_folder.ENGINE),
        generations=GENERATIONS,
        seed=options.seed,
        quick=options.quick,
    )
    searching.folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(searching.folder / run_folder.ENGINE, "w") as file:
        json.dump(engine.to_json(), file, indent=2)
    [setup] = prepare(searching, ExactCosts(), console)
    return _with_space(setup, _narrow(setup.space)) if options.quick else setup


def _narrow(space: Space) -> Space:
    """Return a space of few choices, to try the command."""
    few = {name: getattr(space, name)[:1] for name in ("heads", "mlp_ratios", "fractions")}
    return replace(space, widths=space.widths[:1], keeps=space.keeps[:1], **few)


def _with_space(setup: SearchSetup, space: Space) -> SearchSetup:
    """Return the setup of another space, with a supernet of its own."""
    supernet = replace(setup.training.supernet, space=space)
    training = replace(setup.training, supernet=supernet)
    return replace(_of_same_supernet(setup, space), training=training)


def _of_same_supernet(setup: SearchSetup, space: Space, index: int = 0) -> SearchSetup:
    """Return the setup of a part of the space; ``index`` tells its state from others."""
    return replace(setup, index=index, candidates=replace(setup.candidates, space=space))


# --- report -------------------------------------------------------------------------------------


def target_report(
    rate: float, chosen: dict[str, Chosen], answers: dict[str, dict[str, Result]]
) -> dict[str, Any]:
    """Collect JSON values of a frame rate.

    Parameters
    ----------
    rate : float
        Frames per second.
    chosen : dict of str to Chosen
        As :meth:`NetworkChoice.networks` returns them.
    answers : dict of str to dict of str to Result
        Of each network with the supernet's weights, ``shared``, and trained further, ``tuned``.

    Returns
    -------
    dict of str to Any
        Differences are minus the dense network with weights of the same kind.
    """
    cycles, networks = chosen["dense"].cycles, {}
    for name, each in chosen.items():
        figures = {
            kind: _figures(result, answers["dense"][kind] if name != "dense" else None)
            for kind, result in answers[name].items()
        }
        networks[name] = {
            "cycles": each.cycles,
            "fewer_cycles": 1 - each.cycles / cycles,
            "cross_entropy_choosing": each.loss,
            **figures,
            "arch": each.arch.to_json(),
        }
    report: dict[str, Any] = {"target_fps": rate, "networks": networks}
    if "smaller" in answers:
        report["selecting_minus_smaller"] = {
            kind: asdict(_difference(result, answers["smaller"][kind]))
            for kind, result in answers["selecting"].items()
        }
    return report


def _figures(result: Result, dense: Result | None) -> dict[str, Any]:
    difference = dense and _difference(result, dense)
    return {
        "cross_entropy": float(result.cross_entropy.mean()),
        "accuracy": result.accuracy,
        "difference": asdict(difference) if difference else None,
        "equal": difference.high <= EQUAL if difference else None,
    }


def _difference(first: Result, second: Result) -> Difference:
    return paired_mean_difference(first.cross_entropy, second.cross_entropy)


def keep_table(report: dict[str, Any]) -> Table:
    """Make the table of the study."""
    result = table(
        "target\nfps", "network", "cycles", "fewer", "patches\nkept", "weights", "accuracy %",
        "cross-\nentropy", "minus dense", "equal",
        text=("network", "patches\nkept", "weights", "equal"),
        title="Networks that select tokens, beside those that keep them all",
        caption=f"integer models on the {report['test_images']:,} test images; 95 % intervals are"
        f" paired; equal: the upper end is at most {EQUAL:+g} nats; smaller: the best without"
        " selection that is as fast as the one with it; tuned: trained further, alone",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for target in report["targets"]:
        for name, each in target["networks"].items():
            kept = ", ".join(str(block.get("keep", "all")) for block in each["arch"]["blocks"])
            first = [name, f"{each['cycles']:,}", f"{each['fewer_cycles']:.1%}", kept]
            for kind in (SHARED, TUNED):
                if kind not in each:
                    continue
                found, change = each[kind], each[kind]["difference"]
                result.add_row(
                    f"{target['target_fps']:g}" if (name, kind) == ("dense", SHARED) else "",
                    *(first if kind == SHARED else [""] * len(first)),
                    kind,
                    f"{100 * found['accuracy']:.1f}",
                    f"{found['cross_entropy']:.4f}",
                    cell(change) if change else "",
                    ("yes" if found["equal"] else "no") if change else "",
                )
        result.add_section()
    return result
