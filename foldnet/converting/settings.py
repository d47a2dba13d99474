"""Settings of a conversion. Knows no torch."""

from dataclasses import dataclass
from typing import Annotated

from foldnet.analysis.choices import CLOSENESS, STARTS
from foldnet.bounds import as_code, check_number, checked
from foldnet.errors import SettingError
from foldnet.options import Option, check_fields


@checked
@dataclass(frozen=True, slots=True)
class ConvertSettings:
    """How a trained network is converted: to `templates` a group, or the numbers `by_group` of some of them, which come
    closest to its weights, or with `metric` "outputs" to what its layers compute; or to `loops`, at most so many bodies
    for each run of equal blocks, which begin as the average of their blocks or with `start` "stepwise" as the one in
    the middle, and are fitted to what their blocks give in `fit` steps.

    `finetune` epochs of distillation from the trained network follow, from `finetune_lr` (None: a fifth of the run's)
    down; `control` trains the network whose weights have low rank as long. `checkpoint` names a run's weights.
    """

    templates: Annotated[int | None, Option("Templates of each group, at most as many as its layers.")] = None
    by_group: tuple[tuple[str, int], ...] = ()
    loops: Annotated[int | None, Option("Instead: bodies for each run of equal blocks, fewer than these.")] = None
    metric: Annotated[str, Option("What templates come closest to: weights or outputs.", CLOSENESS)] = "weights"
    start: Annotated[str, Option("What bodies begin as: average of their blocks, or stepwise.", STARTS)] = "average"
    fit: Annotated[int, Option("Steps in which bodies are fitted to their blocks, 0 for none.")] = 400
    checkpoint: Annotated[str, Option("Which weights of the run: last or best (by validation).")] = "last"
    finetune: Annotated[int, Option("Epochs of distillation from the trained network.")] = 0
    finetune_lr: Annotated[float | None, Option("Learning rate to start from.  [default: a fifth of the run's]")] = None
    control: Annotated[bool, Option("Also distil into the control, for as many epochs.")] = False

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "by_group", tuple(self.by_group))
        for group, number in self.by_group:
            check_number("templates", number, field=f"`templates` of group '{group}'")
        if (self.templates is None and not self.by_group) == (self.loops is None):
            said = "needs one of `templates` and `loops`; give `templates=4` or `loops=2`"
            raise SettingError(f"a conversion {said}")
        usually = (("start", "loops", "average"), ("fit", "loops", 400), ("metric", "templates", "weights"))
        for name, of, usual in usually:
            if (self.loops is None) == (of == "loops") and getattr(self, name) != usual:
                raise SettingError(f"{as_code(name, getattr(self, name))} is for `{of}`; leave it out")
        if self.control and self.loops is not None:
            raise SettingError("`control=True` is for `templates`; leave it out, and compare with another `start`")
        if self.control and not self.finetune:
            raise SettingError("`control=True` needs epochs to train; add `finetune=2`")
