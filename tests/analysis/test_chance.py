"""The chance level: published numbers, a slow reference, and its time."""

from time import perf_counter

import numpy as np
import pytest

from foldnet.analysis.chance import chance, plain_chance
from foldnet.analysis.similarity import coefficient_similarity, max_off_diagonal, mean_off_diagonal
from foldnet.errors import SettingError, ShapeMismatch

PUBLISHED = [  # layers, templates, mean, max, q95: 400 draws, hence the tolerance
    (6, 4, 0.27, 0.78, 0.95),
    (6, 3, 0.39, 0.91, 0.993),
    (6, 2, 0.58, 0.99, 0.9999),
    (10, 8, 0.13, 0.55, 0.74),
    (10, 2, 0.61, 0.999, 1.0),
    (6, 6, None, 0.76, 0.92),
    (20, 20, None, 0.61, 0.72),
]


@pytest.mark.parametrize(("layers", "templates", "mean", "maximum", "q95"), PUBLISHED)
def test_published_numbers(layers, templates, mean, maximum, q95):
    level = chance(layers, templates)
    assert level.draws >= 4000
    assert level.max == pytest.approx(maximum, abs=0.015)
    assert level.q95 == pytest.approx(q95, abs=0.01)
    if mean is not None:
        assert level.mean == pytest.approx(mean, abs=0.01)


def test_two_templates_reach_above_0_999():
    assert chance(6, 2).q95 > 0.999


@pytest.mark.parametrize("gram", [None, [[2.5]]])
def test_one_template_is_all_alike(gram):
    level = chance(6, 1, gram=gram)
    assert (level.mean, level.max, level.q95) == (1.0, 1.0, 1.0)


def test_against_torchs_own_orthogonal_start():
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    starts = [torch.nn.init.orthogonal_(torch.empty(8, 3), generator=generator) for _ in range(1500)]
    gram = np.array([[3.0, 1.0, 0.0], [1.0, 1.0, 0.5], [0.0, 0.5, 2.0]])
    root = np.linalg.cholesky(gram)
    for level, turn in ((chance(8, 3), np.eye(3)), (chance(8, 3, gram=gram), root)):
        matrices = [coefficient_similarity(start.double().numpy() @ turn) for start in starts]
        assert level.mean == pytest.approx(np.mean([mean_off_diagonal(m) for m in matrices]), abs=0.005)
        assert level.max == pytest.approx(np.mean([max_off_diagonal(m) for m in matrices]), abs=0.005)
        assert level.q95 == pytest.approx(np.quantile([max_off_diagonal(m) for m in matrices], 0.95), abs=0.005)


def test_the_trained_templates_raise_the_level_where_they_are_alike():
    alike = 0.9 + 0.1 * np.eye(4)
    assert chance(6, 4, gram=np.eye(4)) == chance(6, 4, gram=7 * np.eye(4))
    assert chance(6, 4, gram=np.eye(4)).max == pytest.approx(chance(6, 4).max, abs=1e-9)
    assert chance(6, 4, gram=alike).mean > chance(6, 4).mean + 0.1


@pytest.mark.parametrize(("layers", "numbers"), [(6, 30), (6, 6), (7, 3)])
def test_plain_layers_against_written_out_weights(layers, numbers):
    rng = np.random.default_rng(1)
    matrices = [coefficient_similarity(rng.standard_normal((layers, numbers))) for _ in range(2000)]
    level = plain_chance(layers, numbers)
    assert level.mean == pytest.approx(np.mean([mean_off_diagonal(m) for m in matrices]), abs=0.01)
    assert level.max == pytest.approx(np.mean([max_off_diagonal(m) for m in matrices]), abs=0.01)


def test_plain_pairs_have_the_mean_of_their_beta_distribution():
    assert plain_chance(6, 9216).mean == pytest.approx(np.sqrt(2 / np.pi / 9216), rel=0.01)


def test_a_single_layer_has_no_pairs():
    for level in (chance(1, 4), chance(1, 1), plain_chance(1, 100)):
        assert (level.mean, level.max, level.q95, level.draws) == (None, None, None, 0)


def test_a_seed_gives_one_answer():
    assert chance(6, 4, seed=3) == chance(6, 4, seed=3)
    assert chance(6, 4, seed=3) != chance(6, 4, seed=4)


@pytest.mark.parametrize(("layers", "templates", "seconds"), [(6, 4, 0.5), (20, 20, 0.5), (1000, 64, 3.0)])
def test_the_time_hardly_grows_with_the_size(layers, templates, seconds):
    start = perf_counter()
    chance(layers, templates)
    assert perf_counter() - start < seconds  # several times what an idle machine needs


def test_wrong_inputs_are_named():
    with pytest.raises(SettingError, match=r"^layers=0 is not a size; give layers at least 1$"):
        chance(0, 4)
    with pytest.raises(SettingError, match=r"^weight_numbers=0 is not a size; give weight_numbers at least 1$"):
        plain_chance(3, 0)
    with pytest.raises(ShapeMismatch, match=r"^a Gram matrix of shape \(2, 2\) does not fit 4 templates; "):
        chance(6, 4, gram=np.eye(2))
