/** Announcements for screen readers, in a polite live region. */

const region = document.getElementById("announcement");

/** Announce `text`, also where it is the same as before. */
export function announce(text) {
  region.textContent = "";
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}
