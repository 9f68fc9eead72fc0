// Trends of the last minutes, drawn by uPlot, seeded from history so that a page just opened is not empty.

import uPlot from "../vendor/uPlot.js";
import { colour, el, setText } from "./dom.js";
import * as api from "./api.js";
import { clock, fixed } from "./format.js";

const WINDOW_S = 180;
const HEIGHT = 118;
/** Lines are drawn this often; the eye follows a trend no faster, and it keeps a tablet cool. */
const PERIOD_MS = 250;
/** Points are kept this far apart, s. */
const STEP_S = 0.1;
/** What history has nothing of for so long was not seen: no line is drawn over it, s. */
export const UNSEEN_S = 4;

/** Lines: [signal, label, colour, digits, scale]. `top` is the least upper end of the left axis; `line` a threshold. */
const CHARTS = [
  { title: "Speed", unit: "r/min", top: 100, lines: [["Spindle/CmdSpeed", "set", "faint", 0], ["Spindle/ActSpeed", "actual", "accent", 0]] },
  { title: "Load", unit: "", top: 50, lines: [["Spindle/ActLoad", "%", "cut", 0], ["Spindle/ActPower", "W", "accent", 0, "right"]] },
  { title: "Heat", unit: "°C", lines: [["Spindle/MotorTemperature", "motor", "cut", 1], ["Spindle/Temperature", "bearing", "bad", 1], ["Coolant/Temperature", "tank", "accent", 1]] },
  { title: "Vibration", unit: "mm/s", top: 1, lines: [["Spindle/VibrationVelocity", "RMS", "good", 2]] },
  { title: "Anomaly score", unit: "alarm from 1.0", top: 1.25, line: 1, wide: true,
    lines: [["Analytics/RuleScore", "limits", "rapid", 2], ["Analytics/ZScore", "z-score", "faint", 2], ["Analytics/ForestScore", "forest", "good", 2], ["Analytics/AnomalyScore", "score", "warn", 2]] },
];

/** From 0 (or just below the data) to a round distance above it. */
function leftRange(top) {
  return (_plot, low, high) => {
    if (low === null || low === undefined) return [0, top ?? 1];
    if (top !== undefined) return [Math.min(0, low), Math.max(top, high * 1.1)];
    const room = Math.max((high - low) * 0.12, 1);
    return [low - room, high + room];
  };
}

class Chart {
  constructor(root, spec) {
    this.spec = spec;
    this.signals = spec.lines.map((line) => line[0]);
    this.data = [[], ...spec.lines.map(() => [])];
    this.place = el("div", { class: "plot" });
    this.readouts = spec.lines.map(([, label, name]) => el("span", { class: "key", "data-colour": name }, el("i"), `${label} `, el("b")));
    this.card = el("article", { class: spec.wide ? "card wide" : "card" },
      el("h2", {}, spec.title, el("span", { class: "note" }, spec.unit), el("span", { class: "push" }), ...this.readouts), this.place);
    root.append(this.card);
    this.plot = null;
    new ResizeObserver(() => this.plot?.setSize({ width: this.place.clientWidth, height: HEIGHT })).observe(this.place);
  }

