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
    ...entries.map(([look, hasLine, name]) => el("span", { class: "key" }, sample(look, hasLine, !hasLine), name)));
}

function everyPolicy() {
  return policies.map((_, i) => i);
}

function interval(mean, half, unit, n, sampleName) {
  if (!finite(half)) return n > 1 ? "no interval" : `one ${sampleName.replace(/s$/, "")}, no interval`;
  const level = data.summary ? 100 * data.summary.level : 95;
  return `${level} % interval ${show(mean - half)} to ${show(mean + half, unit)}, ${n} ${sampleName}`;
}

function better(metric) {
  return metric.direction === "neutral" || !metric.direction ? "" : ` (${metric.direction} is better)`;
}

// --- policies compared -----------------------------------------------------------------------------------------

const MODES = ["value", "difference to the baseline", "change to the baseline in %"];

function policiesView(host) {
  const { metrics, n } = data.summary;
  const names = metrics.map((metric) => inUnit(metric.name, metric.unit));
  let metric = metrics[Math.max(0, metrics.findIndex((m) => m.name === "ttft_mean_s"))];
  let mode = 0;
  const chart = new Chart(el("div"));
  const about = el("p", { class: "about" });
  const baseline = policies.find((policy) => policy.isBaseline);
  const draw = () => {
    const unit = mode === 2 ? "%" : metric.unit;
    const rows = everyPolicy().filter((i) => isShown(i) && !(mode && policies[i].isBaseline));
    const points = rows.map((i, row) => {
      const [mean, half, diff, diffHalf, change, changeHalf] = metric.rows[i];
      const [x, h] = [[mean, half], [diff, diffHalf], [change, changeHalf]][mode];
      return { x, y: row, x0: finite(h) ? x - h : null, x1: finite(h) ? x + h : null, look: policies[i].look,
        tip: () => [policies[i].name, `${metric.name}: ${show(mean, metric.unit)}`,
          interval(mean, half, metric.unit, n, "replications"),
          ...(policies[i].isBaseline || !finite(diff) ? [] : [
            `against ${baseline.name}: ${signed(diff, metric.unit)}` +
              (finite(diffHalf) ? ` ± ${show(diffHalf, metric.unit)}` : "") +
              (finite(change) ? ` (${signed(change, "%", 3)})` : "") + ", paired"])] };
    });
    chart.draw({
      title: mode ? `${metric.name}: ${MODES[mode]} ${baseline.name}` : metric.name,
      x: { label: inUnit(mode === 1 ? `difference in ${metric.name}` : mode ? `change of ${metric.name}` : metric.name, unit), hasZero: mode > 0 },
      y: { names: rows.map((i) => policies[i].name), label: "policy" },
      rules: mode ? [{ x: 0 }] : [],
      series: [{ look: {}, points, hasMarks: true, radius: 6 }],
    });
    about.textContent = `${metric.about}${better(metric)}`;
  };
  host.append(
    el("div", { class: "controls" },
      chooser("metric", names, (i) => { metric = metrics[i]; draw(); }, metrics.indexOf(metric)).node,
      ...(policies.length > 1 ? [chooser("show", MODES, (i) => { mode = i; draw(); }).node] : [])),
    about, legend(everyPolicy(), false, true), chart.host);
  redraws.push(draw);
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
      x: { label: "TTFT at the client [s]", isLog },
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
  const draw = () => {
    const series = everyPolicy().filter(isShown).map((i) => {
      const [c, ch] = cost.rows[i].map((v) => (v === null ? null : 1000 * v));
      const [w, wh] = wait.rows[i];
      const around = (v, h) => (finite(h) ? [v - h, v + h] : [null, null]);
      const [x0, x1] = around(c, ch);
      const [y0, y1] = around(w, wh);
      const tip = () => [policies[i].name + (policies[i].isBaseline ? " (baseline)" : ""),
        `cost ${show(c, "USD")}${finite(ch) ? ` ± ${show(ch, "USD", 3)}` : ""} per 1,000 requests`,
        `${wait.name} ${show(w, "s")}${finite(wh) ? ` ± ${show(wh, "s", 3)}` : ""}`];
      return { look: policies[i].look, points: [{ x: c, y: w, x0, x1, y0, y1, tip }], hasMarks: true, radius: 6 };
    });
    chart.draw({
      title: `Unified cost against ${wait.name}`,
      x: { label: "unified cost per 1,000 requests [USD]; ← cheaper", isLog },
      y: { label: `${wait.name} [s]; ↓ faster`, isLog },
      series,
    });
  };
  host.append(
    el("div", { class: "controls" },
      chooser("TTFT", waits.map((metric) => metric.name), (i) => { wait = waits[i]; draw(); }).node,
      checkbox("logarithmic axes", isLog, (isOn) => { isLog = isOn; draw(); })),
    el("p", { class: "about" }, "Server price plus device energy at the scenario's exchange rate, which is its choice."),
    legend(everyPolicy(), false, true), chart.host);
  redraws.push(draw);
  draw();
}

