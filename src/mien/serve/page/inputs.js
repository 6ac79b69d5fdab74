/** How photos come to the page: chosen, dropped, pasted, or the sample photo of the server. */

import { connection } from "./connection.js";
import { pageError } from "./words.js";

const zone = document.getElementById("zone");
const picker = document.getElementById("files");

/** Call `onFiles` with each list of files, and `onError` with a `PageError` where the sample cannot be loaded. */
export function listen(onFiles, onError) {
  document.getElementById("choose").addEventListener("click", () => picker.showPicker());
  picker.addEventListener("change", () => {
    onFiles([...picker.files]);
    picker.value = ""; // so that the same file can be chosen again
  });
  document.getElementById("sample").addEventListener("click", () => loadSample().then((file) => onFiles([file]), onError));
  addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) onFiles([...event.clipboardData.files]);
  });
  listenForDrops(onFiles);
}

/** Accept drops in the whole window: outside the zone, the browser would open the photo instead of this page. */
function listenForDrops(onFiles) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) zone.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    zone.classList.remove("over");
    onFiles([...event.dataTransfer.files]);
  });
}

async function loadSample() {
  const response = await connection.fetch("/sample.jpg");
  const content = response?.ok ? await response.blob().catch(() => null) : null;
  if (content) return new File([content], "portrait.jpg", { type: "image/jpeg" });
  if (!response || response.ok) connection.waitUntilOnline();
  throw pageError("error.sample");
}
