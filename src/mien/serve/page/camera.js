/** The webcam: on, off, and its frames as JPEG. */

import { webcamError } from "./words.js";

const MAX_SIDE = 640; // pixels of a frame's longer side, enough for faces in front of a webcam
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
   * @param {() => void} onEnded is called when the webcam is disconnected.
   * @throws {PageError} where the webcam cannot be opened.
   */
  async open(onEnded) {
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "InsecureContext");
      const video = { width: { ideal: MAX_SIDE }, height: { ideal: 480 }, facingMode: "user" };
      this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      this.#video.srcObject = this.#stream;
      await this.#video.play();
    } catch (error) {
      this.close();
      throw webcamError(error.name);
    }
    this.#stream.getVideoTracks()[0].addEventListener("ended", onEnded);
  }

  /** Stop the webcam, so that its light goes out. */
  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** Whether to mirror the video: always, except for the rear camera of a phone. */
  get mirrored() {
    return this.#stream?.getVideoTracks()[0].getSettings().facingMode !== "environment";
  }

  /** Return the current frame as a JPEG, or null where there is none yet. */
  async frame() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!width || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
    this.#canvas.width = Math.round(scale * width);
    this.#canvas.height = Math.round(scale * height);
    this.#canvas.getContext("2d").drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }
}
