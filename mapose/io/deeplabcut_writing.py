"""Tables of DeepLabCut, as its own analysis and labelling write them: h5 and csv."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from mapose.errors import FormatError, MissingExtraError
from mapose.files import write_atomically
from mapose.io.cells import write_table
from mapose.io.conventions import SINGLE
from mapose.io.hdf5 import leave_mark
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.skeleton import LANDMARKS, Skeleton

_KEY = "df_with_missing"


def write_deeplabcut_h5(
    poses: Poses | Parts, path: Path, *, scorer: str = "mapose", made: str = ""
) -> None:
    """Write an h5 as DeepLabCut's analysis does: key ``df_with_missing``, format table.

    What made it becomes an attribute of the file.

    Raises
    ------
    MissingExtraError
        If PyTables is not installed.
    """
    try:
        from tables import exceptions as tables_errors
    except ImportError as error:
        raise MissingExtraError(
            'writing DeepLabCut h5 needs PyTables: pip install "mapose[dlc]" (dlc-csv works '
            "without)"
        ) from error
    parts = Parts.of(poses)
    tables = (_make_table(part, scorer).astype(np.float64) for part in parts)
    with write_atomically(path, error=FormatError) as partial:
        try:
            store_table(tables, partial, rows=len(parts) or None)
        except tables_errors.HDF5ExtError:
            # A table keeps its column names in an attribute of at most 64 KB, which some 900
            # keypoints of all animals together fill. DeepLabCut opens the other format as well.
            store_table([_make_table(parts.join()[0], scorer).astype(np.float64)], partial)
        leave_mark(partial, made)


def store_table(tables: Iterable[pd.DataFrame], path: Path, *, rows: int | None = None) -> None:
    """Write a table of pandas so that DeepLabCut opens it; needs PyTables.

    Parameters
    ----------
    tables : iterable of pandas.DataFrame
        Run after run of rows with the same columns.
    path : Path
        An h5 file, replaced.
    rows : int, optional
        How many there are, for pandas' format ``table``; by default there is one run, and the
        format is ``fixed``.
    """
    from tables import open_file

    with pd.HDFStore(path, mode="w") as store:
        for table in tables:
            if rows is None:
                store.put(_KEY, table, format="fixed", track_times=False)
            else:
                # pandas' own guess of how many rows there will be, from those that it sees.
                store.append(_KEY, table, index=False, expectedrows=max(rows, 10_000))
        if rows:
            # The better one that is made by default takes four times the memory.
            store.create_table_index(_KEY, columns=True, optlevel=0, kind="light")
    with open_file(path, "a") as file:
        # pandas 3 no longer writes the version of its layout, without which pandas 2, and
        # so DeepLabCut, takes the file for one of before 2012 and fails.
        file.root[_KEY]._v_attrs["pandas_version"] = "0.15.2"


def write_deeplabcut_csv(poses: Poses | Parts, path: Path, *, scorer: str = "mapose") -> None:
    """Write a csv with DeepLabCut's header rows."""
    write_table((_make_table(part, scorer) for part in Parts.of(poses)), path, index=True)


def _make_table(poses: Poses, scorer: str) -> pd.DataFrame:
    """Lay out poses as DeepLabCut does."""
    table = poses.to_pandas(scorer)
    return part_owners(table, poses.skeleton) if LANDMARKS in poses.names else table


def part_owners(table: pd.DataFrame, skeleton: Skeleton) -> pd.DataFrame:
    """Give a table with columns of all individuals and body parts those that DeepLabCut has.

    Landmarks are body parts of `SINGLE` alone, and it has no others.
    """
    if not skeleton.landmarks:
        return table
    owner = table.columns.get_level_values("individuals")
    part = table.columns.get_level_values("bodyparts")
    table = table.loc[:, (owner == LANDMARKS) == part.isin(skeleton.landmarks)]
    return table.rename(columns={LANDMARKS: SINGLE}, level="individuals")
