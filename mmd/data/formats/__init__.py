"""Every format that can be imported, in the order in which a file is offered to them."""

from __future__ import annotations

from mmd.data.formats.binance_archive import BINANCE_ARCHIVE
from mmd.data.formats.binance_depth import BINANCE_DEPTH
from mmd.data.formats.lobster import LOBSTER
from mmd.data.formats.parquet_layout import PARQUET
from mmd.data.formats.recordings import RECORDINGS
from mmd.data.formats.tardis import TARDIS
from mmd.data.source import Format

FORMATS: tuple[Format, ...] = (PARQUET, BINANCE_ARCHIVE, BINANCE_DEPTH, LOBSTER, TARDIS, RECORDINGS)
