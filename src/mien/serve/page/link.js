/** Whether the server is there. Who meets silence calls `lost()` and waits for what it returns. */

const WAITS = [500, 1000, 2000, 4000, 8000]; // milliseconds between tries; the last one again and again
const IN_ITS_PLACE = [502, 503, 504]; // what a proxy answers where there is nobody behind it

class Link extends EventTarget {
  #back = null;

  /** Whether the server is being waited for. */
  get gone() {
    return this.#back !== null;
  }

  /** Whether the server answers now. */
  async answers() {
    try {
      const answer = await fetch("/healthz", { cache: "no-store" });
      await answer.arrayBuffer(); // to its end, so that the connection is free again
      return answer.ok;
    } catch {
      return false;
    }
  }

  /** The server's answer as of `fetch`, or null where there is none, or one that a proxy gives in its place. */
  async ask(address, options) {
    try {
      const answer = await fetch(address, options);
      if (!IN_ITS_PLACE.includes(answer.status)) return answer;
      const told = await answer.clone().json();
      return told?.error?.code ? answer : null;
    } catch {
      return null;
    }
  }

  /** A promise of the moment at which the server is back; fires `change` when it goes and when it comes. */
  lost() {
    this.#back ??= this.#wait();
    return this.#back;
  }

  /** Wait before the try after `tries` in vain: longer each time, and no longer once someone is in a hurry. */
  pause(tries) {
    return new Promise((done) => {
      const over = () => {
        clearTimeout(timer);
        this.removeEventListener("hurry", over);
        done();
      };
      const timer = setTimeout(over, WAITS[Math.min(tries, WAITS.length - 1)]);
      this.addEventListener("hurry", over);
    });
  }

  /** Try now instead of at the end of the pause. */
  hurry() {
    this.dispatchEvent(new Event("hurry"));
  }

  async #wait() {
    await null; // `gone` is true when the listeners ask
    this.dispatchEvent(new Event("change"));
    for (let tries = 0; !(await this.answers()); tries++) await this.pause(tries);
    this.#back = null;
    this.dispatchEvent(new Event("change"));
  }
}

export const link = new Link();
addEventListener("online", () => link.hurry());
