/** The photos on the page, newest first; a few at a time are sent to the server. */

import { ImageCard } from "./image-card.js";

const CONCURRENT = 2; // requests
const section = document.getElementById("results");
const list = document.getElementById("cards");
const removeAll = document.getElementById("remove-all");
const cards = new Set();
const queue = [];
let running = 0;

/** Add photos to the page and queue them in order. */
export function add(files) {
  const added = [...files].map((file) => new ImageCard(file, { onRetry: enqueue, onRemove: remove }));
  if (!added.length) return;
  list.prepend(...added.map((card) => card.element));
  for (const card of added) {
    cards.add(card);
    enqueue(card);
  }
  updateVisibility();
  added[0].element.scrollIntoView({ block: "nearest" });
}

function enqueue(card) {
  queue.push(card);
  runNext();
}

async function runNext() {
  if (running >= CONCURRENT || !queue.length) return;
  const card = queue.shift();
  if (cards.has(card)) {
    running++;
    try {
      await card.analyze();
    } finally {
      running--;
    }
  }
  runNext();
}

function remove(card) {
  const neighbor = card.element.nextElementSibling ?? card.element.previousElementSibling;
  cards.delete(card);
  card.remove();
  updateVisibility();
  (neighbor ?? document.getElementById("choose")).focus(); // keep the keyboard's position
}

function updateVisibility() {
  section.hidden = !cards.size;
  removeAll.hidden = cards.size < 2;
}

removeAll.addEventListener("click", () => {
  for (const card of cards) card.remove();
  cards.clear();
  updateVisibility();
  document.getElementById("choose").focus();
});
