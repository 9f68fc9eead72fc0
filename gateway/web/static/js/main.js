// The page: one stream in, the chosen machine's readings held here, everything drawn in an animation frame.

import { $, el, mark, put, scale, shown } from "./dom.js";
import * as api from "./api.js";
import { Panel } from "./panel.js";
import { Stream } from "./stream.js";
import { Toolpath } from "./path.js";
import { Trends } from "./trends.js";

const STATES = ["Off", "Idle", "Loading", "Running", "Held", "Manual", "Alarm", "Emergency stop", "Maintenance"];
const LAMPS = ["", "yellow", "yellow", "green", "yellow", "yellow", "red", "red", "blue"];
const BLINKING = new Set([4, 6]);
const WAITING = 0x80320000;
const AXES = ["X", "Y", "Z"];
const ALARMS = 60;

const machines = new Map(); // id -> {plate, readings: Map(name -> [value, status, time]), changed}
let chosen = null;
let connected = false;
let alarms = [];
let parts = null;
let program = null;

const severity = (status) => status >>> 30;
const reading = (name) => machines.get(chosen)?.readings.get(name);
const value = (name) => { const r = reading(name); return r && severity(r[1]) < 2 ? r[0] : null; };

const path = new Toolpath($("#path"));
const trends = new Trends($("#charts"));
const panel = new Panel($("#operator"), () => chosen, confirmed);
const bound = [];

for (const axis of AXES) {
  const load = el("i");
  load.dataset.axis = axis;
  $("#axes").append(el("tr", {}, el("td", {}, axis),
    el("td", {}, signal(`Axes/${axis}/ActPos`, 3)), el("td", {}, signal(`Axes/${axis}/RemDist`, 2)),
    el("td", {}, signal(`Axes/${axis}/FollowingError`, 0, 1000)), el("td", {}, el("div", { className: "meter" }, load))));
}
for (const node of document.querySelectorAll("[data-signal]")) bound.push(node);

function signal(name, digits, factor) {
  const node = el("span");
  node.dataset.signal = name;
  node.dataset.digits = digits;
  if (factor) node.dataset.factor = factor;
  return node;
}

// Data

const stream = new Stream({
  up() {
    connected = true;
    plates();
  },
  down(reason) {
    connected = false;
    put($("#link"), reason);
  },
  message(message) {
    if (message.type === "snapshot" || message.type === "update") take(message);
    else if (message.type === "alarm" && message.machine === chosen) {
      alarms = [message, ...alarms].slice(0, ALARMS);
      listAlarms();
    }
  },
});

function take(message) {
  let machine = machines.get(message.machine);
  if (!machine) {
    machine = { plate: {}, readings: new Map(), time: null };
    machines.set(message.machine, machine);
    plates();
    if (chosen === null) choose(message.machine);
  }
  if (message.type === "snapshot") machine.readings.clear();
  for (const [name, data] of Object.entries(message.values)) machine.readings.set(name, data);
  machine.time = message.time;
  if (message.machine === chosen) follow(message);
}

function follow(message) {
  const made = value("Machine/PartsProduced"), name = value("Channel/ActMainProgramName");
  if ((parts !== null && made !== null && made !== parts) || (program !== null && name !== null && name !== program)) path.clear();
  parts = made ?? parts;
  program = name ?? program;
  const at = AXES.map((axis) => value(`Axes/${axis}/ActPos`));
  const live = AXES.every((axis) => severity(reading(`Axes/${axis}/ActPos`)?.[1] ?? 0x80000000) === 0);
  if (live && at.every((v) => typeof v === "number")) path.add(...at, value("Tool/InCut") === true);
  const time = Date.parse(message.time) / 1000;
  if (Number.isFinite(time)) trends.add(time, (n) => { const v = value(n); return typeof v === "number" ? v : null; });
}

