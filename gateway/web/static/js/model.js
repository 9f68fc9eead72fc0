// What the page knows: machines, the newest reading of each of their signals, alarms. Changed by the stream, read by the views.

import { quality } from "./quality.js";

/** Names of nodesets/states.py, by number, as an operator says them. */
export const STATES = [
  ["Off", "off"], ["Idle", "idle"], ["Loading", "idle"], ["Running", "run"], ["Hold", "hold"],
  ["Manual", "idle"], ["Alarm", "alarm"], ["Emergency stop", "alarm"], ["Maintenance", "service"],
];

const STATE_NUMBERS = ["OFF", "IDLE", "LOADING", "RUNNING", "HELD", "MANUAL", "ALARM", "EMERGENCY_STOP", "MAINTENANCE"];

/** Alarms of the past that are kept. */
const PAST = 200;

export class Machine {
  constructor(plate) {
    this.id = plate.id;
    this.plate = plate;
    this.values = new Map(); // name -> {value, status, time}
    this.time = ""; // source time of the newest message
    this.alarms = []; // newest first
    this.conditions = new Map(); // id -> alarm that is active, or not acknowledged and confirmed
    this.conditionChanges = 0;
    this.heard = false; // a snapshot has come
    const state = STATE_NUMBERS.indexOf(plate.state);
    if (state >= 0) this.values.set("Machine/State", { value: state, status: 0, time: "" });
  }

  reading(name) {
    return this.values.get(name);
  }

  /** The value, or undefined where it is missing, bad or uncertain: for what must only ever show live data. */
  live(name) {
    const reading = this.values.get(name);
    return reading !== undefined && quality(reading.status) === "good" ? reading.value : undefined;
  }

  /** The value however old; undefined where there is none. */
  last(name) {
    return this.values.get(name)?.value ?? undefined;
  }

  /** How far the machine's own signals can be trusted: counts, and what is not good. Results have their own marks. */
  quality() {
    const counts = { good: 0, uncertain: 0, bad: 0, learning: 0, notGood: [] };
    for (const [name, { status }] of this.values) {
      if (name.startsWith("Analytics/")) continue;
      const kind = quality(status);
      counts[kind] += 1;
      if (kind !== "good") counts.notGood.push([name, status]);
    }
    return counts;
  }

  /** Active alarms: of each (code, text) the newest record says whether it still stands. An end in words of its own, which nothing was
      raised with, ends all of its code. A machine that sends no alarm events may still show its first alarm as a signal. */
  activeAlarms() {
    const key = (alarm) => `${alarm.code}\n${alarm.text}`;
    const raised = new Set(this.alarms.filter((alarm) => alarm.active).map(key));
    const newest = new Map();
    const over = new Set();
    for (const alarm of this.alarms) {
      if (!alarm.active && alarm.code && !raised.has(key(alarm))) over.add(alarm.code);
      if (!newest.has(key(alarm))) newest.set(key(alarm), alarm.active && !over.has(alarm.code) ? alarm : null);
    }
    const active = [...newest.values()].filter((alarm) => alarm !== null);
    const code = this.last("Machine/AlarmCode");
    if (code && !active.some((alarm) => alarm.code === code)) {
      const reading = this.reading("Machine/AlarmCode");
      active.unshift({ time: reading.time, severity: null, code, text: this.last("Machine/AlarmText") ?? "", active: true });
    }
    return active;
  }

  setConditions(list) {
    this.conditionChanges += 1;
    this.conditions = new Map(list.map((condition) => [condition.id, condition]));
  }

  takeCondition({ retain, ...condition }) {
    this.conditionChanges += 1;
    if (retain) this.conditions.set(condition.id, condition);
    else this.conditions.delete(condition.id);
  }

  /** What is heard later comes before what has the same time: an alarm may begin and end within one tick. */
  addAlarm(alarm) {
    const known = this.alarms.some((a) => a.time === alarm.time && a.code === alarm.code && a.active === alarm.active);
    if (known) return false;
    this.alarms.unshift(alarm);
    this.alarms.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
    this.alarms.length = Math.min(this.alarms.length, PAST);
    return true;
  }
}

export class Model {
  constructor() {
    this.machines = new Map();
    this.catalogue = new Map(); // signal name -> row
    this.chosen = null; // machine id
    this.session = { user: null, role: null };
    this.link = "connecting"; // connecting, live, lost
    this.linkReason = "";
  }

  get machine() {
    return this.machines.get(this.chosen) ?? null;
  }

  setMachines(plates) {
    for (const plate of plates) {
      const known = this.machines.get(plate.id);
      if (known) known.plate = plate;
      else this.machines.set(plate.id, new Machine(plate));
    }
    if (this.chosen === null || !this.machines.has(this.chosen)) this.chosen = plates[0]?.id ?? null;
  }

  /** A snapshot replaces what was known: a signal that is gone is gone. Returns the machine. */
  take(message) {
    let machine = this.machines.get(message.machine);
    if (machine === undefined) {
      machine = new Machine({ id: message.machine });
      this.machines.set(machine.id, machine);
      this.chosen ??= machine.id;
    }
    if (message.type === "snapshot") {
      machine.heard = true;
      for (const name of machine.values.keys()) if (!(name in message.values)) machine.values.delete(name);
    }
    for (const [name, [value, status, time]] of Object.entries(message.values)) machine.values.set(name, { value, status, time });
    machine.time = message.time;
    return machine;
  }
}
