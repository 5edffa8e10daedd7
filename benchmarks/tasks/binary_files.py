"""Files that are not text: archives, pictures, sounds, arrays, databases and office documents.

Nothing is written to disk but a scratch database.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import plistlib
import sqlite3
import tarfile
import tempfile
import wave
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tasks.content import Maker, name, picture, prose, record, rows

XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
SCHEMAS = "http://schemas.openxmlformats.org"
RATE = 8000


def saved_picture(kind: str) -> Maker:
    """A maker of pictures in a format of PIL's."""

    def make(rng: np.random.Generator, _: Sequence[str]) -> bytes:
        buffer = io.BytesIO()
        picture(rng).save(buffer, kind)
        return buffer.getvalue()

    return make


def compressed(compress: Callable[[bytes], bytes]) -> Maker:
    """A maker of compressed prose."""
    return lambda rng, words: compress(prose(rng, words, 80).encode())


def zipped(contents: Mapping[str, bytes]) -> bytes:
    """A zip file; its times are fixed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, value in contents.items():
            archive.writestr(zipfile.ZipInfo(key), value, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def make_zip(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Texts."""
    return zipped(_members(rng, words))


def make_tar(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Texts."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for key, value in _members(rng, words).items():
            entry = tarfile.TarInfo(key)
            entry.size = len(value)
            archive.addfile(entry, io.BytesIO(value))
    return buffer.getvalue()


def make_docx(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A few paragraphs."""
    paragraphs = "".join(
        f"<w:p><w:r><w:t>{prose(rng, words, 3)}</w:t></w:r></w:p>" for _ in range(int(rng.integers(2, 20)))
    )
    space = f'xmlns:w="{SCHEMAS}/wordprocessingml/2006/main"'
    document = f"{XML}<w:document {space}><w:body>{paragraphs}</w:body></w:document>"
    return _office("word/document.xml", "wordprocessingml.document.main", {"word/document.xml": document})


def make_xlsx(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """One sheet."""
    lines = [
        "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row)
        for row in rows(rng, words, int(rng.integers(5, 60)))
    ]
    cells = "".join(f"<row>{line}</row>" for line in lines)
    space = f'xmlns="{SCHEMAS}/spreadsheetml/2006/main"'
    parts = {
        "xl/workbook.xml": f"{XML}<workbook {space}><sheets/></workbook>",
        "xl/worksheets/sheet1.xml": f"{XML}<worksheet {space}><sheetData>{cells}</sheetData></worksheet>",
    }
    return _office("xl/workbook.xml", "spreadsheetml.sheet.main", parts)


def make_sqlite(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """One table."""
    table = f"t_{name(rng, words)}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scratch.db"
        connection = sqlite3.connect(path)
        connection.execute(f"CREATE TABLE {table} (a TEXT, b INTEGER, c REAL, d TEXT, e TEXT)")
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?)", rows(rng, words, 60)[1:])
        connection.commit()
        connection.close()
        return path.read_bytes()


def make_wav(rng: np.random.Generator, _: Sequence[str]) -> bytes:
    """A tone in noise."""
    seconds = np.arange(int(rng.integers(2000, 9000))) / RATE
    tone = np.sin(2 * np.pi * rng.uniform(100, 900) * seconds) + rng.normal(0.0, 0.1, len(seconds))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes((8000 * tone).astype("<i2").tobytes())
    return buffer.getvalue()


def make_npy(rng: np.random.Generator, _: Sequence[str]) -> bytes:
    """One array."""
    buffer = io.BytesIO()
    np.save(buffer, rng.normal(size=(int(rng.integers(5, 40)), 16)))
    return buffer.getvalue()


def make_npz(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A few arrays; written member by member, because numpy's own writer puts the time into the file."""
    return zipped({f"{name(rng, words)}_{number}.npy": make_npy(rng, words) for number in range(3)})


def make_pickle(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A list of records."""
    return pickle.dumps([record(rng, words) for _ in range(5)], protocol=int(rng.integers(2, 5)))


def make_binary_plist(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A record."""
    return plistlib.dumps(record(rng, words), fmt=plistlib.FMT_BINARY)


def _members(rng: np.random.Generator, words: Sequence[str]) -> dict[str, bytes]:
    """Names and contents of the files in an archive."""
    suffixes = rng.choice(["txt", "md", "log", "dat"], int(rng.integers(2, 6)))
    return {
        f"{name(rng, words)}{number}.{suffix}": prose(rng, words, int(rng.integers(3, 30))).encode()
        for number, suffix in enumerate(suffixes)
    }


def _office(main: str, kind: str, parts: Mapping[str, str]) -> bytes:
    """An Office Open XML package of these parts, `main` the first."""
    mime = f"application/vnd.openxmlformats-officedocument.{kind}+xml"
    types = (
        f'{XML}<Types xmlns="{SCHEMAS}/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main}" ContentType="{mime}"/></Types>'
    )
    relations = (
        f'{XML}<Relationships xmlns="{SCHEMAS}/package/2006/relationships"><Relationship Id="rId1" '
        f'Type="{SCHEMAS}/officeDocument/2006/relationships/officeDocument" Target="{main}"/></Relationships>'
    )
    folder, _, file = main.rpartition("/")
    contents = {
        "[Content_Types].xml": types,
        "_rels/.rels": relations,
        **parts,
        f"{folder}/_rels/{file}.rels": f"{XML}<Relationships/>",
    }
    return zipped({key: value.encode() for key, value in contents.items()})


MADE: dict[str, Maker] = {
    "zip": make_zip,
    "tar": make_tar,
    "gzip": compressed(lambda text: gzip.compress(text, mtime=0)),
    "bzip": compressed(bz2.compress),
    "xz": compressed(lzma.compress),
    "zlibstream": compressed(zlib.compress),
    "png": saved_picture("PNG"),
    "jpeg": saved_picture("JPEG"),
    "gif": saved_picture("GIF"),
    "bmp": saved_picture("BMP"),
    "tiff": saved_picture("TIFF"),
    "webp": saved_picture("WEBP"),
    "ico": saved_picture("ICO"),
    "tga": saved_picture("TGA"),
    "jp2": saved_picture("JPEG2000"),
    "docx": make_docx,
    "xlsx": make_xlsx,
    "sqlite": make_sqlite,
    "wav": make_wav,
    "npy": make_npy,
    "npz": make_npz,
    "pickle": make_pickle,
    "applebplist": make_binary_plist,
}
"""Makers by the type's name, as magika spells it."""
