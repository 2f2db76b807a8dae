"""The program that runs an ONNX graph in a browser: onnxruntime-web, one version, from the npm registry.

It is fetched once, kept in the user's cache, and compared with its hash every time it is used. Nothing in it is run
here: three files are taken out, of which the browser needs all.
"""

import base64
import hashlib
import http.client
import os
import tarfile
import urllib.request
from io import BytesIO
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import write_atomically

VERSION = "1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # SHA-512
ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SIZE = 33_106_585  # bytes: what is longer is not it, and is not read
# The smallest of its builds: WebAssembly, no GPU. Of its names only the first is written in our own code.
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
SECONDS = 60  # without a byte


def cache_folder() -> Path:
    """Where what was fetched is kept: XDG_CACHE_HOME, or .cache in the user's own folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpt-course"


def runtime_files(cache: Path | None = None) -> dict[str, bytes]:
    """The runtime's files by name.

    Args:
        cache: the folder in which the archive is kept.

    Raises:
        CourseError: it is not here yet and cannot be fetched, or what was fetched is something else.
    """
    kept = (cache or cache_folder()) / ADDRESS.rsplit("/", 1)[1]
    archive = kept.read_bytes() if kept.is_file() and kept.stat().st_size == SIZE else b""
    if not _is_it(archive):
        archive = _fetch()
        write_atomically(kept, archive)
    return _unpack(archive)


def _is_it(archive: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(archive).digest()).decode() == INTEGRITY


def _fetch() -> bytes:
    try:
        with urllib.request.urlopen(ADDRESS, timeout=SECONDS) as answer:
            archive = answer.read(SIZE + 1)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise CourseError(
            f"onnxruntime-web could not be fetched ({reason}): the page needs {ADDRESS} once; try again where the "
            "internet is"
        ) from error
    if not _is_it(archive):
        raise CourseError(f"{ADDRESS} gave something else than onnxruntime-web {VERSION} (its SHA-512 is wrong)")
    return archive


def _unpack(archive: bytes) -> dict[str, bytes]:
    """The files that are needed, read in memory: nothing of the archive decides where anything is written."""
    wanted = {f"package/dist/{name}": name for name in FILES}
    found = {}
    with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as packed:
        for member in packed:
            if member.name in wanted and member.isreg():
                found[wanted[member.name]] = packed.extractfile(member).read()
    if missing := sorted(set(FILES) - set(found)):
        raise CourseError(f"onnxruntime-web {VERSION} has no {missing[0]}")
    return found
