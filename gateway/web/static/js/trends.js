// Trends of the last minutes, drawn by uPlot, seeded from history so that a page just opened is not empty.

import uPlot from "../vendor/uPlot.js";
import { el } from "./dom.js";
import * as api from "./api.js";

const WINDOW_S = 180;
const CHARTS = [
  { title: "Spindle", unit: "r/min", lines: [["Spindle/ActSpeed", "speed r/min", "--accent", "y"], ["Spindle/ActLoad", "load %", "--cut", "right"]] },
  { title: "Temperature", unit: "°C", lines: [["Spindle/Temperature", "bearing", "--bad", "y"], ["Spindle/MotorTemperature", "motor", "--cut", "y"], ["Coolant/Temperature", "coolant", "--accent", "y"]] },
  { title: "Vibration", unit: "mm/s", lines: [["Spindle/VibrationVelocity", "velocity RMS", "--good", "y"]] },
  { title: "Anomaly score", unit: "1 = alarm", threshold: 1, floor: 1.2, lines: [["Analytics/AnomalyScore", "score", "--warn", "y"]] },
];

export const TREND_SIGNALS = CHARTS.flatMap((chart) => chart.lines.map((line) => line[0]));

export class Trends {
  constructor(root) {
    this.charts = CHARTS.map((chart) => this.#make(root, chart));
    this.fresh = false;
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => location.reload());
  }

  #make(root, chart) {
    const place = el("div");
    root.append(el("article", { className: "card" }, el("h2", {}, chart.title, el("span", { className: "unit" }, chart.unit)), place));
    const styles = getComputedStyle(document.documentElement);
    const colour = (name) => styles.getPropertyValue(name).trim();
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 0.6 }, ticks: { show: false }, font: "11px system-ui", size: 42 };
    const two = chart.lines.some((line) => line[3] === "right");
    const range = (_u, low, high) => {
      if (low === null || low === undefined) return [0, chart.floor || 1];
      const room = Math.max((high - low) * 0.1, 0.05 * Math.abs(high), 0.05);
      return chart.floor ? [0, Math.max(chart.floor, high * 1.1)] : [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
    };
    const options = {
      width: 300, height: 132, cursor: { drag: { x: false, y: false }, points: { size: 5 } }, legend: { show: chart.lines.length > 1, live: false },
      scales: { x: { time: true }, y: { range }, ...(two ? { right: { range: () => [0, 120] } } : {}) },
      axes: [{ ...axis, size: 26 }, axis, ...(two ? [{ ...axis, side: 1, scale: "right", grid: { show: false } }] : [])],
      series: [{}, ...chart.lines.map(([, label, name, scale]) => ({ label, stroke: colour(name), width: 1.5, scale, points: { show: false } }))],
      hooks: chart.threshold === undefined ? {} : {
        draw: [(u) => {
          const y = u.valToPos(chart.threshold, "y", true);
          u.ctx.save();
          u.ctx.strokeStyle = colour("--bad");
          u.ctx.setLineDash([5, 4]);
          u.ctx.beginPath();
          u.ctx.moveTo(u.bbox.left, y);
          u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
          u.ctx.stroke();
          u.ctx.restore();
        }],
      },
    };
    const data = [[], ...chart.lines.map(() => [])];
    const plot = new uPlot(options, data, place);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 132 })).observe(place);
    return { signals: chart.lines.map((line) => line[0]), data, plot };
  }

  clear() {
    for (const chart of this.charts) chart.data.forEach((column) => { column.length = 0; });
    this.fresh = true;
  }

  // A point of each chart from the present readings; what is Bad is a hole in the line.
  add(timeS, read) {
    for (const { signals, data } of this.charts) {
      if (data[0].length && timeS <= data[0].at(-1)) continue;
      data[0].push(timeS);
      signals.forEach((name, i) => data[i + 1].push(read(name)));
      const stale = data[0].findIndex((t) => t >= timeS - WINDOW_S);
      if (stale > 200) data.forEach((column) => column.splice(0, stale));
    }
    this.fresh = true;
  }

  // Seconds -> {signal: value} of the last minutes, merged to whole seconds.
  async seed(machine) {
    const start = new Date(Date.now() - WINDOW_S * 1000).toISOString();
    const rows = new Map();
    await Promise.all(TREND_SIGNALS.map(async (name) => {
      const told = await api.history(machine, name, start).catch(() => ({ points: [] }));
      for (const [time, value] of told.points || []) {
        if (typeof value !== "number") continue;
        const second = Math.floor(Date.parse(time) / 1000);
        if (!rows.has(second)) rows.set(second, {});
        rows.get(second)[name] = value;
      }
    }));
    const held = {};
    const seeded = [...rows.keys()].sort((a, b) => a - b).map((second) => [second, { ...Object.assign(held, rows.get(second)) }]);
    for (const { signals, data } of this.charts) {
      const first = data[0].length ? data[0][0] : Infinity;
      const older = seeded.filter(([second]) => second < first);
      data[0].unshift(...older.map(([second]) => second));
      signals.forEach((name, i) => data[i + 1].unshift(...older.map(([, row]) => row[name] ?? null)));
    }
    this.fresh = true;
  }

  draw() {
    if (!this.fresh) return;
    this.fresh = false;
    for (const { data, plot } of this.charts) {
      if (!data[0].length) continue;
      plot.setData(data, false);
      const end = data[0].at(-1);
      plot.batch(() => {
        plot.setScale("x", { min: end - WINDOW_S, max: end });
      });
    }
  }
}
