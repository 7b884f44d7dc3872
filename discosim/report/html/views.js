// The views: each fills the places of its name with controls, legend and chart, from the data in the page.

const data = JSON.parse(document.getElementById("data").textContent);
const policies = (data.policies || []).map((policy) => ({ ...policy, look: policyLook(policy) }));
const hidden = new Set(); // names of policies that the reader has switched off, in all charts at once
const redraws = [];

function redrawAll() {
  for (const redraw of redraws) redraw();
}

function isShown(i) {
  return !hidden.has(policies[i].name);
}

// --- controls --------------------------------------------------------------------------------------------------

let nChoosers = 0;

function chooser(label, options, onChange, chosen = 0) {
  const id = `chooser-${nChoosers++}`;
  const select = el("select", { id, onchange: () => onChange(Number(select.value)) },
    ...options.map((name, i) => el("option", { value: i }, name)));
  select.value = String(chosen);
  return { node: el("div", { class: "chooser" }, el("label", { for: id }, label), select), select };
}

function checkbox(label, isOn, onChange) {
  const box = el("input", { type: "checkbox", onchange: () => onChange(box.checked) });
  box.checked = isOn;
  return el("label", { class: "check" }, box, label);
}

function legend(indices, hasLine, hasMarks) {
  const list = el("div", { class: "legend", role: "group", "aria-label": "Policies; press to hide or show" });
  const fill = () => {
    list.querySelectorAll("button").forEach((button, k) => button.setAttribute("aria-pressed", isShown(indices[k])));
  };
  for (const i of indices) {
    const { name, look } = policies[i];
    const flip = () => {
      if (!hidden.delete(name)) hidden.add(name);
      redrawAll();
    };
    list.append(el("button", { type: "button", title: name, onclick: flip },
      sample(look, hasLine, hasMarks), el("span", {}, name)));
  }
  redraws.push(fill);
  fill();
  return list;
}

function keys(entries) {
  return el("div", { class: "legend" },
    ...entries.map(([look, hasLine, name]) => el("span", { class: "key" },
      hasLine === "bar" ? hatchedSample() : sample(look, hasLine, !hasLine), name)));
}

function hatchedSample() {
  const picture = svg("svg", { width: 28, height: 14, viewBox: "0 0 28 14", "aria-hidden": "true" });
  picture.append(svg("rect", { x: 1, y: 2, width: 26, height: 10, rx: 2, class: "vain", fill: "none", stroke: "var(--soft)" }));
  for (let x = 5; x < 28; x += 6) {
    picture.append(svg("line", { x1: x, x2: x - 4, y1: 3, y2: 11, stroke: "var(--soft)", "stroke-width": 1.6 }));
  }
  return picture;
}

function everyPolicy() {
  return policies.map((_, i) => i);
}

function level() {
  return data.summary ? 100 * data.summary.level : 95;
}

function interval(mean, half, metric, n, sampleName, what = "") {
  if (!finite(half)) return n > 1 ? "no interval" : `one ${sampleName.replace(/s$/, "")}, no interval`;
  if (!half) return `the same in all ${n} ${sampleName}`;
  return `${level()} % interval ${show(mean - half)} to ${said(metric, mean + half)}${what}, ${n} ${sampleName}`;
}

// where the rows behind inputs count, both: the thin whiskers hold luck and inputs, the thick ones luck alone
function isWider(luck, half) {
  return finite(luck) && finite(half) && half > luck * 1.001;
}

function bothLegend(has) {
  if (!has) return [];
  const thick = svg("svg", { width: 34, height: 14, viewBox: "0 0 34 14", "aria-hidden": "true" },
    svg("path", { d: "M1,7H33M1,3v8M33,3v8", stroke: "var(--ink)", class: "whisker wide" }),
    svg("path", { d: "M10,7H24", stroke: "var(--ink)", class: "whisker thick" }));
  return [el("p", { class: "about both" }, thick, ` thick: ${level()} % interval by luck alone; thin: by luck and the few rows behind inputs`)];
}

function better(metric) {
  return metric.direction === "neutral" || !metric.direction ? "" : ` (${metric.direction} is better)`;
}

// --- policies compared -----------------------------------------------------------------------------------------

