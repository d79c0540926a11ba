import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { ConnectionLost, HubError, TimedOut, Waggle, matches, type Options } from '../src/index';
import { Backoff } from '../src/backoff';
import { FakeSocket, turn, until } from './fake';

beforeEach(() => {
  FakeSocket.made = [];
});

function client(more: Partial<Options> = {}): Waggle {
  return new Waggle({ url: 'http://hub.test:8000', token: 'secret', WebSocket: FakeSocket, reconnectMinMs: 2, reconnectMaxMs: 10, ...more });
}

/** A client whose first connection is up. */
async function connected(more: Partial<Options> = {}): Promise<{ hub: Waggle; socket: FakeSocket }> {
  const hub = client(more);
  const entered = hub.connect();
  await until(() => FakeSocket.made.length === 1, 'the socket');
  FakeSocket.last.admit();
  await entered;
  return { hub, socket: FakeSocket.last };
}

/** The next connection, admitted. */
async function back(after: number): Promise<FakeSocket> {
  await until(() => FakeSocket.made.length > after, 'the next attempt');
  FakeSocket.last.admit();
  return FakeSocket.last;
}

function answerSubscribe(socket: FakeSocket, position: Record<string, unknown> = { epoch: 'e', offset: 0 }): any {
  const frame = socket.take('subscribe');
  socket.say({
    type: 'subscribed',
    id: frame.id,
    channels: frame.channels.map((one: any) => ({ channel: one.channel, ...position })),
  });
  return frame;
}

const event = (offset: number, channel = 'news', data: unknown = offset) => ({ type: 'event', channel, event: 'x', data, offset, time: '' });

test('an http address becomes the endpoint of the native protocol', async () => {
  const { hub, socket } = await connected();
  assert.equal(socket.url, 'ws://hub.test:8000/ws/v1/events');
  hub.close();
  FakeSocket.made = [];
  const other = client({ url: 'wss://hub.test/elsewhere' });
  void other.connect().catch(() => {});
  await turn();
  assert.equal(FakeSocket.last.url, 'wss://hub.test/elsewhere');
  other.close();
});

test('the token travels as a frame and never in the address', async () => {
  const hub = client();
  void hub.connect().catch(() => {});
  await turn();
  FakeSocket.last.accept();
  assert.equal(FakeSocket.last.sent[0].type, 'auth');
  assert.equal(FakeSocket.last.sent[0].token, 'secret');
  assert.ok(!FakeSocket.last.url.includes('secret'));
  hub.close();
});

test('connected means welcomed and admitted, in either order', async () => {
  const hub = client();
  const entered = hub.connect();
  await turn();
  const socket = FakeSocket.last;
  socket.accept();
  const { id } = socket.take('auth');
  socket.say({ type: 'authenticated', id });
  assert.equal(hub.state, 'connecting');
  socket.say({ type: 'welcome', heartbeat_s: 25, connection: 'c' });
  assert.equal((await entered).connection, 'c');
  assert.equal(hub.state, 'open');
  hub.close();
});

test('a refused token fails and is not tried again', async () => {
  const hub = client();
  const entered = hub.connect();
  await turn();
  const socket = FakeSocket.last;
  socket.accept();
  socket.say({ type: 'error', id: socket.take('auth').id, code: 'unauthorised', message: 'no' });
  await assert.rejects(entered, ConnectionLost);
  assert.equal(hub.state, 'failed');
  await turn(30);
  assert.equal(FakeSocket.made.length, 1);
});

test('what the hub refuses rejects with its code, status and channel', async () => {
  const { hub, socket } = await connected();
  const called = hub.call('agents.get', { agent_id: 'x' });
  const frame = socket.take('call');
  assert.deepEqual([frame.method, frame.params], ['agents.get', { agent_id: 'x' }]);
  socket.say({ type: 'error', id: frame.id, code: 'not_found', status: 404, message: 'Agent x not found', channel: 'c' });
  await assert.rejects(called, (error: HubError) => error.code === 'not_found' && error.status === 404 && error.channel === 'c');
  hub.close();
});

test('answers find their questions whatever their order', async () => {
  const { hub, socket } = await connected();
  const [a, b] = [hub.call('one'), hub.call('two')];
  const [first, second] = socket.sent.filter((frame) => frame.type === 'call');
  socket.say({ type: 'result', id: second.id, result: 2 });
  socket.say({ type: 'result', id: first.id, result: 1 });
  assert.deepEqual(await Promise.all([a, b]), [1, 2]);
  hub.close();
});

test('subscriptions of one turn go in one frame', async () => {
  const { hub, socket } = await connected();
  for (const name of ['a', 'b', 'c']) hub.subscribe(name, () => {});
  await turn();
  const frame = answerSubscribe(socket);
  assert.deepEqual(frame.channels.map((one: any) => one.channel), ['a', 'b', 'c']);
  assert.equal(socket.take('subscribe'), undefined);
  hub.close();
});

