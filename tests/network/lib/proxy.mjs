// tests/network/lib/proxy.mjs: a TCP proxy that is a bad line, where the kernel cannot be asked to
// be one. Its manner may change while connections are open.
//
//   bytes: 1        so many bytes at a time, each in a segment of its own
//   rate: 20_000    bytes a second in each direction
//   swallow: true   takes everything and passes nothing on: a peer that is gone without a word
//   refuse: true    resets whoever comes

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { sleep } from '../../wire/lib/hub.mjs';

export async function badLine(port, manner = {}) {
  const pairs = new Set();
  const server = createServer((near) => {
    if (manner.refuse) {
      near.on('error', () => {});
      near.resetAndDestroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    const pair = [near, far];
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near]]) {
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('close', () => {
        pairs.delete(pair);
        to.destroy();
      });
      pump(from, to, manner);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${server.address().port}/ws/v1/events`,
    http: `http://127.0.0.1:${server.address().port}`,
    manner,
    /** Resets every connection, on both sides. */
    reset() {
      for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    },
    close() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      server.close();
    },
  };
}

async function pump(from, to, manner) {
  try {
    for await (const chunk of from) {
      for (let at = 0; at < chunk.length && !to.destroyed; ) {
        if (manner.swallow) break;
        const n = Math.min(manner.bytes ?? chunk.length, chunk.length - at);
        const taken = to.write(chunk.subarray(at, at + n));
        at += n;
        if (manner.rate) await sleep((n * 1000) / manner.rate);
        else if (manner.bytes) await new Promise(setImmediate); // so that segments are not joined
        if (!taken && !to.destroyed) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
    }
    to.end();
  } catch {
    to.destroy();
  }
}
