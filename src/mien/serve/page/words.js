/** What the page says: figures, what was found, and what went wrong, in sentences. */

/** A probability from 0 to 1 as whole per cent; the space does not break. */
export function percent(p) {
  return `${Math.round(100 * p)}\u00a0%`;
}

/** "happy", "happy and sad", "happy, sad and neutral". */
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** What one face is called: a person of a video keeps a number, a face of a photo has its place from the left. */
export function called(face, place) {
  return face.person === undefined ? `Face ${place + 1}` : `Person ${face.person}`;
}

/** What was found, as one sentence; past the third, faces are counted by their expressions. */
export function summary(faces) {
  if (!faces.length) return "No face found.";
  if (faces.length === 1) return `One face: ${faces[0].label} (${percent(faces[0].confidence)}).`;
  if (faces.length <= 3) return `${faces.length} faces, from the left: ${listed(faces.map((face) => face.label))}.`;
  const counts = new Map();
  for (const { label } of faces) counts.set(label, (counts.get(label) ?? 0) + 1);
  const most = [...counts].sort((a, b) => b[1] - a[1]);
  return `${faces.length} faces: ${listed(most.map(([label, count]) => `${count} ${label}`))}.`;
}

/** What to try where no face was found. */
export const NO_FACE = "Faces that are very small, turned away or covered are not seen. A closer or brighter photo may do.";

/** Something that went wrong: `message` says what, `hint` what to do, `passing` whether the same may work later. */
export class Trouble extends Error {
  constructor(message, hint = "", passing = false) {
    super(message);
    this.hint = hint;
    this.passing = passing;
  }
}

/** The server's refusal as a `Trouble`: its own sentences, or ours where an answer comes from something before it. */
export function refusal(status, body) {
  const told = body?.error;
  if (told?.code === "unreadable_image") return unreadable(told.message);
  const passing = [429, 503, 504].includes(status);
  if (told?.message) return new Trouble(sentence(told.message), sentence(told.hint ?? ""), passing);
  if (status === 413) return new Trouble("This photo is too large for the server.", "A smaller copy will do as well.");
  if (passing) return new Trouble("The server is too busy just now.", "Try again in a moment.", passing);
  return new Trouble(`The server answered in a way that this page does not know (status ${status}).`,
    "Reload the page; if that does not help, look at what the server has written in its terminal.");
}

// What the package says of images that it cannot read, for programs and terminals; and the same for this page.
const UNREADABLE = [
  [/supported formats: JPEG/, () => "This is not a photo, or of a kind that mien does not know.",
    "JPEG, PNG, WebP, GIF, AVIF, TIFF and BMP are fine."],
  [/HEIC images are not supported/, () => "This photo is a HEIC, which mien does not read.",
    "Save it as JPEG. An iPhone does so by itself after Settings, Camera, Formats, Most Compatible."],
  [/([\d,.]+) megapixels, above the limit of ([\d,.]+)/,
    (has, most) => `This photo has ${whole(has)} megapixels; the server reads ${whole(most)} at most.`,
    "Show a smaller copy: faces of a hundred pixels are plenty."],
  [/damaged|truncated/, () => "This photo is damaged, or was cut off on its way.",
    "Get it anew, or save it as JPEG in a program that opens it."],
];
const whole = (figure) => figure.replace(/\.0$/, "");

function unreadable(message) {
  for (const [pattern, what, hint] of UNREADABLE) {
    const found = message.match(pattern);
    if (found) return new Trouble(what(...found.slice(1)), hint);
  }
  return new Trouble("This photo cannot be read.", sentence(message));
}

/** What keeps the webcam from starting or going on, in words. */
export function webcamTrouble(why) {
  const known = {
    NotAllowedError: ["The browser does not let this page use the webcam.",
      "Allow the camera at the left of the address bar, then switch the webcam on again."],
    NotFoundError: ["There is no webcam on this device.", "Connect one, or choose a photo."],
    NotReadableError: ["The webcam does not answer: another program may be using it.",
      "Close that program, then switch the webcam on again."],
    Unplugged: ["The webcam went away by itself.",
      "Connect it and let the browser use it, then switch it on again."],
    InsecureContext: ["Browsers open the webcam only for pages that come over https, or from the machine itself.",
      "Open this page as https, or on the machine that it runs on as http://localhost."],
  };
  const [message, hint] = known[why.name] ?? ["The webcam could not be started.", "Try again, or choose a photo."];
  return new Trouble(message, hint);
}

/** Upper case first and a full stop last, as sentences have. */
function sentence(text) {
  const trimmed = text.trim();
  if (!trimmed) return "";
  return trimmed[0].toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
}
