// tests/fault/lib.mjs: what the stories of faults share: the preloaded library, programs that judge
// what a hub left on disk, a data folder that holds something of everything.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { binary, startHub } from '../wire/lib/hub.mjs';
import { numbers } from '../wire/lib/story.mjs';

export const programs = join(dirname(binary), 'tests');
const ERRNO = { EIO: 5, ENOSPC: 28 };
const CONTROL_BYTES = 32; // struct fault_control of wiretap.h

/** A folder in memory, where there is one, that is gone when `use` is done: no run waits for a disk. */
export async function withFolder(use) {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'waggle-fault-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a program of this folder to its end. */
export async function run(name, args, { where = programs, env = {} } = {}) {
  const child = spawn(join(where, name), args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes) => (stdout += bytes));
  child.stderr.on('data', (bytes) => (stderr = (stderr + bytes).slice(-20_000)));
  const [code, signal] = await once(child, 'close');
  return { code, signal, stdout, stderr };
}

export const seedOf = (t) => {
  const seed = process.env.WAGGLE_SEED ?? String(Math.floor(Math.random() * 2 ** 31) + 1);
  t.diagnostic(`WAGGLE_SEED=${seed}`);
  return seed;
};

/** The preloaded library's switchboard, in a file that it maps. */
export class Faults {
  constructor(folder) {
    this.folder = folder;
    this.path = join(folder, 'control');
    this.fd = openSync(this.path, 'w+');
    ftruncateSync(this.fd, CONTROL_BYTES);
  }

  get env() {
    return {
      LD_PRELOAD: join(programs, 'libfault_preload.so'),
      WAGGLE_FAULT_DIR: join(this.folder, 'data'),
      WAGGLE_FAULT_CONTROL: this.path,
    };
  }

  /** The n-th operation from now on fails; stays: writes go on failing until clear(). */
  arm(n, error, { stays = false } = {}) {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(BigInt(this.state().operations + n));
    bytes.writeUInt32LE(ERRNO[error], 8);
    bytes.writeUInt32LE(stays ? 1 : 0, 12);
    writeSync(this.fd, bytes, 0, 16, 8);
  }

  clear() {
    writeSync(this.fd, Buffer.alloc(8), 0, 8, 8);
  }

  state() {
    const bytes = Buffer.alloc(CONTROL_BYTES);
    readSync(this.fd, bytes, 0, CONTROL_BYTES, 0);
    return { operations: Number(bytes.readBigUInt64LE(0)), faults: Number(bytes.readBigUInt64LE(24)) };
  }

  close() {
    closeSync(this.fd);
  }
}

/** All events of a channel by paging through its history. */
export async function readAll(bee, channel) {
  const events = [];
  const [{ epoch }] = await bee.subscribe(channel);
  for (;;) {
    const page = await bee.history(channel, { since: { epoch, offset: events.at(-1)?.offset ?? 0 }, limit: 1000 });
    if (page.events.length === 0) return events;
    events.push(...page.events);
  }
}

/** A hub with something of everything on its disk: blocks, a journal that was trimmed, long and keyed
 * events, agents, a namespace, kept answers. The folder stays, stopped. */
export async function furnish(folder, { rounds = 40 } = {}) {
  const hub = await startHub({
    dir: folder,
    config: { store: { journal_records: 1024 }, 'namespace long': { history_events: 100_000 } },
  });
  const bee = await hub.connect();
  for (const round of numbers(rounds)) {
    const sent = numbers(60).map((i) => {
      const channel = ['orders', 'orders.eu', 'swarm-log', 'long.tail'][i % 4];
      const data = { round, i, pad: 'x'.repeat(i === 59 ? 9000 : (i * 7) % 180) };
      const keyed = i % 3 === 0 ? { key: `k-${round}-${i}` } : {};
      return bee.request({ type: 'publish', channel, event: 'made', data, ...keyed });
    });
    await Promise.all(sent);
  }
  for (const i of numbers(20)) {
    const { status } = await hub.post('/agents/register', {
      agent_id: `worker-${i}`, agent_type: 'worker', endpoint: `http://127.0.0.1:${9000 + i}`,
      capabilities: ['dig', `skill-${i}`], metadata: { note: 'n'.repeat(i * 150) },
    }, { headers: { 'idempotency-key': `register-${i}` } });
    assert.ok(status < 300, `registering answered ${status}`);
  }
  await hub.stop();
}
