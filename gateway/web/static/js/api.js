// Calls of /api/v1. A refusal becomes an Error whose message an operator can read.

import { STATES } from "./model.js";

const BASE = "/api/v1";
const LONGEST_S = 15;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const PLAIN = {
  401: "not logged in",
  403: "your role may not do this",
  404: "this machine does not have it",
  409: "not possible in the present state",
  422: "a value is out of range",
  429: "too many tries, wait a moment",
  503: "the machine cannot be reached",
  504: "the machine did not answer in time",
};

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(BASE + path, { credentials: "same-origin", ...options });
  } catch {
    throw new Refused(0, "the gateway cannot be reached");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, explained(response.status, body));
  return body;
}

/** Sentences for status codes, OPC UA's own and the link's: the page knows more, such as the state. */
const GENERIC = /^(not possible in the machine's present state|there is nothing of that name|The operation cannot be completed because|A requested item was not found|User does not have permission|One or more arguments are invalid|The value was out of range)/;

function explained(status, body) {
  const detail = body?.detail;
  const told = Array.isArray(detail) ? detail.map((problem) => problem.msg).join("; ") : (detail ?? "");
  const said = told.replace(/^\w+: refused: /, "");
  if (said && !GENERIC.test(said)) return said;
  const state = STATES[body?.machine_state?.value]?.[0].toLowerCase();
  if (status === 409 && state) return `not possible now, the machine's state is: ${state}`;
  if (status === 404 && body?.status_name === "BadNotFound") return "the machine knows no such name";
  return PLAIN[status] ?? `the gateway answered ${status}`;
}

const post = (path, body = {}) =>
  call(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const machinePath = (id) => `/machines/${encodeURIComponent(id)}`;

export const machines = () => call("/machines");
export const catalogue = () => call("/catalogue");
export const alarms = (id) => call(`${machinePath(id)}/alarms`);
export const conditions = (id) => call(`${machinePath(id)}/conditions`);
export const login = (user, password) => post("/login", { user, password });
export const logout = () => post("/logout");

/** Who is logged in; role null where even reading needs a login. */
export async function session() {
  try {
    return await call("/session");
  } catch (error) {
    if (error.status === 401) return { user: null, role: null };
    throw error;
  }
}

/** Points [[seconds, value] ...] of the last `seconds` before the machine's `now`, an RFC 3339 time, oldest first; empty where the signal has
 * no history. The clock of who looks may be wrong: it counts only where nothing is known of the machine yet. */
export async function history(id, name, seconds, now) {
  const start = new Date((Date.parse(now) || Date.now()) - seconds * 1000).toISOString();
  const path = name.split("/").map(encodeURIComponent).join("/");
  const body = await call(`${machinePath(id)}/history/${path}?start=${encodeURIComponent(start)}`).catch(() => null);
  return (body?.points ?? []).map(([time, value]) => [Date.parse(time) / 1000, value]);
}

const taken = new Map(); // machine and method -> when the last of them was taken

/** Give a command and wait for what becomes of it: resolves when it is done, else throws Refused with the reason. Values of one
 * method go one after the other, as two requests may overtake each other; what has none, such as an emergency stop, waits for nothing. */
export function command(id, method, values = {}) {
  const path = `${machinePath(id)}/commands/${encodeURIComponent(method)}`;
  const send = () => post(path, { arguments: values });
  if (!Object.keys(values).length) return settled(send());
  const given = (taken.get(path) ?? Promise.resolve()).then(send);
  taken.set(path, given.catch(() => undefined));
  return settled(given);
}

/** "acknowledge" or "confirm" what was seen of an alarm; as `command`. */
export const handle = (id, condition, act) => settled(post(`${machinePath(id)}/conditions/${condition.id}/${act}`, { event: condition.event }));

async function settled(given) {
  let told = await given;
  const until = Date.now() + LONGEST_S * 1000;
  while (told.state === "pending" && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    told = await call(`/commands/${encodeURIComponent(told.id)}`);
  }
  if (told.state === "failed") throw new Refused(409, told.reason || "refused");
  if (told.state === "pending") throw new Refused(504, "no answer yet; watch the machine's state");
}
