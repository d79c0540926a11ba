// tests/wire/lib/cli.mjs: the command line, run by a story.
//
//     const cli = new Cli(hub);                       // speaks to that hub as its admin
//     const end = await cli.run('agent ls -o json');  // { code, out, err, lines, json }
//     const tail = cli.start(['tail', 'orders']);     // { child, out, err, end }
//
// The binary is the one beside waggled, or what WAGGLE names.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after } from 'node:test';
import { binary } from './hub.mjs';

export const program = resolve(process.env.WAGGLE ?? join(dirname(binary), 'waggle'));

const running = new Set();
const home = mkdtempSync(join(tmpdir(), 'waggle-home-'));
// What a failed story left running would keep its file from ending.
after(() => {
  for (const child of running) child.kill('SIGKILL');
});
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(home, { recursive: true, force: true });
});

/** Words as a shell would part them, with '…' around what has spaces. */
export const words = (line) => [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);

export class Cli {
  constructor(hub, { key = hub?.adminKey, env = {} } = {}) {
    this.env = { PATH: process.env.PATH, HOME: home, ...(hub && { WAGGLE_URL: hub.url }), ...(key && { WAGGLE_API_KEY: key }), ...env };
  }

  start(args, { input } = {}) {
    const child = spawn(program, typeof args === 'string' ? words(args) : args, { env: this.env, stdio: ['pipe', 'pipe', 'pipe'] });
    running.add(child);
    const run = { child, out: '', err: '', get lines() { return run.out.split('\n').filter(Boolean); } };
    child.stdout.setEncoding('utf8').on('data', (text) => (run.out += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (run.err += text));
    child.stdin.on('error', () => {}); // it may end before it has read everything
    child.stdin.end(input ?? '');
    run.end = once(child, 'close').then(([code, signal]) => {
      running.delete(child);
      return { code, signal, out: run.out, err: run.err, lines: run.lines, get json() { return JSON.parse(run.out); } };
    });
    return run;
  }

  run(args, options) {
    return this.start(args, options).end;
  }

  /** Runs to a good end and gives what it printed as JSON. */
  async ask(line, options) {
    const end = await this.run([...words(line), '-o', 'json'], options);
    assert.equal(end.code, 0, `waggle ${line}: ${end.err}`);
    return end.json;
  }
}