// --- one request -----------------------------------------------------------------------------------------------

const MAKERS = {
  device: { fill: "var(--p6)", marker: "s" },
  server: { fill: "var(--p1)", marker: "o" },
  edge: { fill: "var(--p3)", marker: "D" },
};
const SHOWN = { fill: "var(--ink)", marker: "o" };
const IDEAL = { fill: "var(--soft)", dash: "2 3", marker: "o" };
const SHARP_GAP = 1.5; // a gap counts as long from this many reading intervals on

function requestsView(host) {
  const { runs, nRunsLeftOut } = data.examples;
  const place = el("div");
  if (runs.length > 1) {
    host.append(
      el("p", { class: "about" }, "One run of each point" + (nRunsLeftOut ? `; ${nRunsLeftOut} points are left out here` : "") + "."),
      el("div", { class: "controls" }, chooser("run", runs.map((run) => run.name), (i) => requestsOf(place, runs[i])).node));
  }
  host.append(place);
  requestsOf(place, runs[0]);
}

function requestsOf(place, { requests, facts, nLeftOut }) {
  let request = 0;
  let policy = Math.max(0, requests[0].answers.findIndex((answer) => answer && handOvers(answer).length));
  const words = el("p");
  const list = el("dl", { class: "facts" });
  const time = new Chart(el("div"));
  const gaps = new Chart(el("div"));
  const draw = () => {
    const asked = requests[request];
    const answer = asked.answers[policy];
    words.textContent = inWords(asked, answer);
    const cells = [["arrival", show(asked.arrival_s, "s", 6)], ["prompt", show(asked.prompt_tok, "tok")],
      ["answer", show(asked.output_tok, "tok")], ["reader", show(asked.reader_tok_per_s, "tok/s")],
      ...(answer ? facts.map((fact, k) => [fact.name, show(answer.facts[k], fact.unit), fact.about]) : [])];
    list.replaceChildren(...cells.filter(([, text]) => text !== "n/a")
      .map(([name, text, about]) => el("div", { title: about }, el("dt", {}, name), el("dd", {}, text))));
    drawTimeline(time, asked, answer, policies[policy].name);
    drawGaps(gaps, asked, answer);
  };
  const label = (asked) =>
    `request ${asked.id}: prompt ${show(asked.prompt_tok)}, answer ${show(asked.output_tok)} tok` +
    (asked.answers.some((answer) => answer && handOvers(answer).length) ? ", handed over" : "");
  const which = chooser("request", requests.map(label), (i) => { request = i; draw(); }, request);
  const step = (by) => {
    request = (request + by + requests.length) % requests.length;
    which.select.value = String(request);
    draw();
  };
  place.replaceChildren(
    el("p", { class: "about" }, `The run keeps every token of ${requests.length + nLeftOut} telling requests of replication ` +
      `${requests[0].replication}${nLeftOut ? `; ${nLeftOut} of them are left out here because they are long` : ""}.`),
    el("div", { class: "controls" },
      chooser("policy", policies.map((p) => p.name), (i) => { policy = i; draw(); }, policy).node, which.node,
      el("button", { type: "button", onclick: () => step(-1) }, "← previous"),
      el("button", { type: "button", onclick: () => step(1) }, "next →")),
    words,
    keys([...Object.entries(MAKERS)
      .filter(([name]) => requests.some((r) => r.answers.some((a) => a && a.by.some((by) => roleOf(by) === name))))
      .map(([name, look]) => [look, false, `token of the ${name}, when it reaches the client`]),
    [SHOWN, true, "displayed"], [IDEAL, true, "reader's schedule from the TTFT target on"]]),
    time.host, gaps.host, list);
  draw();
}

