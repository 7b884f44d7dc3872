"""The verbs of `discosim engine`: parse, call, print."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.cli_console import say, say_json, tell
from discosim.cli_help import AddParser, add_verb
from discosim.cli_results import add_json
from discosim.core.errors import UserError

if TYPE_CHECKING:
    from discosim.core.scenario import EngineServer
    from discosim.traces.server_log import ServerSeries
    from discosim.traces.server_meta import ServerMeta

STDOUT = Path("-")
"""What --json stands for where no file is named."""
FLAVOURS = ("vllm-v1", "vllm-v0", "tgi-2", "sglang")


def add_engine(add: AddParser) -> None:
    """Add the verb with its actions."""
    verb = add_verb(
        add,
        "engine",
        "fit an engine to the log of a real server, and compare the two",
        "engine calibrate log.jsonl --model Llama-3.1-8B --gpu H100 \\\n"
        "    --train first:150 --out mine.json --scenario-out mine.yaml",
        "engine validate mine.yaml --against log.jsonl --holdout 150:",
    )
    add_action = verb.add_subparsers(metavar="ACTION", required=True).add_parser
    _add_calibrate(add_action)
    _add_validate(add_action)


def _add_log_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--format", metavar="NAME", default="auto", help="reader of the log (default: recognised)")
    verb.add_argument("--unit", metavar="UNIT", default="auto", help="of times that do not say it: s, ms, us or ns")
    verb.add_argument(
        "--map",
        metavar="OURS=THEIRS",
        action="append",
        default=[],
        dest="mapping",
        help="name of a column of the log or series",
    )
    verb.add_argument(
        "--series", metavar="FILE", type=Path, help="the server by the second: running, waiting, throughput"
    )


def _names_and_series(options: argparse.Namespace) -> tuple[dict[str, str], ServerSeries | None]:
    """Return the names of the log's columns that ``--map`` gives, and the series, which the others name."""
    from discosim.traces.mapping import parse_mapping
    from discosim.traces.readers.series_names import parted
    from discosim.traces.server_series import read_server_series

    mapping = dict(parse_mapping(options.mapping))
    if options.series is None:
        return mapping, None
    of_log, of_series = parted(mapping)
    return of_log, read_server_series(options.series, mapping=of_series)


def _check_targets(targets: Sequence[Path | None], sources: Sequence[Path | str | None]) -> None:
    """Refuse to write over anything that is read, or two things under one name, before time is spent on either."""
    from discosim.core.files import check_target, real_path

    written = [target for target in targets if target is not None]
    for target in written:
        check_target(target)
        for source in sources:  # a name that is known here is no file, and in nobody's way
            if source is not None and real_path(Path(source)) == real_path(target):
                raise UserError("would replace what it reads; give another name", where=str(target))
    if len({real_path(target) for target in written}) < len(written):
        raise UserError("would be written twice; give each file a name of its own", where=str(written[0]))


def _add_calibrate(add: AddParser) -> None:
    verb = add_verb(
        add,
        "calibrate",
        "find the coefficients of an engine from logs of a real server",
        "engine calibrate log.jsonl --meta meta.json --model Llama-3.1-8B \\\n"
        "    --gpu RTXPRO6000 --train first:150 --out mine.json",
        "engine calibrate low.jsonl full.jsonl --from mine.json --out new.json",
        "engine calibrate llmperf.json --flavour tgi-2 \\\n      --train concurrency:1,4,16,64 --out tgi.json",
    )
    verb.add_argument(
        "logs", metavar="LOG", type=Path, nargs="+", help="requests of a server, or figures by concurrency"
    )
    _add_log_options(verb)
    verb.add_argument("--meta", metavar="FILE", type=Path, help="settings of the server (meta.json)")
    verb.add_argument("--model", metavar="NAME", help="config.json of the model, or a known name; needs --gpu")
    verb.add_argument("--gpu", metavar="NAME", help="GPU of the sheet; needs --model")
    verb.add_argument("--from", metavar="DIGEST", dest="start", help="begin with another engine digest (physics)")
    verb.add_argument("--tp", metavar="N", type=int, help="GPUs of a replica (default: that of --meta, or 1)")
    verb.add_argument("--replicas", metavar="N", type=int, help="replicas (default: that of --meta, or 1)")
    verb.add_argument("--server", metavar="SCENARIO", help="take the server's make and settings from a scenario")
    verb.add_argument("--flavour", choices=FLAVOURS, default="vllm-v1", help="make of the server (default: vllm-v1)")
    verb.add_argument(
        "--async",
        choices=("auto", "on", "off"),
        dest="decides_ahead",
        default="auto",
        help="whether iterations are decided ahead (default: auto, as --meta or --server says, else the log)",
    )
    verb.add_argument("--max-batch", metavar="N", type=int, help="most requests in a batch")
    verb.add_argument("--token-budget", metavar="N", type=int, help="tokens of an iteration")
    verb.add_argument("--kv-tok", metavar="N", type=int, help="KV memory of a replica, as the server printed it")
    verb.add_argument("--train", metavar="PART", help="what may be seen: first:N, before:Ts or concurrency:N,N")
    verb.add_argument("--out", metavar="FILE", type=Path, required=True, help="digest to write (JSON)")
    verb.add_argument("--scenario-out", metavar="FILE", type=Path, help="scenario to write with this engine (YAML)")
    add_json(verb)
    verb.set_defaults(call=_calibrate)


