// Lock files pin versions and hashes and name no host: whoever installs chooses where from.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { story } from './lib/story.mjs';

const DEBIAN_NPM = [9, 2];
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

for (const folder of ['tests/wire', 'tests/browser', 'web']) {
  story(`the lock file of ${folder} carries hashes and no address`, () => {
    const file = join(root, folder, 'package-lock.json');
    assert.ok(existsSync(file));
    const text = readFileSync(file, 'utf8');
    assert.ok(!/"resolved"/.test(text), 'no "resolved" (node tests/wire/lib/strip-lock.mjs)');
    assert.ok(!/:\/\//.test(text), 'no address (node tests/wire/lib/strip-lock.mjs)');
    assert.match(text, /"integrity": "sha512-/);
    assert.match(readFileSync(join(root, folder, '.npmrc'), 'utf8'), /^omit-lockfile-registry-resolved=true$/m);
  });

  story(`the npm of Debian 12 installs what ${folder} needs`, () => {
    const strict = /^engine-strict=true$/m.test(readFileSync(join(root, folder, '.npmrc'), 'utf8'));
    const { packages } = JSON.parse(readFileSync(join(root, folder, 'package-lock.json'), 'utf8'));
    const beyond = Object.entries(packages).filter(([, { engines }]) => {
      const [major, minor] = (/>=\s*(\d+)\.(\d+)/.exec(engines?.npm) ?? [0, 0, 0]).slice(1).map(Number);
      return major > DEBIAN_NPM[0] || (major === DEBIAN_NPM[0] && minor > DEBIAN_NPM[1]);
    });
    // It works with these all the same; with engine-strict it would not try.
    assert.ok(!strict || beyond.length === 0, `engine-strict with ${beyond.map(([name]) => name)}`);
  });
}
