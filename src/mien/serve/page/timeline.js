/** The last half minute of each person: the probability of each expression, stacked, over time. */

import { t } from "./i18n.js";
import { colorOf } from "./palette.js";
import { joinList, labelText } from "./words.js";

const SPAN = 30; // seconds
const LANE = 72; // pixels of a person's height, with the line of text above it
const TEXT = 22; // pixels of that line
const MAX_GAP = 2; // seconds that a sample counts unless the next one comes before, as in the timelines of videos

/** A chart on a canvas: `add` a sample, then `draw`. */
export class Timeline {
  #canvas;
  #samples = []; // {time, faces}, oldest first

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Add the faces of one frame at `time` in seconds. */
  add(time, faces) {
    this.#samples.push({ time, faces });
    while (this.#samples[0].time < time - SPAN) this.#samples.shift();
  }

  clear() {
    this.#samples = [];
  }

  /** Draw everything up to `now` in seconds. */
  draw(now) {
    const persons = this.#persons();
    const context = this.#prepareCanvas(Math.max(persons.size, 1) * LANE + TEXT);
    const width = this.#canvas.clientWidth;
    const xOf = (time) => width * (1 - (now - time) / SPAN);
    const style = getComputedStyle(this.#canvas);
    const colors = { text: style.getPropertyValue("--muted"), track: style.getPropertyValue("--track") };
    let top = 0;
    for (const [person, samples] of persons) {
      context.fillStyle = colors.text;
      context.fillText(t("faces.person", { number: person }), 0, top + TEXT / 2);
      const lane = { top: top + TEXT, height: LANE - TEXT - 8 };
      context.fillStyle = colors.track;
      context.fillRect(0, lane.top, width, lane.height);
      for (const run of splitAtGaps(samples, now)) drawAreas(context, run, lane, xOf);
      top += LANE;
    }
    context.fillStyle = colors.text;
    for (const seconds of [30, 20, 10, 0]) {
      context.textAlign = seconds === SPAN ? "left" : seconds ? "center" : "right";
      const text = seconds ? t("timeline.ago", { seconds }) : t("timeline.now");
      context.fillText(text, xOf(now - seconds), top + TEXT / 2 - 4);
    }
    context.textAlign = "left";
  }

  /** Describe the chart in a sentence. */
  summary() {
    const persons = [...this.#persons()].map(([number, samples]) => {
      const counts = new Map();
      for (const { face } of samples) counts.set(face.label, (counts.get(face.label) ?? 0) + 1);
      const [[label]] = [...counts].sort((a, b) => b[1] - a[1]);
      return t("timeline.person", { number, label: labelText(label) });
    });
    return persons.length ? t("timeline.summary", { persons: joinList(persons) }) : t("timeline.empty");
  }

  #persons() {
    const persons = new Map();
    for (const { time, faces } of this.#samples) {
      for (const face of faces) {
        if (!persons.has(face.person)) persons.set(face.person, []);
        persons.get(face.person).push({ time, face });
      }
    }
    return new Map([...persons].sort((a, b) => a[0] - b[0]));
  }

  #prepareCanvas(height) {
    const density = devicePixelRatio || 1;
    this.#canvas.style.height = `${height}px`;
    this.#canvas.width = Math.round(density * this.#canvas.clientWidth);
    this.#canvas.height = Math.round(density * height);
    const context = this.#canvas.getContext("2d");
    context.scale(density, density);
    context.font = `13px ${getComputedStyle(this.#canvas).fontFamily}`;
    context.textBaseline = "middle";
    return context;
  }
}

/** Split a person's samples at gaps; the last sample of each run is repeated at the time until which it counts. */
function splitAtGaps(samples, now) {
  const runs = [];
  samples.forEach((sample, i) => {
    if (!i || sample.time - samples[i - 1].time > MAX_GAP) runs.push([]);
    runs.at(-1).push(sample);
    const next = samples[i + 1]?.time ?? now;
    if (i + 1 === samples.length || next - sample.time > MAX_GAP) {
      runs.at(-1).push({ ...sample, time: Math.min(next, sample.time + MAX_GAP) });
    }
  });
  return runs;
}

/** Draw stacked areas, the first class on top, and labels where there is room. */
function drawAreas(context, samples, lane, xOf) {
  const labels = Object.keys(samples[0].face.probabilities);
  const lower = samples.map(() => 0);
  for (const label of labels) {
    const upper = [...lower];
    samples.forEach(({ face }, i) => {
      lower[i] = Math.min(1, lower[i] + face.probabilities[label]);
    });
    context.fillStyle = colorOf(label, labels);
    context.beginPath();
    samples.forEach(({ time }, i) => context.lineTo(xOf(time), lane.top + upper[i] * lane.height));
    samples.map((sample, i) => [sample, i]).reverse()
      .forEach(([{ time }, i]) => context.lineTo(xOf(time), lane.top + lower[i] * lane.height));
    context.fill();
  }
  for (let start = 0, end; start < samples.length; start = end) {
    end = start + 1;
    while (end < samples.length && samples[end].face.label === samples[start].face.label) end++;
    drawName(context, labelText(samples[start].face.label), Math.max(0, xOf(samples[start].time)), xOf(samples[end - 1].time), lane);
  }
}

function drawName(context, text, left, right, lane) {
  const width = context.measureText(text).width + 14;
  if (right - left < width) return;
  const x = (left + right) / 2;
  context.fillStyle = "rgb(20 23 28 / 84%)";
  context.beginPath();
  context.roundRect(x - width / 2, lane.top + lane.height / 2 - 11, width, 22, 6);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, x - width / 2 + 7, lane.top + lane.height / 2);
}
