// Small pieces for building and filling the page. Text only ever enters as text: nothing here parses HTML.

export const $ = (selector, root = document) => root.querySelector(selector);

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Writes only what changed: the browser then repaints only that.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, on) {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
}

export function scale(node, share, warn = 0.8, bad = 1) {
  node.style.transform = `scaleX(${Math.max(0, Math.min(1, share)).toFixed(3)})`;
  mark(node, "warn", share >= warn && share < bad);
  mark(node, "bad", share >= bad);
}

const clock = (seconds) => {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map((n) => String(n).padStart(2, "0"));
  return parts[0] === "00" ? parts.slice(1).join(":") : parts.join(":");
};

const day = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" });

export function shown(value, kind, digits) {
  if (value === null || value === undefined) return "–";
  if (kind === "clock") return clock(Number(value));
  if (kind === "time") {
    const time = new Date(value);
    if (Number.isNaN(time.getTime())) return "–";
    const days = (time - Date.now()) / 86_400_000;
    return Math.abs(days) > 365 ? String(time.getFullYear()) : day.format(time);
  }
  if (kind === "words") return String(value).replaceAll("_", " ");
  if (typeof value === "number") return digits === undefined ? String(value) : value.toFixed(Number(digits)).replace(/^-(0(\.0*)?)$/, "$1");
  return String(value);
}
