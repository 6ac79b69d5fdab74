/** The card of one photo: queued, analyzed or failed. */

import { annotateImage } from "./annotate.js";
import { announce } from "./announce.js";
import { analyze } from "./api.js";
import { highlightBox, showBoxes } from "./boxes.js";
import { onFaceHover, showFaces } from "./faces.js";
import { t } from "./i18n.js";
import { download, downloadJson, fileName } from "./save.js";
import { clone } from "./templates.js";
import { modelText, PageError, summary } from "./words.js";

/** A photo on the page: `element` is its card, `analyze()` sends it to the server, `remove()` takes it away. */
export class ImageCard {
  #file;
  #analysis = null;
  #url = null;
  #removed = new AbortController();

  /**
   * @param {File} file the photo.
   * @param {(card: ImageCard) => void} onRetry is called when "Try again" is pressed.
   * @param {(card: ImageCard) => void} onRemove is called when "Remove" is pressed.
   */
  constructor(file, { onRetry, onRemove }) {
    this.#file = file;
    this.element = clone("image");
    this.#find(".name").textContent = file.name;
    this.element.setAttribute("aria-label", file.name);
    const buttons = {
      ".json": [t("save.json_file", { file: file.name }), () => downloadJson(this.#analysis, fileName(file.name, "faces.json"))],
      ".png": [t("save.image_file", { file: file.name }), () => this.#saveImage()],
      ".remove": [t("card.remove_file", { file: file.name }), () => onRemove(this)],
    };
    for (const [selector, [label, action]] of Object.entries(buttons)) {
      this.#find(selector).setAttribute("aria-label", label);
      this.#find(selector).addEventListener("click", action);
    }
    this.#find(".retry").addEventListener("click", () => onRetry(this));
    const boxes = this.#find(".boxes");
    onFaceHover(this.#find(".faces"), (index) => highlightBox(boxes, index));
    this.#showDownloads(false);
  }

  /** Send the photo and show its result or error. */
  async analyze() {
    this.#find(".error").hidden = true;
    try {
      this.#analysis = await analyze(this.#file, (status) => this.#showStatus(status), this.#removed.signal);
      this.#showResult();
    } catch (error) {
      if (this.#removed.signal.aborted) return;
      if (!(error instanceof PageError)) throw error;
      this.#showError(error);
    }
  }

  /** Remove the card, cancel its request and free the photo. */
  remove() {
    this.#removed.abort();
    this.element.remove();
    if (this.#url) URL.revokeObjectURL(this.#url);
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #showStatus(status) {
    this.#find(".status").hidden = !status;
    this.#find(".status").textContent = status;
  }

  #showDownloads(visible) {
    for (const button of [".json", ".png"]) this.#find(button).hidden = !visible;
  }

  #showResult() {
    const text = summary(this.#analysis.faces);
    this.#showStatus("");
    this.#url = URL.createObjectURL(this.#file);
    const img = this.#find("img");
    img.alt = `${this.#file.name}. ${text}`;
    img.addEventListener("error", () => this.#hideImage(), { once: true });
    img.src = this.#url;
    showBoxes(this.#find(".boxes"), this.#analysis);
    showFaces(this.#find(".faces"), this.#analysis.faces);
    this.#find(".summary").textContent = text;
    this.#find(".note").textContent = this.#analysis.faces.length ? modelText(this.#analysis) : t("faces.none_hint");
    this.#find(".result").hidden = false;
    this.#showDownloads(true);
    announce(`${this.#file.name}: ${text}`);
  }

  /** Keep the bars of a format that the server reads but the browser does not display, such as TIFF. */
  #hideImage() {
    this.#find(".stage").hidden = true;
    this.#find(".png").hidden = true;
    this.#showStatus(t("card.not_displayed"));
  }

  #showError(error) {
    this.#showStatus("");
    this.#find(".message").textContent = error.message;
    this.#find(".hint").textContent = error.hint;
    this.#find(".retry").hidden = !error.retryable;
    this.#find(".error").hidden = false;
    announce(`${this.#file.name}: ${error.message} ${error.hint}`);
  }

  async #saveImage() {
    download(await annotateImage(this.#file, this.#analysis), fileName(this.#file.name, "faces.png"));
  }
}
