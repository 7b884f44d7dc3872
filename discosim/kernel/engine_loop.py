"""The engine's loop as a call into the compiled library; numbers and arrays in, arrays out."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import POINTER, c_double, c_int, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OVER, PAUSED, NOT_HERE = 0, 1, 2
SERIES_COLUMNS = 5
FLOATS_OF_REPLICA, INTS_OF_REPLICA = 4, 3

_FLOATS, _INTS = POINTER(c_double), POINTER(c_int64)


class _Cost(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("kind", "n_gpus", "n_grid", "other_tok", "large_batch")),
        *((name, _FLOATS) for name in ("line_s", "slope_s", "grid_tok", "grid_s")),
        ("prefill", c_double * 3),
        ("small", c_double * 2),
        ("large", c_double * 2),
        *((name, c_double) for name in ("overhead_s", "weights_s", "experts_s", "expert_share", "compute_s", "comm_s")),
        *((name, c_double) for name in ("square_s", "kv_mixed_s", "request_s", "mixed_factor")),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("objective", "worth", "by_blocks", "is_v2", "solve_every", "n_sizes")),
        *((name, c_int64) for name in ("by_arrival", "newest_leaves", "has_cap", "refines", "quantum")),
        *((name, c_int64) for name in ("minds_overhead", "max_prefill_tok")),
        *((name, c_double) for name in ("ahead_s", "trigger", "max_preemptions", "token_s", "favour")),
        *((name, c_double) for name in ("overhead_s_per_tok", "slack_share")),
    )


class _Setup(ctypes.Structure):
    _fields_ = (
        ("cost", _Cost),
        *((name, c_int64) for name in ("n_replicas", "router", "kv_blocks", "block_tok", "watermark_blocks")),
        *((name, c_int64) for name in ("max_batch", "may_preempt", "decides_ahead", "scheduler", "budget_tok")),
        *((name, c_int64) for name in ("preempts_running", "blocks_rule")),
        *((name, c_int64) for name in ("swaps", "host_blocks", "needs_live", "n_lines")),
        ("swap_s_per_block", c_double),
        ("options", _Options),
        ("n_jobs", c_int64),
        *((name, _FLOATS) for name in ("at_s", "reader_tok_per_s", "target_s")),
        *((name, _INTS) for name in ("job_id", "prompt_tok", "answer_tok")),
        ("n_series_room", c_int64),
        ("most_s", c_double),
        ("series", _INTS),
    )


_OUT_INTS = ("row", "first_rank", "n_preemptions", "tok")
_OUT_FLOATS = ("first_at_s", "end_at_s", "gpu_s", "kv_tok_s", "scheduled_s")


class _Out(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("n", "room", "n_tok", "room_tok")),
        *((name, _INTS) for name in _OUT_INTS),
        *((name, _FLOATS) for name in (*_OUT_FLOATS, "made_s")),
    )


class NotHereError(Exception):
    """What the compiled loop does not do is asked for; the engine itself has to."""


@dataclass(frozen=True)
class Replicas:
    """What the replicas did, one entry each.

    Parameters
    ----------
    now_s, idle_s, batch_s, kv_tok_s : array of float
        Newest boundary; time without iterations; integrals of resident jobs and of KV tokens.
    queue_peak, peak_blocks, n_iterations : array of int
        Longest queue, most blocks in use, iterations.
    series : array of int, shape (5, seconds)
        Running, waiting, blocks, prompt and output tokens by the second.
    whole_s : float
        Until then the series is whole.
    """

    now_s: Floats
    idle_s: Floats
    batch_s: Floats
    kv_tok_s: Floats
    queue_peak: Ints
    peak_blocks: Ints
    n_iterations: Ints
    series: Ints
    whole_s: float


class CompiledEngine:
    """An engine in the compiled library.

    Parameters
    ----------
    library : CDLL
        The compiled library.
    cost, setup : mapping of str to number or array
        The fields of the structures `Cost` and `Setup` of the C file, arrays as numpy's.
    most_s : float
        The series ends there at the latest.
    """

    def __init__(self, library: ctypes.CDLL, cost: Mapping[str, Any], setup: Mapping[str, Any], most_s: float) -> None:
        self._library = library
        self._n_replicas = int(setup["n_replicas"])
        self._room = int(np.ceil(most_s)) + 1
        self._series = np.zeros((SERIES_COLUMNS, self._room), dtype=np.int64)
        self._held: list[NDArray[Any]] = [self._series]  # what C points to must outlive it
        series = {"series": self._series, "n_series_room": self._room, "most_s": most_s}
        fields = self._fields({**setup, **series})
        fields["options"] = _Options(**fields["options"])
        self._setup = _Setup(cost=_Cost(**self._fields(cost)), **fields)

    def _fields(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._pointer(value) if isinstance(value, np.ndarray) else value for name, value in given.items()}

    def _pointer(self, array: NDArray[Any]) -> Any:
        is_float = array.dtype.kind == "f"
        laid = np.ascontiguousarray(array, dtype=np.float64 if is_float else np.int64)
        self._held.append(laid)
        return laid.ctypes.data_as(_FLOATS if is_float else _INTS)

    def run(self, n_rows: int, n_tok: int) -> Iterator[tuple[dict[str, NDArray[Any]], float]]:
        """Yield columns of answers in the order in which they end, and a time before which no other ends.

        They come together until there are ``n_rows`` of them, or ``n_tok`` tokens. After the last, `replicas` is known.

        Raises
        ------
        NotHereError
            If the engine has to do what the compiled loop cannot, or there is no memory for it.
        """
        library = self._library
        library.engine_run.restype = c_int
        library.engine_run.argtypes = [c_void_p, c_int64, c_int64]
        library.engine_out.restype = POINTER(_Out)
        library.engine_out.argtypes = [c_void_p]
        with self._opened() as engine:
            while True:
                status = library.engine_run(engine, n_rows, n_tok)
                if status not in {OVER, PAUSED}:
                    raise NotHereError
                over_s = self._read(engine)
                yield self._columns(library.engine_out(engine).contents), over_s
                if status == OVER:
                    return

    @contextmanager
    def _opened(self) -> Iterator[int]:
        library = self._library
        library.engine_open.restype = c_void_p
        library.engine_open.argtypes = [POINTER(_Setup)]
        library.engine_close.argtypes = [c_void_p]
        library.engine_state.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p]
        engine = library.engine_open(ctypes.byref(self._setup))
        if not engine:
            raise NotHereError
        try:
            yield engine
        finally:
            library.engine_close(engine)

    def _columns(self, out: _Out) -> dict[str, NDArray[Any]]:
        columns = {name: copied(getattr(out, name), out.n) for name in _OUT_INTS + _OUT_FLOATS}
        return columns | {"made_s": copied(out.made_s, out.n_tok)}

    def _read(self, engine: int) -> float:
        n = self._n_replicas
        times, floats = np.empty(2), np.empty((n, FLOATS_OF_REPLICA))
        ints = np.empty(n * INTS_OF_REPLICA + 1, dtype=np.int64)
        self._library.engine_state(engine, times.ctypes.data, floats.ctypes.data, ints.ctypes.data)
        counts = ints[:-1].reshape(n, INTS_OF_REPLICA)
        now_s, idle_s, batch_s, kv_tok_s = floats.T
        queue_peak, peak_blocks, n_iterations = counts.T
        series, whole_s = self._series[:, : int(ints[-1])], float(times[1])
        self.replicas = Replicas(
            now_s, idle_s, batch_s, kv_tok_s, queue_peak, peak_blocks, n_iterations, series, whole_s
        )
        return float(times[0])


def copied(pointer: Any, n: int) -> NDArray[Any]:
    """Return what C holds as an array of its own; it writes there again."""
    dtype = np.float64 if pointer._type_ is c_double else np.int64
    return np.ctypeslib.as_array(pointer, (n,)).copy() if n else np.empty(0, dtype=dtype)
