// One request, token by token: who made it, when it came, when it was shown, and what was made in vain.

const MAKERS = {
  device: { fill: "var(--p6)", marker: "s" },
  server: { fill: "var(--p1)", marker: "o" },
  edge: { fill: "var(--p3)", marker: "D" },
};
const SHOWN = { fill: "var(--ink)", marker: "o" };
const IDEAL = { fill: "var(--soft)", dash: "2 3", marker: "o" };
const VAIN = { fill: "var(--soft)" };
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
    const cells = [["arrival", show(asked.arrival_s, "s", 6)], ["prompt", show(asked.prompt_tok, "tokens")],
      ["answer", show(asked.output_tok, "tokens")], ["reader", show(asked.reader_tok_per_s, "tokens/s")],
      ...(answer ? facts.map((fact, k) => [fact.label, said(fact, answer.facts[k]) + (fact.per ? ` ${fact.per}` : ""), fact.about]) : [])];
    list.replaceChildren(...cells.filter(([, text]) => text !== "n/a")
      .map(([name, text, about]) => el("div", { title: about }, el("dt", {}, name), el("dd", {}, text))));
    drawTimeline(time, asked, answer, policies[policy].name);
    drawGaps(gaps, asked, answer);
  };
  const label = (asked) =>
    `request ${asked.id}: prompt ${show(asked.prompt_tok)}, answer ${show(asked.output_tok)} tokens` +
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
    [SHOWN, true, "displayed"], [IDEAL, true, "reader's schedule from the target on"],
    ...(requests.some((r) => r.answers.some((a) => a && a.vain.length)) ? [[VAIN, "bar", "work that nobody saw; its time is estimated"]] : [])]),
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
    (late ? `${late} tokens came after their slot in the schedule of a reader who starts with the first token.`
      : "once it had begun, no token kept the reader waiting.");
}

function tokenTip(answer, k) {
  const lines = [`token ${k + 1} of ${answer.by.length}`, `made by the ${called(answer.by[k])} at ${show(answer.made[k], "s")}`,
    `at the client ${show(answer.came[k], "s")}`, `displayed ${show(answer.shown[k], "s")}`];
  if (k) lines.push(`gap on the screen ${show(answer.shown[k] - answer.shown[k - 1], "s", 3)}`);
  if (k && answer.by[k] !== answer.by[k - 1]) lines.push(`hand-over: the ${called(answer.by[k - 1])} made the one before`);
  if (answer.late[k]) lines.push("late: after its slot in the reading schedule");
  return () => lines;
}

// One lane for each endpoint that worked: what it made of the answer, and what it made in vain. When that was is not
// recorded: of an endpoint that gave no token, from the request to the first token of the other; else after its last one.
function lanesOf(answer) {
  const bars = new Map();
  const add = (name, bar) => bars.set(name, [...(bars.get(name) || []), bar]);
  const starts = [0, ...handOvers(answer)];
  starts.slice(0, 60).forEach((k, i) => {
    const last = (starts[i + 1] ?? answer.by.length) - 1;
    const [x0, x1] = [answer.made[k], Math.max(answer.made[last], answer.made[k])];
    add(answer.by[k], { x0, x1, look: MAKERS[roleOf(answer.by[k])],
      tip: () => [`${called(answer.by[k])}: tokens ${k + 1} to ${last + 1}`, `made from ${show(x0, "s")} to ${show(x1, "s")}`] });
  });
  for (const { by, tok, prompt } of answer.vain) {
    const mine = answer.by.map((name, k) => k).filter((k) => roleOf(answer.by[k]) === by);
    const [first, last] = [answer.made[mine[0]], answer.made[mine[mine.length - 1]]];
    const name = mine.length ? answer.by[mine[mine.length - 1]] : by;
    const vain = (x0, x1, ...lines) => add(name, { x0, x1, look: MAKERS[by], isVain: true,
      tip: () => [`${called(name)}: nobody saw this`, ...lines, "when is estimated"] });
    const read = prompt ? [`${show(prompt)} prompt tokens read in vain`] : [];
    const made = tok ? [`${show(tok)} tokens made and never shown`] : [];
    if (!mine.length) {
      vain(0, answer.shown[0], ...read, ...made);
      continue;
    }
    if (prompt) vain(0, Math.min(answer.shown[0], first), ...read);
    if (tok) vain(last, last + tok * (mine.length > 1 ? (last - first) / (mine.length - 1) : 0.05), ...made);
  }
  return [...bars].map(([label, held]) => ({ label, bars: held }));
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
  const last = answer.shown[answer.shown.length - 1];
  const end = 1.02 * Math.min(last, 2.5 * Math.max(...answer.came, asked.ttft_target_s));
  const cut = last > end ? `; the last token is displayed at ${show(last, "s", 3)}` : "";
  const ideal = indices.map((k) => ({ x: asked.ttft_target_s + k / asked.reader_tok_per_s, y: k + 1 }))
    .filter((p) => p.x <= end);
  chart.draw({
    title,
    x: { label: `time since the request [s]${cut}`, low: 0, high: end },
    y: { label: "tokens", low: 0 },
    lanes: lanesOf(answer),
    rules: [{ x: answer.shown[0], label: `first token ${show(answer.shown[0], "s", 3)}` },
      ...handOvers(answer).slice(0, 8).map((k, i) => ({ x: answer.came[k], label: i < 3 ? `handed over at token ${k + 1}` : "" }))],
    series: [{ look: IDEAL, points: ideal, hasLine: true }, { look: SHOWN, points: displayed, hasLine: true, isStep: true },
      { look: MAKERS.server, points: arrived, hasMarks: true, radius: indices.length > 150 ? 2.5 : 3.5 }],
    height: 380,
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
