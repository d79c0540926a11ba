// The native protocol as native-protocol.md has it, over a real WebSocket client.

import assert from 'node:assert/strict';
import { connect as tcp } from 'node:net';
import { randomBytes } from 'node:crypto';
import { after, before } from 'node:test';
import WebSocket from 'ws';
import { sleep, startHub, until } from './lib/hub.mjs';
import { fresh, hasKeys, inOrder, includesKeys, isTime, numbers, refused, story } from './lib/story.mjs';

let hub;
before(async () => {
  hub = await startHub({
    config: {
      'namespace short': { history_events: 5 },
      'namespace room': { presence_grace_ms: 400 },
      'namespace last': { latest: true },
    },
  });
});
after(() => hub?.stop());

const token = async (sub, role, more = {}) => (await hub.mint({ sub, role, ...more })).token;

// --- connecting --------------------------------------------------------------------------------

story('the hub speaks first and says who it is and what its limits are', async () => {
  const bee = await hub.connect();
  includesKeys(bee.welcome, ['type', 'connection', 'hub', 'version', 'time', 'limits', 'heartbeat_s'], 'welcome');
  assert.equal(bee.welcome.type, 'welcome');
  assert.ok(bee.welcome.connection.length > 0);
  assert.ok(bee.welcome.limits.message_bytes > 1000);
  assert.ok(bee.welcome.limits.channels > 0);
  assert.ok(bee.welcome.heartbeat_s > 0);
  isTime(bee.welcome.time);
  const other = await hub.connect();
  assert.notEqual(other.welcome.connection, bee.welcome.connection);
  assert.equal(other.welcome.hub, bee.welcome.hub);
  await bee.close();
  await other.close();
});

for (const via of ['header', 'query', 'frame']) {
  story(`a token is taken from the ${via}`, async () => {
    const bee = await hub.connect({ token: await token('bee-1', 'agent'), via });
    const channel = fresh('a');
    await bee.subscribe(channel);
    assert.equal((await bee.publish(channel, 'x', 1)).offset, 1);
    await bee.close();
  });
}

story('an API key is taken from X-API-Key', async () => {
  const bee = await hub.connect({ token: null, headers: { 'x-api-key': hub.adminKey } });
  await bee.barrier();
  await bee.close();
});

story('a bad token is refused at the door', async () => {
  const bee = await hub.connect({ token: 'nobody-knows-me', welcome: false });
  const outcome = await bee.opened.then(() => bee.closed, (error) => error);
  if (outcome instanceof Error) {
    assert.equal(outcome.status, 401);
    assert.match(outcome.headers['www-authenticate'], /^Bearer/);
  } else {
    assert.equal(outcome.code, 4009);
  }
});

story('a bad token in the first frame closes with 4009', async () => {
  const bee = await hub.connect({ token: 'nobody-knows-me', via: 'frame', welcome: false });
  bee.ready().catch(() => {});
  assert.equal((await bee.closed).code, 4009);
});

story('before authentication nothing else is done', async () => {
  const channel = fresh('locked');
  const bee = await hub.connect({ token: null, welcome: false });
  await bee.opened;
  bee.send({ type: 'publish', id: 1, channel, event: 'x', data: 1 });
  await Promise.race([bee.next((frame) => frame.type === 'error' && frame.code === 'unauthorised'), bee.closed]);
  const admin = await hub.connect();
  const { events } = await admin.history(channel).catch((error) => {
    assert.equal(error.code, 'not_found');
    return { events: [] };
  });
  assert.deepEqual(events, []);
  bee.terminate();
  await admin.close();
});

story('who does not authenticate within ten seconds is closed with 4009', async () => {
  const started = Date.now();
  const bee = await hub.connect({ token: null, welcome: false });
  await bee.opened;
  assert.equal((await bee.closed).code, 4009);
  const waited = Date.now() - started;
  assert.ok(waited > 8_000 && waited < 20_000, `closed after ${waited} ms`);
});

story('ping is answered with pong, the id and the time', async () => {
  const bee = await hub.connect();
  const pong = await bee.request({ type: 'ping', id: 'p1' });
  assert.equal(pong.type, 'pong');
  isTime(pong.time);
  bee.send({ type: 'ping' });
  assert.equal((await bee.next('pong')).id, undefined);
  await bee.close();
});

