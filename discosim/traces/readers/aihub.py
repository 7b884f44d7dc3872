"""Qualcomm AI Hub speed files of language models (``<model>.perf.yaml``).

Format: ``precisions > PRECISION > components > COMPONENT > performance_metrics > DEVICE > RUNTIME >
llm_metrics``, a list of ``context_length``, ``time_to_first_token_range_milliseconds: {min, max}`` and
``tokens_per_second``.
Origin: github.com/quic/ai-hub-models (BSD-3-Clause).
Quirks: the smallest TTFT appears to be that of one 128-token prompt chunk and the largest its extrapolation
to the full context (inferred from the figures); models without a language part have no ``llm_metrics`` and
give no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.traces.readers.base import DevicePerf, Reader
from discosim.traces.readers.source import one_line, read_bytes, stem

_LARGEST = 1e300
_RANGE = "time_to_first_token_range_milliseconds"


def _under(node: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(node, Mapping):
        raise UserError("expected a mapping", where=where)
    return node


def _positive(entry: Mapping[Any, Any], key: str, where: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LARGEST:
        raise UserError(f"expected a number above 0, got {repr(value)[:40]}", where=f"{where} {key}")
    return float(value)


def _whole(entry: Mapping[Any, Any], key: str, where: str) -> int:
    value = _positive(entry, key, where)
    if value != int(value):
        raise UserError(f"expected a whole number, got {value!r}", where=f"{where} {key}")
    return int(value)


def _entries(result: Mapping[Any, Any], where: str) -> list[Any]:
    held = result.get("llm_metrics")
    if held is not None and not isinstance(held, list):
        raise UserError(f"expected a list, got {repr(held)[:40]}", where=f"{where} llm_metrics")
    return held or []


def _parsed(raw: bytes, label: str) -> Any:
    """Return the content of the file; a key that stands twice is refused, as YAML itself would take the last."""
    import yaml

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:merge" and (name := str(key.value)) in seen:
                    raise UserError(f"gives the key {name!r} twice", where=f"{label}:{key.start_mark.line + 1}")
                seen.add(str(key.value))
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(raw, Strict)  # noqa: S506 - Strict is a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, nesting without end
        raise UserError(f"is not readable YAML ({one_line(error)})", where=label) from None


def _metrics(root: Any, label: str) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any], str]]:
    """Yield (precision, component, device, runtime), one entry of ``llm_metrics``, and its place."""
    for precision, parts in _under(_under(root, label).get("precisions"), f"{label} precisions").items():
        components = _under(parts, f"{label} precisions.{precision}").get("components")
        for component, body in _under(components, f"{label} {precision}.components").items():
            devices = _under(body, f"{label} {precision}.{component}").get("performance_metrics")
            for device, runtimes in _under(devices, f"{label} {component}.performance_metrics").items():
                for runtime, result in _under(runtimes, f"{label} {device}").items():
                    where = f"{label} {precision}.{component}.{device}.{runtime}"
                    for entry in _entries(_under(result, where), where):
                        yield (
                            (str(precision), str(component), str(device), str(runtime)),
                            _under(entry, where),
                            where,
                        )


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the two keys every such file holds."""
    return b"llm_metrics:" in head and b"performance_metrics:" in head


def read(path: Path) -> tuple[DevicePerf, ...]:
    """Read all rows of the file, in its order; the model is named by the file."""
    label = str(path)
    root = _parsed(read_bytes(path), label)
    rows = []
    for (precision, component, device, runtime), entry, where in _metrics(root, label):
        ttft = _under(entry.get(_RANGE), f"{where} {_RANGE}")
        if _positive(ttft, "max", f"{where} {_RANGE}") < _positive(ttft, "min", f"{where} {_RANGE}"):
            raise UserError("max is below min", where=f"{where} {_RANGE}")
        rows.append(
            DevicePerf(
                model=stem(path).removesuffix(".perf"),
                precision=precision,
                component=component,
                device=device,
                runtime=runtime,
                context_length=_whole(entry, "context_length", where),
                ttft_min_s=_positive(ttft, "min", f"{where} {_RANGE}") / 1000.0,
                ttft_max_s=_positive(ttft, "max", f"{where} {_RANGE}") / 1000.0,
                decode_tok_per_s=_positive(entry, "tokens_per_second", where),
            )
        )
    if not rows:
        raise UserError("holds no llm_metrics", where=label)
    return tuple(rows)


READER = Reader("aihub", "Qualcomm AI Hub speed of language models (YAML)", "device", matches, read)
