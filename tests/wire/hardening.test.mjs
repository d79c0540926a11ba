// What an attacker who reads logs, files, cores or the process table finds: nothing. And what the
// operator's page says is what the hub does.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binary, sleep, startHub } from './lib/hub.mjs';
import { between, current, page } from './lib/limits.mjs';
import { fresh, story } from './lib/story.mjs';

const house = fileURLToPath(new URL('../../', import.meta.url));
const isRoot = process.getuid() === 0;
const sanitized = /asan|tsan/.test(process.env.WAGGLED ?? '');

const modes = (dir) => readdirSync(dir).map((name) => {
  const { mode, uid } = statSync(join(dir, name));
  return { name, open: mode & 0o077, uid };
});

story('everything in the data directory is its owner\'s alone', async () => {
  const hub = await startHub({ adminKey: null });
  const files = modes(hub.data);
  assert.ok(files.length >= 3, 'store, lock and keys are there');
  assert.deepEqual(files.filter(({ open }) => open), [], 'files that others may read');
  assert.equal(statSync(hub.data).mode & 0o077, 0, 'nor may they look into the directory');
  await hub.stop();
});

story('started as root, the hub goes on as its user once the listeners are open', async () => {
  const uid = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }));
  const dir = mkdtempSync(join(tmpdir(), 'waggle-user-'));
  execFileSync('chmod', ['711', dir]);
  const hub = await startHub({ dir, args: ['--user', 'nobody'] });
  for (const task of readdirSync(`/proc/${hub.pid}/task`)) {
    const status = readFileSync(`/proc/${hub.pid}/task/${task}/status`, 'utf8');
    const ids = /^Uid:\s+(.*)$/m.exec(status)[1].split('\t').map(Number);
    assert.deepEqual(ids, [uid, uid, uid, uid], `thread ${/^Name:\s+(.*)$/m.exec(status)[1]}`);
    assert.match(status, /^CapEff:\s+0+$/m, 'no capability is left');
    assert.match(status, /^CapPrm:\s+0+$/m);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
  }
  assert.deepEqual(modes(hub.data).filter((file) => file.uid !== uid), [], 'its files are the user\'s');
  // What needs to write there goes on working, and the next start may be the user's own.
  const bee = await hub.connect();
  await bee.call('auth.rotate', {});
  await bee.publish(fresh('kept'), 'x', 1);
  await hub.stop();
  rmSync(dir, { recursive: true, force: true });
}, { skip: isRoot ? false : 'dropping privileges is for root' });

story('a user that does not exist is named, and nothing is served', () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-user-'));
  const args = ['--listen', '127.0.0.1:0', '--data', join(dir, 'data'), '--user', 'nobody-of-this-name'];
  const end = spawnSync(binary, args, { encoding: 'utf8', timeout: 20_000 });
  assert.equal(end.status, 1);
  assert.match(end.stderr, /process\.user: there is no user nobody-of-this-name/);
  assert.equal(end.stdout, '');
  rmSync(dir, { recursive: true, force: true });
}, { skip: isRoot ? false : 'dropping privileges is for root' });

/** One request written by hand, with a target that no client library would send. */
const raw = (hub, text) => new Promise((resolve) => {
  let got = '';
  const socket = connect(Number(new URL(hub.url).port), '127.0.0.1', () => socket.write(text));
  socket.setEncoding('utf8');
  socket.on('data', (bytes) => (got += bytes));
  socket.on('close', () => resolve(got));
  socket.on('error', () => resolve(got));
});

