"""A walk's edges: their order, their passes, and the way back to the steps."""

from hypothesis import given
from hypothesis import strategies as st

from foldnet.drawing.graph import Edge, pass_words, ranges, walk_passes


def test_the_walk_of_the_paper() -> None:
    assert walk_passes([1, 2, 3, 4, 3, 4, 1, 2, 3, 4, "out"]) == (
        Edge(1, 2, (1, 7), (1, 3)),
        Edge(2, 3, (2, 8), (1, 3)),
        Edge(3, 4, (3, 5, 9), (1, 2, 3)),
        Edge(4, 3, (4,), (1,), back=True),
        Edge(4, 1, (6,), (2,), back=True),
        Edge(4, "out", (10,), (3,)),
    )


def test_a_node_that_follows_itself_jumps_back() -> None:
    assert walk_passes(["a", "a", "a", "b"]) == (Edge("a", "a", (1, 2), (1, 2), back=True), Edge("a", "b", (3,), (3,)))


def test_no_jump_no_second_pass() -> None:
    assert {edge.passes for edge in walk_passes("abcd")} == {(1,)}


def test_walks_without_edges() -> None:
    assert walk_passes([]) == ()
    assert walk_passes(["a"]) == ()


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_following_the_edges_by_order_gives_back_the_steps(nodes: list[int]) -> None:
    edges = walk_passes(nodes)
    steps = sorted(((step, edge) for edge in edges for step in edge.order), key=lambda taken: taken[0])
    assert [step for step, _ in steps] == list(range(1, len(nodes)))
    assert [steps[0][1].source, *(edge.target for _, edge in steps)] == nodes
    jumps = sum(edge.back * len(edge.order) for edge in edges)
    assert {number for edge in edges for number in edge.passes} <= set(range(1, jumps + 2))
    firsts = [edge.passes[0] for edge in edges]
    assert firsts == sorted(firsts)
    assert all(list(edge.passes) == sorted(set(edge.passes)) for edge in edges)
    assert all(len(edge.passes) <= len(edge.order) for edge in edges)


def test_numbers_are_said_in_few_words() -> None:
    assert [ranges(numbers) for numbers in ([1], [1, 2], [1, 2, 3], [1, 3, 4, 5, 9])] == [
        "1",
        "1, 2",
        "1–3",
        "1, 3–5, 9",
    ]


def test_a_legend_leaves_no_pass_out() -> None:
    assert pass_words({1, 2, 3}, 3) == (("pass 1", 1), ("pass 2", 2), ("pass 3", 3))
    assert pass_words({1, 3, 6}, 6) == (
        ("pass 1", 1),
        ("pass 2 takes arrows of earlier ones", None),
        ("pass 3", 3),
        ("passes 4, 5 take arrows of earlier ones", None),
        ("pass 6", 6),
    )
