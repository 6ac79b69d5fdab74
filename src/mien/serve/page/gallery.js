/** The photos on the page, newest first; a few at a time go to the server. */

import { Picture } from "./picture.js";

const AT_ONCE = 2; // photos on their way; the server reads what it has time for
const section = document.getElementById("results");
const cards = document.getElementById("cards");
const all = document.getElementById("remove-all");
const pictures = new Set();
const waiting = [];
let underway = 0;

/** Put photos on the page and have them read, in their order. */
export function add(files) {
  const made = [...files].map((file) => new Picture(file, { again: queue, removed: remove }));
  if (!made.length) return;
  cards.prepend(...made.map((picture) => picture.card));
  for (const picture of made) {
    pictures.add(picture);
    queue(picture);
  }
  tidy();
  made[0].card.scrollIntoView({ block: "nearest" });
}

function queue(picture) {
  waiting.push(picture);
  next();
}

async function next() {
  if (underway >= AT_ONCE || !waiting.length) return;
  const picture = waiting.shift();
  if (pictures.has(picture)) {
    underway++;
    try {
      await picture.read();
    } finally {
      underway--;
    }
  }
  next();
}

function remove(picture) {
  const after = picture.card.nextElementSibling ?? picture.card.previousElementSibling;
  pictures.delete(picture);
  picture.remove();
  tidy();
  (after ?? document.getElementById("choose")).focus(); // the keyboard goes on where it was
}

function tidy() {
  section.hidden = !pictures.size;
  all.hidden = pictures.size < 2;
}

all.addEventListener("click", () => {
  for (const picture of pictures) picture.remove();
  pictures.clear();
  tidy();
  document.getElementById("choose").focus();
});
