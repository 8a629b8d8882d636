"""Writing files so that nothing is lost: never half of one, never over what is not ours."""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import socket
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

import yaml

from mapose.errors import MaposeError, SettingsError
from mapose.locks import is_locked, lock_output
from mapose.reading import check_heaps, explain_gone, list_numbers, read_hdf5

#: How names of our own files end: poses, and what a person said of them.
RESULT, EDITS = ".mapose.h5", ".edits.csv"

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
# What a disk says that takes no files, or is gone.
_DISK = {*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ENODEV}
_DISK |= {errno.ENXIO, errno.ENOTCONN, getattr(errno, "ESTALE", errno.EIO)}
# What a disk or a share says that does not know what it was asked for.
_UNKNOWN = {
    getattr(errno, name, errno.ENOSYS) for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP")
}
# The mark is plain ASCII without quotes, backslashes and brackets, so that it is the same bytes
# as a comment of any format; all of them keep it in their first or last part.
_MARK = re.compile(rb"\[made by (mapose [^\[\]]*)\]")
_PART = 1 << 16
# Who writes a temporary file: a process of a machine, as several may write to one share.
_HOST = re.sub(r"\W", "", socket.gethostname())[:16]
_TEMPORARY = re.compile(r"\.(\d+)-(\w*)\.tmp$")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_WILD = set("*?[")


def cut_suffix(name: str) -> str:
    """Cut the end off a file's name; all of ``.mapose.h5``.

    Examples
    --------
    >>> cut_suffix("monday.mapose.h5"), cut_suffix("monday.v2.slp")
    ('monday', 'monday.v2')
    """
    if is_result(name):
        return name[: -len(RESULT)]
    return Path(name).stem


def is_result(path: str | os.PathLike[str]) -> bool:
    """Tell by its name whether a file is one of ours; only these have edits."""
    return Path(path).name.lower().endswith(RESULT)


@contextmanager
def write_atomically(path: str | Path, *, error: type[MaposeError] = MaposeError) -> Iterator[Path]:
    """Hand out a temporary path and give the file its name once all is written.

    The temporary file lies beside the target and is forced to disk before it takes the target's
    place, so that after a crash there is the old file or the whole new one. If the block raises,
    the temporary file is removed and the target stays as it was. The file may be read by whom the
    old one, else the umask, lets.

    Parameters
    ----------
    path : str or Path
        The file to make or replace; its folder must exist.
    error : type of MaposeError
        What to raise if the disk does not take the file.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    MaposeError
        If the folder is missing, the disk is full or the file may not be written.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> with write_atomically(folder / "notes.txt") as temporary:
    ...     _ = temporary.write_text("whole", encoding="utf-8")
    >>> [p.name for p in folder.iterdir()]
    ['notes.txt']
    """
    path = Path(os.path.realpath(path))  # a link stays one: its target is written
    if not path.parent.is_dir():
        raise error(f"cannot write {path.name}: there is no folder {path.parent}")
    if path.exists() and not os.access(path, os.W_OK):
        raise error(f"cannot write {path}: it is protected from writing; choose another name")
    remove_debris(path)
    temporary = _name_temporary(path)
    written = False
    try:
        temporary.touch()
        mode = (path if path.exists() else temporary).stat().st_mode
        yield temporary
        written = True
        if temporary.stat().st_mode != mode:  # some libraries write for the owner's eyes only
            with suppress(OSError):  # sticks, and shares of other systems, know no such thing
                temporary.chmod(stat.S_IMODE(mode))
        with temporary.open("rb+") as file:
            sync_file(file.fileno())
        temporary.replace(path)
    except MaposeError:
        raise
    except Exception as fault:
        if written or _is_about(fault, temporary):
            raise error(explain_write_fault(path, fault)) from fault
        raise  # the block's own trouble, with some other file
    finally:
        with suppress(OSError):  # Windows: while another program looks at it
            temporary.unlink(missing_ok=True)


