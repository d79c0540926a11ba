// Starting, stopping, reloading; and a command line that says what is wrong with it.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { runBinary, startHub, until } from './lib/hub.mjs';
import { Raw } from './lib/raw.mjs';
import { numbers, story } from './lib/story.mjs';

const scratch = mkdtempSync(join(tmpdir(), 'waggle-wire-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

story('stdout has one line, ready and where, and it is true', async () => {
  const hub = await startHub();
  assert.match(hub.stdout, /^ready http:\/\/127\.0\.0\.1:\d+\n$/);
  assert.equal((await hub.get('/ready')).status, 200);
  await hub.stop();
});

story('SIGTERM says goodbye with a spread of times to come back, closes with 1001 and exits 0', async () => {
  const hub = await startHub();
  const bees = await Promise.all(numbers(40).map(() => hub.connect()));
  await Promise.all(bees.map((bee) => bee.subscribe('news')));
  hub.signal('SIGTERM');
  const goodbyes = await Promise.all(bees.map((bee) => bee.next('goodbye', { timeout: 10_000 })));
  for (const goodbye of goodbyes) {
    assert.equal(typeof goodbye.reason, 'string');
    assert.ok(goodbye.reconnect_after_ms >= 0);
  }
  assert.ok(new Set(goodbyes.map((goodbye) => goodbye.reconnect_after_ms)).size > 5, 'the times are spread');
  for (const { code } of await Promise.all(bees.map((bee) => bee.closed))) assert.equal(code, 1001);
  assert.deepEqual(await hub.exited(), { code: 0, signal: null });
  await hub.stop();
});

story('what was acknowledged before SIGTERM is there afterwards, and what is under way is answered or lost, never half', async () => {
  const hub = await startHub();
  const bee = await hub.connect();
  const answers = [];
  bee.socket.on('message', (text) => {
    const frame = JSON.parse(text);
    if (frame.type === 'published') answers.push(frame.offset);
  });
  for (const i of numbers(500)) bee.send({ type: 'publish', id: i, channel: 'news', event: 'x', data: i });
  await until(() => answers.length > 0);
  const { code } = await hub.terminate();
  assert.equal(code, 0);
  await bee.closed;
  await hub.restart();
  const { body } = await hub.get('/api/v1/channels/news');
  assert.ok(body.offset >= Math.max(...answers));
  await hub.stop();
});

story('a request under way at SIGTERM is answered', async () => {
  const hub = await startHub();
  await hub.post('/api/v1/channels/news/events', { event: 'x', data: 1 });
  const waiting = hub.get('/api/v1/channels/news/events?since=1&wait=20');
  await new Promise((resolve) => setTimeout(resolve, 200));
  hub.signal('SIGTERM');
  assert.ok([200, 503].includes((await waiting).status));
  assert.equal((await hub.exited()).code, 0);
  await hub.stop();
});

story('whoever keeps a connection alive does not keep the hub: idle ones go with the drain, stuck ones soon after', async () => {
  const hub = await startHub({ config: { hub: { drain: '200ms' } } });
  const idle = new Raw(hub);
  await idle.send('GET /health HTTP/1.1\r\nHost: hub\r\n\r\n');
  await idle.until((bytes) => bytes.includes('healthy'));
  const ended = async (raw, timeout) => {
    const started = Date.now();
    hub.signal('SIGTERM');
    assert.equal((await hub.exited()).code, 0);
    assert.ok(Date.now() - started < timeout, `${Date.now() - started} ms`);
    await raw.destroy();
  };
  await ended(idle, 3_000); // its peer answers the end with its own
  await hub.restart();
  const stuck = new Raw(hub);
  await stuck.send('GET /health HTTP/1.1\r\nHost'); // has ten seconds for its head
  await new Promise((resolve) => setTimeout(resolve, 100));
  await ended(stuck, 7_000);
  await hub.stop();
});

story('SIGINT ends it like SIGTERM', async () => {
  const hub = await startHub();
  hub.signal('SIGINT');
  assert.equal((await hub.exited()).code, 0);
  await hub.stop();
});

story('SIGHUP reads the config again and keeps every socket', async () => {
  const hub = await startHub({ config: { hub: { origins: ['http://localhost:3000'] } } });
  const bee = await hub.connect();
  await bee.subscribe('news');
  const origin = 'http://dash.example';
  assert.equal((await hub.get('/health', { headers: { origin } })).headers['access-control-allow-origin'], undefined);
  hub.writeConfig({ hub: { origins: ['http://localhost:3000', origin] } });
  hub.signal('SIGHUP');
  await until(async () => (await hub.get('/health', { headers: { origin } })).headers['access-control-allow-origin'] === origin,
    { what: 'the new origin' });
  await hub.post('/api/v1/channels/news/events', { event: 'x', data: 1 });
  assert.equal((await bee.next('event')).data, 1);

  // A config that does not stand is named in the log and changes nothing.
  writeFileSync(hub.configFile, '[hub]\nno_such_key = 1\n');
  hub.signal('SIGHUP');
  await until(() => /no_such_key/.test(hub.logs), { what: 'the complaint' });
  assert.equal((await hub.get('/health', { headers: { origin } })).headers['access-control-allow-origin'], origin);
  await bee.barrier();
  await bee.close();
  await hub.stop();
});

story('what a new config changes and a running hub cannot take is named', async () => {
  const hub = await startHub({ config: { hub: { drain: '1s' } } });
  hub.writeConfig({ hub: { web: '/elsewhere', drain: '2s' }, store: { keys_max: 5000 } });
  hub.signal('SIGHUP');
  await until(() => /event=needs_restart/.test(hub.logs), { what: 'the warning' });
  assert.match(hub.logs, /event=needs_restart keys=(\S+,)?hub\.web,(\S+,)?store\.keys_max(,\S+)?$/m);
  assert.doesNotMatch(hub.logs, /needs_restart.*hub\.drain/);
  // A sentence with quotes in it is still one field of its line.
  writeFileSync(hub.configFile, '[hub\n');
  hub.signal('SIGHUP');
  await until(() => /reload_refused/.test(hub.logs), { what: 'the complaint' });
  assert.match(hub.logs, /event=reload_refused detail="[^"]*\\"\[hub\\" is no \[section\]"$/m);
  await hub.stop();
});

for (const [what, args, says] of [
  ['an unknown flag', ['--no-such-flag'], /no-such-flag/],
  ['a flag without its value', ['--listen'], /listen/],
  ['an address that is none', ['--listen', 'nowhere'], /nowhere/],
  ['a port past 65535', ['--listen', '127.0.0.1:70000'], /70000/],
  ['a role that is none', ['--anonymous-role', 'emperor'], /emperor/],
  ['an app of the wrong form', ['--app', 'only-an-id'], /app/],
]) {
  story(`${what} is bad usage: exit 2 and the flag is named`, async () => {
    const { code, stdout, stderr } = await runBinary(['--data', join(scratch, 'usage'), ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, says);
    assert.equal(stdout, '');
  });
}

for (const [what, text, line] of [
  ['an unknown key', '[agents]\nheartbeat_timeout_ms = 1000\nno_such_key = 1\n', 3],
  ['an unknown section', '# a comment\n\n[no_such_section]\nx = 1\n', '[34]'],
  ['a value of the wrong kind', '[agents]\nheartbeat_timeout_ms = soon\n', 2],
  ['a line that is no line', '[agents]\njust words\n', 2],
]) {
  story(`a config with ${what} exits 2 and names the line`, async () => {
    const file = join(scratch, 'bad.conf');
    writeFileSync(file, text);
    for (const args of [['--check-config', '--config', file], ['--listen', '127.0.0.1:0', '--data', join(scratch, 'c'), '--config', file]]) {
      const { code, stderr, stdout } = await runBinary(args);
      assert.equal(code, 2, `${args[0]}: ${stderr}`);
      assert.match(stderr, new RegExp(`bad\\.conf:${line}\\b`));
      assert.ok(!/ready/.test(stdout));
    }
  });
}

story('a web folder that is not there is named in the log', async () => {
  const hub = await startHub({ args: ['--web', join(scratch, 'no-such-folder')] });
  assert.match(hub.logs, /event=no_web folder=\S+no-such-folder detail="hub\.web: No such file or directory"/);
  await hub.stop();
});

story('a folder is no config', async () => {
  const { code, stderr } = await runBinary(['--check-config', '--config', scratch]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /Is a directory/);
});

story('a first start that fails has told the admin key that it made', async () => {
  const taken = createServer();
  await new Promise((done) => taken.listen(0, '127.0.0.1', done));
  const data = join(scratch, 'second-try');
  const { code, stderr } = await runBinary(['--listen', `127.0.0.1:${taken.address().port}`, '--data', data]);
  taken.close();
  assert.equal(code, 1, stderr);
  assert.match(stderr, /Address already in use/);
  const [, key] = /admin API key (wg_main_\w+)/.exec(stderr);
  assert.equal(readFileSync(join(data, 'admin.key'), 'utf8').trim(), key);
});

story('a unix address takes the place of a dead socket, not of a file and not of a live program', async () => {
  const [file, live] = [join(scratch, 'a-file'), join(scratch, 'live.sock')];
  writeFileSync(file, 'kept');
  const other = createServer();
  await new Promise((done) => other.listen(live, done));
  other.unref();
  for (const path of [file, live]) {
    const { code, stderr } = await runBinary(['--listen', `unix:${path}`, '--data', join(scratch, 'u')]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /Address already in use/);
    assert.ok(existsSync(path), path);
  }
  other.close();
  assert.equal(readFileSync(file, 'utf8'), 'kept');
  const dead = join(scratch, 'dead.sock');
  const killed = await startHub({ args: ['--listen', `unix:${dead}`] });
  killed.signal('SIGKILL');
  await killed.exited();
  assert.ok(existsSync(dead));
  const next = await startHub({ args: ['--listen', `unix:${dead}`] });
  await next.stop();
  await killed.stop();
});

story('a good config is found good', async () => {
  const file = join(scratch, 'good.conf');
  writeFileSync(file, '# all is well\n[agents]\nheartbeat_timeout_ms = 1000\n');
  assert.equal((await runBinary(['--check-config', '--config', file])).code, 0);
});

story('--help lists the flags and --version names one', async () => {
  const help = await runBinary(['--help']);
  assert.equal(help.code, 0);
  for (const flag of ['--listen', '--data', '--anonymous-role', '--admin-key', '--app', '--trust-jwks', '--config', '--check-config']) {
    assert.ok(help.stdout.includes(flag), flag);
  }
  const version = await runBinary(['--version']);
  assert.equal(version.code, 0);
  assert.match(version.stdout, /\d+\.\d+\.\d+/);
});

story('what cannot be opened exits 1 and is named', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address();
  taken.unref();
  const busy = await runBinary(['--listen', `127.0.0.1:${port}`, '--data', join(scratch, 'busy')]);
  taken.close();
  assert.equal(busy.code, 1, busy.stderr);
  assert.match(busy.stderr, new RegExp(String(port)));

  const file = join(scratch, 'a-file');
  writeFileSync(file, 'not a directory');
  const noDir = await runBinary(['--listen', '127.0.0.1:0', '--data', file]);
  assert.equal(noDir.code, 1);
  assert.match(noDir.stderr, /a-file/);
});

story('two hubs never share a directory', async () => {
  const hub = await startHub();
  const second = await runBinary(['--listen', '127.0.0.1:0', '--data', hub.data]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /lock|in use|another/i);
  await hub.stop();
});

story('several addresses serve one hub, IPv6 and a unix socket too', async () => {
  const hub = await startHub({ args: ['--listen', '[::1]:0', '--listen', `unix:${join(scratch, 'hub.sock')}`] });
  assert.match(hub.stdout, /^ready http:\/\/127\.0\.0\.1:\d+\n$/, 'the first address is the one told');
  const { request, Agent } = await import('undici');
  const dispatcher = new Agent({ connect: { socketPath: join(scratch, 'hub.sock') } });
  const answer = await request('http://localhost/health', { dispatcher });
  assert.equal(answer.statusCode, 200);
  await answer.body.dump();
  await dispatcher.destroy();
  await hub.stop();
});
