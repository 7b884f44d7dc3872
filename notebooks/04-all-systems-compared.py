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
# # All systems compared
#
# DiSCo, P/D-Device and PICE share an answer between device, edge and server in different ways. Here they meet the same
# users, the same phones, the same server and the same luck.
#
# ## What is known and what is not
#
# | number | how it is known |
# |---|---|
# | prompt and answer lengths | **measured** (ShareGPT) |
# | iteration times of the server | **published fit** (DistServe: OPT-66B on four A100) |
# | speed of the phone | **published figure** (Qualcomm AI Hub) |
# | which questions suit parts | **published labels** (Vicuna questions, as PICE groups them) |
# | arrivals, energy, all prices, the last hop | **assumed** |
# | **quality of every answer** | **assumed, wholly** |
#
# The laws of DiSCo, P/D-Device and PICE are reconstructions, each with its open points named in
# [policies](../docs/policies.md). So read this page as a comparison of *ideas* under one set of assumptions.

# %%
from discosim import load_scenario, simulate

scenario = load_scenario("all-systems", overrides=["replications=8", "workload.n_requests=250", "baseline=DiSCo-D"])
result = simulate(scenario)
print(f"{len(result.requests):,} requests under {len(result.summary.policies)} systems")
print(*result.notes, sep="\n")

# %% [markdown]
# ## Waiting and reading
#
# TTFT is the wait for the first token of the *answer*. PICE shows a sketch before: `ttft_visible_mean_s` is the wait for the
# first thing to read. QoE (Andes) compares what was on screen with what this reader can read; 1 is perfect.

# %%
result.plot_ttft_cdf()

# %%
result.plot_metrics("ttft_mean_s", "ttft_visible_mean_s", "ttft_p99_s", "qoe_andes_mean", "e2e_mean_s", "n_tok_late_mean")

# %%
print(result.compare("ttft_mean_s", "ttft_visible_mean_s", "ttft_p99_s"))
print()
print(result.compare("qoe_andes_mean", "qoe_visible_mean", "e2e_mean_s"))

# %% [markdown]
# ## What it costs
#
# The server bills per token, the phone pays in joules; one assumed exchange rate adds them. GPU time is what the same
# answers took at the server, whatever the price list says.

# %%
result.plot_cost_ttft()

# %%
result.plot_metrics("server_cost_mean_usd", "device_energy_mean_j", "edge_energy_mean_j", "engine_gpu_s")

# %%
print(result.compare("unified_cost_mean_usd", "engine_gpu_s"))

# %% [markdown]
# ## Quality: an assumption in, an assumption out
#
# Nothing here reads an answer. `quality:` in the scenario says what an answer of each model is taken to be worth, and how
# much a sketch of the large model helps the small one:

# %%
print(scenario.quality)
print()
print(result.compare("quality_assumed_mean"))

# %%
result.plot_metrics("quality_assumed_mean")