story('an answer carries the id as it came, number or string', async () => {
  const bee = await hub.connect();
  for (const id of ['7', '"7"', '"ü \\"quoted\\" \\u00e9"', '0', '-1.5', '12345678901234567890']) {
    bee.send(`{"type":"ping","id":${id}}`);
    const pong = await bee.next('pong');
    assert.deepEqual(JSON.parse(pong.raw).id, JSON.parse(id));
    if (/^\d+$/.test(id)) assert.match(pong.raw, new RegExp(`"id":\\s*${id}[,}]`));
  }
  await bee.close();
});

// --- bad input ---------------------------------------------------------------------------------

story('an unknown type is named in the error and the connection stays', async () => {
  const bee = await hub.connect();
  const error = await refused(bee.request({ type: 'dance', id: 'd' }), 'unknown_type');
  assert.equal(error.message, 'Unknown message type: dance');
  assert.equal(error.id, 'd');
  await bee.barrier();
  await bee.close();
});

story('unknown keys are ignored', async () => {
  const bee = await hub.connect();
  assert.equal((await bee.request({ type: 'ping', colour: 'yellow', nested: { a: [1, { b: null }] } })).type, 'pong');
  await bee.close();
});

for (const [what, text] of [
  ['no JSON', 'hello'],
  ['half a JSON object', '{"type":"ping"'],
  ['JSON with a tail', '{"type":"ping"} x'],
  ['an array', '[{"type":"ping"}]'],
  ['a number', '42'],
  ['null', 'null'],
  ['an object without a type', '{"id":1}'],
  ['a type that is no string', '{"type":7}'],
  ['nesting without end', `{"type":"ping","a":${'['.repeat(500)}${']'.repeat(500)}}`],
  ['a subscribe without channels', '{"type":"subscribe"}'],
  ['channels that are no list', '{"type":"subscribe","channels":7}'],
  ['a channel that is no name', '{"type":"subscribe","channels":[7]}'],
  ['a publish without a channel', '{"type":"publish","event":"x","data":1}'],
  ['a publish to a number', '{"type":"publish","channel":5,"event":"x","data":1}'],
  ['an empty frame', ''],
]) {
  story(`${what} is answered with an error and the connection stays`, async () => {
    const bee = await hub.connect();
    bee.send(text);
    const error = await bee.next('error');
    assert.equal(typeof error.code, 'string');
    assert.ok(error.message.length > 0);
    await bee.barrier();
    await bee.close();
  });
}

for (const name of ['', 'a b', 'ä', 'a/b', 'a*b', 'x'.repeat(165)]) {
  story(`the channel name ${JSON.stringify(name.slice(0, 8))} (${name.length}) is refused`, async () => {
    const bee = await hub.connect();
    await refused(bee.publish(name, 'x', 1), 'invalid_name', 400);
    await bee.barrier();
    await bee.close();
  });
}

story('a channel name of 164 characters of the whole alphabet works', async () => {
  const bee = await hub.connect();
  const name = `AZaz09_-=@,.;${'x'.repeat(151)}`;
  await bee.subscribe(name);
  await bee.publish(name, 'x', 1);
  assert.equal((await bee.next('event')).channel, name);
  await bee.close();
});

/** An upgraded socket without a WebSocket library, to send what no library sends. */
async function rawSocket() {
  const { hostname, port } = new URL(hub.url);
  const socket = tcp(Number(port), hostname);
  socket.write(
    `GET /ws/v1/events HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n` +
      `Authorization: Bearer ${hub.adminKey}\r\n\r\n`,
  );
  let bytes = Buffer.alloc(0);
  socket.on('data', (more) => (bytes = Buffer.concat([bytes, more])));
  socket.on('error', () => {});
  await until(() => bytes.includes('\r\n\r\n'), { what: 'the upgrade' });
  assert.match(bytes.toString('latin1'), /^HTTP\/1\.1 101 /);
  const closeCode = () =>
    until(() => {
      let at = bytes.indexOf('\r\n\r\n') + 4;
      while (at + 2 <= bytes.length) {
        const opcode = bytes[at] & 15;
        let length = bytes[at + 1] & 127;
        let head = 2;
        if (length === 126) {
          length = bytes.readUInt16BE(at + 2);
          head = 4;
        }
        if (opcode === 8 && at + head + 2 <= bytes.length) return bytes.readUInt16BE(at + head);
        at += head + length;
      }
      return 0;
    }, { what: 'a close frame' });
  const frame = (first, payload, mask = randomBytes(4)) => {
    const body = Buffer.from(payload);
    const masked = mask ? Buffer.from(body.map((byte, i) => byte ^ mask[i % 4])) : body;
    const head =
      body.length < 126
        ? Buffer.from([first, (mask ? 128 : 0) | body.length])
        : Buffer.from([first, (mask ? 128 : 0) | 126, body.length >> 8, body.length & 255]);
    return Buffer.concat([head, mask ?? Buffer.alloc(0), masked]);
  };
  return { socket, frame, closeCode };
}

