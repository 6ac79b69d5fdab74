/** Copies of the templates in index.html. */

/** Return a new copy of the one element in the template `name`. */
export function clone(name) {
  return document.getElementById(`${name}-template`).content.firstElementChild.cloneNode(true);
}

/** Add children made by `create`, or remove some, until `parent` has `count`. */
export function setChildCount(parent, count, create) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(create());
}

/** Set the text where it differs, so that unchanged text is neither drawn nor announced again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
