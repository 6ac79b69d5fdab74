/** Files for the person to keep; they are made in the browser, so that the server need not be asked again. */

/** Offer `blob` as the download `name`. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // by then the browser has it
}

/** Offer `value` as JSON. */
export function saveJson(value, name) {
  save(new Blob([JSON.stringify(value, null, 2), "\n"], { type: "application/json" }), name);
}

/** `portrait.jpg` and `faces.png` make `portrait-faces.png`. */
export function named(source, ending) {
  return `${source.replace(/\.[^.]*$/, "") || "image"}-${ending}`;
}
