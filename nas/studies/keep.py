"""Selection of tokens beside networks that keep them all, in cycles at equal accuracy.

A supernet of the digits with keep among its genes is searched twice for the best trades between
cross-entropy and cycles: with these genes, and with all patches kept. For three frame rates the
best network without selection is taken; then the fastest one with selection that is not worse on
the images that choose, and, as a control, the best one without selection that is as fast as that.
The supernet trains few subnets that keep all, so each network is also trained further, alone and
alike. Only then are all of them measured on the test images, once, as integer models.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
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
from nas.supernet.supernet import Supernet
from nas.testset import load_digits_test
from nas.training.checkpoint import load_supernet
from nas.training.evaluate import Result, evaluate_subnet
from nas.training.train import train_supernet
from nas.warm.source import NetworkSource
from rtl.config import SELECTED_TOKENS
from rtl.console import DETAIL, print_tables, progress_bars, table
from rtl.files import atomic_write, require_writable

SCHEMA = 1
SPACE = "digits-keep"
EQUAL = 0.015  # nats: what the upper end of the interval may be at most
SHORTLIST = 16  # networks by the search images, of which others choose
GENERATIONS = 6
SEARCH_EVERY = 8  # training images beside those for validation that the searches see
EPOCH_SHARE = 6  # of the epochs of the recipe's second stage, one in so many trains further
SHARED, TUNED = "shared", "tuned"  # weights: the supernet's, or trained further
MARGIN = 0.02  # nats by which one on the list may be worse there


@dataclass(frozen=True, eq=False)
class Searched:
    """Subnets that a search of a supernet evaluated.

    Parameters
    ----------
    setup : SearchSetup
    net : Supernet
        Trained.
    candidates : sequence of Candidate
        The search's and as many random ones, scored on the search images.
    """

    setup: SearchSetup
    net: Supernet
    candidates: Sequence[Candidate]

    @cached_property
    def choosing(self) -> ImageSet:
        """Images that choose: those for validation, and the half of the training's for ranking."""
        return _joined(self.setup.data.validation, self.setup.reranking)

    def chosen(self, listed: Sequence[Candidate]) -> list[tuple[float, Candidate]]:
        """Return cross-entropies on the images that choose, with their networks, the best first."""
        losses = [self._loss(each.arch) for each in listed]
        order = np.argsort(losses, kind="stable")
        return [(losses[place], listed[place]) for place in order]

    def best(self, cycles: float) -> tuple[float, Candidate]:
        """Return the best network of at most so many cycles, with its cross-entropy."""
        able = [each for each in self.candidates if each.cycles <= cycles]
        return self.chosen(sorted(able, key=_searched_loss)[:SHORTLIST])[0]

    def fastest(self, loss: float, like: Candidate) -> tuple[float, Candidate] | None:
        """Return the fastest network with selection whose cross-entropy is no higher; None if none.

        Parameters
        ----------
        loss : float
            On the images that choose.
        like : Candidate
            The network to which that belongs.
        """
        listed = sorted(
            (
                each
                for each in self.candidates
                if each.cycles < like.cycles
                and selects(each.arch)
                and _searched_loss(each) <= _searched_loss(like) + MARGIN
            ),
            key=lambda each: each.cycles,
        )
        for each in listed:
            if (found := self._loss(each.arch)) <= loss:
                return found, each
        return None

    def _loss(self, arch: Arch) -> float:
        return float(evaluate_subnet(self.net, arch, self.choosing).cross_entropy.mean())


def selects(arch: Arch) -> bool:
    """Tell whether some block keeps only some of the patches."""
    return any(block.keep is not None for block in arch.blocks)


