// tests/wire/lib/limits.mjs: the table of configuration keys in docs/operations.md, from the hub
// itself.
//
//     node tests/wire/lib/limits.mjs --write      after a key was added or changed
//
// A story compares the page with `waggled --help`, so that it cannot rot.

import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binary } from './hub.mjs';

export const page = fileURLToPath(new URL('../../../docs/operations.md', import.meta.url));
const BEGIN = '<!-- limits: made by tests/wire/lib/limits.mjs -->', END = '<!-- end of limits -->';

/** [{ section, name, help, otherwise, flag, environment }] as `waggled --help` prints them. */
export function keysOf(help) {
  const keys = [];
  let section = null;
  const lines = help.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const head = /^\[([a-z]+)\]$/.exec(lines[i]);
    if (head) section = head[1];
    const key = /^ {2}([a-z_]+) {2,}(\S.*)$/.exec(lines[i]);
    const more = /^ {20,}default (.*); (--\S+), (WAGGLE_\S+)$/.exec(lines[i + 1] ?? '');
    if (section && key && more) {
      keys.push({ section, name: key[1], help: key[2], otherwise: more[1], flag: more[2], environment: more[3] });
    }
  }
  return keys;
}

export function table(keys) {
  const cell = (text) => text.replaceAll('|', '\\|');
  const rows = keys.map(({ section, name, help, otherwise, flag }) =>
    `| \`${section}.${name}\` | ${cell(otherwise)} | \`${flag}\` | ${cell(help)} |`);
  return [BEGIN, '| key | default | flag | what it is |', '|---|---|---|---|', ...rows, END].join('\n');
}

export const current = () => table(keysOf(execFileSync(binary, ['--help'], { encoding: 'utf8' })));

export function between(text) {
  const from = text.indexOf(BEGIN), to = text.indexOf(END);
  return from < 0 || to < 0 ? '' : text.slice(from, to + END.length);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv[2] !== '--write') {
    console.log(current());
  } else {
    const text = readFileSync(page, 'utf8');
    writeFileSync(page, text.replace(between(text), () => current()));
  }
}
