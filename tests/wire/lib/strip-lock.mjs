// tests/wire/lib/strip-lock.mjs: removes from a package-lock.json what names a host, and says when
// something is left. Run it after npm has written a lock file:
//
//     node tests/wire/lib/strip-lock.mjs tests/wire/package-lock.json

import { readFileSync, writeFileSync } from 'node:fs';

for (const file of process.argv.slice(2)) {
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  for (const entry of Object.values(lock.packages)) {
    delete entry.funding;
    delete entry.resolved;
  }
  const text = `${JSON.stringify(lock, null, 2)}\n`;
  writeFileSync(file, text);
  if (/"resolved"|:\/\//.test(text)) {
    console.error(`${file}: still names an address`);
    process.exitCode = 1;
  }
}
