// The command line against a hub that misbehaves on purpose: connections that break at the worst moment,
// answers that never come, positions that must be kept. The hub here is a small one made of node's own
// modules, so that every such moment can be chosen. The last stories run against the real hub.
//
// The program is the one beside the hub that WAGGLED names, or what WAGGLE names.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { program } from './lib/cli.mjs';
import { binary } from './lib/hub.mjs';

const home = mkdtempSync(join(tmpdir(), 'waggle-cli-'));
const running = new Set();

after(() => rmSync(home, { recursive: true, force: true }));
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const story = (claim, fn, options = {}) => test(claim, { timeout: 180_000, ...options }, fn);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const numbers = (n, from = 1) => Array.from({ length: n }, (_, i) => from + i);

async function until(probe, what, timeout = 60_000) {
  const deadline = Date.now() + timeout;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeout} ms for ${what}`);
    await sleep(10);
  }
}

let files = 0;
function file(text, mode = 0o600) {
  const path = join(home, `file-${++files}`);
  writeFileSync(path, text, { mode });
  return path;
}

// --- the program -----------------------------------------------------------------------------------

/** A running waggle: its output so far, and its end. */
function start(args, { url, input, env = {} } = {}) {
  const clean = { PATH: process.env.PATH, HOME: home, ...(url && { WAGGLE_URL: url }), ...env };
  const child = spawn(program, args, { env: clean, stdio: ['pipe', 'pipe', 'pipe'] });
  running.add(child);
  const run = { child, out: '', err: '', get lines() { return run.out.split('\n').filter(Boolean); } };
  child.stdout.setEncoding('utf8').on('data', (text) => (run.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (run.err += text));
  child.stdin.on('error', () => {}); // it may end before it has read everything
  if (input !== 'open') child.stdin.end(input ?? '');
  run.end = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    return { code, signal, out: run.out, err: run.err, lines: run.lines };
  });
  return run;
}

const waggle = (args, options) => start(args, options).end;

// --- a small hub -----------------------------------------------------------------------------------

const EPOCH = 'e1';

class StubHub {
  connections = new Set();
  opened = 0;
  channels = new Map();
  frames = []; // every frame a client sent
  requests = []; // every plain request
  secret = null; // what Authorization must carry
  routes = new Map(); // 'GET /path' → (request) => [status, body]
  onFrame = null; // (connection, frame) => true when it has dealt with the frame
  onUpgrade = null; // (request, socket) => true when it has dealt with the upgrade

  async start(port = 0) {
    this.server = createServer((request, response) => this.#plain(request, response));
    this.server.on('upgrade', (request, socket) => this.#upgrade(request, socket));
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  async stop() {
    for (const connection of this.connections) connection.socket.destroy();
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  channel(name) {
    if (!this.channels.has(name)) this.channels.set(name, { epoch: EPOCH, log: [], keys: new Map() });
    return this.channels.get(name);
  }

  publish(name, { event = 'message', data = null, key } = {}) {
    const channel = this.channel(name);
    if (key !== undefined && channel.keys.has(key)) return channel.keys.get(key);
    const offset = channel.log.length + 1;
    if (key !== undefined) channel.keys.set(key, offset);
    const frame = { type: 'event', channel: name, event, data, offset, time: new Date().toISOString() };
    channel.log.push(frame);
    for (const connection of this.connections) if (connection.subscribed.has(name)) connection.send(frame);
    return offset;
  }

  dropAll() {
    for (const connection of this.connections) connection.socket.destroy();
  }

  async #plain(request, response) {
    let body = '';
    for await (const part of request) body += part;
    const seen = { method: request.method, path: request.url, headers: request.headers, body: body && JSON.parse(body) };
    this.requests.push(seen);
    const route = this.routes.get(`${request.method} ${request.url.split('?')[0]}`);
    const published = /^\/api\/v1\/channels\/([^/]+)\/events$/.exec(request.url);
    let answer = [404, { status: 404, title: 'Not Found', detail: 'there is nothing here' }];
    if (route) {
      answer = await route(seen);
    } else if (published && request.method === 'POST') {
      const name = decodeURIComponent(published[1]);
      const channel = this.channel(name);
      const { expect } = seen.body;
      answer = expect !== undefined && expect !== channel.log.length
        ? [409, { status: 409, title: 'Conflict', detail: `the channel stands at ${channel.log.length}` }]
        : [201, { channel: name, offset: this.publish(name, seen.body), epoch: EPOCH }];
    }
    if (!answer) return; // no answer at all
    response.writeHead(answer[0], { 'content-type': 'application/json' });
    response.end(typeof answer[1] === 'string' ? answer[1] : JSON.stringify(answer[1]));
  }

  #upgrade(request, socket) {
    this.opened++;
    socket.on('error', () => {});
    if (this.onUpgrade?.(request, socket)) return;
    if (this.secret && request.headers.authorization !== `Bearer ${this.secret}`) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    assert.equal(request.url, '/ws/v1/events');
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
    const welcome = { type: 'welcome', connection: `c${this.opened}`, hub: 'stub', version: '0', time: new Date().toISOString(), limits: {}, heartbeat_s: this.heartbeat ?? 25 };
    // Head and first frame in one segment, as a fast hub sends them.
    socket.write(Buffer.concat([
      Buffer.from(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`),
      encode(1, JSON.stringify(welcome)),
    ]));
    this.connections.add(new StubConnection(this, socket));
  }
}

function encode(opcode, payload) {
  const bytes = Buffer.from(payload);
  const head = bytes.length < 126 ? Buffer.from([0x80 | opcode, bytes.length])
    : bytes.length < 65536 ? Buffer.from([0x80 | opcode, 126, bytes.length >> 8, bytes.length & 255])
      : Buffer.concat([Buffer.from([0x80 | opcode, 127, 0, 0, 0, 0]), (() => { const n = Buffer.alloc(4); n.writeUInt32BE(bytes.length); return n; })()]);
  return Buffer.concat([head, bytes]);
}

class StubConnection {
  subscribed = new Set();
  closed = false;

