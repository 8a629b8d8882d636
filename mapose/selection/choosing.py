"""Which frames to label: spread evenly, by chance, by appearance, or unlike what is labelled."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mapose.arrays import Image, Ints, Singles
from mapose.errors import SettingsError, suggest_name

#: The ways to choose; of them, the last two look at the frames.
METHODS = ("uniform", "random", "kmeans", "different")
# Rows of distances that are computed at once.
_ROWS = 256


def check_method(method: str) -> None:
    """Refuse a way to choose that there is not.

    Raises
    ------
    SettingsError
        The nearest name is suggested.
    """
    if method not in METHODS:
        raise SettingsError(f"no method {method!r}: {suggest_name(method, METHODS)}")


def spread_evenly(total: int, count: int) -> Iterator[int]:
    """Order frames so that the first `count` are the middles of equal stretches of the video.

    Further ones, in case some of these show nothing new, are the middles of ever shorter stretches.

    Parameters
    ----------
    total : int
        Frames of the video.
    count : int
        Frames wanted.

    Examples
    --------
    >>> list(spread_evenly(100, 4))[:4]
    [12, 37, 62, 87]
    """
    given: set[int] = set()
    while len(given) < total:
        middles = np.floor((np.arange(count) + 0.5) * total / count).astype(np.int64)
        new = [n for n in dict.fromkeys(middles.tolist()) if n not in given]
        given.update(new)
        yield from new
        count = 2 * count + 1


def spread_randomly(total: int, seed: int) -> Iterator[int]:
    """Order frames by chance.

    Parameters
    ----------
    total : int
        Frames of the video.
    seed : int
        Of the chance.
    """
    rng = np.random.default_rng(seed)
    given: set[int] = set()
    while len(given) < min(total, 10_000):  # never all numbers of a long video in memory
        n = int(rng.integers(total))
        if n not in given:
            given.add(n)
            yield n


def order_clusters(pictures: Sequence[Image], count: int, *, seed: int = 0) -> Ints:
    """Order small pictures so that the first are each of another kind of appearance.

    Parameters
    ----------
    pictures : sequence of uint8, (...), all of one shape
        Small pictures.
    count : int
        Kinds to find.
    seed : int
        Of the clustering.

    Returns
    -------
    int64, (N,)
        First the picture nearest to the centre of each cluster, of the largest cluster first; then
        the others in turns through the clusters, by chance.

    References
    ----------
    Sculley 2010, web-scale k-means clustering (scikit-learn's MiniBatchKMeans).

    Examples
    --------
    >>> pictures = [np.full((2, 2), level, np.uint8) for level in (0, 100, 1, 100, 2)]
    >>> order_clusters(pictures, 2)[:2].tolist()
    [2, 1]
    """
    from sklearn.cluster import MiniBatchKMeans

    rows = _make_rows(pictures)
    count = min(count, len(rows))
    if not count:
        return np.empty(0, np.int64)
    model = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=1024)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer different pictures than clusters
        cluster = model.fit_predict(rows)
    far = ((rows - model.cluster_centers_[cluster]) ** 2).sum(1)
    size = np.bincount(cluster, minlength=count)[cluster]
    chance = np.random.default_rng(seed).uniform(size=len(rows))
    turn = np.empty(len(rows), np.int64)
    for c in np.unique(cluster):
        own = np.flatnonzero(cluster == c)
        first = own[far[own].argmin()]
        rest = own[own != first]
        turn[first] = 0
        turn[rest[chance[rest].argsort()]] = np.arange(1, len(own))
    return np.lexsort([chance, -size, turn])


def order_different(pictures: Sequence[Image], known: Iterable[Image], count: int) -> Ints:
    """Order small pictures so that each stands for most that none before it stands for.

    Parameters
    ----------
    pictures : sequence of uint8, (...), all of one shape
        Small pictures.
    known : iterable of uint8, (...)
        Those of frames that are labelled already; of another shape, they say nothing.
    count : int
        Pictures wanted.

    Returns
    -------
    int64, (M,)
        At most twice as many as wanted, in case some are left out as duplicates.

    Notes
    -----
    Each picture is as ill represented as its squared distance to the nearest that is labelled or
    chosen. The next is the one that would lower the sum of these most: different from all before,
    and still like many. The most distant one alone would be a hand in the picture or a flash.

    References
    ----------
    Greedy k-medoids, that is maximisation of a submodular function (Nemhauser, Wolsey and Fisher
    1978).

    Examples
    --------
    >>> pictures = [np.full((2, 2), level, np.uint8) for level in (0, 1, 90, 91, 200)]
    >>> order_different(pictures, [pictures[0]], 2)[:2].tolist()
    [3, 4]
    """
    rows = _make_rows(pictures)
    if not len(rows):
        return np.empty(0, np.int64)
    old = _make_rows(p for p in known if p.shape == pictures[0].shape)
    between = _find_squares(rows, rows)
    poor = _find_squares(rows, old).min(1) if len(old) else 1 + between.max(1)
    chosen: list[int] = []
    for _ in range(min(2 * count, len(rows))):
        gain = _find_gains(between, poor)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        poor = np.minimum(poor, between[chosen[-1]])
    return np.array(chosen, np.int64)


def _find_gains(between: Singles, poor: Singles) -> Singles:
    """Find by how much each picture would lower the sum of what is ill represented."""
    starts = range(0, len(poor), _ROWS)
    parts = [np.maximum(poor - between[i : i + _ROWS], 0).sum(1) for i in starts]
    return np.concatenate(parts)


def _find_squares(a: Singles, b: Singles) -> Singles:
    """Find squared distances between rows, (N, M)."""
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T)
    return np.maximum(square, 0)


def _make_rows(pictures: Iterable[Image]) -> Singles:
    """Write pictures as rows of numbers, (N, D)."""
    rows = [picture.ravel() for picture in pictures]
    return np.stack(rows).astype(np.float32) if rows else np.empty((0, 0), np.float32)
