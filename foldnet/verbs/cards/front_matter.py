"""The front matter of a card: what the Hugging Face Hub reads of a model, as YAML."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from foldnet.verbs.cards.facts import Facts

TAGS = ("foldnet", "parameter-sharing", "recurrent", "model-compression")
# By task; of cells the Hub knows none.
PIPELINES = {"classes": "image-classification", **dict.fromkeys(("bytes", "sums"), "text-generation")}
DATASETS = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}  # as the Hub calls them

# What YAML takes for the end of a line, or for nothing that may stand in a text.
UNPRINTED = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def front_matter(facts: Facts) -> str:
    """Between two lines of dashes. A licence is named where one was chosen, and scores where they were measured."""
    task, pipeline = facts.fold.task, PIPELINES.get(facts.fold.blueprint.task)
    dataset = None if facts.run is None else facts.run.settings.dataset
    found: dict[str, Any] = {} if facts.license is None else {"license": facts.license}
    found |= {"library_name": "foldnet", "tags": list(TAGS)}
    found |= {} if pipeline is None else {"pipeline_tag": pipeline}
    found |= {"datasets": [DATASETS[dataset]]} if dataset in DATASETS else {}
    measure = task.measure.lower().replace(" ", "_")
    found |= {"metrics": [measure]}
    scores = facts.report.stated()
    score = next((scores[form] for form in ("finetuned", "recalibrated", "tied") if form in scores), None)
    if score is not None and dataset is not None:
        result = {
            "task": {"type": pipeline or "other"},
            "dataset": {"name": dataset, "type": DATASETS.get(dataset, dataset), "split": "test"},
            "metrics": [{"type": measure, "value": score, "name": f"test {task.measure}"}],
        }
        found |= {"model-index": [{"name": facts.name, "results": [result]}]}
    return "\n".join(["---", *yaml_of(found), "---", ""])


def yaml_of(content: Mapping[str, Any] | Sequence[Any], indent: str = "") -> Iterator[str]:
    """Plain data as lines of YAML: every text is quoted as JSON quotes it, which YAML reads as the same."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(value, Mapping | list):
                yield f"{indent}{key}:"
                yield from yaml_of(value, f"{indent}  ")
            else:
                yield f"{indent}{key}: {_scalar(value)}"
        return
    for value in content:
        if isinstance(value, Mapping):
            first, *rest = yaml_of(value, f"{indent}  ")
            yield f"{indent}- {first.strip()}"
            yield from rest
        else:
            yield f"{indent}- {_scalar(value)}"


def _scalar(value: Any) -> str:
    """A text, a number or a truth as JSON, which YAML reads alike where letters beyond ASCII stand as they are, and
    numbers with an exponent have a point."""
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    return UNPRINTED.sub(lambda letter: f"\\u{ord(letter[0]):04x}", json.dumps(value, ensure_ascii=False))
