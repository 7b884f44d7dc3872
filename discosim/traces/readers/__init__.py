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

__all__ = [
    "ClientTable",
    "ClientWindows",
    "DevicePerf",
    "HashIds",
    "Kind",
    "LatencySeries",
    "LengthPdf",
    "LengthTable",
    "Produced",
    "Reader",
    "RequestTrace",
    "RttSeries",
]
