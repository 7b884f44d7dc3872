"""Writers of request traces in the formats of other simulators, one file per format; import from here."""

from discosim.traces.writers.base import Writer, Written
from discosim.traces.writers.registry import known_writers, write_requests, writer_named

__all__ = ["Writer", "Written", "known_writers", "write_requests", "writer_named"]
