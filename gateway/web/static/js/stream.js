// The one WebSocket: subscribes, resumes after an outage, notices a link that went silent.

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 8000;
/** After this silence the gateway is asked whether it lives: a cable that is pulled closes nothing. */
const SILENCE_MS = 3000;
const UNANSWERED_MS = 9000;

export class Stream {
  #on;
  #seq = null;
  #wait = FIRST_WAIT_MS;
  #socket = null;
  #heardMs = 0;
  #timer = 0;

  /** `on`: values(message), alarm(message), condition(message), state("live" | "lost", reason). */
  constructor(on) {
    this.#on = on;
    setInterval(() => this.#watch(), 1000);
    addEventListener("offline", () => this.#drop("this device is offline"));
    addEventListener("online", () => this.open());
  }

  open() {
    clearTimeout(this.#timer);
    if (this.#socket !== null) return;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/stream`);
    this.#socket = socket;
    this.#heardMs = performance.now();
    socket.onopen = () => {
      this.#heardMs = performance.now();
      socket.send(JSON.stringify({ machines: null, signals: null, max_hz: 20, resume: this.#seq }));
      // A machine at rest has nothing to send after an outage: a subscription that stands is as good as a message.
      if (this.#seq !== null) setTimeout(() => socket === this.#socket && this.#on.state("live", ""), 1000);
    };
    socket.onmessage = (event) => this.#take(event.data);
    socket.onclose = (event) => this.#drop(event.reason || "no connection to the gateway");
  }

  #take(data) {
    this.#heardMs = performance.now();
    const message = JSON.parse(data);
    if (message.type === "alarm") {
      this.#on.alarm(message);
    } else if (message.type === "condition") {
      this.#on.condition(message);
    } else if (message.type === "snapshot" || message.type === "update") {
      this.#wait = FIRST_WAIT_MS;
      this.#seq = message.seq;
      this.#on.state("live", "");
      this.#on.values(message);
    }
  }

  #drop(reason) {
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    this.#on.state("lost", reason);
    clearTimeout(this.#timer);
    // Spread in time, so that a hundred pages do not come back in the same instant.
    this.#timer = setTimeout(() => this.open(), this.#wait * (0.75 + Math.random() / 2));
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }

  async #watch() {
    const socket = this.#socket;
    const silentMs = performance.now() - this.#heardMs;
    if (socket === null || silentMs < SILENCE_MS) return;
    if (socket.readyState !== WebSocket.OPEN) {
      if (silentMs > UNANSWERED_MS) this.#drop("no answer from the gateway");
      return;
    }
    // A machine at rest sends nothing; a gateway that lives answers.
    const lives = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(2000) }).then((a) => a.ok, () => false);
    if (socket !== this.#socket) return;
    if (lives) this.#heardMs = performance.now();
    else this.#drop("no answer from the gateway");
  }
}
