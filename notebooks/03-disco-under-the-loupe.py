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
# # DiSCo under the loupe
#
# DiSCo races device and server where a budget allows it, and hands answers over while they are written. This page
# opens both halves: what rule the budget becomes, what one request goes through, and over which budgets the rule
# gains.
#
# Which numbers are which: the service's TTFT (OpenRouter, DeepSeek V3.2), request lengths (Azure) and the last hop
# (Starlink) are **measured**; the phone's speed is a **published figure**; its energy, the price of a joule and the
# token prices are **assumed**. DiSCo's rules are **rebuilt from secondary sources**: see
# [policies](../docs/policies.md#disco).

# %%
import numpy as np
import pandas as pd

from discosim import load_scenario, simulate
from discosim.policies.disco import Disco
from discosim.policies.migration import Migration
from discosim.policies.optimal_wait import OptimalWait
from discosim.report.figures import sweep_lines
from discosim.report.figures.timeline import timeline_table
from discosim.report.style import MUTED, PAGE_IN, Picture, house_style, look
from discosim.runs.build import build

scenario = load_scenario("quickstart", overrides=["replications=1", "workload.n_requests=300"])
view = build(scenario).view  # the past that every policy learns from
phone, _ = view.fleet[0]

# %% [markdown]
# ## From a budget to a rule
#
# The budget *b* is the share of prompt tokens that the scarce endpoint may process.
#
# - **Server scarce (DiSCo-S)**: the phone always starts; prompts *above* a threshold also go to the server.
# - **Phone scarce (DiSCo-D)**: the server always starts; prompts *below* a threshold start on the phone at once,
#   longer ones after a wait at which most services have answered.
#
# Beside it the rule with the shortest mean TTFT for someone who knows the same distributions (`optimal_wait`).


# %%
def prepared(policy):
    """Let a policy learn from the past."""
    policy.prepare(view)
    return policy


budgets = np.linspace(0.02, 0.98, 49)
prompts_tok = np.unique(np.geomspace(50, 6000, 400).astype(int))
never_s = 8.0

