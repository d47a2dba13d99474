"""Study files: what they name, how lists multiply, and what is refused with the file and the key."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldnet.errors import SettingError, UnknownName
from foldnet.studies.file import read_study_file, study_of

FILE = Path("figure.toml")


def study(text):
    return study_of(tomllib.loads(text), FILE)


def test_lists_multiply_and_single_trials_follow():
    found = study(
        """
        epochs = 3
        [grid]
        arch = ["wrn-16-1", "swrn-16-1-2"]
        seed = [0, 1]
        [[trial]]
        arch = "wrn-10-1"
        epochs = 4
        """
    )
    told = [(one.settings.arch, one.settings.seed, one.settings.epochs) for one in found.trials]
    assert found.name == "figure"
    assert told == [
        *(("wrn-16-1", seed, 3) for seed in (0, 1)),
        *(("swrn-16-1-2", seed, 3) for seed in (0, 1)),
        ("wrn-10-1", 0, 4),
    ]


def test_several_grids_each_multiply_by_themselves():
    found = study('[[grid]]\narch = "wrn-16-1"\nseed = [0, 1]\n[[grid]]\narch = "wrn-28-1"\nseed = [3]')
    assert [(one.settings.arch, one.settings.seed) for one in found.trials] == [
        ("wrn-16-1", 0),
        ("wrn-16-1", 1),
        ("wrn-28-1", 3),
    ]


def test_a_fold_follows_soft_networks_alone_and_its_lists_multiply_too():
    found = study('[grid]\narch = ["wrn-16-1", "swrn-16-1-2"]\n[fold]\nthreshold = [0.95, 0.9]')
    plain, soft = found.trials
    assert plain.steps == ()
    assert [step.settings.threshold for step in soft.steps] == [0.95, 0.9]
    assert len({step.name for step in soft.steps}) == 2


def test_a_setting_that_is_a_list_multiplies_as_a_list_of_lists():
    one = study('[grid]\ndataset = "paths"\nepochs = 2\nwindows = [5, 9]').trials
    two = study('[grid]\ndataset = "paths"\nepochs = 2\nwindows = [[5], [5, 9]]').trials
    assert [trial.settings.source.windows for trial in one] == [(5, 9)]
    assert [trial.settings.source.windows for trial in two] == [(5,), (5, 9)]


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            '[grid]\narhc = "wrn-16-1"',
            UnknownName,
            "study file 'figure.toml', [grid]: setting 'arhc' does not exist; did",
        ),
        ("[grid]\nepochs = 0", SettingError, "study file 'figure.toml', [grid]: `epochs=0` is not legal; give "),
        (
            '[[trial]]\narch = "wrn-11-1"',
            UnknownName,
            "study file 'figure.toml', [[trial]] 1: architecture 'wrn-11-1' has",
        ),
        ("seed = 1", SettingError, "study file 'figure.toml' names no trial; write a table [grid] or [[trial]]"),
        (
            "grid = 3",
            SettingError,
            "study file 'figure.toml' has a grid that is no table; write [grid] on a line of its own",
        ),
        (
            'seed = [0, 1]\n[[trial]]\narch = "wrn-10-1"',
            SettingError,
            "study file 'figure.toml', [[trial]] 1: seed is a list, and a [[trial]] is a single one; give it one value "
            "there, or write [[grid]]",
        ),
        ("[grid]\nseed = []", SettingError, "study file 'figure.toml', [grid]: `seed` is an empty list; fill it or"),
        (
            '[grid]\narch = "swrn-16-1-2"\n[fold]\nthreshold = []',
            SettingError,
            "study file 'figure.toml', [fold]: `threshold` is an empty list; fill it or leave it out",
        ),
        (
            "[grid]\nseed = [0, 0]",
            SettingError,
            "[grid] names swrn-28-2-4 digits seed 0 twice, two trials that are one;",
        ),
        (
            "[grid]\n[fold]\nthreshold = [0.9, 0.9]",
            SettingError,
            "study file 'figure.toml' names fold (threshold=0.9) twice; leave one out",
        ),
        (
            "[[trial]]\nseed = 1\n[trial.fold]\nthreshold = 0.9",
            SettingError,
            "study file 'figure.toml', [[trial]] 1: a fold follows all trainings; write [fold] on a line of its own",
        ),
        (
            "batch-size = 64\nbatch_size = 32\n[grid]",
            SettingError,
            "study file 'figure.toml' has both batch-size and batch_size; leave one out",
        ),
        ("[grid]\nseed = -1", SettingError, "study file 'figure.toml', [grid]: `seed=-1` is not legal; give a whole"),
        ("[grid]\nseed = 0.5", SettingError, "study file 'figure.toml', [grid]: `seed=0.5` is not legal; give a whole"),
        (
            '[grid]\ndataset = "cifar10"\nimage_size = 8',
            SettingError,
            "study file 'figure.toml', [grid]: `image_size=8` has no meaning for cifar10; leave it out or use ",
        ),
        *(
            (
                f"name = '{name}'\n[grid]",
                SettingError,
                f"study file 'figure.toml' has the name '{name}', which no folder can have; give it another",
            )
            for name in ("..", "../mine", "/tmp/mine")
        ),
        (
            "name = 3\n[grid]",
            SettingError,
            "study file 'figure.toml' has a name that is no text; write it in quotes or",
        ),
        (
            "[gird]\nseed = 1\n[grid]",
            UnknownName,
            "study file 'figure.toml', [grid]: table [gird] does not exist; did you",
        ),
        (
            '[grid]\narch="swrn-16-1-2"\n[fold]\nthreshhold = 1',
            UnknownName,
            "study file 'figure.toml', [fold]: setting 'threshhold' of a fold does not exist; did you mean",
        ),
        (
            '[grid]\narch="swrn-16-1-2"\n[fold]\nthreshold = 2.0',
            SettingError,
            "study file 'figure.toml', [fold]: `threshold=2.0` is not a similarity; give a number from 0 to 1, chance or",
        ),
        (
            '[grid]\narch="swrn-16-1-2"\n[fold]\nclusters = "mine.json"',
            SettingError,
            "study file 'figure.toml', [fold]: `clusters` names layers of one run; a study folds runs that are yet",
        ),
        (
            '[grid]\ndata_dir = "/data"',
            SettingError,
            "study file 'figure.toml', [grid]: `data_dir` says where files lie on one machine; give it on the command",
        ),
        (
            '[grid]\nseed = [0, 1]\n[[trial]]\narch = "swrn-28-2-4"\nseed = 1',
            SettingError,
            "study file 'figure.toml', [grid] and [[trial]] 1 both name swrn-28-2-4 digits seed 1, two trials that are "
            "one; leave one out",
        ),
        (
            f"[grid]\nseed = {[*range(5000)]}\nepochs = {[*range(5000)]}\ncutout = {[*range(5000)]}",
            SettingError,
            "names more than 10,000 trials; leave some out",
        ),
        (
            f"[grid]\n[fold]\nthreshold = {[*range(5000)]}\nfinetune = {[*range(5000)]}",
            SettingError,
            "names more than 10,000 steps; leave some out",
        ),
    ],
)
def test_what_is_no_study_is_refused_with_its_place(text, kind, said):
    with pytest.raises(kind) as caught:
        study(text)
    assert said in str(caught.value)
    assert str(caught.value).count("study file") == 1


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingError, match=r"study file '.*none.toml' cannot be read \(No such file or directory\)"):
        read_study_file(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[grid\n")
    with pytest.raises(SettingError, match=r"study file '.*broken.toml' is not valid TOML .*mend that line"):
        read_study_file(broken)


def test_a_name_is_of_what_is_trained_and_not_of_where_or_what_follows():
    def named(text):
        return study(text).trials[0].name

    base = '[grid]\narch = "swrn-16-1-2"\n'
    assert named(base) == named(base + 'device = "cpu"\n') == named(base + "[fold]\nthreshold = 0.9")
    assert named(base) == named("[grid]\nseed = 0\n" + base.removeprefix("[grid]\n"))
    assert named(base) != named(base + "seed = 1\n")
    assert named(base) == "e6394f7f5da3"  # results that are kept name trials: a change here orphans them


@pytest.mark.parametrize(
    ("dataset", "asked", "named"),
    [
        ("prefix-sums", 'arch = "scnn1d-6-4-recall"', "scnn1d-6-4-6-recall"),
        ("addition", 'arch = "sgpt-2-8-1-1-abacus"', "sgpt-2-8-1-1-abacus"),
        ("digits", 'arch = "wrn-16-1"\ntemplates = 2', "swrn-16-1-2"),
        ("digits", 'arch = "wrn-16-1"', "wrn-16-1"),
    ],
)
def test_the_network_of_a_trial_is_named_as_it_can_be_asked_for(dataset, asked, named):
    assert study(f'dataset = "{dataset}"\n[grid]\n{asked}\n').trials[0].network == (named, dataset)


@given(st.permutations(["seed = 3", "epochs = 2", 'arch = "swrn-16-1-2"', "lr = 0.05", "cutout = 4"]))
def test_the_order_of_keys_changes_no_name(lines):
    names = {study("[grid]\n" + "\n".join(lines)).trials[0].name}
    assert names == {study('[grid]\narch = "swrn-16-1-2"\nseed = 3\nepochs = 2\nlr = 0.05\ncutout = 4').trials[0].name}


def test_dashes_in_keys_change_no_name():
    texts = ("batch_size = 64\n[grid]", "batch-size = 64\n[grid]", "[grid]\nbatch-size = 64")
    assert len({study(text).trials[0].name for text in texts}) == 1


def test_a_title_tells_the_settings_in_which_trials_of_one_network_differ():
    lines = 'arch = "swrn-16-1-2"\n[[grid]]\n[[grid]]\nrecurrence = 0.2\n[[trial]]\narch = "wrn-16-1"\n'
    assert [trial.title for trial in study(lines).trials] == [
        "swrn-16-1-2 digits seed 0, recurrence=0.5",
        "swrn-16-1-2 digits seed 0, recurrence=0.2",
        "wrn-16-1 digits seed 0",
    ]


def test_a_whole_number_is_one_setting_however_it_is_written():
    names = {study(f'[grid]\narch = "wrn-16-1"\nlr = {lr}\n').trials[0].name for lr in ("1", "1.0", "1e0")}
    assert len(names) == 1
