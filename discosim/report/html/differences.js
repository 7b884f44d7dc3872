// Paired differences, point by point: by luck alone, and with what few rows of inputs leave open.

const OUTCOMES = {
  better: { fill: "var(--p3)", marker: "o" },
  "no worse": { fill: "var(--p3)", marker: "D" },
  worse: { fill: "var(--p2)", marker: "X" },
  equal: { fill: "var(--soft)", marker: "s" },
};
const OPEN = { fill: "var(--soft)", marker: "D" };

function differencesView(host) {
  const found = data.differences;
  let shown = found[0];
  const chart = new Chart(el("div"));
  const about = el("p", { class: "about" });
  const draw = () => {
    const { rows } = shown;
    const verdict = (row) => (row.verdictWide && row.verdictWide !== "unknown" ? row.verdictWide : row.verdict);
    const points = rows.map((row, y) => {
      const isBoth = finite(row.lowWide) && finite(row.highWide);
      return { x: row.diff, y, x0: row.low, x1: row.high, xWide: isBoth ? [row.lowWide, row.highWide] : null,
        look: OUTCOMES[verdict(row)] || OPEN,
        tip: () => [row.names.map((name, k) => `${name} = ${row.at[k]}`).join(", ") || shown.title,
          `${shown.policy} ${said(shown, row.mean)}, ${shown.baseline} ${said(shown, row.baseline_mean)}${shown.per ? ` ${shown.per}` : ""}`,
          `difference ${signed(shown, row.diff)}`,
          finite(row.low) ? `by luck ${signed(shown, row.low)} to ${signed(shown, row.high)}: ${row.verdict}` : "no interval",
          ...(isBoth ? [`with inputs ${signed(shown, row.lowWide)} to ${signed(shown, row.highWide)}: ${row.verdictWide}`] : []),
          `${row.n} pairs`] };
    });
    chart.draw({
      title: sentenceCase(shown.title),
      x: { label: unitLabel(shown, "difference"), hasZero: true },
      y: { names: rows.map((row) => row.at.map(lastWords).join(" · ") || "all") },
      rules: [{ x: 0 }],
      series: [{ look: {}, points, hasMarks: true, radius: 5 }],
    });
    const side = { lower: `; left of 0 ${shown.policy} is better`, higher: `; right of 0 ${shown.policy} is better` };
    about.textContent = `${shown.policy} minus ${shown.baseline}, paired over the same luck${side[shown.direction] || ""}.`;
  };
  const words = { better: "better", worse: "worse" };
  host.append(
    ...(found.length > 1 ? [el("div", { class: "controls" },
      chooser("comparison", found.map((one) => one.title), (i) => { shown = found[i]; draw(); }).node)] : []),
    chart.host,
    el("div", { class: "below" },
      keys([...Object.entries(words).map(([word, name]) => [OUTCOMES[word], false, name]), [OPEN, false, "not decided"]]),
      ...bothLegend(found.some((one) => one.rows.some((row) => finite(row.lowWide)))), about));
  draw();
}

// names of points are long on a narrow screen; the chart cuts them in the middle
function lastWords(value) {
  return value.length > 28 ? `${value.slice(0, 16)}…${value.slice(-10)}` : value;
}
