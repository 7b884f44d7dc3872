"use strict";
// One chart: axes, lines, bands, markers with intervals; a tip for whoever points, touches or uses the arrow keys.
// Every name reaches the page as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const REACH_PX = 40;
const LANE_PX = 20;
const ROW_PX = 26;

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children); // strings become text nodes
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// --- numbers ---------------------------------------------------------------------------------------------------

function show(value, unit = "", digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "n/a";
  const size = Math.abs(value);
  const options = size > 0 && size < 1e9 && !Number.isInteger(value) ? { maximumSignificantDigits: digits } : {};
  if (size > 0 && size < 1e-9) return "0"; // nothing on this page is measured that finely
  const text = value.toLocaleString("en-GB", options).replace("-", "−");
  return unit && unit !== "1" ? `${text}\u00a0${unit}` : text;
}

// a number of a metric: money has its sign in front, all else its unit behind
function said(metric, value, digits = 4) {
  const text = show(value, metric.unit, digits);
  if (!metric.prefix || text === "n/a") return text;
  return text.startsWith("−") ? `−${metric.prefix}${text.slice(1)}` : metric.prefix + text;
}

function signed(metric, value, digits = 4) {
  return value > 0 ? `+${said(metric, value, digits)}` : said(metric, value, digits);
}

function unitLabel(metric, name = metric.label) {
  const unit = [metric.prefix || metric.unit, metric.per].filter(Boolean).join(" ");
  return unit ? `${name} [${unit}]` : name;
}

function inUnit(metric) {
  return unitLabel(metric);
}

function sentenceCase(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// --- scales ----------------------------------------------------------------------------------------------------

function linearScale(low, high, from, to) {
  const at = (v) => from + ((v - low) / (high - low)) * (to - from);
  const ticks = (n) => {
    const rough = (high - low) / Math.max(n, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough * 0.999);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
    return found.map((v) => [v, show(Number(v.toPrecision(12)), "", 6)]);
  };
  return { at, ticks };
}

function logScale(low, high, from, to) {
  const at = (v) => from + (Math.log(v / low) / Math.log(high / low)) * (to - from);
  const ticks = (n) => {
    const decades = Math.log10(high / low);
    const steps = decades * 3 <= n ? [1, 2, 5] : [1];
    const skip = Math.max(1, Math.ceil(decades / n));
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
      if (e % skip) continue;
      for (const step of steps) {
        const v = Number((step * 10 ** e).toPrecision(12));
        if (v >= low * 0.999 && v <= high * 1.001) found.push(v);
      }
    }
    return found.map((v) => [v, show(v)]);
  };
  return { at, ticks };
}

function bandScale(names, from, to) {
  const width = (to - from) / Math.max(names.length, 1);
  return { at: (i) => from + (i + 0.5) * width, ticks: () => names.map((name, i) => [i, name]), width: Math.abs(width) };
}

function makeScale(axis, values, from, to) {
  if (axis.names) return bandScale(axis.names, from, to);
  const known = values.filter((v) => v !== null && Number.isFinite(v) && (!axis.isLog || v > 0));
  if (axis.hasZero && known.length) known.push(0);
  let low = axis.low ?? Math.min(...known);
  let high = axis.high ?? Math.max(...known);
  if (!known.length) [low, high] = [axis.isLog ? 0.1 : 0, 1];
  if (axis.isLog) {
    const room = axis.low === undefined ? 1.1 : 1;
    return logScale(low / room, (high > low ? high : low * 2) * (axis.high === undefined ? 1.1 : 1), from, to);
  }
  if (high - low < 1e-12 * Math.max(1e-6, Math.abs(high))) {
    const half = Math.abs(high) * 0.1 || 1;
    [low, high] = [low - half, high + half];
  }
  const room = 0.06 * (high - low);
  const isFromZero = low >= 0 && low - room < 0.35 * high;
  low = axis.low ?? (isFromZero ? 0 : low - room);
  high = axis.high ?? high + room;
  return linearScale(low, high, from, to);
}

// --- looks -----------------------------------------------------------------------------------------------------