with house_style():
    figure = Picture(figsize=(PAGE_IN, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, budget in enumerate((0.1, 0.3, 0.7)):
        disco = prepared(Disco(constraint="device", budget=budget))
        (best,) = prepared(OptimalWait(constraint="device", budget=budget)).rules.values()
        best_s = [min(best.wait_s(n, is_rich=False), never_s) for n in prompts_tok.tolist()]
        colour = look(i + 1)["color"]
        left.plot(prompts_tok, [disco.wait_s(n) for n in prompts_tok.tolist()], color=colour, label=f"b = {budget}")
        left.plot(prompts_tok, best_s, color=colour, linestyle=":")
    left.plot([], [], color=MUTED, linestyle=":", label="best rule")
    left.set(title="Phone scarce: how long the phone holds back", xscale="log", ylim=(-0.2, 7))
    left.set(xlabel="prompt length [tokens]", ylabel="wait [s]")
    left.legend(loc="upper left")
    for i, (constraint, name) in enumerate((("server", "DiSCo-S"), ("device", "DiSCo-D"))):
        rules = [prepared(Disco(constraint=constraint, budget=budget)) for budget in budgets]
        right.plot(budgets, [rule.threshold_tok for rule in rules], label=name, **look(i + 1))
    right.set(title="The threshold", xlabel="budget b [share of prompt tokens]", ylabel="prompt length [tokens]")
    right.legend()
figure

# %% [markdown]
# On the left, a larger budget moves the step to longer prompts. Its height is the time within which the answers to
# longer prompts had begun that hold 95 % of their tokens: a share alpha = 0.05 (**recollected**, an option) is kept
# for the slowest answers, whatever the prompt. The best rule is a step, too, only a little further right, and its
# height is out of sight: a longer prompt never gets the phone. On the right, both thresholds follow from the prompt
# lengths alone: the prompts below must hold 1 - *b* of all tokens (DiSCo-S), or *b* less what is kept for the tail
# (DiSCo-D). The plateaus are lengths that many prompts share.
#
# ## One request
#
# A request that changed hands, under both variants and two baselines.

# %%
result = simulate(scenario)
result.plot_timeline()

# %% [markdown]
# The server spoke first and the phone, which decodes for less, finished. The hand-over waits for two conditions after
# every token:
#
# - **cost gate**: the saving on the expected rest must exceed the phone's prefill of prompt and answer so far;
# - **buffer rule**: the reader must have enough to read for the time the phone needs until its next token.

# %%
answer = timeline_table(result.example_tokens, result.requests).query("policy == 'DiSCo-D'")
facts = answer.iloc[0]
first_speaker, handed_over = facts["endpoint"], int(answer.loc[answer["is_handed_over"], "token_index"].iloc[0]) - 1
rate = facts["reader_tok_per_s"]
gate = Migration(view).gate(
    first_speaker, phone, prompt_tok=int(facts["prompt_tok"]), reader_tok_per_s=rate, n_tok=int(facts["output_tok"])
)
spoken = answer[answer["endpoint"] == first_speaker]
token = spoken["token_index"]
buffer_tok = rate * (spoken["displayed_s"] - spoken["delivered_s"]) + 1  # reading time left, in tokens

with house_style():
    figure = Picture(figsize=(PAGE_IN, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(1000 * gate.margin_usd, label="expected saving", **look(1))
    left.axhline(0, color=MUTED, linewidth=0.8)
    left.set(title="Cost gate: open above 0", xlabel="tokens of the answer so far", ylabel="saving [mUSD]")
    right.plot(token, buffer_tok, marker=".", label="the reader's buffer", **look(3))
    right.plot(token, gate.need_tok[token], label="buffer needed for the change of hands", **look(2))
    right.set(title="Buffer rule", xlabel="tokens of the answer so far", ylabel="buffer [tokens]", ylim=(0, None))
    for axes in (left, right):
        asked = axes.axvline(handed_over, color="black", linestyle=":", label=f"hand-over after token {handed_over}")
    lines = [*left.get_lines()[:1], *right.get_lines()[:2], asked]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines))
figure

# %% [markdown]
# The hand-over is asked for after the first token at which both hold. Here the gate is open throughout, and the
# buffer decides. Nobody knows how long the answer will be: the saving counts on the mean rest of past answers of at
# least this length. It falls while the usual end comes nearer, and rises again because an answer beyond 80 tokens is
# one of the long ones.
#
# ## Where it gains
#
# Four budgets, for both variants, beside two bounds: `optimal` knows the same distributions as DiSCo, `oracle` every
# draw. Migration is off, since it does not change the first token. There are so many users here that a phone is
# hardly ever busy: the bounds do not foresee a queue on the device.

# %%
limited = [f"{name}-{side}" for side in "SD" for name in ("DiSCo", "optimal", "oracle")]
policies = """[
  {kind: server_only}, {kind: device_only},
  {kind: disco, name: DiSCo-S, constraint: server, migration: false},
  {kind: optimal_wait, name: optimal-S, constraint: server},
  {kind: oracle, name: oracle-S, constraint: server},
  {kind: disco, name: DiSCo-D, constraint: device, migration: false},
  {kind: optimal_wait, name: optimal-D, constraint: device},
  {kind: oracle, name: oracle-D, constraint: device},
]"""
common = [f"policies={policies}", "baseline=server_only", "replications=5", "workload.n_requests=200"]
common += ["workload.n_users=50000"]
runs = {}
for budget in (0.1, 0.3, 0.5, 0.9):
    budgets = [f"policies.{name}.budget={budget}" for name in limited]
    runs[budget] = simulate(load_scenario("bounds", overrides=[*common, *budgets]))
results = pd.concat([run.by_replication.assign(budget=budget) for budget, run in runs.items()])

# %% [markdown]
# The phone is scarce:

# %%
metrics, label = ["ttft_mean_s", "ttft_p99_s"], "budget [share of prompt tokens]"
sweep_lines(results, "budget", metrics, ["server_only", "DiSCo-D", "optimal-D", "oracle-D"], label)

# %% [markdown]
# The server is scarce:

# %%
sweep_lines(results, "budget", metrics, ["device_only", "DiSCo-S", "optimal-S", "oracle-S"], label)

# %% [markdown]
# How sure is that? The mean TTFT of DiSCo, paired with the service alone, the phone alone, and the best rule:

# %%
for budget, run in runs.items():
    print(f"budget {budget}")
    for policy, others in (("DiSCo-D", ("server_only", "optimal-D")), ("DiSCo-S", ("device_only", "optimal-S"))):
        for other in others:
            change = run.summary.against(other, metrics).change_pct(policy, "ttft_mean_s")
            print(f"    {policy} against {other:<11} {change.mean:+.1f} ± {change.half_width:.1f} %")

# %% [markdown]
# What to take from it:
#
# - **It gains most where the budget is small and well spent**: on the phone, the first tenth of the prompt tokens
#   buys a fifth of the mean wait, since short prompts are many and cheap.
# - **It gains little where the phone is fast anyway**: with a scarce server, more than half of the tokens buys
#   nothing; the phone has answered before the service does.
# - **It is close to the best rule, except with a small budget of the phone**: at 0.1 the reserve for the tail takes
#   half of the budget. That buys a lower p99, at which the best rule does not aim.
# - **The rest is foresight**: `oracle` lies up to about a tenth below the best rule; no rule without foresight gets
#   there.
#
# All of this is one service and one phone. Other pairs: `discosim sweep budget`, and [what comes
# out](../docs/reproduction.md).
