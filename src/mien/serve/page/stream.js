/** Frames to the server and analyses back, over a WebSocket that reconnects. */

import { connection } from "./connection.js";
import { askToken, token } from "./token.js";
import { PageError, pageError, responseError } from "./words.js";

const MAX_PENDING = 2; // frames without a response: one is analyzed while the next is being sent
const UNAUTHORIZED = 4401;
const TOO_MANY_STREAMS = 1013;
const MAX_SILENT = 3; // connections in a row that close before the first message, though the server responds

/** A stream of frames. It runs until `close()`, or until `onEnd` is called with a `PageError`. */
export class Stream {
  #socket = null;
  #open = true;
  #ready = false;
  #number = 0;
  #silent = 0;
  #reconnects = 0; // since the last response to a frame
  #pending = new Map();
  #callbacks;

  /**
   * @param {(hello: {model: string, labels: string[]}) => void} onReady when the server takes frames, also after a reconnect.
   * @param {() => void} onReconnect when the connection is lost though the server responds, before the next attempt.
   * @param {(analysis: object, frame: Blob, sent: number) => void} onResult for each frame that was analyzed.
   * @param {(error: PageError) => void} onFrameError for each frame that could not be read.
   * @param {(error: PageError) => void} onEnd when the server takes no more frames.
   */
  constructor({ onReady, onReconnect, onResult, onFrameError, onEnd }) {
    this.#callbacks = { onReady, onReconnect, onResult, onFrameError, onEnd };
    this.#connect();
  }

  /** Whether a frame can be sent now. */
  get free() {
    return this.#ready && this.#socket.readyState === WebSocket.OPEN && this.#pending.size < MAX_PENDING;
  }

  /** Send a frame: JPEG, PNG or WebP. */
  send(frame) {
    if (!this.free) return;
    const number = this.#number++;
    this.#pending.set(number, { frame, sent: performance.now() });
    const header = new DataView(new ArrayBuffer(4));
    header.setUint32(0, number);
    this.#socket.send(new Blob([header, frame]));
  }

  /** Close the stream. */
  close() {
    this.#open = false;
    this.#ready = false;
    this.#socket.close();
  }

  #connect() {
    const usedToken = token();
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`);
    this.#socket = socket;
    this.#pending.clear();
    socket.onopen = () => socket.send(JSON.stringify({ token: usedToken }));
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      this.#ready = false;
      if (this.#open) this.#reconnect(code, usedToken).catch((error) => this.#end(error));
    };
  }

  #receive(message) {
    if (message.ready) {
      this.#ready = true;
      this.#silent = 0;
      this.#callbacks.onReady(message);
      return;
    }
    this.#reconnects = 0;
    const sent = this.#pending.get(message.frame);
    for (const number of this.#pending.keys()) if (number <= message.frame) this.#pending.delete(number);
    if (message.error) this.#callbacks.onFrameError(responseError(0, message));
    else if (sent) this.#callbacks.onResult(message.analysis, sent.frame, sent.sent);
  }

  async #reconnect(code, usedToken) {
    if (code === TOO_MANY_STREAMS) throw pageError("error.streams");
    if (code === UNAUTHORIZED) {
      await askToken(usedToken);
    } else if (!(await connection.check())) {
      await connection.waitUntilOnline();
    } else if (++this.#silent >= MAX_SILENT) {
      throw pageError("error.stream");
    } else if (this.#open) {
      this.#callbacks.onReconnect();
      await connection.backOff(this.#reconnects++);
    }
    if (this.#open) this.#connect();
  }

  #end(error) {
    if (!(error instanceof PageError)) throw error;
    if (!this.#open) return;
    this.close();
    this.#callbacks.onEnd(error);
  }
}