  constructor(hub, socket) {
    Object.assign(this, { hub, socket, bytes: Buffer.alloc(0), number: hub.opened });
    socket.on('data', (bytes) => {
      this.bytes = Buffer.concat([this.bytes, bytes]);
      while (this.#take());
    });
    socket.on('close', () => {
      this.closed = true;
      hub.connections.delete(this);
    });
  }

  send(frame) {
    if (!this.closed) this.socket.write(encode(1, typeof frame === 'string' ? frame : JSON.stringify(frame)));
  }

  close(code, reason = '') {
    this.socket.write(encode(8, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)])));
    this.socket.end();
  }

  #take() {
    const b = this.bytes;
    if (b.length < 2 || this.closed) return false;
    assert.ok(b[1] & 0x80, 'a client masks its frames');
    let length = b[1] & 127;
    let at = 2;
    if (length === 126) { if (b.length < 4) return false; length = b.readUInt16BE(2); at = 4; }
    else if (length === 127) { if (b.length < 10) return false; length = Number(b.readBigUInt64BE(2)); at = 10; }
    if (b.length < at + 4 + length) return false;
    const mask = b.subarray(at, at + 4);
    const payload = Buffer.from(b.subarray(at + 4, at + 4 + length)).map((byte, i) => byte ^ mask[i & 3]);
    this.bytes = b.subarray(at + 4 + length);
    const opcode = b[0] & 15;
    if (opcode === 8) this.closeCode = payload.readUInt16BE(0);
    if (opcode === 10) this.pongs = (this.pongs ?? 0) + 1;
    if (opcode === 1) this.#frame(JSON.parse(payload.toString()));
    return true;
  }

  #frame(frame) {
    this.hub.frames.push(frame);
    if (this.hub.onFrame?.(this, frame)) return;
    if (frame.type === 'subscribe') this.#subscribe(frame);
    if (frame.type === 'publish') {
      this.send({ type: 'published', id: frame.id, channel: frame.channel, offset: this.hub.publish(frame.channel, frame), epoch: EPOCH });
    }
    if (frame.type === 'call') this.send({ type: 'result', id: frame.id, result: {} });
  }

  #subscribe({ id, channels }) {
    const asked = channels.map((one) => (typeof one === 'string' ? { channel: one } : one));
    const answer = asked.map(({ channel }) => ({ channel, epoch: this.hub.channel(channel).epoch, offset: this.hub.channel(channel).log.length, recovered: true }));
    this.send({ type: 'subscribed', id, channels: answer });
    for (const { channel, since, rewind } of asked) {
      const { log, epoch } = this.hub.channel(channel);
      const same = since && (since.epoch === undefined || since.epoch === epoch);
      const from = same ? since.offset : rewind ? Math.max(0, log.length - rewind) : log.length;
      for (const event of log.slice(from)) this.send(event);
      this.subscribed.add(channel);
    }
  }
}

/** The connection that listens to a channel, if it is the nth or a later one. */
const listening = (hub, channel, nth = 1) =>
  until(() => [...hub.connections].find((one) => one.number >= nth && one.subscribed.has(channel)), `a subscription to ${channel}`, 20_000);

/** Runs fn with a hub of its own. */
function withHub(claim, fn, options) {
  story(claim, async () => {
    const hub = await new StubHub().start();
    try {
      await fn(hub);
    } finally {
      await hub.stop();
    }
  }, options);
}

// --- exit codes ------------------------------------------------------------------------------------

for (const [args, says] of [
  [['agnet'], /did you mean agent\?/],
  [['agent', 'lst'], /did you mean ls\?/],
  [['publish'], /CHANNEL is missing/],
  [['publish', 'a', '{}', 'b'], /unexpected "b"/],
  [['publish', 'a', '{"x":}'], /not well-formed JSON at byte/],
  [['publish', 'a b', '1'], /no name of a channel/],
  [['publish', 'a', '1', '--evnt', 'x'], /did you mean --event\?/],
  [['publish', 'a', '-', '--expect', '1'], /--expect is for one event/],
  [['tail', 'a', '--count', 'many'], /whole number/],
  [['tail', 'a', '--since', 'x', '--rewind', '2'], /exclude each other/],
  [['agent', 'ls', '--status', 'activ'], /did you mean active\?/],
  [['agent', 'run'], /--id ID is missing/],
  [['agent', 'run', '--id', 'a'.repeat(129)], /is no id/],
  [['token', 'mint', '--sub', 'x', '--role', 'king'], /is one of admin, operator, agent, viewer/],
  [['health', '--key-file', 'a', '--token-file', 'b'], /exclude each other/],
  [['health', '--key-file', '/nowhere/key'], /cannot read the credentials/],
  [['health', '--url', 'ftp://x'], /no URL of a hub/],
  [['health', '--url', 'http://name:secret@x'], /no URL of a hub/],
]) {
  story(`waggle ${args.join(' ')} ends with 2 and says what is wrong`, async () => {
    const { code, out, err } = await waggle(args);
    assert.match(err, says);
    assert.equal(code, 2);
    assert.equal(out, '');
  });
}

withHub('each class of refusal has its exit code, over REST', async (hub) => {
  for (const [status, code] of [[400, 2], [401, 5], [403, 5], [404, 3], [408, 6], [409, 4], [422, 2], [429, 1], [500, 1], [503, 7]]) {
    hub.routes.set('GET /api/v1/agents/bee', () => [status, { title: 'x', status, detail: `because ${status}` }]);
    const end = await waggle(['agent', 'show', 'bee'], { url: hub.url });
    assert.equal(end.code, code, `the code for ${status}`);
    assert.match(end.err, new RegExp(`because ${status}`));
    assert.equal(end.out, '');
  }
});

withHub('what the hub advises stands below its refusal, on stderr', async (hub) => {
  const refuse = (status, advice) => hub.routes.set('GET /api/v1/agents/bee', () => [status, { title: 'x', status, detail: 'Invalid priority: x', ...(advice && { advice }) }]);
  for (const [status, advice] of [[400, 'Use critical, high, normal or low.'], [404, 'Check the name.'], [503, 'Come back as Retry-After says.']]) {
    refuse(status, advice);
    for (const form of ['table', 'yaml', 'id']) {
      const { out, err } = await waggle(['agent', 'show', 'bee', '-o', form], { url: hub.url });
      assert.equal(err, `waggle: Invalid priority: x (${status})\n${advice}\n`);
      assert.equal(out, '');
    }
  }
  refuse(400, null);
  assert.equal((await waggle(['agent', 'show', 'bee'], { url: hub.url })).err, 'waggle: Invalid priority: x (400)\n');
  refuse(401, 'Send a valid API key or token.');
  assert.doesNotMatch((await waggle(['agent', 'show', 'bee'], { url: hub.url })).err, /Send a valid/, 'which credentials were sent is said instead');
});

withHub('a refusal under -o json is the hub\'s own JSON, on stderr', async (hub) => {
  const { code, out, err } = await waggle(['agent', 'show', 'bee', '-o', 'json'], { url: hub.url });
  assert.equal(code, 3);
  assert.equal(out, '');
  assert.equal(JSON.parse(err).detail, 'there is nothing here');
});

withHub('a 422 names the fields', async (hub) => {
  hub.routes.set('POST /api/v1/agents/discover', () => [422, { title: 'x', status: 422, detail: [{ loc: ['body', 'limit'], msg: 'too many', type: 'x' }] }]);
  const { code, err } = await waggle(['agent', 'discover', '--limit', '5000'], { url: hub.url });
  assert.equal(code, 2);
  assert.match(err, /body\.limit: too many/);
});

story('nobody at the address is 7, for requests and for connections', async () => {
  const hub = await new StubHub().start();
  const { url } = hub;
  await hub.stop();
  for (const args of [['health'], ['publish', 'a', '1'], ['tail', 'a'], ['publish', 'a', '1', '--count', '2']]) {
    const { code, err } = await waggle(args, { url });
    assert.equal(code, 7, args.join(' '));
    assert.ok(err.includes(url), err);
  }
});

