// Predict PublicTest's faces with @vladmandic/face-api: FOLDER/face-api.npy, float32 [3589,7] in FER2013's class order.
//
//     npm install @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
//     node experiments/ask_face_api.js FACES.npy FOLDER          (FACES.npy: see ask_peers.py; a minute on one core)
//
// npm packages are loaded from the current folder. The package resizes a face, an RGB tensor, to 112x112 and subtracts its
// mean color; here all three channels are the gray values of the face.

const { createHash } = require('crypto');
const fs = require('fs');
const path = require('path');

const here = require('module').createRequire(path.join(process.cwd(), 'package.json'));
const tf = here('@tensorflow/tfjs');
const wasm = here('@tensorflow/tfjs-backend-wasm');
const faceapi = here('@vladmandic/face-api/dist/face-api.node-wasm.js');

const ORDER = ['angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral']; // its class names in FER2013's order
const SIDE = 48;
const BATCH = 32;

// Return the number and the pixels of faces, a uint8 array [N,48,48] written by numpy.save.
function readFaces(file) {
  const content = fs.readFileSync(file);
  const start = 10 + content.readUInt16LE(8);
  const shape = /'descr': '\|u1', 'fortran_order': False, 'shape': \((\d+), 48, 48\)/.exec(content.toString('latin1', 10, start));
  if (!shape) throw new Error(`${file} is not a uint8 array [N,48,48] written by numpy.save`);
  return { n: Number(shape[1]), pixels: content.subarray(start) };
}

// Write probabilities as a float32 array [N,7] in the format of numpy.save.
function writeProbs(file, probs, n) {
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': (${n}, ${ORDER.length}), }`;
  const head = dict.padEnd(Math.ceil((dict.length + 11) / 64) * 64 - 11) + '\n';
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0]); // \x93NUMPY, version 1.0, length of head
  start.writeUInt16LE(head.length, 8);
  fs.writeFileSync(file, Buffer.concat([start, Buffer.from(head, 'latin1'), Buffer.from(probs.buffer)]));
}

async function main(file, folder) {
  wasm.setWasmPaths(path.dirname(here.resolve('@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm')) + '/');
  wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  const root = path.dirname(here.resolve('@vladmandic/face-api/package.json'));
  await faceapi.nets.faceExpressionNet.loadFromDisk(path.join(root, 'model'));

  const { n, pixels } = readFaces(file);
  const probs = new Float32Array(n * ORDER.length);
  for (let from = 0; from < n; from += BATCH) {
    const faces = [];
    for (let i = from; i < Math.min(n, from + BATCH); i++) {
      const grey = pixels.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
      faces.push(tf.tidy(() => tf.tensor(Int32Array.from(grey), [SIDE, SIDE, 1], 'int32').tile([1, 1, 3])));
    }
    const predictions = [await faceapi.nets.faceExpressionNet.predictExpressions(faces)].flat();
    predictions.forEach((one, i) => ORDER.forEach((name, k) => { probs[(from + i) * ORDER.length + k] = one[name]; }));
    tf.dispose(faces);
  }
  fs.mkdirSync(folder, { recursive: true });
  writeProbs(path.join(folder, 'face-api.npy'), probs, n);
  const weights = fs.readFileSync(path.join(root, 'model', 'face_expression_model.bin'));
  const provenance = {
    package: `@vladmandic/face-api ${faceapi.version}`,
    sha256: createHash('sha256').update(weights).digest('hex'),
    fed: 'three times grey 112x112, its mean color taken off, /255',
    runtime: { node: process.version, tfjs: tf.version_core, backend: tf.getBackend() },
  };
  fs.writeFileSync(path.join(folder, 'face-api.json'), JSON.stringify(provenance, null, 1) + '\n');
}

if (process.argv.length === 4) main(process.argv[2], process.argv[3]);
else { console.error('node experiments/ask_face_api.js FACES.npy FOLDER'); process.exit(2); }
