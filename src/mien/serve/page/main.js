/** Entry point: connects the parts of the page. */

import { announce } from "./announce.js";
import { connection } from "./connection.js";
import { add } from "./gallery.js";
import { t, translatePage } from "./i18n.js";
import { listen } from "./inputs.js";
import { setUpWebcam } from "./webcam.js";

translatePage();
const banner = document.getElementById("offline");
const errorBox = document.getElementById("page-error");

/** Show an error that belongs to no photo, or hide the last one for null. */
function showError(error) {
  errorBox.textContent = error ? `${error.message} ${error.hint}` : "";
  errorBox.hidden = !error;
}

listen((files) => {
  showError(null);
  add(files);
}, showError);
setUpWebcam(showError);

connection.addEventListener("change", () => {
  banner.hidden = !connection.isOffline;
  if (!connection.isOffline) announce(t("offline.over"));
});
document.getElementById("retry-now").addEventListener("click", () => connection.retryNow());

const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
document.getElementById("privacy").textContent = isLocal ? t("privacy.local") : t("privacy.remote");
