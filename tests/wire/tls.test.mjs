// TLS on the same port: HTTP and WebSocket as without, large answers whole, a plain peer refused.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as https } from 'node:https';
import { connect as tcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import WebSocket from 'ws';
import { startHub, until } from './lib/hub.mjs';
import { fresh, numbers, story } from './lib/story.mjs';

let hub, dir, port;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'waggle-tls-'));
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  hub = await startHub({ args: ['--tls-cert', cert, '--tls-key', key] });
  port = Number(new URL(hub.url).port);
});
after(async () => {
  await hub?.stop();
  if (dir) rmSync(dir, { recursive: true });
});

const get = (path) => new Promise((resolve, reject) => {
  const asked = https({ host: '127.0.0.1', port, path, rejectUnauthorized: false, headers: { 'x-api-key': hub.adminKey } }, (answer) => {
    let text = '';
    answer.on('data', (more) => (text += more));
    answer.on('end', () => resolve({ status: answer.statusCode, text }));
  });
  asked.on('error', reject);
  asked.end();
});

story('the ready line names https, and HTTP answers over it', async () => {
  assert.match(hub.url, /^https:/);
  assert.equal((await get('/health')).status, 200);
  const document = await get('/openapi.json');
  assert.ok(JSON.parse(document.text).openapi.startsWith('3.1'));
});

story('WebSocket over TLS publishes and receives, large events too', async () => {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/ws/v1/events`, { rejectUnauthorized: false, headers: { 'x-api-key': hub.adminKey } });
  const frames = [];
  socket.on('message', (text) => frames.push(JSON.parse(text)));
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  const channel = fresh('tls');
  socket.send(JSON.stringify({ type: 'subscribe', channels: [channel] }));
  const data = 'x'.repeat(50_000);
  for (const id of numbers(100)) socket.send(JSON.stringify({ type: 'publish', id, channel, event: 'x', data }));
  await until(() => frames.filter((frame) => frame.type === 'event').length === 100, { what: 'a hundred large events' });
  assert.ok(frames.filter((frame) => frame.type === 'event').every((frame) => frame.data === data));
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.close();
  await closed;
});

story('a peer that speaks plain HTTP to the TLS port is let go, and the hub goes on', async () => {
  const socket = tcp(port, '127.0.0.1');
  let ended = false;
  socket.on('close', () => (ended = true)).on('error', () => {}).resume();
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => ended, { what: 'the end of the plain connection', timeout: 20_000 });
  assert.equal((await get('/health')).status, 200);
});
