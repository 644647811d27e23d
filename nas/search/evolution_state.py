"""State of an evolutionary search, in a file: every score, and the population of each target."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtl.errors import UserError
from rtl.files import atomic_write

SCHEMA = 2
TIE_BREAK = 1e-3  # weight of cross-entropy: below one image in 500 for any sensible value
Genes = tuple[int, ...]


@dataclass(frozen=True)
class Score:
    """Answers of a subnet on the search images.

    Parameters
    ----------
    error : float
        Fraction of wrong answers.
    cross_entropy : float
        Mean, in nats.
    """

    error: float
    cross_entropy: float

    @property
    def objective(self) -> float:
        """The error; among equals the cross-entropy decides."""
        return self.error + TIE_BREAK * self.cross_entropy


@dataclass
class EvolutionState:
    """Everything that a search needs to continue.

    Parameters
    ----------
    identity : dict
        JSON values that decide the result; a state is only continued under equal ones.
    scores : dict of tuple of int to Score
        Scores by genes; all targets share them.
    populations : list of list of tuple of int
        Genes, for each target that was begun.
    generations : list of int
        Number of finished generations, for each target that was begun.
    """

    identity: dict[str, Any]
    scores: dict[Genes, Score] = field(default_factory=dict)
    populations: list[list[Genes]] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the state; it appears whole or not at all."""
        data = {
            "schema": SCHEMA,
            "identity": self.identity,
            "scores": [
                [list(genes), score.error, score.cross_entropy]
                for genes, score in self.scores.items()
            ],
            "populations": self.populations,
            "generations": self.generations,
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
                scores={tuple(genes): Score(*values) for genes, *values in data["scores"]},
                populations=[[tuple(genes) for genes in pop] for pop in data["populations"]],
                generations=data["generations"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: damaged ({type(error).__name__}): delete the file") from None


def _other_version(path: Path, schema: int) -> str:
    age = "an older" if schema < SCHEMA else "a newer"
    return (
        f"{path.parent} holds a run of {age} version (schema {schema} of {path.name}, not"
        f" {SCHEMA}): choose another --name, or discard it with --restart"
    )
