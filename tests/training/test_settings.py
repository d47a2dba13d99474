"""Settings: what is legal, where it comes from, and what is said of the rest."""

import json
import math
import os
import re
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.data.sources import SOURCES
from foldnet.errors import SettingError, UnknownName
from foldnet.folding.settings import FoldSettings
from foldnet.options import fields_of
from foldnet.store.codec import to_plain
from foldnet.training.settings import TrainSettings, flat, from_json, preset, to_json, train_settings
from foldnet.zoo.blueprint import blueprint
from foldnet.zoo.families import STEPPING


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def test_the_defaults_are_the_papers_recipe():
    settings = TrainSettings()
    assert (settings.epochs, settings.batch_size, settings.lr, settings.momentum) == (200, 128, 0.1, 0.9)
    assert (settings.weight_decay, settings.recurrence, settings.dropout, settings.cutout) == (5e-4, 0, 0, 0)
    with pytest.raises(FrozenInstanceError):
        settings.lr = 1.0


def test_settings_are_plain_data_and_come_back_from_json():
    settings = TrainSettings(arch="wrn-16-1", lr=0.3, seed=7)
    assert from_json(json.loads(json.dumps(to_json(settings)))) == settings
    fold = FoldSettings(thresholds=(("stage2", 0.9),), groups=("stage2",))
    assert json.loads(json.dumps(to_plain(fold)))["thresholds"] == [["stage2", 0.9]]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("epochs", 0, "`epochs=0` is not legal; give a whole number from 1 to 10000"),
        ("epochs", 1.5, "`epochs=1.5` is not legal; give a whole number from 1 to 10000"),
        ("epochs", "ten", "`epochs='ten'` is not legal; give a whole number from 1 to 10000"),
        ("epochs", True, "`epochs=True` is not legal; give a whole number from 1 to 10000"),
        ("epochs", None, "`epochs=None` is not legal; give a whole number from 1 to 10000"),
        ("batch_size", 1, "`batch_size=1` is not legal; give a whole number from 2 to 65536"),
        ("lr", -0.1, "`lr=-0.1` is not legal; give a number above 0, at most 1000"),
        ("lr", 0, "`lr=0` is not legal; give a number above 0, at most 1000"),
        ("lr", 1001, "`lr=1001` is not legal; give a number above 0, at most 1000"),
        ("epochs", 10_001, "`epochs=10001` is not legal; give a whole number from 1 to 10000"),
        ("lr", math.inf, "`lr=inf` is not legal; give a number above 0, at most 1000"),
        ("lr", math.nan, "`lr=nan` is not legal; give a number above 0, at most 1000"),
        ("lr", [0.1], "`lr=[0.1]` is not legal; give a number above 0, at most 1000"),
        ("momentum", 1.1, "`momentum=1.1` is not legal; give a number from 0 to 1"),
        ("weight_decay", -1, "`weight_decay=-1` is not legal; give a number from 0 to 1000"),
        ("seed", -1, "`seed=-1` is not legal; give a whole number from 0 to 4294967295"),
        ("seed", 2**32, "`seed=4294967296` is not legal; give a whole number from 0 to 4294967295"),
        ("recurrence", -0.5, "`recurrence=-0.5` is not legal; give a number from 0 to 1000"),
        ("dropout", 1.0, "`dropout=1.0` is not legal; give a number from 0 to 0.99"),
        ("cutout", 2.5, "`cutout=2.5` is not legal; give a whole number from 0 to 10000"),
        ("device", "gpu", "`device='gpu'` is not legal; choose auto, cpu or cuda; did you mean 'cpu'?"),
        (
            "precision",
            "fp16",
            "`precision='fp16'` is not legal; choose auto, fp32 or bf16; did you mean 'bf16' or 'fp32'?",
        ),
        (
            "recurrence_form",
            "max",
            "`recurrence_form='max'` is not legal; choose mean, sum, loops or signed; did you mean 'mean'?",
        ),
    ],
)
def test_illegal_values_are_refused_with_the_span_or_the_choices(field, value, said):
    with pytest.raises(SettingError, match=exactly(said)):
        TrainSettings(**{field: value})


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_legal_devices(device):
    assert TrainSettings(device=device).device == device


