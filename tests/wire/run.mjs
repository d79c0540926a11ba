// tests/wire/run.mjs: runs the stories with node's own test runner, one after another.
//
//     node run.mjs [--in FOLDER] [PART OF A FILE NAME…]
//
// One at a time: every story has hubs and clients of its own, and two cores to share.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
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

// A story that hangs must not hang the run.
const FILE_MS = (process.env.WAGGLE_LONG === '1' ? 90 : 12) * 60_000;
const args = ['--test', '--test-reporter=spec'];
let failed = 0;
// A run for each file: Node 18 would run them side by side and cannot be told otherwise.
for (const file of stories) {
  const { status } = spawnSync(process.execPath, [...args, join(here, file)], {
    stdio: 'inherit',
    cwd: here,
    timeout: FILE_MS,
  });
  if (status === null) console.error(`run.mjs: ended after ${FILE_MS / 60_000} minutes: ${file}`);
  failed ||= status ?? 1;
}
process.exit(failed);
