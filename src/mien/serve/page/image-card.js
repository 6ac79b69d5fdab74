/** The card of one photo, from waiting to read. */

import { annotated } from "./annotate.js";
import { analyze } from "./api.js";
import { light, showBoxes } from "./boxes.js";
import { onPointed, showFaces } from "./faces.js";
import { named, save, saveJson } from "./save.js";
import { say } from "./say.js";
import { fresh } from "./templates.js";
import { NO_FACE, summary, Trouble } from "./words.js";

/** A photo on the page: `card` is its element, `read()` asks the server, `remove()` takes it away. */
export class ImageCard {
  #file;
  #analysis = null;
  #url = null;
  #removed = new AbortController();

  /**
   * @param {File} file the photo.
   * @param {(image: ImageCard) => void} again is called where it is to be read once more.
   * @param {(image: ImageCard) => void} removed is called where it is to be taken away.
   */
  constructor(file, { again, removed }) {
    this.#file = file;
    this.card = fresh("image");
    this.#part(".name").textContent = file.name;
    this.card.setAttribute("aria-label", file.name);
    for (const [button, act] of [
      [".json", () => saveJson(this.#analysis, named(file.name, "faces.json"))],
      [".png", () => this.#savePicture()],
      [".remove", () => removed(this)],
      [".again", () => again(this)],
    ]) {
      this.#part(button).addEventListener("click", act);
    }
    for (const [button, of] of [[".json", " of "], [".png", " of "], [".remove", " "]]) {
      this.#part(button).setAttribute("aria-label", `${this.#part(button).textContent}${of}${file.name}`);
    }
    const boxes = this.#part(".boxes");
    onPointed(this.#part(".faces"), (place) => light(boxes, place));
    this.#offer(false);
  }

  /** Ask the server and show what it says, or why it does not. */
  async read() {
    this.#part(".trouble").hidden = true;
    try {
      this.#analysis = await analyze(this.#file, (state) => this.#tell(state), this.#removed.signal);
      this.#show();
    } catch (why) {
      if (this.#removed.signal.aborted) return;
      if (!(why instanceof Trouble)) throw why;
      this.#fail(why);
    }
  }

  /** Let go of the photo, also where it is on its way to the server. */
  remove() {
    this.#removed.abort();
    this.card.remove();
    if (this.#url) URL.revokeObjectURL(this.#url);
  }

  #part(selector) {
    return this.card.querySelector(selector);
  }

  #tell(state) {
    this.#part(".state").hidden = !state;
    this.#part(".state").textContent = state;
  }

  #offer(whether) {
    for (const button of [".json", ".png"]) this.#part(button).hidden = !whether;
  }

  #show() {
    const { faces, model, detector } = this.#analysis;
    const told = summary(faces);
    this.#tell("");
    this.#url = URL.createObjectURL(this.#file);
    const img = this.#part("img");
    img.alt = `${this.#file.name}. ${told}`;
    img.addEventListener("error", () => this.#unseen(), { once: true });
    img.src = this.#url;
    showBoxes(this.#part(".boxes"), this.#analysis);
    showFaces(this.#part(".faces"), faces);
    this.#part(".summary").textContent = told;
    this.#part(".by").textContent = faces.length ? `Read by ${model}; faces found by ${detector}.` : NO_FACE;
    this.#part(".reading").hidden = false;
    this.#offer(true);
    say(`${this.#file.name}: ${told}`);
  }

  /** What the server reads and the browser does not show, such as TIFF, keeps its bars. */
  #unseen() {
    this.#part(".stage").hidden = true;
    this.#part(".png").hidden = true;
    this.#tell("This browser cannot show images of this kind; what was read in it is here.");
  }

  #fail(why) {
    this.#tell("");
    this.#part(".what").textContent = why.message;
    this.#part(".hint").textContent = why.hint;
    this.#part(".again").hidden = !why.passing;
    this.#part(".trouble").hidden = false;
    say(`${this.#file.name}: ${why.message} ${why.hint}`);
  }

  async #savePicture() {
    save(await annotated(this.#file, this.#analysis), named(this.#file.name, "faces.png"));
  }
}
