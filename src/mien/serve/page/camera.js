/** The webcam: on, off, and frames as JPEG. */

import { webcamTrouble } from "./words.js";

const LONGEST = 640; // pixels of a frame's longer side; faces before a webcam are large enough in it
const QUALITY = 0.85;

/** The webcam behind a `<video>` element. */
export class Camera {
  #video;
  #stream = null;
  #canvas = document.createElement("canvas");

  constructor(video) {
    this.#video = video;
  }

  /**
   * Open the webcam and show it.
   *
   * @param {() => void} ended is called when it goes away by itself, as when it is unplugged.
   * @throws {Trouble} where it cannot be opened.
   */
  async on(ended) {
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "InsecureContext");
      const video = { width: { ideal: LONGEST }, height: { ideal: 480 }, facingMode: "user" };
      this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      this.#video.srcObject = this.#stream;
      await this.#video.play();
    } catch (why) {
      this.off();
      throw webcamTrouble(why);
    }
    this.#stream.getVideoTracks()[0].addEventListener("ended", ended);
  }

  /** Close it, so that its light goes out. */
  off() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** Whether people expect to see themselves as in a mirror: always, but for the camera at a phone's back. */
  get mirrored() {
    return this.#stream?.getVideoTracks()[0].getSettings().facingMode !== "environment";
  }

  /** What it sees now, as a JPEG, or null where it sees nothing yet. */
  async frame() {
    const { videoWidth: wide, videoHeight: high } = this.#video;
    if (!wide || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    const scale = Math.min(1, LONGEST / Math.max(wide, high));
    this.#canvas.width = Math.round(scale * wide);
    this.#canvas.height = Math.round(scale * high);
    this.#canvas.getContext("2d").drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((done) => this.#canvas.toBlob(done, "image/jpeg", QUALITY));
  }
}
