// WebSocket from those who mean no good: RFC 6455 from its handshake to its close codes, case by case as
// the Autobahn suite has them. Each case comes all in one segment with the handshake, and byte by byte;
// each fault is answered with its close code as soon as it can be seen, and the hub goes on.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before } from 'node:test';
import { sleep, startHub, until } from './lib/hub.mjs';
import { answersOf, descriptors, exchange, joined, Raw, residentBytes, seeded } from './lib/raw.mjs';
import { LONG, numbers, story } from './lib/story.mjs';

const MESSAGE_BYTES = 128 << 10; // limits.message_bytes
const SEED = Number(process.env.WAGGLE_SEED ?? Date.now() % 1_000_000_007);
const random = seeded(SEED);
const SANITIZED = /asan|tsan/.test(process.env.WAGGLED ?? '');

let hub;
let quiet;
let conversations = 0;
before(async () => {
  hub = await startHub({ config: { limits: { message_bytes: MESSAGE_BYTES, body_bytes: MESSAGE_BYTES }, rates: { address_per_minute: 0 } } });
  await exchange(hub, LAST);
  quiet = descriptors(hub);
});
after(async () => {
  console.log(`${conversations} hostile conversations, seed ${SEED}`);
  await hub?.stop();
});

function survived(claim, fn, options) {
  story(claim, async () => {
    await fn();
    const { close } = await converse(joined(ping('still here')), {});
    assert.equal(close.code, 1000, 'a well-behaved client is served');
    await until(() => descriptors(hub) <= quiet, { what: 'every connection to be gone', timeout: 10_000 });
  }, options);
}

// --- frames --------------------------------------------------------------------------------------

const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];

/** A frame as a client sends it. form: 7, 16 or 64, the field that holds the length; mask: null for none. */
function frame(opcode, payload = '', { fin = true, rsv = 0, mask = [random(256), random(256), random(256), random(256)], form, length } = {}) {
  const bytes = Buffer.from(payload);
  const size = length ?? bytes.length;
  const width = form ?? (size < 126 ? 7 : size < 65_536 ? 16 : 64);
  const head = Buffer.alloc(width === 7 ? 2 : width === 16 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (width === 7 ? size : width === 16 ? 126 : 127);
  if (width === 16) head.writeUInt16BE(size, 2);
  if (width === 64) head.writeBigUInt64BE(BigInt(size), 2);
  return Buffer.concat([head, Buffer.from(mask ?? []), mask ? bytes.map((byte, i) => byte ^ mask[i % 4]) : bytes]);
}

const text = (payload, options) => frame(TEXT, payload, options);
const more = (payload, options) => frame(CONTINUATION, payload, options);
const first = (payload, options) => text(payload, { fin: false, ...options });
const middle = (payload, options) => more(payload, { fin: false, ...options });
const ping = (payload, options) => frame(PING, payload, options);
const closing = (code, reason = '') => frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));

/** Frames as a server must send them: whole, unmasked, lengths in their shortest form. */
function framesOf(bytes) {
  const frames = [];
  for (let at = 0; at < bytes.length;) {
    const [b0, b1] = bytes.subarray(at, at + 2);
    assert.equal(b0 & 0x70, 0, 'no reserved bit');
    assert.equal(b0 & 0x80, 0x80, 'not in fragments');
    assert.equal(b1 & 0x80, 0, 'not masked');
    let size = b1;
    at += 2;
    if (b1 === 126) {
      size = bytes.readUInt16BE(at);
      assert.ok(size > 125, 'the shortest form');
      at += 2;
    } else if (b1 === 127) {
      size = Number(bytes.readBigUInt64BE(at));
      assert.ok(size > 65_535, 'the shortest form');
      at += 8;
    }
    assert.ok(at + size <= bytes.length, 'a frame that is whole');
    frames.push({ opcode: b0 & 15, payload: bytes.subarray(at, at + size) });
    at += size;
  }
  return frames;
}

