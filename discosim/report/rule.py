"""The rule of all verdicts in words, for the page of a paper's figures and for the printout."""

RULE = (
    "A cell agrees where its whole 95 % interval lies inside the bounds, disagrees where all of it lies outside, and "
    "is unclear where it crosses one. It does not count where nothing happened in it (the policy did as its baseline), "
    "where no outcome could meet the bounds, and where none could miss them. Of the cells that count: reproduced, all "
    "agree; partly, most do; in few cells, some do; not reproduced, none does and at least one disagrees; too few "
    "runs, all are unclear. Not testable here: no cell counts, or a needed fact is not public."
)
