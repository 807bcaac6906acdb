// Has the official parser read an AsyncAPI document: node check.mjs FILE
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const file = process.argv[2];
const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
// 0 is an error, 1 a warning; what is below is advice.
const wrong = diagnostics.filter(({ severity }) => severity <= 1);
for (const { message, path } of wrong) console.error(`${file}: ${path.join(".")}: ${message}`);
if (!document || wrong.length > 0) {
  console.error(`${file}: ${wrong.length} errors and warnings`);
  process.exit(1);
}
const { length } = document.operations().all();
console.log(`${file}: AsyncAPI ${document.version()}, ${length} operations`);
