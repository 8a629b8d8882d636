import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog

from mapose.tracking.flow import Web, solve_flow


def solve(graph, units):
    """Solve a drawn graph: the edges with flow, and their units."""
    nodes = ["source", "sink", *(set(graph) - {"source", "sink"})]
    number = {node: n for n, node in enumerate(nodes)}
    edges = list(graph.edges(data=True))
    web = Web(
        np.array([number[u] for u, _, _ in edges]),
        np.array([number[v] for _, v, _ in edges]),
        np.array([edge["cost"] for _, _, edge in edges]),
        np.array([edge["capacity"] for _, _, edge in edges]),
        np.array([graph.nodes[node]["potential"] for node in nodes]),
    )
    flow = solve_flow(web, units)
    return {(u, v): x for (u, v, _), x in zip(edges, flow.tolist(), strict=True) if x}


def make_graph(seed, n=30):
    """Draw a random flow network over n tracklets, and potentials that fit it."""
    rng = np.random.default_rng(seed)
    gain = rng.uniform(0, 10, n)
    before = np.concatenate([[0], gain.cumsum()])
    graph = nx.DiGraph()
    graph.add_node("source", potential=0.0)
    graph.add_node("sink", potential=-before[-1])
    for j in range(n):
        graph.add_node(("in", j), potential=-before[j])
        graph.add_node(("out", j), potential=-before[j + 1])
        graph.add_edge("source", ("in", j), cost=6.0, capacity=1)
        graph.add_edge(("in", j), ("out", j), cost=-gain[j], capacity=1)
        graph.add_edge(("out", j), "sink", cost=0.0, capacity=1)
        for k in rng.integers(j + 1, n + 4, 4):
            if k < n:
                graph.add_edge(("out", j), ("in", int(k)), cost=rng.uniform(0, 6), capacity=1)
    return graph


def solve_with_highs(graph, units):
    graph = graph.copy()
    graph.add_edge("sink", "source", cost=0.0, capacity=units)
    balance = nx.incidence_matrix(graph, oriented=True)
    edges = [e[2] for e in graph.edges(data=True)]
    bounds = [(0, e["capacity"]) for e in edges]
    zero = np.zeros(balance.shape[0])
    return linprog([e["cost"] for e in edges], A_eq=balance, b_eq=zero, bounds=bounds).fun


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("units", [1, 3, 30])
def test_finds_the_optimum_of_the_linear_programme(seed, units):
    graph = make_graph(seed)
    flow = solve(graph, units)
    cost = sum(x * graph.edges[edge]["cost"] for edge, x in flow.items())
    assert cost == pytest.approx(solve_with_highs(graph, units), abs=1e-6)


def test_flow_fits_the_capacities_and_is_conserved():
    graph = make_graph(9)
    flow = solve(graph, 5)
    assert all(0 < x <= graph.edges[edge]["capacity"] for edge, x in flow.items())
    for node in set(graph) - {"source", "sink"}:
        into = sum(x for (_, v), x in flow.items() if v == node)
        assert into == sum(x for (u, _), x in flow.items() if u == node)


def test_sends_nothing_that_does_not_pay():
    graph = make_graph(0)
    for _, _, edge in graph.edges(data=True):
        edge["cost"] = abs(edge["cost"]) + 1000
    assert solve(graph, 5) == {}


def test_without_a_way_nothing_flows():
    graph = nx.DiGraph()
    graph.add_node("source", potential=0.0)
    graph.add_node("sink", potential=0.0)
    graph.add_edge("source", "here", cost=1.0, capacity=1)
    graph.add_edge("there", "sink", cost=1.0, capacity=1)
    nx.set_node_attributes(graph, 0.0, "potential")
    assert solve(graph, 2) == {}
