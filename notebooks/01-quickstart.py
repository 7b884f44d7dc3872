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
# # Quickstart
#
# One phone, one service, five ways to share the work between them. Open this file with Jupytext, or turn it into a
# notebook: `jupytext --to ipynb notebooks/01-quickstart.py`.

# %%
from discosim import Policy, load_scenario, simulate

# %% [markdown]
# ## Run
#
# A scenario is plain data; `quickstart` ships with the package. Five replications of 500 requests keep this page quick;
# `discosim run quickstart` runs ten of 1,000.

# %%
scenario = load_scenario("quickstart", overrides=["replications=5", "workload.n_requests=500"])
result = simulate(scenario)

print(result)

# %% [markdown]
# ## Look
#
# One row per request, policy and replication. All policies met the same requests and the same luck.

# %%
result.requests.groupby("policy")[["ttft_s", "qoe_andes", "unified_cost_usd"]].mean().round(4)

# %% [markdown]
# How long did readers wait for the first token?

# %%
result.plot_ttft_cdf()

# %% [markdown]
# What did the shorter wait cost?

# %%
result.plot_cost_ttft()

# %% [markdown]
# One answer, token by token: who wrote it, what was buffered, what was on screen, where it changed hands.

# %%
result.plot_timeline()


# %% [markdown]
# ## A policy of your own
#
# Ask the service; wake the phone after one second of silence.


# %%
class Patient(Policy):
    """Wake the device when the service keeps the reader waiting."""

    def serve(self, session):
        server = session.start("server")
        winner = yield session.first_token_of(server, within_s=1.0)
        if winner is None:
            device = session.start("device")
            winner = yield session.first_token_of(server, device)
        if winner is None:
            session.fail()
            return
        session.keep(winner)
        yield session.finished()


with_mine = simulate(scenario, policies={"patient": Patient()})
with_mine.plot_ttft_cdf()

# %%
change = with_mine.summary.change_pct("patient", "ttft_mean_s")
print(f"mean TTFT against {scenario.baseline}: {change.text('.1f')} %")

# %% [markdown]
# More: [write a policy](../docs/how-to/write-a-policy.md) and
# [bring your own trace](../docs/how-to/bring-your-own-trace.md).
