/** What a screen reader says aloud: the newest sentence, politely. */

const place = document.getElementById("say");

/** Say `text`, also where it is what was said last. */
export function say(text) {
  place.textContent = "";
  requestAnimationFrame(() => {
    place.textContent = text;
  });
}
