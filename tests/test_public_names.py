"""The public names: sorted, importable, documented, and cheap."""

import importlib.metadata
import inspect
import re
import subprocess
import sys

import pytest

import foldnet


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def test_the_names_are_sorted_and_complete():
    assert foldnet.__all__ == sorted(set(foldnet.__all__))
    assert set(foldnet._HOMES) == set(foldnet.__all__)
    assert dir(foldnet) == foldnet.__all__


@pytest.mark.parametrize("name", foldnet.__all__)
def test_every_name_is_importable_where_it_says_and_documented(name):
    value = getattr(foldnet, name)
    assert inspect.isclass(value) or inspect.isfunction(value)
    assert value.__module__ == f"foldnet.{foldnet._HOMES[name]}"
    assert value.__name__ == name
    assert value.__doc__
    assert not value.__doc__.startswith(f"{name}(")  # what dataclasses write for themselves


def test_the_version_is_that_of_the_package():
    assert foldnet.__version__ == importlib.metadata.version("foldnet")


def test_the_names_for_type_checkers_are_the_same():
    source = inspect.getsource(foldnet).split("if TYPE_CHECKING:")[1].split("_NAMES")[0]
    lines = re.findall(r"from foldnet\.([\w.]+) import ([\w, ]+)", source)
    found = {alias: home for home, names in lines for alias in names.split(", ")}
    assert found == {f"{name} as {name}": home for name, home in foldnet._HOMES.items()}  # which exports them


def test_every_public_thing_of_the_modules_has_a_docstring():
    from foldnet.folding import groups, looped, owners, structures
    from foldnet.folding import plan as fold
    from foldnet.sharing import plan, share
    from foldnet.store import files, tensors
    from foldnet.training import learner, machine, session, settings
    from foldnet.zoo import blueprint, families, wrn

    modules = [settings, files, tensors, structures, fold, groups, looped, owners, plan, share]
    for module in [*modules, learner, machine, session, blueprint, families, wrn]:
        assert module.__doc__
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and callable(value) and not name.startswith("_"):
                assert value.__doc__, f"{module.__name__}.{name}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=exactly("module 'foldnet' has no attribute 'fodl'")):
        foldnet.fodl  # noqa: B018


def test_importing_the_package_imports_no_torch_and_prints_nothing():
    heavy = ["torch", "numpy", "scipy", "matplotlib", "networkx", "typer", "rich"]
    code = f"import sys, foldnet; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("fold", {"run", "threshold", "max_drop", "budget", "finetune", "inputs"}),
        ("sweep", {"run", "metric", "linkage", "keep"}),
        ("train", {"dataset", "arch", "epochs", "recurrence_form", "windows", "out", "resume"}),
    ],
)
def test_signatures_name_every_setting(function, names):
    parameters = inspect.signature(getattr(foldnet, function)).parameters
    assert names <= parameters.keys()
    assert not [one for one in parameters.values() if one.kind is one.VAR_KEYWORD]
