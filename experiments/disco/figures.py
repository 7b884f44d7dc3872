def _todo(*tables, **options):
    from discosim.report.style import message_figure
    return message_figure("x", "y")
ttft_against_length = mean_ttft_against_budget = tail_reduction = migration = cost_against_budget = arrival_patterns = _todo
scheduler_overhead = sensitivity_of_verdicts = _todo
