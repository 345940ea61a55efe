"""Lines of CSV files, plain, gzipped or zipped, in batches; and their fields as typed columns, faulty lines set aside."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import polars as pl

from mmd.data.schema import ROW
from mmd.data.source import ImportFailed, SeriesKey, SourceLog

BATCH_BYTES = 8_000_000
MAX_LINE_BYTES = 1_000_000


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1, /) -> bytes:
        """As of a file."""


class LineBatch(NamedTuple):
    """`first` is the number of the first line, counted from 1. `position`: bytes of the file read so far."""

    first: int
    lines: list[str]
    position: int


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Readable, IO[bytes]]]:
    with path.open("rb") as file:
        if path.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                members = [name for name in archive.namelist() if name.endswith(".csv")]
                if len(members) != 1:
                    raise ImportFailed(f"{path}: expected one CSV file in the archive, found {len(members)}")
                with archive.open(members[0]) as member:
                    yield member, file
        elif path.suffix == ".gz":
            with gzip.open(file) as stream:
                yield stream, file
        else:
            yield file, file


def line_batches(path: Path, batch_bytes: int = BATCH_BYTES) -> Iterator[LineBatch]:
    """Every line without its end; empty lines at the end of the file are none. Raises `ImportFailed`."""
    first, rest = 1, b""
    try:
        with _opened(path) as (stream, file):
            while block := stream.read(batch_bytes):
                text = rest + block
                end = text.rfind(b"\n") + 1
                rest = text[end:]
                if len(rest) > MAX_LINE_BYTES:
                    raise ImportFailed(
                        f"{path}: a line after line {first} is longer than {MAX_LINE_BYTES:,} bytes: is it a CSV file?"
                    )
                if end:
                    lines = _split(text[:end])
                    yield LineBatch(first, lines, file.tell())
                    first += len(lines)
            if rest.strip():
                yield LineBatch(first, _split(rest), file.tell())
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise ImportFailed(f"{path}: cannot be read after line {first}: {error}") from error


def first_line(path: Path) -> str:
    """Empty where there is none. Raises `ImportFailed`."""
    for batch in line_batches(path, 65_536):
        return batch.lines[0] if batch.lines else ""
    return ""


def _split(block: bytes) -> list[str]:
    return [line.rstrip("\r") for line in io.TextIOWrapper(io.BytesIO(block), "utf-8", "replace", newline="\n").read().splitlines()]


def has_header(line: str) -> bool:
    """Whether a first line holds names, not numbers."""
    field = line.partition(",")[0].strip()
    try:
        float(field)
    except ValueError:
        return True
    return False


class CsvShape(NamedTuple):
    """`columns` in order; those in `types` are kept, as these types; of `required` none may be empty."""

    columns: Sequence[str]
    types: Mapping[str, type[pl.DataType]]
    required: Sequence[str]


def parse_lines(
    lines: Sequence[str], first: int, shape: CsvShape, log: SourceLog, key: SeriesKey, table: str, *, rows: pl.Series | None = None
) -> pl.DataFrame:
    """The typed columns and `_row`; lines with the wrong number of fields, missing or unparsable ones are set aside."""
    numbers = rows if rows is not None else pl.int_range(first, first + len(lines), eager=True, dtype=pl.Int64)
    frame = pl.DataFrame({"_line": pl.Series(lines, dtype=pl.String), ROW: numbers})
    frame = frame.with_columns(pl.col("_line").str.split(",").alias("_fields"))
    places = {name: place for place, name in enumerate(shape.columns)}
    texts = {name: pl.col("_fields").list.get(places[name], null_on_oob=True).str.strip_chars() for name in shape.types}
    count = len(shape.columns)
    wrong: Any = pl.when(pl.col("_fields").list.len() != count).then(pl.lit(f"not {count} columns"))
    for name in shape.required:
        wrong = wrong.when(texts[name].is_null() | (texts[name] == "")).then(pl.lit(f"missing {name}"))
    typed = {name: texts[name].cast(kind, strict=False) for name, kind in shape.types.items()}
    for name, kind in shape.types.items():
        if kind is not pl.String:
            unread = (typed[name].is_null() | ~typed[name].cast(pl.Float64).is_finite()) & (texts[name] != "")
            wrong = wrong.when(unread).then(pl.lit(f"unparsable {name}"))
    frame = frame.with_columns(wrong.otherwise(None).alias("_wrong"), *[value.alias(name) for name, value in typed.items()])
    bad = frame.filter(pl.col("_wrong").is_not_null())
    if bad.height:
        log.set_aside(((row, table, why, line) for row, why, line in bad.select(ROW, "_wrong", "_line").iter_rows()), key, table)
        frame = frame.filter(pl.col("_wrong").is_null())
    return frame.select(ROW, *shape.types)


def csv_frames(path: Path, shape: CsvShape, log: SourceLog, key: SeriesKey, table: str, *, header: bool) -> Iterator[pl.DataFrame]:
    """Every batch of a file, parsed. Raises `ImportFailed`."""
    position = 0
    for batch in line_batches(path):
        lines, first = (batch.lines[1:], 2) if header and batch.first == 1 else (batch.lines, batch.first)
        log.read += len(lines)
        yield parse_lines(lines, first, shape, log, key, table)
        log.advance(batch.position - position)
        position = batch.position


def stamp_ns(column: str) -> pl.Expr:
    """UTC ns of a stamp in s, ms, µs or ns, told by its size (for any time between 1973 and 2286)."""
    value = pl.col(column)
    return (
        pl.when(value < 10**11)
        .then(value * 10**9)
        .when(value < 10**14)
        .then(value * 10**6)
        .when(value < 10**17)
        .then(value * 10**3)
        .otherwise(value)
    )
