"""foldnet doctor."""

from typing import Any

from foldnet.errors import SettingError
from foldnet_cli.options import keyword, shared, switch, takes
from foldnet_cli.outputs import watch

CHECKS = "fp32, forms, memory-format, bf16, resume, throughput, processes, compile or cuda-graphs"


@takes(
    *(switch("check", "Prove in about a minute what this machine does, on one device."), *shared("device")),
    keyword("skip", list[str], metavar="CHECK", help=f"Leave a check out (repeatable): {CHECKS}.", show_default=False),
)
def doctor(check: bool, device: str, skip: list[str] | None) -> Any:
    """Say what this machine offers, and what foldnet chooses and why; with `--check` prove it.

    The checks compute something small and compare: exact fp32 with float64, dense with soft, looped with tied, the
    memory formats, bf16 with fp32, a stopped and resumed training with an uninterrupted one (bit for bit), two
    processes with one, compiled with eager, CUDA graphs with eager; and they time a soft network beside its plain twin.
    What the machine does not offer is "not here" and no failure. On a new machine, and first of all on a GPU: `foldnet
    doctor --check`.

    Exit status of `--check`: 0 everything that is here works, 1 something fails.
    """
    if check:
        from foldnet.verbs.check import check as recipe

        return watch(recipe, device, skip=tuple(skip or ()))
    for option, given in (("--skip", bool(skip)), ("--device", device != "auto")):
        if given:
            raise SettingError(f"{option} has a meaning with --check only; add --check or leave it out")
    from foldnet.verbs.doctor import doctor as recipe_of_offers

    return recipe_of_offers()
