/** What joins the page's parts: photos and webcam in, trouble in words. */

import { add } from "./gallery.js";
import { listen } from "./inputs.js";
import { link } from "./link.js";
import { say } from "./say.js";
import { wire } from "./webcam.js";

const gone = document.getElementById("gone");
const trouble = document.getElementById("trouble");

/** Show a `Trouble` that belongs to no photo, or take the last one away. */
function tell(why) {
  trouble.textContent = why ? `${why.message} ${why.hint}` : "";
  trouble.hidden = !why;
}

listen((files) => {
  tell(null);
  add(files);
}, tell);
wire(tell);

link.addEventListener("change", () => {
  gone.hidden = !link.gone;
  if (!link.gone) say("The server is back.");
});
document.getElementById("try-now").addEventListener("click", () => link.hurry());

if (["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) {
  document.getElementById("promise").textContent =
    "Images stay on this machine: they go to the mien that runs here and nowhere else, and it keeps none.";
}
