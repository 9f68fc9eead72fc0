// The operator's panel: commands, overrides, programs and faults; locked, with the reason, until somebody logs in.

import { el, setClass, setData, setText } from "./dom.js";
import * as api from "./api.js";
import { confirmed } from "./login.js";
import { clock } from "./format.js";

export const RANK = { Viewer: 0, Operator: 1, Engineer: 2, Admin: 3 };
const KEYS = [["Start", "go"], ["Hold", "wait"], ["Stop", ""], ["Reset", ""]];
/** Label, method, signal that shows it, lowest, highest. */
const OVERRIDES = [
  ["Feed", "SetFeedOverride", "Channel/FeedOverride", 0, 150],
  ["Rapid", "SetRapidOverride", "Channel/RapidOverride", 0, 100],
  ["Spindle", "SetSpindleOverride", "Spindle/Override", 50, 120],
];
/** A slider that was moved waits so long for the machine to show what it was told, milliseconds. */
const PATIENCE = 10000;
/** Characters of a program that the gateway takes; larger ones go over OPC UA. */
const LARGEST_PROGRAM = 350000;
/** Kinds of work on a machine (OPC 40501-1, MaintenanceMode). */
const WORK = ["Service", "Inspection", "Repair", "Upgrade", "Other"];
const WORDS = { EmergencyStop: "Emergency stop", SwitchOff: "Switch off", SwitchOn: "Switch on", BeginMaintenance: "Begin work", EndMaintenance: "End work", LoadProgram: "Load", SetFeedOverride: "Feed override", SetRapidOverride: "Rapid override",
  SetSpindleOverride: "Spindle override", InjectFault: "Inject fault", ClearFault: "Clear faults" };
const RESULTS = 3;

export class Panel {
  #controls = []; // [element, role]
  #sliders = []; // {input, output, signal, held, wanted, until}
  #names = "";
  #programs = "";
  #usable = null;
  #shown = null;