// device and edge have one name each; whoever else made a token is a service with a name of its own
function roleOf(by) {
  return Object.hasOwn(MAKERS, by) ? by : "server";
}

function called(by) {
  return Object.hasOwn(MAKERS, by) ? by : `service ${by}`;
}

function handOvers(answer) {
  return answer.by.map((_, k) => k).filter((k) => k > 0 && answer.by[k] !== answer.by[k - 1]);
}

function inWords(asked, answer) {
  if (!answer) return "This policy did not meet the request.";
  const asks = [answer.device && "device", answer.server && "server", answer.by.includes("edge") && "edge"].filter(Boolean).join(" and ") || "nobody directly";
  if (!answer.by.length) return `Asked: ${asks}. The request was not answered (${answer.status}).`;
  const turns = handOvers(answer)
    .map((k) => `token ${k + 1} at ${show(answer.came[k], "s", 3)} to the ${called(answer.by[k])}`);
  const late = answer.late.reduce((sum, v) => sum + v, 0);
  return `Asked: ${asks}. The ${called(answer.by[0])} gave the first token after ${show(answer.shown[0], "s", 3)}; ` +
    (turns.length ? `handed over: ${turns.slice(0, 4).join(", ")}${turns.length > 4 ? " and more" : ""}; ` : "no hand-over; ") +
    (late ? `${late} tokens came after their slot.` : "every token came before its slot.");
}

function tokenTip(answer, k) {
  const lines = [`token ${k + 1} of ${answer.by.length}`, `made by the ${called(answer.by[k])} at ${show(answer.made[k], "s")}`,
    `at the client ${show(answer.came[k], "s")}`, `displayed ${show(answer.shown[k], "s")}`];
  if (k) lines.push(`gap on the screen ${show(answer.shown[k] - answer.shown[k - 1], "s", 3)}`);
  if (k && answer.by[k] !== answer.by[k - 1]) lines.push(`hand-over: the ${called(answer.by[k - 1])} made the one before`);
  if (answer.late[k]) lines.push("late: after its slot in the reading schedule");
  return () => lines;
}

function drawTimeline(chart, asked, answer, name) {
  const title = `Request ${asked.id} under ${name}`;
  if (!answer || !answer.by.length) {
    chart.draw({ title, x: { label: "time since the request [s]" }, y: { label: "tokens" }, series: [] });
    return;
  }
  const indices = answer.by.map((_, k) => k);
  const arrived = indices.map((k) => (
    { x: answer.came[k], y: k + 1, look: MAKERS[roleOf(answer.by[k])], tip: tokenTip(answer, k) }));
  const displayed = indices.map((k) => ({ x: answer.shown[k], y: k + 1, tip: tokenTip(answer, k) }));
  const end = 1.02 * Math.min(answer.shown[answer.shown.length - 1], 2.5 * Math.max(...answer.came, asked.ttft_target_s));
  const ideal = indices.map((k) => ({ x: asked.ttft_target_s + k / asked.reader_tok_per_s, y: k + 1 }))
    .filter((p) => p.x <= end);
  const starts = [0, ...handOvers(answer)];
  const spans = starts.map((k, i) => {
    const last = (starts[i + 1] ?? answer.by.length) - 1;
    return { x0: answer.made[k], x1: Math.max(answer.made[last], answer.made[k]), look: MAKERS[roleOf(answer.by[k])],
      label: `made by the ${called(answer.by[k])}` };
  });
  chart.draw({
    title,
    x: { label: "time since the request [s]", low: 0, high: end },
    y: { label: "tokens", low: 0 },
    spans: spans.slice(0, 60),
    rules: [{ x: 0, label: "arrival", row: 0 }, { x: answer.shown[0], label: `TTFT ${show(answer.shown[0], "s", 3)}`, row: 1 },
      ...handOvers(answer).slice(0, 8).map((k, i) => ({ x: answer.came[k], label: i < 3 ? "hand-over" : "", row: 2 + i }))],
    series: [{ look: IDEAL, points: ideal, hasLine: true }, { look: SHOWN, points: displayed, hasLine: true, isStep: true },
      { look: MAKERS.server, points: arrived, hasMarks: true, radius: indices.length > 150 ? 2.5 : 3.5 }],
    height: 360,
  });
}

