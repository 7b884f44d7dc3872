"""The engine's loop with planned requests in front of it, as a call into the compiled library."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from ctypes import POINTER, c_double, c_int, c_int64, c_void_p
from typing import Any

from numpy.typing import NDArray

from discosim.kernel.engine_loop import OVER, PAUSED, CompiledEngine, NotHereError, copied

_FLOATS, _INTS = POINTER(c_double), POINTER(c_int64)


class _Planned(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("n", "n_phones", "losers", "server_is_first", "is_instant", "mask")),
        *((name, c_int64) for name in ("n_kinds", "has_luck")),
        *((name, c_double) for name in ("per_tick", "fastest_s", "bytes_per_tok", "bit_per_s")),
        *((name, _FLOATS) for name in ("arrival_s", "server_after_s", "device_after_s", "bulk_s", "work_s")),
        *((name, _FLOATS) for name in ("gap_s", "decode_s", "up_s", "down_s", "ratio", "stall_s", "rest_gap_s")),
        *((name, _FLOATS) for name in ("line_s", "line_s_per_tok", "usd_per_tok", "margin_usd", "overhead_s")),
        *((name, _INTS) for name in ("is_rejected", "holds", "is_refused", "falls_back", "phone", "phase_ticks")),
        *((name, _INTS) for name in ("kind", "chunk_tok", "holds_tok", "is_way", "margin_at", "overhead_at")),
    )


_INT_COLUMNS = (
    *("row", "speaker", "asks_server", "asks_device", "is_prefill_only"),
    *("prompt_tok", "base_tok", "n_preemptions", "goes_to", "after_tok", "tok"),
)
_FLOAT_COLUMNS = (
    *("spoke_s", "begin_s", "prefill_end_s", "gpu_s", "kv_tok_s", "scheduled_s", "reached_s"),
    *("handed_s", "rest_end_s", "rest_gap_s"),
)


class _Records(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("n", "room", "n_tok", "room_tok")),
        *((name, _INTS) for name in _INT_COLUMNS),
        *((name, _FLOATS) for name in (*_FLOAT_COLUMNS, "made_s")),
    )


class CompiledPlan(CompiledEngine):
    """An engine in the compiled library, with planned requests.

    Parameters
    ----------
    library : CDLL
        The compiled library.
    cost, setup : mapping of str to number or array
        As of `CompiledEngine`; the jobs of the setup are the requests, row by row.
    most_s : float
        The series ends there at the latest.
    planned : mapping of str to number or array
        The fields of the structure `Planned` of the C file, arrays as numpy's.

    Attributes
    ----------
    last_s : float
        What the clock of a world would show at the end; known after the last records.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        cost: Mapping[str, Any],
        setup: Mapping[str, Any],
        most_s: float,
        planned: Mapping[str, Any],
    ) -> None:
        super().__init__(library, cost, setup, most_s)
        self._planned = _Planned(**self._fields(planned))
        self.last_s = 0.0

    def records(self, n_rows: int, n_tok: int) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield columns of requests in the order in which their records come out, ``n_rows`` at a time or some more.

        Fewer where they have ``n_tok`` tokens. After the last, `replicas` and `last_s` are known.

        Raises
        ------
        NotHereError
            If the engine has to do what the compiled loop cannot, or there is no memory for it.
        """
        library = self._library
        library.engine_plan.restype = library.engine_run_planned.restype = c_int
        library.engine_plan.argtypes = [c_void_p, POINTER(_Planned)]
        library.engine_run_planned.argtypes = [c_void_p, c_int64, c_int64]
        library.engine_records.restype = POINTER(_Records)
        library.engine_last_s.restype = c_double
        library.engine_records.argtypes = library.engine_last_s.argtypes = [c_void_p]
        with self._opened() as engine:
            if library.engine_plan(engine, ctypes.byref(self._planned)) != OVER:
                raise NotHereError
            while True:
                status = library.engine_run_planned(engine, n_rows, n_tok)
                if status not in {OVER, PAUSED}:
                    raise NotHereError
                self._read(engine)
                self.last_s = float(library.engine_last_s(engine))
                out = library.engine_records(engine).contents
                columns = {name: copied(getattr(out, name), out.n) for name in _INT_COLUMNS + _FLOAT_COLUMNS}
                yield columns | {"made_s": copied(out.made_s, out.n_tok)}
                if status == OVER:
                    return
