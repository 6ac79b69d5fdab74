/** An image with frames and labels drawn into it, for keeping. Sizes follow the image, as those of `mien analyze` do. */

import { colourOf } from "./palette.js";
import { percent } from "./words.js";

const LARGEST = 4096; // pixels of the longer side: more than this, some browsers do not draw
const PANEL = "rgb(20 23 28 / 84%)";

/**
 * The image in `blob` with what `analysis` tells of it, as a PNG.
 *
 * @throws where the browser cannot show the image.
 */
export async function annotated(blob, analysis) {
  const image = await createImageBitmap(blob);
  const scale = Math.min(1, LARGEST / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(scale * image.width);
  canvas.height = Math.round(scale * image.height);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  const ratio = canvas.width / analysis.width;
  for (const face of analysis.faces) frame(pen, face, ratio);
  for (const [place, face] of analysis.faces.entries()) {
    tag(pen, face, analysis.faces.length > 1 ? `${face.person ?? place + 1}  ` : "", ratio);
  }
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function frame(pen, face, ratio) {
  const { left, top, width, height } = face.box;
  const line = Math.max(2, 0.004 * Math.max(pen.canvas.width, pen.canvas.height));
  for (const [thick, color] of [[2 * line, PANEL], [line, colourOf(face.label, Object.keys(face.probabilities))]]) {
    pen.lineWidth = thick;
    pen.strokeStyle = color;
    pen.beginPath();
    pen.roundRect(ratio * left, ratio * top, ratio * width, ratio * height, 3 * line);
    pen.stroke();
  }
}

/** The label, and under it a strip that is divided as the probabilities are; above the face, or below it at the rim. */
function tag(pen, face, number, ratio) {
  const text = Math.max(12, 0.024 * Math.min(pen.canvas.width, pen.canvas.height));
  pen.font = `600 ${text}px Inter, system-ui, sans-serif`;
  pen.textBaseline = "middle";
  const title = `${number}${face.label} ${percent(face.confidence)}`;
  const wide = pen.measureText(title).width + 1.2 * text;
  const high = 2.3 * text;
  const { left, top, height } = face.box;
  const x = Math.max(0, Math.min(ratio * left, pen.canvas.width - wide));
  const above = ratio * top - high - 0.6 * text;
  const y = above >= 0 ? above : Math.min(ratio * (top + height) + 0.6 * text, pen.canvas.height - high);
  pen.fillStyle = PANEL;
  pen.beginPath();
  pen.roundRect(x, y, wide, high, 0.35 * text);
  pen.fill();
  pen.fillStyle = "#fff";
  pen.fillText(title, x + 0.6 * text, y + 0.95 * text);
  const labels = Object.keys(face.probabilities);
  let from = x + 0.6 * text;
  for (const label of labels) {
    const share = face.probabilities[label] * (wide - 1.2 * text);
    pen.fillStyle = colourOf(label, labels);
    pen.fillRect(from, y + 1.65 * text, share, 0.35 * text);
    from += share;
  }
}
