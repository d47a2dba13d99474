"""foldnet card."""

from pathlib import Path
from typing import Any

from foldnet_cli.options import FORCE, argument, keyword, shared, switch, takes
from foldnet_cli.outputs import taken

NAMED = "Fold folder, or a run for its newest fold; left out, the newest run's. hf://owner/name[@revision] fetches one."
STUDY = "Study folder or result file whose table, over seeds and with controls, goes into the card."
LICENSE = "Licence to name, such as apache-2.0.  [default: none is named]"
PUSH = "Also push the folder to this place on the Hugging Face Hub, by the login of `hf auth login`."


@takes(
    argument("named", "FOLD", NAMED, str),
    keyword("out", Path, None, "-o", "--out", metavar="FOLDER", help="Folder to make.", show_default=False),
    *shared("run"),
    keyword("study", Path, metavar="STUDY", help=STUDY, show_default=False),
    keyword("license", str, metavar="NAME", help=LICENSE, show_default=False),
    keyword("push", str, metavar="OWNER/NAME", help=PUSH, show_default=False),
    switch("private", "Make the place on the Hub one that its owner alone sees."),
    FORCE,
)
def card(named: str | None, **given: Any) -> Any:
    """Write a fold as the Hugging Face Hub expects a model: README.md, picture, scores, program, certificate, weights.

    Nothing is measured, and no network is asked, but for --push and for hf://owner/name, which is fetched and checked
    by its hashes. Python opens either: foldnet.load("hf://owner/name"), or the folder.
    """
    from foldnet.drawing.output import FOLD
    from foldnet.store.hub import hub_name
    from foldnet.verbs.card import card as recipe

    of = named if named is not None and hub_name(named) else taken(None if named is None else Path(named), FOLD)
    return recipe(of, **given)
