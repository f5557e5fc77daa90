// Looks all entries of a test vector up in WebAssembly. Usage: node check.mjs MODULE TABLE.sst ENTRIES.tsv
import { readFileSync } from "node:fs";

const [module, table, entries] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(module), {});
const sst = instance.exports;

/** Writes bytes to where the module wants them. */
function put(bytes) {
  const at = sst.input(bytes.length);
  new Uint8Array(sst.memory.buffer, at, bytes.length).set(bytes);
}

/** The bytes that the module has answered with. */
function answer(len) {
  return Buffer.from(new Uint8Array(sst.memory.buffer, sst.output(), len));
}

/** The value of a key, or null. */
function get(key) {
  put(key);
  const len = sst.get();
  if (len === -2) throw new Error("damaged, or no table");
  return len === -1 ? null : answer(len);
}

put(readFileSync(table));
if (sst.open() !== 0) throw new Error("the table was not opened");

// Columns: hash, key, kind, value (conformance/vectors/reference/README.md).
let [found, missing] = [0, 0];
const keys = [];
for (const line of readFileSync(entries, "utf8").trim().split("\n")) {
  const [, hex, kind, spec] = line.split("\t");
  const key = Buffer.from(hex, "hex");
  if (kind === "blob") continue;
  const value = get(key);
  if (kind === "deleted") {
    if (value !== null) throw new Error(`${hex} was deleted`);
    missing += 1;
    continue;
  }
  const [way, first, len] = spec.split(":");
  const expected =
    way === "x" ? Buffer.from(first, "hex") : way === "f" ? Buffer.alloc(Number(len), Number(`0x${first}`)) : null;
  if (value === null || (expected !== null && !value.equals(expected))) throw new Error(`${hex} has another value`);
  keys.push(key);
  found += 1;
}
if (get(Buffer.from("no such key")) !== null) throw new Error("a key was found that is not there");
if (found === 0) throw new Error("nothing was looked up");

const start = process.hrtime.bigint();
for (const key of keys) get(key);
const each = Number(process.hrtime.bigint() - start) / keys.length;
console.log(`${found} found, ${missing} deleted, ${each.toFixed(0)} ns for a lookup from JavaScript`);
