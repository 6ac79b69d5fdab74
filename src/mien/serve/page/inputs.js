/** Every way in which photos come to the page: chosen, dropped, pasted, or the portrait that the server brings. */

import { link } from "./link.js";
import { Trouble } from "./words.js";

const zone = document.getElementById("zone");
const picker = document.getElementById("files");

/** Call `take` with the files that come, and `refuse` with the `Trouble` where the portrait cannot be had. */
export function listen(take, refuse) {
  document.getElementById("choose").addEventListener("click", () => picker.showPicker());
  picker.addEventListener("change", () => {
    take([...picker.files]);
    picker.value = ""; // the same file may be chosen again
  });
  document.getElementById("sample").addEventListener("click", () => portrait().then((file) => take([file]), refuse));
  addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take([...event.clipboardData.files]);
  });
  dropping(take);
}

/** The whole window takes what is dropped, for a near miss would open the photo in the page's place. */
function dropping(take) {
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) zone.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    zone.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

async function portrait() {
  const answer = await link.ask("/sample.jpg");
  const content = answer?.ok ? await answer.blob().catch(() => null) : null;
  if (content) return new File([content], "portrait.jpg", { type: "image/jpeg" });
  if (!answer || answer.ok) link.lost();
  throw new Trouble("The portrait could not be fetched.", "Try again when the server answers.");
}
