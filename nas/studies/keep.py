"""Selection of tokens beside networks that keep them all, in cycles at equal accuracy.

Two supernets are trained on the digits by one recipe, with keep among the genes and without. Each
is searched for the best trade between cross-entropy and cycles. For three frame rates the best
network without selection is taken; then the fastest one with selection that is not worse on the
images that choose, and, as a control, the best one without selection that is as fast as that. Only
then are all of them measured on the test images, once, as integer models.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from nas.cost import ExactCosts, HardwareTarget
from nas.data import ImageSet
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
from rtl.config import SELECTED_TOKENS
from rtl.console import DETAIL, print_tables, progress_bars, table
from rtl.files import atomic_write, require_writable

SCHEMA = 1
SPACE = "digits-keep"
EQUAL = 0.015  # nats: what the upper end of the interval may be at most
SHORTLIST = 16  # networks by the search images, of which others choose
MARGIN = 0.02  # nats by which one on the list may be worse there


@dataclass(frozen=True, eq=False)
class Searched:
    """A supernet, and the subnets that a search of it evaluated.

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
        parts = self.setup.data.validation, self.setup.reranking
        return ImageSet(
            torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts])
        )

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
    plain = _with_space(keeping, replace(keeping.space, keeps=()), index=1)
    searches = {name: searched(each, console) for name, each in _named(plain, keeping)}
    [hardware] = keeping.engines
    rates = default_targets(hardware, plain.space, plain.costs)
    networks = {rate: choose(**searches, limit=hardware.cycle_limit(rate)) for rate in rates}
    test, targets = load_digits_test(), []
    for rate, chosen in networks.items():
        answers = {
            name: integer_answers(searches[each.of].net, each.arch, plain.data, test)
            for name, each in chosen.items()
        }
        targets.append(target_report(rate, chosen, answers))
    report = {
        "schema": SCHEMA,
        "seed": options.seed,
        "quick": options.quick,
        "board": hardware.board.name,
        "engine_sizes": hardware.engine.to_json(),
        "supernets": {name: each.supernet_key for name, each in _named(plain, keeping)},
        "candidates": {name: len(each.candidates) for name, each in searches.items()},
        "choosing_images": len(searches["plain"].choosing),
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


def searched(setup: SearchSetup, console: Console) -> Searched:
    """Train a supernet and search it, or take up what was kept of both."""
    checkpoint = train_supernet(setup.training, setup.supernets, setup.data, console=console)
    net = load_supernet(checkpoint)
    [hardware] = setup.engines
    costs = setup.subnet_costs(hardware, net.order)
    [slowest] = costs.of([replace(setup.space, keeps=()).largest()])
    band = Band(setup.space, costs, slowest.cycles, narrow=False)
    state, evaluate = setup.load_state(), scores_on(net, setup.searching)
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


def _with_space(setup: SearchSetup, space: Space, index: int = 0) -> SearchSetup:
    """Return the setup of another space; ``index`` tells its files from others."""
    supernet = replace(setup.training.supernet, space=space)
    return replace(
        setup,
        index=index,
        candidates=replace(setup.candidates, space=space),
        training=replace(setup.training, supernet=supernet),
    )


def _named(plain: SearchSetup, keeping: SearchSetup) -> list[tuple[str, SearchSetup]]:
    return [("plain", plain), ("keeping", keeping)]


# --- choice -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """A network that is measured on the test images.

    Parameters
    ----------
    of : str
        Its supernet: ``plain`` or ``keeping``.
    arch : Arch
    cycles : int
        Per image.
    loss : float
        Cross-entropy on the images that choose, in quantized mode.
    """

    of: str
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

    def entry(of: str, found: tuple[float, Candidate]) -> Chosen:
        loss, candidate = found
        return Chosen(of, candidate.arch, candidate.cycles, loss)

    loss, dense = plain.best(limit)
    networks = {"dense": entry("plain", (loss, dense))}
    if (found := keeping.fastest(loss, dense)) is None:
        return networks
    networks["selecting"] = entry("keeping", found)
    if any(each.cycles <= found[1].cycles for each in plain.candidates):
        networks["smaller"] = entry("plain", plain.best(found[1].cycles))
    return networks


def _searched_loss(candidate: Candidate) -> float:
    return candidate.score.cross_entropy


# --- report -------------------------------------------------------------------------------------


def target_report(
    rate: float, chosen: dict[str, Chosen], answers: dict[str, Result]
) -> dict[str, Any]:
    """Collect JSON values of a frame rate; differences are minus the dense network."""
    dense = chosen["dense"]
    networks = {}
    for name, each in chosen.items():
        values: dict[str, Any] = {
            "supernet": each.of,
            "cycles": each.cycles,
            "fewer_cycles": 1 - each.cycles / dense.cycles,
            "cross_entropy_choosing": each.loss,
            "cross_entropy": float(answers[name].cross_entropy.mean()),
            "accuracy": answers[name].accuracy,
            "difference": None,
            "arch": each.arch.to_json(),
        }
        if name != "dense":
            difference = _difference(answers[name], answers["dense"])
            values |= {"difference": asdict(difference), "equal": difference.high <= EQUAL}
        networks[name] = values
    report: dict[str, Any] = {"target_fps": rate, "networks": networks}
    if "smaller" in answers:
        apart = _difference(answers["selecting"], answers["smaller"])
        report["selecting_minus_smaller"] = asdict(apart)
    return report


def _difference(first: Result, second: Result) -> Difference:
    return paired_mean_difference(first.cross_entropy, second.cross_entropy)


def keep_table(report: dict[str, Any]) -> Table:
    """Make the table of the study."""
    result = table(
        "target\nfps", "network", "cycles", "fewer", "patches\nkept", "accuracy %",
        "cross-\nentropy", "minus dense", "equal",
        text=("network", "patches\nkept", "equal"),
        title="Networks that select tokens, beside those that keep them all",
        caption=f"integer models on the {report['test_images']:,} test images; 95 % intervals are"
        f" paired; equal: the upper end is at most {EQUAL:+g} nats; smaller: the best without"
        " selection that is as fast as the one with it",
        box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for target in report["targets"]:
        for name, each in target["networks"].items():
            change = each["difference"]
            result.add_row(
                f"{target['target_fps']:g}" if name == "dense" else "",
                name,
                f"{each['cycles']:,}",
                f"{each['fewer_cycles']:.1%}" if change else "",
                ", ".join(str(block.get("keep", "all")) for block in each["arch"]["blocks"]),
                f"{100 * each['accuracy']:.1f}",
                f"{each['cross_entropy']:.4f}",
                "{mean:+.4f} ({low:+.4f}..{high:+.4f})".format(**change) if change else "",
                ("yes" if each["equal"] else "no") if change else "",
            )
        result.add_section()
    return result
