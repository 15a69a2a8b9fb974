// What the original face-api answers for a picture of plain arithmetic: the numbers that
// tests/faces/test_networks.py compares the PyTorch modules with. Run in the unpacked npm package
// @vladmandic/face-api 1.7.15 with Node 20:
//
//     node scripts/faceapi_reference.mjs PACKAGE_FOLDER > tests/faces/faceapi_reference.json

import fs from "fs";
import os from "os";
import path from "path";
import { pathToFileURL } from "url";

const folder = process.argv[2];
globalThis.window = globalThis; // its loader looks for a browser
globalThis.document = { createElement: () => ({ getContext: () => null }) };
const module = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "face-api-")), "face-api.mjs");
fs.copyFileSync(path.join(folder, "dist", "face-api.esm.js"), module);
const { tf, nets } = await import(pathToFileURL(module).href);
await tf.setBackend("cpu");

async function load(net, name) {
  const base = path.join(folder, "model", name);
  const manifest = JSON.parse(fs.readFileSync(`${base}-weights_manifest.json`));
  const buffer = fs.readFileSync(`${base}.bin`);
  const data = buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.length);
  net.loadFromWeightMap(tf.io.decodeWeights(data, manifest[0].weights));
}

function picture(size) {
  const values = new Float32Array(size * size * 3);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      for (let c = 0; c < 3; c++)
        values[(y * size + x) * 3 + c] = (x * 5 + y * 3 + ((x * y) >> 4) + c * 70) % 256;
  return tf.tensor3d(values, [size, size, 3]);
}

await load(nets.tinyFaceDetector, "tiny_face_detector_model");
await load(nets.faceLandmark68Net, "face_landmark_68_model");
await load(nets.faceLandmark68TinyNet, "face_landmark_68_tiny_model");
const rounded = (tensor) => Array.from(tensor.dataSync(), (v) => Number(v.toFixed(5)));
const grid = await nets.tinyFaceDetector.forward(picture(96), 96);
console.log(
  JSON.stringify({
    detector: rounded(grid), // (rows, columns, 25)
    landmarks: rounded(await nets.faceLandmark68Net.forward(picture(112))), // 136: x, y of each
    landmarks_tiny: rounded(await nets.faceLandmark68TinyNet.forward(picture(112))),
  }),
);
