// One WebSocket for the page: connects, resumes where it was, and says at once when it is cut off.

const SILENCE_MS = 5000;
const RETRY_MS = [250, 500, 1000, 2000, 5000];

export class Stream {
  // told: {message(object), up(), down(reason)}
  constructor(told) {
    this.told = told;
    this.seq = null;
    this.tries = 0;
    this.socket = null;
    this.heard = 0;
    setInterval(() => this.#watch(), 1000);
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/stream`);
    this.socket = socket;
    this.heard = performance.now();
    socket.onopen = () => {
      socket.send(JSON.stringify({ machines: null, signals: null, max_hz: 20, resume: this.seq }));
    };
    socket.onmessage = (event) => {
      this.heard = performance.now();
      const message = JSON.parse(event.data);
      if (this.tries !== -1) {
        this.tries = -1;
        this.told.up();
      }
      if (typeof message.seq === "number") this.seq = message.seq;
      this.told.message(message);
    };
    socket.onclose = () => this.#lost(socket, "connection lost");
  }

  #watch() {
    if (this.tries === -1 && performance.now() - this.heard > SILENCE_MS) this.#lost(this.socket, "no data for 5 s");
  }

  #lost(socket, reason) {
    if (socket !== this.socket) return;
    this.socket = null;
    socket.onclose = null;
    socket.close();
    this.tries = Math.max(0, this.tries + (this.tries === -1 ? 1 : 0));
    this.told.down(reason);
    setTimeout(() => this.connect(), RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]);
  }
}
