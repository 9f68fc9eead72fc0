// The toolpath: this part's moves, and faintly the part before, in the blank that it is cut from, in a turnable parallel projection.
//
//     machine x, y, z -- minus the middle of the box --> turn about z --> tilt about the screen's x --> times zoom, pixels
//
// Only what is new is drawn again while nobody turns the view: the path lies on a layer of its own below the tool marker.

import { colour } from "./dom.js";

const KEPT = 12000;
const GHOST = 6000;
const VIEWS = { iso: [-0.7, 0.95], top: [0, 0], front: [0, Math.PI / 2] };
/** Corners of a box by number, one bit an axis: its edges, and its top. */
const EDGES = [[0, 1], [1, 3], [3, 2], [2, 0], [4, 5], [5, 7], [7, 6], [6, 4], [0, 4], [1, 5], [2, 6], [3, 7]];
const TOP = [4, 5, 7, 6];
const KINDS = ["cut", "feed", "rapid"];
/** Shorter steps are noise of the scale, mm. */
const SMALLEST_MM = 0.02;

export class Toolpath {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.layer = document.createElement("canvas");
    this.points = []; // {x, y, z, kind}; kind names the move that led here, null for a gap
    this.ghost = [];
    this.tool = null;
    this.blank = null; // corners {low, high}; null where there is none, or nobody says
    this.diameter = 10;
    this.box = null;
    this.zoom = 1;
    this.drawn = 0; // points that are on the layer already
    this.stale = true; // the layer must be drawn anew
    this.moved = true; // the marker must be drawn anew
    this.look("iso");
    this.#listen();
  }

  #listen() {
    const { canvas } = this;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (from === null) return;
      this.#turnBy((event.clientX - from[0]) * 0.008, (event.clientY - from[1]) * 0.008);
      from = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoomBy(Math.exp(-event.deltaY * 0.0012));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      if (event.key in turns) this.#turnBy(...turns[event.key]);
      else if (event.key === "+" || event.key === "-") this.#zoomBy(event.key === "+" ? 1.2 : 1 / 1.2);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => { this.stale = true; }).observe(canvas);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => { this.stale = true; });
  }

  #turnBy(turn, tilt) {
    this.turned(null);
    this.turn += turn;
    this.tilt = Math.max(0, Math.min(Math.PI / 2, this.tilt + tilt));
    this.stale = true;
  }

  #zoomBy(factor) {
    this.zoom = Math.max(0.4, Math.min(20, this.zoom * factor));
    this.stale = true;
  }

  /** Told from where the path is looked at: iso, top, front, or null where somebody has turned it. */
  turned() {}

  look(from) {
    this.turned(from);
    [this.turn, this.tilt] = VIEWS[from];
    this.zoom = 1;
    this.stale = true;
  }

  /** Forget everything: another machine is shown. */
  clear() {
    this.points = [];
    this.ghost = [];
    this.tool = null;
    this.blank = null;
    this.box = null;
    this.stale = true;
  }

  /** What lies on the table before the first cut: its corners in mm, machine coordinates; lists of any other length are no corners. */
  setBlank(low, high) {
    const blank = low?.length === 3 && high?.length === 3 ? { low, high } : null;
    const key = (one) => one && [...one.low, ...one.high].join();
    if (key(blank) === key(this.blank)) return;
    this.blank = blank;
    this.stale = true;
  }

  /** A new part begins: what was cut stays as a shadow. */
  nextPart() {
    this.ghost = this.points.map((point) => (point.kind === "cut" ? point : { ...point, kind: null })).slice(-GHOST);
    this.points = [];
    this.stale = true;
  }

  /** The machine was not seen for a while: no line leads over the gap. */
  gap() {
    const last = this.points.at(-1);
    if (last && last.kind !== null) this.points.push({ ...last, kind: null });
  }

  /** `kind` is "cut", "feed" or "rapid". Position of the tool's tip in mm, machine coordinates. */
  add(x, y, z, kind) {
    this.tool = [x, y, z];
    this.moved = true;
    const last = this.points.at(-1);
    if (last && last.kind !== null && Math.hypot(last.x - x, last.y - y, last.z - z) < SMALLEST_MM) return;
    this.points.push({ x, y, z, kind: last && last.kind === null && Math.hypot(last.x - x, last.y - y, last.z - z) > 1 ? null : kind });
    if (this.points.length > KEPT) {
      this.points.splice(0, KEPT / 10);
      this.stale = true;
    }
  }

  // The box that is looked at: the blank and what was cut, so that the way to the tool changer does not shrink it to a dot.
  #outline() {
    const cut = [...this.points, ...this.ghost].filter((point) => point.kind === "cut");
    const corners = this.blank === null ? [] : [this.blank.low, this.blank.high].map(([x, y, z]) => ({ x, y, z }));
    const seen = cut.length > 5 || corners.length ? [...cut, ...corners] : this.points;
    if (!seen.length) return null;
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    for (const point of seen) {
      [point.x, point.y, point.z].forEach((v, i) => {
        low[i] = Math.min(low[i], v);
        high[i] = Math.max(high[i], v);
      });
    }
    return { low, high, middle: low.map((v, i) => (v + high[i]) / 2), size: Math.max(40, Math.hypot(...high.map((v, i) => v - low[i]))) };
  }

  #grown(box) {
    if (this.box === null || box === null) return this.box !== box;
    return box.low.some((v, i) => Math.abs(v - this.box.low[i]) > 0.5) || box.high.some((v, i) => Math.abs(v - this.box.high[i]) > 0.5);
  }

  draw() {
    if (!this.stale && !this.moved) return;
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    if (this.stale || this.drawn < this.points.length) {
      const box = this.#outline();
      if (this.#grown(box)) {
        this.box = box;
        this.stale = true;
      }
    }
    const view = this.#projection(width, height);
    if (this.stale) {
      for (const canvas of [this.canvas, this.layer]) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
    }
    const under = this.layer.getContext("2d");
    under.setTransform(ratio, 0, 0, ratio, 0, 0);
    under.lineJoin = under.lineCap = "round";
    if (this.stale && this.box !== null) {
      this.drawn = 0;
      this.#floor(under, view);
      if (this.blank !== null) this.#box(under, view);
      this.#lines(under, view, this.ghost, 0, { cut: ["ghost", 1, []] });
      this.#compass(under, view, height);
    }
    this.#lines(under, view, this.points, this.drawn, { rapid: ["rapid", 1, [3, 4]], feed: ["feed", 1, []], cut: ["cut", 1.7, []] });
    this.drawn = this.points.length;
    const over = this.context;
    over.setTransform(1, 0, 0, 1, 0, 0);
    over.clearRect(0, 0, this.canvas.width, this.canvas.height);
    over.drawImage(this.layer, 0, 0);
    over.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.tool !== null && this.box !== null) this.#marker(over, view);
    this.stale = this.moved = false;
  }

  #projection(width, height) {
    const middle = this.box?.middle ?? [0, 0, 0];
    const scale = ((Math.min(width * 0.75, height) * 0.82) / (this.box?.size ?? 100)) * this.zoom;
    const [ct, st, ci, si] = [Math.cos(this.turn), Math.sin(this.turn), Math.cos(this.tilt), Math.sin(this.tilt)];
    const at = (x, y, z) => {
      const [dx, dy, dz] = [x - middle[0], y - middle[1], z - middle[2]];
      return [width / 2 + (dx * ct - dy * st) * scale, height / 2 - ((dx * st + dy * ct) * ci + dz * si) * scale];
    };
    return { at, scale, flat: ci, upright: si };
  }

  #lines(c, { at }, points, first, styles) {
    for (const kind of KINDS.filter((name) => name in styles)) {
      const [name, width, dash] = styles[kind];
      c.beginPath();
      for (let i = Math.max(1, first); i < points.length; i++) {
        if (points[i].kind !== kind) continue;
        const a = points[i - 1];
        const b = points[i];
        c.moveTo(...at(a.x, a.y, a.z));
        c.lineTo(...at(b.x, b.y, b.z));
      }
      c.strokeStyle = colour(name);
      c.lineWidth = width;
      c.setLineDash(dash);
      c.stroke();
    }
    c.setLineDash([]);
  }

  #floor(c, { at }) {
    const { low, high, size } = this.box;
    const step = [5, 10, 20, 50, 100, 200].find((s) => size / s < 14) ?? 500;
    const [x0, y0] = [0, 1].map((i) => (Math.floor(low[i] / step) - 1) * step);
    const [x1, y1] = [0, 1].map((i) => (Math.ceil(high[i] / step) + 1) * step);
    c.beginPath();
    for (let x = x0; x <= x1; x += step) { c.moveTo(...at(x, y0, low[2])); c.lineTo(...at(x, y1, low[2])); }
    for (let y = y0; y <= y1; y += step) { c.moveTo(...at(x0, y, low[2])); c.lineTo(...at(x1, y, low[2])); }
    c.strokeStyle = colour("grid");
    c.lineWidth = 0.8;
    c.stroke();
    c.fillStyle = colour("faint");
    c.font = "11px system-ui, sans-serif";
    c.textAlign = "right";
    c.fillText(`grid ${step} mm`, this.canvas.clientWidth - 10, this.canvas.clientHeight - 10);
    c.textAlign = "left";
  }

  // The blank is glass: edges, and a top that what is above it can be told from what is in it.
  #box(c, { at }) {
    const { low, high } = this.blank;
    const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((corner) => at(...low.map((v, axis) => ((corner >> axis) & 1 ? high[axis] : v))));
    c.fillStyle = colour("blank");
    c.beginPath();
    TOP.forEach((corner, i) => (i ? c.lineTo(...corners[corner]) : c.moveTo(...corners[corner])));
    c.fill();
    c.beginPath();
    for (const [from, to] of EDGES) { c.moveTo(...corners[from]); c.lineTo(...corners[to]); }
    c.strokeStyle = colour("faint");
    c.lineWidth = 1;
    c.stroke();
  }

  // The tool stands on its tip: a cylinder of the tool's own diameter, flattened as the view is.
  #marker(c, { at, scale, flat, upright }) {
    const [x, y] = at(...this.tool);
    const half = Math.max(3.5, Math.min(40, (this.diameter * scale) / 2));
    const tall = Math.max(34, half * 2.2) * upright;
    const depth = half * flat;
    c.strokeStyle = colour("accent");
    c.fillStyle = colour("tool");
    c.lineWidth = 1.4;
    c.beginPath();
    c.ellipse(x, y, half, depth, 0, 0, Math.PI);
    c.lineTo(x - half, y - tall);
    c.ellipse(x, y - tall, half, depth, 0, Math.PI, 0);
    c.closePath();
    c.fill();
    c.stroke();
    c.beginPath();
    c.ellipse(x, y - tall, half, depth, 0, 0, 2 * Math.PI);
    c.stroke();
    c.fillStyle = colour("accent");
    c.beginPath();
    c.arc(x, y, 2.5, 0, 2 * Math.PI);
    c.fill();
  }

  #compass(c, { at, scale }, height) {
    const middle = this.box.middle;
    const origin = at(...middle);
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = c.strokeStyle = colour("faint");
    c.lineWidth = 1.2;
    ["X", "Y", "Z"].forEach((name, axis) => {
      const tip = at(...middle.map((v, i) => v + (i === axis ? 28 / scale : 0)));
      const [dx, dy] = [tip[0] - origin[0], tip[1] - origin[1]];
      if (Math.hypot(dx, dy) < 4) return;
      const [x, y] = [42 + dx, height - 38 + dy];
      c.beginPath();
      c.moveTo(42, height - 38);
      c.lineTo(x, y);
      c.stroke();
      c.fillText(name, x + 3, y + 3);
    });
  }
}
