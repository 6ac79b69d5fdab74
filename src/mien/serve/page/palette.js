/** One color for each expression: those of src/mien/read/colours.py, against which a test holds them. */

const OF_EXPRESSION = {
  angry: "#d55e00",
  disgust: "#009e73",
  fear: "#cc79a7",
  happy: "#f0e442",
  sad: "#0072b2",
  surprise: "#e69f00",
  neutral: "#56b4e9",
  contempt: "#c8c8c8",
};
const IN_ORDER = Object.values(OF_EXPRESSION);
const WHITE = "#ffffff";

const SPELLINGS = {
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

/** The color of `label` among `labels`, as `#rrggbb`; white for a label that is none of them, as `uncertain` is. */
export function colourOf(label, labels) {
  const at = labels.indexOf(label);
  if (at < 0) return WHITE;
  const usual = labels.map((name) => SPELLINGS[name.toLowerCase()] ?? name.toLowerCase());
  return usual.every((name) => name in OF_EXPRESSION) ? OF_EXPRESSION[usual[at]] : IN_ORDER[at % IN_ORDER.length];
}
