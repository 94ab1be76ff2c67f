"""Zips from outside: a folder out of one, after every member has been looked at with suspicion."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from janus_eval.disk import writing
from janus_eval.errors import UserError

DAMAGE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError),
    *(zlib.error, lzma.LZMAError, UnicodeDecodeError),
)
"""What ``zipfile`` raises for a damaged zip, its decompressors' own errors and those of names included."""
MOST_MEMBERS = 200_000
MOST_BYTES = 16 << 30
"""Bytes of a zip when unpacked. A bomb of a few kilobytes could fill any disk."""


def unpack(archive: Path, inside: str, target: Path) -> None:
    """Write the files under the zip's folder ``inside`` to the new folder ``target``.

    Raises UserError for what is no zip, a member that leads outside, is a link, encrypted or damaged, a zip that is
    larger than MOST_BYTES or MOST_MEMBERS, and one without such a folder. Nothing of a zip with a bad member is kept.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked(opened, archive)
            chosen = [member for member in members if member.filename.startswith(f"{inside}/")]
            if not chosen:
                raise UserError(f"{archive} has no folder {inside}")
            for member in chosen:
                path = target / PurePosixPath(member.filename).relative_to(inside)
                with writing(path):
                    if member.is_dir():
                        path.mkdir(parents=True, exist_ok=True)
                    else:
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(opened.read(member))
    except DAMAGE as error:
        raise UserError(f"{archive} is no sound zip: {error}") from error


def _checked(opened: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    members = opened.infolist()
    if len(members) > MOST_MEMBERS:
        raise UserError(f"{archive} holds {len(members):,} files; at most {MOST_MEMBERS:,} are unpacked")
    size = sum(member.file_size for member in members)
    if size > MOST_BYTES:
        raise UserError(f"{archive} would unpack to {size:,} bytes; at most {MOST_BYTES:,} are unpacked")
    for member in members:
        fault = _fault(member)
        if fault:
            raise UserError(f"{archive}: its member {member.filename!r} {fault}; nothing is unpacked")
    return members


def _fault(member: zipfile.ZipInfo) -> str:
    # zipfile itself would cut a name at a NUL and turn a system's separators into slashes: the name as stored counts.
    name = member.orig_filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/") or "\\" in name or "\0" in name or ":" in name.partition("/")[0]:
        return "has an absolute or foreign path"
    if ".." in PurePosixPath(name).parts:
        return "leads out of the folder"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is a link or no file"
    if member.flag_bits & 0x1:
        return "is encrypted"
    return ""
