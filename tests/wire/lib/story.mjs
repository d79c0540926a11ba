// tests/wire/lib/story.mjs: what every story begins with.

import assert from 'node:assert/strict';
import test from 'node:test';
import { open, patient } from './hub.mjs';
import { HubError } from './native.mjs';

export const LONG = process.env.WAGGLE_LONG === '1';

/** A test with a deadline of its own; its name is a claim. A hub that it started and did not stop,
 * because it failed, ends with it. */
export function story(claim, fn, options = {}) {
  const { timeout = 60_000, ...more } = options;
  test(claim, { timeout: patient(timeout), ...more }, async (t) => {
    const others = new Set(open);
    try {
      await fn(t);
    } finally {
      for (const hub of open) if (!others.has(hub)) await hub.abandon();
    }
  });
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