function drawGaps(chart, asked, answer) {
  const slot = 1 / asked.reader_tok_per_s;
  const times = answer ? answer.shown : [];
  const points = times.slice(1).map((t, k) => ({
    x: k + 2, y: t - times[k], look: t - times[k] > SHARP_GAP * slot ? { fill: "var(--p2)", marker: "^" } : MAKERS[roleOf(answer.by[k + 1])],
    tip: tokenTip(answer, k + 1) }));
  chart.draw({
    title: `Gaps between displayed tokens; the reader takes ${show(slot, "s", 3)} per token`,
    x: { label: "token" },
    y: { label: "gap before the token [s]; ▲ long ones", low: 0 },
    series: [{ look: SHOWN, points, hasStems: true, hasMarks: true, radius: 3 }],
    height: 210,
  });
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
  let isLog = false;
  const draw = () => {
    const axis = axes[across];
    const isOther = (cell) => cell.at.some((v, k) => k !== across && v !== fixed[k]);
    const visible = used.filter(isShown);
    const series = visible.map((i, order) => {
      const mine = cells.map((cell, k) => [cell, k]).filter(([cell]) => cell.policy === i && !isOther(cell));
      const points = mine.map(([cell, k]) => {
        const [y, half, n] = [metric.mean[k], metric.half[k], metric.n[k]];
        const place = axis ? cell.at[across] : 0;
        return { x: axis && axis.numbers ? axis.numbers[place] : place, y,
          y0: finite(half) ? y - half : null, y1: finite(half) ? y + half : null,
          beside: axis && axis.numbers ? null : [order, visible.length],
          tip: () => [policies[i].name, ...axes.map((a, j) => `${a.label} = ${a.values[cell.at[j]]}`),
            `${metric.name}: ${show(y, metric.unit)}`, interval(y, half, metric.unit, n, grid.sample)] };
      }).sort((a, b) => a.x - b.x);
      return { look: policies[i].look, points, hasMarks: true, hasLine: Boolean(axis && axis.numbers), radius: 5 };
    });
    const held = axes.map((a, j) => (j === across || a.values.length < 2 ? "" : `${a.label} = ${a.values[fixed[j]]}`));
    chart.draw({
      title: [axis ? `${metric.name} against ${axis.label}` : metric.name, ...held.filter(Boolean)].join("; "),
      x: axis && axis.numbers ? { label: axis.label } : { label: axis ? axis.label : "", names: axis ? axis.values : [""] },
      y: { label: inUnit(metric.name, metric.unit), isLog },
      series,
    });
    about.textContent = `${metric.about || ""}${better(metric)}`;
  };
  const build = () => {
    controls.replaceChildren(
      chooser("metric", metrics.map((m) => inUnit(m.name, m.unit)), (i) => { metric = metrics[i]; draw(); }, metrics.indexOf(metric)).node,
      ...(axes.length > 1 ? [chooser("against", axes.map((a) => a.label), (i) => { across = i; build(); draw(); }, across).node] : []),
      ...axes.map((a, j) => (j === across || a.values.length < 2 ? null
        : chooser(a.label, a.values, (i) => { fixed[j] = i; draw(); }, fixed[j]).node)).filter(Boolean),
      checkbox("logarithmic", isLog, (isOn) => { isLog = isOn; draw(); }));
  };
  build();
  redraws.length = 0; // the other views of such a page do not depend on what is hidden
  place.replaceChildren(controls, about, legend(used, true, true), chart.host);
  redraws.push(draw);
  draw();
}

// --- begin -----------------------------------------------------------------------------------------------------

const VIEWS = { policies: policiesView, cdf: cdfView, series: seriesView, cost: costView, requests: requestsView, grid: gridView };
for (const host of document.querySelectorAll("[data-view]")) VIEWS[host.dataset.view](host);
