// Calls of the gateway's API. A refusal is an Error whose message is fit to be shown.

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(`/api/v1${path}`, { credentials: "same-origin", ...options });
  } catch {
    throw new Error("the gateway does not answer");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const detail = typeof body.detail === "string" ? body.detail : body.title || `refused (${answer.status})`;
    const error = new Error(detail);
    error.status = answer.status;
    throw error;
  }
  return body;
}

const post = (path, body) => ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const part = encodeURIComponent;

export const session = () => ask("/session");
export const login = (user, password) => post("/login", { user, password });
export const logout = () => post("/logout", {});
export const machines = () => ask("/machines");
export const catalogue = () => ask("/catalogue");
export const alarms = (machine) => ask(`/machines/${part(machine)}/alarms`);
export const history = (machine, signal, start) => ask(`/machines/${part(machine)}/history/${signal}?start=${part(start)}`);

export async function command(machine, method, values = {}) {
  let told = await post(`/machines/${part(machine)}/commands/${part(method)}`, { arguments: values });
  for (let tries = 0; told.state === "pending" && tries < 40; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    told = await ask(`/commands/${part(told.id)}`);
  }
  if (told.state !== "done") throw new Error(told.reason || `${method}: no answer yet`);
  return told;
}
