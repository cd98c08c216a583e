"""Folders of models, given as such or by their names on the Hugging Face hub."""

import errno
import os.path
import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import constants, errors, snapshot_download

from convexlib.models.weights import WEIGHTS, first_line, is_of_timm, shapes

_snapshot = partial(
    snapshot_download,
    allow_patterns=["config.json", "*processor_config.json", "*.safetensors", WEIGHTS[1]],
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def find(source: str) -> Path:
    """Folder of a model, loaded from the hub where it is not here; `checkpoints.locate` says how.

    Raises
    ------
    ValueError
        In one line, with the remedy, if there is no such folder and the hub does not give it.
    """
    try:
        return _here(source) or Path(_cached_or_asked(source))
    except errors.HFValidationError as error:  # it can be a path only
        raise ValueError(
            f"model {source!r}: there is no such folder; check the path, and of a file give the "
            "folder that it is in"
        ) from error
    except Exception as error:  # of the hub, the network, its proxy, the disk
        cause = _cause(error)
        said = " ".join((getattr(cause, "server_message", None) or first_line(cause)).split())
        raise ValueError(
            f"model {source!r} is no folder, and cannot be loaded from the Hugging Face hub "
            f"({said}); {_remedy(cause, source.partition('@')[0])}"
        ) from error


def size(source: str) -> int | None:
    """Bytes that `find` would load: 0 if all is here, None if the hub cannot be asked."""
    try:
        found = _here(source) or _cached_or_asked(source, dry_run=True)
    except Exception:  # of many libraries; `find` says what is wrong
        return None
    if isinstance(found, Path):
        return 0
    return sum(file.file_size or 0 for file in found if file.will_download)


def revision(folder: Path) -> str | None:
    """Commit of a model in the local hub cache, None for any other folder.

    Examples
    --------
    >>> revision(Path("models--someone--vit/snapshots/0123456789abcdef0123456789abcdef01234567"))
    '0123456789abcdef0123456789abcdef01234567'
    >>> revision(Path("my-model")) is None
    True
    """
    return folder.name if folder.match("models--*/snapshots/*") else None


def _here(source: str) -> Path | None:
    folder = os.path.expanduser(source)  # noqa: PTH111 - no path at all is no error here
    return Path(folder).resolve() if os.path.isdir(folder) else None  # noqa: PTH112


def _cached_or_asked(source: str, **options: bool) -> Any:
    """The local hub cache's folder of a whole model, unless its revision may move; or the hub's."""
    name, _, revision = source.partition("@")
    wanted = partial(_snapshot, name, revision=revision or None)
    if not revision or _COMMIT.fullmatch(revision):
        with suppress(Exception):  # whatever is wrong with the cache, the hub is asked next
            folder = Path(wanted(local_files_only=True))
            described = any(folder.glob("*processor_config.json")) or is_of_timm(folder)
            if shapes(folder) and described and (folder / "config.json").is_file():
                return folder
    return wanted(**options)


def _cause(error: BaseException) -> BaseException:
    """huggingface_hub hides why it looked into the cache behind that it found nothing there."""
    known = (errors.HfHubHTTPError, errors.OfflineModeIsEnabled)
    while not isinstance(error, known) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _remedy(cause: BaseException, name: str) -> str:
    page, cache = f"{constants.ENDPOINT}/{name}", constants.HF_HUB_CACHE
    if isinstance(cause, OSError) and (cause.errno in _FULL or (cause.errno and cause.filename)):
        return f"make room in {cache} and let it be read and written, or point HF_HOME elsewhere"
    remedies = {
        errors.GatedRepoError: f"access to it must be asked for on {page}; then {_LOG_IN}",
        errors.DisabledRepoError: f"access to it was disabled; see {page}",
        errors.RevisionNotFoundError: f"it has no such revision; see {page}/commits/main",
        errors.RepositoryNotFoundError: f"check the spelling; if the model is private, {_LOG_IN}",
        errors.HfHubHTTPError: f"try again later; if the hub refuses access, {_LOG_IN}",
        errors.OfflineModeIsEnabled: f"check the spelling, or unset HF_HUB_OFFLINE to load it "
        f"once into {cache}",
        Exception: "check the spelling, the path, the network, and the proxies if HTTPS_PROXY or "
        "ALL_PROXY name any; one of kind socks needs `pip install socksio`",
    }
    return next(remedy for kind, remedy in remedies.items() if isinstance(cause, kind))
