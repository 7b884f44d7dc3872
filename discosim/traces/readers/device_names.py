"""Names of the columns of a device's own rows: what each field is called, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from types import MappingProxyType

from discosim.core.errors import MANY, UserError, close_match
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.server_names import NAMES as SERVER_NAMES
from discosim.traces.readers.server_names import Named, split_unit
from discosim.traces.readers.table_base import nearest, printable

_SHOWN = 40
TIMES = ("ttft", "total", "decode", "tpot", "load")
MOMENTS = ("start", "end")
ENERGY_J = {"j": 1.0, "mj": 1e-3, "wh": 3600.0, "mwh": 3.6, "kj": 1e3}
SETTINGS = (
    *("backend", "runtime", "engine", "framework", "accelerator", "quant", "precision", "dtype", "threads"),
    "gpu_layers",
)
"""Columns whose values are devices of their own where they differ: their speeds are never averaged."""
_OLLAMA = ("prompt_eval_duration", "eval_duration", "total_duration", "load_duration")
"""Times of Ollama's answers, which are in ns (``docs/api.md`` of ollama/ollama)."""
_OLLAMA_COUNTS = ("prompt_eval_count", "eval_count")
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prompt_tok": (
            *SERVER_NAMES["prompt_tok"],
            "n_prompt",
            "prompt_n",
            "prefill_tok",
            "prefill_tokens",
            "prompt_eval_count",
        ),
        "prompt_chars": (
            *("prompt_chars", "prompt_char", "prompt_characters", "chars", "characters", "char_count", "n_chars"),
            *("num_chars", "input_chars", "input_characters", "question_chars", "prompt_length_chars"),
            *("prompt_len_chars", "chars_prompt", "text_chars", "length_chars"),
        ),
        "output_tok": (
            *(*SERVER_NAMES["output_tok"], "n_gen", "predicted_n", "decoded_tok", "decode_tokens", _OLLAMA_COUNTS[1]),
        ),
        "output_chars": (
            *("output_chars", "output_char", "output_characters", "completion_chars", "completion_characters"),
            *("response_chars", "response_characters", "answer_chars", "answer_characters", "generated_chars"),
            *("num_output_chars", "n_output_chars", "output_length_chars", "output_len_chars", "chars_output"),
        ),
        "ttft": (
            *SERVER_NAMES["ttft"],
            "prefill",
            "prefill_time",
            "prompt_eval_time",
            "prompt_eval",
            "prompt_time",
            *_OLLAMA[:1],
        ),
        "total": (
            *("total", "total_time", *SERVER_NAMES["e2e"], "latency", "duration", "response_time", "inference_time"),
            *("service_time", "elapsed", "elapsed_time", "inference", "inference_latency", "time", _OLLAMA[2]),
        ),
        "decode": ("decode", "decode_time", "eval_time", "generation_time", "decoding_time", _OLLAMA[1]),
        "tpot": (*SERVER_NAMES["tpot"], "itl", "inter_token_latency", "mean_itl"),
        "decode_tok_per_s": (
            *("decode_tok_per_s", "decode_tps", "decode_tokens_per_second", "decode_tokens_per_s", "decode_rate"),
            *("tok_per_s", "tokens_per_second", "tokens_per_sec", "decode_speed", "generation_tps", "eval_rate"),
            *("output_tok_per_s", "decode_toks_per_s", "decode_tokens_per_sec", "tokens_per_s", "tps"),
        ),
        "prefill_tok_per_s": (
            *("prefill_tok_per_s", "prefill_tps", "prefill_tokens_per_second", "prefill_rate", "prefill_speed"),
            *("prompt_tok_per_s", "prompt_tps", "prompt_tokens_per_second", "prompt_eval_rate"),
            *("prefill_tokens_per_s", "prefill_toks_per_s", "prefill_tokens_per_sec", "prompt_tokens_per_s"),
            *("prompt_tokens_per_sec", "prompt_toks_per_s"),
        ),
        "energy": ("energy", "energy_joules", "joules", "energy_total"),
        "temperature": ("temperature", "temperature_c", "temp", "temp_c", "device_temp", "device_temperature"),
        "is_first": ("is_first", "first", "first_request", "is_cold", "cold", "is_warmup", "warmup", "cold_start"),
        "start": (
            *("start", "start_time", "at", "sent_at", "started_at", "timestamp", "ts", "time_of_start"),
            *(*SERVER_NAMES["arrival"], "start_ts", "time_at"),
        ),
        "end": ("end", "end_time", "ended_at", "finished_at", "completed_at", "end_ts"),
        "load": ("load", "load_time", "model_load", "model_load_time", _OLLAMA[3]),
        "device": ("device", "machine", "host", "hostname", "device_name", "phone"),
        "model": ("model", "model_name", "model_id"),
        "backend": ("backend", "backends", "delegate"),
        "runtime": ("runtime",),
        "engine": ("engine",),
        "framework": ("framework",),
        "accelerator": ("accelerator", "compute_unit"),
        "quant": ("quant", "quantization", "quantisation", "quant_type"),
        "precision": ("precision",),
        "dtype": ("dtype", "weight_dtype"),
        "threads": ("threads", "n_threads", "num_threads"),
        "gpu_layers": ("gpu_layers", "n_gpu_layers", "ngl"),
        "run": ("run", "run_id", "session", "session_id", "source_file"),
    }
)
"""Fields by our name, with the names that other tools give them, without the unit at their end."""
_WEAK = MappingProxyType({"length": "prompt_tok", "size": "prompt_tok", "prompt_length": "prompt_tok"})
_YIELDING = frozenset({*_WEAK, *_OLLAMA, *_OLLAMA_COUNTS})
"""Names that count where no plainer one is there."""
_FIELD_OF = {name: field for field, names in NAMES.items() for name in names}
_ENERGY = re.compile(r"_(j|mj|wh|mwh|kj)$")
_OF_TIME = (*TIMES, *MOMENTS)


