"""The chance level: published numbers, a slow reference, and its time."""

from time import process_time

import numpy as np
import pytest

from foldnet.analysis.chance import beyond_chance, chance, network_share, plain_chance, shown_level
from foldnet.analysis.similarity import coefficient_similarity, max_off_diagonal
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


def mean_off_diagonal(similarity):
    """The mean similarity of two different layers."""
    return similarity[np.triu_indices(len(similarity), 1)].mean()


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


def test_of_untrained_networks_of_three_groups_one_in_twenty_shows_a_star():
    torch = pytest.importorskip("torch")
    level, generator = chance(6, 4, groups=3), torch.Generator().manual_seed(5)
    assert level.q95 < level.network_q95 < 1
    starred = alone = 0
    for _ in range(1000):
        starts = [torch.nn.init.orthogonal_(torch.empty(6, 4), generator=generator) for _ in range(3)]
        matrices = [coefficient_similarity(start.double().numpy()) for start in starts]
        starred += any(beyond_chance(matrix, level).any() for matrix in matrices)
        alone += any(max_off_diagonal(matrix) > level.q95 for matrix in matrices)
    assert starred / 1000 == pytest.approx(0.05, abs=0.02)
    assert alone / 1000 == pytest.approx(0.14, abs=0.03)


def test_the_levels_of_a_network_of_one_group_are_those_of_the_group():
    assert network_share(1) == network_share(0) == 0.95
    assert chance(6, 4).network_q95 == chance(6, 4).q95
    assert plain_chance(6, 100, groups=3).network_q95 > plain_chance(6, 100).network_q95 == plain_chance(6, 100).q95


def test_a_layer_is_never_beyond_chance_with_itself_and_nothing_is_where_chance_is_not_known():
    matrix = np.array([[1.0, 0.99, 0.2], [0.99, 1.0, 0.2], [0.2, 0.2, 1.0]])
    assert beyond_chance(matrix, chance(3, 3, groups=100)).sum() == 0
    assert np.argwhere(beyond_chance(matrix, plain_chance(3, 1000))).tolist()[:2] == [[0, 1], [0, 2]]
    assert not beyond_chance([[1.0]], chance(1, 4)).any()
    assert not beyond_chance(np.ones((6, 6)), chance(6, 1)).any()


@pytest.mark.parametrize(
    ("level", "said"), [(0.5, "0.500"), (0.97312, "0.973"), (0.99996, "0.99996"), (1 - 1e-12, "1"), (1.0, "1")]
)
def test_a_level_near_1_is_shown_with_the_digits_that_keep_it_below(level, said):
    assert shown_level(level) == said


def test_a_seed_gives_one_answer():
    assert chance(6, 4, seed=3) == chance(6, 4, seed=3)
    assert chance(6, 4, seed=3) != chance(6, 4, seed=4)


@pytest.mark.parametrize(("layers", "templates", "seconds"), [(6, 4, 0.5), (20, 20, 0.5), (1000, 64, 3.0)])
def test_the_time_hardly_grows_with_the_size(layers, templates, seconds):
    start = process_time()
    chance(layers, templates)
    assert process_time() - start < seconds  # several times what an idle machine needs


def test_wrong_inputs_are_named():
    with pytest.raises(SettingError, match=r"^`layers=0` is not legal; give a whole number from 1 to 1000$"):
        chance(0, 4)
    with pytest.raises(SettingError, match=r"^`weight_numbers=0` is not legal; give a whole number from 1 to 1e\+12$"):
        plain_chance(3, 0)
    with pytest.raises(ShapeMismatch, match=r"^a Gram matrix of shape \(2, 2\) does not fit 4 templates; "):
        chance(6, 4, gram=np.eye(2))