for (const [what, code, make] of [
  ['an unmasked frame', 1002, (frame) => frame(0x81, '{"type":"ping"}', null)],
  ['a reserved opcode', 1002, (frame) => frame(0x83, 'x')],
  ['a reserved bit', 1002, (frame) => frame(0xc1, 'x')],
  ['a fragmented ping', 1002, (frame) => frame(0x09, 'x')],
  ['a ping of 126 bytes', 1002, (frame) => frame(0x89, 'x'.repeat(126))],
  ['a continuation of nothing', 1002, (frame) => frame(0x80, 'x')],
  ['text that is no UTF-8', 1007, (frame) => frame(0x81, Buffer.from([0x22, 0xc3, 0x28, 0x22]))],
  ['a close code that may not be sent', 1002, (frame) => frame(0x88, Buffer.from([1005 >> 8, 1005 & 255]))],
  ['binary data', 1003, (frame) => frame(0x82, 'x')],
]) {
  story(`${what} closes with ${code}`, async () => {
    const { socket, frame, closeCode } = await rawSocket();
    socket.write(make(frame));
    assert.equal(await closeCode(), code);
    socket.destroy();
  });
}

story('a message past the limit closes with 1009 and the hub goes on', async () => {
  const bee = await hub.connect();
  bee.send(JSON.stringify({ type: 'ping', pad: 'x'.repeat(bee.welcome.limits.message_bytes + 1024) }));
  assert.equal((await bee.closed).code, 1009);
  await (await hub.connect()).close();
});

story('a fragmented message with a ping in between is one message', async () => {
  const bee = await hub.connect();
  const pong = new Promise((resolve) => bee.socket.once('pong', resolve));
  bee.socket.send('{"type":"pi', { fin: false });
  bee.socket.ping('between');
  bee.socket.send('ng","id":"f"}', { fin: true });
  assert.equal((await bee.next('pong')).id, 'f');
  assert.equal((await pong).toString(), 'between');
  await bee.close();
});

// --- publish and subscribe -----------------------------------------------------------------------

story('a plain page subscribes without ids and receives', async () => {
  const channel = fresh('plain');
  const socket = new WebSocket(`${hub.ws}?token=${hub.adminKey}`);
  const got = [];
  socket.on('message', (text) => got.push(JSON.parse(text)));
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(JSON.stringify({ type: 'subscribe', channels: [channel] }));
  await until(() => got.some((frame) => frame.type === 'subscribed'));
  socket.send(JSON.stringify({ type: 'publish', channel, event: 'greeting', data: { hello: 'world' } }));
  const event = await until(() => got.find((frame) => frame.type === 'event'));
  assert.deepEqual(event.data, { hello: 'world' });
  socket.close();
});

story('subscribed says where the channel stands; an event carries what was published', async () => {
  const channel = fresh('news');
  const sender = await hub.connect({ token: await token('sender-1', 'operator') });
  const reader = await hub.connect();
  const [before] = await reader.subscribe(channel);
  includesKeys(before, ['channel', 'epoch', 'offset'], 'subscribed channel');
  assert.equal(before.channel, channel);
  assert.equal(before.offset, 0);

  const published = await sender.publish(channel, 'bloom', { flower: 'clover' }, { headers: { trace: 'abc' } });
  assert.equal(published.type, 'published');
  assert.equal(published.channel, channel);
  assert.equal(published.offset, 1);
  assert.equal(published.epoch, before.epoch);

  const event = await reader.next('event');
  assert.equal(event.channel, channel);
  assert.equal(event.event, 'bloom');
  assert.deepEqual(event.data, { flower: 'clover' });
  assert.equal(event.offset, 1);
  assert.equal(event.from, 'sender-1');
  assert.deepEqual(event.headers, { trace: 'abc' });
  isTime(event.time);

  const late = await hub.connect();
  assert.equal((await late.subscribe(channel))[0].offset, 1);
  for (const client of [sender, reader, late]) await client.close();
});

