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
# Phones, one service, and five ways to share the work between them. Open this file with Jupytext, or turn it into a
# notebook: `jupytext --to ipynb notebooks/01-quickstart.py`.

# %%
from discosim import Policy, load_scenario, simulate

# %% [markdown]
# ## Run
#
# A scenario is plain data; `quickstart` ships with the package. Five replications of 300 requests keep this page
# quick; `discosim run quickstart` runs ten of 1,000.
#
# The printout ends with `inputs`: what was **measured** (TTFT, arrivals, lengths, last hop), what is a **published
# figure** (the phone's speed), and what is **assumed** (energy, the price of a joule, a stand-in for the service's
# price).

# %%
scenario = load_scenario("quickstart", overrides=["replications=5", "workload.n_requests=300"])
result = simulate(scenario)

print(result)

# %% [markdown]
# ## Look
#
# One row per request, policy and replication. All policies met the same requests and the same luck.

# %%
columns = ["prompt_tok", "output_tok", "first_endpoint", "n_migrations", "ttft_s", "qoe_andes", "unified_cost_usd"]
result.requests.query("policy == 'DiSCo-D'")[columns].head()

# %% [markdown]
# How long did readers wait for the first token? DiSCo-S and DiSCo-D limit a different endpoint each, server and
# device, to half of the prompt tokens.

# %%
result.plot_ttft_cdf()

# %% [markdown]
# What did the shorter wait cost? Further down and to the left is better; on the right, the slowest answers.

# %%
result.plot_cost_ttft()

# %% [markdown]
# One answer, token by token: who wrote it, what was buffered, what was on screen, where it changed hands.

# %%
result.plot_timeline()


# %% [markdown]
# ## A policy of your own
#
# Ask the service; wake the phone after one second of silence. It joins the others on the same requests and the same
# luck.


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
print(with_mine.compare("ttft_mean_s", "ttft_p99_s", "device_energy_mean_j"))

# %% [markdown]
# On: [your own policy](02-write-your-own-policy.py), [DiSCo from inside](03-disco-under-the-loupe.py), [all
# systems](04-all-systems-compared.py), [your own trace](05-bring-your-own-trace.py).