// --- conversations -------------------------------------------------------------------------------

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const handshakeOf = (lines, first = 'GET /ws/v1/events HTTP/1.1') => `${[first, ...lines].join('\r\n')}\r\n\r\n`;
const USUAL = ['Host: hub', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${KEY}`];
const BEARER = () => `Authorization: Bearer ${hub.adminKey}`;
const LAST = 'GET /health HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n';

/** What the hub says to these frames: parsed frames after the welcome, the close among them. Ends well
 * when sentinel is set: a message and a close frame follow, and both must be answered. */
async function converse(frames, { step = 0, sentinel = true } = {}) {
  conversations++;
  const raw = new Raw(hub);
  try {
    const tail = sentinel ? joined(text('{"type":"ping","id":"the-last"}'), closing(1000)) : '';
    await raw.send(joined(handshakeOf([...USUAL, BEARER()]), frames, tail), { step });
    await raw.until(() => false, { what: 'the end of the conversation' });
    assert.equal(raw.error, null);
    const split = raw.received.indexOf('\r\n\r\n') + 4;
    assert.equal(answersOf(raw.received.subarray(0, split), [0])[0].status, 101);
    const [welcome, ...came] = framesOf(raw.received.subarray(split));
    assert.equal(JSON.parse(welcome.payload).type, 'welcome');
    const last = came.at(-1);
    assert.equal(last?.opcode, CLOSE, `a close frame at the end, not ${JSON.stringify(last?.payload.toString())}`);
    const close = last.payload.length === 0 ? { code: 1005, reason: '' } : { code: last.payload.readUInt16BE(0), reason: last.payload.subarray(2).toString() };
    return { came: came.slice(0, -1), close };
  } finally {
    await raw.destroy();
  }
}

/** Both deliveries. long ones go in larger pieces, or the test would only wait for itself. */
const steps = (bytes) => (bytes.length > 3_000 ? [0, 1_447] : [0, 1]);

/** Each case ends with the code, seen before anything else is sent; what follows is not answered. */
async function failsEach(code, cases) {
  for (const [what, ...frames] of cases) {
    const bytes = joined(...frames);
    for (const step of steps(bytes)) {
      for (const sentinel of [false, true]) {
        const { came, close } = await converse(bytes, { step, sentinel });
        assert.equal(close.code, code, `${what}: ${close.code} ${close.reason}`);
        assert.ok(close.reason.length > 0, `${what}: a reason`);
        assert.deepEqual(came.filter((one) => one.opcode === TEXT), [], `${what}: nothing is answered`);
      }
    }
  }
}

/** Each case is answered with these messages (ids of pongs, or error codes) and controls, then goes on. */
async function goesOnEach(cases) {
  for (const { what, frames, answers = [], pongs = [] } of cases) {
    const bytes = joined(...frames);
    for (const step of steps(bytes)) {
      const { came, close } = await converse(bytes, { step });
      assert.equal(close.code, 1000, `${what}: ${close.code} ${close.reason}`);
      assert.equal(close.reason, '', what);
      const told = came.filter((one) => one.opcode === TEXT).map((one) => JSON.parse(one.payload)).map((one) => one.id ?? one.code);
      assert.deepEqual(told, [...answers, 'the-last'], what);
      assert.deepEqual(came.filter((one) => one.opcode === PONG).map((one) => one.payload.toString('latin1')), pongs.map((one) => Buffer.from(one).toString('latin1')), what);
    }
  }
}

const asks = (id) => JSON.stringify({ type: 'ping', id });
/** A message of exactly n bytes that is answered with its id. */
const asksOf = (n, id = 'sized') => asks(id).replace(/}$/, `${' '.repeat(n - asks(id).length)}}`);

// --- 1. the handshake ----------------------------------------------------------------------------

/** The answer to a handshake that is refused, or 101 after which the connection is given up. */
async function handshake(lines, firstLine) {
  conversations++;
  const raw = new Raw(hub);
  await raw.send(handshakeOf(lines, firstLine));
  await raw.until((bytes) => bytes.includes('\r\n\r\n'));
  const [answer] = answersOf(raw.received.subarray(0, raw.received.indexOf('\r\n\r\n') + 4), [0]);
  await raw.destroy();
  return answer;
}
const without = (name, ...instead) => [...USUAL.filter((line) => !line.toLowerCase().startsWith(name.toLowerCase())), ...instead];

survived('a handshake proves that its key was read, and takes no extension or subprotocol it does not speak', async () => {
  for (const lines of [
    USUAL, [...USUAL, 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame'], [...USUAL, 'Sec-WebSocket-Protocol: mqtt, waggle'],
    without('Upgrade', 'upgrade: WebSocket'), without('Upgrade', 'Upgrade: h2c, websocket'), without('Connection', 'Connection: keep-alive, upgrade'), without('Connection', 'Connection: keep-alive', 'CONNECTION: UPGRADE'),
    [...USUAL, 'Origin: http://hub'], [...USUAL, 'Origin: http://localhost:3000'], [...USUAL, 'Content-Length: 0'],
  ]) {
    const answer = await handshake(lines);
    assert.equal(answer.status, 101, lines.join(' | '));
    assert.equal(answer.headers['sec-websocket-accept'], createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64'));
    assert.equal(answer.headers.upgrade, 'websocket');
    assert.equal(answer.headers.connection.toLowerCase(), 'upgrade');
    for (const name of ['sec-websocket-extensions', 'sec-websocket-protocol']) assert.ok(!(name in answer.headers), name);
  }
});

survived('a handshake that is none is answered over HTTP, with what is wrong', async () => {
  const key = (value) => without('Sec-WebSocket-Key', `Sec-WebSocket-Key: ${value}`);
  for (const [status, lines, firstLine] of [
    [426, ['Host: hub']], [426, without('Upgrade')], [426, without('Upgrade', 'Upgrade: h2c')], [426, without('Upgrade', 'Upgrade: websockets')],
    [400, without('Connection')], [400, without('Connection', 'Connection: keep-alive')], [400, without('Sec-WebSocket-Key')], [400, key('')], [400, key('dGhlIHNhbXBsZSBub25jZQ')],
    [400, key('dGhlIHNhbXBsZSBub25jZ===')], [400, key('dGhlIHNhbXBsZSBub25jZQ==dGhl')], [400, key('dGhlIHNhbXBsZSBub25j!Q==')], [400, key('dGhlIHNhbXBsZSBub25jZTE=')], [400, [...USUAL, `Sec-WebSocket-Key: ${KEY}`]],
    [400, without('Sec-WebSocket-Version')], [426, without('Sec-WebSocket-Version', 'Sec-WebSocket-Version: 8')], [426, without('Sec-WebSocket-Version', 'Sec-WebSocket-Version: 0')],
    [426, without('Sec-WebSocket-Version', 'Sec-WebSocket-Version: 14')], [426, without('Sec-WebSocket-Version', 'Sec-WebSocket-Version: 013')], [426, [...USUAL, 'Sec-WebSocket-Version: 8']],
    [405, USUAL, 'POST /ws/v1/events HTTP/1.1'], [405, USUAL, 'HEAD /ws/v1/events HTTP/1.1'], [405, USUAL, 'PUT /ws/v1/events HTTP/1.1'], [400, USUAL, 'GET /ws/v1/events HTTP/1.0'],
    [400, [...USUAL, 'Host: hub']], [400, without('Host')], [403, [...USUAL, 'Origin: http://evil.example']], [403, [...USUAL, 'Origin: null']], [403, [...USUAL, 'Origin: http://hub.evil.example']],
    [401, [...USUAL, 'Authorization: Bearer wrong']], [401, [...USUAL, 'X-API-Key: wrong']], [404, USUAL, 'GET /ws/v1/event HTTP/1.1'],
  ]) {
    const answer = await handshake(lines, firstLine);
    assert.equal(answer.status, status, `${firstLine ?? ''} ${lines.join(' | ')}`);
    if (status === 426) assert.ok(answer.headers['content-type'].startsWith('application/problem+json'));
  }
  for (const body of ['Content-Length: 1', 'Transfer-Encoding: chunked']) {
    const { answers } = await exchange(hub, handshakeOf([...USUAL, body, 'Connection: close']) + (/1$/.test(body) ? 'x' : '0\r\n\r\n'));
    assert.deepEqual(answers.map((one) => one.status), [400], body);
  }
});

survived('a wrong version is told the right one', async () => {
  const answer = await handshake(without('Sec-WebSocket-Version', 'Sec-WebSocket-Version: 8'));
  assert.equal(answer.headers['sec-websocket-version'], '13'); // RFC 6455 section 4.4
  assert.equal(answer.headers.upgrade, 'websocket'); // RFC 9110 section 15.5.22
});

// --- 2. sizes ------------------------------------------------------------------------------------

survived('messages of every form of length are read', async () => {
  await goesOnEach([40, 125, 126, 127, 128, 1_024, 65_535, 65_536, 65_537, MESSAGE_BYTES].map((n) => ({ what: `${n} bytes`, frames: [text(asksOf(n))], answers: ['sized'] })));
  await goesOnEach([{ what: 'an empty message', frames: [text('')], answers: ['bad_request'] }, { what: 'a message of zero masks', frames: [text(asks(1), { mask: [0, 0, 0, 0] })], answers: [1] }]);
});

survived('a length in another than its shortest form, or of 64 bits, is a fault', async () => {
  await failsEach(1002, [
    ...[0, 1, 125].map((n) => [`${n} in 16 bits`, text('x'.repeat(n), { form: 16 })]),
    ...[0, 125, 126, 65_535].map((n) => [`${n} in 64 bits`, text('x'.repeat(n), { form: 64 })]),
    ['2^63', Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0])], ['2^64 - 1', Buffer.from([0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255])], ['a control frame in 16 bits', ping('x', { form: 16 })],
  ]);
});

survived('what is too long is refused by its head, in one frame or where the fragments pass the limit', async () => {
  const half = ' '.repeat(MESSAGE_BYTES / 2);
  await failsEach(1009, [
    ['one byte more', text('', { length: MESSAGE_BYTES + 1 })], ['4 GiB', text('', { length: 2 ** 32 })], ['2^62', Buffer.from([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0])], ['binary', frame(BINARY, '', { length: MESSAGE_BYTES + 1 })],
    ['the second fragment', first(half), more('', { length: half.length + 1 })], ['the third', first(half), middle(half), more('', { length: 1 })],
    ['with a ping between', first(half), ping(''), middle(half), ping(''), more('', { length: 1 })],
  ]);
  await goesOnEach([{ what: 'just as much in fragments', frames: [first(asksOf(MESSAGE_BYTES).slice(0, half.length)), middle(''), more(asksOf(MESSAGE_BYTES).slice(half.length))], answers: ['sized'] }]);
});

survived('binary messages are not understood here: 1003', async () => {
  await failsEach(1003, [['empty', frame(BINARY)], ['small', frame(BINARY, [0, 255])], ['text in one', frame(BINARY, asks(1))], ['in fragments', frame(BINARY, 'a', { fin: false }), more('b')]]);
});

// --- 3. pings and pongs --------------------------------------------------------------------------

survived('each ping is answered with its payload, in order; pongs are not answered', async () => {
  const full = Buffer.from(numbers(125).map((i) => 255 - i));
  await goesOnEach([
    { what: 'empty', frames: [ping('')], pongs: [''] }, { what: 'text', frames: [ping('Hello, world!')], pongs: ['Hello, world!'] }, { what: 'binary', frames: [ping([0, 255, 254, 253, 252, 251, 0, 255])], pongs: [[0, 255, 254, 253, 252, 251, 0, 255]] },
    { what: '125 bytes', frames: [ping(full)], pongs: [full] }, { what: 'pongs of nothing', frames: [frame(PONG), frame(PONG, 'unasked'), ping('p')], pongs: ['p'] },
    { what: 'ten', frames: numbers(10).map((i) => ping(`p${i}`)), pongs: numbers(10).map((i) => `p${i}`) },
  ]);
  await failsEach(1002, [
    ['126 bytes of ping', ping('x'.repeat(126))], ['126 bytes of pong', frame(PONG, 'x'.repeat(126))], ['64 KiB of ping', ping('x'.repeat(65_536))],
    ['a ping in fragments', ping('a', { fin: false })], ['a pong in fragments', frame(PONG, 'a', { fin: false })], ['a close in fragments', frame(CLOSE, '', { fin: false })],
  ]);
});

// --- 4. bits and opcodes -------------------------------------------------------------------------

survived('reserved bits, reserved opcodes and frames without a mask are faults', async () => {
  const opcodes = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG];
  await failsEach(1002, numbers(7, 1).flatMap((rsv) => opcodes.map((opcode) => [`bits ${rsv} on ${opcode}`, frame(opcode, '', { rsv })])));
  await failsEach(1002, [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
    [`opcode ${opcode}`, frame(opcode, '')], [`opcode ${opcode} with a payload`, frame(opcode, 'x')], [`opcode ${opcode} within a message`, first('{'), frame(opcode, '')],
  ]));
  await failsEach(1002, [...opcodes.map((opcode) => [`opcode ${opcode} without a mask`, frame(opcode, '', { mask: null })]), ['after one with', ping('x'), text(asks(1), { mask: null })]]);
});

// --- 5. fragments --------------------------------------------------------------------------------

survived('a message in fragments is one message, whatever control frames come between', async () => {
  const whole = asks('joined');
  const cut = (at) => [whole.slice(0, at), whole.slice(at)];
  await goesOnEach([
    ...[0, 1, 10, whole.length].map((at) => ({ what: `two fragments at ${at}`, frames: [first(cut(at)[0]), more(cut(at)[1])], answers: ['joined'] })),
    { what: 'a frame a byte', frames: [...whole].map((c, i) => frame(i ? CONTINUATION : TEXT, c, { fin: i === whole.length - 1 })), answers: ['joined'] },
    { what: 'empty ones', frames: [first(''), middle(''), middle(whole), middle(''), more('')], answers: ['joined'] },
    { what: 'a ping between', frames: [first(cut(5)[0]), ping('between'), more(cut(5)[1])], answers: ['joined'], pongs: ['between'] },
    { what: 'pings everywhere', frames: [ping('0'), first(whole.slice(0, 3)), ping('1'), frame(PONG, 'x'), middle(whole.slice(3, 6)), ping('2'), ping('3'), more(whole.slice(6)), ping('4')], answers: ['joined'], pongs: ['0', '1', '2', '3', '4'] },
    { what: 'two messages', frames: [first(cut(4)[0]), more(cut(4)[1]), first(cut(9)[0]), more(cut(9)[1])], answers: ['joined', 'joined'] },
  ]);
});

survived('fragments out of their order are faults', async () => {
  await failsEach(1002, [
    ['a last fragment of nothing', more('x')], ['a first fragment that continues nothing', middle('x')], ['empty', more('')], ['after a ping', ping(''), more('x')],
    ['a text within a text', first('{'), text('}')], ['a first within a text', first('{'), first('}')], ['a binary within a text', first('{'), frame(BINARY, 'x')], ['a text within a binary', frame(BINARY, 'x', { fin: false }), text('{}')],
    ['a text within a text, after a ping', first('{'), ping('p'), text('}')],
  ]);
});

// --- 6. UTF-8 ------------------------------------------------------------------------------------

const BAD_UTF8 = [
  '80', 'bf', 'c0', 'c080', 'c0af', 'c1bf', 'c2', 'c220', 'c2c2', 'e080', 'e08080', 'e09fbf', 'e1', 'e180', 'e18020', 'e1c2', 'eda080', 'edbfbf', 'edada0edbdbf', 'f0808080', 'f08fbfbf', 'f0908020', 'f18080', 'f48fbf', 'f4908080', 'f5', 'f7bfbfbf',
  'f8888080', 'fb', 'fc', 'fd', 'fe', 'ff', 'feff', 'cebae1bdb9cf83cebcceb5eda080656469746564', 'cebae1bdb9cf83cebcceb5f4908080656469746564',
].map((hex) => Buffer.from(hex, 'hex'));
const GOOD_UTF8 = ['ce ba', 'e1bdb9', 'c280', 'dfbf', 'e0a080', 'ed9fbf', 'ee8080', 'efbfbd', 'efbfbf', 'f0908080', 'f48fbfbf', 'f09f909d'].map((hex) => Buffer.from(hex.replace(/ /g, ''), 'hex'));

survived('text that is no UTF-8 is 1007, wherever it stands and however it is cut', async () => {
  const frameOf = (bytes) => text(joined('{"type":"ping","id":"', bytes, '"}'));
  await failsEach(1007, BAD_UTF8.flatMap((bytes) => [
    [`${bytes.toString('hex')} in a string`, frameOf(bytes)], [`${bytes.toString('hex')} alone`, text(bytes)], [`${bytes.toString('hex')} at the end`, text(joined('{"a":"', bytes))],
    [`${bytes.toString('hex')} in one fragment a byte`, ...[...bytes].map((byte, i) => frame(i ? CONTINUATION : TEXT, [byte], { fin: i === bytes.length - 1 }))],
  ]));
});

survived('a fault in text is seen before the message ends', async () => {
  // What can never become UTF-8, in a fragment that is not the last, of a frame that is not yet whole.
  const hopeless = BAD_UTF8.filter((bytes) => !['c2', 'e1', 'e180', 'f18080', 'f48fbf'].includes(bytes.toString('hex')));
  await failsEach(1007, hopeless.flatMap((bytes) => {
    const whole = text(joined('"', bytes, ' and a rest that does not come'), { fin: false });
    return [[`${bytes.toString('hex')} in a first fragment`, first(joined('"', bytes))], [`${bytes.toString('hex')} in half a frame`, whole.subarray(0, whole.length - 10)]];
  }));
}, { timeout: 120_000 });

survived('UTF-8 may be cut between any two bytes, by frames and by segments', async () => {
  await goesOnEach(GOOD_UTF8.flatMap((bytes) => {
    const whole = Buffer.from(JSON.stringify({ type: 'ping', id: bytes.toString() }));
    const at = whole.indexOf(bytes);
    return numbers(bytes.length + 1).map((i) => ({
      what: `${bytes.toString('hex')} cut at ${i}`, frames: [first(whole.subarray(0, at + i)), ping('x'), more(whole.subarray(at + i))], answers: [bytes.toString()], pongs: ['x'],
    }));
  }));
});

// --- 7. closing ----------------------------------------------------------------------------------

survived('a close is answered in kind, once, and nothing after it is', async () => {
  const replies = async (what, sent, code) => {
    for (const step of [0, 1]) {
      const { came, close } = await converse(joined(sent, text(asks('late')), ping('late'), closing(1001), 'anything at all'), { step, sentinel: false });
      assert.equal(close.code, code, what);
      assert.deepEqual(came, [], what);
    }
  };
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
    await replies(`${code}`, closing(code), code);
  }
  await replies('a reason', closing(1000, 'Hello, world!'), 1000);
  await replies('a reason of 123 bytes', closing(1000, '*'.repeat(123)), 1000);
  await replies('a reason in Greek', closing(1000, 'κόσμε'), 1000);
  await replies('nothing said', frame(CLOSE), 1000);
  await replies('within a message', joined(first('{'), closing(1000)), 1000);
});

survived('a close that says what may not be said is a fault', async () => {
  await failsEach(1002, [
    ...[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code) => [`code ${code}`, closing(code)]), ['one byte', frame(CLOSE, [3])], ['126 bytes', closing(1000, '*'.repeat(124))],
  ]);
  await failsEach(1007, BAD_UTF8.map((bytes) => [`reason ${bytes.toString('hex')}`, closing(1000, bytes)]));
});

// --- 8. floods -----------------------------------------------------------------------------------

survived('a flood of pings is answered in full, in bounded memory, and others are served meanwhile', async () => {
  const count = 60_000;
  const raw = new Raw(hub);
  conversations++;
  await raw.send(handshakeOf([...USUAL, BEARER()]));
  await raw.until((bytes) => bytes.includes('welcome'));
  raw.socket.pause(); // nothing of it is read for now
  const before_ = residentBytes(hub);
  raw.write(joined(...numbers(count).map((i) => ping(String(i).padStart(120, '.')))));
  let grown = 0;
  for (let i = 0; i < 10; i++) {
    await sleep(50);
    const { close } = await converse('', {});
    assert.equal(close.code, 1000);
    grown = Math.max(grown, residentBytes(hub) - before_);
  }
  assert.ok(grown < (SANITIZED ? 256 << 20 : 16 << 20), `${grown} bytes`);
  raw.socket.resume();
  const bytesWanted = count * 122;
  raw.write(closing(1000));
  await raw.until(() => false, { timeout: 40_000, what: `${bytesWanted} bytes of pongs` });
  const frames = framesOf(raw.received.subarray(raw.received.indexOf('\r\n\r\n') + 4)).filter((one) => one.opcode === PONG);
  assert.deepEqual(frames.map((one) => Number(one.payload.toString().replace(/^\.*/, ''))), numbers(count));
  await raw.destroy();
});

survived('messages that are no JSON, or not ours, are answered and the connection stays', async () => {
  await goesOnEach([
    ...['', ' ', '{', '[]', '1', 'null', '"x"', '{}{}', '{"type":1}', '{"a":1,}', "{'type':'ping'}", '{"type":"ping"', '\ufeff{"type":"ping"}', '{"type":"ping","type":"ping"}', '{"type":"ping","id":"\u0001"}', '{"type":"ping","id":{}}', 'NaN', '{"id":1}']
      .map((one) => ({ what: one, frames: [text(one)], answers: ['bad_request'] })),
    { what: 'a type that is none', frames: [text('{"type":"no such"}')], answers: ['unknown_type'] },
    { what: 'a hundred of each', frames: numbers(100).flatMap((i) => [text('{'), text(asks(i))]), answers: numbers(100).flatMap((i) => ['bad_request', i]) },
  ]);
});

survived('frames of any bytes come to an end', async () => {
  for (let round = 0; round < (LONG ? 6_000 : 300); round++) {
    const bytes = Buffer.from(numbers(1 + random(60)).map(() => random(256)));
    // Whatever frame has begun, it ends in these, and no frame begins with them.
    const { close } = await converse(joined(bytes, Buffer.alloc(MESSAGE_BYTES + 1_000, 0xff)), { sentinel: false });
    const ours = [1000, 1002, 1003, 1007, 1009].includes(close.code);
    assert.ok(ours || bytes.includes(0x88), `${bytes.toString('hex')}: ${close.code}`); // or it sent a close of its own
  }
}, { timeout: 120_000 });
