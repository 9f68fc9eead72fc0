// The alarm list: what is active on top, then what was, newest first.

import { byId, el, setData, setText } from "./dom.js";
import { moment } from "./format.js";

/** Events below this severity are messages, not alarms. */
const ALARM_SEVERITY = 334;
const SHOWN = 60;

const isMessage = (alarm) => alarm.severity !== null && alarm.severity < ALARM_SEVERITY;

export class Alarms {
  #key = "";
  #announced = "";

  constructor() {
    this.list = byId("alarms");
  }

  draw(machine) {
    const active = machine ? machine.activeAlarms().filter((alarm) => !isMessage(alarm)) : [];
    const newest = machine?.alarms[0];
    const key = `${machine?.id} ${machine?.alarms.length} ${newest?.time} ${newest?.active} ${active.map((a) => a.code + a.text).join()}`;
    if (key === this.#key) return;
    this.#key = key;
    const past = (machine?.alarms ?? []).filter((alarm) => !active.includes(alarm)).slice(0, SHOWN);
    this.list.replaceChildren(...active.map((alarm) => row(alarm, "active")), ...past.map((alarm) => row(alarm, isMessage(alarm) ? "message" : "past")));
    if (!this.list.childElementCount) this.list.append(el("li", { class: "none" }, "Nothing has been reported"));
    const count = byId("alarm-count");
    setText(count, active.length ? `${active.length} active` : "none active");
    setData(count, "level", active.length ? "bad" : "");
    const banner = byId("banner");
    banner.hidden = active.length === 0;
    setText(banner, active.map((alarm) => `${alarm.code}  ${alarm.text}`).join("   ·   "));
    const words = active.length ? `Alarm ${active[0].code}: ${active[0].text}` : this.#announced ? "No alarm is active" : "";
    if (words !== this.#announced) setText(byId("announce"), (this.#announced = words));
  }
}

function row(alarm, kind) {
  const word = { active: "active", past: alarm.active ? "raised" : "cleared", message: "" }[kind];
  return el("li", { class: kind }, el("time", { datetime: alarm.time }, moment(alarm.time)),
    kind === "message" ? null : el("b", {}, alarm.code || "–"), el("span", { class: "text" }, alarm.text || "–"), word ? el("i", {}, word) : null);
}
