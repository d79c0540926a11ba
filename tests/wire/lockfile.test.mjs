// Lock files pin versions and hashes and name no host: whoever installs chooses where from.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { story } from './lib/story.mjs';

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
}
