"""Shortest paths between the members of every class, many at a time.

A path is ranked by a single integer, its key. The highest digits hold its length, the next its
number of steps and the lowest, subtracted, the members of the class on it, the last sample left
out. The key of a path is the sum over its steps, so the path of the least key is the shortest,
of equally short ones one of the fewest steps, and of these one with the most members; and it is
the same in both directions, so each pair is visited once. Sums of integers are exact: neither the
order of the samples nor the number of threads matters.

Lengths are rounded up to whole multiples of a unit: the shortest edge above zero of the connected
part, times the power of two that makes it about 2^-36 of the median edge, or more where the longest
paths would not fit. Rounding up keeps the triangle inequality, so that no detour is shorter than an
edge, and lengths that are multiples of the shortest stay such multiples at every scale.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from llvmlite import ir
from numba import get_num_threads, njit, prange, types
from numba.extending import intrinsic
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

_LANES = 16  # sources whose paths are found at a time
_KEY_BITS = 62  # and one for the sign, and one so that the sum of two keys fits
_LENGTH_BITS = 36
_NOISE = 2.0**-42  # share by which a multiple may be exceeded without being rounded to the next
_FEW_UNITS = 2**16  # in the median edge


class PathGraph(NamedTuple):
    """A graph of neighbours whose edges are ranked by integer keys.

    Attributes
    ----------
    nodes : ndarray of shape (n,)
        Rows in the order in which the graph holds them: those of many edges first, since they
        are visited most, so that they stay in the cache.
    indptr, indices, keys : ndarrays
        The graph as compressed rows.
    digits : int
        Bits for the number of steps, and as many for that of members.
    limit : int
        More than the key of any shortest path.
    stride : int
        Key of the median edge.
    component, distance : ndarray of shape (n,)
        For each node the connected part that it lies in and the length of the path from the
        middle of it.
    """

    nodes: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    keys: np.ndarray
    digits: int
    limit: int
    stride: int
    component: np.ndarray
    distance: np.ndarray


def parts(graph: csr_array) -> np.ndarray:
    """For each node the connected part of the graph that it lies in, as a number."""
    return connected_components(graph, directed=False)[1]


def rank(graph: csr_array, n_neighbors: int, X: np.ndarray) -> PathGraph:
    """Give every edge of a graph of nearest neighbours, from `X`, its key."""
    n_nodes = graph.shape[0]
    degree = np.diff(graph.indptr)
    # Of equal degrees, by what is in a row rather than by its number.
    place = np.einsum("ij,j->i", X, np.cos(np.arange(X.shape[1])))
    nodes = np.lexsort((place, -degree))
    component = parts(graph)
    _, hubs = np.unique(component[nodes], return_index=True)
    distance = dijkstra(graph, indices=nodes[hubs], min_only=True)
    numbers = np.arange(len(hubs))
    diameter = 2 * ndimage.maximum(distance, component, numbers)  # or less
    # On a shortest path of few steps no sample is a neighbour of the next but one, so that
    # two steps are longer than the least distance of a k-th neighbour.
    by_length = np.lexsort((graph.data, np.repeat(np.arange(n_nodes), degree)))
    radius = ndimage.minimum(
        graph.data[by_length][graph.indptr[:-1] + n_neighbors - 1], component, numbers
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        n_steps = np.nan_to_num(2 * (2 * diameter / radius + 1), nan=0, posinf=n_nodes).max()
    n_steps = int(min(n_nodes - 1, n_steps + 2))
    digits = n_steps.bit_length()
    unit = _units(graph.data, np.repeat(component, degree), diameter, _KEY_BITS - 1 - 2 * digits)
    lengths = graph.data / np.repeat(unit[component], degree) * (1 - _NOISE)
    keys = (np.ceil(lengths).astype(np.int64) << 2 * digits) + (1 << digits)
    limit = int((diameter / unit).max()) + n_steps + 1
    ranked = csr_array((keys, graph.indices, graph.indptr), shape=graph.shape)[nodes][:, nodes]
    rows = ranked.indptr.astype(np.int64), ranked.indices.astype(np.int32), ranked.data
    stride = int(np.median(keys))
    of_nodes = component[nodes], distance[nodes]
    return PathGraph(nodes, *rows, digits, limit << 2 * digits, stride, *of_nodes)


def _units(
    lengths: np.ndarray, component: np.ndarray, diameter: np.ndarray, n_bits: int
) -> np.ndarray:
    """Unit of length in each connected part, such that its diameter has no more than `n_bits`."""
    units = pd.Series(np.ones(len(diameter)))  # one where all samples are the same
    positive = lengths > 0
    of_part = pd.Series(lengths[positive]).groupby(component[positive])
    least, median = of_part.min(), of_part.median()
    longest = diameter[least.index]
    _, finest = np.frexp(median / least)
    _, coarsest = np.frexp(longest / least)
    units[least.index] = np.ldexp(least, np.maximum(finest - _LENGTH_BITS, coarsest - n_bits))
    if (coarse := median / units[least.index] < _FEW_UNITS).any():
        far = f"the longest paths of X are {(longest / median)[coarse].max():.0e} times as long as"
        near = "short edges count as if they were nearly equal"
        warnings.warn(f"{far} its median edge, so that {near}; leave outliers out", stacklevel=4)
    return units.to_numpy()


def sums_of_shares(graph: PathGraph, classes: Sequence[np.ndarray]) -> np.ndarray:
    """Sum, over the ordered pairs of each class, of the share of a path that lies inside.

    Parameters
    ----------
    graph : PathGraph
    classes : sequence of ndarrays
        Rows of the members of each class.

    Returns
    -------
    ndarray of shape (n_classes,)
    """
    place = np.argsort(graph.nodes)
    groups, of_class = [], []
    for number, rows in enumerate(classes):
        # Remote members first: those after them are found sooner, since they are nearer.
        members = place[rows]
        members = members[np.lexsort((-graph.distance[members], graph.component[members]))]
        borders = np.flatnonzero(np.diff(graph.component[members])) + 1
        joined = [group for group in np.split(members, borders) if len(group) > 1]
        groups += joined
        of_class += [number] * len(joined)
    if not groups:
        return np.zeros(len(classes))
    sizes = np.array([len(group) for group in groups])
    batches = [
        (number, first) for number, size in enumerate(sizes) for first in range(0, size - 1, _LANES)
    ]
    borders = np.concatenate([[0], np.cumsum(sizes)])
    n_threads = min(get_num_threads(), len(batches))
    sums = _of_batches(graph, np.array(batches), np.concatenate(groups), borders, n_threads)
    # Each pair was visited in one direction.
    class_of_batch = np.array(of_class)[[group for group, _ in batches]]
    return 2 * np.bincount(class_of_batch, sums, minlength=len(classes))


def path(graph: PathGraph, source: int, target: int, members: np.ndarray) -> np.ndarray:
    """Rows along a path of the least key, both ends included; empty where there is none."""
    ends = np.argsort(graph.nodes)[[source, target]]
    source, target = ends
    if graph.component[source] != graph.component[target]:
        return np.empty(0, dtype=np.int64)
    is_member = members[graph.nodes].astype(np.uint8)
    reached, waiting = _room(len(is_member))
    _reach(graph, reached, waiting, ends[:1], ends[1:], is_member)
    key = reached[::_LANES]
    way = [target]
    while way[-1] != source:
        edges = slice(*graph.indptr[way[-1] : way[-1] + 2])
        before = graph.indices[edges]
        reached = key[before] + graph.keys[edges] - is_member[before] == key[way[-1]]
        way.append(before[np.argmax(reached)])
    return graph.nodes[way[::-1]]


@njit(parallel=True, cache=True, error_model="numpy")
def _of_batches(graph, batches, members, borders, n_threads):
    """Sum of the shares over the pairs of each batch: its sources and all members after them."""
    sums = np.zeros(len(batches))
    n_nodes = len(graph.nodes)
    for thread in prange(n_threads):
        reached, waiting = _room(n_nodes)
        is_member = np.zeros(n_nodes, dtype=np.uint8)
        for batch in range(thread, len(batches), n_threads):
            group, first = batches[batch]
            inside = members[borders[group] : borders[group + 1]]
            is_member[:] = 0
            for node in inside:
                is_member[node] = 1
            sources, targets = inside[first : first + _LANES], inside[first + 1 :]
            _reach(graph, reached, waiting, sources, targets, is_member)
            total = 0.0
            for number, target in enumerate(targets):
                for lane in range(min(number + 1, len(sources))):
                    total += _share_inside(reached[target * _LANES + lane], graph.digits)
            sums[batch] = total
    return sums


@njit(cache=True, error_model="numpy")
def _reach(graph, reached, waiting, sources, targets, is_member):
    """Least keys from each source, in a lane of its own, to every target.

    Nodes whose key fell wait to pass it on; those below a horizon do so, many lanes at a time,
    and the horizon moves on by a stride (delta-stepping: Meyer and Sanders, 2003). A node beyond
    all targets passes nothing on.
    """
    indptr, indices, keys, limit = graph.indptr, graph.indices, graph.keys, graph.limit
    reached[:] = limit
    waiting[:] = 0
    farthest = np.zeros(_LANES, dtype=np.int64)
    for lane in range(len(sources)):
        reached[sources[lane] * _LANES + lane] = 0
        waiting[sources[lane]] = 1
        farthest[lane] = limit
    horizon = nearest = 0
    while nearest < limit:
        horizon = min(max(horizon + graph.stride, nearest), limit)
        nearest = limit
        for node in range(len(waiting)):
            if not waiting[node]:
                continue
            least = limit
            for lane in range(_LANES):
                key = reached[node * _LANES + lane]
                if key < farthest[lane]:
                    least = min(least, key)
            nearest = min(nearest, least)
            if horizon < least < limit:
                continue
            waiting[node] = 0
            if least == limit:
                continue
            for edge in range(indptr[node], indptr[node + 1]):
                other = indices[edge]
                waiting[other] |= _pass_on(
                    reached, node * _LANES, other * _LANES, keys[edge] - is_member[node]
                )
        for lane in range(len(sources)):
            farthest[lane] = 0
            for target in targets:
                farthest[lane] = max(farthest[lane], reached[target * _LANES + lane])


@njit(cache=True, error_model="numpy")
def _share_inside(key, digits):
    """Share of the interior of a path that lies in the class; 1 for an edge."""
    last = key & ((1 << 2 * digits) - 1)
    n_steps = (last + (1 << digits) - 1) >> digits
    n_members = (n_steps << digits) - last  # the source is one
    return 1.0 if n_steps == 1 else (n_members - 1) / (n_steps - 1)


@njit(cache=True, error_model="numpy")
def _room(n_nodes):
    """For the keys of all nodes, with lanes in whole cache lines, and for who waits."""
    room = np.empty(n_nodes * _LANES + 8, dtype=np.int64)
    start = -(room.ctypes.data // 8) % 8
    return room[start : start + n_nodes * _LANES], np.empty(n_nodes, dtype=np.uint8)


@intrinsic
def _pass_on(typing_context, reached, node, other, step):
    """In all lanes, reached[other] = min(reached[other], reached[node] + step); did any fall?

    Written as vector instructions, since the compiler does not find them in a loop this short.
    """
    lanes = ir.VectorType(ir.IntType(64), _LANES)
    first = ir.Constant(ir.IntType(32), 0)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)

    def codegen(context, builder, signature, arguments):
        array, node, other, step = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        of_node, of_other = (
            builder.bitcast(builder.gep(data, [place]), lanes.as_pointer())
            for place in (node, other)
        )
        undefined = ir.Constant(lanes, ir.Undefined)
        step = builder.insert_element(undefined, step, first)
        step = builder.shuffle_vector(step, undefined, everywhere)
        old = builder.load(of_other, align=8)
        new = builder.add(builder.load(of_node, align=8), step)
        falls = builder.icmp_signed("<", new, old)
        builder.store(builder.select(falls, new, old), of_other, align=8)
        mask = builder.bitcast(falls, ir.IntType(_LANES))
        any_falls = builder.icmp_unsigned("!=", mask, ir.Constant(mask.type, 0))
        return builder.zext(any_falls, ir.IntType(8))

    return types.uint8(reached, types.int64, types.int64, types.int64), codegen
