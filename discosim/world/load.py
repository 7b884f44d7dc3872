"""How busy a server is now, as far as it lets itself be looked into."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.world.api_server import ApiServer
from discosim.world.engine.server import EngineServer


@dataclass(frozen=True)
class ServerLoad:
    """Queue and batch of a white-box server, as of the newest iteration boundary of each replica.

    Parameters
    ----------
    n_resident, n_waiting : int
        Requests in a batch, and in a queue.
    max_batch : int
        Most requests that may be in a batch, all replicas together.
    token_s : float
        Token time of the present batches, in s.
    prefill_s_per_tok : float
        Prefill time per token, read off a prompt of 512 tokens.
    """

    n_resident: int
    n_waiting: int
    max_batch: int
    token_s: float
    prefill_s_per_tok: float


REFERENCE_TOK = 512


def server_load(server: ApiServer | EngineServer) -> ServerLoad | None:
    """Return how busy a server is; None where nobody can look inside."""
    if isinstance(server, ApiServer):
        return None
    replicas = server.engine.replicas
    token_s = 0.0
    for replica in replicas:
        fixed_s, slope_s = replica.cost.decode_line(max(1, len(replica.decoding)))
        token_s += fixed_s + slope_s * replica.context_tok
    prefill_s = replicas[0].cost.prefill_s(REFERENCE_TOK, float(REFERENCE_TOK) ** 2)
    return ServerLoad(
        n_resident=sum(replica.n_resident for replica in replicas),
        n_waiting=sum(len(replica.waiting) for replica in replicas),
        max_batch=sum(replica.max_batch for replica in replicas),
        token_s=token_s / len(replicas),
        prefill_s_per_tok=prefill_s / REFERENCE_TOK,
    )
