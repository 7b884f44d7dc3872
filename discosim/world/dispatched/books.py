"""Timelines and bills of planned requests that are over, as `closing` and `shown` put them together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged
from discosim.core.timelines import SCALARS, Segments, Timelines
from discosim.core.works import Works
from discosim.world.batch.phones import Begun, Phones
from discosim.world.dispatched.over import Over
from discosim.world.dispatched.pending import DEVICE, FAILED, SERVER
from discosim.world.dispatched.pieces import segments, served, tokens
from discosim.world.dispatched.planned import Planned
from discosim.world.engine_batch import PLAIN, defaults, worth
from discosim.world.link import Link
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scalars = dict[str, NDArray[Any]]
SPEAKERS = np.array(["", "server", "device", "", ""], dtype=object)
STATUS = np.array(["rejected", "finished", "finished", "failed", "rejected"], dtype=object)


@dataclass(frozen=True)
class Books:
    """Closes the books of requests that are over.

    Parameters
    ----------
    planned : Planned
        What was known of them.
    phones : Phones
        Their devices.
    link : Link
        The last hop; each token is a packet, and there are no outages.
    meter : Meter
        Prices.
    quality : QualityModel or None
        What answers are assumed to be worth.
    """

    planned: Planned
    phones: Phones
    link: Link
    meter: Meter
    quality: QualityModel | None

    def timelines(self, over: Over) -> Timelines:
        """Return rows as sessions would have left them, in the order given."""
        made_s, shown_s = tokens(over, self.planned, self.link)
        said = segments(over, self.planned)
        scalars, nothing = self._scalars(over, said), Ragged(np.empty(0), np.zeros(len(over) + 1, dtype=np.int64))
        return Timelines(
            scalars={name: scalars[name] for name in SCALARS},
            segments=said,
            generated_s=made_s,
            delivered_s=shown_s,
            paced_s=nothing,
            sketch_s=nothing,
            work=Works.none(len(over)),
        )

    def _begun(self, over: Over, rows: Ints) -> Begun:
        """Return what devices have turned to for some of the requests."""
        ids = over.row[rows]
        n_tok, gap_s = self.planned.table.output_tok[ids], self.planned.gap_s[ids]
        return Begun(ids, n_tok, over.begin_s[rows], over.prefill_end_s[rows], gap_s)

    def _device_bill(self, over: Over) -> tuple[Floats, Ints]:
        """Return prompt tokens that devices have worked on, and tokens that they have made."""
        table, who = self.planned.table, over.row
        prompt_tok, made_tok = np.zeros(who.size), np.zeros(who.size, dtype=np.int64)
        speaks, goes = over.speaker == DEVICE, over.goes_to > 0
        is_whole = over.asks_device & np.where(speaks, ~goes, self.planned.losers == "run_on")
        prompt_tok[is_whole], made_tok[is_whole] = table.prompt_tok[who[is_whole]], table.output_tok[who[is_whole]]
        is_first = over.is_prefill_only
        prompt_tok[is_first], made_tok[is_first] = table.prompt_tok[who[is_first]], 1
        cut = np.flatnonzero(over.asks_device & (over.begin_s < math.inf) & ~is_whole & ~is_first)
        if cut.size:
            told_s = np.where(speaks, over.handed_s, over.spoke_s)[cut]
            prompt_tok[cut], made_tok[cut], _ = self._begun(over, cut).worked(
                told_s, table.prompt_tok[who[cut]], finish_prefill=False
            )
        rest = np.flatnonzero(over.goes_to == DEVICE)
        prompt_tok[rest] += table.prompt_tok[who[rest]] + over.after_tok[rest]
        made_tok[rest] += table.output_tok[who[rest]] - over.after_tok[rest]
        return prompt_tok, made_tok

    def _scalars(self, over: Over, said: Segments) -> Scalars:
        """Return the numbers of each request that no token decides."""
        table, meter, who = self.planned.table, self.meter, over.row
        device_tok, device_made_tok = self._device_bill(over)
        arrival_s, prompt_tok, output_tok = table.arrival_s[who], table.prompt_tok[who], table.output_tok[who]
        server_usd = over.prompt_tok * meter.prompt_usd_per_tok + over.base_tok * meter.output_usd_per_tok
        device_j = self.phones.energy_j(who, device_tok, device_made_tok)
        scheduled_s = np.where(over.scheduled_s < math.inf, over.scheduled_s, math.nan)
        scalars = defaults(len(over)) | {
            "request_id": who,
            "user_id": table.user_id[who],
            "arrival_s": arrival_s,
            "prompt_tok": prompt_tok,
            "output_tok": output_tok,
            "reader_tok_per_s": table.reader_tok_per_s[who],
            "ttft_target_s": table.ttft_target_s[who],
            "status": STATUS[over.outcome],
            "first_endpoint": SPEAKERS[over.outcome],
            "is_device_dispatched": over.asks_device,
            "is_server_dispatched": over.asks_server,
            "n_tok_wasted": over.base_tok + device_made_tok - np.where(served(over), output_tok, 0),
            "server_prompt_tok": over.prompt_tok,
            "server_output_tok": over.base_tok,
            "device_prefill_tok": device_tok,
            "device_decode_tok": device_made_tok,
            "server_cost_usd": server_usd,
            "device_energy_j": device_j,
            "unified_cost_usd": server_usd + meter.exchange_rate_usd_per_j * device_j,
            "n_preemptions": over.n_preemptions,
            "gpu_s": over.gpu_s,
            "kv_tok_s": over.kv_tok_s,
            "scheduled_s": scheduled_s - arrival_s,
            "queue_s": scheduled_s - over.reached_s,
        }
        if self.quality is not None:
            scalars["quality_assumed"] = self._worth(over, said, self.quality)
        return scalars

    def _worth(self, over: Over, said: Segments, model: QualityModel) -> Floats:
        """Return what answers are worth by who wrote them; nothing where there is none, NaN where it was refused."""
        output_tok = self.planned.table.output_tok[over.row]
        worth_it = np.where(over.outcome == FAILED, 0.0, math.nan)
        for name, endpoint in ((SERVER, "server"), (DEVICE, "device")):
            rows = np.flatnonzero((over.outcome == name) & (np.diff(said.offsets) == 1))
            worth_it[rows] = worth(model, output_tok[rows], endpoint)
        for row in np.flatnonzero(np.diff(said.offsets) > 1).tolist():
            worth_it[row] = PLAIN.quality(model, said.row(row), is_in_parts=False)
        return worth_it
