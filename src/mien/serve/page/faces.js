/** A panel for each face: its expression, and behind it a bar for each class. */

import { colourOf } from "./palette.js";
import { fit, fresh, write } from "./templates.js";
import { called, percent } from "./words.js";

const OPEN = 3; // panels whose bars are shown without asking

/** Show `faces` in `list`; panels that are there already keep their state, so that a video does not fold them. */
export function showFaces(list, faces) {
  fit(list, faces.length, () => panel(list.children.length < OPEN));
  faces.forEach((face, place) => fill(list.children[place], face, place));
}

/** Call `each` with the place of the face that the pointer or the keyboard is at, and with null when it leaves. */
export function onPointed(list, each) {
  const at = (event) => [...list.children].indexOf(event.target.closest(".face"));
  for (const kind of ["pointerover", "focusin"]) list.addEventListener(kind, (event) => each(at(event)));
  for (const kind of ["pointerleave", "focusout"]) list.addEventListener(kind, () => each(null));
}

function panel(open) {
  const made = fresh("face");
  made.firstElementChild.open = open;
  return made;
}

function fill(made, face, place) {
  write(made.querySelector(".number"), called(face, place));
  write(made.querySelector("summary .label"), face.label);
  write(made.querySelector("summary .figure"), percent(face.confidence));
  const labels = Object.keys(face.probabilities);
  const bars = made.querySelector(".bars");
  fit(bars, labels.length, () => fresh("bar"));
  labels.forEach((label, i) => {
    const [name, track, figure] = bars.children[i].children;
    const likely = face.probabilities[label];
    bars.children[i].classList.toggle("likeliest", likely === face.confidence);
    write(name, label);
    write(figure, percent(likely));
    track.firstElementChild.style.width = `${100 * likely}%`;
    track.firstElementChild.style.setProperty("--colour", colourOf(label, labels));
  });
}
