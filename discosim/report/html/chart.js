"use strict";
// One chart: axes, lines, bands, markers with intervals; a tip for whoever points, touches or uses the arrow keys.
// Every name reaches the page as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const REACH_PX = 40;

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
  const isTiny = size > 0 && (size < 1e-4 || size >= 1e9);
  const options = { maximumSignificantDigits: digits, notation: isTiny ? "scientific" : "standard" };
  if (Number.isInteger(value) && !isTiny) delete options.maximumSignificantDigits;
  const text = value.toLocaleString("en-GB", options).replace("-", "−");
  return unit && unit !== "1" ? `${text}\u00a0${unit}` : text;
}

function signed(value, unit = "", digits = 4) {
  return value > 0 ? `+${show(value, unit, digits)}` : show(value, unit, digits);
}

function inUnit(name, unit) {
  return unit ? `${name} [${unit}]` : name;
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
//       hasLine, hasMarks, hasBand, isStep, hasStems}], rules: [{x | y, label}], spans: [{x0, x1, look, label}], height
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
    const height = spec.height || (nRows ? 70 + 34 * nRows : Math.round(Math.min(400, Math.max(270, 0.42 * width))));
    const longest = spec.y.names ? Math.max(0, ...spec.y.names.map((name) => name.length)) : 7;
    const strip = spec.spans && spec.spans.length ? 22 : 0;
    const frame = {
      left: Math.min(14 + 7 * longest, Math.round(0.38 * width)),
      right: width - 14,
      top: 26 + strip,
      bottom: height - (spec.x.names ? 52 : 40),
    };
    const picture = svg("svg", {
      viewBox: `0 0 ${width} ${height}`, height, role: "img", tabindex: "0",
      "aria-label": `${spec.title}. ${spec.x.label || ""} against ${spec.y.label || ""}. Arrow keys visit the points.`,
    });
    const all = spec.series.flatMap((series) => series.points);
    this.x = makeScale(spec.x, all.flatMap((p) => [p.x, p.x0, p.x1]), frame.left, frame.right);
    const [yFrom, yTo] = spec.y.names ? [frame.top, frame.bottom] : [frame.bottom, frame.top];
    this.y = makeScale(spec.y, all.flatMap((p) => [p.y, p.y0, p.y1]), yFrom, yTo);
    this.axes(picture, spec, frame, width, height);
    const clip = `clip-${Math.random().toString(36).slice(2)}`;
    picture.append(
      svg("clipPath", { id: clip },
        svg("rect", { x: frame.left - 6, y: frame.top - 6, width: frame.right - frame.left + 12,
          height: frame.bottom - frame.top + 12 }))
    );
    const inside = svg("g", { "clip-path": `url(#${clip})` });
    picture.append(inside);
    for (const span of spec.spans || []) this.span(picture, span, frame);
    for (const rule of spec.rules || []) this.rule(picture, rule, frame);
    for (const series of spec.series) this.series(inside, series, frame);
    if (!all.length) {
      picture.append(svg("text", { x: (frame.left + frame.right) / 2, y: (frame.top + frame.bottom) / 2,
        "text-anchor": "middle", class: "label" }, "Nothing to show: all are hidden, or undefined."));
    }
    this.ring = svg("circle", { r: 9, class: "picked", visibility: "hidden" });
    picture.append(this.ring);
    this.listen(picture);
    this.tip.hidden = true;
    this.host.replaceChildren(el("h3", {}, spec.title), picture, this.tip);
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
    if (!(x >= frame.left - 1 && x <= frame.right + 1)) return;
    picture.append(svg("line", { x1: x, x2: x, y1: frame.top, y2: frame.bottom, class: "rule" }));
    if (!rule.label) return;
    const isLeft = x > (frame.left + frame.right) / 2;
    const y = frame.top + 12 + 15 * (rule.row || 0);
    picture.append(svg("text", { x: x + (isLeft ? -4 : 4), y, "text-anchor": isLeft ? "end" : "start" }, rule.label));
  }

  span(picture, span, frame) {
    const x0 = Math.max(this.x.at(span.x0), frame.left);
    const x1 = Math.min(Math.max(this.x.at(span.x1), x0 + 3), frame.right);
    const y = frame.top - 22;
    picture.append(svg("rect", { x: x0, y, width: Math.max(x1 - x0, 3), height: 7, fill: span.look.fill, rx: 2 }));
    if (x1 - x0 > 8 * span.label.length) {
      picture.append(svg("text", { x: x0 + 2, y: y + 18 }, span.label));
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
      if (p.tip && x >= frame.left - 6 && x <= frame.right + 6) this.targets.push({ x, y, tip: p.tip });
    }
  }

  whiskers(inside, p, x, y, look) {
    const lines = [];
    if (finite(p.y0) && finite(p.y1)) {
      const [a, b] = [this.y.at(p.y0), this.y.at(p.y1)].map((v) => (finite(v) ? v : y));
      lines.push(`M${x},${a}V${b}M${x - 4},${a}h8M${x - 4},${b}h8`);
    }
    if (finite(p.x0) && finite(p.x1)) {
      const [a, b] = [this.x.at(p.x0), this.x.at(p.x1)].map((v) => (finite(v) ? v : x));
      lines.push(`M${a},${y}H${b}M${a},${y - 4}v8M${b},${y - 4}v8`);
    }
    for (const d of lines) inside.append(svg("path", { d, stroke: look.fill, class: "whisker" }));
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

function finite(v) {
  return typeof v === "number" && Number.isFinite(v);
}

function shortened(name, most) {
  if (name.length <= most) return name;
  const half = Math.max(1, Math.floor((most - 1) / 2));
  return `${name.slice(0, half)}…${name.slice(name.length - half)}`;
}
