"""The file of a search's state: damaged ones and those of other versions are refused by name."""

import re

import pytest

from nas.search.evolution_state import EvolutionState, Score, TargetState
from rtl.errors import UserError


def test_a_state_comes_back_as_it_was(tmp_path):
    path = tmp_path / "search.json"
    scores = {(0, 1, 2): Score(0.25, 0.7), (2, 1, 0): Score(0.125, 0.1)}
    targets = [TargetState([(2, 1, 0), (0, 1, 2)], [(0, 1, 2)], 4, [(1, 1, 1)]), TargetState()]
    state = EvolutionState({"seed": 3}, scores, {(0, 1, 2): Score(0.5, 0.9)}, targets)
    state.save(path)
    assert EvolutionState.load(path) == state
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("schema", "age"), [(2, "an older"), (9, "a newer")])
def test_a_state_of_another_version_is_named(schema, age, tmp_path):
    path = tmp_path / "search.json"
    path.write_text(f'{{"schema": {schema}}}')
    message = (
        f"{tmp_path} holds a run of {age} version (schema {schema} of search.json, not 3):"
        " choose another --name, or discard it with --restart"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        EvolutionState.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged (JSONDecodeError): delete the file"),
        ("[]", "damaged (TypeError): delete the file"),
        ('{"schema": 3}', "damaged (KeyError): delete the file"),
    ],
)
def test_damaged_state(text, message, tmp_path):
    path = tmp_path / "search.json"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(f"{path}: {message}")):
        EvolutionState.load(path)