const MODES = ["value", "difference to the baseline", "change to the baseline in %"];

function policiesView(host) {
  const { metrics, n } = data.summary;
  const names = metrics.map(inUnit);
  let metric = metrics[Math.max(0, metrics.findIndex((m) => m.name === "ttft_mean_s"))];
  let mode = 0;
  const chart = new Chart(el("div"));
  const about = el("p", { class: "about" });
  const baseline = policies.find((policy) => policy.isBaseline);
  const draw = () => {
    const percent = { ...metric, unit: "%", prefix: "", per: "" };
    const rows = data.order.filter((i) => !(mode && policies[i].isBaseline));
    const points = rows.map((i, row) => {
      const [mean, half, diff, diffHalf, change, changeHalf, ...luck] = metric.rows[i];
      const [x, h] = [[mean, half], [diff, diffHalf], [change, changeHalf]][mode];
      const inner = isWider(luck[mode], h) ? luck[mode] : h;
      return { x, y: row, x0: finite(inner) ? x - inner : null, x1: finite(inner) ? x + inner : null,
        xWide: inner === h ? null : [x - h, x + h], look: policies[i].look,
        tip: () => [policies[i].name, `${metric.label}: ${said(metric, mean)}${metric.per ? ` ${metric.per}` : ""}`,
          interval(mean, half, metric, n, "replications"),
          ...(isWider(luck[0], half) ? [`by luck alone ± ${said(metric, luck[0], 3)}`] : []),
          ...(policies[i].isBaseline || !finite(diff) ? [] : [
            `against ${baseline.name}: ${signed(metric, diff)}` +
              (diffHalf ? ` ± ${said(metric, diffHalf, 3)}` : "") +
              (finite(change) ? ` (${signed(percent, change, 3)})` : "") + ", paired"])] };
    });
    chart.draw({
      title: sentenceCase(mode ? unitLabel(mode === 2 ? { ...percent, unit: "" } : metric, `${metric.label}: ${MODES[mode]} ${baseline.name}`)
        : unitLabel(metric)),
      x: { hasZero: mode > 0 },
      y: { names: rows.map((i) => policies[i].name) },
      rules: mode ? [{ x: 0 }] : [],
      series: [{ look: {}, points, hasMarks: true, radius: 6 }],
    });
    about.textContent = `${metric.about}${better(metric)}`;
  };
  const hasBoth = metrics.some((m) => m.rows.some((row) => isWider(row[6], row[1])));
  host.append(
    el("div", { class: "controls" },
      chooser("metric", names, (i) => { metric = metrics[i]; draw(); }, metrics.indexOf(metric)).node,
      ...(policies.length > 1 ? [chooser("show", MODES, (i) => { mode = i; draw(); }).node] : [])),
    chart.host, el("div", { class: "below" }, ...bothLegend(hasBoth), about));
  draw();
}

// --- TTFT ------------------------------------------------------------------------------------------------------

function cdfView(host) {
  const { curves } = data.cdf;
  const drawn = everyPolicy().filter((i) => curves[i]);
  let isLog = data.cdf.isLog;
  let isTail = false;
  const chart = new Chart(el("div"));
  const draw = () => {
    const series = drawn.filter(isShown).map((i) => {
      const curve = curves[i];
      const flip = (v) => (v === null ? null : isTail ? 1 - v : v);
      const points = curve.x.map((x, k) => ({
        x, y: flip(curve.share[k]),
        y0: flip(isTail ? curve.high[k] : curve.low[k]), y1: flip(isTail ? curve.low[k] : curve.high[k]),
        tip: () => [policies[i].name, `${show(100 * curve.share[k], "%", 4)} served within ${show(x, "s")}`,
          curve.low[k] === null ? "one replication, no interval"
            : `interval ${show(100 * curve.low[k], "", 4)} to ${show(100 * curve.high[k], "%", 4)}`],
      }));
      return { look: policies[i].look, points, hasLine: true, hasBand: true };
    });
    const least = Math.max(1e-4, Math.min(0.1, 10 / Math.max(1, ...drawn.map((i) => curves[i].n))));
    chart.draw({
      title: isTail ? "Time to first token: the tail" : "Time to first token: distribution",
      x: { label: "time to first token at the client [s]", isLog },
      y: isTail ? { label: "share of requests still waiting", isLog: true, low: least, high: 1 }
        : { label: "share of requests served within", low: 0, high: 1 },
      series,
    });
  };
  const failed = drawn.filter((i) => curves[i].failed > 0)
    .map((i) => `${policies[i].name} ${show(100 * curves[i].failed, "%", 3)}`);
  host.append(
    el("div", { class: "controls" },
      chooser("show", ["distribution", "tail"], (i) => { isTail = i === 1; draw(); }).node,
      checkbox("logarithmic time", isLog, (isOn) => { isLog = isOn; draw(); })),
    ...(failed.length ? [el("p", {}, `Failed requests never get a first token, so the curve ends below 1: ${failed.join(", ")}.`)] : []),
    legend(drawn, true, false), chart.host);
  redraws.push(draw);
  draw();
}