def _check_calibrate(options: argparse.Namespace) -> None:
    from discosim.core.files import real_path

    for option in ("tp", "replicas", "max_batch", "token_budget", "kv_tok"):
        if (number := getattr(options, option)) is not None and not 1 <= number <= 10**9:
            raise UserError(f"must be from 1 to 1e9 (got {number})", where=f"--{option.replace('_', '-')}")
    if (options.model is None) != (options.gpu is None):
        raise UserError("--model and --gpu come together")
    if options.start and options.model:
        raise UserError("give either --from or --model and --gpu")
    if options.server and options.decides_ahead != "auto":
        raise UserError("give either --server or --async; a scenario says server.async_scheduling")
    if options.server and options.scenario_out is not None:
        raise UserError("give either --server or --scenario-out; the scenario is written already")
    names = [real_path(log) for log in options.logs]
    if len(set(names)) < len(names):
        twice = next(log for log, name in zip(options.logs, names, strict=True) if names.count(name) > 1)
        raise UserError("is named twice, so that its requests would count twice", where=str(twice))
    _check_targets(
        [options.out, options.scenario_out],
        [*options.logs, options.series, options.meta, options.model, options.start, options.server],
    )


def _server(options: argparse.Namespace, meta: ServerMeta | None) -> tuple[EngineServer, dict[str, Any] | None]:
    """Return the server, and its keys where no scenario says them."""
    from discosim.calibrate.setup import engine_of, server_keys, server_of
    from discosim.config import load_scenario

    if options.server:
        return engine_of(load_scenario(options.server)), None
    keys = server_keys(
        options.flavour,
        meta,
        max_batch=options.max_batch,
        token_budget=options.token_budget,
        n_replicas=options.replicas,
    )
    if options.decides_ahead != "auto":
        keys["async_scheduling"] = options.decides_ahead == "on"
    return server_of(keys), keys


def _calibrate(options: argparse.Namespace) -> None:
    from discosim.calibrate import calibrate as work
    from discosim.calibrate.ahead import better
    from discosim.calibrate.contradictions import contradictions
    from discosim.calibrate.evidence import parse_train, read_evidence
    from discosim.calibrate.setup import maker, scenario_of
    from discosim.report.documents import headed
    from discosim.traces.digest_file import write_own_digest
    from discosim.traces.readers.source import fingerprint
    from discosim.traces.server_meta import read_server_meta

    _check_calibrate(options)
    train = None if options.train is None else parse_train(options.train)
    meta = None if options.meta is None else read_server_meta(options.meta)
    tp = options.tp or (meta.tensor_parallel if meta else None) or 1
    kv_tok = options.kv_tok or (meta.kv_tok if meta else None)
    server, keys = _server(options, meta)
    if options.model:
        ep = server.n_replicas if server.lockstep else 1
        known = work.known_of_sheet(options.model, options.gpu, tp=tp, ep=ep, lockstep=server.lockstep, kv_tok=kv_tok)
    elif options.start:
        known = work.known_of_digest(options.start, kv_tok, lockstep=server.lockstep)
    mapping, series = _names_and_series(options)
    evidence = read_evidence(
        options.logs,
        train=train,
        format=options.format,
        unit=options.unit,
        mapping=mapping,
        series=series,
    )
    doubts = contradictions(meta, evidence, server, options.model)
    if not (options.model or options.start):
        known = work.known_of_logs(evidence.train, n_gpus=tp, kv_tok=kv_tok)
    if keys is None or "async_scheduling" in keys or not server.async_scheduling:
        found = work.calibrate(evidence, known, maker(server))
    else:  # the make decides ahead, and an older one of it did not
        way, found = better(
            server.async_scheduling,
            lambda way: work.calibrate(evidence, known, maker(replace(server, async_scheduling=way))),
        )
        keys["async_scheduling"] = way
    found = replace(found, doubts=(*found.doubts, *doubts))
    print_ = fingerprint(options.logs[0]).raw_sha256
    write_own_digest(work.digest_of(found, options.out.stem, options.logs[0].name, print_), options.out)
    said = [work.describe(found), f"written  {options.out}"]
    if options.scenario_out is not None and keys is not None:
        import yaml

        from discosim.core.files import write_whole

        # as the scenario will read it: relative to its own folder, so that both can be moved together
        place = Path(os.path.relpath(options.out.resolve(), options.scenario_out.resolve().parent))
        write_whole(options.scenario_out, yaml.safe_dump(scenario_of(keys, place), sort_keys=False))
        said.append(f"written  {options.scenario_out}")
    if options.json:
        say_json(headed("engine calibrate", work.to_json(found)))
        for line in said[1:]:
            tell(line)
    else:
        say("\n".join(said))