def sync_file(handle: int) -> None:
    """Force an open file to its disk, or leave that to a share that cannot be asked."""
    try:
        os.fsync(handle)
    except OSError as fault:
        if fault.errno not in _UNKNOWN:
            raise


def write_yaml(value: object, path: Path) -> None:
    """Write plain values as YAML, whole or not at all."""
    with write_atomically(path) as temporary:
        temporary.write_text(make_yaml(value), encoding="utf-8")


def make_yaml(value: object) -> str:
    """Make YAML of plain values, in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None)


def remove_debris(path: Path) -> None:
    """Remove what programs that were killed while they wrote a file have left beside it."""
    is_locked(path)  # a look is enough
    for leftover in list_debris(path):
        with suppress(OSError):
            leftover.unlink()


def list_debris(path: Path) -> list[Path]:
    """List what programs that were killed while they wrote a file have left beside it."""
    left = []
    for leftover in sorted(path.parent.glob(f"{glob.escape(path.name)}.*.tmp")):
        found = _TEMPORARY.search(leftover.name)
        if found and found[2] == _HOST and not _is_running(int(found[1])):
            left.append(leftover)
    return left


def _name_temporary(path: Path) -> Path:
    """Name a file beside another one; two programs never write the same one."""
    return path.with_name(f"{path.name}.{os.getpid()}-{_HOST}.tmp")


def _is_running(process: int) -> bool:
    """Tell whether a process of this machine still runs."""
    if sys.platform == "win32":  # where os.kill would end it
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, process)
        return bool(handle and ctypes.windll.kernel32.CloseHandle(handle))
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _is_about(fault: Exception, temporary: Path) -> bool:
    """Tell whether an exception, of whichever library, is about the file that is written."""
    name = getattr(fault, "filename", None)
    return str(name) == str(temporary) or (name is None and bool(list_numbers(fault) & _DISK))


def is_full(fault: BaseException) -> bool:
    """Tell whether an exception, of whichever library, says that a disk takes no more."""
    return bool(list_numbers(fault) & _FULL)


def explain_write_fault(path: str | Path, fault: Exception) -> str:
    """Say in one sentence why a file could not be written, and what to do.

    Parameters
    ----------
    path : str or Path
        The file that was to be written.
    fault : Exception
        What the operating system or a library raised.
    """
    path = Path(path)
    if is_full(fault):
        return (
            f"cannot write {path.name}: the disk of {path.parent.resolve()} is full (or the file "
            "too large for it); free some space and run again, nothing half-written was left"
        )
    numbers = list_numbers(fault)
    if errno.EROFS in numbers:
        return f"cannot write {path}: the disk is read-only; choose another place"
    if isinstance(fault, PermissionError) or numbers & {errno.EACCES, errno.EPERM}:
        return (
            f"cannot write {path}: no permission, or another program holds the file open; close "
            "it or choose another place"
        )
    if gone := explain_gone(fault):
        return f"cannot write {path}: {gone}"
    if not path.parent.is_dir():
        return (
            f"cannot write {path}: its folder is gone (a disk or a network share that was taken "
            "away?); bring it back and run again"
        )
    told = fault.strerror if isinstance(fault, OSError) else None
    return f"cannot write {path}: {told or fault}"


def find_tail(path: str | os.PathLike[str]) -> str:
    """Name a file together with its folder, so that ``0001.mp4`` of two cameras are told apart.

    Examples
    --------
    >>> find_tail("/data/monday/cam1/0001.mp4")
    'cam1/0001.mp4'
    """
    return "/".join(Path(path).resolve().parts[-2:])


def name_work(
    command: str, inputs: Iterable[str | os.PathLike[str]] = (), **options: object
) -> str:
    """Say what makes a file: the command, its inputs, and the options that decide the result.

    Parameters
    ----------
    command : str
        Such as ``"track"``.
    inputs : iterable of path
        Each is named with its folder, so that ``0001.mp4`` of two cameras are told apart.
    **options
        Left out where None, False or empty.

    Examples
    --------
    >>> name_work("track", ["monday/mice.mapose.h5"], individuals=4, online=False)
    'mapose track of monday/mice.mapose.h5; individuals 4'
    """
    named = ", ".join(find_tail(path) for path in inputs)
    given = [
        key.replace("_", " ") + ("" if value is True else f" {value}")
        for key, value in options.items()
        if value is not None and value is not False and value not in ("", (), {})
    ]
    return "; ".join([f"mapose {command}" + (f" of {named}" if named else ""), *given])


def make_mark(made: str) -> str:
    """Make the comment by which `read_mark` knows what made a file; empty for empty words."""
    return f"[made by {quote(made, safe=' /,;:=+-_.@')}]" if made else ""


def read_mark(path: str | Path) -> str | None:
    """Read what made a file, in the words of `name_work`; None if mapose left no mark in it.

    Text tables (csv, trc) have no place for a mark.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(_PART)
            file.seek(max(len(head), file.seek(0, os.SEEK_END) - _PART))
            found = _MARK.search(head) or _MARK.search(file.read())
        if head.startswith(_HDF5):
            return _read_attribute(path)
    except (OSError, KeyError, ValueError, RuntimeError, AttributeError):
        return None  # unreadable or damaged: whose it was is not known
    return unquote(found[1].decode("ascii", "replace")) if found else None


