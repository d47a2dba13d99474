"""Tensor files: what goes in comes out, and whoever changes them is found out."""

import json
import os
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from foldnet.errors import RunError
from foldnet.store.tensors import digest_of, file_bytes, list_tensors, load_tensors, save_tensors
from foldnet.zoo.blueprint import build


def exactly(sentence: str) -> str:
    """The pattern that only this sentence matches."""
    return f"^{re.escape(sentence)}$"


CHANGED = "was changed after it was written (its digest differs); restore the original file"


def some_tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "model/weight": torch.randn(2, 3, generator=generator),
        "model/steps": torch.tensor(7),
        "optimiser/weight": torch.randn(3, generator=generator).to(torch.bfloat16),
    }


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, some_tensors(), {"epoch": 3, "name": "größer"})
    return path


def test_tensors_and_metadata_go_round(path):
    file = load_tensors(path)
    assert_same(file.tensors, some_tensors())
    assert file.metadata == {"epoch": 3, "name": "größer"}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3),
        torch.zeros(0, 4),
        torch.tensor([True, False]),
        torch.arange(12.0).view(3, 4).T,
        torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        torch.randn(2, 2, requires_grad=True),
        torch.tensor([float("nan"), float("inf"), -0.0]),
    ],
)
def test_every_kind_of_tensor_goes_round(tmp_path, tensor):
    save_tensors(tmp_path / "a", {"x": tensor})
    (found,) = load_tensors(tmp_path / "a").tensors.values()
    assert found.dtype == tensor.dtype
    np.testing.assert_array_equal(found.numpy(), tensor.detach().numpy())


def test_no_tensors_at_all_go_round(tmp_path):
    save_tensors(tmp_path / "a", {}, {"epoch": 0})
    assert load_tensors(tmp_path / "a").metadata == {"epoch": 0}


def test_a_state_dict_with_integers_goes_round(tmp_path):
    state = build("swrn-16-1-2").state_dict()
    assert any(tensor.dtype == torch.int64 for tensor in state.values())
    save_tensors(tmp_path / "a", state)
    assert_same(load_tensors(tmp_path / "a").tensors, state)


def test_one_part_is_read_alone_under_its_own_names(path):
    tensors = some_tensors()
    assert_same(
        load_tensors(path, "model").tensors,
        {"weight": tensors["model/weight"], "steps": tensors["model/steps"]},
    )
    assert_same(load_tensors(path, "optimiser").tensors, {"weight": tensors["optimiser/weight"]})


def test_a_damaged_part_does_not_hide_a_sound_one(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # bfloat16 lies last
    path.write_bytes(content)
    assert load_tensors(path, "model").tensors
    with pytest.raises(RunError, match=exactly(f"'{path}' {CHANGED}")):
        load_tensors(path, "optimiser")
    with pytest.raises(RunError, match=exactly(f"'{path}' {CHANGED}")):
        load_tensors(path)


@pytest.mark.parametrize("part", ["mode", "", "weight"])
def test_a_part_that_is_not_there_is_said_to_be_missing(path, part):
    said = f"'{path}' has no part '{part}'; it is not the file that it should be"
    for read in (load_tensors, digest_of):
        with pytest.raises(RunError, match=exactly(said)):
            read(path, part)


def test_digests_follow_the_content_of_their_part_alone(path, tmp_path):
    other = tmp_path / "b"
    tensors = some_tensors()
    save_tensors(other, dict(reversed(tensors.items())) | {"optimiser/weight": torch.zeros(3)}, {"epoch": 9})
    assert digest_of(path, "model") == digest_of(other, "model")
    assert digest_of(path, "optimiser") != digest_of(other, "optimiser")
    for change in (
        {"model/steps": torch.tensor(8)},
        {"model/steps": torch.tensor(7.0)},
        {"model/steps": torch.tensor([7])},
    ):
        save_tensors(other, tensors | change)
        assert digest_of(path, "model") != digest_of(other, "model")


def test_any_changed_byte_is_found(path):
    """Every byte of the header and of the data: refused, or (where JSON allows it) read as if nothing had changed."""
    content = path.read_bytes()
    tensors, metadata = some_tensors(), load_tensors(path).metadata
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= (1, 32, 128)[position % 3]
        path.write_bytes(changed)
        try:
            file = load_tensors(path)
        except RunError as error:
            assert f"'{path}' " in str(error)  # noqa: PT017 (most changes raise; those of equal meaning need not)
        else:
            assert file.metadata == metadata
            assert_same(file.tensors, tensors)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_truncated_file_is_never_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "a"
    save_tensors(path, some_tensors())
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(RunError, match=re.escape(f"'{path}' cannot be read as tensors (")):
        load_tensors(path)


def test_appended_bytes_are_found(path):
    with path.open("ab") as file:
        file.write(b"\x00")
    with pytest.raises(RunError, match=re.escape("; it was cut short or changed")):
        load_tensors(path)


def test_edited_metadata_are_found_although_no_tensor_changed(path):
    content = path.read_bytes()
    assert content.count(b'\\"epoch\\": 3') == 1
    path.write_bytes(content.replace(b'\\"epoch\\": 3', b'\\"epoch\\": 4'))
    for part in (None, "model"):
        with pytest.raises(RunError, match=exactly(f"'{path}' {CHANGED}")):
            load_tensors(path, part)
    with pytest.raises(RunError, match=exactly(f"'{path}' {CHANGED}")):
        digest_of(path, "model")


def test_added_and_removed_tensors_are_found(path):
    about = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])["__metadata__"]
    tensors = some_tensors()
    cases = [
        tensors | {"more/x": torch.zeros(1)},
        tensors | {"x": torch.zeros(1)},
        {name: tensor for name, tensor in tensors.items() if name != "model/steps"},
        {name: tensor for name, tensor in tensors.items() if not name.startswith("optimiser")},
    ]
    for case in cases:
        save_file(case, path, about)
        with pytest.raises(RunError, match=exactly(f"'{path}' {CHANGED}")):
            load_tensors(path)


