/** Pieces of index.html, ready to be filled. */

/** A new copy of the one element in the template `name`. */
export function fresh(name) {
  return document.getElementById(`${name}-template`).content.firstElementChild.cloneNode(true);
}

/** Fill up or cut down `parent` to `count` children made by `make`. */
export function fit(parent, count, make) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(make());
}

/** Set the text where it differs, so that nothing is drawn or read aloud again that is as it was. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