def is_drawn(video: str | Path) -> bool:
    """Tell whether mapose has drawn a video, which is no recording then."""
    return (read_mark(video) or "").startswith("mapose render")


def check_output(
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    suffixes: Sequence[str] = (),
    made: str = "",
    force: bool = False,
) -> None:
    """Make sure that writing a file destroys nothing; at the door, before any long work.

    Inputs are never written over, whatever their spelling and through whatever link. A file that
    is there already is replaced if its mark says that the same command made it of the same
    inputs with the same options, else only with ``force``.

    Parameters
    ----------
    path : path
        The file to write.
    inputs : iterable of path
        What is read: files, folders or patterns, there or not.
    suffixes : sequence of str
        How a name for this kind of file may end, in any case; by default any.
    made : str
        What is about to make it, of `name_work`.
    force : bool
        Replace what another command, other inputs or somebody else made.

    Raises
    ------
    SettingsError
        If the file must not be written, its name ends wrongly, or there is no folder for it.

    Examples
    --------
    >>> notes = getfixture("tmp_path") / "notes.txt"
    >>> _ = notes.write_text("mine", encoding="utf-8")
    >>> check_output(notes, made="mapose plot")
    Traceback (most recent call last):
    ...
    mapose.errors.SettingsError: ...notes.txt is there already, and nothing in it says that ...
    """
    path = Path(path)
    if not path.parent.resolve().is_dir():
        raise SettingsError(f"cannot write {path}: there is no folder {path.parent.resolve()}")
    if path.exists() and not path.is_file():  # a folder, or a device such as /dev/null
        raise SettingsError(f"cannot write {path}: wanted the name of a file, this is none")
    for source in _list_files(inputs):
        if _is_same(path, source):
            raise SettingsError(
                f"cannot write {path}: it is the same file as {source}, which is read; choose "
                "another name for the output"
            )
    if suffixes and not path.name.lower().endswith(tuple(suffixes)):
        raise SettingsError(
            f"cannot write {path}: wanted a name that ends in {' or '.join(suffixes)}"
        )
    remove_debris(path)
    check_writable(path)
    check_replaceable(path, made=made, force=force)


def check_replaceable(path: Path, *, made: str, force: bool) -> None:
    """Make sure that a file which is there, if one is, may be replaced; see `check_output`.

    Raises
    ------
    SettingsError
        If something else made it.
    """
    if force or not path.exists() or _is_damaged_result(path):
        return
    there = read_mark(path)
    if there is None:
        raise SettingsError(
            f"{path} is there already, and nothing in it says that mapose made it; choose another "
            "name for the output, or replace it with --force (force=True)"
        )
    if there != made:
        raise SettingsError(
            f"{path} is there already, made by {there}; now it would be made by "
            f"{made or 'another call'}: choose another name for the output, or replace it with "
            "--force (force=True)"
        )


