"""From what a user typed to values."""


def parse_thresholds(given: list[str]) -> tuple[float | None, tuple[tuple[str, float], ...]]:
    """["0.95", "stage2=0.9"] -> (0.95, (("stage2", 0.9),)). Raises SettingError for anything else."""
    from foldnet.errors import SettingError

    overall, single = None, []
    for entry in (part.strip() for text in given for part in text.split(",")):
        group, equals, number = entry.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise SettingError(
                f"--threshold '{entry}' is not a number or GROUP=NUMBER; write 0.95 or stage2=0.9"
            ) from None
        if equals:
            single.append((group, value))
        else:
            overall = value
    return overall, tuple(single)
