/** The bearer token, where the server wants one: asked for once, kept until the tab is closed. */

import { Trouble } from "./words.js";

const KEY = "mien token";
const dialog = document.getElementById("token");
const field = document.getElementById("token-value");
const wrong = document.getElementById("token-wrong");
let asking = null;

/** The token, or null. */
export function token() {
  return sessionStorage.getItem(KEY);
}

/**
 * Ask for the token, after the server has refused `refused`. Who asks while it is being asked shares the answer, and who
 * was refused with an older one goes on with the newer.
 *
 * @throws {Trouble} where the person would rather not.
 */
export async function askToken(refused) {
  if (token() !== refused) return;
  asking ??= ask(refused !== null).finally(() => {
    asking = null;
  });
  await asking;
}

function ask(again) {
  wrong.hidden = !again;
  field.value = "";
  dialog.showModal();
  field.focus();
  return new Promise((done, refuse) => {
    dialog.onclose = () => {
      if (!dialog.returnValue) {
        refuse(new Trouble("Without its token this server reads nothing.", "Try again, and give the token.", true));
        return;
      }
      sessionStorage.setItem(KEY, dialog.returnValue);
      done();
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
