// What the scenarios of clients from npm share: the ports of the nodes are the arguments, and a scenario that does not
// come to its last line fails.
import assert from 'node:assert/strict';

export { assert };
export const ports = process.argv.slice(2).map(Number);

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Polls until condition() gives something true, which is the result.
export async function until(what, condition, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not in ${seconds} s: ${what}`);
    await pause(20);
  }
}

// Tells the test that drives this process, and waits for its answer: a line for a line.
let lines = null;
export async function tell(word) {
  if (lines === null) {
    const { createInterface } = await import('node:readline');
    lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  }
  console.log(word);
  await lines.next();
}

export function run(scenario) {
  scenario().then(
    () => {
      console.log('done');
      process.exit(0);
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}