@contextmanager
def claim_output(
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[str | os.PathLike[str]] = (),
    suffixes: Sequence[str] = (),
    made: str = "",
    force: bool = False,
) -> Iterator[None]:
    """Do what `check_output` does, and be the only one who works on the file in the block.

    Raises
    ------
    SettingsError
        As for `check_output`, and if another program works on the file.
    """
    inputs = list(inputs)

    def check() -> None:
        check_output(path, inputs=inputs, suffixes=suffixes, made=made, force=force)

    check()
    with lock_output(path):
        check()  # what another one has made meanwhile
        yield


def check_writable(path: str | os.PathLike[str]) -> None:
    """Make sure, by trying, that a file can be written beside another; before any long work.

    Raises
    ------
    SettingsError
        If the folder is missing or not to be written to, the disk full, or the file protected.
    """
    with suppress(_Tried), write_atomically(Path(path), error=SettingsError) as temporary:
        temporary.write_bytes(bytes(4096))
        raise _Tried


class _Tried(MaposeError):
    """Ends the writing of a file that is not wanted."""


def _is_damaged_result(path: Path) -> bool:
    """Tell whether a file of ours holds nothing that can be read: it is made anew."""
    if not is_result(path):
        return False
    with path.open("rb") as file:
        head = file.read(len(_HDF5))
    if head.strip(b"\0") and head != _HDF5:
        return False  # somebody else's, under our name
    try:
        with read_hdf5(path) as file:
            return "format" not in file.attrs and not len(file)
    except (OSError, RuntimeError, KeyError) as fault:
        return not list_numbers(fault)  # else it is the disk that does not give it


def check_distinct(
    outputs: Iterable[tuple[str | os.PathLike[str], str | os.PathLike[str]]],
) -> None:
    """Make sure that no two inputs of one call have the same output.

    Parameters
    ----------
    outputs : iterable of (path, path)
        Input and output. Names that differ in case only count as the same: on many disks they
        are.

    Raises
    ------
    SettingsError
        If two have; both inputs are named.
    """
    seen: dict[str, Path] = {}
    for source, output in ((Path(a), Path(b)) for a, b in outputs):
        first = seen.setdefault(str(output.resolve()).casefold(), source)
        if not _is_same(first, source):
            raise SettingsError(
                f"{first} and {source} would both be written to {output}: do one at a time, and "
                "choose another place for one of them with -o"
            )


def name_file(text: str) -> str:
    """Make the name of an animal or a camera a part of a file's name, on any system.

    Examples
    --------
    >>> name_file("left/top"), name_file("Ann")
    ('left_top', 'Ann')
    """
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", text)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder for outputs, if it is not there.

    Raises
    ------
    SettingsError
        If a file has that name, or the folder cannot be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        if path.exists():
            raise SettingsError(f"{path} is a file; wanted a folder for the output") from fault
        raise SettingsError(f"cannot make the folder {path}: {fault.strerror}") from fault
    return path


def _list_files(inputs: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """List the files behind inputs; in folders, what mapose itself has left there is no input."""
    for given in map(Path, inputs):
        if given.is_dir():
            found = given.iterdir()
        elif _WILD & set(given.name) and not given.exists():
            found = given.parent.glob(given.name)
        else:
            yield given
            continue
        yield from (p for p in found if p.is_file() and read_mark(p) is None)


def _is_same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:  # one of them does not exist
        return os.path.normcase(a.resolve()) == os.path.normcase(b.resolve())


def _read_attribute(path: Path) -> str | None:
    """Read the mark of an HDF5 file: an attribute, or in our own file part of the provenance."""
    check_heaps(path)
    with read_hdf5(path) as file:
        if file.attrs.get("format") != "mapose":
            made = file.attrs.get("made_by")
            return made if isinstance(made, str) else None
        provenance = json.loads(file["provenance"].asstr()[()]) if "provenance" in file else {}
        source = provenance.get("source") or "files that it does not name"
        return str(provenance.get("made") or f"mapose of {source}")
