"""Seals tell what was changed by accident; they do not keep anybody from making them anew."""

import re
from pathlib import Path

import pytest
import torch

from foldnet.errors import RunError
from foldnet.store.seals import changed, check_sealed, identity_of, seal_of, sealed

FILE = Path("runs/a/config.json")


def test_a_seal_is_over_everything_else_however_it_is_ordered():
    content = sealed({"a": 1, "b": [1.5, None]})
    assert sealed(dict(reversed(content.items()))) == content
    assert sealed(content) == content
    check_sealed(content, FILE, "run")
    with pytest.raises(RunError, match=f"^{re.escape(str(changed(FILE, 'run')))}$"):
        check_sealed(content | {"a": 2}, FILE, "run")
    with pytest.raises(RunError, match=r"states no digest; it was edited or is foreign, so train again$"):
        check_sealed({"a": 1}, FILE, "run")


@pytest.mark.parametrize(
    ("kind", "mend"), [("run", "train again"), ("fold", "fold the run again"), ("sweep", "sweep the run again")]
)
def test_the_sentence_says_what_to_do(kind, mend):
    said = f"'{FILE}' was changed after the {kind} was written (its SHA-256 differs); restore it or {mend}"
    assert str(changed(FILE, kind)) == said


def test_what_a_checkpoint_states_differs_with_each_file_beside_it():
    config = {"created": "now", "settings": {"lr": 0.1}}
    seals = [
        seal_of(identity_of(config), [{"epoch": 1}], {"stage1": torch.ones(2, 3)}),
        seal_of(identity_of(config | {"created": "later"}), [{"epoch": 1}], {"stage1": torch.ones(2, 3)}),
        seal_of(identity_of(config), [{"epoch": 2}], {"stage1": torch.ones(2, 3)}),
        seal_of(identity_of(config), [{"epoch": 1}], {"stage1": torch.ones(3, 2)}),
    ]
    keys = ("run", "metrics.jsonl", "coefficients.safetensors")
    assert [[key for key in keys if seal[key] != seals[0][key]] for seal in seals] == [[], *([key] for key in keys)]
    assert identity_of(config | {"settings": {}}) == identity_of(config)  # a run may go on with other settings