let asking = false;
async function plates() {
  if (asking) return;
  asking = true;
  try {
    for (const plate of await api.machines()) {
      const known = machines.get(plate.id);
      if (known) known.plate = plate;
    }
  } catch {
    // the next snapshot asks again
  } finally {
    asking = false;
  }
  const select = $("#machine");
  const ids = [...machines.keys()].sort();
  if (ids.join() !== [...select.options].map((option) => option.value).join()) {
    select.replaceChildren(...ids.map((id) => el("option", { value: id }, id)));
    if (chosen) select.value = chosen;
    fleet(ids);
  }
  namePlate();
}

function namePlate() {
  const plate = machines.get(chosen)?.plate || {};
  put($("#nameplate"), [plate.manufacturer, plate.model, plate.serial_number].filter(Boolean).join(" · "));
  document.title = chosen ? `${chosen} · cnctwin` : "cnctwin";
}

function fleet(ids) {
  const strip = $("#fleet");
  strip.hidden = ids.length < 2;
  strip.replaceChildren(...ids.map((id) => {
    const button = el("button", { type: "button" }, el("i"), el("b", {}, id), el("span", { className: "faint" }));
    button.dataset.machine = id;
    button.addEventListener("click", () => choose(id));
    return button;
  }));
}

async function choose(id) {
  chosen = id;
  parts = program = null;
  $("#machine").value = id;
  path.clear();
  trends.clear();
  namePlate();
  alarms = [];
  listAlarms();
  trends.seed(id);
  const known = await api.alarms(id).catch(() => []);
  if (id === chosen) {
    alarms = known.slice(0, ALARMS);
    listAlarms();
  }
}
$("#machine").addEventListener("change", (event) => choose(event.target.value));

function listAlarms() {
  $("#alarms").replaceChildren(...(alarms.length ? alarms : [null]).map((alarm) => {
    if (alarm === null) return el("li", { className: "faint" }, el("span", {}, "none"));
    const time = new Date(alarm.time);
    const style = alarm.severity > 333 ? (alarm.active ? "active" : "past") : "message";
    return el("li", { className: style }, el("b", {}, alarm.code || "–"), el("span", {}, alarm.text),
      el("time", { dateTime: alarm.time }, Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString()),
      el("span", { className: "faint small" }, alarm.severity > 333 ? (alarm.active ? "active" : "cleared") : ""));
  }));
}

// Drawing

function drawSignals() {
  for (const node of bound) {
    const { signal: name, digits, as, factor } = node.dataset;
    const r = reading(name);
    const status = r ? r[1] >>> 0 : 0x80000000;
    const waiting = status === WAITING;
    let v = r ? r[0] : null;
    if (factor && typeof v === "number") v *= Number(factor);
    put(node, waiting ? "learning…" : severity(status) >= 2 ? "–" : shown(v, as, digits));
    mark(node, "waiting", waiting);
    mark(node, "uncertain", severity(status) === 1);
    mark(node, "bad-quality", r !== undefined && severity(status) >= 2 && !waiting);
  }
}