// --- the server over time --------------------------------------------------------------------------------------

function seriesView(host) {
  const { curves, panels, stepS } = data.series;
  const drawn = everyPolicy().filter((i) => curves[i]);
  let panel = panels[0];
  const chart = new Chart(el("div"));
  const draw = () => {
    const series = drawn.filter(isShown).map((i) => ({
      look: policies[i].look, hasLine: true,
      points: curves[i].t_s.map((t, k) => ({
        x: t, y: curves[i][panel.name][k],
        tip: () => [policies[i].name, `${panel.label}: ${show(curves[i][panel.name][k])}`, `at ${show(t, "s", 6)}`],
      })),
    }));
    chart.draw({
      title: `The server over time: ${panel.label}`,
      x: { label: "time [s]", low: 0 },
      y: { label: panel.label, low: 0 },
      series,
    });
  };
  const each = stepS === 1 ? "by the second, as it stood at its end" : `means of ${show(stepS, "s")}`;
  host.append(
    el("div", { class: "controls" },
      chooser("show", panels.map((p) => p.label), (i) => { panel = panels[i]; draw(); }).node),
    el("p", { class: "about" }, `First replication, ${each}; all replicas together.`),
    legend(drawn, true, false), chart.host);
  redraws.push(draw);
  draw();
}

// --- cost against TTFT -----------------------------------------------------------------------------------------

function costView(host) {
  const find = (name) => data.summary.metrics.find((metric) => metric.name === name);
  const cost = find("unified_cost_mean_usd");
  const waits = ["ttft_mean_s", "ttft_p99_s"].map(find).filter(Boolean);
  if (!cost || !waits.length) {
    host.append(el("p", {}, "No request finished, so there is no TTFT to set against the cost."));
    return;
  }
  let wait = waits[0];
  let isLog = false;
  const chart = new Chart(el("div"));
  const around = (v, h) => (finite(h) ? [v - h, v + h] : [null, null]);
  const draw = () => {
    const series = everyPolicy().filter(isShown).map((i) => {
      const [c, ch] = cost.rows[i];
      const [w, wh] = wait.rows[i];
      const [x0, x1] = around(c, ch);
      const [y0, y1] = around(w, wh);
      const tip = () => [policies[i].name + (policies[i].isBaseline ? " (baseline)" : ""),
        `cost ${said(cost, c)}${ch ? ` ± ${said(cost, ch, 3)}` : ""} ${cost.per}`,
        `${wait.label} ${said(wait, w)}${wh ? ` ± ${said(wait, wh, 3)}` : ""}`];
      return { look: policies[i].look, points: [{ x: c, y: w, x0, x1, y0, y1, tip, label: policies[i].name }], hasMarks: true, radius: 6 };
    });
    chart.draw({
      title: `Unified cost against ${wait.label}`,
      x: { label: `${unitLabel(cost)}; ← cheaper`, isLog },
      y: { label: `${unitLabel(wait)}; ↓ faster`, isLog },
      series,
    });
  };
  host.append(
    el("div", { class: "controls" },
      chooser("waiting", waits.map((metric) => metric.label), (i) => { wait = waits[i]; draw(); }).node,
      checkbox("logarithmic axes", isLog, (isOn) => { isLog = isOn; draw(); })),
    el("p", { class: "about" }, "Server price plus device energy at the scenario's exchange rate, which is its choice."),
    legend(everyPolicy(), false, true), chart.host);
  redraws.push(draw);
  draw();
}

