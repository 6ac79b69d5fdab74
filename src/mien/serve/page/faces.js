/** A panel for each face: its expression and, when open, a bar for each class. */

import { colorOf } from "./palette.js";
import { clone, setChildCount, setText } from "./templates.js";
import { faceName, labelText, percent, reasonText } from "./words.js";

const INITIALLY_OPEN = 3; // panels

/** Show `faces` in `list`; existing panels are reused, so that they stay open or closed during a video. */
export function showFaces(list, faces) {
  setChildCount(list, faces.length, () => createPanel(list.children.length < INITIALLY_OPEN));
  faces.forEach((face, index) => fillPanel(list.children[index], face, index));
}

/** Call `callback` with the index of the face under the pointer or keyboard focus, and with null when it leaves. */
export function onFaceHover(list, callback) {
  const indexOf = (event) => [...list.children].indexOf(event.target.closest(".face"));
  for (const type of ["pointerover", "focusin"]) list.addEventListener(type, (event) => callback(indexOf(event)));
  for (const type of ["pointerleave", "focusout"]) list.addEventListener(type, () => callback(null));
}

function createPanel(open) {
  const panel = clone("face");
  panel.firstElementChild.open = open;
  return panel;
}

function fillPanel(panel, face, index) {
  setText(panel.querySelector(".number"), faceName(face, index));
  setText(panel.querySelector("summary .label"), labelText(face.label));
  const reason = reasonText(face);
  setText(panel.querySelector("summary .figure"), reason ? "" : percent(face.confidence));
  setText(panel.querySelector("summary .reason"), reason);
  panel.querySelector("summary .reason").hidden = !reason;
  const labels = Object.keys(face.probabilities);
  const bars = panel.querySelector(".bars");
  setChildCount(bars, labels.length, () => clone("bar"));
  labels.forEach((label, i) => {
    const [name, track, figure] = bars.children[i].children;
    const probability = face.probabilities[label];
    bars.children[i].classList.toggle("likeliest", probability === face.confidence);
    setText(name, labelText(label));
    setText(figure, percent(probability));
    track.firstElementChild.style.width = `${100 * probability}%`;
    track.firstElementChild.style.setProperty("--color", colorOf(label, labels));
  });
}
