// The toolpath: the last part's moves in a turnable parallel projection, drawn on a canvas.

const KEPT = 12000;

export class Toolpath {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.points = [];
    this.tool = null;
    this.fresh = true;
    this.look("iso");
    this.zoom = 1;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.turn += (event.clientX - from[0]) * 0.008;
      this.tilt = Math.max(0, Math.min(Math.PI / 2, this.tilt + (event.clientY - from[1]) * 0.008));
      from = [event.clientX, event.clientY];
      this.fresh = true;
    });
    canvas.addEventListener("pointerup", () => { from = null; });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoom(Math.exp(-event.deltaY * 0.0012));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: -0.1, ArrowRight: 0.1 };
      if (event.key in turns) { this.turn += turns[event.key]; this.fresh = true; }
      if (event.key === "+" || event.key === "-") this.#zoom(event.key === "+" ? 1.2 : 1 / 1.2);
    });
    new ResizeObserver(() => { this.fresh = true; }).observe(canvas);
  }

  #zoom(factor) {
    this.zoom = Math.max(0.4, Math.min(20, this.zoom * factor));
    this.fresh = true;
  }

  look(from) {
    const views = { iso: [-0.7, 0.95], top: [0, 0], front: [0, Math.PI / 2] };
    [this.turn, this.tilt] = views[from];
    this.zoom = 1;
    this.fresh = true;
  }

  clear() {
    this.points = [];
    this.fresh = true;
  }

  add(x, y, z, cut) {
    const last = this.points.at(-1);
    this.tool = [x, y, z];
    this.fresh = true;
    if (last && last.cut === cut && Math.hypot(last.x - x, last.y - y, last.z - z) < 0.02) return;
    this.points.push({ x, y, z, cut });
    if (this.points.length > KEPT) this.points.splice(0, KEPT / 10);
  }

  // The box that is looked at: what was cut, with some room; the way to the tool changer does not shrink it to a dot.
  #box() {
    const cut = this.points.filter((p) => p.cut);
    const seen = cut.length > 20 ? cut : this.points;
    if (!seen.length) return null;
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    for (const p of seen) {
      [p.x, p.y, p.z].forEach((v, i) => { low[i] = Math.min(low[i], v); high[i] = Math.max(high[i], v); });
    }
    return { low, high, middle: low.map((v, i) => (v + high[i]) / 2), size: Math.max(30, Math.hypot(...high.map((v, i) => v - low[i]))) };
  }

  draw() {
    if (!this.fresh) return;
    this.fresh = false;
    const { canvas, context: c } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    const box = this.#box();
    if (!box) return;
    const colours = getComputedStyle(document.documentElement);
    const colour = (name) => colours.getPropertyValue(name).trim();
    const unit = (Math.min(width, height) * 0.8 / box.size) * this.zoom;
    const [ct, st, ci, si] = [Math.cos(this.turn), Math.sin(this.turn), Math.cos(this.tilt), Math.sin(this.tilt)];
    const at = (x, y, z) => {
      const [dx, dy, dz] = [x - box.middle[0], y - box.middle[1], z - box.middle[2]];
      const rx = dx * ct - dy * st, ry = dx * st + dy * ct;
      return [width / 2 + rx * unit, height / 2 - (ry * ci + dz * si) * unit];
    };
    this.#floor(c, at, box, colour);
    const stroke = (cut, style, line, dash) => {
      c.beginPath();
      for (let i = 1; i < this.points.length; i++) {
        const a = this.points[i - 1], b = this.points[i];
        if (b.cut !== cut) continue;
        c.moveTo(...at(a.x, a.y, a.z));
        c.lineTo(...at(b.x, b.y, b.z));
      }
      c.strokeStyle = style;
      c.lineWidth = line;
      c.setLineDash(dash);
      c.stroke();
      c.setLineDash([]);
    };
    c.lineJoin = c.lineCap = "round";
    stroke(false, colour("--rapid"), 1, [3, 4]);
    stroke(true, colour("--cut"), 1.6, []);
    if (this.tool) this.#marker(c, at, unit, colour);
    this.#compass(c, at, box, height, colour);
  }

  #floor(c, at, box, colour) {
    const step = [1, 2, 5, 10, 20, 50, 100, 200].find((s) => box.size / s < 14) || 500;
    const [x0, y0] = [0, 1].map((i) => Math.floor((box.low[i] - step) / step) * step);
    const [x1, y1] = [0, 1].map((i) => Math.ceil((box.high[i] + step) / step) * step);
    const z = box.low[2];
    c.beginPath();
    for (let x = x0; x <= x1 + 1e-9; x += step) { c.moveTo(...at(x, y0, z)); c.lineTo(...at(x, y1, z)); }
    for (let y = y0; y <= y1 + 1e-9; y += step) { c.moveTo(...at(x0, y, z)); c.lineTo(...at(x1, y, z)); }
    c.strokeStyle = colour("--line");
    c.lineWidth = 0.7;
    c.stroke();
  }

  #marker(c, at, unit, colour) {
    const [x, y] = at(...this.tool);
    const tall = Math.max(18, 26 * Math.min(2, unit / 4));
    c.fillStyle = colour("--accent");
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(x - 5, y - 9);
    c.lineTo(x - 5, y - tall);
    c.lineTo(x + 5, y - tall);
    c.lineTo(x + 5, y - 9);
    c.closePath();
    c.fill();
  }

  #compass(c, at, box, height, colour) {
    const origin = at(...box.middle);
    c.font = "11px system-ui";
    c.fillStyle = c.strokeStyle = colour("--faint");
    c.lineWidth = 1.2;
    [["X", 1, 0, 0], ["Y", 0, 1, 0], ["Z", 0, 0, 1]].forEach(([name, ...d]) => {
      const tip = at(...box.middle.map((v, i) => v + d[i]));
      const [dx, dy] = [tip[0] - origin[0], tip[1] - origin[1]];
      const length = Math.hypot(dx, dy) / (Math.hypot(...at(box.middle[0] + 1, box.middle[1], box.middle[2]).map((v, i) => v - origin[i])) || 1);
      if (length < 0.05) return;
      const scale = (26 * Math.min(1, length)) / (Math.hypot(dx, dy) || 1);
      const [x, y] = [40 + dx * scale, height - 36 + dy * scale];
      c.beginPath();
      c.moveTo(40, height - 36);
      c.lineTo(x, y);
      c.stroke();
      c.fillText(name, x + 3, y + 3);
    });
  }
}