test('of several channels the refused one says so and the others go on', async () => {
  const { hub, socket } = await connected();
  const good = hub.subscribe('good', () => {});
  const bad = hub.subscribe('private-bad', () => {});
  await turn();
  const frame = socket.take('subscribe');
  socket.say({ type: 'error', id: frame.id, code: 'forbidden', status: 403, message: 'no', channel: 'private-bad' });
  socket.say({ type: 'subscribed', id: frame.id, channels: [{ channel: 'good', epoch: 'e', offset: 0 }] });
  assert.equal((await good.ready).channel, 'good');
  await assert.rejects(bad.ready, HubError);
  socket.drop();
  const next = await back(1);
  assert.deepEqual(next.take('subscribe').channels.map((one: any) => one.channel), ['good']);
  hub.close();
});

test('after a break it resumes from the last event it saw, and sees none twice', async () => {
  const { hub, socket } = await connected();
  const seen: number[] = [];
  const news = hub.subscribe('news', (one) => seen.push(one.offset!));
  await turn();
  answerSubscribe(socket, { epoch: 'e', offset: 10 });
  socket.say(event(11));
  socket.say(event(12));
  socket.drop();
  const next = await back(1);
  const frame = answerSubscribe(next, { epoch: 'e', offset: 14, recovered: true });
  assert.deepEqual(frame.channels, [{ channel: 'news', since: { epoch: 'e', offset: 12 } }]);
  for (const offset of [12, 13, 14, 15]) next.say(event(offset));
  assert.deepEqual(seen, [11, 12, 13, 14, 15]);
  assert.deepEqual(news.position, { epoch: 'e', offset: 15 });
  hub.close();
});

test('a subscriber that saw nothing resumes from what subscribed told it', async () => {
  const { hub, socket } = await connected();
  hub.subscribe('news', () => {});
  await turn();
  answerSubscribe(socket, { epoch: 'e', offset: 7 });
  socket.drop();
  const next = await back(1);
  assert.deepEqual(next.take('subscribe').channels[0].since, { epoch: 'e', offset: 7 });
  hub.close();
});

test('a break before the replay came asks for the same replay again', async () => {
  const { hub, socket } = await connected();
  hub.subscribe('news', () => {}, { rewind: 5 });
  await turn();
  assert.deepEqual(answerSubscribe(socket, { epoch: 'e', offset: 9 }).channels[0], { channel: 'news', rewind: 5 });
  socket.drop();
  const next = await back(1);
  assert.deepEqual(next.take('subscribe').channels[0], { channel: 'news', rewind: 5 });
  hub.close();
});

test('the newest event that a latest channel brings unasked is delivered', async () => {
  const { hub, socket } = await connected();
  const seen: number[] = [];
  hub.subscribe('cache-state', (one) => seen.push(one.offset!));
  await turn();
  answerSubscribe(socket, { epoch: 'e', offset: 9 });
  socket.say(event(9, 'cache-state'));
  assert.deepEqual(seen, [9]);
  hub.close();
});

test('another epoch is another life: its replay is delivered and not compared', async () => {
  const { hub, socket } = await connected();
  const seen: unknown[] = [];
  const told: unknown[] = [];
  hub.subscribe('news', { onEvent: (one) => seen.push(one.data), onSubscribed: (one) => told.push(one.recovered) });
  await turn();
  answerSubscribe(socket, { epoch: 'e', offset: 50 });
  socket.say(event(51));
  socket.drop();
  const next = await back(1);
  answerSubscribe(next, { epoch: 'f', offset: 2, recovered: false });
  next.say(event(1, 'news', 'new 1'));
  next.say(event(2, 'news', 'new 2'));
  assert.deepEqual(seen, [51, 'new 1', 'new 2']);
  assert.deepEqual(told, [undefined, false]);
  hub.close();
});

test('a gap is reported and moves the position', async () => {
  const { hub, socket } = await connected();
  const gaps: unknown[] = [];
  const news = hub.subscribe('news', { onGap: (gap) => gaps.push([gap.from, gap.to]) }, { since: { epoch: 'e', offset: 3 } });
  await turn();
  answerSubscribe(socket, { epoch: 'e', offset: 40, recovered: false });
  socket.say({ type: 'gap', channel: 'news', from: 4, to: 30, reason: 'trimmed', count: 27 });
  assert.deepEqual(gaps, [[4, 30]]);
  assert.deepEqual(news.position, { epoch: 'e', offset: 30 });
  hub.close();
});

