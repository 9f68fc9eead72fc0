// The operator's panel: commands, overrides, programs and faults; locked, with the reason, until somebody logs in.

import { $, el, put } from "./dom.js";
import * as api from "./api.js";

const RANK = { Viewer: 0, Operator: 1, Engineer: 2, Admin: 3 };
const KEYS = [
  ["Start", "Start", "primary"], ["Hold", "Hold"], ["Stop", "Stop"], ["Reset", "Reset"],
];
const OVERRIDES = [
  ["Feed", "SetFeedOverride", "Channel/FeedOverride", 0, 150, 5],
  ["Rapid", "SetRapidOverride", "Channel/RapidOverride", 0, 100, 5],
  ["Spindle", "SetSpindleOverride", "Spindle/Override", 50, 120, 5],
];

export class Panel {
  // machine(): the chosen machine's id. confirm(text): a promise of yes or no.
  constructor(root, machine, confirm) {
    this.machine = machine;
    this.role = "Viewer";
    this.held = new Set();
    this.controls = [];
    this.locked = el("p", { className: "small faint" });
    this.result = el("p", { id: "result", className: "small", role: "status" });
    const keys = KEYS.map(([text, method, style]) => this.#button(text, method, style, () => ({})));
    const stop = this.#button("Emergency stop", "EmergencyStop", "danger", () => ({}), async () => confirm("Emergency stop of this machine?"));
    root.append(el("h2", {}, "Operator panel"), this.locked, el("div", { className: "buttons" }, ...keys), stop);
    for (const row of OVERRIDES) root.append(this.#slider(...row));
    root.append(this.#program(), this.#faults(), this.result);
    this.allow("Viewer");
  }

  #control(node, role) {
    this.controls.push([node, role]);
    return node;
  }

  #button(text, method, style, values, before, role = "Operator") {
    const button = this.#control(el("button", { type: "button", className: style || "" }, text), role);
    button.dataset.method = method;
    button.addEventListener("click", async () => {
      if (before && !(await before())) return;
      await this.give(method, values());
    });
    return button;
  }

  #slider(label, method, signal, low, high, step) {
    const input = this.#control(el("input", { type: "range", min: low, max: high, step, value: 100 }), "Operator");
    const output = el("output", {}, "100 %");
    input.setAttribute("aria-label", `${label} override`);
    input.dataset.follows = signal;
    input.addEventListener("input", () => { this.held.add(input); put(output, `${input.value} %`); });
    input.addEventListener("change", async () => {
      await this.give(method, { Percent: Number(input.value) });
      setTimeout(() => this.held.delete(input), 600);
    });
    input.output = output;
    return el("div", { className: "field" }, el("span", { className: "faint" }, label), input, output);
  }

  #program() {
    const name = this.#control(el("input", { placeholder: "program name" }), "Operator");
    name.setAttribute("aria-label", "Program name");
    const load = this.#button("Load", "LoadProgram", "", () => ({ Name: name.value.trim() }));
    return el("div", { className: "field" }, el("span", { className: "faint" }, "Program"), name, load);
  }

  #faults() {
    this.fault = this.#control(el("select", { id: "fault" }), "Engineer");
    this.fault.setAttribute("aria-label", "Fault");
    const severity = this.#control(el("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0.5 }), "Engineer");
    severity.setAttribute("aria-label", "Severity");
    const shown = el("output", {}, "0.50");
    severity.addEventListener("input", () => put(shown, Number(severity.value).toFixed(2)));
    const onset = this.#control(el("input", { type: "number", min: 0, max: 10000000, value: 30, step: 10 }), "Engineer");
    onset.setAttribute("aria-label", "Onset in seconds");
    const inject = this.#button("Inject", "InjectFault", "", () => ({ Name: this.fault.value, Severity: Number(severity.value), Onset: Number(onset.value) }), null, "Engineer");
    const clear = this.#button("Clear all", "ClearFault", "", () => ({ Name: "All" }), null, "Engineer");
    this.truth = el("p", { className: "small" });
    return el("details", { open: true }, el("summary", {}, "Faults of the simulation"),
      el("div", { className: "field" }, el("span", { className: "faint" }, "Fault"), this.fault, el("span")),
      el("div", { className: "field" }, el("span", { className: "faint" }, "Severity"), severity, shown),
      el("div", { className: "field" }, el("span", { className: "faint" }, "Onset s"), onset, inject),
      el("div", { className: "field" }, el("span"), this.truth, clear));
  }

  allow(role) {
    this.role = role;
    for (const [node, needed] of this.controls) {
      node.disabled = RANK[role] === undefined || RANK[role] < RANK[needed];
      node.title = node.disabled ? `Log in as ${needed.toLowerCase()} to use this` : "";
    }
    put(this.locked, RANK[role] >= 2 ? "" : RANK[role] === 1 ? "Faults need the engineer." : "Log in to command the machine.");
    this.locked.hidden = RANK[role] >= 2;
  }

  async give(method, values) {
    this.#tell(`${method} …`, "");
    try {
      await api.command(this.machine(), method, values);
      this.#tell(`${method}: done`, "good");
    } catch (error) {
      this.#tell(`${method}: ${error.message}`, "bad");
    }
  }

  #tell(text, style) {
    put(this.result, text);
    this.result.className = `small ${style}`;
  }

  // Follow the machine: sliders that nobody holds, the names of the faults, and which are active.
  follow(read) {
    for (const [node] of this.controls) {
      if (node.dataset.follows === undefined || this.held.has(node)) continue;
      const value = read(node.dataset.follows);
      if (typeof value === "number") {
        node.value = value;
        put(node.output, `${Math.round(value)} %`);
      }
    }
    const names = read("Simulation/FaultNames") || [];
    if (names.join() !== [...this.fault.options].map((option) => option.value).join()) {
      this.fault.replaceChildren(...names.map((name) => el("option", { value: name }, name.replaceAll("_", " "))));
    }
    const severities = read("Simulation/FaultSeverities") || [];
    const active = names.map((name, i) => [name, severities[i] || 0]).filter(([, severity]) => severity > 0);
    put(this.truth, active.map(([name, severity]) => `${name.replaceAll("_", " ")} ${severity.toFixed(2)}`).join(", "));
    this.truth.className = active.length ? "small chip warn" : "small";
    $("details", this.truth.closest("article")).hidden = names.length === 0;
  }
}