function drawState() {
  const state = value("Machine/State");
  put($("#state"), state === null ? "–" : STATES[state] ?? `State ${state}`);
  for (const lamp of $("#stacklight").children) {
    const on = value(`Machine/Stacklight${lamp.dataset.lamp}`) === true;
    mark(lamp, "on", on);
    mark(lamp, "blink", on && BLINKING.has(state));
  }
  $("#progress").value = value("Channel/Progress") ?? 0;
  const blocks = value("Channel/ActProgramBlock") || [];
  const lines = $("#blocks");
  if (lines.dataset.text !== blocks.join("\n")) {
    lines.dataset.text = blocks.join("\n");
    lines.replaceChildren(...blocks.map((block, i) => el("span", { className: i === 0 ? "now" : "" }, `${block || " "}\n`)));
  }
  const codes = (name, letter, by) => (value(name) || []).map((n) => `${letter}${n / by}`).join(" ");
  put($("#modal"), `${codes("Channel/ActGFunctions", "G", 10)} ${codes("Channel/ActMFunctions", "M", 1)}`.trim());
  put($("#direction"), { 1: "M3 clockwise", 2: "M4 counter-clockwise" }[value("Spindle/ActTurnDirection")] ?? "stopped");
  for (const bar of document.querySelectorAll("#axes i")) scale(bar, (value(`Axes/${bar.dataset.axis}/ActLoad`) ?? 0) / 100);
  scale($("#spindle-load"), (value("Spindle/ActLoad") ?? 0) / 100);
  scale($("#wear"), (value("Tool/WearPercent") ?? 0) / 100);
  const score = reading("Analytics/AnomalyScore"), anomalous = value("Analytics/Anomalous");
  const chip = $("#anomaly-chip");
  const learning = score && score[1] >>> 0 === WAITING;
  put(chip, !score ? "not watched" : learning ? "learning…" : severity(score[1]) ? "not current" : anomalous ? "anomaly" : "normal");
  chip.className = `chip ${!score || learning || severity(score[1]) ? "" : anomalous ? "bad" : "good"}`;
  const code = value("Machine/AlarmCode");
  const banner = $("#alarm-banner");
  banner.hidden = !code;
  put(banner, code ? `${code}  ${value("Machine/AlarmText") ?? ""}` : "");
}

function drawQuality() {
  const machine = machines.get(chosen);
  const worst = machine ? Math.max(0, ...["X", "Y", "Z"].map((a) => severity(reading(`Axes/${a}/ActPos`)?.[1] ?? 0))) : 2;
  const live = connected && worst === 0 && machine !== undefined;
  mark(document.body, "lost", !live);
  const link = $("#link");
  if (connected) put(link, !machine ? "no machine yet" : ["live", "machine not reachable: last known values", "bad data"][Math.min(2, worst)]);
  link.className = `chip ${live ? "good" : connected && worst === 1 ? "warn" : "bad"}`;
  for (const button of $("#fleet").children) {
    const readings = machines.get(button.dataset.machine)?.readings;
    const state = readings?.get("Machine/State")?.[0];
    const alarm = readings?.get("Machine/AlarmCode")?.[0];
    button.setAttribute("aria-current", String(button.dataset.machine === chosen));
    button.children[0].className = LAMPS[state] ?? "";
    put(button.children[2], alarm || readings?.get("Channel/ActMainProgramName")?.[0] || "");
  }
}

function frame() {
  drawSignals();
  drawState();
  drawQuality();
  panel.follow(value);
  path.draw();
  trends.draw();
  requestAnimationFrame(frame);
}

// People

function confirmed(text) {
  const dialog = $("#confirm-dialog");
  put($("#confirm-text"), text);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

function greet({ user, role }) {
  put($("#who"), user ? `${user} (${role.toLowerCase()})` : "viewing");
  put($("#login"), user ? "Log out" : "Log in");
  $("#login").dataset.user = user ?? "";
  panel.allow(role ?? "Viewer");
}

async function whoAmI() {
  try {
    greet(await api.session());
  } catch {
    greet({ user: null, role: "Viewer" });
    return false;
  }
  return true;
}

$("#login").addEventListener("click", async () => {
  if ($("#login").dataset.user) {
    await api.logout().catch(() => {});
    await whoAmI();
  } else {
    put($("#login-problem"), "");
    $("#login-dialog").showModal();
  }
});
$("#login-cancel").addEventListener("click", () => $("#login-dialog").close());
$("#login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    greet(await api.login(form.user.value, form.password.value));
    form.reset();
    $("#login-dialog").close();
    if (!connected && !stream.socket) stream.connect();
  } catch (error) {
    put($("#login-problem"), error.message);
  }
});
for (const from of ["iso", "top", "front"]) $(`#view-${from}`).addEventListener("click", () => path.look(from));

const mayLook = await whoAmI();
if (!mayLook) $("#login-dialog").showModal();
stream.connect();
requestAnimationFrame(frame);
