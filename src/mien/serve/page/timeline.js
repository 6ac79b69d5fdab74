/** The last half minute of each person: how likely each expression was, stacked, over time. */

import { colourOf } from "./palette.js";
import { listed } from "./words.js";

const SPAN = 30; // seconds
const LANE = 72; // pixels of a person's height, with the line of text above it
const TEXT = 22;
const HOLDS = 2; // seconds that a look counts for, unless the next one comes before: as in the timelines of videos

/** A chart on a canvas; `add` a look, then `draw`. */
export class Timeline {
  #canvas;
  #looks = []; // {time, faces}, oldest first

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Faces of one look, with their persons, at `time` in seconds. */
  add(time, faces) {
    this.#looks.push({ time, faces });
    while (this.#looks[0].time < time - SPAN) this.#looks.shift();
  }

  clear() {
    this.#looks = [];
  }

  /** Draw all up to `now`, in seconds. */
  draw(now) {
    const persons = this.#persons();
    const pen = this.#paper(Math.max(persons.size, 1) * LANE + TEXT);
    const wide = this.#canvas.clientWidth;
    const at = (time) => wide * (1 - (now - time) / SPAN);
    const style = getComputedStyle(this.#canvas);
    const ink = { text: style.getPropertyValue("--quiet"), track: style.getPropertyValue("--track") };
    let top = 0;
    for (const [person, looks] of persons) {
      pen.fillStyle = ink.text;
      pen.fillText(`Person ${person}`, 0, top + TEXT / 2);
      const lane = { top: top + TEXT, high: LANE - TEXT - 8 };
      pen.fillStyle = ink.track;
      pen.fillRect(0, lane.top, wide, lane.high);
      for (const run of unbroken(looks, now)) stack(pen, run, lane, at);
      top += LANE;
    }
    pen.fillStyle = ink.text;
    for (const ago of [30, 20, 10, 0]) {
      pen.textAlign = ago === SPAN ? "left" : ago ? "center" : "right";
      pen.fillText(ago ? `${ago} s ago` : "now", at(now - ago), top + TEXT / 2 - 4);
    }
    pen.textAlign = "left";
  }

  /** What the chart shows, in a sentence. */
  summary() {
    const told = [...this.#persons()].map(([person, looks]) => {
      const counts = new Map();
      for (const { face } of looks) counts.set(face.label, (counts.get(face.label) ?? 0) + 1);
      const most = [...counts].sort((a, b) => b[1] - a[1]);
      return `person ${person} mostly ${most[0][0]}`;
    });
    return told.length ? `In the last 30 seconds: ${listed(told)}.` : "Nobody was seen in the last 30 seconds.";
  }

  #persons() {
    const persons = new Map();
    for (const { time, faces } of this.#looks) {
      for (const face of faces) {
        if (!persons.has(face.person)) persons.set(face.person, []);
        persons.get(face.person).push({ time, face });
      }
    }
    return new Map([...persons].sort((a, b) => a[0] - b[0]));
  }

  #paper(high) {
    const dense = devicePixelRatio || 1;
    this.#canvas.style.height = `${high}px`;
    this.#canvas.width = Math.round(dense * this.#canvas.clientWidth);
    this.#canvas.height = Math.round(dense * high);
    const pen = this.#canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.font = `13px ${getComputedStyle(this.#canvas).fontFamily}`;
    pen.textBaseline = "middle";
    return pen;
  }
}

/** A person's looks, cut where there was none for a while; the last of each run is there twice, from when to when it holds. */
function unbroken(looks, now) {
  const runs = [];
  looks.forEach((look, i) => {
    if (!i || look.time - looks[i - 1].time > HOLDS) runs.push([]);
    runs.at(-1).push(look);
    const next = looks[i + 1]?.time ?? now;
    if (i + 1 === looks.length || next - look.time > HOLDS) {
      runs.at(-1).push({ ...look, time: Math.min(next, look.time + HOLDS) });
    }
  });
  return runs;
}

/** Areas one on the other, the first class on top, and names where there is room. */
function stack(pen, looks, lane, at) {
  const labels = Object.keys(looks[0].face.probabilities);
  const below = looks.map(() => 0);
  for (const label of labels) {
    const from = [...below];
    looks.forEach(({ face }, i) => {
      below[i] = Math.min(1, below[i] + face.probabilities[label]);
    });
    pen.fillStyle = colourOf(label, labels);
    pen.beginPath();
    looks.forEach(({ time }, i) => pen.lineTo(at(time), lane.top + from[i] * lane.high));
    looks.map((look, i) => [look, i]).reverse()
      .forEach(([{ time }, i]) => pen.lineTo(at(time), lane.top + below[i] * lane.high));
    pen.fill();
  }
  for (let start = 0, end; start < looks.length; start = end) {
    end = start + 1;
    while (end < looks.length && looks[end].face.label === looks[start].face.label) end++;
    name(pen, looks[start].face.label, Math.max(0, at(looks[start].time)), at(looks[end - 1].time), lane);
  }
}

function name(pen, label, left, right, lane) {
  const wide = pen.measureText(label).width + 14;
  if (right - left < wide) return;
  const x = (left + right) / 2;
  pen.fillStyle = "rgb(20 23 28 / 84%)";
  pen.beginPath();
  pen.roundRect(x - wide / 2, lane.top + lane.high / 2 - 11, wide, 22, 6);
  pen.fill();
  pen.fillStyle = "#fff";
  pen.fillText(label, x - wide / 2 + 7, lane.top + lane.high / 2);
}