  constructor(root, model) {
    this.model = model;
    this.root = root;
    this.locked = el("p", { class: "locked" });
    this.results = el("ol", { class: "results", "aria-live": "polite", "aria-label": "Results of commands" });
    const estop = this.#button("Emergency stop", "EmergencyStop", () => ({}), {
      style: "estop", ask: () => confirmed(`Emergency stop of ${model.chosen}: drives off at once?`, "Emergency stop"),
    });
    this.keys = KEYS.map(([method, style]) => this.#button(method, method, () => ({}), { style }));
    root.append(el("h2", {}, "Operator panel"), this.locked, el("div", { class: "keys" }, ...this.keys), estop,
      ...OVERRIDES.map((row) => this.#slider(...row)), this.#program(), this.#file(), this.results, this.#upkeep(), this.#faults());
  }

  #control(element, role) {
    this.#controls.push([element, role]);
    return element;
  }

  #button(text, method, values, { style = "", ask = null, role = "Operator" } = {}) {
    const button = this.#control(el("button", { type: "button", class: style, "data-method": method }, text), role);
    button.addEventListener("click", async () => {
      if (ask === null || (await ask())) await this.give(method, values());
    });
    return button;
  }

  #slider(label, method, signal, low, high) {
    const input = this.#control(el("input", { type: "range", min: low, max: high, step: 5, value: 100, "aria-label": `${label} override, percent`, "data-method": method }), "Operator");
    const output = el("output", {}, "–");
    const slider = { input, output, signal, held: 0, wanted: null, until: 0 };
    this.#sliders.push(slider);
    input.addEventListener("input", () => {
      slider.held += 1;
      slider.wanted = null;
      setText(output, `${input.value} %`);
    });
    // The slider follows the machine again once the machine shows what it was told, or after a while; at once where it refused. A hand
    // that has moved it on meanwhile keeps it.
    input.addEventListener("change", async () => {
      const [move, wanted] = [slider.held, Number(input.value)];
      const done = await this.give(method, { Percent: wanted });
      if (slider.held !== move) return;
      [slider.wanted, slider.until] = [wanted, done ? performance.now() + PATIENCE : 0];
    });
    return el("label", { class: "field" }, el("span", {}, label), input, output);
  }

  #program() {
    this.list = el("datalist", { id: "programs" });
    const name = this.#control(el("input", { list: "programs", placeholder: "pocket.nc", "aria-label": "Program to load", maxlength: 200 }), "Operator");
    const form = el("form", { class: "field" }, el("span", {}, "Program"), name, this.#control(el("button", { type: "submit", "data-method": "LoadProgram" }, "Load"), "Operator"), this.list);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (name.value.trim()) this.give("LoadProgram", { Name: name.value.trim() });
    });
    return form;
  }

  /** A program from this computer: sent to the machine, and loaded there. */
  #file() {
    const file = this.#control(el("input", { type: "file", accept: ".nc,.ngc,.gcode,.tap,.cnc,.txt,text/plain", "aria-label": "NC program from this computer, sent to the machine and loaded", "data-method": "LoadProgramText" }), "Engineer");
    file.addEventListener("change", async () => {
      const [chosen] = file.files;
      if (chosen === undefined) return;
      const Name = chosen.name.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^\.+/, "").slice(-64);
      const send = async () => {
        const Text = await chosen.text();
        if (Text.includes("\0")) throw new Error("it is no text, so no NC program");
        if (Text.length > LARGEST_PROGRAM) throw new Error(`it is larger than ${LARGEST_PROGRAM / 1000} kB: send it over OPC UA`);
        await api.command(this.model.chosen, "LoadProgramText", { Name, Text });
      };
      await this.tell(`Send ${Name}`, send);
      file.value = ""; // the same file, changed, can be chosen again
    });
    return el("label", { class: "field two" }, el("span", {}, "Own file"), file);
  }

  /** The main switch, and who works on the machine; for machines that tell their maintenance. */
  #upkeep() {
    const kind = this.#control(el("select", { "aria-label": "Kind of work" }, ...WORK.map((name) => el("option", { value: name }, name))), "Operator");
    const begin = this.#button("Begin work", "BeginMaintenance", () => ({ Kind: kind.value }));
    const off = this.#button("Switch off", "SwitchOff", () => ({}), {
      ask: () => confirmed(`Switch ${this.model.chosen} off at the main switch?`, "Switch off"),
    });
    const [end, on] = [["End work", "EndMaintenance"], ["Switch on", "SwitchOn"]].map(([text, method]) => this.#button(text, method, () => ({})));
    this.upkeep = el("details", { class: "upkeep", hidden: true }, el("summary", {}, "Power and maintenance"),
      el("label", { class: "field two" }, el("span", {}, "Work"), kind), el("div", { class: "ends" }, begin, end), el("div", { class: "ends" }, off, on));
    return this.upkeep;
  }

  #faults() {
    this.fault = this.#control(el("select", { "aria-label": "Fault" }), "Engineer");
    const severity = this.#control(el("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: 0.6, "aria-label": "Final severity, 0 to 1" }), "Engineer");
    const shown = el("output", {}, "0.60");
    severity.addEventListener("input", () => setText(shown, Number(severity.value).toFixed(2)));
    const onset = this.#control(el("input", { type: "number", min: 0, max: 1e7, step: 1, value: 30, required: true, "aria-label": "Onset, seconds until the severity is reached" }), "Engineer");
    const inject = this.#button("Inject", "InjectFault", () => ({ Name: this.fault.value, Severity: Number(severity.value), Onset: Number(onset.value) || 0 }), { role: "Engineer" });
    const clear = this.#button("Clear all", "ClearFault", () => ({ Name: "All" }), { role: "Engineer" });
    this.truth = el("span", { class: "truth" });
    this.faults = el("details", { class: "faults", open: true, hidden: true }, el("summary", {}, "Simulation: faults"),
      el("label", { class: "field two" }, el("span", {}, "Fault"), this.fault),
      el("label", { class: "field" }, el("span", {}, "Severity"), severity, shown),
      el("label", { class: "field" }, el("span", {}, "Onset"), onset, el("output", {}, "s")),
      el("div", { class: "ends" }, inject, clear),
      el("p", { class: "truths" }, el("span", { class: "label" }, "Ground truth"), this.truth));
    return this.faults;
  }

  /** Servers of other makers have none of the commands, or not all: `plate.commands` names them. */
  #allow(plate) {
    const { role } = this.model.session;
    const rank = RANK[role] ?? -1;
    const away = this.model.link !== "live";
    const commands = plate?.commands;
    const key = `${rank} ${away} ${commands}`;
    if (key === this.#usable) return;
    this.#usable = key;
    const none = commands?.length === 0;
    setClass(this.root, "no-commands", none);
    for (const [element, needed] of this.#controls) {
      const { method } = element.dataset;
      const missing = none || (commands !== undefined && method !== undefined && !commands.includes(method));
      element.disabled = away || missing || rank < RANK[needed];
      element.title = away ? "No connection to the gateway" : missing ? "This machine has no such command" : element.disabled ? `Log in as ${needed.toLowerCase()} to use this` : "";
    }
    const words = none ? "This machine takes no commands from here." : away ? "No connection: nothing can be commanded." : rank < 1 ? "Log in to command the machine." : rank < 2 ? "Faults and own files need an engineer's login." : "";
    setText(this.locked, words);
  }

  /** Give a command and say what became of it; whether the machine took it. */
  async give(method, values) {
    const { chosen } = this.model;
    if (chosen === null) return false;
    const said = [WORDS[method] ?? method, typeof values.Percent === "number" ? `${values.Percent} %` : values.Name?.replaceAll("_", " ")].filter(Boolean).join(" ");
    return this.tell(said, () => api.command(chosen, method, values));
  }

  /** Say what is being done, of several machines to which, and what became of it; whether it was done. */
  async tell(what, work) {
    const { chosen, machines } = this.model;
    const said = machines.size > 1 ? `${chosen} ${what}` : what;
    const words = el("span", {}, `${said} …`);
    const line = el("li", { "data-state": "pending" }, el("time", {}, clock(Date.now())), words);
    this.results.prepend(line);
    while (this.results.childElementCount > RESULTS) this.results.lastChild.remove();
    try {
      await work();
      setText(words, `${said}: done`);
      setData(line, "state", "done");
      return true;
    } catch (error) {
      setText(words, `${said}: refused, ${error.message}`);
      words.title = words.textContent;
      setData(line, "state", "failed");
      return false;
    }
  }

  /** Follow the machine: sliders that nobody holds, the names of the faults, and which are active. */
  draw(machine) {
    this.#allow(machine?.plate);
    if (this.#shown !== this.model.chosen) {
      // Another machine: no hand is on its sliders.
      this.#shown = this.model.chosen;
      for (const slider of this.#sliders) [slider.held, slider.wanted] = [0, null];
    }
    for (const slider of this.#sliders) {
      const { input, output, signal } = slider;
      const value = machine?.last(signal);
      if (slider.wanted !== null && (value === slider.wanted || performance.now() > slider.until)) [slider.held, slider.wanted] = [0, null];
      setClass(input.parentElement, "absent", machine?.heard === true && value === undefined);
      if (slider.held > 0 || typeof value !== "number") continue;
      if (Number(input.value) !== value) input.value = value;
      setText(output, `${Math.round(value)} %`);
    }
    // What the machine offers; a server that does not say so shows at least what is loaded.
    const loaded = machine?.last("Channel/ActMainProgramName");
    const names = machine?.last("Channel/ProgramNames") ?? (loaded ? [loaded] : []);
    if (names.join("\n") !== this.#programs) {
      this.#programs = names.join("\n");
      this.list.replaceChildren(...names.map((name) => el("option", { value: name })));
    }
    this.upkeep.hidden = machine?.last("Machine/MaintenanceMode") === undefined;
    this.#drawFaults(machine);
  }

  #drawFaults(machine) {
    const names = machine?.last("Simulation/FaultNames") ?? [];
    this.faults.hidden = names.length === 0;
    if (names.join() !== this.#names) {
      this.#names = names.join();
      this.fault.replaceChildren(...names.map((name) => el("option", { value: name }, name.replaceAll("_", " "))));
    }
    const severities = machine?.last("Simulation/FaultSeverities") ?? [];
    const active = names.map((name, i) => [name, severities[i] ?? 0]).filter(([, severity]) => severity > 0);
    setText(this.truth, active.map(([name, severity]) => `${name.replaceAll("_", " ")} ${severity.toFixed(2)}`).join(", ") || "no fault");
    setData(this.truth, "level", active.length ? "warn" : "");
  }
}