  build() {
    this.plot?.destroy();
    const { spec } = this;
    const axis = {
      stroke: colour("faint"), font: "11px system-ui, sans-serif", grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, size: 40, gap: 4,
    };
    const right = spec.lines.some((line) => line[4] === "right");
    const options = {
      width: Math.max(100, this.place.clientWidth),
      height: HEIGHT,
      padding: [6, right ? 0 : 18, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: {
        x: { time: true, auto: false },
        y: { range: leftRange(spec.top) },
        ...(right ? { right: { range: (_plot, _low, high) => [0, Math.max(100, (high ?? 0) * 1.1)] } } : {}),
      },
      axes: [
        { ...axis, size: 22, space: 55, values: (_plot, times) => times.map((time) => clock(time * 1000).slice(0, 5)), incrs: [60, 120] },
        { ...axis, space: 26 },
        ...(right ? [{ ...axis, side: 1, scale: "right", size: 44, space: 26, grid: { show: false } }] : []),
      ],
      series: [{}, ...spec.lines.map(([, label, name, , scale]) => ({
        label, scale: scale ?? "y", stroke: colour(name), width: name === "faint" ? 1 : 1.6, points: { show: false },
      }))],
      hooks: spec.line === undefined ? {} : { draw: [(plot) => drawThreshold(plot, spec.line)] },
    };
    this.plot = new uPlot(options, this.data, this.place);
  }

  push(time, read) {
    const times = this.data[0];
    if (times.length && time < times.at(-1) + STEP_S) return;
    times.push(time);
    this.signals.forEach((name, i) => {
      const value = read(name);
      this.data[i + 1].push(typeof value === "number" ? value : null);
    });
    const old = times.findIndex((t) => t >= time - WINDOW_S);
    if (old > 200) for (const column of this.data) column.splice(0, old);
  }

  draw(read) {
    const end = this.data[0].at(-1) ?? Date.now() / 1000;
    this.plot.batch(() => {
      this.plot.setData(this.data, false);
      this.plot.setScale("x", { min: end - WINDOW_S, max: end });
    });
    const at = this.plot.cursor.idx;
    this.readouts.forEach((key, i) => {
      const value = at === null || at === undefined ? read(this.signals[i]) : this.data[i + 1][at];
      setText(key.lastChild, fixed(value, this.spec.lines[i][3]));
    });
  }
}

function drawThreshold(plot, value) {
  const y = plot.valToPos(value, "y", true);
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour("bad");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

export class Trends {
  #fresh = true;
  #drawnMs = 0;

  constructor(root) {
    this.charts = CHARTS.map((spec) => new Chart(root, spec));
    this.#build();
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.#build());
  }

  #build() {
    for (const chart of this.charts) chart.build();
    this.#fresh = true;
  }

  clear() {
    for (const chart of this.charts) for (const column of chart.data) column.length = 0;
    this.#fresh = true;
  }

  /** `read(name)`: the live value, undefined where there is none: that is a hole in the line. */
  push(time, read) {
    for (const chart of this.charts) chart.push(time, read);
    this.#fresh = true;
  }

  /** A hole in every line: the machine was not seen. */
  gap() {
    for (const { data } of this.charts) {
      if (data[0].length) data.forEach((column, i) => column.push(i ? null : column.at(-1) + 0.001));
    }
  }

  /** Put the last minutes before what is drawn already; `now` is the machine's time. `isStill()` says whether the machine is still the chosen one. */
  async seed(id, now, isStill) {
    const names = [...new Set(this.charts.flatMap((chart) => chart.signals))];
    const past = new Map(await Promise.all(names.map(async (name) => [name, await api.history(id, name, WINDOW_S, now)])));
    if (!isStill()) return;
    for (const { signals, data } of this.charts) {
      const first = data[0][0] ?? Infinity;
      const rows = signals.flatMap((name, i) => past.get(name).map(([time, value]) => [time, i, value])).filter(([time]) => time < first);
      rows.sort((a, b) => a[0] - b[0]);
      const held = signals.map(() => null);
      const older = data.map(() => []);
      rows.forEach(([time, i, value], k) => {
        held[i] = typeof value === "number" ? value : null;
        if (rows[k + 1]?.[0] === time) return;
        if (time - older[0].at(-1) > UNSEEN_S) older.forEach((column, j) => column.push(j ? null : column.at(-1) + 0.001));
        older[0].push(time);
        held.forEach((v, j) => older[j + 1].push(v));
      });
      data.forEach((column, i) => column.unshift(...older[i]));
    }
    this.#fresh = true;
  }

  draw(read, has) {
    const now = performance.now();
    if (!this.#fresh || now - this.#drawnMs < PERIOD_MS) return;
    this.#drawnMs = now;
    this.#fresh = false;
    for (const chart of this.charts) {
      chart.card.hidden = !chart.signals.some(has);
      if (!chart.card.hidden) chart.draw(read);
    }
  }
}
