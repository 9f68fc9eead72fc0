// How far a value can be trusted, from its OPC UA status code (OPC 10000-4, 7.39): the top two bits say good, uncertain or bad.

const WAITING = 0x80320000;

const REASONS = new Map([
  [0x40900000, "last usable value"],
  [0x408f0000, "no communication, last known value"],
  [0x40910000, "substitute value"],
  [0x40920000, "initial value"],
  [0x40930000, "sensor not accurate"],
  [0x40940000, "outside of its range"],
  [0x40950000, "from fewer good sources than needed"],
  [0x80000000, "bad"],
  [0x80310000, "no communication"],
  [WAITING, "waiting for initial data"],
  [0x808c0000, "sensor failure"],
  [0x808a0000, "not connected"],
  [0x808d0000, "out of service"],
  [0x808b0000, "device failure"],
  [0x80050000, "communication error"],
  [0x80330000, "node id invalid"],
  [0x80340000, "node not known"],
  [0x809b0000, "no data"],
]);

/** "good", "uncertain", "learning" (a detector that still collects data) or "bad". Status codes arrive as unsigned 32-bit numbers. */
export function quality(status) {
  const severity = status >>> 30;
  if (severity === 0) return "good";
  if (severity === 1) return "uncertain";
  return (status & 0xffff0000) >>> 0 === WAITING ? "learning" : "bad";
}

/** The reason in plain words; empty for good. */
export function reason(status) {
  if (status >>> 30 === 0) return "";
  const code = (status & 0xffff0000) >>> 0;
  return REASONS.get(code) ?? `status 0x${code.toString(16).padStart(8, "0").toUpperCase()}`;
}
