/** The photos on the page, newest first; a few at a time go to the server. */

import { ImageCard } from "./image-card.js";

const AT_ONCE = 2; // photos on their way; the server reads what it has time for
const section = document.getElementById("results");
const cards = document.getElementById("cards");
const all = document.getElementById("remove-all");
const images = new Set();
const waiting = [];
let underway = 0;

/** Put photos on the page and have them read, in their order. */
export function add(files) {
  const made = [...files].map((file) => new ImageCard(file, { again: queue, removed: remove }));
  if (!made.length) return;
  cards.prepend(...made.map((image) => image.card));
  for (const image of made) {
    images.add(image);
    queue(image);
  }
  tidy();
  made[0].card.scrollIntoView({ block: "nearest" });
}

function queue(image) {
  waiting.push(image);
  next();
}

async function next() {
  if (underway >= AT_ONCE || !waiting.length) return;
  const image = waiting.shift();
  if (images.has(image)) {
    underway++;
    try {
      await image.read();
    } finally {
      underway--;
    }
  }
  next();
}

function remove(image) {
  const after = image.card.nextElementSibling ?? image.card.previousElementSibling;
  images.delete(image);
  image.remove();
  tidy();
  (after ?? document.getElementById("choose")).focus(); // the keyboard goes on where it was
}

function tidy() {
  section.hidden = !images.size;
  all.hidden = images.size < 2;
}

all.addEventListener("click", () => {
  for (const image of images) image.remove();
  images.clear();
  tidy();
  document.getElementById("choose").focus();
});
