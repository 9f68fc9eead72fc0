// The page: one stream feeds the model, the views draw it in an animation frame.

import { byId } from "./dom.js";
import * as api from "./api.js";
import { Alarms } from "./alarms.js";
import { Bindings } from "./bind.js";
import { Cockpit } from "./cockpit.js";
import { Login } from "./login.js";
import { Model } from "./model.js";
import { Panel } from "./panel.js";
import { Toolpath } from "./path.js";
import { Stream } from "./stream.js";
import { Trends, UNSEEN_S } from "./trends.js";

const AXES = ["Axes/X/ActPos", "Axes/Y/ActPos", "Axes/Z/ActPos"];
/** By how much the tool's tip is below the nose of the spindle: paths of tools of all lengths lie where they cut. */
const LENGTH = "Tool/LengthOffset";
/** How often is asked for what the stream does not bring: remarks on the server, ms. */
const PLATES_MS = 10_000;
/** The path before the page was opened that is fetched, s. */
const PATH_S = 180;

const model = new Model();
const cockpit = new Cockpit(choose);
const panel = new Panel(byId("operator"), model);
const alarms = new Alarms(model, (said, work) => panel.tell(said, work));
const path = new Toolpath(byId("path"));
const trends = new Trends(byId("charts"));
const bindings = new Bindings(document.body, model); // last: the views before it add elements with signals
const login = new Login((session) => { model.session = session; }, () => stream.open());
let job = ""; // program and part count: where it changes, a new path begins

const stream = new Stream({
  state(link, reason) {
    if (link === model.link && reason === model.linkReason) return;
    const back = link === "live" && model.link !== "live";
    model.link = link;
    model.linkReason = reason;
    if (link === "lost") {
      path.gap();
      trends.gap();
    }
    if (back) refresh();
  },
  values(message) {
    const known = model.machines.size;
    const before = model.chosen;
    const machine = model.take(message);
    if (model.machines.size !== known) plates();
    if (model.chosen !== before) choose(model.chosen);
    if (machine.id === model.chosen) follow(machine, message);
  },
  alarm(message) {
    model.machines.get(message.machine)?.addAlarm(message);
  },
  condition(message) {
    model.machines.get(message.machine)?.takeCondition(message);
  },
});

/** Draw on with what one message brought. */
function follow(machine, message) {
  const now = `${machine.last("Channel/ActMainProgramName")} ${machine.last("Machine/PartsProduced")}`;
  if (now !== job) {
    if (job !== "" && message.type === "update") path.nextPart();
    job = now;
  }
  path.diameter = machine.last("Tool/Diameter") || 2;
  const at = AXES.map((name) => machine.live(name));
  if (at.every((v) => typeof v === "number")) {
    const [x, y, z] = at;
    if (AXES.some((name) => name in message.values)) path.add(x, y, z - (machine.live(LENGTH) ?? 0), moveKind(machine));
  } else {
    path.gap();
  }
  const time = Date.parse(message.time) / 1000;
  if (Number.isFinite(time)) trends.push(time, (name) => machine.live(name));
}

function moveKind(machine) {
  if (machine.live("Tool/InCut") === true) return "cut";
  return machine.live("Channel/ActGFunctions")?.includes(0) ? "rapid" : "feed";
}

async function plates() {
  const known = await api.machines().catch(() => []);
  if (known.length) model.setMachines(known);
  cockpit.list(model);
}

/** After the first message, and after an outage: what the stream does not bring. */
async function refresh() {
  if (!model.catalogue.size) {
    const told = await api.catalogue().catch(() => null);
    for (const row of told?.signals ?? []) model.catalogue.set(row.name, row);
    bindings.label();
    bindings.reset();
  }
  login.check();
  await plates();
  if (model.chosen !== null) fetchAlarms(model.chosen);
}

async function fetchAlarms(id) {
  const told = await api.alarms(id).catch(() => []);
  for (const alarm of told.reverse()) model.machines.get(id)?.addAlarm(alarm);
  fetchConditions(id);
}

/** An answer that the stream has overtaken is older than what is shown, and asked for again. */
async function fetchConditions(id) {
  for (let tries = 0; tries < 5; tries += 1) {
    const machine = model.machines.get(id);
    const before = machine?.conditionChanges;
    const conditions = await api.conditions(id).catch(() => null);
    if (conditions === null || machine === undefined) return;
    if (machine.conditionChanges === before) return machine.setConditions(conditions);
  }
}

async function choose(id) {
  model.chosen = id;
  job = "";
  path.clear();
  trends.clear();
  bindings.reset();
  cockpit.list(model);
  const isStill = () => model.chosen === id;
  fetchAlarms(id);
  const now = model.machine?.time;
  trends.seed(id, now, isStill);
  seedPath(id, now, isStill);
}

/** The path of the last minutes from history: positions and whether the tool cut, held until the next one. History keeps no G codes,
    so what was not cut is not told apart. */
async function seedPath(id, now, isStill) {
  const columns = await Promise.all([...AXES, "Tool/InCut", "Machine/PartsProduced", LENGTH].map((name) => api.history(id, name, PATH_S, now)));
  if (!isStill()) return;
  const newer = path.points;
  const rows = columns.flatMap((points, i) => points.map(([time, value]) => [time, i, value])).sort((a, b) => a[0] - b[0]);
  const held = [];
  let before = -Infinity;
  path.points = [];
  rows.forEach(([time, i, value], k) => {
    if (i === 4 && held[4] !== undefined && held[4] !== value) path.nextPart();
    held[i] = value;
    if (time - before > UNSEEN_S) path.gap();
    before = time;
    if (rows[k + 1]?.[0] === time || [0, 1, 2].some((axis) => typeof held[axis] !== "number")) return;
    path.add(held[0], held[1], held[2] - (held[5] ?? 0), held[3] ? "cut" : "feed");
  });
  for (const point of newer) path.points.push(point);
  if (newer.length) path.tool = [newer.at(-1).x, newer.at(-1).y, newer.at(-1).z];
  path.stale = true;
}

function frame() {
  const { machine } = model;
  cockpit.draw(model);
  bindings.draw(machine);
  panel.draw(machine);
  alarms.draw(machine);
  path.setBlank(machine?.last("Part/BlankLow"), machine?.last("Part/BlankHigh"));
  path.draw();
  trends.draw((name) => machine?.live(name), (name) => !machine?.heard || machine.values.has(name));
  requestAnimationFrame(frame);
}

const views = [...document.querySelectorAll("[data-view]")];
for (const button of views) button.addEventListener("click", () => path.look(button.dataset.view));
path.turned = (from) => views.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === from)));

setInterval(() => { if (model.link === "live") plates(); }, PLATES_MS);
stream.open();
requestAnimationFrame(frame);
await login.start();