story('data leaves as the bytes it came as', async () => {
  const channel = fresh('bytes');
  const bee = await hub.connect();
  await bee.subscribe(channel);
  for (const data of ['12345678901234567890', '1.10', '{"b":1,"a":{"a":1E+2}}', '"\\u0041\\/"', 'null', '[]', '"ü€😀"', 'true']) {
    bee.send(`{"type":"publish","channel":"${channel}","event":"x","data":${data}}`);
    const event = await bee.next('event');
    assert.ok(event.raw.includes(`"data":${data}`), `${event.raw} carries ${data}`);
  }
  await bee.close();
});

story('two hundred events reach three subscribers in one order without holes', async () => {
  const channel = fresh('order');
  const readers = await Promise.all(numbers(3).map(() => hub.connect()));
  await Promise.all(readers.map((reader) => reader.subscribe(channel)));
  const senders = await Promise.all(numbers(4).map(() => hub.connect()));
  await Promise.all(
    senders.map((sender, s) => Promise.all(numbers(50).map((i) => sender.publish(channel, 'n', { s, i })))),
  );
  const seen = await Promise.all(readers.map((reader) => reader.events(200, channel)));
  for (const events of seen) {
    inOrder(events, 1);
    for (const s of numbers(4)) {
      assert.deepEqual(events.filter((event) => event.data.s === s).map((event) => event.data.i), numbers(50));
    }
  }
  assert.deepEqual(seen[0].map((e) => e.data), seen[1].map((e) => e.data));
  assert.deepEqual(seen[0].map((e) => e.data), seen[2].map((e) => e.data));
  for (const client of [...readers, ...senders]) await client.close();
});

story('a live channel delivers without an offset and stores nothing', async () => {
  const channel = `live.${fresh('cursor')}`;
  const sender = await hub.connect();
  const reader = await hub.connect();
  await reader.subscribe(channel);
  const published = await sender.publish(channel, 'move', { x: 1 });
  assert.equal(published.type, 'published');
  const event = await reader.next('event');
  assert.equal(event.offset, undefined);
  assert.deepEqual(event.data, { x: 1 });

  sender.send({ type: 'publish', channel, event: 'move', data: { x: 2 } });
  await sender.barrier();
  assert.deepEqual(sender.drain('published'), []);
  assert.deepEqual((await reader.next('event')).data, { x: 2 });

  const late = await hub.connect();
  await late.subscribe({ channel, rewind: 10 }).catch(() => late.subscribe(channel));
  await late.barrier();
  assert.deepEqual(late.drain('event'), []);
  for (const client of [sender, reader, late]) await client.close();
});

story('live events keep the order of their publisher', async () => {
  const channel = `live.${fresh('stream')}`;
  const sender = await hub.connect();
  const reader = await hub.connect();
  await reader.subscribe(channel);
  for (const i of numbers(300)) sender.send({ type: 'publish', channel, event: 'n', data: i });
  const events = await reader.events(300, channel);
  assert.deepEqual(events.map((event) => event.data), numbers(300));
  await sender.close();
  await reader.close();
});

story('echo: false spares the publisher its own event', async () => {
  for (const prefix of ['', 'live.']) {
    const channel = prefix + fresh('echo');
    const sender = await hub.connect();
    const reader = await hub.connect();
    await sender.subscribe(channel);
    await reader.subscribe(channel);
    await sender.publish(channel, 'silent', 1, { echo: false });
    await sender.publish(channel, 'heard', 2);
    assert.deepEqual((await reader.events(2, channel)).map((event) => event.data), [1, 2]);
    assert.equal((await sender.next('event')).data, 2);
    await sender.close();
    await reader.close();
  }
});

story('after unsubscribe nothing more comes', async () => {
  const channel = fresh('over');
  const bee = await hub.connect();
  await bee.subscribe(channel);
  await bee.publish(channel, 'x', 1);
  await bee.next('event');
  assert.equal((await bee.unsubscribe(channel)).type, 'unsubscribed');
  await bee.publish(channel, 'x', 2);
  await bee.barrier();
  assert.deepEqual(bee.drain('event'), []);
  await bee.close();
});

story('subscribing twice delivers once', async () => {
  const channel = fresh('twice');
  const bee = await hub.connect();
  await bee.subscribe(channel);
  await bee.subscribe(channel);
  await bee.publish(channel, 'x', 1);
  await bee.publish(channel, 'x', 2);
  assert.deepEqual((await bee.events(2, channel)).map((event) => event.data), [1, 2]);
  await bee.barrier();
  assert.deepEqual(bee.drain('event'), []);
  await bee.close();
});

