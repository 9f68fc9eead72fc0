// What must be seen first: state, stack light, block, how far the data can be trusted, and the other machines.

import { byId, el, setClass, setData, setText } from "./dom.js";
import { STATES } from "./model.js";
import { quality, reason } from "./quality.js";
import { DASH } from "./format.js";

const LAMP_OF = { off: "", idle: "yellow", run: "green", hold: "yellow", alarm: "red", service: "blue" };
const DIRECTIONS = ["stopped", "M3 clockwise", "M4 counter-clockwise"];
const AXES = ["X", "Y", "Z"];
/** What work coordinates of an axis are less than those of the machine. */
const OFFSETS = { X: ["Axes/X/ZeroOffset"], Y: ["Axes/Y/ZeroOffset"], Z: ["Axes/Z/ZeroOffset", "Tool/LengthOffset"] };
/** Signals that are listed by name; more of them are counted by reason. */
const LISTED = 12;

/** How the link stands, for the chip and for greying: {level, words, live}. */
export function trust(model) {
  const { machine } = model;
  if (model.link === "lost") return { level: "bad", words: "connection lost", why: model.linkReason, live: false };
  if (model.link !== "live") return { level: "warn", words: "connecting", why: "", live: false };
  if (!machine?.heard) return { level: "warn", words: "no machine yet", why: "The gateway has not found this machine yet.", live: false };
  const { good, uncertain, bad, notGood } = machine.quality();
  const remarks = machine.plate.remarks ?? [];
  const total = good + uncertain + bad;
  if (total && good === 0) {
    const why = reason(notGood[0][1]);
    return { level: bad > uncertain ? "bad" : "warn", words: `not live: ${why}`, why: "No signal of the machine is good: last known values are shown.", live: false };
  }
  if (uncertain + bad) return { level: "warn", words: `live, ${uncertain + bad} not good`, why: `${good} of ${total} signals are good.`, live: true };
  if (remarks.length) return { level: "warn", words: "live, see why", why: `All ${total} signals are good.`, live: true };
  return { level: "good", words: "live", why: `All ${total} signals are good.`, live: true };
}

function counted(notGood) {
  const counts = new Map();
  for (const [, status] of notGood) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => [`${count} signals`, `${quality(status)}: ${reason(status)}`]);
}

export class Cockpit {
  #blocks = "";
  #listed = null;
  #frame = "work";

  constructor(choose) {
    this.choose = choose;
    this.lamps = [...byId("lamps").children];
    this.lines = [...byId("blocks").children];
    this.fleet = byId("fleet");
    this.positions = {}; // the cells of each axis
    this.lags = {};
    this.select = byId("machine");
    this.select.addEventListener("change", () => choose(this.select.value));
    this.#axes();
    this.frames = [...byId("frames").children];
    for (const button of this.frames) button.addEventListener("click", () => { this.#frame = button.dataset.frame; });
  }

  #axes() {
    for (const axis of AXES) {
      const cell = (tail, digits, more = {}) => el("td", { "data-signal": `Axes/${axis}/${tail}`, "data-digits": digits, "data-unit": "", ...more });
      this.positions[axis] = cell("ActPos", 3, { "data-position": axis });
      this.lags[axis] = cell("FollowingError", 0, { "data-scale": 1000 });
      const scale = cell("ActPos", 0, { "data-scale": 1000, "data-less": `Axes/${axis}/MotorPos`, class: "scale" });
      byId("axes").append(el("tr", {}, el("th", { scope: "row" }, axis), this.positions[axis], cell("RemDist", 2),
        this.lags[axis], scale,
        el("td", {}, el("div", { class: "bar", "data-bar": `Axes/${axis}/ActLoad`, "data-max": 150, "data-warn": 100, "data-alert": 130 }))));
    }
  }

  draw(model) {
    const { machine } = model;
    const seen = trust(model);
    setClass(document.body, "lost", !seen.live);
    const chip = byId("link");
    setText(chip, seen.words);
    setData(chip, "level", seen.level);
    if (byId("trust").open) this.#listTrust(machine, seen);
    this.#state(machine);
    this.#positions(machine);
    this.#program(machine);
    this.#tool(machine);
    this.#blank(machine);
    this.#condition(machine);
    for (const button of this.fleet.children) this.#entry(button, model);
  }

  #state(machine) {
    const [words, kind] = STATES[machine?.last("Machine/State")] ?? [DASH, "off"];
    setText(byId("state"), words);
    setData(byId("state"), "kind", kind);
    const lit = [];
    for (const lamp of this.lamps) {
      const on = machine?.live(`Machine/Stacklight${lamp.dataset.lamp}`) === true;
      setClass(lamp, "on", on);
      if (on) lit.push(lamp.dataset.lamp.toLowerCase());
    }
    const label = `Stack light: ${lit.join(", ") || "dark"}`;
    if (byId("lamps").title !== label) {
      byId("lamps").title = label;
      byId("lamps").setAttribute("aria-label", label);
    }
  }

