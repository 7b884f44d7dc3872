"""Ray and Dask behind the seam: clusters of this machine, or of many."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from discosim.core.errors import UserError
from discosim.core.interrupts import uninterrupted
from discosim.core.spawning import worker_start
from discosim.sweep.engine import Engine
from discosim.sweep.entry import by_value

BATCH_S = 1.0
"""Length of a task in s: a hundred times what handing it over takes."""
_WAIT_S = 60
"""How long a scheduler may be without workers, in s, as while they are being started."""
_LARGE = "distributed.admin.large-graph-warning-threshold"


def open_ray(rest: str, n: int) -> Engine:
    """Return Ray's tasks behind the seam: of the cluster at ``//host:port`` or RAY_ADDRESS, else of n processes here.

    Raises
    ------
    UserError
        If it cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    address = f"ray:{rest}" if rest.startswith("//") else os.environ.get("RAY_ADDRESS")
    options |= {"address": address} if address else {"include_dashboard": False, "num_cpus": n}

    class RayExecutor(Executor):
        """Submits to Ray; a task that kills its worker is not tried again behind our back."""

        def __init__(self) -> None:
            self._client = ray.init(ignore_reinit_error=True, **options)
            self._tasks: dict[Callable[..., Any], Any] = {}

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if fn not in self._tasks:  # each is sent to the cluster once
                self._tasks[fn] = ray.remote(max_retries=0, num_cpus=1)(fn)
            future: Future[Any] = self._tasks[fn].remote(*args, **kwargs).future()
            return future

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the seam's
            ray.shutdown()

    try:
        executor = RayExecutor()
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"Ray cannot be reached ({error})", where="--executor") from error
    n_cpus = int(ray.cluster_resources().get("CPU", 1))
    return Engine(executor, n_at_once=2 * max(1, n_cpus), batch_s=BATCH_S, entry=by_value())


def open_dask(rest: str, n: int) -> Engine:
    """Return Dask's scheduler behind the seam: the one at ``//host:port``, else n processes here.

    Raises
    ------
    UserError
        If it cannot be reached, or has no workers.
    """
    import dask
    from distributed import Client, LocalCluster

    class DaskExecutor(Executor):
        """Submits to Dask; the same call may run again, so nothing is taken for pure."""

        def __init__(self, client: Any, cluster: Any) -> None:
            self._client, self._cluster = client, cluster
            self._inner = client.get_executor(pure=False, retries=0)

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            with dask.config.set({_LARGE: "1GB"}):  # inputs travel with a task where they must
                future: Future[Any] = self._inner.submit(fn, *args, **kwargs)
            return future

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the seam's
            if not wait:  # things have gone wrong, and somebody says what: not each worker that is ended
                logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
            self._client.close()
            if self._cluster is not None:
                self._cluster.close()

    cluster: Any = None
    try:
        if rest.startswith("//"):
            client = Client(f"tcp:{rest}")
            client.wait_for_workers(1, timeout=_WAIT_S)
        else:
            options = {"processes": True, "dashboard_address": None, "silence_logs": logging.CRITICAL}
            with uninterrupted(), worker_start():  # half a cluster cannot be ended
                cluster = LocalCluster(n_workers=n, threads_per_worker=1, **options)
                client = Client(cluster)
    except TimeoutError as error:
        raise UserError(
            f"the Dask scheduler at {rest} does not answer, or has no workers", where="--executor"
        ) from error
    except OSError as error:
        raise UserError(f"the Dask scheduler cannot be reached ({error})", where="--executor") from error

    def n_workers() -> int:
        try:
            return len(client.nthreads())
        except (OSError, TimeoutError, RuntimeError, ValueError):  # the scheduler is gone as well
            return 0

    n_threads = sum(client.nthreads().values())
    executor = DaskExecutor(client, cluster)
    at_once = 2 * max(1, n_threads)
    return Engine(executor, n_at_once=at_once, batch_s=BATCH_S, entry=by_value(), n_workers=n_workers)