// --- a metric against what was varied --------------------------------------------------------------------------

function gridView(host) {
  const { grids } = data;
  const place = el("div");
  if (grids.length > 1) {
    const names = grids.map((grid) => grid.name);
    host.append(el("div", { class: "controls" }, chooser("table", names, (i) => oneGrid(place, grids[i])).node));
  }
  host.append(place);
  oneGrid(place, grids[0]);
}

function oneGrid(place, grid) {
  const { axes, metrics, cells } = grid;
  let metric = metrics[Math.max(0, metrics.findIndex((m) => m.name === grid.first))];
  let across = Math.max(0, axes.findIndex((axis) => axis.numbers && axis.values.length > 1));
  const fixed = axes.map(() => 0);
  const used = [...new Set(cells.map((cell) => cell.policy))].sort((a, b) => a - b);
  const chart = new Chart(el("div"));
  const about = el("p", { class: "about" });
  const controls = el("div", { class: "controls" });
  const below = el("div", { class: "below" });
  let isLog = false;
  const draw = () => {
    const axis = axes[across];
    const isOther = (cell) => cell.at.some((v, k) => k !== across && v !== fixed[k]);
    const visible = used.filter(isShown);
    const series = visible.map((i, order) => {
      const mine = cells.map((cell, k) => [cell, k]).filter(([cell]) => cell.policy === i && !isOther(cell));
      const points = mine.map(([cell, k]) => {
        const [y, half, n] = [metric.mean[k], metric.half[k], metric.n[k]];
        const wide = metric.wide ? metric.wide[k] : null;
        const place = axis ? cell.at[across] : 0;
        return { x: axis && axis.numbers ? axis.numbers[place] : place, y,
          y0: finite(half) ? y - half : null, y1: finite(half) ? y + half : null,
          yWide: isWider(half, wide) ? [y - wide, y + wide] : null,
          beside: axis && axis.numbers ? null : [order, visible.length],
          tip: () => [policies[i].name, ...axes.map((a, j) => `${a.label} = ${a.values[cell.at[j]]}`),
            `${metric.label}: ${said(metric, y)}${metric.per ? ` ${metric.per}` : ""}`, interval(y, half, metric, n, grid.sample),
            ...(isWider(half, wide) ? [`with inputs ± ${said(metric, wide, 3)}`] : [])] };
      }).sort((a, b) => a.x - b.x);
      return { look: policies[i].look, points, hasMarks: true, hasLine: Boolean(axis && axis.numbers), radius: 5 };
    });
    const held = axes.map((a, j) => (j === across || a.values.length < 2 ? "" : `${a.label} = ${a.values[fixed[j]]}`));
    chart.draw({
      title: sentenceCase([axis ? `${metric.label} against ${axis.label}` : metric.label, ...held.filter(Boolean)].join("; ")),
      x: axis && axis.numbers ? { label: axis.label } : { label: axis ? axis.label : "", names: axis ? axis.values : [""] },
      y: { label: unitLabel(metric), isLog },
      series,
    });
    about.textContent = `${metric.about || ""}${better(metric)}`;
    below.replaceChildren(...bothLegend(Boolean(metric.wide)));
  };
  const build = () => {
    controls.replaceChildren(
      chooser("metric", metrics.map(inUnit), (i) => { metric = metrics[i]; draw(); }, metrics.indexOf(metric)).node,
      ...(axes.length > 1 ? [chooser("against", axes.map((a) => a.label), (i) => { across = i; build(); draw(); }, across).node] : []),
      ...axes.map((a, j) => (j === across || a.values.length < 2 ? null
        : chooser(a.label, a.values, (i) => { fixed[j] = i; draw(); }, fixed[j]).node)).filter(Boolean),
      checkbox("logarithmic", isLog, (isOn) => { isLog = isOn; draw(); }));
  };
  build();
  redraws.length = 0; // the other views of such a page do not depend on what is hidden
  place.replaceChildren(controls, about, legend(used, true, true), chart.host, below);
  redraws.push(draw);
  draw();
}