@pytest.mark.parametrize(
    "about", [None, {"format": "pt"}, {"foldnet": "no json"}, {"foldnet": "[]"}, {"foldnet": "{}"}]
)
def test_foreign_tensor_files_are_refused(tmp_path, about):
    path = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(2)}, path, about)
    said = f"'{path}' was not written by foldnet; point at a run or fold folder that was"
    with pytest.raises(RunError, match=exactly(said)):
        load_tensors(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02}q\x00.", b"\xff" * 64, b"PK\x03\x04" + b"\x00" * 60])
def test_what_is_no_tensor_file_is_refused(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    for read in (load_tensors, list_tensors):
        with pytest.raises(RunError, match=re.escape(f"'{path}' cannot be read as tensors (")):
            read(path)


def test_a_missing_file_and_a_folder_are_said_to_be_no_files(tmp_path):
    with pytest.raises(RunError, match=exactly(f"'{tmp_path / 'a'}' is missing; was the folder copied whole?")):
        load_tensors(tmp_path / "a")
    with pytest.raises(RunError, match=exactly(f"'{tmp_path}' is a folder and not a plain file; put one there")):
        load_tensors(tmp_path)


def test_tensors_are_listed_with_the_state_of_their_digest(path, tmp_path):
    listed = [
        ("model/steps", "I64", ()),
        ("model/weight", "F32", (2, 3)),
        ("optimiser/weight", "BF16", (3,)),
    ]
    found, sound = list_tensors(path)
    assert (sorted(found), sound) == (listed, True)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found, sound = list_tensors(path)
    assert (sorted(found), sound) == (listed, False)
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign")
    assert list_tensors(tmp_path / "foreign") == ([("x", "F32", (2,))], None)


@pytest.mark.parametrize("name", ["wrn-16-1", "swrn-16-1-2", "swrn-28-1-4"])
def test_the_size_of_a_file_is_known_to_the_byte_without_writing_it(name, path):
    with torch.device("meta"):
        counted = file_bytes(build(name).state_dict())
    save_tensors(path, build(name).state_dict())
    assert counted == path.stat().st_size


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12),
        st.tuples(
            st.lists(st.integers(0, 5), max_size=4),
            st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32])
            | st.sampled_from([torch.bool, torch.uint8, torch.int8, torch.int16]),
        ),
        max_size=8,
    ),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=2),
)
def test_the_size_is_that_of_any_tensors_file(tmp_path_factory, spec, metadata):
    tensors = {name: torch.zeros(shape, dtype=dtype) for name, (shape, dtype) in spec.items()}
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save_tensors(path, tensors, metadata)
    assert file_bytes(tensors, metadata) == path.stat().st_size
    assert file_bytes(tensors, stated=False) == len(save(tensors))


def test_a_file_that_fails_to_be_written_leaves_the_old_one(path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = path.read_bytes()
    with pytest.raises(Exception, match=re.escape(f"'{path}' cannot be written (No space left on device);")):
        save_tensors(path, {"x": torch.zeros(3)})
    assert path.read_bytes() == before
