# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Write your own policy
#
# A policy decides which endpoint produces which tokens of an answer. Here you write one in twenty lines, run it
# beside the service alone, DiSCo and a clairvoyant bound on the same luck, and see how sure the difference is.

# %%
from dataclasses import dataclass, field

from discosim import Policy, load_scenario, simulate
from discosim.core.spec import spec

# %% [markdown]
# ## One method
#
# `serve` looks after one request. It is a generator: verbs of the session that take time return an event to `yield`.
# This policy asks the service at once and wakes the phone when the service stays silent. It does so in one request of
# five: how long to be patient, it learns from the past.


# %%
@dataclass(kw_only=True)
class Patient(Policy):
    """Wake the device when the service is slower than it mostly is."""

    share: float = spec(0.2, doc="Share of requests for which the device may wake.", ge=0, le=1)
    patience_s: float = field(init=False, default=0.0)

    def prepare(self, view):
        self.patience_s = view.server_ttft_quantile_s(1 - self.share)

    def serve(self, session):
        server = session.start("server")
        winner = yield session.first_token_of(server, within_s=self.patience_s)
        if winner is None:  # silent so far, or refused
            winner = yield session.first_token_of(server, session.start("device"))
        if winner is None:  # nobody can answer
            session.fail()
            return
        session.keep(winner)  # shown to the reader; the other one is cancelled
        yield session.finished()


# %% [markdown]
# ## What a policy may know
#
# - Before the first request, `prepare` gets a *view* of the past: prompts, answers and TTFTs of other requests,
#   prices, the kinds of devices. Nothing in it is part of the run.
# - In `serve`: the length of this prompt, the published figures of this phone, whether it is busy, the reader's
#   speed, and what has arrived until now. Not how long the answer will be, and not how long anybody will take.
# - Only a policy that declares `needs = {"oracle"}` sees the true draws. `oracle` does: while phones are idle no rule
#   reaches a shorter mean TTFT with the same budget, so it shows how much is left to gain. (It does not aim at the
#   p99.) Where requests found their phone at work on an earlier answer, the run warns that it is no bound.
#
# ## Run it beside the others
#
# `bounds` ships with the package. Instead of its eleven policies we name three. DiSCo and the bound may use the phone
# for 20 % of all prompt tokens; one request in five, as `Patient` wakes it, is the same on average.

# %%
policies = """[
  {kind: server_only},
  {kind: disco, name: DiSCo-D, constraint: device, budget: 0.2, migration: false},
  {kind: oracle, constraint: device, budget: 0.2},
]"""
size = ["replications=8", "workload.n_requests=400"]
scenario = load_scenario("bounds", overrides=[f"policies={policies}", "baseline=server_only", *size])
result = simulate(scenario, policies={"patient": Patient(share=0.2)})
print(result.compare("ttft_mean_s", "ttft_p99_s", "unified_cost_mean_usd", "budget_used_device"))

# %% [markdown]
# Look at `budget_used_device` first: all but `server_only` used about 0.2, so the comparison is fair. (A policy with
# the options `budget` and `constraint` promises that; the run warns where it used more than noise explains.) What else
# to doubt, and where the past comes from that policies learn from, stands in the notes:

# %%
print(*(note for note in result.notes if note.startswith(("warning", "past"))), sep="\n")

# %% [markdown]
# Very few requests found their phone busy, and what idle ones would allow is the oracle's mean to a millisecond or
# two. Then read the changes: `patient` acts on slow answers only, so it shortens the p99 by more than a quarter and
# the mean hardly.
#
# How the inputs are known: the service's TTFT (OpenRouter), requests (Azure) and last hop (Starlink) are
# **measured**; the phone's speed is a **published figure** (Qualcomm AI Hub); its energy and the price of a joule are
# **assumed**. mUSD per request is USD per 1,000 requests.

# %%
result.plot_metrics("ttft_mean_s", "ttft_p99_s", "unified_cost_mean_usd")

# %% [markdown]
# In the panel on the left the bars of `patient` and `server_only` overlap, and yet the table is sure that `patient`
# is faster. A replication with slow draws is slow for everybody; as all policies met the same requests and the same
# draws, differences within a replication are more certain than these bars. That is what *paired* means. Against
# DiSCo:

# %%
print(result.compare("ttft_mean_s", "ttft_p99_s", "unified_cost_mean_usd", baseline="DiSCo-D"))

# %% [markdown]
# An interval that contains 0 decides nothing; more replications make it narrower. And where along the distribution
# does the difference arise?

# %%
result.plot_ttft_cdf()

# %% [markdown]
# Until its patience ends, `patient` waits as long as `server_only` does; a prefill later its curve leaves the other.
# DiSCo spends the same budget differently: short prompts, which are cheap on the phone, start there at once. Both
# curves have steps because this phone prefills in chunks of 128 tokens (inferred from its published figures, not
# stated there).
#
# ## Use it in a configuration
#
# Give the class a name for files, put it into a package of yours, and name it in that package's `pyproject.toml`:
#
# ```toml
# [project.entry-points."discosim.policies"]
# patient = "my_package.patient:Patient"
# ```
#
# with three more lines in the class:
#
# ```python
# kind: ClassVar[str] = "patient"
# paper: ClassVar[str] = "Our choice: hedged requests after a learned delay."
# departures: ClassVar[str] = "None known."
# ```
#
# Once the package is installed, a scenario names the policy and its options like any other; `discosim run`, `discosim
# sweep` and `discosim explain policy patient` know it, and a wrong option is refused with its place.
#
# ```yaml
# policies:
#   - {kind: patient, share: 0.2}
# ```
#
# All verbs, and how to hand an answer over in the middle: [write a policy](../docs/how-to/write-a-policy.md).