def test_a_plain_network_has_no_coefficients_to_regularise():
    said = (
        "`recurrence=0.5` needs coefficients and 'wrn-28-10' has none; "
        "leave it out or train a soft network such as 'swrn-28-10-4'"
    )
    with pytest.raises(SettingError, match=exactly(said)):
        TrainSettings(arch="wrn-28-10", recurrence=0.5)
    assert TrainSettings(arch="swrn-28-10-4", recurrence=0.5).recurrence == 0.5


@pytest.mark.parametrize(
    ("arch", "soft"),
    [
        ("wrn-16-1", "swrn-16-1-2"),
        ("densenet-40-12", "sdensenetbc-40-12-4"),
        ("densenetbc-100-12", "sdensenetbc-100-12-4"),
        ("resnext-29-8x64", "sresnext-29-8x64-2"),
        ("cnn-20-32-recall", "scnn-20-32-4"),
        ("mine", "swrn-28-2-4"),
    ],
)
def test_the_soft_network_that_is_named_instead_is_legal(arch, soft):
    said = f"`recurrence=0.5` needs coefficients and '{arch}' has none; leave it out or train a soft network such as '{soft}'"
    with pytest.raises(SettingError, match=exactly(said)):
        TrainSettings(arch=arch, recurrence=0.5)
    assert blueprint(soft).arch == soft


@pytest.mark.parametrize(("name", "value"), [("dropout", 0.2), ("progressive", 0.5)])
def test_what_has_no_meaning_for_a_family_is_refused(name, value):
    said = f"`{name}={value}` has no place in 'resnext-29-8x64'; leave it out"
    with pytest.raises(SettingError, match=exactly(said)):
        TrainSettings(arch="resnext-29-8x64", **{name: value})
    assert TrainSettings(arch="densenet-40-12", dropout=0.2, cutout=8).dropout == 0.2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"norm": "layer"}, "`norm='layer'` is not legal; choose batch, group, rms or none"),
        ({"arch": "wrn-28-2", "norm": "group"}, "`norm='group'` has no place in 'wrn-28-2'; leave it out"),
        ({"arch": "gpt-2-8-2", "progressive": 0.5}, "`progressive=0.5` has no place in 'gpt-2-8-2'; leave it out"),
        ({"arch": "gpt-2-8-2", "step_scale": 1.0}, "`step_scale=1.0` has no place in 'gpt-2-8-2'; leave it out"),
        ({"arch": "wrn-28-2", "fixed_point": 1.0}, "`fixed_point=1.0` has no place in 'wrn-28-2'; leave it out"),
        ({"arch": "scnn-3-4-1", "mixed_starts": 0.3}, "`mixed_starts=0.3` means nothing without `progressive`; leave it out"),
        ({"arch": "wrn-28-2", "spectral_norm": 1.0}, "`spectral_norm=1.0` has no place in 'wrn-28-2'; leave it out"),
        (
            {"arch": "scnn-3-4-1", "spectral_norm": 1.0},
            "`spectral_norm=1` means nothing with `norm='batch'`, which undoes it; leave it out or give `norm='none'`",
        ),
        ({"spectral_norm": -1.0}, "`spectral_norm=-1.0` is not legal; give a number from 0 to 1000"),
        ({"deep_supervision": 2.0}, "`deep_supervision=2.0` is not legal; give a number from 0 to 1"),
        ({"arch": "cnn-3-4", "coefficients": "fixed"}, "`coefficients='fixed'` has no meaning, since 'cnn-3-4' has none; leave it out"),
        (
            {"coefficients": "fixed", "recurrence": 0.5},
            "`coefficients='fixed'` has no meaning, since `recurrence=0.5` would change them; leave it out",
        ),
    ],
)  # fmt: skip
def test_what_steps_and_coefficients_cannot_be_is_refused(given, said):
    with pytest.raises(SettingError, match=exactly(said)):
        TrainSettings(**given)


def test_a_preset_leaves_out_what_another_family_has_not():
    ours = preset("prefix-sums", "scnn1d-20-32-1-recall")
    assert (ours["norm"], ours["progressive"], ours["clip"]) == ("rms", 1.0, 1.0)
    assert preset("prefix-sums", "wrn-28-2").keys() == ours.keys() - set(STEPPING)


def test_a_preset_says_nothing_of_parts_of_the_way_that_are_not_wanted():
    settings = train_settings({"dataset": "prefix-sums", "progressive": 0.0})
    assert (settings.progressive, settings.progressive_reach, settings.mixed_starts) == (0, 1, 0)
    said = "`mixed_starts=0.5` means nothing without `progressive`; leave it out"
    with pytest.raises(SettingError, match=exactly(said)):
        train_settings({"dataset": "prefix-sums", "progressive": 0.0, "mixed_starts": 0.5})


