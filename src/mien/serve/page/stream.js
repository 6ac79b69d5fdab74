/** Frames to the server and analyses back, over a WebSocket that is opened anew when it breaks. */

import { link } from "./link.js";
import { askToken, token } from "./token.js";
import { refusal, Trouble } from "./words.js";

const UNDERWAY = 2; // frames that are not answered yet: one is being read while the next is on its way
const NO_TOKEN = 4401;
const FULL = 1013;
const SILENT = 3; // connections that break before the server says a word, though it answers otherwise

/** A stream of frames. It goes on until `close()`, or until `refused` is called with the `Trouble`. */
export class Stream {
  #socket = null;
  #open = true;
  #ready = false;
  #number = 0;
  #silent = 0;
  #broken = 0; // connections since a frame was answered
  #underway = new Map();
  #on;

  /**
   * @param {(hello: {model: string, labels: string[]}) => void} ready when the server takes frames, also after a break.
   * @param {(analysis: object, frame: Blob, sent: number) => void} read for each frame that was read.
   * @param {() => void} broken when it broke though the server answers, and is opened anew after a pause.
   * @param {(why: Trouble) => void} missed for each frame that could not be read.
   * @param {(why: Trouble) => void} refused when the server takes no more.
   */
  constructor({ ready, broken, read, missed, refused }) {
    this.#on = { ready, broken, read, missed, refused };
    this.#connect();
  }

  /** Whether a frame sent now will be read soon; a socket that the server has begun to close takes none. */
  get free() {
    return this.#ready && this.#socket.readyState === WebSocket.OPEN && this.#underway.size < UNDERWAY;
  }

  /** Send a frame: JPEG, PNG or WebP. */
  send(frame) {
    if (!this.free) return;
    const number = this.#number++;
    this.#underway.set(number, { frame, sent: performance.now() });
    const head = new DataView(new ArrayBuffer(4));
    head.setUint32(0, number);
    this.#socket.send(new Blob([head, frame]));
  }

  /** End it. */
  close() {
    this.#open = false;
    this.#ready = false;
    this.#socket.close();
  }

  #connect() {
    const used = token();
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`);
    this.#socket = socket;
    this.#underway.clear();
    socket.onopen = () => socket.send(JSON.stringify({ token: used }));
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = ({ code }) => {
      this.#ready = false;
      if (this.#open) this.#again(code, used).catch((why) => this.#giveUp(why));
    };
  }

  #hear(told) {
    if (told.ready) {
      this.#ready = true;
      this.#silent = 0;
      this.#on.ready(told);
      return;
    }
    this.#broken = 0;
    const sent = this.#underway.get(told.frame);
    for (const number of this.#underway.keys()) if (number <= told.frame) this.#underway.delete(number);
    if (told.error) this.#on.missed(refusal(0, told));
    else if (sent) this.#on.read(told.analysis, sent.frame, sent.sent);
  }

  async #again(code, used) {
    if (code === FULL) {
      throw new Trouble("The server watches as many webcams as it can.", "Try again when someone has switched theirs off.");
    }
    if (code === NO_TOKEN) {
      await askToken(used);
    } else if (!(await link.answers())) {
      await link.lost();
    } else if (++this.#silent >= SILENT) {
      throw new Trouble("The server answers, but its stream of frames breaks off.",
        "A proxy in between may not let WebSockets through. Photos can still be read.");
    } else if (this.#open) {
      this.#on.broken();
      await link.pause(this.#broken++);
    }
    if (this.#open) this.#connect();
  }

  #giveUp(why) {
    if (!(why instanceof Trouble)) throw why;
    if (!this.#open) return;
    this.close();
    this.#on.refused(why);
  }
}