test('a publish without its answer is sent again under the same key, and answered once', async () => {
  const { hub, socket } = await connected();
  const published = hub.publish('news', 'x', 1);
  const first = socket.take('publish');
  assert.ok(first.key);
  socket.drop();
  const next = await back(1);
  const second = next.take('publish');
  assert.deepEqual(second, first);
  next.say({ type: 'published', id: second.id, channel: 'news', offset: 4, epoch: 'e' });
  assert.equal((await published).offset, 4);
  next.drop();
  const third = await back(2);
  assert.equal(third.take('publish'), undefined);
  hub.close();
});

test('no two publishes share a minted key', async () => {
  const { hub, socket } = await connected();
  for (let i = 0; i < 50; i++) hub.publish('news', 'x', i).catch(() => {});
  assert.equal(new Set(socket.sent.filter((one) => one.type === 'publish').map((one) => one.key)).size, 50);
  hub.close();
});

test('what is asked while the connection is down is sent when it is up', async () => {
  const { hub, socket } = await connected();
  socket.drop();
  const called = hub.call('agents.list');
  const next = await back(1);
  const frame = next.take('call');
  next.say({ type: 'result', id: frame.id, result: [] });
  assert.deepEqual(await called, []);
  hub.close();
});

test('a call under way fails when the connection breaks, an idempotent one is repeated', async () => {
  const { hub, socket } = await connected();
  const once = hub.call('tasks.submit');
  const twice = hub.call('agents.heartbeat', {}, { idempotent: true });
  socket.drop();
  await assert.rejects(once, ConnectionLost);
  const next = await back(1);
  const frame = next.take('call');
  assert.equal(frame.method, 'agents.heartbeat');
  next.say({ type: 'result', id: frame.id, result: 'ok' });
  assert.equal(await twice, 'ok');
  hub.close();
});

test('no answer in time is an error of its own', async () => {
  const { hub } = await connected({ timeoutMs: 10 });
  await assert.rejects(hub.call('slow'), TimedOut);
  hub.close();
});

test('send on a live channel needs no answer and is dropped without a connection', async () => {
  const { hub, socket } = await connected();
  assert.equal(hub.send('live.mouse', 'move', { x: 1 }), true);
  const frame = socket.take('publish');
  assert.equal(frame.id, undefined);
  assert.equal(frame.key, undefined);
  socket.drop();
  assert.equal(hub.send('live.mouse', 'move', { x: 2 }), false);
  hub.close();
});

test('goodbye says when to come back', async () => {
  const { hub, socket } = await connected({ reconnectMinMs: 5_000, reconnectMaxMs: 60_000 });
  const pauses: unknown[] = [];
  hub.on('state', ({ state, retryMs }) => state === 'waiting' && pauses.push(retryMs));
  socket.say({ type: 'goodbye', reason: 'drain', reconnect_after_ms: 7 });
  socket.drop(1001);
  const next = await back(1);
  assert.deepEqual(pauses, [7]);
  next.drop(1006);
  assert.ok((pauses[1] as number) >= 2_500, 'the next break is not a goodbye any more');
  hub.close();
});

test('superseded and expired end it; any other close is retried', async () => {
  for (const [code, state] of [[4010, 'failed'], [4009, 'failed'], [4100, 'waiting'], [4101, 'waiting'], [1006, 'waiting'], [1001, 'waiting']] as const) {
    FakeSocket.made = [];
    const { hub, socket } = await connected();
    socket.drop(code);
    assert.equal(hub.state, state, String(code));
    hub.close();
  }
});

test('a token that is fetched anew is fetched for every attempt and before expiry', async () => {
  let n = 0;
  const hub = client({ token: async () => `t${++n}` });
  const entered = hub.connect();
  await until(() => FakeSocket.made.length === 1);
  FakeSocket.last.accept();
  const socket = FakeSocket.last;
  assert.equal(socket.sent[0].token, 't1');
  socket.admit();
  await entered;
  socket.say({ type: 'token_expiring', at: '' });
  await until(() => socket.sent.some((frame) => frame.type === 'auth'));
  const renewal = socket.take('auth');
  assert.equal(renewal.token, 't2');
  socket.say({ type: 'authenticated', id: renewal.id });
  socket.drop(4009);
  await until(() => FakeSocket.made.length === 2);
  FakeSocket.last.accept();
  assert.equal(FakeSocket.last.sent[0].token, 't3');
  hub.close();
});

test('a token that cannot be fetched is tried again', async () => {
  let n = 0;
  const hub = client({ token: () => (++n < 3 ? Promise.reject(new Error('offline')) : 'good') });
  const entered = hub.connect();
  await until(() => FakeSocket.made.length === 1);
  FakeSocket.last.admit();
  await entered;
  assert.equal(n, 3);
  hub.close();
});

