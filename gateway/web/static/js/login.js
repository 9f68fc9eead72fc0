// Who is at the page: the login dialog, and a question that wants a yes.

import { byId, setText } from "./dom.js";
import * as api from "./api.js";

export class Login {
  /** `changed(session)` is told who is logged in, `opened()` that reading may work now. */
  constructor(changed, opened) {
    this.changed = changed;
    this.opened = opened;
    this.session = { user: null, role: null };
    this.dialog = byId("login-dialog");
    this.form = byId("login-form");
    byId("login").addEventListener("click", () => (this.session.user ? this.#leave() : this.ask()));
    byId("login-cancel").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter();
    });
  }

  async start() {
    await this.#tell(await api.session().catch(() => ({ user: null, role: null })));
    if (this.session.role === null) this.ask();
  }

  ask() {
    setText(byId("login-problem"), "");
    if (!this.dialog.open) this.dialog.showModal();
    this.form.elements.user.focus();
  }

  async #enter() {
    const { user, password } = this.form.elements;
    const button = this.form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await this.#tell(await api.login(user.value, password.value));
      this.form.reset();
      this.dialog.close();
      this.opened();
    } catch (error) {
      setText(byId("login-problem"), error.message);
      password.value = "";
      password.focus();
    } finally {
      button.disabled = false;
    }
  }

  async #leave() {
    await api.logout().catch(() => null);
    await this.start();
  }

  /** The gateway forgot the session (restart, or it ran out): ask it anew, once the link is back. */
  async check() {
    const session = await api.session().catch(() => null);
    if (session !== null && (session.user !== this.session.user || session.role !== this.session.role)) await this.#tell(session);
  }

  async #tell(session) {
    this.session = session;
    setText(byId("who"), session.user ? `${session.user} · ${session.role}` : "view only");
    setText(byId("login"), session.user ? "Log out" : "Log in");
    this.changed(session);
  }
}

/** A promise of whether the question was answered with yes. */
export function confirmed(question, yes) {
  const dialog = byId("confirm-dialog");
  setText(byId("confirm-text"), question);
  setText(byId("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
