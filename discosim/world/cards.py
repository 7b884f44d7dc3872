"""Requests as the parts of a world know them: one card each."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.request import RequestTable


@dataclass(slots=True)
class Card:
    """One request: whose it is, how long, and what its reader expects.

    Parameters
    ----------
    request_id, user_id : int
        Identity.
    arrival_s : float
        When it arrived.
    prompt_tok, output_tok : int
        Lengths, >= 1. The true length of the answer is for endpoints; a session shows it to no policy.
    reader_tok_per_s, ttft_target_s : float
        What the reader expects, stated with the request.
    prefix_hashes : tuple of int
        Hashes of the leading blocks of its prompt, where the trace has them.
    """

    request_id: int
    user_id: int
    arrival_s: float
    prompt_tok: int
    output_tok: int
    reader_tok_per_s: float
    ttft_target_s: float
    prefix_hashes: tuple[int, ...] = ()


class Cards:
    """The cards of a request table, from lists, which are quicker to read one by one than arrays."""

    def __init__(self, table: RequestTable) -> None:
        self.arrival_s: list[float] = table.arrival_s.tolist()
        self.rejected: list[bool] = table.rejected.tolist()
        self.user_id: list[int] = table.user_id.tolist()
        self._prompt_tok: list[int] = table.prompt_tok.tolist()
        self._output_tok: list[int] = table.output_tok.tolist()
        self._reader_tok_per_s: list[float] = table.reader_tok_per_s.tolist()
        self._ttft_target_s: list[float] = table.ttft_target_s.tolist()
        self._prefix_hashes = table.prefix_hashes

    def __getitem__(self, request_id: int) -> Card:
        return Card(
            request_id,
            self.user_id[request_id],
            self.arrival_s[request_id],
            self._prompt_tok[request_id],
            self._output_tok[request_id],
            self._reader_tok_per_s[request_id],
            self._ttft_target_s[request_id],
            () if self._prefix_hashes is None else self._prefix_hashes[request_id],
        )
