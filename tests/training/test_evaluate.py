"""Counting right answers, against a loop over single images."""

import pytest
import torch
from torch import nn

from foldnet.data.augment import Augmentation
from foldnet.data.batches import Loader
from foldnet.data.dataset import Dataset, images_of
from foldnet.data.tasks import CLASSES
from foldnet.training.evaluate import Score, evaluate
from foldnet.training.machine import Machine
from foldnet.training.observer import Silent
from foldnet.zoo.blueprint import build

CPU = Machine(torch.device("cpu"), "fp32")


def some_loader(count: int, batch_size: int, **options) -> Loader:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (count,), generator=generator)
    images = images_of(pixels, labels)
    classes = tuple(str(n) for n in range(10))
    dataset = Dataset("some", classes, images, images, (0.5,), (0.3,), 255.0, Augmentation(2, flip=True))
    return Loader(dataset, images, batch_size=batch_size, device=CPU.device, **options)


def trained_looking_network() -> nn.Module:
    """Statistics of batch norm that differ from those of a batch, and dropout: training mode would show."""
    torch.manual_seed(0)
    model = build("swrn-16-1-2", channels=1, dropout=0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model


@pytest.mark.parametrize("batch_size", [4, 7, 100])
def test_a_score_is_that_of_one_image_at_a_time(batch_size):
    model = trained_looking_network().train()
    loader = some_loader(25, batch_size, augmentation=Augmentation(2, flip=True, cutout=4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    score = evaluate(model, loader, CPU)
    assert not model.training
    right, losses = 0, []
    with torch.no_grad():
        for x, y in some_loader(25, 2).in_order():
            for image, label in zip(x, y, strict=True):
                logits = model(image[None])
                right += int(logits.argmax() == label)
                losses.append(nn.functional.cross_entropy(logits, label[None]).item())
    assert (score.right, score.images) == (right, 25)
    assert score.accuracy == right / 25
    assert score.loss == pytest.approx(sum(losses) / 25, rel=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_no_gradient_is_kept_and_no_random_number_drawn():
    model = trained_looking_network()
    state = torch.get_rng_state()
    evaluate(model, some_loader(8, 4), CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_bf16_is_near_and_the_loss_is_summed_in_full_precision():
    model = trained_looking_network()
    exact = evaluate(model, some_loader(20, 10), CPU)
    near = evaluate(model, some_loader(20, 10), Machine(CPU.device, "bf16"))
    assert near.loss != exact.loss
    assert near.loss == pytest.approx(exact.loss, rel=0.05)


def test_an_observer_sees_every_batch():
    class Counting(Silent):
        def __init__(self):
            self.events = []

        def begin(self, task, total, part=0, parts=1):
            self.events.append((task, total))

        def advance(self, steps=1):
            self.events.append(steps)

        def end(self):
            self.events.append("end")

    observer = Counting()
    evaluate(trained_looking_network(), some_loader(10, 4), CPU, observer)
    assert observer.events == [("evaluate", 3), 1, 1, 1, "end"]


def test_speed_and_accuracy_of_a_score():
    score = Score(CLASSES, counts=(3,), images=4, loss=0.5, seconds=2.0)
    assert (score.accuracy, score.images_per_second) == (0.75, 2.0)
    assert Score(CLASSES, counts=(0,), images=4, loss=0.5, seconds=0.0).images_per_second > 0
