// The alarm list: what wants somebody on top, with what may be done about it; then what is active, then what was, newest first.

import * as api from "./api.js";
import { byId, el, setData, setText } from "./dom.js";
import { moment } from "./format.js";
import { RANK } from "./panel.js";

/** Events below this severity are messages, not alarms. */
const ALARM_SEVERITY = 334;
const SHOWN = 60;
const ACTS = { acknowledge: "Acknowledge", confirm: "Confirm" };

const isMessage = (alarm) => alarm.severity !== null && alarm.severity < ALARM_SEVERITY;
/** What is to be done about a condition next; null where nothing is. */
const next = (condition) => (!condition.acknowledged ? "acknowledge" : condition.confirmed === false ? "confirm" : null);

export class Alarms {
  #key = "";
  #unseen = []; // what nobody has acknowledged, as it is shown
  #announced = new Set(); // alarms that are active and were said
  #of = null; // the machine they are of

  /** `tell(said, work)` shows the operator what became of it. */
  constructor(model, tell) {
    this.model = model;
    this.tell = tell;
    this.list = byId("alarms");
    this.all = byId("alarm-all");
    this.all.addEventListener("click", () => this.#acknowledgeAll());
  }

  draw(machine) {
    const told = machine ? machine.activeAlarms().filter((alarm) => !isMessage(alarm)) : [];
    const may = this.model.link === "live" && (RANK[this.model.session.role] ?? -1) >= RANK.Operator;
    const newest = machine?.alarms[0];
    const key = `${machine?.id} ${machine?.alarms.length} ${newest?.time} ${newest?.active} ${machine?.conditionChanges} ${may} ${told.map((a) => a.code + a.text).join()}`;
    if (key === this.#key) return;
    this.#key = key;
    const conditions = [...(machine?.conditions.values() ?? [])];
    conditions.sort((a, b) => a.put_aside - b.put_aside || a.acknowledged - b.acknowledged || b.severity - a.severity || (a.time < b.time ? 1 : -1));
    const active = conditions.filter((condition) => condition.active);
    const shown = active.filter((condition) => !condition.put_aside);
    const known = new Set(active.map((condition) => condition.code));
    const others = told.filter((alarm) => !known.has(alarm.code));
    const past = (machine?.alarms ?? []).filter((alarm) => !told.includes(alarm)).slice(0, SHOWN);
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.condition : undefined;
    this.list.replaceChildren(...conditions.map((condition) => this.#waiting(machine.id, condition, may)), ...others.map((alarm) => row(alarm, "active")),
      ...past.map((alarm) => row(alarm, isMessage(alarm) ? "message" : "past")));
    // Who works with the keyboard stays at the same alarm, or in the list where nothing is to be done about it any more.
    if (focused !== undefined) ([...this.list.querySelectorAll("button")].find((button) => button.dataset.condition === focused) ?? this.list).focus();
    if (!this.list.childElementCount) this.list.append(el("li", { class: "none" }, "Nothing has been reported"));
    this.#unseen = conditions.filter((condition) => next(condition) === "acknowledge").map((condition) => [machine.id, condition]);
    this.all.hidden = !may || this.#unseen.length < 2;
    this.#announce(machine?.id, [...shown, ...others]);
  }

  /** Of what stands in the list, so that nothing is acknowledged that nobody has seen. One that fails stays there, and is told. */
  async #acknowledgeAll() {
    const unseen = this.#unseen;
    this.all.disabled = true;
    await this.tell(`Acknowledge ${unseen.length} alarms`, async () => {
      const done = await Promise.allSettled(unseen.map(([machine, condition]) => api.handle(machine, condition, "acknowledge")));
      const failed = done.find((one) => one.status === "rejected");
      if (failed) throw failed.reason;
    });
    this.all.disabled = false;
  }

  /** Shows what is active, and says what has become so: a screen reader reads what is new, once. */
  #announce(id, active) {
    const count = byId("alarm-count");
    setText(count, active.length ? `${active.length} active` : "none active");
    setData(count, "level", active.length ? "bad" : "");
    const banner = byId("banner");
    banner.hidden = active.length === 0;
    setText(banner, active.map((alarm) => `${alarm.code}  ${alarm.text}`).join("   \u00b7   "));
    const words = active.map((alarm) => `Alarm ${alarm.code}: ${alarm.text}`);
    const said = id === this.#of ? this.#announced : new Set();
    const fresh = words.filter((text) => !said.has(text));
    if (fresh.length) setText(byId("announce"), fresh.join(". "));
    else if (said.size && !words.length) setText(byId("announce"), "No alarm is active");
    this.#announced = new Set(words);
    this.#of = id;
  }

  /** A condition, with its next step as a button for whoever may do it. */
  #waiting(machine, condition, may) {
    const act = next(condition);
    const state = [condition.active ? "active" : "over", condition.put_aside ? (condition.aside_because ? `follows from ${condition.aside_because}` : "put aside") : null,
      act === "acknowledge" ? "not acknowledged" : act === "confirm" ? "not confirmed" : null];
    const line = row(condition, condition.active ? "active wants" : "waiting wants", state.filter(Boolean).join(", "));
    if (condition.comment) line.title = condition.comment;
    if (act === null || !may) return line;
    const button = el("button", { type: "button", "data-act": act, "data-condition": condition.id, "aria-label": `${ACTS[act]} ${condition.code}: ${condition.text}` }, ACTS[act]);
    button.addEventListener("click", async () => {
      if (button.ariaDisabled) return;
      button.ariaDisabled = "true"; // not disabled, which would take the focus away
      await this.tell(`${ACTS[act]} ${condition.code}`, () => api.handle(machine, condition, act));
      button.ariaDisabled = null;
    });
    line.append(button);
    return line;
  }
}

function row(alarm, kind, state = null) {
  const word = state ?? { active: "active", past: alarm.active ? "raised" : "cleared", message: "" }[kind];
  return el("li", { class: kind }, el("time", { datetime: alarm.time }, moment(alarm.time)),
    kind === "message" ? null : el("b", {}, alarm.code || "–"), el("span", { class: "text" }, alarm.text || "–"), word ? el("i", {}, word) : null);
}
