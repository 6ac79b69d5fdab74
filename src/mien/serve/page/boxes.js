/** Frames over an image, each with its face's number and label; in shares of the image, so that they follow its size. */

import { colourOf } from "./palette.js";
import { fit, fresh, write } from "./templates.js";
import { called } from "./words.js";

/**
 * Show a frame for each face of `analysis` in `layer`, which covers the image.
 *
 * @param {boolean} mirrored whether the image is shown as in a mirror.
 */
export function showBoxes(layer, analysis, mirrored = false) {
  const { faces, width, height } = analysis;
  fit(layer, faces.length, () => fresh("box"));
  faces.forEach((face, place) => {
    const box = layer.children[place];
    const left = mirrored ? width - face.box.left - face.box.width : face.box.left;
    const at = { left: left / width, top: face.box.top / height, width: face.box.width / width, height: face.box.height / height };
    for (const [side, share] of Object.entries(at)) box.style[side] = `${(100 * share).toFixed(2)}%`;
    box.style.setProperty("--colour", colourOf(face.label, Object.keys(face.probabilities)));
    box.classList.toggle("high", at.top < 0.1);
    box.classList.toggle("right", at.left > 0.6);
    write(box.firstElementChild, faces.length > 1 ? `${called(face, place).split(" ")[1]} ${face.label}` : face.label);
  });
}

/** Let the frame at `place` stand out, or none. */
export function light(layer, place) {
  [...layer.children].forEach((box, i) => box.classList.toggle("lit", i === place));
}
