// tests/wire/run.mjs: runs the stories with node's own test runner, a process for each file.
//
//     node run.mjs [--in FOLDER] [PART OF A FILE NAME…]
//     WAGGLE_JOBS=1 node run.mjs         one after another, with their output as it comes
//
// Most of a story is waiting for time to pass, so more files run at once than there are cores; each
// has hubs and clients of its own. Node 18 would run all of them side by side and cannot be told
// otherwise, hence the processes. What a file says is shown whole when it ends, and what failed once
// more at the end of all, since of a long record often only the tail is kept.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const wanted = process.argv.slice(2);
const here = wanted[0] === '--in' ? resolve(wanted.splice(0, 2)[1]) : dirname(fileURLToPath(import.meta.url));
const stories = readdirSync(here)
  .filter((name) => name.endsWith('.test.mjs'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort();
if (stories.length === 0) {
  console.error(`run.mjs: no story matches ${wanted.join(' ')}`);
  process.exit(2);
}

const JOBS = Number(process.env.WAGGLE_JOBS ?? Math.min(cpus().length, 2) + 1);
// A story that hangs must not hang the run.
const FILE_MS = (process.env.WAGGLE_LONG === '1' ? 90 : 12) * 60_000;
const TOLD_LINES = 80;
const failures = [];
const args = ['--test', '--test-reporter=spec'];

/** Runs one file to its end; its exit status. */
async function run(file) {
  const alone = JOBS === 1;
  const started = Date.now();
  const child = spawn(process.execPath, [...args, join(here, file)], {
    cwd: here,
    stdio: ['ignore', alone ? 'inherit' : 'pipe', alone ? 'inherit' : 'pipe'],
    timeout: FILE_MS,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => (said += bytes));
  const [status] = await once(child, 'close');
  console.log(`${said}== ${file}: ${Math.round((Date.now() - started) / 1000)} s`);
  const hung = status === null ? `ended after ${FILE_MS / 60_000} minutes\n` : '';
  if (hung) console.error(`run.mjs: ${file} ${hung}`);
  if (status !== 0) failures.push(`== FAILED ${file}\n${hung}${failing(said)}`);
  return status ?? 1;
}

/** Of a file's output: what the runner says of its failing tests, or the end if it came to no report. */
function failing(said) {
  const report = said.indexOf('\u2716 failing tests:');
  const told = report >= 0 ? said.slice(report) : said;
  return told.split('\n').slice(report >= 0 ? 0 : -TOLD_LINES, report >= 0 ? TOLD_LINES : undefined).join('\n');
}

let failed = 0;
async function work() {
  for (let file = stories.shift(); file; file = stories.shift()) {
    const status = await run(file);
    failed ||= status;
  }
}
await Promise.all(Array.from({ length: JOBS }, work));
for (const failure of failures) console.log(failure);
process.exit(failed);
