/** The webcam's card: sends frames as fast as the server analyzes them and shows the results over the video. */

import { annotateImage } from "./annotate.js";
import { announce } from "./announce.js";
import { showBoxes } from "./boxes.js";
import { Camera } from "./camera.js";
import { connection } from "./connection.js";
import { showFaces } from "./faces.js";
import { t } from "./i18n.js";
import { colorOf } from "./palette.js";
import { download, downloadJson } from "./save.js";
import { Stream } from "./stream.js";
import { clone, setChildCount, setText } from "./templates.js";
import { Timeline } from "./timeline.js";
import { faceName, labelText, summary, webcamError } from "./words.js";

const MAX_RATE = 15; // frames a second
const MAX_KEPT = 10 * 60 * MAX_RATE; // results in the JSON: ten minutes
const ANNOUNCE_EVERY = 3000; // milliseconds, at least

const $ = (id) => document.getElementById(id);
const card = $("webcam");
const camera = new Camera($("webcam-video"));
const timeline = new Timeline($("timeline"));
const find = (selector) => card.querySelector(selector);
let stream = null;
let opening = false; // while the browser asks for permission
let labels = [];
let looks = []; // {time, width, height, faces}; time in seconds from the start
let last = null; // {analysis, frame}
let started = 0;
let resultTimes = []; // milliseconds, of the last second
let announced = { text: "", time: -Infinity };

/** Connect the buttons; `showError` is called with a `PageError`, or with null when it no longer applies. */
export function setUpWebcam(showError) {
  $("webcam-switch").addEventListener("click", () => (stream ? turnOff() : turnOn(showError)));
  $("webcam-off").addEventListener("click", () => {
    turnOff();
    $("webcam-switch").focus();
  });
  $("webcam-json").addEventListener("click", () => downloadJson({ labels, looks }, "webcam-faces.json"));
  $("webcam-png").addEventListener("click", async () => {
    download(await annotateImage(last.frame, last.analysis), "webcam-faces.png");
  });
  connection.addEventListener("change", () => {
    if (stream) showRate(connection.isOffline ? t("webcam.offline") : t("webcam.starting"));
  });
}

async function turnOn(showError) {
  if (opening) return;
  opening = true;
  showError(null);
  try {
    await camera.open(() => {
      turnOff();
      showError(webcamError("Unplugged"));
    });
  } catch (error) {
    showError(error);
    return;
  } finally {
    opening = false;
  }
  reset();
  stream = new Stream({
    onReady: (hello) => showLegend(hello.labels),
    onReconnect: () => showRate(t("webcam.reconnecting")),
    onResult: showResult,
    onFrameError: (error) => showRate(error.message),
    onEnd: (error) => {
      turnOff();
      showError(error);
    },
  });
  setText($("webcam-switch"), t("webcam.turn_off"));
  card.hidden = false;
  card.scrollIntoView({ block: "nearest" });
  announce(t("webcam.searching"));
  sendFrames(stream);
}

function reset() {
  [looks, last, resultTimes, started] = [[], null, [], performance.now()];
  timeline.clear();
  $("timeline").setAttribute("aria-label", timeline.summary());
  $("webcam-video").classList.toggle("mirrored", camera.mirrored);
  showBoxes(find(".boxes"), { faces: [] });
  showFaces(find(".faces"), []);
  setText(find(".summary"), t("webcam.searching"));
  showRate(t("webcam.starting"));
  for (const id of ["webcam-json", "webcam-png"]) $(id).disabled = true;
}

function turnOff() {
  stream?.close();
  stream = null;
  camera.close();
  card.hidden = true;
  setText($("webcam-switch"), t("webcam.turn_on"));
  announce(t("webcam.is_off"));
}

/** Send a frame whenever one can be sent, until `current` is no longer the stream. */
async function sendFrames(current) {
  while (stream === current) {
    const next = performance.now() + 1000 / MAX_RATE;
    const frame = current.free ? await camera.frame() : null;
    if (frame) current.send(frame);
    await new Promise((resolve) => setTimeout(resolve, Math.max(next - performance.now(), 5)));
  }
}

function showResult(analysis, frame, sent) {
  if (!stream) return;
  const now = performance.now();
  const time = (sent - started) / 1000;
  const { faces, width, height } = analysis;
  last = { analysis, frame };
  looks.push({ time: Number(time.toFixed(3)), width, height, faces });
  if (looks.length > MAX_KEPT) looks.shift();
  showBoxes(find(".boxes"), analysis, camera.mirrored);
  showFaces(find(".faces"), faces);
  setText(find(".summary"), faces.length ? summary(faces) : t("webcam.no_face"));
  timeline.add(time, faces);
  timeline.draw((now - started) / 1000);
  for (const id of ["webcam-json", "webcam-png"]) $(id).disabled = false;
  resultTimes = [...resultTimes.filter((at) => at > now - 1000), now];
  if (now - started > 1000) {
    showRate(t("webcam.rate", { frames: resultTimes.length, delay: Math.round((now - sent) / 10) * 10 }));
  }
  announceFaces(faces, now);
}

function showRate(text) {
  setText($("webcam-rate"), text);
}

/** Announce expressions when they change, at a pace that a listener can follow. */
function announceFaces(faces, now) {
  const text = faces.map((face, i) => `${faceName(face, i)}: ${labelText(face.label)}.`).join(" ") || t("webcam.no_face");
  if (text === announced.text || now - announced.time < ANNOUNCE_EVERY) return;
  announced = { text, time: now };
  announce(text);
  $("timeline").setAttribute("aria-label", timeline.summary());
}

function showLegend(names) {
  labels = names;
  const list = $("legend");
  setChildCount(list, names.length, () => clone("legend"));
  names.forEach((name, i) => {
    const [swatch, text] = list.children[i].children;
    swatch.style.setProperty("--color", colorOf(name, names));
    setText(text, labelText(name));
  });
}
