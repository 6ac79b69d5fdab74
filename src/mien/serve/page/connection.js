/** Whether the server responds, and the wait until it does. */

const DELAYS = [500, 1000, 2000, 4000, 8000]; // milliseconds between attempts; the last one repeats
const GATEWAY_ERRORS = [502, 503, 504]; // a proxy's response where no server is behind it

class Connection extends EventTarget {
  #online = null; // a promise while the server is not responding

  /** Whether the server is not responding. */
  get isOffline() {
    return this.#online !== null;
  }

  /** Return whether the server responds now. */
  async check() {
    try {
      const response = await fetch("/healthz", { cache: "no-store" });
      await response.arrayBuffer(); // to the end, so that the connection is free again
      return response.ok;
    } catch {
      return false;
    }
  }

  /** Return the server's response as `fetch` does, or null where there is none or it is a proxy's own error. */
  async fetch(url, options) {
    try {
      const response = await fetch(url, options);
      if (!GATEWAY_ERRORS.includes(response.status)) return response;
      const body = await response.clone().json();
      return body?.error?.code ? response : null;
    } catch {
      return null;
    }
  }

  /** Return a promise that resolves when the server responds again; fires `change` at both moments. */
  waitUntilOnline() {
    this.#online ??= this.#poll();
    return this.#online;
  }

  /** Wait before the next attempt, longer after each of them; `retryNow` ends the wait. */
  backOff(attempts) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.removeEventListener("retry", end);
        resolve();
      };
      const timer = setTimeout(end, DELAYS[Math.min(attempts, DELAYS.length - 1)]);
      this.addEventListener("retry", end);
    });
  }

  /** Try again at once instead of at the end of the wait. */
  retryNow() {
    this.dispatchEvent(new Event("retry"));
  }

  async #poll() {
    await null; // so that `isOffline` is true when the listeners ask
    this.dispatchEvent(new Event("change"));
    for (let attempts = 0; !(await this.check()); attempts++) await this.backOff(attempts);
    this.#online = null;
    this.dispatchEvent(new Event("change"));
  }
}

export const connection = new Connection();
addEventListener("online", () => connection.retryNow());
