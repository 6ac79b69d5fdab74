/** The bearer token, where the server requires one: asked for once, kept until the tab is closed. */

import { pageError } from "./words.js";

const KEY = "mien token";
const dialog = document.getElementById("token");
const field = document.getElementById("token-value");
const wrong = document.getElementById("token-wrong");
let pending = null; // the open dialog, as a promise

/** Return the token, or null. */
export function token() {
  return sessionStorage.getItem(KEY);
}

/**
 * Ask for the token after the server has refused `refused`. Concurrent callers share one dialog; a caller that was refused
 * with an older token continues with the newer one.
 *
 * @throws {PageError} where the dialog is canceled.
 */
export async function askToken(refused) {
  if (token() !== refused) return;
  pending ??= openDialog(refused !== null).finally(() => {
    pending = null;
  });
  await pending;
}

function openDialog(isWrong) {
  wrong.hidden = !isWrong;
  field.value = "";
  dialog.showModal();
  field.focus();
  return new Promise((resolve, reject) => {
    dialog.onclose = () => {
      if (!dialog.returnValue) {
        reject(pageError("error.token", {}, true));
        return;
      }
      sessionStorage.setItem(KEY, dialog.returnValue);
      resolve();
    };
  });
}

dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close(field.value.trim());
});
document.getElementById("token-cancel").addEventListener("click", () => dialog.close(""));
dialog.addEventListener("cancel", () => {
  dialog.returnValue = "";
});
