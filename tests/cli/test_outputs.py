"""Commands made of outputs: what is registered from outside is a command, and nothing heavy is imported before a refusal."""

import subprocess
import sys
from pathlib import Path

import pytest

from foldnet.verbs.export import EXPORTS
from foldnet.verbs.render import PICTURES, Output

TOY = """
import sys
from dataclasses import dataclass
from typing import Annotated
from foldnet.bounds import Bound
from foldnet.drawing.output import RUN, Output
from foldnet.options import Option
from foldnet.store.files import write_whole
from foldnet.verbs.export import EXPORTS
from foldnet.verbs.render import PICTURES

@dataclass(frozen=True, slots=True)
class Toy(Output):
    '''Draw a toy of a run.'''
    of, name, endings = RUN, "toy.txt", (".txt",)
    side: Annotated[int, Option("Side of the toy.", bound=Bound(1, 9))] = 3
    tone: Annotated[str, Option("Tone of the toy.", choices=("light", "dark"))] = "light"

    def write(self, what, file, observer):
        write_whole(file, f"{what} {self.side} {self.tone}")

PICTURES["toy"] = EXPORTS["toy"] = Toy
from foldnet_cli.main import main
sys.argv = ["foldnet", *sys.argv[1:]]
"""


def run(code, *arguments, folder=None, **environment):
    """What a process says that runs this code: (exit code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "TERM": "dumb", **environment},
    )
    return done.returncode, done.stdout, done.stderr


def test_a_picture_from_outside_is_a_command_with_help_bounds_and_completion(tmp_path):
    def toy(*arguments, **environment):
        return run(TOY + "main()", *arguments, folder=tmp_path, **environment)

    (tmp_path / "run").mkdir()
    assert toy("render", "toy", "run", "--side", 4) == (0, "wrote run/toy.txt\n", "")
    assert (tmp_path / "run/toy.txt").read_text() == "run 4 light"
    assert toy("export", "run", "--format", "toy", "-o", "a.txt", "--tone", "dark") == (0, "wrote a.txt\n", "")
    assert (tmp_path / "a.txt").read_text() == "run 3 dark"
    code, out, _ = toy("render", "toy", "--help")
    assert code == 0
    for said in ("Draw a toy of a run.", "--side", "Side of the toy.", "[default: 3]", "RUN"):
        assert said in out
    assert "Draw a toy of a run." in toy("render", "--help")[1]
    refused = "Error: --side 10 is not legal; give a whole number from 1 to 9\n"
    assert toy("render", "toy", "run", "--side", 10) == (1, "", refused)
    refused = "Error: --tone lihgt is not legal; choose light or dark; did you mean 'light'?\n"
    assert toy("render", "toy", "run", "--tone", "lihgt") == (1, "", refused)
    for words, offered in (("render toy --tone ", "dark"), ("render t", "toy"), ("export --format to", "toy")):
        completing = {
            "_FOLDNET_COMPLETE": "complete_bash",
            "COMP_WORDS": f"foldnet {words}",
            "COMP_CWORD": str(len(words.split()) + (1 if words.endswith(" ") else 0)),
        }
        assert offered in toy(**completing)[1].split()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "graph", "-o", "a.xyz"], "has ending '.xyz'"),
        (["render", "fold", "-o", "a.xyz"], "has ending '.xyz'"),
        (["render", "lsm", "-o", "here.svg"], "exists already"),
        (["lsm", "--history", "-o", "a.xyz"], "has ending '.xyz'"),
        (["render", "paths", "--examples", "0"], "is not legal"),
        (["export", "-o", "a.xyz"], "ending '.xyz' of --out names none"),
    ],
)
def test_what_is_refused_at_sight_imports_no_torch(tmp_path, arguments, said):
    (tmp_path / "here.svg").touch()
    code = (
        "import sys\nfrom foldnet_cli.main import main\nsys.argv = ['foldnet', *sys.argv[1:]]\n"
        "try:\n    main()\nfinally:\n    print('HEAVY', [name for name in ('torch', 'numpy', 'networkx') if name in sys.modules])\n"
    )
    status, out, error = run(code, *arguments, folder=tmp_path)
    assert (status, out) == (1, "HEAVY []\n")
    assert said in error


@pytest.mark.parametrize("kind", [*PICTURES.values(), *EXPORTS.values()])
def test_every_output_is_declared_whole(kind):
    assert issubclass(kind, Output)
    assert kind.__doc__
    assert Path(kind.name).suffix in kind.endings
    assert kind.of.take is not None


def test_render_graph_imports_little_and_no_dataset(shelf, tmp_path):
    code = (
        "import sys, foldnet\nfoldnet.draw(sys.argv[1], sys.argv[2])\n"
        "for name, module in sys.modules.items():\n"
        "    if name.startswith('foldnet.') and not hasattr(module, '__path__'):\n        print(name)\n"
    )
    status, out, _ = run(code, "runs/tied/fold-0.95", tmp_path / "a.json", folder=shelf)
    modules = out.splitlines()
    assert status == 0
    assert len(modules) <= 35, modules
    assert not [name for name in modules if name.split(".")[1] in ("data", "sharing", "analysis", "benching")]
