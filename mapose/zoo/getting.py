"""Models brought into a user's zoo: from a folder, a zip file, a URL or the hub."""

from __future__ import annotations

import http.client
import os
import shutil
import stat
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from mapose import __version__
from mapose.errors import FormatError, MaposeError, MissingExtraError, SettingsError
from mapose.files import explain_write_fault, make_folder
from mapose.locks import lock_output
from mapose.models import open_model
from mapose.reading import explain_damage
from mapose.zoo.cards import (
    CHECKSUMS,
    DESCRIPTION,
    hash_file,
    is_part,
    list_parts,
    verify_checksums,
    write_checksums,
)
from mapose.zoo.catalogue import PREFIX, check_name, find_folders, find_zoo, is_own

#: How a model of the hub is told from a folder.
HUB = "hub:"
#: What is taken at most: bytes of a model, entries of a zip file, and times its packed size.
MOST_BYTES, MOST_ENTRIES, MOST_TIMES = 8 * 2**30, 1000, 100
_STEP, _WAIT = 1 << 20, 30.0
_OF_HUB = ["*.yaml", "*.safetensors", "*.json", "*.md", CHECKSUMS, "LICENSE*"]
_WEB = ("http://", "https://")
ShowProgress = Callable[[int, int], None]


def get_model(
    source: str | os.PathLike[str],
    *,
    name: str | None = None,
    sha256: str | None = None,
    force: bool = False,
    on_progress: ShowProgress = lambda done, total: None,
) -> Path:
    """Bring a model into the user's zoo, where ``zoo:NAME`` finds it.

    All of it is checked before it takes its place: what it consists of, its checksums, and that it
    can be opened. If anything is wrong nothing is left behind.

    Parameters
    ----------
    source : str or path
        A model folder, a zip file of one, ``https://...`` of such a file, or ``hub:OWNER/NAME``
        (extra ``hub``).
    name : str, optional
        Its name in the zoo; by default that of the source.
    sha256 : str, optional
        Checksum of the zip file, where it was told.
    force : bool
        Replace a model of that name.
    on_progress : function of (int, int)
        Called with bytes done and bytes in all (0 = not known) of a download.

    Returns
    -------
    Path
        Its folder.

    Raises
    ------
    SettingsError
        If there is no such source, no way to it, or another model of that name.
    FormatError
        If the source is damaged, unsafe, too large or no model.
    MissingExtraError
        If huggingface_hub is needed and not installed.
    """
    text = os.fspath(source)
    name = check_name(name or _find_name(text))
    if sha256 is not None and (text.startswith(HUB) or Path(text).is_dir()):
        raise SettingsError("sha256 is that of a zip file; the source is none")
    with place_model(name, force=force) as folder:
        if text.startswith(HUB):
            _take_from_hub(text.removeprefix(HUB), folder)
        elif Path(text).is_dir():
            copy_model(Path(text), folder)
        else:
            archive = folder.parent / "download.zip" if text.startswith(_WEB) else Path(text)
            if text.startswith(_WEB):
                download(text, archive, on_progress=on_progress)
            if not archive.is_file():
                raise SettingsError(
                    f"{text}: there is no such folder or file; wanted a model folder, a zip file, "
                    "https://... or hub:OWNER/NAME"
                )
            if sha256 is not None and hash_file(archive) != sha256.strip().lower():
                raise FormatError(
                    f"{text} is not the file that the checksum is of: half a download, or changed; "
                    "get it again, or ask who made it"
                )
            unpack_model(archive, folder)
    return find_zoo() / name


@contextmanager
def place_model(name: str, *, force: bool = False) -> Iterator[Path]:
    """Hand out an empty folder, and make what is put there a model of the zoo if all is well.

    Raises
    ------
    SettingsError
        If there is a model of that name already.
    FormatError
        If what was put there is no model, or its checksums are of something else.
    """
    zoo = make_folder(find_zoo())
    target, work = zoo / name, zoo / f".{name}.part"
    there = find_folders().get(name)
    # What came without its weights may have one with them in its place.
    bare = there is not None and not is_own(there) and not any(there.rglob("*.safetensors"))
    if there is not None and not bare and (not force or not is_own(there)):
        hint = "replace it with --force (force=True) or " if is_own(there) else ""
        raise SettingsError(f"{PREFIX}{name} is there already: {hint}choose another --name")
    with lock_output(target):
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
        folder = work / name
        try:
            folder.mkdir(parents=True)
            yield folder
            verify_checksums(folder)
            write_checksums(folder)
            open_model(folder)
            if target.exists():
                target.rename(work / "old")
            folder.rename(target)
        except OSError as fault:
            raise SettingsError(explain_write_fault(folder, fault)) from fault
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _find_name(source: str) -> str:
    place = urllib.parse.urlsplit(source).path if source.startswith(_WEB) else source
    last = PurePosixPath(urllib.parse.unquote(place.replace("\\", "/").rstrip("/"))).name
    return last.removeprefix(HUB).removesuffix(".zip")