story('one subscribe frame takes several channels', async () => {
  const names = numbers(5).map(() => fresh('many'));
  const bee = await hub.connect();
  const subscribed = await bee.subscribe(...names);
  assert.deepEqual(subscribed.map((one) => one.channel), names);
  for (const name of names) await bee.publish(name, 'x', name);
  for (const event of await bee.events(5)) assert.equal(event.data, event.channel);
  await bee.close();
});

// --- what a durable publish can ask for ----------------------------------------------------------

story('a key makes a publish idempotent', async () => {
  const channel = fresh('once');
  const bee = await hub.connect();
  await bee.subscribe(channel);
  const first = await bee.publish(channel, 'pay', 1, { key: 'order-1' });
  const other = await bee.publish(channel, 'pay', 2, { key: 'order-2' });
  const again = await bee.publish(channel, 'pay', 1, { key: 'order-1' });
  assert.equal(first.offset, 1);
  assert.equal(other.offset, 2);
  assert.equal(again.offset, 1);
  assert.equal(again.epoch, first.epoch);
  assert.equal((await bee.publish(channel, 'end', 3)).offset, 3);
  inOrder(await bee.events(3, channel), 1);
  await bee.barrier();
  assert.deepEqual(bee.drain('event'), []);
  const elsewhere = await bee.publish(fresh('once'), 'pay', 1, { key: 'order-1' });
  assert.equal(elsewhere.offset, 1);
  await bee.close();
});

story('one key raced by ten publishes of several connections is one event', async () => {
  const channel = fresh('race');
  const bees = await Promise.all(numbers(5).map(() => hub.connect()));
  const answers = await Promise.all(numbers(10).map((i) => bees[i % 5].publish(channel, 'x', i, { key: 'k' })));
  assert.deepEqual(answers.map((answer) => answer.offset), numbers(10).map(() => 1));
  assert.equal((await bees[0].history(channel)).events.length, 1);
  for (const bee of bees) await bee.close();
});

story('expect holds a publish to the offset it was decided on', async () => {
  const channel = fresh('cas');
  const bee = await hub.connect();
  assert.equal((await bee.publish(channel, 'x', 'a', { expect: 0 })).offset, 1);
  assert.equal((await bee.publish(channel, 'x', 'b', { expect: 1 })).offset, 2);
  const error = await refused(bee.publish(channel, 'x', 'c', { expect: 1 }), 'conflict', 409);
  assert.equal(error.channel, channel);
  assert.equal((await bee.publish(channel, 'x', 'd')).offset, 3);
  assert.deepEqual((await bee.history(channel)).events.map((event) => event.data).sort(), ['a', 'b', 'd']);
  await bee.close();
});

story('an event past its ttl is not handed out any more', async () => {
  const channel = fresh('ttl');
  const bee = await hub.connect();
  await bee.publish(channel, 'short', 1, { ttl: 1 });
  await bee.publish(channel, 'long', 2, { ttl: 3600 });
  assert.equal((await bee.history(channel)).events.length, 2);
  await sleep(1_400);
  assert.deepEqual((await bee.history(channel)).events.map((event) => event.data), [2]);
  const late = await hub.connect();
  await late.subscribe({ channel, rewind: 10 });
  assert.deepEqual((await late.next('event')).data, 2);
  await bee.close();
  await late.close();
}, { stall: 150, on: () => hub });

// --- the past ------------------------------------------------------------------------------------

story('since replays all that follows and joins the live stream without hole or repetition', async () => {
  const channel = fresh('since');
  const sender = await hub.connect();
  const { epoch } = await sender.publish(channel, 'n', 1);
  for (const i of numbers(199, 2)) await sender.publish(channel, 'n', i);

  let sent = 200;
  let stop = false;
  const publishing = (async () => {
    while (!stop) await sender.publish(channel, 'n', ++sent);
  })();
  const reader = await hub.connect();
  const [position] = await reader.subscribe({ channel, since: { epoch, offset: 50 } });
  assert.equal(position.recovered, true);
  const events = await reader.events(400, channel, { timeout: 20_000 });
  stop = true;
  await publishing;
  inOrder(events, 51);
  assert.deepEqual(events.map((event) => event.data), numbers(400, 51));
  await sender.close();
  await reader.close();
});

story('since at the head brings nothing old and everything new', async () => {
  const channel = fresh('head');
  const bee = await hub.connect();
  const { epoch, offset } = await bee.publish(channel, 'x', 1);
  const [position] = await bee.subscribe({ channel, since: { epoch, offset } });
  assert.equal(position.recovered, true);
  assert.equal(position.offset, 1);
  await bee.publish(channel, 'x', 2);
  assert.equal((await bee.next('event')).offset, 2);
  await bee.close();
});

