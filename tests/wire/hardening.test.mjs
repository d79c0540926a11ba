// What an attacker who reads logs, files, cores or the process table finds: nothing. And what the
// operator's page says is what the hub does.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binary, runBinary, sleep, startHub, until } from './lib/hub.mjs';
import { between, current, page } from './lib/limits.mjs';
import { fresh, story } from './lib/story.mjs';

const house = fileURLToPath(new URL('../../', import.meta.url));
const isRoot = process.getuid() === 0;
const { EPERM, ENOSYS } = constants.errno;
const sanitized = /asan|tsan/.test(process.env.WAGGLED ?? '');

/** Everything below a folder: what others may do with it, and whose it is. */
const modes = (dir) => readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
  const path = join(dir, entry.name);
  const { mode, uid } = statSync(path);
  return [{ path, open: mode & 0o077, uid }, ...(entry.isDirectory() ? modes(path) : [])];
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
  chmodSync(dir, 0o755); // it is synced with the data directory in it
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
  const channel = fresh('kept');
  await bee.publish(channel, 'x', 1);
  await hub.terminate();
  const own = await startHub({ dir, within: ['setpriv', `--reuid=${uid}`, '--clear-groups'] });
  assert.equal((await (await own.connect()).history(channel)).events.length, 1);
  await own.stop();
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

const threadsOf = (pid) => readdirSync(`/proc/${pid}/task`).map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8'));
/** What a thief would do, from inside: tests/fault/forbidden.c. */
const thief = join(dirname(binary), 'tests/libforbidden_preload.so');
const FORBIDDEN = ['socket', 'connect', 'bind', 'fork', 'kill', 'tgkill', 'ptrace', 'mmap-executable', 'prctl', 'setuid', 'chroot', 'execve'];
const noFilter = sanitized ? 'a sanitizer makes calls of its own; such a build has no filter' : false;

/** All that a hub is asked for, and what it does by itself. */
async function wholeDay(hub, dir) {
  const bee = await hub.connect();
  const channel = fresh('filtered');
  await bee.subscribe(channel, 'agents');
  const told = Array.from({ length: 500 }, (_, i) => bee.publish(channel, 'x', { i, fill: 'x'.repeat(2_000) }, { key: `k${i}` }));
  await Promise.all(told);
  assert.equal((await bee.events(500, channel)).length, 500);
  assert.equal((await bee.history(channel, { limit: 10 })).events.length, 10);
  await bee.call('agents.register', { agent_id: 'bee', agent_type: 'worker' });
  await bee.call('agents.heartbeat', { agent_id: 'bee' });
  assert.equal((await hub.post('/api/v1/schemas/validate', { schema: { pattern: '^a+$' }, instance: 'aa' })).body.valid, true);
  assert.equal((await hub.get('/metrics')).status, 200);
  assert.equal((await hub.get('/page.html')).text, '<p>a page</p>');
  await bee.call('auth.rotate', {});
  const { token } = await hub.mint({ sub: 'other', role: 'agent', ttl_s: 60 });
  await (await hub.connect({ token })).close();
  assert.equal((await hub.post('/api/v1/admin/backups', { name: 'day' })).status, 202);
  await until(async () => (await hub.get('/api/v1/admin/backups')).body.backups?.some(({ status }) => status === 'completed'), { what: 'the backup' });
  const { status, stderr } = spawnSync(binary, ['--verify', join(dir, 'data/backups/day')], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  hub.signal('SIGHUP');
  await until(() => /event=reloaded/.test(hub.logs), { what: 'the configuration to be read again' });
  await bee.barrier();
}

story('under its filter the hub does all that it does, over TLS too, on every thread', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-filter-'));
  const web = join(dir, 'web');
  mkdirSync(web);
  writeFileSync(join(web, 'page.html'), '<p>a page</p>');
  const hub = await startHub({ dir, config: { process: { seccomp: 'kill' }, hub: { web, threads: 2 } } });
  for (const status of threadsOf(hub.pid)) {
    const name = /^Name:\s+(.*)$/m.exec(status)[1];
    assert.match(status, /^Seccomp:\s+2$/m, `thread ${name} is filtered`);
    assert.match(status, /^Seccomp_filters:\s+1$/m, name);
  }
  await wholeDay(hub, dir);
  assert.equal((await hub.terminate()).code, 0, hub.logs);
  await hub.restart(); // from what it left, with a log to be read
  await hub.stop();

  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const tls = await startHub({ args: ['--seccomp', 'kill', '--tls-cert', cert, '--tls-key', key] });
  const bee = await tls.connect({ options: { rejectUnauthorized: false } });
  const channel = fresh('filtered');
  await bee.subscribe(channel);
  for (let i = 0; i < 50; i++) await bee.publish(channel, 'x', 'y'.repeat(20_000));
  assert.equal((await bee.events(50, channel)).length, 50);
  await tls.stop();
  rmSync(dir, { recursive: true, force: true });
}, { skip: noFilter });

