// The reference implementation of JSONata, asked line by line: {"text", "states", "variables"} in, {"value"}, {"error"} or {} (nothing) out.
import { createHash, randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const jsonata = createRequire(process.argv[2] + "/")("jsonata");
const compiled = new Map();

function fail(message) {
  throw Object.assign(new Error(message), { code: "T0410" });
}

// What the States Language adds, and what it forbids.
const added = {
  partition(array, size) {
    if (!Number.isInteger(size) || size <= 0) fail("the chunk size of $partition must be a whole number above 0");
    const items = Array.isArray(array) ? array : array === undefined ? [] : [array];
    return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
  },
  range(first, last, step) {
    if (![first, last, step].every(Number.isFinite) || step === 0) fail("$range takes three numbers, the step is not 0");
    return Array.from({ length: Math.max(0, Math.floor((last - first) / step) + 1) }, (_, at) => first + at * step);
  },
  hash: (data, algorithm) => createHash(algorithm.replace("-", "")).update(data).digest("hex"),
  random: () => Math.random(),
  uuid: () => randomUUID(),
  parse: (text) => (typeof text === "string" ? JSON.parse(text) : fail("$parse takes a text")),
  eval: () => fail("$eval is not supported"),
};

async function answer({ text, states, variables }) {
  try {
    if (!compiled.has(text)) compiled.set(text, jsonata(text));
    if (states === undefined) return {};
    const value = await compiled.get(text).evaluate(undefined, { ...added, ...variables, states });
    if (typeof value === "function") fail("the result is a function");
    if (typeof value === "number" && !Number.isFinite(value)) fail("number out of range");
    return { value };
  } catch (problem) {
    return { error: `${problem.code}: ${problem.message}` };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
}