story('a subscriber that never saw an event can resume from what subscribed told it', async () => {
  const channel = fresh('never');
  const bee = await hub.connect();
  const [position] = await bee.subscribe(channel);
  await bee.close();
  const sender = await hub.connect();
  for (const i of numbers(3)) await sender.publish(channel, 'x', i);
  const back = await hub.connect();
  await back.subscribe({ channel, since: { epoch: position.epoch, offset: position.offset } });
  inOrder(await back.events(3, channel), 1);
  await sender.close();
  await back.close();
});

story('offsets of another epoch are not compared', async () => {
  const channel = fresh('epoch');
  const bee = await hub.connect();
  await bee.publish(channel, 'x', 1);
  const [position] = await bee.subscribe({ channel, since: { epoch: 'of-another-life', offset: 1 } });
  assert.equal(position.recovered, false);
  await bee.close();
});

story('rewind brings the last n, oldest first, then what is new', async () => {
  const channel = fresh('rewind');
  const bee = await hub.connect();
  for (const i of numbers(10, 1)) await bee.publish(channel, 'x', i);
  await bee.subscribe({ channel, rewind: 3 });
  inOrder(await bee.events(3, channel), 8);
  await bee.publish(channel, 'x', 11);
  assert.equal((await bee.next('event')).offset, 11);
  const all = await hub.connect();
  await all.subscribe({ channel, rewind: 1000 });
  inOrder(await all.events(11, channel), 1);
  await bee.close();
  await all.close();
});

story('a log that does not reach back says so with a gap before the first event', async () => {
  const channel = `short.${fresh('gap')}`;
  const sender = await hub.connect();
  const { epoch } = await sender.publish(channel, 'x', 1);
  for (const i of numbers(39, 2)) await sender.publish(channel, 'x', i);
  const reader = await hub.connect();
  const [position] = await reader.subscribe({ channel, since: { epoch, offset: 3 } });
  assert.equal(position.recovered, false);
  const first = await reader.next((frame) => frame.type === 'gap' || frame.type === 'event');
  assert.equal(first.type, 'gap');
  assert.equal(first.channel, channel);
  assert.equal(first.from, 4);
  assert.equal(first.reason, 'trimmed');
  assert.equal(first.count, first.to - first.from + 1);
  const rest = await reader.events(40 - first.to, channel);
  inOrder(rest, first.to + 1);
  await sender.close();
  await reader.close();
});

story('latest brings the newest event at subscribe', async () => {
  const bee = await hub.connect();
  const channel = fresh('latest');
  for (const i of numbers(3)) await bee.publish(channel, 'x', i);
  await bee.subscribe({ channel, latest: true });
  assert.equal((await bee.next('event')).data, 2);

  for (const own of [`cache-${fresh('c')}`, `last.${fresh('l')}`]) {
    await bee.publish(own, 'x', 'old');
    await bee.publish(own, 'x', 'new');
    await bee.subscribe(own);
    assert.equal((await bee.next((frame) => frame.channel === own && frame.type === 'event')).data, 'new');
  }
  await bee.barrier();
  assert.deepEqual(bee.drain('event'), []);
  await bee.close();
});

story('history is paged forwards and backwards, and next leads through all of it', async () => {
  const channel = fresh('pages');
  const bee = await hub.connect();
  const { epoch } = await bee.publish(channel, 'x', 1);
  for (const i of numbers(24, 2)) await bee.publish(channel, 'x', i);

  const page = await bee.history(channel, { since: { epoch, offset: 0 }, limit: 10 });
  assert.equal(page.type, 'history');
  inOrder(page.events, 1);
  assert.equal(page.events.length, 10);
  includesKeys(page.events[0], ['event', 'data', 'offset', 'time'], 'history event');
  const second = await bee.history(channel, { since: { epoch, offset: 10 }, limit: 10 });
  inOrder(second.events, 11);
  const last = await bee.history(channel, { since: { epoch, offset: 20 }, limit: 10 });
  inOrder(last.events, 21);
  assert.equal(last.events.length, 5);
  assert.ok(page.next !== null && page.next !== undefined, 'there is more');
  assert.ok(last.next === null || last.next === undefined, 'there is no more');

  const newest = await bee.history(channel, { limit: 3, reverse: true });
  assert.deepEqual(newest.events.map((event) => event.offset), [25, 24, 23]);
  const before = await bee.history(channel, { before: 23, limit: 3, reverse: true });
  assert.deepEqual(before.events.map((event) => event.offset), [22, 21, 20]);
  await bee.close();
});