_IN_BRACKETS = re.compile(r"\s*[(\[]\s*([A-Za-z]+)\s*[)\]]\s*$")
_RATE = re.compile(r"_per_(?:s|sec|second)$|(?:^|_)(?:tps|rate|speed|throughput)(?:_|$)|(?:tok|toks|tokens)_s$")
_COUNT = re.compile(r"(?:^|_)(?:count|number|tokens|chars|characters)$|^(?:n|num)_")


def _in_words(name: str) -> str:
    """Return a name whose unit stands behind an underscore: of ``TTFT (ms)`` and ``tok/s``."""
    bracket = _IN_BRACKETS.search(name)
    text = name if bracket is None else f"{name[: bracket.start()]}_{bracket[1].lower()}"
    return text.replace("/s", "_per_s")


def is_no_time(name: str) -> bool:
    """Tell whether a column's name says that it is a rate or a count, so that it holds no times."""
    bare, unit = split_unit(_in_words(name))
    plain = plain_name(_in_words(name))
    if _RATE.search(plain):
        return True
    if any(word in bare for word in ("time", "latency", "duration", "per_tok")):
        return False
    return unit is None and _COUNT.search(bare) is not None


def field_of(name: str) -> tuple[str, str | None] | None:
    """Return the field that a column's name means, and the unit that it declares; None for a column of no use."""
    name = _in_words(name)
    plain = plain_name(name)
    if plain in _FIELD_OF:
        return _FIELD_OF[plain], "ns" if plain in _OLLAMA[:2] else None
    if (found := _ENERGY.search(plain)) and _FIELD_OF.get(plain[: found.start()]) == "energy":
        return "energy", found[1]
    bare, unit = split_unit(name)
    field = _FIELD_OF.get(bare)
    if field in _OF_TIME and unit is not None:
        return field, unit
    return (_WEAK[plain], None) if plain in _WEAK else None


def fields_in(names: Iterable[str], mapping: Mapping[str, str], where: str) -> dict[str, Named]:
    """Return the column of each field that a file has; what the mapping says comes first.

    Raises
    ------
    UserError
        If the mapping names a field or a column that is not there, or two columns mean one field.
    """
    present = list(dict.fromkeys(names))
    found: dict[str, Named] = {}
    for ours, theirs in mapping.items():
        known = field_of(ours)
        if known is None:
            raise UserError(f"--map names an unknown field {ours!r}; {close_match(ours, NAMES)}", where=where)
        if theirs not in present:
            raise UserError(
                f"no column {theirs!r}, which --map gives to {ours}; {nearest(theirs, present)}", where=where
            )
        field, unit = known
        if field in _OF_TIME and is_no_time(theirs):
            raise UserError(
                f"--map gives {theirs!r} to {ours}, which is a time: by its name it is a rate or a count; rates go to "
                "prefill_tok_per_s and decode_tok_per_s, counts to prompt_tok and output_tok (or rename the column)",
                where=where,
            )
        said = field_of(theirs)
        own = said[1] if said is not None else split_unit(_in_words(theirs))[1] if field in _OF_TIME else None
        found[field] = Named(theirs, own or unit)
    taken = {named.name for named in found.values()}
    here: dict[str, list[Named]] = {}
    for name in present:
        known = field_of(name)
        if known is not None and name not in taken:
            here.setdefault(known[0], []).append(Named(name, known[1]))
    for field, columns in here.items():
        if field in found:
            continue
        strong = [named for named in columns if plain_name(named.name) not in _YIELDING] or columns
        if len(strong) > 1:
            listed = " and ".join(repr(named.name[:_SHOWN]) for named in strong)
            raise UserError(
                f"the columns {listed} may all be {field}; say which with --map {field}={strong[0].name}", where=where
            )
        found[field] = strong[0]
    if any(named.name in _OLLAMA[:2] for named in found.values()):  # all of Ollama's times are in its unit
        found |= {field: Named(named.name, "ns") for field, named in found.items() if named.name in _OLLAMA}
    return found


def missing(field: str, what: str, present: Iterable[str], where: str) -> UserError:
    """Return the error for a field that the file lacks, with the nearest of its columns and how to name it."""
    names = [printable(name) for name in present]
    near = [
        (max(SequenceMatcher(None, split_unit(name)[0], word).ratio() for word in NAMES[field]), name)
        for name in names
        if len(name) <= _SHOWN and field_of(name) is None and not (field in _OF_TIME and is_no_time(name))
    ]
    best = max(near, default=(0.0, ""))
    hint = f"if {best[1]!r} is it, say --map {field}={best[1]}" if best[0] >= 0.6 else f"name it: --map {field}=COLUMN"
    listed = ", ".join(name[:_SHOWN] for name in names[:MANY]) or "none"
    return UserError(
        f"no column with {what} ({', '.join(NAMES[field][:3])}, ...); {hint}; its columns: {listed}", where=where
    )
