/** Downloads, made in the browser without another request. */

/** Download `blob` under `name`. */
export function download(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000); // by then the browser has read it
}

/** Download `value` as JSON. */
export function downloadJson(value, name) {
  download(new Blob([JSON.stringify(value, null, 2), "\n"], { type: "application/json" }), name);
}

/** `portrait.jpg` and `faces.png` make `portrait-faces.png`. */
export function fileName(source, ending) {
  return `${source.replace(/\.[^.]*$/, "") || "image"}-${ending}`;
}