test('members follow who joins, leaves and changes', async () => {
  const { hub, socket } = await connected();
  const room = hub.subscribe('room', {}, { presence: { name: 'me' } });
  await turn();
  const frame = answerSubscribe(socket, { epoch: 'e', offset: 0, members: [{ id: 'me', info: { name: 'me' } }] });
  assert.deepEqual(frame.channels[0].presence, { name: 'me' });
  socket.say({ type: 'joined', channel: 'room', member: { id: 'ann', info: 1 }, offset: 1 });
  socket.say({ type: 'updated', channel: 'room', member: { id: 'ann', info: 2 }, offset: 2 });
  assert.deepEqual([...room.members.values()].map((one) => [one.id, one.info]), [['me', { name: 'me' }], ['ann', 2]]);
  socket.say({ type: 'left', channel: 'room', member: { id: 'ann', info: 2 }, offset: 3 });
  assert.deepEqual([...room.members.keys()], ['me']);
  hub.close();
});

test('a pattern hears every channel it names, once', async () => {
  const { hub, socket } = await connected();
  const heard: string[] = [];
  hub.subscribe('agent.*', (one) => heard.push(`${one.channel} ${one.offset}`));
  await turn();
  answerSubscribe(socket, {});
  socket.say(event(1, 'agent.a'));
  socket.say(event(1, 'agent.b'));
  socket.say(event(1, 'agent.a'));
  socket.say(event(2, 'agent.a'));
  socket.say(event(1, 'agent.a.b'));
  assert.deepEqual(heard, ['agent.a 1', 'agent.b 1', 'agent.a 2']);
  hub.close();
});

test('two subscriptions to one channel are one on the wire, and the last to leave unsubscribes', async () => {
  const { hub, socket } = await connected();
  const heard: string[] = [];
  const a = hub.subscribe('news', () => heard.push('a'));
  const b = hub.subscribe('news', () => heard.push('b'));
  await turn();
  assert.equal(answerSubscribe(socket).channels.length, 1);
  socket.say(event(1));
  a.unsubscribe();
  assert.equal(socket.take('unsubscribe'), undefined);
  socket.say(event(2));
  b.unsubscribe();
  assert.deepEqual(socket.take('unsubscribe').channels, ['news']);
  assert.deepEqual(heard, ['a', 'b', 'b']);
  hub.close();
});

test('a listener that throws costs no other its event', async () => {
  const { hub, socket } = await connected();
  const caught: Error[] = [];
  const heard: number[] = [];
  const keep = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => caught.push(error));
  hub.subscribe('news', () => {
    throw new Error('mine');
  });
  hub.subscribe('news', (one) => heard.push(one.offset!));
  await turn();
  answerSubscribe(socket);
  socket.say(event(1));
  await turn(5);
  for (const listener of keep) process.on('uncaughtException', listener);
  assert.deepEqual(heard, [1]);
  assert.equal(caught[0]?.message, 'mine');
  hub.close();
});

test('a hub that never answers is given up and tried again', async () => {
  const hub = client({ connectTimeoutMs: 10 });
  void hub.connect().catch(() => {});
  await until(() => FakeSocket.made.length >= 2, 'a second attempt');
  hub.close();
});

test('close rejects what waits and leaves no timer behind', async () => {
  const { hub, socket } = await connected();
  const called = hub.call('x');
  hub.close();
  await assert.rejects(called, ConnectionLost);
  assert.equal(socket.closedWith, 1000);
  await turn(30);
  assert.equal(FakeSocket.made.length, 1);
  await assert.rejects(hub.call('y'), ConnectionLost);
});

test('without any WebSocket the reason is said', () => {
  const had = (globalThis as any).WebSocket;
  (globalThis as any).WebSocket = undefined;
  try {
    assert.throws(() => new Waggle({ url: 'http://x' }), /options\.WebSocket/);
  } finally {
    (globalThis as any).WebSocket = had;
  }
});

test('pauses double up to the longest, spread, and begin anew after success', () => {
  const full = new Backoff(100, 1_000, () => 1);
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => full.next()), [100, 200, 400, 800, 1_000, 1_000]);
  full.reset();
  assert.equal(full.next(), 100);
  const none = new Backoff(100, 1_000, () => 0);
  assert.equal(none.next(), 50, 'never zero');
});

test('patterns match by segment', () => {
  for (const [pattern, name, fits] of [
    ['a.*', 'a.b', true], ['a.*', 'a', false], ['a.*', 'a.b.c', false], ['a.>', 'a.b.c', true], ['a.>', 'a', false],
    ['>', 'x.y', true], ['*.b', 'a.b', true], ['a', 'a', true], ['a', 'b', false], ['*', 'a', true], ['*', 'a.b', false],
  ] as const) {
    assert.equal(matches(pattern, name), fits, `${pattern} ~ ${name}`);
  }
});