def _add_validate(add: AddParser) -> None:
    verb = add_verb(
        add,
        "validate",
        "compare a scenario's engine with the log of a real server",
        "engine validate mine.yaml --against log.jsonl --holdout 150:",
        "engine validate mine.yaml --against log.jsonl --check p50=5,p99=10",
    )
    verb.add_argument("scenario", metavar="SCENARIO", help="YAML with server.kind engine; its workload is not used")
    verb.add_argument("--against", metavar="LOG", type=Path, required=True, help="requests of a real server")
    _add_log_options(verb)
    verb.add_argument("--group", metavar="NAME", help="which run of the log, where it holds several")
    verb.add_argument("--holdout", metavar="N:", help="requests that the calibration has not seen, from number N on")
    verb.add_argument("--check", metavar="LIMITS", help="fail above so many percent, as p50=5,p99=10")
    verb.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const=STDOUT,
        type=Path,
        help="write the comparison as JSON; without a FILE print it, and nothing else, on stdout",
    )
    verb.add_argument(
        "--card", action="store_true", help="write the result onto the card of the scenario's own digest; runs print it"
    )
    verb.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="write requests.csv and curves; `discosim report FOLDER` makes a page of it",
    )
    verb.set_defaults(call=_validate)


def _validate(options: argparse.Namespace) -> int:
    from discosim.calibrate import validate as work
    from discosim.calibrate.card import own_digest, write_card
    from discosim.calibrate.distance import too_far
    from discosim.calibrate.evidence import parse_holdout
    from discosim.config import load_scenario
    from discosim.core.files import check_target, write_whole
    from discosim.report.documents import headed
    from discosim.report.validation_folder import check_validation_folder, write_validation
    from discosim.traces.readers.source import fingerprint
    from discosim.traces.server_logs import read_server_log, require_enough

    limits = None if options.check is None else work.parse_checks(options.check)
    holdout = None if options.holdout is None else parse_holdout(options.holdout)
    is_printed = options.json == STDOUT
    _check_targets([None if is_printed else options.json], [options.against, options.series, options.scenario])
    if options.out is not None:
        check_validation_folder(options.out)
    scenario = load_scenario(options.scenario)
    digest = own_digest(scenario) if options.card else None
    if digest is not None:
        check_target(digest, source=options.against)
    mapping, series = _names_and_series(options)
    log = read_server_log(
        options.against,
        format=options.format,
        unit=options.unit,
        mapping=mapping,
        group=options.group,
    )
    require_enough(log)
    found = work.validate(scenario, log, series=series, holdout=holdout)
    said = [work.describe(found)]
    if options.json is not None and not is_printed:
        write_whole(options.json, json.dumps(work.to_json(found), indent=2) + "\n")
        said.append(f"written  {options.json}")
    if options.out is not None:
        write_validation(found, scenario.name, options.out)
        said.append(f"written  {options.out}")
    if digest is not None:
        sentence = write_card(found, holdout, fingerprint(options.against).raw_sha256, digest)
        said += [f"engine {sentence}", f"written  {digest}"]
    far = [] if limits is None else too_far(found.holdout or found.all, limits, "held out" if found.holdout else "all")
    lines = [*said, *(f"check failed: {one}" for one in far)]
    if is_printed:
        say_json(headed("engine validate", {**work.to_json(found), "check_failed": far}))
        for line in lines[1:]:
            tell(line)
    else:
        say("\n".join(lines))
    return 1 if far else 0
