// Numbers, durations and times as an operator reads them.

export const DASH = "–";

/** Plain decimal with a fixed number of digits, so that columns stay still. Minus zero reads as zero. */
export function fixed(value, digits = 1) {
  if (typeof value !== "number" || !Number.isFinite(value)) return DASH;
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text;
}

const two = (n) => String(n).padStart(2, "0");

/** Seconds as m:ss or h:mm:ss. */
export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return DASH;
  const s = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(s / 3600);
  const rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/** Local time of day of an RFC 3339 time or of milliseconds. */
export function clock(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return DASH;
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Time of day today, else with the date. */
export function moment(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime()) || date.getFullYear() < 1971) return DASH;
  if (date.toDateString() === new Date().toDateString()) return clock(time);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(time).slice(0, 5)}`;
}

/** A span of time in its two largest units, for what lies ahead. */
export function span(ms) {
  const minutes = Math.round(Math.abs(ms) / 60000);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  return `${Math.round(minutes / 1440)} days`;
}