withHub('no answer in time is 6', async (hub) => {
  hub.routes.set('GET /health', () => null);
  hub.onFrame = (_, frame) => frame.type === 'publish';
  assert.equal((await waggle(['health', '--timeout', '200ms'], { url: hub.url })).code, 6);
  assert.equal((await waggle(['publish', 'a', '1', '--count', '2', '--timeout', '200ms'], { url: hub.url })).code, 6);
});

withHub('something that is no hub is told apart', async (hub) => {
  hub.routes.set('GET /api/v1/agents', () => [200, '<html>']);
  const list = await waggle(['agent', 'ls'], { url: hub.url });
  assert.equal(list.code, 1);
  assert.match(list.err, /is this a Waggle hub\?/);
  hub.onUpgrade = (_, socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
  assert.equal((await waggle(['tail', 'a'], { url: hub.url })).code, 3);
  hub.onUpgrade = (_, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n');
  const wrong = await waggle(['tail', 'a'], { url: hub.url });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /handshake/);
});

// --- credentials and contexts ----------------------------------------------------------------------

withHub('keys and tokens travel in their headers and never on the command line', async (hub) => {
  hub.routes.set('GET /api/v1/agents', () => [200, { agents: [] }]);
  const seen = () => hub.requests.at(-1).headers;
  await waggle(['agent', 'ls', '--key-file', file('k1\n')], { url: hub.url });
  assert.equal(seen()['x-api-key'], 'k1');
  await waggle(['agent', 'ls'], { url: hub.url, env: { WAGGLE_API_KEY: 'k2' } });
  assert.equal(seen()['x-api-key'], 'k2');
  await waggle(['agent', 'ls'], { url: hub.url, env: { WAGGLE_API_KEY_FILE: file('k3') } });
  assert.equal(seen()['x-api-key'], 'k3');
  await waggle(['agent', 'ls', '--token-file', file('t1')], { url: hub.url, env: { WAGGLE_API_KEY: 'k2' } });
  assert.equal(seen().authorization, 'Bearer t1');
  assert.equal(seen()['x-api-key'], undefined, 'a flag is stronger than the environment');
  await waggle(['agent', 'ls'], { url: hub.url, env: { WAGGLE_TOKEN: 't2', WAGGLE_API_KEY: 'k2' } });
  assert.equal(seen().authorization, 'Bearer t2');
  const broken = await waggle(['agent', 'ls', '--key-file', file('k\r\nX-Evil: 1')], { url: hub.url });
  assert.equal(broken.code, 2, 'a secret that would end its header line is none');
});

withHub('a context remembers where and who, and keeps its credentials to itself', async (hub) => {
  const env = { XDG_CONFIG_HOME: join(home, 'xdg') };
  const config = join(home, 'xdg', 'waggle', 'config');
  const other = await new StubHub().start();
  hub.routes.set('GET /api/v1/agents', () => [200, { agents: [] }]);
  other.routes.set('GET /api/v1/agents', () => [200, { agents: [] }]);
  try {
    const key = file('context-key');
    assert.equal((await waggle(['context', 'add', 'one', '--url', hub.url, '--key-file', key, '--app', 'main'], { env })).code, 0);
    assert.equal((await waggle(['context', 'add', 'two', '--url', other.url], { env })).code, 0);
    assert.equal((await waggle(['context', 'add', 'two'], { env })).code, 4);
    assert.equal(statSync(config).mode & 0o777, 0o600);
    assert.ok(!readFileSync(config, 'utf8').includes('context-key'), 'the secret stays in its file');
    assert.deepEqual((await waggle(['context', 'ls', '-o', 'id'], { env })).lines, ['one', 'two']);

    await waggle(['agent', 'ls'], { env });
    assert.equal(hub.requests.at(-1).headers['x-api-key'], 'context-key', 'the first is the current one');
    await waggle(['agent', 'ls', '--url', other.url], { env });
    assert.equal(other.requests.at(-1).headers['x-api-key'], undefined, 'a key goes to its own hub only');

    assert.equal((await waggle(['context', 'use', 'two'], { env })).code, 0);
    assert.equal((await waggle(['context', 'use', 'thre'], { env })).code, 3);
    const before = other.requests.length;
    await waggle(['agent', 'ls'], { env });
    assert.equal(other.requests.length, before + 1);
    await waggle(['agent', 'ls', '--context', 'one'], { env: { ...env, WAGGLE_API_KEY: 'from-the-environment' } });
    assert.equal(hub.requests.at(-1).headers['x-api-key'], 'context-key', 'asked for by name, it is stronger than the environment');
    assert.equal((await waggle(['context', 'previous'], { env })).code, 0);
    const marks = JSON.parse((await waggle(['context', 'ls', '-o', 'json'], { env })).out);
    assert.deepEqual(marks.map(({ name, mark }) => [name, mark]), [['one', 'current'], ['two', 'previous']]);
    assert.equal((await waggle(['context', 'rm', 'one', '--dry-run'], { env })).out, 'one\n');
    assert.deepEqual((await waggle(['context', 'ls', '-o', 'id'], { env })).lines, ['one', 'two']);
    assert.equal((await waggle(['context', 'rm', 'one', '--yes'], { env })).code, 0);
    assert.deepEqual((await waggle(['context', 'ls', '-o', 'id'], { env })).lines, ['two']);
  } finally {
    await other.stop();
  }
});

// --- publish ---------------------------------------------------------------------------------------

withHub('one event is one POST with what was asked for', async (hub) => {
  const end = await waggle(['publish', 'orders@eu', '{"n":1.10}', '--event', 'made', '-k', 'k1', '--ttl', '1.5', '--expect', '0', '-H', 'a=b=c'], { url: hub.url });
  assert.equal(end.code, 0, end.err);
  assert.equal(end.out, 'orders@eu#1\n');
  const { path, body } = hub.requests.at(-1);
  assert.equal(path, '/api/v1/channels/orders%40eu/events');
  assert.deepEqual(body, { event: 'made', data: { n: 1.1 }, key: 'k1', ttl: 2, expect: 0, headers: { a: 'b=c' } });
  assert.equal((await waggle(['publish', 'orders@eu', '1', '--expect', '7'], { url: hub.url })).code, 4);
  assert.equal((await waggle(['publish', 'orders@eu', '-5', '-o', 'id'], { url: hub.url })).out, '2\n');
  await waggle(['publish', 'orders@eu', 'say "hi"\n', '--text'], { url: hub.url });
  assert.equal(hub.requests.at(-1).body.data, 'say "hi"\n');
});

withHub('lines are pipelined over one connection and acknowledged in order', async (hub) => {
  let waiting = [];
  let most = 0;
  hub.onFrame = (connection, frame) => {
    if (frame.type !== 'publish') return false;
    waiting.push(frame);
    most = Math.max(most, waiting.length);
    if (waiting.length === 1) {
      setTimeout(() => {
        const now = waiting;
        waiting = [];
        for (const one of now) connection.send({ type: 'published', id: one.id, channel: one.channel, offset: hub.publish(one.channel, one), epoch: EPOCH });
      }, 5);
    }
    return true;
  };
  const input = numbers(5000).map((n) => `{"n":${n}}\n`).join('\n'); // blank lines between
  const end = await waggle(['publish', 'c', '-', '-o', 'id'], { url: hub.url, input });
  assert.equal(end.code, 0, end.err);
  assert.deepEqual(end.lines.map(Number), numbers(5000));
  assert.deepEqual(hub.channel('c').log.map((event) => event.data.n), numbers(5000));
  assert.equal(hub.opened, 1);
  assert.ok(most > 10 && most <= 1024, `${most} on their way at once`);
});

withHub('a stream goes through broken connections: each event once, in order', async (hub) => {
  let publishes = 0;
  hub.onFrame = (connection, frame) => {
    if (frame.type !== 'publish') return false;
    if (connection.socket.destroyed) return true; // what came behind is lost too
    publishes++;
    if ([100, 101, 700, 1400].includes(publishes)) {
      if (publishes !== 101) hub.publish(frame.channel, frame); // on disk, but the answer is lost
      connection.socket.destroy();
      return true;
    }
    return false;
  };
  const end = await waggle(['publish', 'c', '--ndjson', '-o', 'id'], { url: hub.url, input: numbers(2000).join('\n') });
  assert.equal(end.code, 0, end.err);
  assert.deepEqual(hub.channel('c').log.map((event) => event.data), numbers(2000));
  assert.deepEqual(end.lines.map(Number), numbers(2000));
  assert.ok(hub.opened >= 4, `${hub.opened} connections`);
});

withHub('a stream with a key can be repeated whole', async (hub) => {
  const args = ['publish', 'c', '-', '-k', 'job-7', '-o', 'id'];
  const first = await waggle(args, { url: hub.url, input: '1\n2\n3' });
  const again = await waggle(args, { url: hub.url, input: '1\n2\n3' });
  assert.deepEqual(again.lines, first.lines);
  assert.equal(hub.channel('c').log.length, 3);
});

withHub('--count publishes the same again and again', async (hub) => {
  const end = await waggle(['publish', 'c', '{"x":1}', '--count', '1500'], { url: hub.url });
  assert.equal(end.code, 0, end.err);
  assert.equal(end.lines.at(-1), 'c#1500');
  assert.equal(hub.channel('c').log.length, 1500);
});

withHub('the line at fault is named and ends the stream; what went before is acknowledged', async (hub) => {
  const end = await waggle(['publish', 'c', '-'], { url: hub.url, input: '1\n2\n{bad\n4\n' });
  assert.equal(end.code, 2);
  assert.match(end.err, /line 3: the data is not well-formed JSON/);
  assert.deepEqual(end.lines, ['c#1', 'c#2']);

  hub.onFrame = (connection, frame) => frame.data === 5 && (connection.send({ type: 'error', id: frame.id, code: 'forbidden', status: 403, message: 'not you' }), true);
  const refused = await waggle(['publish', 'd', '-'], { url: hub.url, input: '4\n5\n' });
  assert.equal(refused.code, 5);
  assert.match(refused.err, /line 2: .*not you \(forbidden\)/);
  assert.deepEqual(refused.lines, ['d#1']);
});

withHub('a line is published when it comes, not when the input ends', async (hub) => {
  const run = start(['publish', 'c', '-'], { url: hub.url, input: 'open' });
  run.child.stdin.write('1\n');
  await until(() => run.out === 'c#1\n', 'the acknowledgement');
  run.child.stdin.end('2');
  assert.equal((await run.end).out, 'c#1\nc#2\n');
});

// --- tail ------------------------------------------------------------------------------------------

const offsets = (run) => run.lines.map((line) => JSON.parse(line).offset);

withHub('events are printed as a line each, and as they came with -o json', async (hub) => {
  hub.publish('c', { event: 'made', data: { who: 'Žofie 🐝' } });
  const human = await waggle(['tail', 'c', '--since', '0', '-n', '1'], { url: hub.url });
  assert.match(human.out, /^\d{4}-\d\d-\d\dT[\d:.]+Z c#1 made \{"who":"Žofie 🐝"\}\n$/);
  const exact = '{"type":"event","channel":"c","event":"x","data":{"big":12345678901234567890,"price":0.10},"offset":2}';
  hub.onFrame = (connection, frame) => frame.type === 'subscribe' && (connection.send(exact), true);
  assert.equal((await waggle(['tail', 'c', '-n', '1', '-o', 'json'], { url: hub.url })).out, `${exact}\n`);
  assert.match((await waggle(['tail', 'c', '-n', '1'], { url: hub.url })).out, /"big":12345678901234567890,"price":0\.10/);
});

withHub('what others wrote does not steer the terminal', async (hub) => {
  hub.publish('c', { event: '\u001b[2Jclear', data: '\u009b31mred\u007f' });
  const { out } = await waggle(['tail', 'c', '--since', '0', '-n', '1'], { url: hub.url });
  assert.doesNotMatch(out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

withHub('--since, --rewind, --count and --until-idle say where to begin and end', async (hub) => {
  for (const n of numbers(10)) hub.publish('c', { data: n });
  assert.deepEqual(offsets(await waggle(['tail', 'c', '--since', '7', '--until-idle', '0.3', '-o', 'json'], { url: hub.url })), [8, 9, 10]);
  assert.deepEqual(offsets(await waggle(['tail', 'c', '--since', `${EPOCH}:8`, '-n', '2', '-o', 'json'], { url: hub.url })), [9, 10]);
  assert.deepEqual(hub.frames.at(-1).channels, [{ channel: 'c', since: { epoch: EPOCH, offset: 8 } }]);
  assert.deepEqual(offsets(await waggle(['tail', 'c', '--rewind', '3', '--until-idle', '0.3', '-o', 'json'], { url: hub.url })), [8, 9, 10]);
  const quiet = await waggle(['tail', 'c', '--until-idle', '0.2'], { url: hub.url });
  assert.equal(quiet.code, 0);
  assert.equal(quiet.out, '');
});

withHub('a broken connection costs no event and repeats none', async (hub) => {
  const run = start(['tail', 'a', 'b', '-n', '400', '-o', 'json'], { url: hub.url });
  await listening(hub, 'b');
  for (const n of numbers(200)) {
    hub.publish('a', { data: n });
    hub.publish('b', { data: n });
    if (n % 50 === 0) hub.dropAll(); // what follows is published while nobody listens
    if (n % 10 === 0) await sleep(5);
  }
  const end = await run.end;
  assert.equal(end.code, 0, end.err);
  const got = end.lines.map((line) => JSON.parse(line));
  for (const channel of ['a', 'b']) {
    assert.deepEqual(got.filter((event) => event.channel === channel).map((event) => event.offset), numbers(200));
  }
  assert.ok(hub.opened > 1);
  assert.match(end.err, /again in [\d.]+ s/);
  const again = hub.frames.filter((frame) => frame.type === 'subscribe').at(-1);
  for (const one of again.channels) assert.equal(one.since.epoch, EPOCH);
});

story('a hub that is away is told of once, not at each attempt, and its return too', async () => {
  const first = await new StubHub().start();
  const { port, url } = first;
  const run = start(['tail', 'c', '-n', '1'], { url });
  await listening(first, 'c');
  first.dropAll();
  await first.stop();
  await until(() => /refused/.test(run.err), 'the first attempt');
  await sleep(1500); // room for some more
  const second = await new StubHub().start(port);
  try {
    await until(() => /connected again/.test(run.err), 'the return');
    second.publish('c', { data: 1 });
    assert.equal((await run.end).code, 0);
    assert.equal(run.err.match(/Connection refused; again in/g).length, 1, run.err);
  } finally {
    await second.stop();
  }
});

withHub('a position holds even when nothing was seen before the connection broke', async (hub) => {
  for (const n of numbers(5)) hub.publish('c', { data: n });
  const run = start(['tail', 'c', '-n', '2', '-o', 'json'], { url: hub.url });
  await listening(hub, 'c');
  await sleep(50); // until `subscribed` has been read; nothing tells
  hub.dropAll();
  hub.publish('c', { data: 6 });
  hub.publish('c', { data: 7 });
  assert.deepEqual(offsets(await run.end), [6, 7]);
});

withHub('a rewind that was cut short goes on where it stopped', async (hub) => {
  for (const n of numbers(10)) hub.publish('c', { data: n });
  let first = true;
  hub.onFrame = (connection, frame) => {
    if (!first || frame.type !== 'subscribe') return false;
    first = false;
    connection.send({ type: 'subscribed', id: frame.id, channels: [{ channel: 'c', epoch: EPOCH, offset: 10, recovered: true }] });
    connection.send(hub.channel('c').log[4]);
    connection.send(hub.channel('c').log[5]);
    setTimeout(() => connection.socket.destroy(), 50);
    return true;
  };
  assert.deepEqual(offsets(await waggle(['tail', 'c', '--rewind', '6', '-n', '6', '-o', 'json'], { url: hub.url })), [5, 6, 7, 8, 9, 10]);
});

withHub('a position past the end of the log begins again, says so, and is not gone back to', async (hub) => {
  for (const n of numbers(3)) hub.publish('c', { data: n });
  let first = true;
  hub.onFrame = (connection, frame) => {
    if (!first || frame.type !== 'subscribe') return false;
    first = false;
    connection.send({ type: 'subscribed', id: frame.id, channels: [{ channel: 'c', epoch: EPOCH, offset: 3, recovered: false }] });
    connection.send(hub.channel('c').log[0]);
    connection.send(hub.channel('c').log[1]);
    setTimeout(() => connection.socket.destroy(), 50);
    return true;
  };
  const end = await waggle(['tail', 'c', '--since', '99', '-n', '3', '-o', 'json'], { url: hub.url });
  assert.deepEqual(offsets(end), [1, 2, 3]);
  assert.match(end.err, /^c: the log ends at 3, before 99: all that it has follows$/m);
  assert.deepEqual(hub.frames.at(-1).channels, [{ channel: 'c', since: { epoch: EPOCH, offset: 2 } }]);
});

withHub('another epoch begins again and says so', async (hub) => {
  for (const n of numbers(3)) hub.publish('c', { data: n });
  const run = start(['tail', 'c', '--since', '0', '-n', '5', '-o', 'json'], { url: hub.url });
  await until(() => run.lines.length === 3, 'three events');
  hub.channels.set('c', { epoch: 'e2', log: [], keys: new Map() });
  hub.dropAll();
  await listening(hub, 'c', 2);
  hub.publish('c', { data: 'new' });
  hub.publish('c', { data: 'newer' });
  const end = await run.end;
  assert.deepEqual(offsets(end), [1, 2, 3, 1, 2]);
  assert.match(end.err, /epoch e2/);
});

withHub('goodbye is answered by coming back when the hub said', async (hub) => {
  const run = start(['tail', 'c', '-n', '1', '-o', 'id'], { url: hub.url });
  const connection = await listening(hub, 'c');
  connection.send({ type: 'goodbye', reason: 'drain', reconnect_after_ms: 1500 });
  connection.close(1001, 'drain');
  const at = Date.now();
  hub.publish('c');
  await until(() => hub.opened === 2, 'the second connection');
  assert.ok(Date.now() - at >= 1400, `back after ${Date.now() - at} ms`);
  assert.equal((await run.end).out, 'c#1\n');
});

withHub('a busy hub is asked again after the time it names', async (hub) => {
  const run = start(['tail', 'c', '-n', '1', '-o', 'id'], { url: hub.url });
  await listening(hub, 'c');
  let refusals = 0;
  hub.onUpgrade = (_, socket) => refusals++ < 1 && socket.end('HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n');
  hub.publish('d');
  hub.dropAll();
  await until(() => refusals === 1, 'a refusal');
  const at = Date.now();
  await until(() => hub.connections.size === 1, 'the connection');
  assert.ok(Date.now() - at >= 900, `back after ${Date.now() - at} ms`);
  hub.publish('c');
  assert.equal((await run.end).code, 0);
});

withHub('gaps and presence are told on stderr, events alone on stdout', async (hub) => {
  hub.onFrame = (connection, frame) => {
    if (frame.type !== 'subscribe') return false;
    connection.send({ type: 'subscribed', id: frame.id, channels: [{ channel: 'c', epoch: EPOCH, offset: 60, recovered: false }] });
    connection.send({ type: 'gap', channel: 'c', from: 4, to: 57, reason: 'trimmed', count: 54 });
    connection.send({ type: 'joined', channel: 'c', member: { id: 'bee', info: { n: 1 } }, offset: 3 });
    connection.send({ type: 'event', channel: 'c', event: 'x', data: 1, offset: 58 });
    return true;
  };
  const end = await waggle(['tail', 'c', '--since', '3', '-n', '1', '-o', 'id'], { url: hub.url });
  assert.equal(end.out, 'c#58\n');
  assert.match(end.err, /^gap c 4\.\.57 trimmed$/m);
  assert.match(end.err, /^joined c bee \{"n":1\}$/m);
});

withHub('a refused subscription ends with the hub\'s reason and its exit code', async (hub) => {
  hub.onFrame = (connection, frame) => frame.type === 'subscribe' && (connection.send({ type: 'error', id: 1, code: 'forbidden', status: 403, message: 'no right to it', channel: 'c' }), true);
  const end = await waggle(['tail', 'c'], { url: hub.url });
  assert.equal(end.code, 5);
  assert.match(end.err, /c: no right to it \(forbidden\)/);
});

withHub('bad credentials are 5; a token file with a new token is read again', async (hub) => {
  hub.secret = 'old';
  assert.equal((await waggle(['tail', 'c'], { url: hub.url })).code, 5);
  const path = file('old');
  const run = start(['tail', 'c', '-n', '1', '-o', 'id', '--token-file', path], { url: hub.url });
  const first = await listening(hub, 'c');
  writeFileSync(path, 'new\n');
  hub.secret = 'new';
  first.close(4009, 'expired');
  const second = await listening(hub, 'c', first.number + 1);
  hub.publish('c');
  assert.equal((await run.end).code, 0);

  const last = start(['tail', 'c', '--token-file', path], { url: hub.url });
  (await listening(hub, 'c', second.number + 1)).close(4009, 'revoked');
  assert.equal((await last.end).code, 5, 'the same token again is no use');
});

withHub('a token that expires soon is replaced on the living connection', async (hub) => {
  const path = file('old');
  const run = start(['tail', 'c', '-n', '1', '--token-file', path], { url: hub.url });
  const connection = await listening(hub, 'c');
  writeFileSync(path, 'newer');
  connection.send({ type: 'token_expiring', at: new Date().toISOString() });
  await until(() => hub.frames.some((frame) => frame.type === 'auth' && frame.token === 'newer'), 'the auth frame');
  hub.publish('c');
  await run.end;
  assert.equal(hub.opened, 1);
});

withHub('pings are answered; a hub that falls silent is left', async (hub) => {
  hub.heartbeat = 1;
  const run = start(['tail', 'c', '-n', '1'], { url: hub.url });
  const connection = await listening(hub, 'c');
  connection.socket.write(encode(9, 'p'));
  await until(() => connection.pongs === 1, 'the pong');
  await until(() => hub.opened === 2, 'another connection', 20_000);
  await listening(hub, 'c', 2);
  hub.publish('c');
  assert.equal((await run.end).code, 0);
});

withHub('a reader that goes away ends the tail as a pipe does', async (hub) => {
  const run = start(['tail', 'c', '-o', 'id'], { url: hub.url });
  await listening(hub, 'c');
  run.child.stdout.destroy();
  for (const n of numbers(20)) hub.publish('c', { data: n });
  const { signal } = await run.end;
  assert.equal(signal, 'SIGPIPE');
});

// --- agents ----------------------------------------------------------------------------------------

/** Answers calls as the hub would. */
function actAsRegistry(hub, { interval = 0.15 } = {}) {
  const calls = [];
  hub.onFrame = (connection, frame) => {
    if (frame.type !== 'call') return false;
    calls.push(frame);
    const result = frame.method === 'agents.register' ? { status: 'success', agent_id: frame.params.agent_id, heartbeat_interval: interval, lease_seconds: 30, session: 1 } : { status: 'success' };
    connection.send({ type: 'result', id: frame.id, result });
    return true;
  };
  return { calls, of: (method) => calls.filter((call) => call.method === method) };
}

withHub('an agent registers, beats with the load of the machine, and takes its leave', async (hub) => {
  const { of } = actAsRegistry(hub);
  const run = start(['agent', 'run', '--id', 'bee-1', '--type', 'monitor', '--capability', 'a', '--capability', 'b', '--service', 's', '--tag', 't', '--region', 'eu', '--slots', '3', '--metadata', 'k=v', '--endpoint', 'http=http://x'], { url: hub.url });
  await until(() => of('agents.heartbeat').length >= 3, 'three beats');
  const [{ params }] = of('agents.register');
  assert.equal(params.agent_id, 'bee-1');
  assert.equal(params.agent_type, 'monitor');
  assert.deepEqual([params.capabilities, params.services, params.tags, params.region, params.slots], [['a', 'b'], ['s'], ['t'], 'eu', 3]);
  assert.equal(params.metadata.k, 'v');
  assert.equal(params.metadata.pid, run.child.pid);
  assert.deepEqual(params.endpoints, { http: 'http://x' });
  const { load_metrics: load } = of('agents.heartbeat')[1].params;
  for (const key of ['cpu', 'memory', 'load']) assert.ok(load[key] >= 0 && load[key] <= 1, `${key} ${load[key]}`);
  assert.equal(load.free_slots, 3);
  assert.ok([...hub.connections][0].subscribed.has('agent.bee-1'));
  const [connection] = hub.connections;
  run.child.kill('SIGTERM');
  const end = await run.end;
  assert.equal(end.code, 0, end.err);
  assert.deepEqual(of('agents.status').map(({ params: { reason, ...said } }) => said), [{ agent_id: 'bee-1', status: 'inactive', session: 1 }]);
  assert.equal(of('agents.deregister').length, 0);
  assert.equal(connection.closeCode, 1000);
});

withHub('an agent registers again after a lost connection and misses nothing of its channel', async (hub) => {
  const { of } = actAsRegistry(hub);
  const log = join(home, 'work.log');
  const run = start(['agent', 'run', '--id', 'bee', '--slots', '2', '--leave', '--on-event', `cat >> ${log}; echo "$WAGGLE_EVENT $WAGGLE_OFFSET $WAGGLE_AGENT_ID" >> ${log}.env`], { url: hub.url });
  await listening(hub, 'agent.bee');
  hub.publish('agent.bee', { event: 'task', data: { n: 1 } });
  await until(() => existsSync(log) && readFileSync(log, 'utf8').includes('"n":1'), 'the first work');
  hub.dropAll();
  hub.publish('agent.bee', { event: 'task', data: { n: 2 } });
  await until(() => of('agents.register').length === 2, 'the second registration');
  await until(() => readFileSync(log, 'utf8').split('\n').filter(Boolean).length === 2, 'the second work');
  await sleep(100);
  const done = readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line).data.n);
  assert.deepEqual(done, [1, 2], 'each once');
  assert.deepEqual(readFileSync(`${log}.env`, 'utf8'), 'task 1 bee\ntask 2 bee\n');
  run.child.kill('SIGINT');
  assert.equal((await run.end).code, 0);
  assert.deepEqual(of('agents.deregister').map(({ params }) => params.agent_id), ['bee'], '--leave');
});

withHub('an agent runs as many commands at a time as it has slots, and lets them end when told to stop', async (hub) => {
  const { of } = actAsRegistry(hub);
  const log = join(home, 'slots.log');
  const gate = join(home, 'gate');
  const run = start(['agent', 'run', '--id', 'bee', '--slots', '2', '--on-event', `echo start >> ${log}; while [ ! -e ${gate} ] && kill -0 $PPID; do sleep 0.02; done; echo end >> ${log}`], { url: hub.url });
  await listening(hub, 'agent.bee');
  for (const n of numbers(5)) hub.publish('agent.bee', { event: 'task', data: n });
  await until(() => of('agents.heartbeat').at(-1)?.params.load_metrics.active_tasks === 2, 'two at work');
  assert.equal(of('agents.heartbeat').at(-1).params.load_metrics.free_slots, 0);
  assert.equal(readFileSync(log, 'utf8'), 'start\nstart\n');
  run.child.kill('SIGTERM');
  await until(() => /stopping/.test(run.err), 'the stop');
  assert.equal(of('agents.status').length, 0);
  writeFileSync(gate, '');
  assert.equal((await run.end).code, 0);
  assert.equal(readFileSync(log, 'utf8'), 'start\nstart\nend\nend\n', 'what waited was not begun');
  assert.equal(of('agents.status').length, 1);
});

story('an agent waits for a hub that is not there yet', async () => {
  const probe = await new StubHub().start();
  const { port, url } = probe;
  await probe.stop();
  const run = start(['agent', 'run', '--id', 'early'], { url });
  await until(() => /again in/.test(run.err), 'the first failure');
  const hub = await new StubHub().start(port);
  const { of } = actAsRegistry(hub);
  try {
    await until(() => of('agents.heartbeat').length > 0, 'a beat');
    run.child.kill('SIGTERM');
    assert.equal((await run.end).code, 0);
  } finally {
    await hub.stop();
  }
});

withHub('an agent whose registration is refused ends with the reason', async (hub) => {
  hub.onFrame = (connection, frame) => frame.type === 'call' && (connection.send({ type: 'error', id: frame.id, code: 'invalid', status: 422, message: 'slots are too many' }), true);
  const end = await waggle(['agent', 'run', '--id', 'bee'], { url: hub.url });
  assert.equal(end.code, 2);
  assert.match(end.err, /slots are too many/);
});

withHub('a superseded agent ends with 4', async (hub) => {
  const { of } = actAsRegistry(hub);
  const run = start(['agent', 'run', '--id', 'bee'], { url: hub.url });
  await until(() => of('agents.heartbeat').length > 0, 'a beat');
  [...hub.connections][0].close(4010, 'superseded');
  const end = await run.end;
  assert.equal(end.code, 4, end.err);
  assert.equal(hub.opened, 1, 'it does not fight for the name');
});

const AGENTS = {
  status: 'success', count: 2, agents: [
    { agent_id: 'bee-1', agent_type: 'worker', status: 'active', health_score: 0.97, capabilities: ['a', 'b'], services: [], tags: [], load_metrics: { cpu: 0.25 }, last_heartbeat: '2026-01-01T00:00:00.000Z' },
    { agent_id: 'žluť-🐝', agent_type: 'monitor', status: 'stale', health_score: 0.4, capabilities: [], services: ['s'], tags: [], load_metrics: {}, last_heartbeat: null },
  ],
};

withHub('a list is a table, and every other form that -o names', async (hub) => {
  const text = JSON.stringify(AGENTS);
  hub.routes.set('GET /api/v1/agents', () => [200, text]);
  const of = async (format) => (await waggle(['agent', 'ls', '-o', format], { url: hub.url })).out;
  const [title, first, second] = (await of('table')).split('\n');
  assert.match(title, /^AGENT +TYPE +STATUS +HEALTH +CPU +BEAT +CAPABILITIES$/);
  assert.match(first, /^bee-1 +worker +active +0\.97 +0\.25 +\d+d +a,b$/);
  assert.match(second, /^žluť-🐝 +monitor +stale +0\.4 +- +- +-$/);
  // A bee is one character and two columns.
  assert.equal([...second.slice(0, second.indexOf('monitor'))].length + 1, first.indexOf('worker'));
  assert.equal(await of('json'), `${text}\n`);
  assert.equal(await of('id'), 'bee-1\nžluť-🐝\n');
  assert.deepEqual((await of('ndjson')).trim().split('\n').map((line) => JSON.parse(line)), AGENTS.agents);
  assert.match(await of('yaml'), /^ {2}- agent_id: bee-1$/m);
  assert.match(await of('wide'), /SERVICES/);
});

withHub('filters ask discover', async (hub) => {
  hub.routes.set('POST /api/v1/agents/discover', () => [200, AGENTS]);
  await waggle(['agent', 'ls', '--status', 'active', '--capability', 'a', '--capability', 'b'], { url: hub.url });
  assert.deepEqual(hub.requests.at(-1).body, { status: 'active', capabilities: ['a', 'b'] });
  await waggle(['agent', 'discover', '--min-health', '0.5', '--service', 's', '--limit', '3'], { url: hub.url });
  assert.deepEqual(hub.requests.at(-1).body, { services: ['s'], min_health_score: 0.5, limit: 3 });
});

withHub('--watch shows the list again when something changes', async (hub) => {
  hub.routes.set('GET /api/v1/agents', () => [200, AGENTS]);
  const run = start(['agent', 'ls', '--watch', '-o', 'id'], { url: hub.url });
  await until(() => run.lines.length === 2, 'the first list');
  hub.publish('agents', { event: 'stale', data: {} });
  await until(() => run.lines.length === 4, 'the second', 4_000);
  run.child.kill('SIGTERM');
  await run.end;
});

// --- tokens ----------------------------------------------------------------------------------------

const b64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'key-1', alg: 'EdDSA', use: 'sig' };

function makeToken(claims = {}, header = {}) {
  const now = Math.floor(Date.now() / 1000);
  const text = `${b64({ alg: 'EdDSA', typ: 'JWT', kid: 'key-1', ...header })}.${b64({ sub: 'bee', aud: 'waggle', iat: now, exp: now + 600, jti: 'j1', ...claims })}`;
  return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
}

withHub('a minted token is printed alone, or goes to a file of its owner', async (hub) => {
  hub.routes.set('POST /api/v1/auth/tokens', () => [201, { token: 'a.b.c', expires_at: '2026-11-20T00:00:00Z', jti: 'j1' }]);
  const args = ['token', 'mint', '--sub', 'bee', '--role', 'agent', '--ttl', '12h', '--cap', 'orders.>=subscribe,publish', '--cap', 'a=b=history'];
  const end = await waggle(args, { url: hub.url });
  assert.equal(end.out, 'a.b.c\n');
  assert.deepEqual(hub.requests.at(-1).body, { sub: 'bee', role: 'agent', ttl_s: 43200, cap: { 'orders.>': ['subscribe', 'publish'], 'a=b': ['history'] } });
  const path = join(home, 'minted');
  assert.equal((await waggle([...args, '--out', path], { url: hub.url })).out, '');
  assert.equal(readFileSync(path, 'utf8'), 'a.b.c\n');
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

withHub('a token is read without belief and verified with the hub\'s keys', async (hub) => {
  hub.routes.set('GET /.well-known/jwks.json', () => [200, { keys: [jwk] }]);
  const token = makeToken();
  const shown = await waggle(['token', 'show', '-', '-o', 'json'], { input: `${token}\n` });
  assert.equal(shown.code, 0, shown.err);
  assert.equal(JSON.parse(shown.out).claims.sub, 'bee');
  assert.match(shown.err, /not verified/);
  const typed = await waggle(['token', 'verify', token], { url: hub.url });
  assert.equal(typed.code, 2, 'what is typed can be seen by others');
  assert.ok(!typed.err.includes(token));
  const good = await waggle(['token', 'verify', '-', '-o', 'json'], { url: hub.url, input: token });
  assert.equal(good.code, 0, good.err);
  assert.equal(JSON.parse(good.out).verdict, 'valid');
  const turned = token.slice(0, -3) + (token.at(-3) === 'A' ? 'B' : 'A') + token.slice(-2);
  for (const [bad, why] of [
    [turned, /signature/], [makeToken({ exp: 1000 }), /expired/], [makeToken({ aud: 'else' }), /not meant/],
    [makeToken({}, { kid: 'other' }), /none of the hub's keys/], [makeToken({}, { alg: 'none' }), /algorithm/],
    [makeToken({ nbf: Math.floor(Date.now() / 1000) + 900 }), /not valid yet/], [makeToken({ exp: undefined }), /when it expires/],
  ]) {
    const end = await waggle(['token', 'verify', '-'], { url: hub.url, input: bad });
    assert.equal(end.code, 5);
    assert.match(end.err, why);
  }
  assert.equal((await waggle(['token', 'show', 'rubbish'])).code, 2);
});

withHub('tokens are revoked by id, subject or time', async (hub) => {
  hub.routes.set('POST /api/v1/auth/tokens/revoke', () => [200, { status: 'success' }]);
  for (const [flag, key] of [['--jti', 'jti'], ['--sub', 'sub'], ['--issued-before', 'issued_before']]) {
    assert.equal((await waggle(['token', 'revoke', flag, 'x'], { url: hub.url })).code, 0);
    assert.deepEqual(hub.requests.at(-1).body, { [key]: 'x' });
  }
  assert.equal((await waggle(['token', 'revoke'], { url: hub.url })).code, 2);
});

// --- the rest --------------------------------------------------------------------------------------

withHub('health speaks of both answers and ends with 7 when the hub is not ready', async (hub) => {
  hub.routes.set('GET /health', () => [200, { status: 'healthy' }]);
  hub.routes.set('GET /ready', () => [200, { ready: true }]);
  const good = await waggle(['health', '-o', 'json'], { url: hub.url });
  assert.equal(good.code, 0);
  assert.deepEqual(JSON.parse(good.out), { url: hub.url, health: { status: 'healthy' }, ready: { ready: true } });
  hub.routes.set('GET /ready', () => [503, { ready: false }]);
  assert.equal((await waggle(['health'], { url: hub.url })).code, 7);
});

withHub('channels are listed and shown, with pages', async (hub) => {
  hub.routes.set('GET /api/v1/channels', () => [200, { channels: [{ channel: 'a', offset: 3 }], next_cursor: 'zz' }]);
  const list = await waggle(['channel', 'ls', '--limit', '1', '--prefix', 'a&b'], { url: hub.url });
  assert.match(list.out, /^a +- +3/m);
  assert.match(list.err, /--cursor zz/);
  assert.equal(hub.requests.at(-1).path, '/api/v1/channels?prefix=a%26b&limit=1');
  hub.routes.set('GET /api/v1/channels/a/history', () => [200, { events: [{ offset: 1, event: 'x', data: { big: 1 } }] }]);
  assert.match((await waggle(['channel', 'history', 'a', '-r', '--since', '0'], { url: hub.url })).out, /1 +- +x +\{"big":1\}/);
  assert.equal(hub.requests.at(-1).path, '/api/v1/channels/a/history?since=0&reverse=true');
});

story('a hub behind a unix socket is reached the same way', async () => {
  const hub = await new StubHub().start();
  const path = join(home, 'hub.sock');
  const relay = createTcpServer((socket) => socket.destroy());
  relay.listen(path);
  hub.server.close();
  relay.close();
  await once(relay, 'close');
  hub.server.listen(path);
  await once(hub.server, 'listening');
  try {
    assert.equal((await waggle(['publish', 'c', '1'], { url: `unix://${path}` })).out, 'c#1\n');
    assert.equal((await waggle(['tail', 'c', '--since', '0', '-n', '1', '-o', 'id'], { url: `unix://${path}` })).out, 'c#1\n');
  } finally {
    await hub.stop();
  }
});

story('completion offers commands, options and values with what they mean', async () => {
  const offered = async (...words) => (await waggle(['__complete', '--', ...words])).lines.map((line) => line.split('\t')[0]);
  assert.ok((await offered('')).includes('publish'));
  assert.ok(!(await offered('')).some((word) => word.startsWith('_')));
  assert.deepEqual(await offered('agent', 'd'), ['discover', 'drain']);
  assert.deepEqual(await offered('agent', 'ls', '--st'), ['--status']);
  assert.deepEqual(await offered('agent', 'ls', '--status', 'a'), ['active']);
  assert.deepEqual(await offered('-o', 'js'), ['json']);
  assert.deepEqual(await offered('tail', '--key-file', ''), [':files']);
  for (const shell of ['bash', 'zsh', 'fish']) assert.match((await waggle(['completion', shell])).out, /__complete/);
});

story('every command has a help page that names its options', async () => {
  const words = (await waggle(['help'])).out;
  assert.match(words, /Exit codes/);
  for (const command of ['publish', 'tail', 'agent run', 'agent ls', 'token mint', 'context add', 'channel history']) {
    const { code, out } = await waggle([...command.split(' '), '--help']);
    assert.equal(code, 0);
    assert.match(out, new RegExp(`^Usage: waggle ${command}`, 'm'));
    const pages = out.split(/^Examples?$/m)[0]; // an example is one line, to be copied
    assert.deepEqual(pages.split('\n').filter((line) => [...line].length > 80 && !line.startsWith('Usage')), []);
    assert.equal((await waggle(['help', ...command.split(' ')])).out, out);
  }
});

// --- the real hub ----------------------------------------------------------------------------------

story('the first five minutes work against the real hub', async () => {
  const { startHub } = await import('./lib/hub.mjs');
  const hub = await startHub();
  const env = { WAGGLE_API_KEY: hub.adminKey };
  const run = (args, more = {}) => waggle(args, { url: hub.url, env, ...more });
  try {
    assert.equal((await run(['health'])).code, 0);
    const end = await run(['publish', 'orders', '-', '-o', 'id'], { input: numbers(500).join('\n') });
    assert.deepEqual(end.lines.map(Number), numbers(500), end.err);
    await hub.kill9();
    await hub.restart();
    const seen = await run(['tail', 'orders', '--since', '0', '-n', '500', '-o', 'json']);
    assert.deepEqual(seen.lines.map((line) => JSON.parse(line).data), numbers(500), seen.err);

    const token = join(home, 'real-token');
    assert.equal((await run(['token', 'mint', '--sub', 'bee-1', '--role', 'agent', '--out', token])).code, 0);
    const verified = await run(['token', 'verify', '--token-file', token]);
    assert.equal(verified.code, 0, verified.err);
    assert.equal((await run(['token', 'verify', token])).code, 0, 'the file as it is');
    const agent = start(['agent', 'run', '--id', 'bee-1', '--token-file', token], { url: hub.url });
    await until(() => /beating/.test(agent.err), 'the first beat');
    assert.deepEqual((await run(['agent', 'ls', '-o', 'id'])).lines, ['bee-1']);
    await hub.kill9();
    await hub.restart();
    await until(() => (agent.err.match(/registered, a beat/g) ?? []).length >= 2, 'the second registration');
    agent.child.kill('SIGTERM');
    assert.equal((await agent.end).code, 0, agent.err);
    assert.deepEqual((await run(['agent', 'ls', '--status', 'inactive', '-o', 'id'])).lines, ['bee-1']);
    assert.equal((await run(['agent', 'rm', 'bee-1', '--yes'])).code, 0);
    assert.equal((await run(['agent', 'show', 'bee-1'])).code, 3);
  } finally {
    await hub.stop();
  }
}, { skip: existsSync(binary) ? false : `no ${binary}` });