def run(options: StudyOptions) -> dict[str, Any]:
    """Do the study; return what it writes.

    Raises
    ------
    UserError
        If the folder cannot be written, or training diverges.
    """
    torch.set_num_threads(1)
    path = options.out / f"keep-{options.seed}.json"
    require_writable(path)
    console = Console(stderr=True)
    keeping = _setup(options, console)
    plain = _of_same_supernet(keeping, replace(keeping.space, keeps=()), index=1)
    checkpoint = train_supernet(keeping.training, keeping.supernets, keeping.data, console=console)
    net = load_supernet(checkpoint)
    searches = {"plain": searched(plain, net, console), "keeping": searched(keeping, net, console)}
    [hardware] = keeping.engines
    rates = default_targets(hardware, plain.space, plain.costs)
    networks = {rate: choose(**searches, limit=hardware.cycle_limit(rate)) for rate in rates}
    tuned = {
        each.arch: tuned_further(keeping, checkpoint, each.arch, console)
        for chosen in networks.values()
        for each in chosen.values()
    }
    test, targets = load_digits_test(), []
    for rate, chosen in networks.items():
        answers = {
            name: {
                SHARED: integer_answers(net, each.arch, keeping.data, test),
                TUNED: integer_answers(tuned[each.arch], each.arch, keeping.data, test),
            }
            for name, each in chosen.items()
        }
        targets.append(target_report(rate, chosen, answers))
    report = {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "board": hardware.board.name,
        "engine_sizes": hardware.engine.to_json(),
        "supernet": keeping.supernet_key,
        "tile_order": {name: [*map(int, tiles)] for name, tiles in net.order.items()},
        "candidates": {name: len(each.candidates) for name, each in searches.items()},
        "choosing_images": len(searches["keeping"].choosing),
        "test_images": len(test),
        "equal": EQUAL,
        "targets": targets,
    }
    with atomic_write(path, "w") as file:
        json.dump(report, file, indent=2)
    print_tables(keep_table(report))
    print(f"Wrote {path}")
    return report


# --- training and search ------------------------------------------------------------------------


def searched(setup: SearchSetup, net: Supernet, console: Console) -> Searched:
    """Search a space in a trained supernet, or take up what was kept of that."""
    [hardware] = setup.engines
    costs = setup.subnet_costs(hardware, net.order)
    [slowest] = costs.of([replace(setup.space, keeps=()).largest()])
    band = Band(setup.space, costs, slowest.cycles, narrow=False)
    train, validation = setup.data.train, setup.data.validation
    images = _joined(validation, train.take(range(0, len(train), SEARCH_EVERY)))
    state, evaluate = setup.load_state(), scores_on(net, images)
    evolution = Evolution(setup.space, [band], evaluate, setup.evolution, state)
    with run_folder.locked(setup.folder), progress_bars(DETAIL, console=console) as progress:
        name = "with selection" if setup.space.keeps else "without selection"
        bar = progress.add_task(f"search {name}", total=setup.evolution.generations + 2, detail="")

        def after_generation() -> None:
            state.save(setup.state_path)
            progress.advance(bar)

        evolution.run(0, after_generation)
    [target] = state.targets
    found = dict.fromkeys([*target.found, *target.drawn])
    return Searched(setup, net, evolution.candidates(found, 0))


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


# --- choice -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """A network that is measured on the test images.

    Parameters
    ----------
    arch : Arch
    cycles : int
        Per image.
    loss : float
        Cross-entropy on the images that choose, in quantized mode.
    """

    arch: Arch
    cycles: int
    loss: float


def choose(plain: Searched, keeping: Searched, limit: float) -> dict[str, Chosen]:
    """Choose the networks of a frame rate.

    Returns
    -------
    dict of str to Chosen
        ``dense``: the best without selection of at most ``limit`` cycles. ``selecting``: the
        fastest with selection that is no worse; missing if there is none. ``smaller``: the best
        without selection that is as fast as that; missing with it, or if there is none.
    """

    def entry(found: tuple[float, Candidate]) -> Chosen:
        loss, candidate = found
        return Chosen(candidate.arch, candidate.cycles, loss)

    loss, dense = plain.best(limit)
    networks = {"dense": entry((loss, dense))}
    if (found := keeping.fastest(loss, dense)) is None:
        return networks
    networks["selecting"] = entry(found)
    if any(each.cycles <= found[1].cycles for each in plain.candidates):
        networks["smaller"] = entry(plain.best(found[1].cycles))
    return networks


def _searched_loss(candidate: Candidate) -> float:
    return candidate.score.cross_entropy


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
        As :func:`choose` returns them.
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
                found, change = each[kind], each[kind]["difference"]
                result.add_row(
                    f"{target['target_fps']:g}" if (name, kind) == ("dense", SHARED) else "",
                    *(first if kind == SHARED else [""] * len(first)),
                    kind,
                    f"{100 * found['accuracy']:.1f}",
                    f"{found['cross_entropy']:.4f}",
                    "{mean:+.4f} ({low:+.4f}..{high:+.4f})".format(**change) if change else "",
                    ("yes" if found["equal"] else "no") if change else "",
                )
        result.add_section()
    return result