def copy_model(source: Path, folder: Path) -> None:
    """Copy the files of a model, and only those.

    Raises
    ------
    FormatError
        If the source holds no model.
    """
    if not (source / DESCRIPTION).is_file():
        raise FormatError(f"{source}: wanted a model folder with {DESCRIPTION} in it")
    for part in list_parts(source):
        place = folder / part
        place.parent.mkdir(exist_ok=True)
        shutil.copyfile(source / part, place)


def download(url: str, path: Path, *, on_progress: ShowProgress) -> None:
    """Download a file, all of it or nothing.

    Raises
    ------
    SettingsError
        If there is no way to it, or it ends early.
    FormatError
        If it is larger than `MOST_BYTES`.
    """
    request = urllib.request.Request(url, headers={"User-Agent": f"mapose/{__version__}"})
    done = 0
    try:
        with urllib.request.urlopen(request, timeout=_WAIT) as answer, path.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            _check_size(url, total)
            while part := answer.read(_STEP):
                done += len(part)
                _check_size(url, done)
                file.write(part)
                on_progress(done, total)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ValueError) as fault:
        if isinstance(fault, MaposeError):
            raise
        reason = getattr(fault, "reason", None) or fault
        raise SettingsError(
            f"{url} cannot be had ({reason}): check the address and the network, or give a file "
            "that was downloaded elsewhere"
        ) from fault
    if total and done != total:
        raise SettingsError(f"{url}: the download ended after {done} of {total} bytes; try again")


def _check_size(url: str, size: int) -> None:
    if size > MOST_BYTES:
        raise FormatError(f"{url} is larger than a model may be ({MOST_BYTES >> 30} GiB)")


def unpack_model(archive: Path, folder: Path) -> None:
    """Unpack the files of a model, and only those, from a zip file.

    The model may lie in the file's root or in one folder. No entry may lead out of it or be a
    link, and what they claim to unpack to is held against the limits before anything is written.

    Raises
    ------
    FormatError
        If the file is damaged, unsafe, too large, or holds no model.
    """
    if not zipfile.is_zipfile(archive):
        raise FormatError(f"{archive} is no zip file, or only part of one")
    with explain_damage(archive):
        file = zipfile.ZipFile(archive)
        entries = [entry for entry in file.infolist() if not entry.is_dir()]
    with file:
        _check_entries(entries, archive)
        roots = [
            PurePosixPath(e.filename).parent
            for e in entries
            if PurePosixPath(e.filename).name == DESCRIPTION
        ]
        if len(roots) != 1:
            found = "none" if not roots else f"{len(roots)} models"
            raise FormatError(f"{archive}: wanted one model in the zip file, found {found}")
        for entry in entries:
            path = PurePosixPath(entry.filename)
            part = path.relative_to(roots[0]).as_posix() if roots[0] in path.parents else ""
            if is_part(part):
                _unpack(file, entry, folder / part)


def _unpack(file: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path) -> None:
    """Unpack an entry; faults of reading are the archive's, those of writing the disk's."""
    place.parent.mkdir(exist_ok=True)
    with place.open("wb") as target, ExitStack() as stack:
        with explain_damage(file.filename or ""):
            source = stack.enter_context(file.open(entry))
        while True:
            with explain_damage(file.filename or ""):
                part = source.read(_STEP)
            if not part:
                return
            target.write(part)


def _check_entries(entries: list[zipfile.ZipInfo], archive: Path) -> None:
    """Make sure that a zip file leads nowhere else and holds no more than a model may."""
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise FormatError(f"{archive}: its entry {entry.filename!r} leads out of the folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise FormatError(f"{archive}: its entry {entry.filename!r} is a link; wanted files")
    size = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if len(entries) > MOST_ENTRIES or size > min(MOST_BYTES, MOST_TIMES * (packed + _STEP)):
        raise FormatError(
            f"{archive} would unpack to {len(entries)} files of {size / 1e6:.0f} MB from "
            f"{packed / 1e6:.1f} MB: that is no model"
        )


def _take_from_hub(name: str, folder: Path) -> None:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError(
            "models of the hub need huggingface_hub: pip install 'mapose[hub]'"
        ) from error
    try:
        there = huggingface_hub.snapshot_download(name, allow_patterns=_OF_HUB)
    except Exception as error:  # the library's kinds of faults of networks and names are many
        raise SettingsError(
            f"{HUB}{name} cannot be had ({str(error).splitlines()[0][:200]}): check the name and "
            "the network, or give a folder that was saved elsewhere"
        ) from error
    copy_model(Path(there), folder)
