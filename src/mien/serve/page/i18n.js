/** The language of the page, and its texts from strings.js. */

import { STRINGS } from "./strings.js";

/** `?lang=` in the address, else the first of the browser's languages that strings.js has, else English. */
export const language = choose([new URLSearchParams(location.search).get("lang"), ...navigator.languages]);

function choose(tags) {
  const codes = tags.filter(Boolean).map((tag) => tag.toLowerCase().split("-")[0]);
  return codes.find((code) => Object.hasOwn(STRINGS, code)) ?? "en";
}

/** Whether strings.js has this key. */
export function hasText(key) {
  return Object.hasOwn(STRINGS[language], key);
}

/** The text of a key; `values` replace the names in braces. */
export function t(key, values = {}) {
  return STRINGS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Fill the page and its templates: `data-text` and `data-label` name the keys of text and `aria-label`. */
export function translatePage() {
  document.documentElement.lang = language;
  const roots = [document, ...[...document.querySelectorAll("template")].map((template) => template.content)];
  for (const root of roots) {
    for (const element of root.querySelectorAll("[data-text]")) element.replaceChildren(...marked(t(element.dataset.text)));
    for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
  }
}

/** Text with `**bold**` and `` `code` `` as nodes. */
function marked(text) {
  return text.split(/(\*\*.+?\*\*|`.+?`)/).filter(Boolean).map((part) => {
    const [name, content] = part.startsWith("**") ? ["strong", part.slice(2, -2)] : ["code", part.slice(1, -1)];
    if (!/^(\*\*|`)/.test(part)) return document.createTextNode(part);
    const element = document.createElement(name);
    element.textContent = content;
    return element;
  });
}