  /** In which coordinates positions are: of the tool's tip from the work zero as at a control, or of the machine, which every one has.
      Where there is an encoder at the motor, the loop of the control is closed there, and its display shows what the loop measures. */
  #positions(machine) {
    const all = (names) => AXES.every((axis) => names(axis).every((name) => machine?.values.has(name)));
    const has = all((axis) => OFFSETS[axis]);
    const loop = all((axis) => [`Axes/${axis}/MotorPos`, `Axes/${axis}/CmdPos`]);
    setClass(byId("axes").parentElement, "no-encoder", !loop);
    const frame = has ? this.#frame : "machine";
    byId("frames").hidden = !has;
    for (const button of this.frames) button.setAttribute("aria-pressed", String(button.dataset.frame === frame));
    for (const axis of AXES) {
      const [position, lag] = [this.positions[axis], this.lags[axis]];
      setData(position, "signal", `Axes/${axis}/${loop ? "MotorPos" : "ActPos"}`);
      setData(position, "less", frame === "work" ? OFFSETS[axis].join(" ") : "");
      setData(lag, "signal", `Axes/${axis}/${loop ? "CmdPos" : "FollowingError"}`);
      setData(lag, "less", loop ? `Axes/${axis}/MotorPos` : "");
    }
    const zero = machine?.last("Channel/ActModalOffsetFunction");
    setText(byId("frame"), frame === "work" ? `${zero ? `G${zero}, ` : ""}mm` : "mm");
  }

  #program(machine) {
    const blocks = machine?.last("Channel/ActProgramBlock") ?? [];
    const text = blocks.join("\n");
    if (text !== this.#blocks) {
      this.#blocks = text;
      this.lines.forEach((line, i) => setText(line, blocks[i] ?? ""));
    }
    const codes = (name, letter, by) => (machine?.last(name) ?? []).map((n) => `${letter}${n / by}`).join(" ");
    setText(byId("modal"), `${codes("Channel/ActGFunctions", "G", 10)} ${codes("Channel/ActMFunctions", "M", 1)}`.trim());
    setText(byId("direction"), DIRECTIONS[machine?.last("Spindle/ActTurnDirection")] ?? "");
  }

  /** What the part is cut from: material, and the lengths of the blank. */
  #blank(machine) {
    const [low, high] = ["Part/BlankLow", "Part/BlankHigh"].map((name) => machine?.last(name) ?? []);
    const lengths = high.map((v, i) => Number((v - low[i]).toFixed(1))).join(" × ");
    setText(byId("blank"), lengths && `${machine.last("Part/Material") ?? ""} ${lengths} mm`.trim());
  }

  #tool(machine) {
    const cuts = machine?.live("Tool/InCut");
    setText(byId("in-cut"), cuts === undefined ? DASH : cuts ? "in cut" : "in air");
    setData(byId("in-cut"), "level", cuts ? "cut" : "");
    const [best, low, high] = ["ToolRul", "ToolRulLow", "ToolRulHigh"].map((tail) => machine?.live(`Analytics/${tail}`));
    const interval = byId("interval");
    const known = [best, low, high].every((v) => typeof v === "number");
    setClass(interval, "unknown", !known);
    if (!known) return;
    // The scale ends at a round number beyond the upper bound, so that it does not crawl with each update.
    const end = [1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 960].find((n) => n >= high) ?? high;
    const [range, mark] = interval.children;
    range.style.left = `${(low / end) * 100}%`;
    range.style.width = `${((high - low) / end) * 100}%`;
    mark.style.left = `${(best / end) * 100}%`;
    interval.title = `0 to ${end} min of cutting`;
  }

  #condition(machine) {
    const score = machine?.reading("Analytics/AnomalyScore");
    const chip = byId("anomaly");
    const kind = score === undefined ? "missing" : quality(score.status);
    const anomalous = machine?.live("Analytics/Anomalous") === true;
    const [words, level] = {
      missing: ["not watched", ""], learning: ["learning…", ""], uncertain: ["not current", "warn"], bad: ["no result", "warn"],
      good: anomalous ? ["anomaly", "bad"] : ["normal", "good"],
    }[kind];
    setText(chip, words);
    setData(chip, "level", level);
    const why = machine?.live("Analytics/Explanation");
    const text = {
      missing: "No analytics watch this machine.", learning: "The detectors are collecting data; there is no score yet.",
      uncertain: `Last result before: ${reason(score?.status ?? 0)}.`, bad: `No result: ${reason(score?.status ?? 0)}.`,
      good: why || "Nothing stands out.",
    }[kind];
    setText(byId("explanation"), text);
  }

  #listTrust(machine, seen) {
    setText(byId("trust-words"), seen.why || seen.words);
    const notGood = machine?.quality().notGood ?? [];
    const remarks = machine?.plate.remarks ?? [];
    const key = [...remarks, ...notGood.map(([name, status]) => name + status)].join();
    if (key === this.#listed) return;
    this.#listed = key;
    const rows = notGood.length > LISTED ? counted(notGood) : notGood.map(([name, status]) => [name, `${quality(status)}: ${reason(status)}`]);
    byId("trust-list").replaceChildren(...remarks.map((remark) => el("li", {}, remark)),
      ...rows.map(([what, why]) => el("li", {}, el("b", {}, what), ` ${why}`)));
  }

  /** The machines changed, or another one was chosen. */
  list(model) {
    const ids = [...model.machines.keys()].sort();
    const many = ids.length > 1;
    this.select.hidden = this.fleet.hidden = !many;
    if (ids.join("\n") !== [...this.select.options].map((option) => option.value).join("\n")) {
      this.select.replaceChildren(...ids.map((id) => el("option", { value: id }, id)));
      this.fleet.replaceChildren(...(many ? ids : []).map((id) => el("button", { type: "button", "data-machine": id, title: id, onclick: () => this.choose(id) },
        el("i"), el("b", {}, id), el("span", { class: "what" }), el("span", { class: "program" }), el("span", { class: "trouble" }))));
    }
    this.select.value = model.chosen ?? "";
    const plate = model.machine?.plate ?? {};
    setText(byId("plate"), [many ? null : model.chosen, plate.manufacturer, plate.model, plate.serial_number].filter(Boolean).join(" · "));
    document.title = model.chosen ? `${model.chosen} · cnctwin` : "cnctwin";
  }

  #entry(button, model) {
    const machine = model.machines.get(button.dataset.machine);
    const state = machine?.reading("Machine/State");
    // A server of another maker may show everything but the state.
    const current = model.link === "live" && (state === undefined ? machine?.quality().good > 0 : quality(state.status) === "good");
    const [words, kind] = STATES[state?.value] ?? [state === undefined ? "live" : DASH, "off"];
    const [lamp, , what, program, trouble] = button.children;
    setData(lamp, "lamp", current ? LAMP_OF[kind] : "");
    setText(what, current ? words : "not live");
    setText(program, machine?.last("Channel/ActMainProgramName") ?? "");
    setText(trouble, machine?.last("Machine/AlarmCode") ?? "");
    setClass(button, "stale", !current);
    const chosen = String(button.dataset.machine === model.chosen);
    if (button.getAttribute("aria-current") !== chosen) button.setAttribute("aria-current", chosen);
  }
}