story('no secret stands in a log line or an answer to somebody else', async () => {
  const planted = {
    adminKey: 'planted-admin-key-5f1c0a7be2d94c11',
    appSecret: 'planted-app-secret-77aa01',
    wrongKey: 'planted-wrong-key-0badc0de',
    body: 'planted-in-a-body-31337',
  };
  const hub = await startHub({
    adminKey: planted.adminKey,
    args: ['--app', `other:otherkey:${planted.appSecret}`, '--log-level', 'info'],
  });
  const { token } = await hub.mint({ sub: 'bee', role: 'agent', ttl_s: 60 });
  const made = await hub.post('/api/v1/auth/keys', { name: 'k', role: 'agent' });
  const secrets = [...Object.values(planted), token, token.split('.')[2], made.body?.key].filter(Boolean);

  const answers = [];
  for (const secret of [planted.wrongKey, `${token.slice(0, -4)}AAAA`, token]) {
    answers.push((await hub.get('/agents', { token: secret })).text);
    answers.push((await hub.get(`/nowhere?token=${secret}`, { token: null })).text);
    answers.push((await hub.get(`/agents?token=${secret}&limit=none`, { token: null })).text);
    answers.push(await raw(hub, `GET /agents?token=${secret} HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n`));
    answers.push(await raw(hub, `GET /agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${secret}\r\nContent-Length: x\r\n\r\n`));
    for (const via of ['header', 'query', 'frame']) {
      await hub.connect({ token: secret, via }).then((bee) => bee.close(), () => {});
    }
  }
  answers.push((await hub.post('/api/v1/auth/tokens', { sub: planted.body, role: 'nobody' }, { token: planted.wrongKey })).text);
  const bee = await hub.connect();
  await bee.publish(fresh('quiet'), 'x', { secret: planted.body });
  await bee.call('agents.get', { agent_id: planted.wrongKey }).catch(() => {});
  hub.signal('SIGHUP');
  await sleep(200);
  const metrics = (await hub.get('/metrics')).text;
  await hub.stop();
  for (const secret of secrets) {
    assert.ok(!hub.logs.includes(secret), `a log line shows ${secret}:\n${hub.logs}`);
    assert.ok(!metrics.includes(secret), `/metrics shows ${secret}`);
    assert.equal(answers.findIndex((text) => text.includes(secret)), -1, `an answer shows ${secret}`);
  }
});

story('a crash leaves no core, and others of the same user cannot look inside', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-core-'));
  const hub = await startHub({ dir, within: ['sh', '-c', `ulimit -c unlimited; cd ${dir} && exec "$@"`, 'sh'] });
  const limits = readFileSync(`/proc/${hub.pid}/limits`, 'utf8');
  assert.match(limits, /^Max core file size\s+0\s+0\s/m);
  if (isRoot) {
    // Owned by root, whoever runs it: the mark of a process that may not be dumped or traced.
    const traced = spawnSync('setpriv', ['--reuid=nobody', '--clear-groups', 'cat', `/proc/${hub.pid}/environ`], { encoding: 'utf8' });
    assert.notEqual(traced.status, 0);
  }
  hub.signal('SIGSEGV');
  assert.equal((await hub.exited()).signal, 'SIGSEGV');
  assert.deepEqual(readdirSync(dir).filter((name) => name.startsWith('core')), []);
  rmSync(dir, { recursive: true, force: true });
}, { skip: sanitized ? 'sanitizers catch the signal' : false });

story('the systemd unit is well formed, and exposes little', () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-unit-'));
  const unit = join(dir, 'waggle.service');
  execFileSync('sh', ['-c', `sed s#/usr/local/bin/waggled#/bin/true# '${join(house, 'deploy/waggle.service')}' >'${unit}'`]);
  const verified = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
  assert.equal(verified.status, 0, verified.stderr);
  const exposed = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit], { encoding: 'utf8' });
  assert.equal(exposed.status, 0, exposed.stdout + exposed.stderr);
  console.log(`hardening: ${exposed.stdout.trim().split('\n').at(-1).replace(/^\W+/, '')}`);
  rmSync(dir, { recursive: true, force: true });
}, { skip: existsSync('/usr/bin/systemd-analyze') ? false : 'systemd-analyze is not here' });

story('the image runs as nobody in particular, on a root that is read only', () => {
  const image = readFileSync(join(house, 'deploy/Dockerfile'), 'utf8');
  const last = image.slice(image.lastIndexOf('\nFROM '));
  const user = /^USER (\S+)$/m.exec(last)?.[1];
  assert.ok(user && user !== 'root' && user !== '0', 'the last stage names a user');
  assert.ok(last.indexOf('\nUSER ') < last.indexOf('\nENTRYPOINT '), '… before it starts anything');
  assert.ok(!/^ADD\s/m.test(image), 'nothing is fetched by ADD');
  assert.deepEqual(last.match(/^VOLUME .*$/gm), ['VOLUME /data'], 'one place is written to');
  const compose = readFileSync(join(house, 'deploy/compose.yaml'), 'utf8');
  for (const line of ['read_only: true', 'cap_drop: [ALL]', 'no-new-privileges:true']) assert.ok(compose.includes(line), line);
});

story('docs/operations.md lists every key with the default that the hub has', () => {
  assert.equal(between(readFileSync(page, 'utf8')), current(),
    'the table is another: node tests/wire/lib/limits.mjs --write');
});

story('every metric that docs/operations.md explains is one that the hub has', async () => {
  const hub = await startHub();
  const metrics = (await hub.get('/metrics')).text;
  const named = new Set(readFileSync(page, 'utf8').match(/\bwaggle_[a-z_]+\b/g));
  assert.ok(named.size > 5);
  for (const name of named) assert.ok(metrics.includes(name), `${name} is not in /metrics`);
  await hub.stop();
});