story('what the hub does not need is refused: no program, no process, no socket, no executable memory', async () => {
  const hub = await startHub({ args: ['--seccomp', 'refuse'], env: { LD_PRELOAD: thief } });
  hub.signal('SIGUSR1');
  await until(() => /tried execve/.test(hub.logs), { what: 'all to be tried' });
  const tried = Object.fromEntries([...hub.logs.matchAll(/^tried (\S+): (\d+)$/gm)].map(([, call, number]) => [call, Number(number)]));
  assert.deepEqual(tried, { ...Object.fromEntries(FORBIDDEN.map((call) => [call, EPERM])), clone3: ENOSYS });
  await (await hub.connect()).publish(fresh('on'), 'x', 1); // and it goes on
  assert.equal((await hub.terminate()).code, 0);
  await hub.stop();
}, { skip: noFilter });

story('… or ends the hub at once, and the log names it', async () => {
  for (const [format, line] of [
    ['logfmt', /^time=\S+Z level=error event=forbidden_call call=socket number=\d+ action=kill$/m],
    ['json', /^\{"time":"[^"]+Z","level":"error","event":"forbidden_call","detail":"call=socket number=\d+ action=kill"\}$/m],
  ]) {
    const hub = await startHub({ args: ['--seccomp', 'kill', '--log-format', format], env: { LD_PRELOAD: thief } });
    hub.signal('SIGUSR1');
    assert.equal((await hub.exited()).signal, 'SIGSYS');
    assert.match(hub.logs, line);
    assert.doesNotMatch(hub.logs, /^tried/m);
    await hub.stop();
  }
}, { skip: noFilter });

story('a build that cannot have a filter says so, and does not serve without one', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-filter-'));
  const { code, stdout, stderr } = await runBinary(['--listen', '127.0.0.1:0', '--data', join(dir, 'data'), '--seccomp', 'kill']);
  assert.equal(code, 1);
  assert.match(stderr, /process\.seccomp: this build has a sanitizer in it/);
  assert.equal(stdout, '');
  rmSync(dir, { recursive: true, force: true });
}, { skip: sanitized ? false : 'this build has one' });

story('past the bound of connections one may ask how the hub is, and is told 503 for anything else', async () => {
  const hub = await startHub({ args: ['--limits-connections', '3'] });
  const held = [await hub.connect(), await hub.connect(), await hub.connect()];
  const refused = await hub.get('/agents');
  assert.equal(refused.status, 503, refused.text);
  assert.ok(Number(refused.headers['retry-after']) > 0);
  assert.equal(refused.headers.connection, 'close');
  await assert.rejects(hub.connect(), (error) => error.status === 503);
  for (const path of ['/health', '/ready', '/metrics']) assert.equal((await hub.get(path)).status, 200, path);
  await held[0].barrier(); // who is connected is served as before
  await held.pop().close();
  const bee = await until(() => hub.connect().catch(() => null), { what: 'room for another' });
  for (const one of [bee, ...held]) await one.close();
  await hub.stop();
});

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
