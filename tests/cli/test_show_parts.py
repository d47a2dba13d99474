"""Tables and texts of a report on a terminal: titles, groups, tones, and the words of the command line."""

from dataclasses import dataclass

from foldnet.show.report import Report, Table, Text
from foldnet_cli.page import Page, show_parts


@dataclass(frozen=True, slots=True)
class Parted(Report):
    """A report of given parts."""

    given: tuple

    def parts(self):
        return self.given


def lines_of(capsys, *parts):
    show_parts(Parted(parts), Page(highlight=False, markup=False, emoji=False))
    return [line.rstrip() for line in capsys.readouterr().out.split("\n")][:-1]


def test_parts_come_in_their_order_and_tables_behind_an_empty_line(capsys):
    pairs = Table("", (), (("run", "a"), ("arch", "wrn-16-1")))
    table = Table("", ("name", "n"), (("x", 1234), ("y", None)))
    assert lines_of(capsys, pairs, table, Text("the end"), Table("a title", ("b",), ((True,),))) == [
        "run   a",
        "arch  wrn-16-1",
        "",
        "name  n",
        "x     1,234",
        "y     -",
        "the end",
        "",
        "a title",
        "b",
        "yes",
    ]


def test_a_group_is_named_once(capsys):
    rows = (("bf16", "loss"), ("bf16", "gradients"), ("fp32", "loss"))
    assert lines_of(capsys, Table("", ("check", "what"), rows, ("", "alarm", ""), grouped=True)) == [
        "check  what",
        "bf16   loss",
        "       gradients",
        "fp32   loss",
    ]


def test_settings_are_said_as_options_and_what_is_quoted_breaks_no_line(capsys):
    assert lines_of(capsys, Text("give `max_drop=0.5`\nto it", "note")) == ["give --max-drop 0.5\\nto it"]
    assert lines_of(capsys, Text("stage1: A\n  A = { }")) == ["stage1: A", "  A = { }"]
    assert lines_of(capsys, Table("", ("empty",), ())) == []
