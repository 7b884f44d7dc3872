"""Loading scenarios: defaults, overrides, and one clear line for every mistake."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from config_samples import SCENARIO, data, small_world

from discosim.config import build_policy, dump_scenario, load_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import NoLink, PoissonArrivals, PolicySpec, Reader


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_world(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)


def errors_of(text: str, *overrides: str, path: str = "s.yaml") -> list[str]:
    """Return the lines of the error that loading this text raises."""
    Path(path).write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_scenario(path, overrides=overrides)
    return str(caught.value).splitlines()


def with_line(old: str, new: str) -> str:
    """Return the sample with one piece replaced."""
    assert SCENARIO.count(old) == 1, old
    return SCENARIO.replace(old, new)


# --- what is right ------------------------------------------------------------------------------------------


def test_defaults_are_filled_in_and_numbers_read_as_yaml_1_2() -> None:
    Path("s.yaml").write_text(SCENARIO, encoding="utf-8")
    scenario = load_scenario("s.yaml")
    assert scenario.workload.arrivals == PoissonArrivals(rate_per_s=0.1)  # type: ignore[union-attr]
    assert scenario.cost.exchange_rate_usd_per_j == 5e-6
    assert scenario.link == NoLink()
    assert scenario.reader == Reader()
    assert isinstance(scenario.server.prices.prompt_usd_per_mtok, float)
    assert scenario.policies[0] == PolicySpec(kind="device_only", name="device_only", options={})
    assert scenario.policies[1].options == {
        "budget": 0.5,
        "side": "server",
        "waits_s": (),
        "retries": 0,
        "is_fair": True,
        "bias": None,
    }


def test_a_mapping_loads_like_a_file_and_is_left_alone() -> None:
    Path("s.yaml").write_text(SCENARIO, encoding="utf-8")
    given = data()
    assert load_scenario(given, overrides=["seed=7"]).seed == 7
    assert given == data()
    assert load_scenario(given) == load_scenario(Path("s.yaml"))


def test_numpy_scalars_in_a_mapping_are_numbers() -> None:
    given = data()
    given["seed"] = np.int64(3)
    given["policies"][1]["budget"] = np.float32(0.25)
    scenario = load_scenario(given)
    assert (scenario.seed, type(scenario.seed)) == (3, int)
    assert (scenario.policies[1].options["budget"], type(scenario.policies[1].options["budget"])) == (
        0.25,
        float,
    )


def test_a_whole_number_may_be_written_as_1e5() -> None:
    assert load_scenario(data(), overrides=["workload.n_requests=1e5"]).workload.n_requests == 100_000


def test_dump_is_complete_and_loads_back_equal() -> None:
    scenario = load_scenario(
        data(),
        overrides=[
            "name='1e-3'",
            "server.outages=[{start_s: 1, end_s: 2.5}]",
            "link={kind: digest, digest: wifi}",
            "devices[0].throttle={onset_s: 1, sustained: 0.5}",
            "reader.tok_per_s=reading",
            "policies[1].waits_s=[1, 2e-3]",
            "baseline=Dice-0.5",
        ],
    )
    text = dump_scenario(scenario)
    Path("copy.yaml").write_text(text, encoding="utf-8")
    assert load_scenario("copy.yaml") == scenario
    assert dump_scenario(load_scenario("copy.yaml")) == text
    for name in ("replications:", "up_share:", "cooling: 1.0", "waits_s:", "failures:"):
        assert name in text


def test_scenarios_travel_between_processes() -> None:
    scenario = load_scenario(data())
    assert pickle.loads(pickle.dumps(scenario)) == scenario


def test_files_are_found_beside_the_config(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "trace.csv").touch()
    text = SCENARIO.replace("kind: generate", "kind: replay\n  file: trace.csv")
    start, end = text.index("  arrivals:"), text.index("devices:")
    (folder / "s.yaml").write_text(text[:start] + text[end:], encoding="utf-8")
    scenario = load_scenario(folder / "s.yaml")
    assert scenario.workload.file == str(folder / "trace.csv")  # type: ignore[union-attr]


def test_build_policy_gives_a_fresh_object_with_the_options() -> None:
    spec = load_scenario(data()).policies[1]
    first, second = build_policy(spec), build_policy(spec)
    assert first is not second
    assert (first.kind, first.budget) == ("dice", 0.5)  # type: ignore[attr-defined]


# --- overrides ----------------------------------------------------------------------------------------------


def test_overrides_reach_keys_list_items_and_policies_by_name() -> None:
    scenario = load_scenario(
        data(),
        overrides=[
            "reader.pacer=false",
            "policies[1].retries=2",
            "policies.Dice-0.5.budget=0.3",
            "devices[0].throttle.onset_s=5",
            "devices[0].throttle.sustained=0.5",
            "name=other",
        ],
        seed=11,
    )
    assert scenario.reader.pacer is False
    assert scenario.policies[1].options["budget"] == 0.3
    assert scenario.policies[1].options["retries"] == 2
    assert scenario.devices[0].throttle is not None
    assert scenario.devices[0].throttle.onset_s == 5.0
    assert (scenario.name, scenario.seed) == ("other", 11)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "expected a.b=c"),
        ("=3", "expected a.b=c"),
        ("seed=", "has no value"),
        ("seed=[1", "not valid YAML"),
        ("policies[9].budget=1", "policies has 2 items"),
        ("policies.dise.budget=1", "no policy named 'dise'; did you mean 'dice'"),
        ("devices.phone.share=1", "devices is a list"),
        ("name.x=1", "name is a single value and has no 'x'"),
        ("a..b=1", "no key stands before or after a dot"),
        ("sed=1", "unknown key; did you mean 'seed'"),
        ("policies[1].budget=1.5", "must be <= 1 (got 1.5)"),
        ("policies.Dice-0.5.budget=-1", "must be >= 0 (got -1)"),
        ("link.kind=wire", "unknown kind 'wire'"),
        ("server.outages=[{start_s: 3, end_s: 2}]", "must be > start_s = 3 (got 2)"),
    ],
)
def test_a_bad_override_is_named_in_one_line(override: str, message: str) -> None:
    text = SCENARIO.replace("name: Dice-0.5", "name: dice") if "dise" in override else SCENARIO
    (line,) = errors_of(text, override)
    assert line.startswith(f"--set {override}")
    assert message in line


def test_a_bad_seed_is_named() -> None:
    with pytest.raises(UserError, match=r"^--seed -1 seed: must be >= 0 \(got -1\)$"):
        load_scenario(data(), seed=-1)


# --- what is wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: sample", "nmae: sample", "s.yaml:1:1 nmae: unknown key; did you mean 'name'? 17 are known"),
        ("name: sample", "name: a/b", "s.yaml:1:7 name: must not be a path (got 'a/b')"),
        ("name: sample", "name: ''", "s.yaml:1:7 name: must not be empty"),
        ("name: sample", "name: 2024", "s.yaml:1:7 name: must be text (got 2024; put it in quotes)"),
        (
            "name: sample",
            "name: sample\nseed: yes",
            "s.yaml:2:7 seed: must be a whole number >= 0 (got text 'yes')",
        ),
        (
            "name: sample",
            "name: sample\nseed: '3'",
            "s.yaml:2:7 seed: must be a whole number >= 0 (got text '3'; remove the quotes)",
        ),
        (
            "name: sample",
            "name: sample\nseed: true",
            "s.yaml:2:7 seed: must be a whole number >= 0 (got true)",
        ),
        ("name: sample", "name: sample\nseed: 1.5", "s.yaml:2:7 seed: must be a whole number >= 0 (got 1.5)"),
        ("name: sample", "name: sample\nseed: -1", "s.yaml:2:7 seed: must be >= 0 (got -1)"),
        ("name: sample", "name: sample\nreplications: 0", "s.yaml:2:15 replications: must be >= 1 (got 0)"),
        ("1e-1", "-1", "s.yaml:4:41 workload.arrivals.rate_per_s: must be > 0 (got -1)"),
        ("1e-1", ".nan", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a finite number (got nan)"),
        ("1e-1", ".inf", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a finite number (got inf)"),
        ("1e-1", "1e999", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a finite number (got inf)"),
        ("1e-1", "fast", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a number > 0 (got text 'fast')"),
        ("1e-1", "true", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a number > 0 (got true)"),
        ("1e-1", "null", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a number > 0 (got null)"),
        ("1e-1", "[1]", "s.yaml:4:41 workload.arrivals.rate_per_s: must be a number > 0 (got a list)"),
        (
            "kind: poisson",
            "kind: posson",
            "s.yaml:4:20 workload.arrivals.kind: unknown kind 'posson'; did you mean 'poisson'? Known: ",
        ),
        ("kind: poisson, ", "", "s.yaml:4:3 workload.arrivals.kind: is missing. Known: burst, clients, "),
        ("kind: poisson", "kind: 3", "s.yaml:4:20 workload.arrivals.kind: must be one of burst, clients, "),
        (
            "    prompt_tok: 10\n",
            "",
            "s.yaml:5:3 workload.lengths.prompt_tok: is missing. Prompt tokens. [tok]",
        ),
        (
            "profile: phone",
            "profile: phon",
            "s.yaml:10:14 devices[0].profile: unknown device digest 'phon'; did you",
        ),
        ("  - profile: phone", "  []", "s.yaml:10:3 devices: must have a length of at least 1 (got 0)"),
        ("  - profile: phone", "  profile: phone", "s.yaml:10:3 devices: must be a list (got a mapping)"),
        (
            "  - profile: phone",
            "  - phone",
            "s.yaml:10:5 devices[0]: must be a mapping of keys to values (got text",
        ),
        (
            "digest: service",
            "digest: phone",
            "s.yaml:13:11 server.digest: digest 'phone' is of kind device, a latency",
        ),
        (
            "  digest: service\n",
            "",
            "s.yaml:11:1 server: needs exactly one of digest, digest_file and series (got none)",
        ),
        ("digest: service", "series: none.csv", "s.yaml:13:11 server.series: no such file: "),
        (
            "digest: service",
            "digest: service\n  failures: of",
            "s.yaml:14:13 server.failures: unknown value 'of'; did",
        ),
        (
            "cost:",
            "reader: {tok_per_s: 0}\ncost:",
            "s.yaml:15:21 reader.tok_per_s: must be > 0 (got 0)",
        ),
        (
            "cost:",
            "reader: {tok_per_s: readng}\ncost:",
            "s.yaml:15:21 reader.tok_per_s: unknown value 'readng'; did you mean 'reading'? Known: ",
        ),
        (
            "kind: poisson, rate_per_s: 1e-1",
            "kind: burst, rate_per_s: 1, intensity: 4, width: 0.25",
            "s.yaml:4:53 workload.arrivals.intensity: intensity * width must be < 1 (got 4 * 0.25 = 1)",
        ),
        (
            "kind: generate",
            "kind: generate\n  n_users: 0",
            "s.yaml:4:12 workload.n_users: must be >= 1 (got 0)",
        ),
        (
            "kind: dice",
            "kind: dise",
            "s.yaml:19:11 policies[1].kind: unknown kind 'dise'; did you mean 'dice'?",
        ),
        (
            "    budget: 0.5",
            "    budgt: 0.5",
            "s.yaml:21:5 policies[1].budgt: unknown key; did you mean 'budget'?",
        ),
        ("    budget: 0.5", "    budget: 1.5", "s.yaml:21:13 policies[1].budget: must be <= 1 (got 1.5)"),
        ("    budget: 0.5\n", "", "s.yaml:19:5 policies[1].budget: is missing. Share of requests."),
        (
            "budget: 0.5",
            "budget: 0.5\n    side: left",
            "s.yaml:22:11 policies[1].side: unknown value 'left'; Known: ",
        ),
        (
            "budget: 0.5",
            "budget: 0\n    waits_s: [1, -1]",
            "s.yaml:22:18 policies[1].waits_s[1]: must be >= 0 (got",
        ),
        ("budget: 0.5", "budget: 0\n    bias: 1", "s.yaml:19:5 policies[1]: a fair die has no bias"),
        (
            "name: Dice-0.5",
            "name: device_only",
            "s.yaml:20:11 policies[1].name: the name 'device_only' is taken by",
        ),
        ("name: Dice-0.5", "name: ../x", "s.yaml:20:11 policies[1].name: must not be a path (got '../x')"),
        (
            "cost:",
            "baseline: dice-0.5\ncost:",
            "s.yaml:15:11 baseline: names no policy of this scenario ('dice-0.5'); did you mean 'Dice-0.5'? ",
        ),
    ],
)
def test_one_mistake_gives_one_line_with_its_place(old: str, new: str, expected: str) -> None:
    (line,) = errors_of(with_line(old, new))
    assert line.startswith(expected)


def test_all_mistakes_are_reported_at_once() -> None:
    text = SCENARIO.replace("1e-1", "-1").replace("kind: dice", "kind: dise").replace("5E-6", "cheap")
    text += "basline: x\nbaseline: nobody\n"
    places = [line.partition(": ")[0] for line in errors_of(text)]
    assert sorted(places) == [
        "s.yaml:16:28 cost.exchange_rate_usd_per_j",
        "s.yaml:19:11 policies[1].kind",
        "s.yaml:22:1 basline",
        "s.yaml:23:11 baseline",
        "s.yaml:4:41 workload.arrivals.rate_per_s",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "s.yaml: is empty; expected a mapping"),
        ("# only a comment\n", "s.yaml: is empty; expected a mapping"),
        ("- a\n", "s.yaml:1:1: must be a mapping of keys to values (got a list)"),
        ("hello\n", "s.yaml:1:1: must be a mapping of keys to values (got text 'hello')"),
    ],
)
def test_files_that_hold_no_mapping(text: str, expected: str) -> None:
    (line,) = errors_of(text)
    assert line.startswith(expected)


def test_more_kinds_of_device_than_users() -> None:
    text = with_line("  - profile: phone", "  - profile: phone\n  - profile: phone")
    (line,) = errors_of(text.replace("kind: generate", "kind: generate\n  n_users: 1"))
    assert line == "s.yaml:4:12 workload.n_users: must be >= 2, the kinds of device (got 1)"


def test_a_mapping_has_no_file_but_paths() -> None:
    given = data()
    given["seed"] = math.nan
    with pytest.raises(UserError, match=r"^seed: must be a finite number \(got nan\)$|^seed: must be a whole number"):
        load_scenario(given)


def test_unknown_names_and_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "quickstart.yaml").write_text(SCENARIO, encoding="utf-8")
    monkeypatch.setattr("discosim.traces.catalogue.shipped_folder", lambda _name: configs)
    assert load_scenario("quickstart").name == "sample"
    with pytest.raises(UserError, match=r"'quikstart'; did you mean 'quickstart'\?"):
        load_scenario("quikstart")
    with pytest.raises(UserError, match=r"^quikstart\.yaml: no such file$"):
        load_scenario("quikstart.yaml")
    with pytest.raises(UserError, match="expected a path, a name or a mapping, not int"):
        load_scenario(3)  # type: ignore[arg-type]
