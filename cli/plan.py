"""foldnet plan."""

from typing import Any

from foldnet_cli.options import argument, keyword, takes
from foldnet_cli.train import ARCH_OPTION, parse_arch_options


@takes(
    argument("what", "ARCH or RUN", "Such as timm/resnet18; left out, the newest run.", str),
    keyword("templates", int, min=1, metavar="<int>", help="The most of any group.  [default: the name's or run's]"),
    keyword("budget", str, help="The most templates with which the network has this size: 12M parameters, 12MB."),
    keyword("classes", int, 10, min=1, metavar="<int>", help="What an architecture by name is to choose from."),
    keyword("channels", int, min=1, metavar="<int>", help="Those of its inputs.  [default: 3, for paths 2]"),
    keyword("group_by", str, help="stage or position: which layers of one shape share.  [default: stage]"),
    ARCH_OPTION,
)
def plan(what: str | None, arch_option: list[str] | None, **given: Any) -> Any:
    """Say who would share with whom, what that saves, and who would not share and why, before anything is trained."""
    from foldnet.verbs.plan import plan as recipe
    from foldnet_cli.outputs import taken

    options = parse_arch_options(arch_option or []) or None
    return recipe(what if what is not None else taken(None), arch_option=options, **given)
