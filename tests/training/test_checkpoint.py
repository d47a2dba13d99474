"""A checkpoint gives back what it was given, bit by bit, and refuses what is not its own."""

import errno
import os
import re

import pytest
import torch
from torch import nn

from foldnet.errors import OutputError, RunError
from foldnet.store.tensors import facts_of, save_tensors
from foldnet.training.checkpoint import FILE, load_model, load_optimiser, save_checkpoint
from foldnet.training.learner import build_optimiser
from foldnet.training.observer import Progress, UnderWay
from foldnet.zoo.blueprint import build

PROGRESS = Progress(3, 0.1 + 0.2, best_epoch=2, seconds=1 / 3, under_way=UnderWay(5, 0.1 * 7, (3, 2**40), 1 / 7, 0.1))


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


def trained(name: str = "swrn-16-1-2", steps: int = 2, momentum: float = 0.9):
    """A network and its optimiser after a few steps on noise."""
    torch.manual_seed(0)
    model = build(name, channels=1)
    optimiser = build_optimiser(model, lr=0.1, momentum=momentum, weight_decay=1e-3)
    take_steps(model, optimiser, steps)
    return model, optimiser


def take_steps(model, optimiser, steps):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(6, 1, 8, 8, generator=generator)
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()


def other(name: str = "swrn-16-1-2", device: str = "cpu"):
    torch.manual_seed(9)
    with torch.device(device):
        return build(name, channels=1)


def optimiser_of(model, momentum: float = 0.9):
    return build_optimiser(model, lr=0.1, momentum=momentum, weight_decay=1e-3)


def assert_same_state(one: nn.Module, two: nn.Module) -> None:
    first, second = one.state_dict(), two.state_dict()
    assert list(first) == list(second)
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name


def momenta(model, optimiser):
    return [optimiser.state[parameter]["momentum_buffer"] for parameter in model.parameters()]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_weights_buffers_momenta_and_progress_go_round_bit_by_bit(tmp_path, device):
    model, optimiser = trained()
    save_checkpoint(tmp_path / "last", model, optimiser, PROGRESS)
    fresh = other(device=device)
    assert load_model(tmp_path / "last", fresh) == PROGRESS
    assert_same_state(fresh, model)
    assert not any(tensor.is_meta for tensor in fresh.state_dict().values())
    assert all(parameter.requires_grad for parameter in fresh.parameters())
    second = optimiser_of(fresh)
    load_optimiser(tmp_path / "last", fresh, second)
    for one, two in zip(momenta(model, optimiser), momenta(fresh, second), strict=True):
        assert torch.equal(one, two)
    take_steps(model, optimiser, 2)
    take_steps(fresh, second, 2)
    assert_same_state(fresh, model)


def test_what_is_loaded_is_a_copy_of_the_file(tmp_path):
    model, optimiser = trained()
    save_checkpoint(tmp_path, model, optimiser, PROGRESS)
    content = (tmp_path / FILE).read_bytes()
    fresh = other()
    load_model(tmp_path, fresh)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    assert (tmp_path / FILE).read_bytes() == content


def test_no_best_yet_is_none(tmp_path):
    model, _ = trained(steps=0)
    save_checkpoint(tmp_path, model, None, Progress(1, None, None, 0.0))
    assert load_model(tmp_path, other()) == Progress(1, None, None, 0.0)


def test_without_an_optimiser_there_are_no_momenta_to_load(tmp_path):
    model, _ = trained()
    save_checkpoint(tmp_path, model, None, PROGRESS)
    file = tmp_path / FILE
    with pytest.raises(
        RunError, match=exactly(f"'{file}' has no part 'optimiser'; it is not the file that it should be")
    ):
        load_optimiser(tmp_path, model, optimiser_of(model))


def test_without_momentum_there_is_nothing_to_load_and_nothing_wrong(tmp_path):
    model, optimiser = trained(momentum=0.0)
    save_checkpoint(tmp_path, model, optimiser, PROGRESS)
    fresh = other()
    load_model(tmp_path, fresh)
    second = optimiser_of(fresh, momentum=0.0)
    load_optimiser(tmp_path, fresh, second)
    take_steps(model, optimiser, 2)
    take_steps(fresh, second, 2)
    assert_same_state(fresh, model)