// --- patterns ------------------------------------------------------------------------------------

story('a pattern gets each event of the channels it names, once, new channels too', async () => {
  const stem = fresh('tree');
  const reader = await hub.connect();
  const deep = await hub.connect();
  const sender = await hub.connect();
  await sender.publish(`${stem}.old`, 'x', 'before');
  await reader.subscribe(`${stem}.*`);
  await deep.subscribe(`${stem}.>`);
  for (const name of ['old', 'new', 'new.leaf']) await sender.publish(`${stem}.${name}`, 'x', name);
  await sender.publish(`${fresh('other')}.x`, 'x', 'elsewhere');
  assert.deepEqual((await reader.events(2)).map((event) => event.data), ['old', 'new']);
  assert.deepEqual((await deep.events(3)).map((event) => event.channel), [`${stem}.old`, `${stem}.new`, `${stem}.new.leaf`]);
  await reader.barrier();
  await deep.barrier();
  assert.deepEqual([...reader.drain('event'), ...deep.drain('event')], []);
  await reader.unsubscribe(`${stem}.*`);
  await sender.publish(`${stem}.old`, 'x', 'after');
  await reader.barrier();
  assert.deepEqual(reader.drain('event'), []);
  for (const client of [reader, deep, sender]) await client.close();
});

story('a pattern is for those whose token allows it', async () => {
  const stem = fresh('fence');
  const bee = await hub.connect({ token: await token('bee-p', 'agent', { cap: { [`${stem}.*`]: ['subscribe'] } }) });
  await bee.subscribe(`${stem}.*`);
  await refused(bee.subscribe(`${stem}.>`), 'forbidden', 403);
  await refused(bee.subscribe('>'), 'forbidden', 403);
  await bee.close();
});

// --- rights --------------------------------------------------------------------------------------

story('a viewer reads and may not publish; the refusal names channel and id', async () => {
  const channel = fresh('look');
  const viewer = await hub.connect({ token: await token('eve', 'viewer') });
  await viewer.subscribe(channel);
  const error = await refused(viewer.publish(channel, 'x', 1, { id: 'mine' }), 'forbidden', 403);
  assert.equal(error.channel, channel);
  assert.equal(error.id, 'mine');
  const admin = await hub.connect();
  await admin.publish(channel, 'x', 2);
  assert.equal((await viewer.next('event')).offset, 1);
  await viewer.close();
  await admin.close();
});

story('private channels ask for the right, system channels are written by the hub alone', async () => {
  const channel = `private-${fresh('p')}`;
  const bee = await hub.connect({ token: await token('bee-x', 'agent') });
  await refused(bee.subscribe(channel), 'forbidden', 403);
  const allowed = await hub.connect({ token: await token('bee-y', 'agent', { cap: { [channel]: ['subscribe', 'publish'] } }) });
  await allowed.subscribe(channel);
  await allowed.publish(channel, 'x', 1);
  assert.equal((await allowed.next('event')).data, 1);
  const admin = await hub.connect();
  for (const name of ['agents', 'agent.bee-1', 'hub', 'pulse.bee-1']) {
    await refused(admin.publish(name, 'x', 1), 'forbidden', 403);
  }
  for (const client of [bee, allowed, admin]) await client.close();
});

story('of several channels in one subscribe the refused ones take nothing from the others', async () => {
  const good = fresh('good');
  const bee = await hub.connect({ token: await token('bee-z', 'agent') });
  bee.send({ type: 'subscribe', id: 's', channels: [good, `private-${fresh('bad')}`] });
  const frames = [await bee.next((frame) => frame.id === 's')];
  if (frames[0].type === 'error') {
    // All or nothing is as good an answer, if it is meant: then the good one delivers nothing.
    await bee.barrier();
    frames.push(...bee.drain((frame) => frame.id === 's'));
  }
  const subscribed = frames.find((frame) => frame.type === 'subscribed');
  const admin = await hub.connect();
  await admin.publish(good, 'x', 1);
  await bee.barrier();
  const came = bee.drain('event').length;
  assert.equal(came, subscribed ? 1 : 0);
  await bee.close();
  await admin.close();
});

// --- presence ------------------------------------------------------------------------------------

const member = async (id) => hub.connect({ token: await token(id, 'agent') });

