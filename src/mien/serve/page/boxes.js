/** Boxes over an image, each with its face's number and label; positioned in percent, so that they follow its size. */

import { colorOf } from "./palette.js";
import { clone, setChildCount, setText } from "./templates.js";
import { labelText, numberOf } from "./words.js";

/**
 * Show a box for each face of `analysis` in `layer`, which covers the image.
 *
 * @param {boolean} mirrored whether the image is displayed mirrored.
 */
export function showBoxes(layer, analysis, mirrored = false) {
  const { faces, width, height } = analysis;
  setChildCount(layer, faces.length, () => clone("box"));
  faces.forEach((face, index) => {
    const element = layer.children[index];
    const left = mirrored ? width - face.box.left - face.box.width : face.box.left;
    const position = { left: left / width, top: face.box.top / height, width: face.box.width / width, height: face.box.height / height };
    for (const [side, share] of Object.entries(position)) element.style[side] = `${(100 * share).toFixed(2)}%`;
    element.style.setProperty("--color", colorOf(face.label, Object.keys(face.probabilities)));
    element.classList.toggle("label-below", position.top < 0.1);
    element.classList.toggle("label-right", position.left > 0.6);
    const label = labelText(face.label);
    setText(element.firstElementChild, faces.length > 1 ? `${numberOf(face, index)} ${label}` : label);
  });
}

/** Highlight the box at `index`, or none for null. */
export function highlightBox(layer, index) {
  [...layer.children].forEach((box, i) => box.classList.toggle("highlighted", i === index));
}
