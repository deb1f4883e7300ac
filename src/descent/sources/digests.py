"""Compute and verify the SHA-256 of the four raw files."""

from collections.abc import Mapping
from pathlib import Path

from descent.io.errors import DataError
from descent.io.files import sha256
from descent.sources.published import FILES, PUBLISHED, ImageSet


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each of the four files, as `sha256_train_images` and so on.

    Raises:
        DataError: A file is missing.
    """
    try:
        return {f"sha256_{part}": sha256(folder / name) for part, name in FILES.items()}
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: no such file; `dvc repro --force download` fetches it") from error


def verify_raw(
    folder: Path, recorded: Mapping[str, str], published: Mapping[str, ImageSet] = PUBLISHED
) -> dict[str, str]:
    """Compare the SHA-256 of the four files with the published one if their source is published, else the recorded.

    Args:
        folder: Contains the files.
        recorded: `source`, and the SHA-256 as `digests` returned them when the files were written.
        published: The published sets by name.

    Returns:
        The SHA-256 of the files, as `digests` returns them.

    Raises:
        DataError: A file is missing, or has another SHA-256.
    """
    found = digests(folder)
    claimed = published.get(recorded["source"])
    for part, name in FILES.items():
        expected = claimed.sha256[part] if claimed else recorded[f"sha256_{part}"]
        if found[f"sha256_{part}"] != expected:
            raise DataError(
                f"{folder / name}: expected SHA-256 {expected}, found {found[f'sha256_{part}']}; "
                "`dvc repro --force download` fetches it anew"
            )
    return found
