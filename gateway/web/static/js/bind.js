// Elements that show one signal say so in the markup, and are kept up to date here:
//
//   <output data-signal="Axes/X/ActPos" data-digits="3"></output>     number (or text) and unit of the catalogue
//   <div class="bar" data-bar="Axes/X/ActLoad" data-max="150"></div>   bar, with data-warn and data-alert from where it changes colour
//
// data-as names another form (duration, moment, words; cycle: a duration, of which 0 is none yet). data-scale multiplies; data-unit replaces the unit, "" leaves it out.
// data-less names signals, separated by blanks, that are taken off it: what is shown is as good as the worst of them.
// data-q on the element says how far the value can be trusted; the style sheet greys and hatches it.

import { el, setData, setShare, setText } from "./dom.js";
import { DASH, duration, fixed, moment } from "./format.js";
import { quality, reason } from "./quality.js";

const FORMS = { duration, moment, cycle: (seconds) => (seconds > 0 ? duration(seconds) : DASH), words: (value) => String(value).replaceAll("_", " ") };

export class Bindings {
  constructor(root, model) {
    this.model = model;
    this.values = [...root.querySelectorAll("[data-signal]")].map((element) => this.#prepare(element));
    this.bars = [...root.querySelectorAll("[data-bar]")].map((element) => {
      const fill = el("i");
      element.append(fill);
      element.setAttribute("role", "meter");
      element.setAttribute("aria-valuemin", "0");
      element.setAttribute("aria-valuemax", element.dataset.max ?? "100");
      return { element, fill, name: element.dataset.bar };
    });
    this.needs = [...root.querySelectorAll("[data-needs]")].map((element) => ({ element, prefixes: element.dataset.needs.split(" ") }));
  }

  #prepare(element) {
    const number = el("b");
    const unit = el("i", { class: "unit" });
    element.append(number, unit);
    return { element, number, unit, reading: null };
  }

  /** Called once the catalogue is there. */
  label() {
    for (const { element, unit } of this.values) {
      const row = this.model.catalogue.get(element.dataset.signal);
      const shown = element.dataset.unit ?? row?.unit ?? "";
      setText(unit, shown === "1" ? "" : shown);
    }
    for (const { element, name } of this.bars) element.setAttribute("aria-label", this.model.catalogue.get(name)?.doc ?? name);
  }

  /** Forget what was drawn: another machine is shown now. */
  reset() {
    for (const value of this.values) value.reading = null;
  }

  draw(machine) {
    for (const item of this.values) {
      const { signal, less } = item.element.dataset;
      this.#drawValue(item, less ? difference(machine, item, signal, less) : machine?.reading(signal));
    }
    for (const item of this.bars) this.#drawBar(item, machine?.reading(item.name));
    if (machine?.heard) for (const { element, prefixes } of this.needs) element.hidden = !prefixes.some((p) => hasAny(machine, p));
  }

  #drawValue(item, reading) {
    if (item.reading === reading && reading !== undefined) return;
    item.reading = reading;
    const { element, number } = item;
    if (reading === undefined) {
      setText(number, DASH);
      setData(element, "q", "missing");
      element.title = "This machine does not show this signal";
      return;
    }
    const kind = quality(reading.status);
    setData(element, "q", kind);
    setText(number, kind === "learning" ? "learning…" : this.#text(element, reading.value));
    const { signal, less } = element.dataset;
    const doc = this.model.catalogue.get(signal)?.doc ?? "";
    const why = reason(reading.status);
    element.title = `${[signal, ...(less?.split(" ") ?? [])].filter(Boolean).join(" less ")}${doc ? `: ${doc}` : ""}${why ? `\n${kind}: ${why}` : ""}`;
  }

  #text(element, value) {
    if (value === null || value === undefined) return DASH;
    const { as, digits, scale } = element.dataset;
    if (as) return FORMS[as](value);
    if (typeof value === "number") return fixed(value * Number(scale ?? 1), Number(digits ?? 1));
    return String(value) || DASH;
  }

  #drawBar({ element, fill }, reading) {
    const good = reading !== undefined && quality(reading.status) === "good" && typeof reading.value === "number";
    const max = Number(element.dataset.max ?? 100);
    const share = good ? Math.min(1, Math.max(0, reading.value / max)) : 0;
    setShare(fill, share);
    const { warn, alert } = element.dataset;
    const level = !good ? "" : alert && reading.value >= Number(alert) ? "alert" : warn && reading.value >= Number(warn) ? "warn" : "";
    setData(element, "level", level);
    setData(element, "q", reading === undefined ? "missing" : quality(reading.status));
    if (good) element.setAttribute("aria-valuenow", reading.value.toFixed(0));
    else element.removeAttribute("aria-valuenow");
  }
}

/** The reading of a signal less those of others, as good as the worst of them; the same object for as long as none of them changes. */
function difference(machine, item, signal, less) {
  const parts = [signal, ...less.split(" ")].map((name) => machine?.reading(name));
  if (parts.some((part) => part === undefined)) return undefined;
  if (item.parts?.length === parts.length && parts.every((part, i) => part === item.parts[i])) return item.difference;
  const [first, ...others] = parts;
  const worst = parts.find((part) => quality(part.status) === "bad") ?? parts.find((part) => quality(part.status) !== "good") ?? first;
  const values = parts.map((part) => part.value);
  const value = values.every((one) => typeof one === "number") ? others.reduce((rest, part) => rest - part.value, first.value) : null;
  item.parts = parts;
  item.difference = { value, status: worst.status, time: first.time };
  return item.difference;
}

function hasAny(machine, prefix) {
  if (!prefix.endsWith("/")) return machine.values.has(prefix);
  for (const name of machine.values.keys()) if (name.startsWith(prefix)) return true;
  return false;
}