@pytest.mark.parametrize("name", ["swrn-16-1-1", "swrn-22-1-2", "wrn-16-1", "swrn-16-2-2"])
def test_another_network_is_refused_and_left_as_it_was(tmp_path, name):
    model, optimiser = trained()
    save_checkpoint(tmp_path, model, optimiser, PROGRESS)
    fresh = other(name)
    before = {key: tensor.clone() for key, tensor in fresh.state_dict().items()}
    ours = {key: tensor.shape for key, tensor in model.state_dict().items()}
    theirs = {key: tensor.shape for key, tensor in fresh.state_dict().items()}
    wrong = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    sentence = (
        f"'{tmp_path / FILE}' does not fit the network (the first of {len(wrong)} tensors that differ is '{wrong[0]}'); "
        f"it is another run's"
    )
    with pytest.raises(RunError, match=exactly(sentence)):
        load_model(tmp_path, fresh)
    assert all(torch.equal(tensor, before[key]) for key, tensor in fresh.state_dict().items())


def test_momenta_of_another_network_are_refused(tmp_path):
    model, optimiser = trained()
    save_checkpoint(tmp_path, model, optimiser, PROGRESS)
    fresh = other("swrn-16-2-2")
    sentence = (
        f"'{tmp_path / FILE}' holds a momentum for 'network.classifier.weight' that the network has not; "
        f"it is another run's"
    )
    with pytest.raises(RunError, match=exactly(sentence)):
        load_optimiser(tmp_path, fresh, optimiser_of(fresh))


def test_a_missing_file(tmp_path):
    with pytest.raises(RunError, match=exactly(f"'{tmp_path / FILE}' is missing; was the folder copied whole?")):
        load_model(tmp_path, other())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_one_sentence(tmp_path, share):
    model, optimiser = trained()
    save_checkpoint(tmp_path, model, optimiser, PROGRESS)
    file = tmp_path / FILE
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    for load in (
        lambda: load_model(tmp_path, other()),
        lambda: load_optimiser(tmp_path, model, optimiser),
    ):
        with pytest.raises(RunError) as caught:
            load()
        assert re.fullmatch(
            re.escape(f"'{file}' cannot be read as tensors (") + r".+\); it was cut short or changed",
            str(caught.value),
        )


def test_one_bit_is_enough_to_be_found_out(tmp_path):
    model, optimiser = trained()
    save_checkpoint(tmp_path, model, optimiser, PROGRESS)
    file = tmp_path / FILE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    sentence = f"'{file}' was changed after it was written (its digest differs); restore the original file"
    with pytest.raises(RunError, match=exactly(sentence)):
        load_optimiser(tmp_path, model, optimiser)


@pytest.mark.parametrize("facts", [{}, {"epoch": "three", "best_accuracy": None, "best_epoch": None, "seconds": 1}])
def test_a_file_that_does_not_say_where_it_stands(tmp_path, facts):
    model, _ = trained(steps=0)
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    save_tensors(tmp_path / FILE, tensors, facts)
    sentence = f"'{tmp_path / FILE}' does not say where its training stands; it was not written by foldnet"
    with pytest.raises(RunError, match=exactly(sentence)):
        load_model(tmp_path, other())


def test_a_full_disk_keeps_the_checkpoint_that_was_there(tmp_path, monkeypatch):
    model, optimiser = trained()
    folder = tmp_path / "last"
    save_checkpoint(folder, model, optimiser, PROGRESS)
    content = (folder / FILE).read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    take_steps(model, optimiser, 1)
    sentence = f"'{folder / FILE}' cannot be written (No space left on device); free the place or choose another"
    with pytest.raises(OutputError, match=exactly(sentence)):
        save_checkpoint(folder, model, optimiser, Progress(4, None, None, 2.0))
    assert [path.name for path in folder.iterdir()] == [FILE]
    assert (folder / FILE).read_bytes() == content
    assert load_model(folder, other()) == PROGRESS


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    model, _ = trained(steps=0)
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "last"
    sentence = f"'{folder}' cannot be written (Not a directory); free the place or choose another"
    with pytest.raises(OutputError, match=exactly(sentence)):
        save_checkpoint(folder, model, None, PROGRESS)


def test_a_checkpoint_is_written_through_no_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "last").symlink_to("elsewhere")
    sentence = (
        f"'{tmp_path / 'last'}' is a link and foldnet writes through none inside a run; put the folder itself there"
    )
    with pytest.raises(OutputError, match=exactly(sentence)):
        save_checkpoint(tmp_path / "last", build("wrn-10-1"), None, PROGRESS)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_checkpoint_states_the_seal_that_it_is_given(tmp_path):
    save_checkpoint(tmp_path / "last", build("wrn-10-1"), None, PROGRESS, {"run": "a"})
    assert facts_of(tmp_path / "last" / FILE)["seal"] == {"run": "a"}
