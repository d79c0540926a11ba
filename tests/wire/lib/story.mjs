// tests/wire/lib/story.mjs: what every story begins with.

import assert from 'node:assert/strict';
import test from 'node:test';
import { open, patient, sleep } from './hub.mjs';
import { HubError } from './native.mjs';

export const LONG = process.env.WAGGLE_LONG === '1';

const TRIES = 5;
const LOOK_EVERY_MS = 20;

/** A test with a deadline of its own; its name is a claim. A hub that it started and did not stop,
 * because it failed, ends with it.
 *
 *     story('a lease lapses after a second', fn, { stall: 200, on: () => hub })
 *
 * A story in which something must happen in time cannot be told while the machine stands still.
 * With `stall`, one that fails is told again, a few times, if an answer of the hub `on` (or a timer
 * of ours) came more than so many ms late meanwhile; a failure on a machine that ran is a failure. */
export function story(claim, fn, { timeout = 60_000, stall, on, ...options } = {}) {
  test(claim, { timeout: patient(timeout), ...options }, async (t) => {
    for (let tries = 1; ; tries++) {
      const others = new Set(open);
      const watch = stall ? watchStalls(on()) : null;
      try {
        return await fn(t);
      } catch (error) {
        const longest = (await watch?.end()) ?? 0;
        if (!watch || longest <= stall || tries === TRIES) throw error;
        console.log(`# told again, for something took ${Math.round(longest)} ms: ${claim}\n# ${error.message}`);
      } finally {
        await watch?.end();
        for (const hub of open) if (!others.has(hub)) await hub.abandon();
      }
    }
  });
}

/** Asks the hub again and again; end() tells the longest delay in ms. */
function watchStalls(hub) {
  let longest = 0;
  let ended = false;
  const watching = (async () => {
    while (!ended) {
      const asked = performance.now();
      await sleep(LOOK_EVERY_MS);
      await hub.get('/health').catch(() => {}); // a hub that a story has killed
      longest = Math.max(longest, performance.now() - asked - LOOK_EVERY_MS);
    }
  })();
  return {
    async end() {
      ended = true;
      await watching;
      return longest;
    },
  };
}

let made = 0;
/** A name that no other test of this run uses. */
export function fresh(prefix) {
  return `${prefix}-${process.pid.toString(36)}-${++made}`;
}

/** The hub refuses with this code (and status, where given). Returns the error frame. */
export async function refused(promise, code, status) {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    assert.equal(error.code, code, `the code of ${JSON.stringify(error.frame)}`);
    if (status !== undefined) assert.equal(error.status, status);
    assert.equal(error.frame.type, 'error');
    assert.equal(typeof error.frame.message, 'string');
    return error.frame;
  }
  assert.fail(`expected the error ${code}, got an answer`);
}

/** ISO 8601 in UTC, milliseconds or finer, near now. */
export function isTime(text, label = 'time') {
  assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}(Z|\+00:00)$/, label);
  const off = Math.abs(Date.parse(text) - Date.now());
  assert.ok(off < 10 * 60_000, `${label} ${text} is near now`);
}

/** Exactly these keys, in any order. */
export function hasKeys(object, keys, label = 'object') {
  assert.deepEqual(Object.keys(object).sort(), [...keys].sort(), `keys of ${label}`);
}

/** At least these keys. */
export function includesKeys(object, keys, label = 'object') {
  for (const key of keys) assert.ok(key in object, `${label} has ${key}: ${JSON.stringify(object)}`);
}

/** Offsets that follow one another without hole or repetition, from `first` on. */
export function inOrder(events, first) {
  assert.deepEqual(events.map((event) => event.offset), events.map((_, i) => first + i));
}

export const numbers = (n, from = 0) => Array.from({ length: n }, (_, i) => from + i);
