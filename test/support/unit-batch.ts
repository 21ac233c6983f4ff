/** Runs several unit test files in one process, one suite after the other, as uvu's own command does (`uvu/run`). */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

declare global {
  // uvu's own globals: files that are imported while UVU_DEFER is set queue their suites instead of running them.
  var UVU_DEFER: number;
  var UVU_INDEX: number;
  var UVU_QUEUE: unknown[][];
}

globalThis.UVU_DEFER = 1;
// Not a static import: uvu reads UVU_DEFER once, when it is loaded.
const { exec } = await import('uvu');
for (const [index, file] of process.argv.slice(2).entries()) {
  globalThis.UVU_INDEX = index;
  globalThis.UVU_QUEUE.push([file]);
  await import(pathToFileURL(resolve(file)).href);
}
await exec();