const SHAPES = {
  o: (r) => `M${r},0A${r},${r} 0 1 1 ${-r},0A${r},${r} 0 1 1 ${r},0Z`,
  s: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  "^": (r) => `M0,${-1.2 * r}L${1.1 * r},${r}H${-1.1 * r}Z`,
  v: (r) => `M0,${1.2 * r}L${1.1 * r},${-r}H${-1.1 * r}Z`,
  D: (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0Z`,
  P: (r) => plus(r, 0.4 * r),
  X: (r) => plus(1.2 * r, 0.45 * r),
};

function plus(r, h) {
  return `M${-h},${-r}H${h}V${-h}H${r}V${h}H${h}V${r}H${-h}V${h}H${-r}V${-h}H${-h}Z`;
}

function markPath(look, x, y, r) {
  const turn = look.marker === "X" ? " rotate(45)" : "";
  return svg("path", {
    d: (SHAPES[look.marker] || SHAPES.o)(r),
    transform: `translate(${x.toFixed(2)},${y.toFixed(2)})${turn}`,
    fill: look.fill,
    class: "mark",
  });
}

function policyLook(policy) {
  return { name: policy.name, fill: `var(--p${policy.colour})`, dash: policy.dash, marker: policy.marker };
}

function sample(look, hasLine, hasMark) {
  const picture = svg("svg", { width: 28, height: 14, viewBox: "0 0 28 14", "aria-hidden": "true" });
  if (hasLine) {
    picture.append(
      svg("line", { x1: 1, x2: 27, y1: 7, y2: 7, stroke: look.fill, "stroke-width": 2, "stroke-dasharray": look.dash })
    );
  }
  if (hasMark) picture.append(markPath(look, 14, 7, 4.5));
  return picture;
}

// --- the chart -------------------------------------------------------------------------------------------------

// spec: title, x, y: {label, isLog, names, low, high}, series: [{look, points: [{x, y, x0, x1, y0, y1, tip, look}],
//       hasLine, hasMarks, hasBand, isStep, hasStems}], rules: [{x, label}], height,
//       lanes: [{label, bars: [{x0, x1, look, isVain, tip}]}]; xWide and yWide of a point are its wider interval
class Chart {
  constructor(host) {
    this.host = host;
    this.host.classList.add("chart");
    this.tip = el("div", { class: "tip", hidden: "", role: "status" });
    this.spec = null;
    this.width = 0;
    new ResizeObserver(() => {
      if (this.spec && Math.abs(this.host.clientWidth - this.width) > 1) this.draw(this.spec);
    }).observe(host);
  }

  draw(spec) {
    this.spec = spec;
    this.picked = -1;
    this.targets = [];
    this.width = Math.max(this.host.clientWidth, 260);
    const { width } = this;
    const nRows = spec.y.names ? spec.y.names.length : 0;
    const height = spec.height || (nRows ? (spec.x.label ? 56 : 38) + ROW_PX * nRows : Math.round(Math.min(400, Math.max(270, 0.42 * width))));
    const longest = spec.y.names ? Math.max(0, ...spec.y.names.map((name) => name.length)) : 7;
    const head = spec.y.label ? 26 : 10;
    const lanes = spec.lanes || [];
    const nLabels = (spec.rules || []).filter((rule) => rule.label).length;
    const words = nLabels ? 15 * Math.min(nLabels, width < 600 ? 4 : 2) + 3 : 0; // labels of rules stand above the points
    const strip = (lanes.length ? LANE_PX * lanes.length + 4 : 0) + words;
    this.aboveRules = words;
    const frame = {
      left: Math.min(14 + 7 * longest, Math.round(0.38 * width)),
      right: width - 14,
      top: head + strip,
      bottom: height - (spec.x.names ? 52 : spec.x.label ? 40 : 22),
    };
    const picture = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, height, role: "img", tabindex: "0",
      "aria-label": `${spec.title}. ${spec.x.label || ""} against ${spec.y.label || ""}. Arrow keys visit the points.`,
    });
    const all = spec.series.flatMap((series) => series.points);
    this.x = makeScale(spec.x, all.flatMap((p) => [p.x, p.x0, p.x1, ...(p.xWide || [])]), frame.left, frame.right);
    const [yFrom, yTo] = spec.y.names ? [frame.top, frame.bottom] : [frame.bottom, frame.top];
    this.y = makeScale(spec.y, all.flatMap((p) => [p.y, p.y0, p.y1, ...(p.yWide || [])]), yFrom, yTo);
    this.axes(picture, spec, frame, width, height);
    const clip = `clip-${Math.random().toString(36).slice(2)}`;
    picture.append(
      svg("clipPath", { id: clip },
        svg("rect", { x: frame.left - 6, y: frame.top - 6, width: frame.right - frame.left + 12,
          height: frame.bottom - frame.top + 12 }))
    );
    const inside = svg("g", { "clip-path": `url(#${clip})` });
    picture.append(inside);
    lanes.forEach((lane, row) => this.lane(picture, lane, head + LANE_PX * row, frame));
    const texts = (spec.rules || []).map((rule) => this.rule(picture, rule, frame)).filter(Boolean);
    for (const series of spec.series) this.series(inside, series, frame);
    for (const target of this.targets) if (target.label) texts.push(this.name(picture, target, frame));
    if (!all.length) {
      picture.append(svg("text", { x: (frame.left + frame.right) / 2, y: (frame.top + frame.bottom) / 2,
        "text-anchor": "middle", class: "label" }, "Nothing to show: all are hidden, or undefined."));
    }
    this.ring = svg("circle", { r: 9, class: "picked", visibility: "hidden" });
    picture.append(this.ring);
    this.listen(picture);
    this.tip.hidden = true;
    this.host.replaceChildren(el("h3", {}, spec.title), picture, this.tip);
    this.place(texts, frame);
  }

  axes(picture, spec, frame, width, height) {
    const { left, right, top, bottom } = frame;
    const nx = Math.max(2, Math.floor((right - left) / 62));
    const room = spec.x.names ? (right - left) / Math.max(spec.x.names.length, 1) : 0;
    this.x.ticks(nx).forEach(([v, name], i) => {
      const x = this.x.at(v);
      if (!spec.x.names) picture.append(svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: "grid" }));
      const drop = spec.x.names && room < 150 && i % 2 ? 14 : 0;
      const most = spec.x.names ? Math.max(4, Math.floor((room < 150 ? 2 * room : room) / 7.2)) : 99;
      const shown = shortened(name, most);
      const overhang = x + 3.6 * shown.length > width; // the last label ends where the picture does
      picture.append(svg("text", { x: overhang ? width - 1 : x, y: bottom + 15 + drop,
        "text-anchor": overhang ? "end" : "middle" }, shown));
    });
    const ny = spec.y.names ? 0 : Math.max(2, Math.floor((bottom - top) / 45));
    for (const [v, name] of this.y.ticks(ny)) {
      const y = this.y.at(v);
      picture.append(svg("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" }));
      const most = Math.floor((left - 8) / 6.8);
      picture.append(svg("text", { x: left - 7, y: y + 4, "text-anchor": "end" }, shortened(name, most)));
    }
    picture.append(svg("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
    picture.append(svg("line", { x1: left, x2: left, y1: top, y2: bottom, class: "axis" }));
    const most = Math.floor(width / 6.4);
    if (spec.y.label) picture.append(svg("text", { x: 4, y: 13, class: "label" }, shortened(spec.y.label, most)));
    if (spec.x.label) {
      picture.append(svg("text", { x: right, y: height - 4, "text-anchor": "end", class: "label" },
        shortened(spec.x.label, most)));
    }
  }

  rule(picture, rule, frame) {
    const x = this.x.at(rule.x);
    if (!(x >= frame.left - 1 && x <= frame.right + 1)) return null;
    const line = svg("line", { x1: x, x2: x, y1: frame.top, y2: frame.bottom, class: "rule" });
    picture.append(line);
    if (!rule.label) return null;
    const text = svg("text", { class: "at-rule" }, rule.label);
    picture.append(text);
    return { text, line, sides: [[x + 4, "start"], [x - 4, "end"]], ys: rows(frame.top - this.aboveRules + 11, frame.top + 2, 15) };
  }

  // the name of a point, beside it
  name(picture, { x, y, label }, frame) {
    const text = svg("text", { class: "at-point" }, shortened(label, 24));
    picture.append(text);
    const near = [y - 9, y + 17, y - 24, y + 32, y - 39, y + 47].filter((v) => v > frame.top + 8 && v < frame.bottom);
    return { text, sides: [[x + 9, "start"], [x - 9, "end"], [x, "middle"]], ys: near.length ? near : [y] };
  }

  // Labels take the first place that touches no other and lies inside; one that finds none is left out.
  place(texts, frame) {
    const taken = this.targets.filter((target) => target.label)
      .map(({ x, y }) => ({ x0: x - 6, x1: x + 6, y0: y - 6, y1: y + 6 }));
    for (const { text, line, sides, ys } of texts) {
      const width = text.getComputedTextLength() || 6.8 * text.textContent.length;
      const free = ys.flatMap((y) => sides.map(([x, anchor]) => {
        const x0 = anchor === "start" ? x : anchor === "end" ? x - width : x - width / 2;
        return { x, y, anchor, x0: x0 - 2, x1: x0 + width + 2, y0: y - 10, y1: y + 3 };
      })).find((box) => box.x0 >= frame.left && box.x1 <= this.width && !taken.some((other) => touches(box, other)));
      if (!free) {
        text.remove();
        continue;
      }
      text.setAttribute("x", free.x);
      text.setAttribute("y", free.y);
      text.setAttribute("text-anchor", free.anchor);
      taken.push(free);
      if (line) {
        line.setAttribute("y1", free.y0 + 1);
        taken.push({ x0: line.x1.baseVal.value - 1, x1: line.x1.baseVal.value + 1, y0: free.y1, y1: frame.bottom });
      }
    }
  }

  // who worked when: one lane per endpoint, work that nobody saw hatched
  lane(picture, lane, top, frame) {
    const middle = top + LANE_PX / 2;
    picture.append(svg("line", { x1: frame.left, x2: frame.right, y1: middle, y2: middle, class: "grid" }));
    picture.append(svg("text", { x: frame.left - 7, y: middle + 4, "text-anchor": "end", class: "lane" },
      shortened(lane.label, Math.floor((frame.left - 8) / 6.8))));
    for (const bar of lane.bars) {
      const x0 = Math.min(Math.max(this.x.at(bar.x0), frame.left), frame.right - 3);
      const x1 = Math.min(Math.max(this.x.at(bar.x1), x0 + 3), frame.right);
      const box = { x: x0, y: middle - 5, width: x1 - x0, height: 10, rx: 2 };
      picture.append(svg("rect", bar.isVain ? { ...box, class: "vain", stroke: bar.look.fill, fill: this.hatch(picture, bar.look) }
        : { ...box, fill: bar.look.fill }));
      if (bar.tip) this.targets.push({ x: (x0 + x1) / 2, y: middle, tip: bar.tip });
    }
  }

  // Marks of one word stand side by side, within the room of that word.
  shift({ beside }) {
    if (!beside) return 0;
    const [order, n] = beside;
    return Math.min(9, (0.86 * (this.x.width || 9 * n)) / n) * (order - (n - 1) / 2);
  }

  series(inside, series, frame) {
    const { look } = series;
    const known = series.points.filter((p) => finite(p.x) && finite(p.y) && finite(this.x.at(p.x)) && finite(this.y.at(p.y)));
    const at = (p) => [this.x.at(p.x) + this.shift(p), this.y.at(p.y)];
    if (series.hasBand) {
      const edge = known.filter((p) => finite(p.y0) && finite(p.y1));
      const clamp = (v) => Math.max(frame.top, Math.min(frame.bottom, finite(this.y.at(v)) ? this.y.at(v) : frame.bottom));
      const up = edge.map((p) => `${this.x.at(p.x).toFixed(1)},${clamp(p.y1).toFixed(1)}`);
      const down = edge.map((p) => `${this.x.at(p.x).toFixed(1)},${clamp(p.y0).toFixed(1)}`).reverse();
      if (edge.length) inside.append(svg("polygon", { points: [...up, ...down].join(" "), fill: look.fill, class: "band" }));
    }
    if (series.hasLine && known.length) {
      let d = "";
      known.forEach((p, i) => {
        const [x, y] = at(p).map((v) => v.toFixed(1));
        d += i === 0 ? `M${x},${y}` : series.isStep ? `H${x}V${y}` : `L${x},${y}`;
      });
      inside.append(svg("path", { d, class: "line", stroke: look.fill, "stroke-dasharray": look.dash || null }));
    }
    for (const p of known) {
      const [x, y] = at(p);
      const mine = p.look || look;
      if (series.hasStems) {
        inside.append(svg("line", { x1: x, x2: x, y1: frame.bottom, y2: y, stroke: mine.fill, class: "whisker" }));
      }
      if (!series.hasBand) this.whiskers(inside, p, x, y, mine);
      if (series.hasMarks) inside.append(markPath(mine, x, y, series.radius || 5));
      if (p.tip && x >= frame.left - 6 && x <= frame.right + 6) this.targets.push({ x, y, tip: p.tip, label: p.label });
    }
  }

  hatch(picture, look) {
    const id = `hatch-${Math.random().toString(36).slice(2)}`;
    picture.append(svg("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("line", { x1: 1, x2: 1, y1: 0, y2: 5, stroke: look.fill, "stroke-width": 1.6 })));
    return `url(#${id})`;
  }

  whiskers(inside, p, x, y, look) {
    const isBoth = Boolean(p.xWide || p.yWide);
    const draw = (horizontal, vertical, looks, cap) => {
      const lines = [];
      if (vertical && vertical.every(finite)) {
        const [a, b] = vertical.map((v) => this.y.at(v)).map((v) => (finite(v) ? v : y));
        lines.push(`M${x},${a}V${b}` + (cap ? `M${x - 4},${a}h8M${x - 4},${b}h8` : ""));
      }
      if (horizontal && horizontal.every(finite)) {
        const [a, b] = horizontal.map((v) => this.x.at(v)).map((v) => (finite(v) ? v : x));
        lines.push(`M${a},${y}H${b}` + (cap ? `M${a},${y - 4}v8M${b},${y - 4}v8` : ""));
      }
      for (const d of lines) inside.append(svg("path", { d, stroke: look.fill, class: `whisker ${looks}` }));
    };
    if (isBoth) draw(p.xWide, p.yWide, "wide", true);
    draw([p.x0, p.x1], [p.y0, p.y1], isBoth ? "thick" : "", !isBoth);
  }

  // --- pointing ---

  listen(picture) {
    const point = (event) => {
      const box = picture.getBoundingClientRect();
      const scale = this.width / box.width;
      this.nearest((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
    };
    picture.addEventListener("pointermove", point);
    picture.addEventListener("pointerdown", point);
    picture.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.pick(-1));
    picture.addEventListener("blur", () => this.pick(-1));
    picture.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      const n = this.targets.length;
      if (event.key === "Escape") this.pick(-1);
      if (!step || !n) return;
      event.preventDefault();
      this.pick(this.picked < 0 && step < 0 ? n - 1 : (this.picked + step + n) % n);
    });
  }

  nearest(x, y) {
    let best = -1;
    let least = REACH_PX ** 2;
    this.targets.forEach((target, i) => {
      const d = (target.x - x) ** 2 + (target.y - y) ** 2;
      if (d < least) [best, least] = [i, d];
    });
    this.pick(best);
  }

  pick(i) {
    if (i === this.picked) return;
    this.picked = i;
    const target = this.targets[i];
    this.tip.hidden = !target;
    this.ring.setAttribute("visibility", target ? "visible" : "hidden");
    if (!target) return;
    this.ring.setAttribute("cx", target.x);
    this.ring.setAttribute("cy", target.y);
    this.tip.replaceChildren(...target.tip().map((line) => el("div", {}, line)));
    const picture = this.host.querySelector("svg").getBoundingClientRect();
    const above = picture.top - this.host.getBoundingClientRect().top;
    const isRight = target.x > this.width / 2;
    this.tip.style.maxWidth = `${Math.max(130, (isRight ? target.x : this.width - target.x) - 18)}px`;
    this.tip.style.left = isRight ? "auto" : `${target.x + 14}px`;
    this.tip.style.right = isRight ? `${this.width - target.x + 14}px` : "auto";
    this.tip.style.top = `${above + Math.max(0, target.y - 12)}px`;
  }
}

function rows(from, to, step) {
  const found = [];
  for (let y = from; y < to; y += step) found.push(y);
  return found;
}

function touches(a, b) {
  return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
}

function finite(v) {
  return typeof v === "number" && Number.isFinite(v);
}

function shortened(name, most) {
  if (name.length <= most) return name;
  const half = Math.max(1, Math.floor((most - 1) / 2));
  return `${name.slice(0, half)}…${name.slice(name.length - half)}`;
}
