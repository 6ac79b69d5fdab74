/** The webcam's card: frames go to the server as fast as it reads them, and what it says is shown over the image. */

import { annotated } from "./annotate.js";
import { showBoxes } from "./boxes.js";
import { Camera } from "./camera.js";
import { showFaces } from "./faces.js";
import { link } from "./link.js";
import { colourOf } from "./palette.js";
import { save, saveJson } from "./save.js";
import { say } from "./say.js";
import { Stream } from "./stream.js";
import { fit, fresh, write } from "./templates.js";
import { Timeline } from "./timeline.js";
import { called, summary, webcamTrouble } from "./words.js";

const RATE = 15; // frames a second, at most
const KEPT = 10 * 60 * RATE; // looks that Save JSON writes: ten minutes
const SPOKEN = 3000; // milliseconds between two sentences of a screen reader

const $ = (id) => document.getElementById(id);
const card = $("webcam");
const camera = new Camera($("webcam-video"));
const timeline = new Timeline($("timeline"));
const part = (selector) => card.querySelector(selector);
let stream = null;
let opening = false; // the browser asks whether the page may use it
let looks = []; // {time, width, height, faces}: seconds from the start
let last = null; // {analysis, frame}
let started = 0;
let answered = []; // milliseconds at which the last second's frames were answered
let spoken = { text: "", at: -Infinity };

/** Let the buttons work; `trouble` is called with a `Trouble`, or with null when it is over. */
export function wire(trouble) {
  const toggle = () => (stream ? off() : on(trouble));
  $("webcam-switch").addEventListener("click", toggle);
  $("webcam-off").addEventListener("click", () => {
    off();
    $("webcam-switch").focus();
  });
  $("webcam-json").addEventListener("click", () => saveJson({ labels: labels(), looks }, "webcam-faces.json"));
  $("webcam-png").addEventListener("click", async () => {
    save(await annotated(last.frame, last.analysis), "webcam-faces.png");
  });
  link.addEventListener("change", () => {
    if (stream) write($("webcam-pace"), link.gone ? "waiting for the server" : "starting");
  });
}

async function on(trouble) {
  if (opening) return;
  opening = true;
  trouble(null);
  try {
    await camera.on(() => {
      off();
      trouble(webcamTrouble({ name: "Unplugged" }));
    });
  } catch (why) {
    trouble(why);
    return;
  } finally {
    opening = false;
  }
  begin();
  stream = new Stream({
    ready: ({ labels: names }) => legend(names),
    broken: () => write($("webcam-pace"), "broken off; trying again"),
    read,
    missed: (why) => write($("webcam-pace"), why.message),
    refused: (why) => {
      off();
      trouble(why);
    },
  });
  write($("webcam-switch"), "Switch the webcam off");
  card.hidden = false;
  card.scrollIntoView({ block: "nearest" });
  say("The webcam is on.");
  run(stream);
}

function begin() {
  [looks, last, answered, started] = [[], null, [], performance.now()];
  timeline.clear();
  $("webcam-video").classList.toggle("mirrored", camera.mirrored);
  showBoxes(part(".boxes"), { faces: [] });
  showFaces(part(".faces"), []);
  write(part(".summary"), "Looking for faces.");
  write($("webcam-pace"), "starting");
  for (const id of ["webcam-json", "webcam-png"]) $(id).disabled = true;
}

function off() {
  stream?.close();
  stream = null;
  camera.off();
  card.hidden = true;
  write($("webcam-switch"), "Switch the webcam on");
  say("The webcam is off.");
}

/** Send a frame whenever there is room for one, until `mine` is no longer the stream. */
async function run(mine) {
  while (stream === mine) {
    const due = performance.now() + 1000 / RATE;
    const frame = mine.free ? await camera.frame() : null;
    if (frame) mine.send(frame);
    await new Promise((done) => setTimeout(done, Math.max(due - performance.now(), 5)));
  }
}

function read(analysis, frame, sent) {
  if (!stream) return;
  const now = performance.now();
  const time = (sent - started) / 1000;
  const { faces, width, height } = analysis;
  last = { analysis, frame };
  looks.push({ time: Number(time.toFixed(3)), width, height, faces });
  if (looks.length > KEPT) looks.shift();
  showBoxes(part(".boxes"), analysis, camera.mirrored);
  showFaces(part(".faces"), faces);
  write(part(".summary"), faces.length ? summary(faces) : "No face in sight.");
  timeline.add(time, faces);
  timeline.draw((now - started) / 1000);
  for (const id of ["webcam-json", "webcam-png"]) $(id).disabled = false;
  pace(now, now - sent);
  speak(faces, now);
}

function pace(now, behind) {
  answered = [...answered.filter((at) => at > now - 1000), now];
  if (now - started < 1000) return;
  const frames = answered.length === 1 ? "1 frame" : `${answered.length} frames`;
  write($("webcam-pace"), `${frames} a second, ${Math.round(behind / 10) * 10} ms behind`);
}

/** A screen reader hears who shows what when that changes, and not more often than it can be listened to. */
function speak(faces, now) {
  const text = faces.map((face, i) => `${called(face, i)}: ${face.label}.`).join(" ") || "No face in sight.";
  if (text === spoken.text || now - spoken.at < SPOKEN) return;
  spoken = { text, at: now };
  say(text);
  $("timeline").setAttribute("aria-label", timeline.summary());
}

function legend(names) {
  const list = $("legend");
  fit(list, names.length, () => fresh("legend"));
  names.forEach((name, i) => {
    const [swatch, text] = list.children[i].children;
    swatch.style.setProperty("--colour", colourOf(name, names));
    write(text, name);
  });
}

function labels() {
  return [...$("legend").children].map((item) => item.textContent.trim());
}
