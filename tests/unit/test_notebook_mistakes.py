"""What goes wrong in a notebook cell: the first line of the error says what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from discosim import Policy, load_scenario, simulate
from discosim.core.errors import InvariantError, UserError

SHORT = ["replications=1", "workload.n_requests=3"]


class NoYield(Policy):
    """Forgets to wait."""

    def serve(self, session: Any) -> Any:
        session.start("server")


class WrongEndpoint(Policy):
    """Misspells."""

    def serve(self, session: Any) -> Any:
        session.start("servr")
        yield session.finished()


class Empty(Policy):
    """Has no method at all."""


def with_policies(policies: Any) -> Callable[[], object]:
    return lambda: simulate(load_scenario("quickstart", overrides=SHORT), policies=policies)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (with_policies({"p": NoYield()}), InvariantError, "serve of a policy must be a generator"),
        (with_policies({"p": WrongEndpoint()}), InvariantError, "no endpoint 'servr'; did you mean 'server'?"),
        (with_policies({"p": Empty()}), NotImplementedError, "Empty lacks `serve`"),
        (with_policies([NoYield]), UserError, "policies: expected a policy object, not its class: NoYield()"),
        (with_policies({"p": 3}), UserError, r"policies: expected a policy object \(got int\)"),
        (lambda: simulate("quickstart"), UserError, r"simulate: expected what load_scenario gives \(got str\)"),  # type: ignore[arg-type]  # the mistake itself
        (
            lambda: load_scenario("quickstart", overrides="seed=3"),
            UserError,
            r"load_scenario: expected a list of texts: overrides=\['seed=3'\]",
        ),
    ],
)
def test_a_mistake_is_named(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_summary_offers_the_nearest_name() -> None:
    result = simulate(load_scenario("quickstart", overrides=SHORT))
    with pytest.raises(UserError, match="unknown policy 'server_onyl'; did you mean 'server_only'"):
        result.summary.value("server_onyl", "ttft_mean_s")
    with pytest.raises(UserError, match="unknown summary metric 'ttft_meen_s'; did you mean 'ttft_mean_s'"):
        result.summary.change_pct("DiSCo-D", "ttft_meen_s")


def test_a_single_policy_needs_no_list() -> None:
    class Plain(Policy):
        """Asks the server."""

        def serve(self, session: Any) -> Any:
            server = session.start("server")
            yield session.first_token_of(server)
            session.keep(server)
            yield session.finished()

    result = simulate(load_scenario("quickstart", overrides=SHORT), policies=Plain())
    assert "Plain" in set(result.requests["policy"])
