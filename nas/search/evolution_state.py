"""State of an evolutionary search, in a file: every score, and what each target has found."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nas.space import Arch, Space
from rtl.errors import UserError
from rtl.files import atomic_write

SCHEMA = 3
Genes = tuple[int, ...]


@dataclass(frozen=True)
class Score:
    """Answers of a subnet on some images.

    Parameters
    ----------
    error : float
        Fraction of wrong answers.
    cross_entropy : float
        Mean, in nats: what candidates are compared by, as it is far less noisy.
    """

    error: float
    cross_entropy: float


Scores = dict[Genes, Score]
Evaluate = Callable[[Sequence[Arch]], Sequence[Score]]
"""Returns the scores of subnets in their order."""


@dataclass
class TargetState:
    """Progress for one frame rate on one engine; every list in the order of evaluation.

    Parameters
    ----------
    found : list of tuple of int
        Genes of all subnets that the search evaluated.
    population : list of tuple of int
        Genes that survived the last generation.
    generations : int
        Number of finished generations after the first one.
    drawn : list of tuple of int
        Genes of the random subnets that the search is compared with.
    """

    found: list[Genes] = field(default_factory=list)
    population: list[Genes] = field(default_factory=list)
    generations: int = 0
    drawn: list[Genes] = field(default_factory=list)


@dataclass
class EvolutionState:
    """Everything that a search needs to continue.

    Parameters
    ----------
    identity : dict
        JSON values that decide the result; a state is only continued under equal ones.
    scores, reranked : dict of tuple of int to Score
        Scores by genes on the search images and on the re-ranking images; all targets share them.
    targets : list of TargetState
        For each target that was begun.
    """

    identity: dict[str, Any]
    scores: Scores = field(default_factory=dict)
    reranked: Scores = field(default_factory=dict)
    targets: list[TargetState] = field(default_factory=list)

    @property
    def found(self) -> list[Genes]:
        """Genes of all subnets that the search evaluated, for any target, each once."""
        return list(dict.fromkeys(genes for target in self.targets for genes in target.found))

    @property
    def drawn(self) -> list[Genes]:
        """Genes of all random subnets, each once."""
        return list(dict.fromkeys(genes for target in self.targets for genes in target.drawn))

    def save(self, path: Path) -> None:
        """Write the state; it appears whole or not at all."""
        data = {
            "schema": SCHEMA,
            "identity": self.identity,
            "scores": _listed(self.scores),
            "reranked": _listed(self.reranked),
            "targets": [asdict(target) for target in self.targets],
        }
        with atomic_write(path, "w") as file:
            json.dump(data, file)

    @classmethod
    def load(cls, path: Path) -> "EvolutionState":
        """Read what :meth:`save` wrote.

        Raises
        ------
        UserError
            If the file is damaged, or another version of the program wrote it.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["schema"] != SCHEMA:
                raise UserError(_other_version(path, data["schema"]))
            return cls(
                identity=data["identity"],
                scores=_scores(data["scores"]),
                reranked=_scores(data["reranked"]),
                targets=[
                    TargetState(
                        *(_genes(target[name]) for name in ("found", "population")),
                        generations=target["generations"],
                        drawn=_genes(target["drawn"]),
                    )
                    for target in data["targets"]
                ],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: damaged ({type(error).__name__}): delete the file") from None


def add_scores(
    scores: Scores, population: Iterable[Genes], space: Space, evaluate: Evaluate
) -> None:
    """Evaluate the subnets that have no score yet."""
    missing = [genes for genes in dict.fromkeys(population) if genes not in scores]
    found = evaluate([space.decode(genes) for genes in missing])
    scores.update(zip(missing, found, strict=True))


def _listed(scores: Scores) -> list[list[Any]]:
    return [[list(genes), score.error, score.cross_entropy] for genes, score in scores.items()]


def _scores(listed: list[list[Any]]) -> Scores:
    return {tuple(genes): Score(*values) for genes, *values in listed}


def _genes(listed: list[list[int]]) -> list[Genes]:
    return [tuple(genes) for genes in listed]


def _other_version(path: Path, schema: int) -> str:
    age = "an older" if schema < SCHEMA else "a newer"
    return (
        f"{path.parent} holds a run of {age} version (schema {schema} of {path.name}, not"
        f" {SCHEMA}): choose another --name, or discard it with --restart"
    )