def test_sums_are_trained_by_the_recipe_of_decoders_for_longer():
    ours = preset("addition", "sgpt-2-64-4-1-abacus")
    assert (ours["optimiser"], ours["schedule"], ours["weight_decay"]) == ("adamw", "cosine", 0.1)
    assert (ours["epochs"], ours["clip"], ours["precision"]) == (20, 1.0, "fp32")
    assert train_settings({"dataset": "addition"}).arch == "sgpt-2-64-4-1-abacus"


def test_presets_belong_to_a_dataset_and_a_family():
    small = {"epochs": 30, "batch_size": 64, "validation": 360}
    assert preset("digits", "wrn-16-1") == small
    assert preset("digits", "swrn-28-2-4") == small | {"recurrence": 0.5, "recurrence_form": "loops"}
    assert preset("cifar10", "swrn-28-10-4") == {}
    dense = {"epochs": 300, "batch_size": 64, "lr": 0.1, "schedule": "tenths", "weight_decay": 1e-4}
    assert preset("cifar10", "densenet-40-12") == preset("cifar100", "sdensenetbc-100-12-4") == dense
    assert preset("cifar10", "resnext-29-8x64") == dense | {"batch_size": 128, "weight_decay": 5e-4}
    assert preset("digits", "densenet-40-12") == dense | small  # the source goes before the family
    assert preset("digits", "nothing") == small


def test_densenet_and_resnext_are_trained_as_in_their_papers():
    for arch, batch_size, decay in (("densenetbc-100-12", 64, 1e-4), ("resnext-29-8x64", 128, 5e-4)):
        settings = train_settings({"dataset": "cifar10", "arch": arch})
        assert (settings.epochs, settings.batch_size, settings.lr) == (300, batch_size, 0.1)
        assert (settings.optimiser, settings.momentum, settings.weight_decay) == ("sgd", 0.9, decay)
        assert (settings.schedule, settings.dropout, settings.recurrence) == ("tenths", 0.0, 0.0)
        assert train_settings({"dataset": "cifar10", "arch": arch, "epochs": 7}).epochs == 7


