/** Sentences that are put together from results and errors. */

import { hasText, t } from "./i18n.js";
import { canonical } from "./palette.js";

const DETECTORS = { yunet: "YuNet" }; // names as people write them

/** A probability from 0 to 1 as a whole percentage with a no-break space; at most "> 99 %", because none is certain. */
export function percent(p) {
  const rounded = Math.round(100 * p);
  return rounded < 100 ? `${rounded}\u00a0%` : ">\u00a099\u00a0%";
}

/** A class in the language of the page; unknown classes of other models as they are. */
export function labelText(label) {
  const key = `label.${canonical(label)}`;
  return hasText(key) ? t(key) : label;
}

/** "happy", "happy and sad", "happy, sad and neutral". */
export function joinList(words) {
  if (words.length < 2) return words.join("");
  return t("faces.and", { list: words.slice(0, -1).join(", "), last: words.at(-1) });
}

/** The number of a person in a video, or of a face in a photo, counted from the left. */
export function numberOf(face, index) {
  return face.person ?? index + 1;
}

/** "Person 3" or "Face 1". */
export function faceName(face, index) {
  return t(face.person === undefined ? "faces.face" : "faces.person", { number: numberOf(face, index) });
}

/** The result in a sentence; more than three faces are counted by expression. */
export function summary(faces) {
  const labels = faces.map((face) => labelText(face.label));
  const count = faces.length;
  if (!count) return t("faces.none");
  if (count === 1) return t("faces.one", { label: labels[0], percent: percent(faces[0].confidence) });
  if (count <= 3) return t("faces.few", { count, labels: joinList(labels) });
  const counts = new Map();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return t("faces.many", { count, labels: joinList(sorted.map(([label, number]) => `${number} ${label}`)) });
}

/** Which model and detector made an analysis. */
export function modelText({ model, detector }) {
  return t("card.model", { model, detector: DETECTORS[detector] ?? detector });
}

/** An error to show: `message` says what happened, `hint` what to do, `retryable` whether a retry may help. */
export class PageError extends Error {
  constructor(message, hint = "", retryable = false) {
    super(message);
    this.hint = hint;
    this.retryable = retryable;
  }
}

/** The error whose message and hint are the texts `key` and `key_hint`. */
export function pageError(key, values = {}, retryable = false) {
  return new PageError(t(key, values), t(`${key}_hint`, values), retryable);
}

/** An error response of the server, or of a proxy in front of it, as a `PageError`. */
export function responseError(status, body) {
  const error = body?.error;
  const retryable = [429, 503, 504].includes(status);
  if (error?.code === "unreadable_image") return imageError(error.message);
  if (hasText(`server.${error?.code}`)) return pageError(`server.${error.code}`, {}, retryable);
  if (error?.message) return new PageError(sentence(error.message), sentence(error.hint ?? ""), retryable);
  if (status === 413) return pageError("server.too_large");
  return retryable ? pageError("server.busy", {}, true) : pageError("error.status", { status });
}

// Messages of mien.imaging about images that it cannot read, and the page's texts for them.
const IMAGE_ERRORS = [
  [/supported formats: JPEG/, "image.format"],
  [/HEIC images are not supported/, "image.heic"],
  [/(?<actual>[\d,.]+) megapixels, above the limit of (?<limit>[\d,.]+)/, "image.megapixels"],
  [/damaged|truncated/, "image.damaged"],
];

function imageError(message) {
  for (const [pattern, key] of IMAGE_ERRORS) {
    const match = message.match(pattern);
    if (!match) continue;
    const values = Object.entries(match.groups ?? {}).map(([name, number]) => [name, number.replace(/\.0$/, "")]);
    return pageError(key, Object.fromEntries(values));
  }
  return pageError("image.other", { message: sentence(message) });
}

/** Why the webcam cannot be used; `name` is that of the browser's `DOMException`. */
export function webcamError(name) {
  return pageError(hasText(`webcam_error.${name}`) ? `webcam_error.${name}` : "webcam_error.other");
}

/** Start with a capital letter and end with a full stop. */
function sentence(text) {
  const trimmed = text.trim();
  if (!trimmed) return "";
  return trimmed[0].toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
}
