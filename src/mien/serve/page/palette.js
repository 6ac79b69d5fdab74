/** One color for each expression: those of src/mien/recognition/annotation/palette.py, which a test compares. */

const COLORS = {
  angry: "#d55e00",
  disgust: "#009e73",
  fear: "#cc79a7",
  happy: "#f0e442",
  sad: "#0072b2",
  surprise: "#e69f00",
  neutral: "#56b4e9",
  contempt: "#c8c8c8",
};
const SEQUENCE = Object.values(COLORS);
const WHITE = "#ffffff";

const SYNONYMS = {
  anger: "angry",
  contemptuous: "contempt",
  disgusted: "disgust",
  disgusting: "disgust",
  fearful: "fear",
  afraid: "fear",
  scared: "fear",
  happiness: "happy",
  joy: "happy",
  sadness: "sad",
  surprised: "surprise",
  surprising: "surprise",
  calm: "neutral",
};

/** The usual name of an expression, such as `happy` for `Happiness`; other labels in lower case. */
export function canonical(label) {
  return SYNONYMS[label.toLowerCase()] ?? label.toLowerCase();
}

/** The color of `label` among `labels` as `#rrggbb`; white for a label that is not among them, such as `uncertain`. */
export function colorOf(label, labels) {
  const index = labels.indexOf(label);
  if (index < 0) return WHITE;
  const names = labels.map(canonical);
  return names.every((name) => name in COLORS) ? COLORS[names[index]] : SEQUENCE[index % SEQUENCE.length];
}
