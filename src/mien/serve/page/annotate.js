/** An image with boxes and labels drawn into it, to download. Sizes scale with the image, as in `mien analyze`. */

import { colorOf } from "./palette.js";
import { labelText, percent } from "./words.js";

const MAX_SIDE = 4096; // pixels of the longer side; some browsers draw no larger canvas
const BACKGROUND = "rgb(20 23 28 / 84%)";

/**
 * Return the image in `blob` with the faces of `analysis` drawn into it, as a PNG.
 *
 * @throws where the browser cannot decode the image.
 */
export async function annotateImage(blob, analysis) {
  const image = await createImageBitmap(blob);
  const scale = Math.min(1, MAX_SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(scale * image.width);
  canvas.height = Math.round(scale * image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  const ratio = canvas.width / analysis.width;
  for (const face of analysis.faces) drawBox(context, face, ratio);
  for (const [index, face] of analysis.faces.entries()) {
    drawLabel(context, face, analysis.faces.length > 1 ? `${face.person ?? index + 1}  ` : "", ratio);
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function drawBox(context, face, ratio) {
  const { left, top, width, height } = face.box;
  const line = Math.max(2, 0.004 * Math.max(context.canvas.width, context.canvas.height));
  for (const [thickness, color] of [[2 * line, BACKGROUND], [line, colorOf(face.label, Object.keys(face.probabilities))]]) {
    context.lineWidth = thickness;
    context.strokeStyle = color;
    context.beginPath();
    context.roundRect(ratio * left, ratio * top, ratio * width, ratio * height, 3 * line);
    context.stroke();
  }
}

/** Draw the label and a strip divided like the probabilities: above the face, or below it at the image's upper edge. */
function drawLabel(context, face, number, ratio) {
  const size = Math.max(12, 0.024 * Math.min(context.canvas.width, context.canvas.height));
  context.font = `600 ${size}px Inter, system-ui, sans-serif`;
  context.textBaseline = "middle";
  const title = number + labelText(face.label) + (face.uncertain_reason ? "" : ` ${percent(face.confidence)}`);
  const width = context.measureText(title).width + 1.2 * size;
  const height = 2.3 * size;
  const x = Math.max(0, Math.min(ratio * face.box.left, context.canvas.width - width));
  const above = ratio * face.box.top - height - 0.6 * size;
  const below = Math.min(ratio * (face.box.top + face.box.height) + 0.6 * size, context.canvas.height - height);
  const y = above >= 0 ? above : below;
  context.fillStyle = BACKGROUND;
  context.beginPath();
  context.roundRect(x, y, width, height, 0.35 * size);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(title, x + 0.6 * size, y + 0.95 * size);
  const labels = Object.keys(face.probabilities);
  let start = x + 0.6 * size;
  for (const label of labels) {
    const length = face.probabilities[label] * (width - 1.2 * size);
    context.fillStyle = colorOf(label, labels);
    context.fillRect(start, y + 1.65 * size, length, 0.35 * size);
    start += length;
  }
}
