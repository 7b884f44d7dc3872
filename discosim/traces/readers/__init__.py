"""Readers of public trace formats, one file per format; import from here."""

from discosim.traces.readers.base import (
    ClientTable,
    ClientWindows,
    DevicePerf,
    HashIds,
    Kind,
    LatencySeries,
    LengthPdf,
    LengthTable,
    Produced,
    Reader,
    RequestTrace,
    RttSeries,
)
from discosim.traces.readers.registry import (
    detect,
    known_readers,
    read_any,
    read_latency,
    read_latency_groups,
    read_requests,
    read_rtt,
    read_rtt_groups,
    reader_named,
)
from discosim.traces.readers.source import Fingerprint, fingerprint

__all__ = [
    "ClientTable",
    "ClientWindows",
    "DevicePerf",
    "Fingerprint",
    "HashIds",
    "Kind",
    "LatencySeries",
    "LengthPdf",
    "LengthTable",
    "Produced",
    "Reader",
    "RequestTrace",
    "RttSeries",
    "detect",
    "fingerprint",
    "known_readers",
    "read_any",
    "read_latency",
    "read_latency_groups",
    "read_requests",
    "read_rtt",
    "read_rtt_groups",
    "reader_named",
]
