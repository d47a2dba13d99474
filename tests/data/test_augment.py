"""The batched augmentation against torchvision's, image by image, and its draws against splitmix64 in whole numbers."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from scipy.stats import chisquare
from torchvision.transforms.v2 import functional as F

from foldnet.data.augment import Augmentation, Draws, crop_and_flip, cut_out, draws

MASK = (1 << 64) - 1
CIFAR = Augmentation(padding=4, flip=True, cutout=16)


def draw(ids, seed=0, epoch=0, size=(32, 32), augmentation=CIFAR) -> Draws:
    return draws(torch.as_tensor(ids), seed, epoch, size=size, augmentation=augmentation)


def some_pixels(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


@given(
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(4, 9),
    st.integers(4, 9),
    st.integers(0, 5),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_crop_and_flip_are_torchvisions(count, channels, height, width, padding, last):
    pixels = some_pixels(count, channels, height, width)
    pixels = pixels.contiguous(memory_format=torch.channels_last) if last else pixels
    drawn = draw(range(count), size=(height, width), augmentation=Augmentation(padding, flip=True))
    ours = crop_and_flip(pixels, drawn.offsets, drawn.flips, padding)
    for image, result, (top, left), flip in zip(pixels, ours, drawn.offsets.tolist(), drawn.flips, strict=True):
        expected = F.crop(F.pad(image, [padding]), top, left, height, width)
        assert torch.equal(result, F.horizontal_flip(expected) if flip else expected)
    assert ours.dtype == torch.uint8


@given(st.integers(1, 6), st.integers(4, 9), st.integers(4, 9), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_cutout_is_torchvisions_erase(count, height, width, size):
    x = some_pixels(count, 3, height, width).float() + 1
    drawn = draw(range(count), size=(height, width))
    for image, result, (row, column) in zip(x, cut_out(x, drawn.centres, size), drawn.centres.tolist(), strict=True):
        top, left = max(row - size // 2, 0), max(column - size // 2, 0)
        bottom, right = min(row - size // 2 + size, height), min(column - size // 2 + size, width)
        assert torch.equal(result, F.erase(image, top, left, bottom - top, right - left, torch.zeros(1)))


def test_a_hole_away_from_the_borders_is_a_square_of_the_size_asked():
    for size in (1, 4, 5):
        holes = cut_out(torch.ones(1, 1, 32, 32), torch.tensor([[15, 20]]), size) == 0
        assert holes.sum() == size * size
        assert holes[0, 0, 15, 20]


def splitmix64(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.integers(0, 2**40))
@settings(max_examples=100, deadline=None)
def test_draws_are_splitmix64_in_whole_numbers(seed, epoch, image):
    key = splitmix64((splitmix64(seed) + epoch) & MASK)
    words = [splitmix64((key + 5 * image + purpose) & MASK) >> 33 for purpose in range(5)]
    drawn = draw([image], seed, epoch)
    assert drawn.offsets.tolist() == [[words[0] % 9, words[1] % 9]]
    assert drawn.flips.tolist() == [bool(words[2] % 2)]
    assert drawn.centres.tolist() == [[words[3] % 32, words[4] % 32]]


def test_splitmix64_is_the_published_one():
    # The first outputs for seed 0 of https://prng.di.unimi.it/splitmix64.c
    states = [n * 0x9E3779B97F4A7C15 & MASK for n in range(3)]
    assert [splitmix64(state) for state in states] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


@given(st.permutations(range(30)), st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_an_images_draw_does_not_depend_on_its_batch(order, count):
    whole, part = draw(range(30), seed=3, epoch=5), draw(order[:count], seed=3, epoch=5)
    for name in ("offsets", "flips", "centres"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[order[:count]])


@pytest.mark.parametrize("other", [(3, 6), (4, 5), (5, 3)])
def test_other_epochs_and_seeds_draw_otherwise(other):
    first, second = draw(range(500), 3, 5), draw(range(500), *other)
    same = (first.offsets == second.offsets).all(1) & (first.flips == second.flips)
    assert same.sum() < 30  # 1 of 162 by chance: about 3 of 500


def test_draws_are_uniform_and_independent():
    drawn = draw(range(40_000), seed=1, epoch=2)
    row, column = drawn.offsets.unbind(1)
    joint = {
        "crop": row * 9 + column,
        "row and flip": row * 2 + drawn.flips,
        "column and flip": column * 2 + drawn.flips,
        "hole": drawn.centres[:, 0] * 32 + drawn.centres[:, 1],
        "crop and hole": row * 32 + drawn.centres[:, 0],
        "neighbours": row[:-1] * 9 + row[1:],
        "next epoch": row * 9 + draw(range(40_000), seed=1, epoch=3).offsets[:, 0],
        "next seed": row * 9 + draw(range(40_000), seed=2, epoch=2).offsets[:, 0],
    }
    sizes = {"row and flip": 18, "column and flip": 18, "hole": 1024, "crop and hole": 288}
    for name, values in joint.items():
        counts = torch.bincount(values, minlength=sizes.get(name, 81))
        assert len(counts) == sizes.get(name, 81), name
        assert chisquare(counts.numpy()).pvalue > 1e-4, name


def test_without_flip_and_padding_nothing_moves():
    drawn = draw(range(64), augmentation=Augmentation())
    assert not drawn.flips.any()
    assert not drawn.offsets.any()
    pixels = some_pixels(64, 1, 8, 8)
    assert torch.equal(crop_and_flip(pixels, drawn.offsets, drawn.flips, 0), pixels)


def test_draws_leave_torchs_own_random_state_alone():
    before = torch.get_rng_state()
    draw(range(10))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.cuda
def test_cuda_draws_and_moves_as_the_cpu_does():
    ids, pixels = torch.arange(256), some_pixels(256, 3, 32, 32)
    here, there = draw(ids, 3, 5), draw(ids.cuda(), 3, 5)
    for name in ("offsets", "flips", "centres"):
        assert torch.equal(getattr(here, name), getattr(there, name).cpu())
    moved = crop_and_flip(pixels.cuda(), there.offsets, there.flips, 4)
    assert torch.equal(moved.cpu(), crop_and_flip(pixels, here.offsets, here.flips, 4))
    holed = cut_out(moved.float(), there.centres, 16)
    assert torch.equal(holed.cpu(), cut_out(moved.cpu().float(), here.centres, 16))
