"""Every image once, in an order drawn from the seed and the epoch, normalised."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torchvision.transforms.v2 import functional as F

from foldnet.data.augment import Augmentation, draws
from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset, Images, images_of
from foldnet.errors import SettingError

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)


def some_dataset(count: int) -> Dataset:
    """Labels count the images, so that an image can be told by its label."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=generator)
    images = images_of(pixels, torch.arange(count))
    return Dataset("some", ("a",), images, images, MEAN, STD, 255.0, Augmentation(2, flip=True))


def loader(count: int, batch_size: int, images: Images | None = None, **options) -> Loader:
    dataset = some_dataset(count)
    chosen = dataset.train if images is None else images
    return Loader(dataset, chosen, batch_size=batch_size, device=torch.device("cpu"), **options)


@given(st.integers(1, 40), st.integers(1, 45))
@settings(max_examples=60, deadline=None)
def test_every_image_once_and_no_lone_last_image(count, batch_size):
    batches = loader(count, batch_size)
    for walk in (batches.epoch(0), batches.in_order()):
        labels = [y for _, y in walk]
        sizes = [len(y) for y in labels]
        assert sorted(torch.cat(labels).tolist()) == list(range(count))
        assert len(sizes) == len(batches)
        assert all(size == batch_size for size in sizes[:-1])
        assert sizes[-1] > 1 or batch_size == 1 or count == 1
        assert sizes[-1] <= batch_size + 1
    assert batches.images == count


def test_in_order_means_in_order():
    assert torch.cat([y for _, y in loader(11, 4).in_order()]).tolist() == list(range(11))


def order(seed: int, epoch: int) -> list[int]:
    return torch.cat([y for _, y in loader(50, 8, seed=seed).epoch(epoch)]).tolist()


def test_the_order_depends_on_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = order(3, 4)
    torch.manual_seed(2)
    assert order(3, 4) == first
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert len({tuple(each) for each in orders}) == 9


def test_x_is_torchvisions_normalised_picture():
    dataset = some_dataset(5)
    for x, y in loader(5, 2).in_order():
        expected = F.normalize(F.to_dtype(dataset.train.pixels[y], torch.float32, scale=True), MEAN, STD)
        torch.testing.assert_close(x, expected)
        assert x.dtype == torch.float32


@pytest.mark.parametrize("augmentation", [None, Augmentation(2, True, 4)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_x_has_the_layout_asked_for(augmentation, layout):
    for x, _ in loader(6, 3, augmentation=augmentation, memory_format=layout).epoch(1):
        assert x.is_contiguous(memory_format=layout)


def test_layouts_hold_the_same_numbers():
    augmentation = Augmentation(2, True, 3)
    one = loader(9, 4, augmentation=augmentation)
    other = loader(9, 4, augmentation=augmentation, memory_format=torch.contiguous_format)
    for (x, _), (also, _) in zip(one.epoch(2), other.epoch(2), strict=True):
        assert torch.equal(x, also)


def by_label(batches: Loader, epoch: int) -> dict[int, torch.Tensor]:
    return {int(label): image for x, y in batches.epoch(epoch) for image, label in zip(x, y, strict=True)}


def test_augmentation_is_torchvisions_with_the_same_draws():
    augmentation = Augmentation(2, True, 3)
    dataset = some_dataset(20)
    seen = by_label(loader(20, 6, augmentation=augmentation, seed=5), 7)
    drawn = draws(torch.arange(20), 5, 7, size=(8, 8), augmentation=augmentation)
    for n, pixels in enumerate(dataset.train.pixels):
        (top, left), (row, column) = drawn.offsets[n].tolist(), drawn.centres[n].tolist()
        moved = F.crop(F.pad(pixels, [2]), top, left, 8, 8)
        moved = F.horizontal_flip(moved) if drawn.flips[n] else moved
        x = F.normalize(F.to_dtype(moved, torch.float32, scale=True), MEAN, STD)
        x[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 0
        torch.testing.assert_close(seen[n], x)


def test_an_image_is_augmented_alike_whatever_the_batch_size_and_the_subset():
    augmentation = Augmentation(2, True, 3)
    whole = by_label(loader(20, 6, augmentation=augmentation), 3)
    subset = some_dataset(20).train.take(torch.tensor([19, 3, 11]))
    part = by_label(loader(20, 2, subset, augmentation=augmentation), 3)
    assert sorted(part) == [3, 11, 19]
    assert all(torch.equal(part[n], whole[n]) for n in part)


def test_epochs_augment_otherwise_and_in_order_not_at_all():
    batches = loader(20, 6, augmentation=Augmentation(2, True))
    first, second = by_label(batches, 0), by_label(batches, 1)
    assert sum(torch.equal(first[n], second[n]) for n in range(20)) < 5
    plain = torch.cat([x for x, _ in loader(20, 6).in_order()])
    assert torch.equal(torch.cat([x for x, _ in batches.in_order()]), plain)


def test_a_batch_without_images_is_refused():
    with pytest.raises(SettingError, match=r"^`batch_size=0` is not legal; give a whole number from 1 to 65536$"):
        loader(5, 0)


@pytest.mark.cuda
def test_cuda_gives_the_cpus_batches_without_waiting():
    augmentation, dataset = Augmentation(2, True, 3), some_dataset(64)
    here, there = (
        Loader(dataset, dataset.train, batch_size=16, device=torch.device(device), augmentation=augmentation)
        for device in ("cpu", "cuda")
    )
    walk = there.epoch(0)
    next(walk)  # the order goes to the device once an epoch
    torch.cuda.set_sync_debug_mode("error")
    try:
        rest = list(walk)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (x, y), (also, labels) in zip(rest, list(here.epoch(0))[1:], strict=True):
        torch.testing.assert_close(x.cpu(), also)
        assert torch.equal(y.cpu(), labels)