def test_given_beats_the_file_which_beats_the_preset(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('epochs = 5\nbatch-size = 32\nweight_decay = 0.001\narch = "swrn-16-1-2"\n')
    settings = train_settings({"epochs": 7, "lr": None, "seed": 0}, file=file)
    assert (settings.epochs, settings.batch_size, settings.weight_decay) == (7, 32, 0.001)
    assert (settings.lr, settings.recurrence, settings.validation) == (0.1, 0.5, 360)


def test_zero_is_given_and_none_is_not():
    assert train_settings({"recurrence": 0.0}).recurrence == 0.0
    assert train_settings({"recurrence": None}).recurrence == 0.5


def test_bad_files_are_one_sentence(tmp_path):
    file = tmp_path / "a.toml"
    said = f"`config='{file}'` cannot be read (No such file or directory); check the path"
    with pytest.raises(SettingError, match=exactly(said)):
        train_settings({}, file=file)
    file.write_text("epochs = \n")
    said = f"`config='{file}'` is not valid TOML (Invalid value (at line 1, column 10)); mend that line"
    with pytest.raises(SettingError, match=exactly(said)):
        train_settings({}, file=file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(
        SettingError, match=re.escape(f"`config='{file}'` is not valid TOML ('utf-8' codec can't decode")
    ):
        train_settings({}, file=file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch = 3", "setting 'epoch' does not exist; did you mean 'epochs'?"),
        ("zzz = 3", "setting 'zzz' does not exist"),
        ("[training]\nepochs = 3", "setting 'training' does not exist"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest(tmp_path, text, said):
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(UnknownName, match=exactly(f"'{file}': {said}")):
        train_settings({}, file=file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arch = 3", "`arch=3` is not legal; give a text"),
        ("dataset = [1]", "`dataset=(1,)` is not legal; give a text"),
        ("device = 1979-05-27", "`device=1979-05-27` is not legal; give a text"),
        ("data_dir = 1", "`data_dir=1` is not legal; give a text"),
        ("sync_bn = 1", "`sync_bn=1` is not legal; write true or false"),
        ("lr = '0.1'", "`lr='0.1'` is not legal; give a number above 0, at most 1000"),
        ("optimiser = 1", "`optimiser=1` is not legal; choose sgd, adam or adamw"),
        ("dataset = 'paths'\nwindows = 5", "`windows=5` is not legal; give a list of whole numbers"),
        ("dataset = 'paths'\nwindows = [[5]]", "`windows=[5]` is not legal; give a whole number from 3 to 1023"),
        ("lr = nan", "`lr=nan` is not legal; give a number above 0, at most 1000"),
    ],
)
def test_values_of_the_wrong_type_are_refused(tmp_path, text, said):
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=exactly(f"'{file}': {said}")):
        train_settings({}, file=file)


def test_what_is_wrong_beside_a_file_is_not_its_fault(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("seed = 1")
    with pytest.raises(SettingError, match=exactly("`epochs=0` is not legal; give a whole number from 1 to 10000")):
        train_settings({"epochs": 0}, file=file)
    file.write_text("dataset = 'paths'\nlr = 0")
    said = f"'{file}': `lr=0` is not legal; give a number above 0, at most 1000"
    with pytest.raises(SettingError, match=exactly(said)):
        train_settings({"windows": (5,)}, file=file)


def test_a_number_that_python_cannot_write_is_refused():
    said = "`epochs=a number of thousands of digits` is not legal; give a whole number from 1 to 10000"
    with pytest.raises(SettingError, match=exactly(said)):
        TrainSettings(epochs=10**5000)


def test_every_number_has_a_lower_and_an_upper_bound():
    kinds = (TrainSettings, *SOURCES.values())
    numbers = [(kind, name) for kind in kinds for name, field in fields_of(kind).items() if field.type in (int, float)]
    assert len(numbers) == 21 + 15
    for kind, name in numbers:
        for value in (-1, 10**10):
            with pytest.raises(SettingError, match=rf"^`{name}={value}` is not legal; give a "):
                kind(**{name: value})


@pytest.mark.parametrize("kind", ["pipe", "zero", "long"])
def test_a_file_of_settings_is_a_small_plain_one(tmp_path, kind):
    file = tmp_path / "a.toml"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "zero":
        file.symlink_to("/dev/zero")
    else:
        file.write_text("#\n" * 40_000)
    said = {
        "pipe": "is a named pipe and not a plain file; put one there",
        "zero": "is a device and not a plain file; put one there",
        "long": "has more than 65,536 bytes, the most that foldnet reads there; put a smaller file there",
    }
    with pytest.raises(SettingError, match=exactly(f"`config='{file}'` {said[kind]}")):
        train_settings({}, file=file)


@given(
    st.dictionaries(
        st.sampled_from(sorted(flat(TrainSettings()))),
        st.none() | st.integers() | st.text() | st.floats() | st.booleans(),
    )
)
def test_whatever_is_given_makes_settings_or_one_sentence(given_values):
    try:
        settings = train_settings(given_values)
    except SettingError as error:
        assert str(error).startswith("`")  # noqa: PT017 (some values are legal)
    except UnknownName as error:
        assert str(error).startswith("dataset '")  # noqa: PT017
    else:
        assert settings.epochs >= 1
        assert 0 < settings.lr <= 1000


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_threshold_is_a_similarity(value):
    said = f"`threshold={value:g}` is not a similarity; give a number from 0 to 1, chance or auto"
    for settings in ({"threshold": value}, {"thresholds": (("stage1", 0.5), ("stage2", value))}):
        with pytest.raises(SettingError, match=exactly(said)):
            FoldSettings(**settings)


def test_clusters_take_the_place_of_thresholds():
    said = "`clusters` and `threshold` contradict each other; give one of them"
    with pytest.raises(SettingError, match=exactly(said)):
        FoldSettings(clusters="a.json", thresholds=(("stage1", 0.5),))
    assert FoldSettings(clusters="a.json").thresholds == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"recurrence": 0.5, "epochs": 3}, "leaves it none of `epochs=3`"),
        ({"epochs": 30}, "means nothing without `recurrence`"),
    ],
)
def test_a_regulariser_that_never_sets_in_is_refused(given, why):
    with pytest.raises(SettingError, match=exactly(f"`recurrence_after=3` {why}; give fewer or leave it out")):
        TrainSettings(arch="swrn-28-10-4", recurrence_after=3, **given)
    assert TrainSettings(arch="swrn-28-10-4", recurrence=0.5, recurrence_after=3, epochs=4).recurrence_after == 3
