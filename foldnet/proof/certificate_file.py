"""The certificate of a fold as a file of its folder, sealed: what it says was found is what was found."""

from pathlib import Path

from foldnet.errors import RunError
from foldnet.proof.certificate import Certificate
from foldnet.store.codec import from_plain, read_json
from foldnet.store.files import write_json
from foldnet.store.seals import SEAL, check_sealed, sealed, sha256_of

CERTIFICATE = "certificate.json"


def write_certificate(folder: Path, certificate: Certificate, name: str = "") -> None:
    """Write it into a fold's folder; it says the fold's name, by default the folder's."""
    write_json(folder / CERTIFICATE, sealed(certificate.to_json() | {"fold": name or folder.name}))


def read_certificate(folder: Path) -> Certificate | None:
    """What verify found, if it was asked. Raises RunError for what is no certificate or was changed."""
    file = folder / CERTIFICATE
    if not file.is_file():
        return None
    content = read_json(file)
    try:
        found = from_plain(Certificate, {key: value for key, value in content.items() if key != SEAL})
    except ValueError as error:
        raise RunError(f"'{file}' is not a certificate ({error}); verify the fold again") from None
    check_sealed(content, file, "certificate")
    return found


def is_of(certificate: Certificate, folder: Path) -> bool:
    """Whether it was made of the files that now lie in a fold's folder."""
    return all(
        (folder / name).is_file() and sha256_of(folder / name) == digest for name, digest in certificate.files.items()
    )