story('members come once and leave once, however many connections they have', async () => {
  const channel = `room.${fresh('r')}`;
  const watcher = await hub.connect();
  await watcher.subscribe(channel);
  const ann = await member('ann');
  const [position] = await ann.subscribe({ channel, presence: { colour: 'red' } });
  assert.ok(position.members.some((one) => one.id === 'ann'));
  const joined = await watcher.next('joined');
  assert.equal(joined.channel, channel);
  hasKeys(joined.member, ['id', 'info'], 'member');
  assert.deepEqual(joined.member, { id: 'ann', info: { colour: 'red' } });
  assert.equal(typeof joined.offset, 'number');

  const second = await member('ann');
  await second.subscribe({ channel, presence: { colour: 'red' } });
  const bob = await member('bob');
  await bob.subscribe({ channel, presence: {} });
  assert.equal((await watcher.next('joined')).member.id, 'bob');

  const { members } = await watcher.request({ type: 'presence', channel });
  assert.deepEqual(members.map((one) => one.id).sort(), ['ann', 'bob']);

  await second.close();
  await sleep(900); // past the grace of this namespace: the other connection holds the place
  assert.deepEqual(watcher.drain('left'), []);
  await ann.close();
  const left = await watcher.next('left');
  assert.equal(left.member.id, 'ann');
  assert.ok(left.offset > joined.offset);
  await bob.close();
  await watcher.close();
});

story('who comes back within the grace has not left', async () => {
  const channel = `room.${fresh('g')}`;
  const watcher = await hub.connect();
  await watcher.subscribe(channel);
  const ann = await member('ann-2');
  await ann.subscribe({ channel, presence: { n: 1 } });
  await watcher.next('joined');
  ann.terminate();
  const back = await member('ann-2');
  await back.subscribe({ channel, presence: { n: 1 } });
  await sleep(900);
  assert.deepEqual(watcher.drain('left'), []);
  assert.deepEqual(watcher.drain('joined'), []);
  back.terminate();
  assert.equal((await watcher.next('left')).member.id, 'ann-2');
  await watcher.close();
}, { stall: 150, on: () => hub });

story('a member changes its info without leaving', async () => {
  const channel = `room.${fresh('u')}`;
  const watcher = await hub.connect();
  await watcher.subscribe(channel);
  const ann = await member('ann-3');
  await ann.subscribe({ channel, presence: { state: 'idle' } });
  await watcher.next('joined');
  await ann.request({ type: 'presence', channel, info: { state: 'busy' } });
  const updated = await watcher.next('updated');
  assert.deepEqual(updated.member, { id: 'ann-3', info: { state: 'busy' } });
  assert.deepEqual(watcher.drain('left'), []);
  await ann.close();
  await watcher.close();
});

// --- calls ---------------------------------------------------------------------------------------

story('call reaches an operation by its name', async () => {
  const bee = await hub.connect();
  const id = fresh('bee');
  const registered = await bee.call('agents.register', { agent_id: id, agent_type: 'worker' });
  assert.equal(registered.agent_id, id);
  const got = await bee.call('agents.get', { agent_id: id });
  assert.equal(got.agent.agent_id, id);
  await refused(bee.call('agents.get', { agent_id: 'nobody' }), 'not_found', 404);
  await refused(bee.call('agents.register', { agent_id: id }), 'invalid', 422);
  await refused(bee.call('no.such.method', {}), 'not_found', 404);
  await bee.barrier();
  await bee.close();
});

story('answers to pipelined frames each find their question', async () => {
  const bee = await hub.connect();
  const channel = fresh('pipe');
  const asked = numbers(200).map((i) =>
    i % 3 === 0
      ? bee.request({ type: 'ping', id: `i${i}` })
      : i % 3 === 1
        ? bee.publish(channel, 'x', i, { id: `i${i}` })
        : bee.request({ type: 'call', id: `i${i}`, method: 'agents.list', params: {} }),
  );
  const types = (await Promise.all(asked)).map((answer) => answer.type);
  types.forEach((type, i) => assert.equal(type, ['pong', 'published', 'result'][i % 3]));
  await bee.close();
});

story('the hub tells its own figures once a second on the channel hub', async () => {
  const bee = await hub.connect();
  await bee.subscribe('hub');
  const [first, second] = await bee.events(2, 'hub');
  const apart = Date.parse(second.time) - Date.parse(first.time);
  assert.ok(apart > 500 && apart < 3_000, `${apart} ms apart`);
  for (const figure of ['connections', 'messages_in', 'tasks_queued', 'tasks_completed_total', 'offer_wait_ms_total']) assert.equal(typeof first.data[figure], 'number', figure);
  await bee.close();
});
