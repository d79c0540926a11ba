// The command line against the real hub: agents, channels, namespaces, keys, apps, and what it knows by itself.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { runBinary, startHub, until } from './lib/hub.mjs';
import { Cli, program } from './lib/cli.mjs';
import { fresh, numbers, story } from './lib/story.mjs';

let hub;
before(async () => (hub = await startHub()));
after(() => hub.stop());

/** A story told to a hub that others use as well: every name is its own. */
const withHub = (claim, fn) => story(claim, () => fn(hub, new Cli(hub)));

const register = (hub, agent_id, more = {}) => hub.post('/agents/register', { agent_id, agent_type: 'worker', ...more });

withHub('an agent is drained, resumed, marked and removed from the command line', async (hub, cli) => {
  await register(hub, 'bee-1', { capabilities: ['x'] });
  const status = async () => (await hub.get('/agents/bee-1')).body.agent.status;
  assert.equal((await cli.run('agent drain bee-1')).code, 0);
  await until(async () => (await status()) === 'inactive', { what: 'the end of the drain: it holds nothing' });
  assert.equal((await cli.run('agent resume bee-1')).code, 0);
  assert.equal(await status(), 'active');
  assert.equal((await cli.ask('agent status bee-1 maintenance --cpu 0.5')).new_status, 'maintenance');
  assert.equal((await cli.ask('agent show bee-1')).agent.load_metrics.cpu, 0.5);
  assert.ok((await cli.ask('agent stats')).stats.status_counts.maintenance >= 1);
  assert.equal((await cli.run('agent status bee-1 dancing')).code, 2, 'a value that the hub refuses is a usage error');
  assert.equal((await cli.run('agent rm bee-1 --yes')).out, '');
  assert.equal((await cli.run('agent show bee-1')).code, 3);
  assert.equal((await cli.run('agent rm bee-1')).code, 3);
});

withHub('an id with slashes, blanks and a percent sign is shown, marked and removed as any other', async (hub, cli) => {
  const id = `${fresh('hive')}/é 1/100%2F/`;
  await register(hub, id);
  assert.equal((await cli.ask(`agent show '${id}'`)).agent.agent_id, id);
  assert.equal((await cli.run(`agent status '${id}' maintenance`)).code, 0);
  assert.equal((await cli.ask(`agent show '${id}'`)).agent.status, 'maintenance');
  assert.equal((await cli.run(`agent rm '${id}' --yes`)).code, 0);
  assert.equal((await cli.run(`agent show '${id}'`)).code, 3);
});

withHub('a dry run prints the request and sends nothing', async (hub, cli) => {
  await register(hub, 'dry-1');
  const { code, lines } = await cli.run("agent status 'dry-1' error --memory 0.25 --dry-run");
  assert.equal(code, 0);
  assert.equal(lines[0], `PUT ${hub.url}/api/v1/agents/dry-1/status`);
  assert.deepEqual(JSON.parse(lines[1]), { status: 'error', load_metrics: { memory: 0.25 } });
  assert.deepEqual(await cli.ask('agent rm dry-1 --dry-run'), { method: 'DELETE', url: `${hub.url}/api/v1/agents/dry-1`, body: null });
  assert.equal((await cli.ask('agent show dry-1')).agent.status, 'active');
});

withHub('a query takes a part of any answer, in any form', async (hub, cli) => {
  await register(hub, 'a', { tags: ['t1', 't2'] });
  await register(hub, 'b');
  assert.equal((await cli.run('agent ls --limit 2 --query agents.*.agent_id')).out, 'b\na\n');
  assert.equal((await cli.run('agent ls --query /agents/1/tags -o json')).out, '["t1","t2"]\n');
  assert.equal((await cli.run('agent show a --query agent.tags -o yaml')).out, '- t1\n- t2\n');
  assert.equal((await cli.run('agent show a --query agent.nothing')).out, '');
});

withHub('a watch shows the list again when something changes', async (hub, cli) => {
  await register(hub, 'w-1');
  const run = cli.start('agent ls -w -o id --limit 2');
  await until(() => run.out.startsWith('w-1\n'), { what: 'the first list' });
  await register(hub, 'w-2');
  await until(() => run.out.endsWith('w-2\nw-1\n'), { what: 'the second list' });
  run.child.kill('SIGTERM');
  await run.end;
});

withHub('an agent that is stopped and started again is the same member of its swarm; one that leaves is gone', async (hub, cli) => {
  const run = async (id, ...more) => {
    const agent = cli.start(['agent', 'run', '--id', id, '--capability', 'roll', '--exec', 'echo 5', ...more]);
    await until(() => /beating/.test(agent.err), { what: `${id}, beating` });
    return agent;
  };
  const stop = async (agent) => {
    agent.child.kill('SIGTERM');
    assert.equal((await agent.end).code, 0, agent.err);
  };
  const members = async (swarm_id) => {
    const [found] = (await hub.get(`/swarm/list?swarm_id=${swarm_id}`)).body.swarms;
    return found.members.map(({ member_id, status }) => [member_id, status]);
  };
  let agents = [await run('roll-1'), await run('roll-2')];
  const one = (await hub.post('/swarm/join', { role: 'worker', capability: 'roll', agent_id: 'roll-1' })).body;
  const { swarm_id } = one;
  const two = (await hub.post('/swarm/join', { role: 'worker', capability: 'roll', agent_id: 'roll-2', swarm_id })).body;
  for (const [i, id] of ['roll-1', 'roll-2'].entries()) {
    await stop(agents[i]);
    const mine = [one, two][i].member_id;
    assert.deepEqual((await members(swarm_id)).find(([member]) => member === mine), [mine, 'suspended']);
    assert.equal((await hub.get(`/agents/${id}`)).body.agent.status, 'inactive');
    agents[i] = await run(id, '--leave');
    assert.deepEqual(await members(swarm_id), [[one.member_id, 'active'], [two.member_id, 'active']]);
  }
  const { task_id } = (await hub.post('/swarm/coordinate', { task_id: 'rolled', strategy: 'broadcast', swarm_id, parameters: {} })).body;
  const ended = await until(async () => {
    const { body } = await hub.get(`/swarm/tasks/${task_id}/status`);
    return body.status === 'running' ? null : body;
  }, { what: 'the work of both' });
  assert.equal(ended.status, 'completed');
  assert.deepEqual(ended.result, [5, 5]);
  await stop(agents[0]);
  assert.equal((await hub.get('/agents/roll-1')).status, 404);
  assert.deepEqual(await members(swarm_id), [[two.member_id, 'active']]);
  await stop(agents[1]);
});

story('what a stopped agent cannot end within its grace goes to another at once', async () => {
  const own = await startHub({ config: { tasks: { lease: '1h' }, agents: { reconnect_grace: '1h' } } });
  const cli = new Cli(own);
  const slow = cli.start(['agent', 'run', '--id', 'slow', '--grace', '0s', '--exec', 'sleep 60']);
  await until(() => /beating/.test(slow.err), { what: 'the slow one' });
  const { task_id } = await cli.ask("task submit '{}'");
  await until(async () => (await cli.ask(`task show ${task_id}`)).task.state === 'running', { what: 'work in hand' });
  const quick = cli.start(['agent', 'run', '--id', 'quick', '--exec', 'echo 7']);
  await until(() => /beating/.test(quick.err), { what: 'the quick one' });
  slow.child.kill('SIGTERM');
  assert.equal((await slow.end).code, 0, slow.err);
  await until(async () => (await cli.ask(`task show ${task_id}`)).task.state === 'completed', { what: 'the work, by the other' });
  assert.equal((await cli.ask(`task show ${task_id}`)).task.result, 7);
  quick.child.kill('SIGTERM');
  assert.equal((await quick.end).code, 0, quick.err);
  await own.stop();
});

story('an agent that is told to stop neither ends nor deregisters the process that took over', async () => {
  const own = await startHub();
  const cli = new Cli(own);
  const gate = join(own.dir, 'gate');
  const older = cli.start(['agent', 'run', '--id', 'heir', '--grace', '1h', '--exec', `while [ ! -e ${gate} ] && kill -0 $PPID; do sleep 0.05; done; echo '"done"'`]);
  await until(() => /registered/.test(older.err), { what: 'the older process' });
  const { task_id } = await cli.ask("task submit '{}'");
  await until(async () => (await cli.ask(`task show ${task_id}`)).task.state === 'running', { what: 'work in hand' });
  older.child.kill('SIGTERM');
  await until(() => /stopping, \d at work/.test(older.err), { what: 'the stop' });
  await own.kill9();
  await own.restart();
  const newer = cli.start(['agent', 'run', '--id', 'heir']);
  await until(() => /registered/.test(newer.err), { what: 'the newer process' });
  writeFileSync(gate, '');
  const end = await older.end;
  assert.equal(end.code, 0, end.err);
  assert.match(end.err, /another process has taken over/);
  const { agent } = await cli.ask('agent show heir');
  assert.equal(agent.metadata.pid, newer.child.pid);
  assert.equal(agent.status, 'active');
  newer.child.kill('SIGTERM');
  assert.equal((await newer.end).code, 0, newer.err);
  assert.equal((await cli.ask('agent show heir')).agent.status, 'inactive', 'its own session it does take leave of');
  await own.stop();
});

withHub('keys and apps are made, used and taken away', async (hub, cli) => {
  const key = (await cli.run(['key', 'create', '--name', 'ci', '--role', 'viewer', '--key', 'once', '--query', 'key'])).out.trim();
  const viewer = new Cli(hub, { key });
  assert.equal((await viewer.ask('whoami')).role, 'viewer');
  assert.equal((await viewer.run('key ls')).code, 5);
  const again = await cli.ask('key create --name ci --role viewer --key once');
  const { keys } = await cli.ask('key ls');
  assert.equal(keys.filter(({ name }) => name === 'ci').length, 1, 'the same idempotency key is the same request');
  assert.equal((await cli.run(`key revoke ${again.id} --yes`)).code, 0);
  assert.equal((await viewer.run('whoami')).code, 5);

  const shop = await cli.ask("app create shop --name 'The shop' --limits '{\"channels_max\":5}'");
  assert.equal(shop.limits.channels_max, 5);
  const theirs = new Cli(hub, { key: shop.admin_key });
  assert.equal((await theirs.ask('whoami')).app, 'shop');
  assert.deepEqual((await theirs.run('agent ls -o id')).lines, [], 'another app sees none of it');
  assert.equal((await cli.ask('app disable shop --yes')).enabled, false);
  assert.equal((await theirs.run('whoami')).code, 5);
  assert.equal((await cli.ask('app enable shop')).enabled, true);
});

withHub('a query may begin at the answer or at what is shown of it', async (hub, cli) => {
  await register(hub, 'bee-1');
  for (const path of ['agent.agent_id', 'agent_id']) {
    assert.equal((await cli.run(`agent show bee-1 --query ${path}`)).out, 'bee-1\n', path);
  }
  const ids = await Promise.all(['agents.*.agent_id', '*.agent_id'].map(async (path) => (await cli.run(['agent', 'ls', '--query', path])).lines));
  assert.ok(ids[0].includes('bee-1'));
  assert.deepEqual(ids[1], ids[0]);
});

withHub('what pages says how to go on, and goes on', async (hub, cli) => {
  for (const id of ['a', 'b']) await cli.ask(`app create ${id}`);
  for (const _ of [1, 2, 3]) await hub.post('/messages/send', { receiver_id: 'bee-1', message_type: 'direct', payload: {} });
  for (const [line, all] of [['app ls', 3], ['namespace ls', 14], ['msg history', 3]]) {
    const seen = [];
    for (let more = ''; more !== undefined;) {
      const page = await cli.run(`${line} --limit 2 -o id${more}`);
      assert.equal(page.code, 0, page.err);
      seen.push(...page.lines);
      more = page.err.match(/There is more:( --cursor \S+)/)?.[1];
    }
    assert.equal(new Set(seen).size, seen.length, line);
    assert.ok(seen.length >= all, `${line}: ${seen}`);
  }
  assert.equal((await cli.ask('msg history --since-seq 1')).messages.length, 2);
});

withHub('namespaces are set and reset by name=value', async (hub, cli) => {
  assert.equal((await cli.run('namespace set orders delivery=durable history_events=50')).code, 0);
  assert.equal((await cli.ask('namespace show orders')).options.history_events, 50);
  assert.equal((await cli.run('namespace set orders hstory=1')).code, 2);
  assert.equal((await cli.run('namespace reset orders')).code, 0);
  const again = await cli.run('namespace reset orders');
  assert.equal(again.code, 3);
  assert.match(again.err, /namespace orders has no options of its own/);
  const forgotten = await cli.run('channel forget orders mark --yes');
  assert.equal(forgotten.code, 3);
  assert.match(forgotten.err, /the channel has no cursor mark/);
  assert.notEqual((await cli.ask('namespace show orders')).options.history_events, 50);
});

withHub('a value is judged by a schema, from files or as typed', async (hub, cli) => {
  const file = join(hub.dir, 'order.schema.json');
  writeFileSync(file, '{"type":"object","required":["id"]}');
  const good = await cli.run(['schema', 'validate', file, '{"id":1}']);
  assert.deepEqual([good.code, good.out], [0, 'valid\n']);
  const bad = await cli.run(['schema', 'validate', file, '-'], { input: '{"name":"x"}' });
  assert.equal(bad.code, 1);
  assert.match(bad.out, /required +property "id" is required/);
  assert.equal((await cli.run(['schema', 'validate', file, '{}', '-o', 'json'])).json.valid, false);
  assert.equal((await cli.run(['schema', 'validate', '{"type":"thing"}', '{}'])).code, 2);
});

withHub('channels are listed, shown and watched, ages are durations in a pipe too', async (hub, cli) => {
  const name = fresh('seen');
  await hub.post('/api/v1/events', { events: numbers(3).map(() => ({ channel: name, event: 'x', data: 1 })) });
  const { out } = await cli.run(`channel ls --prefix ${name} -o table`);
  assert.match(out, /^CHANNEL +DELIVERY +OFFSET +MEMBERS +AGE$/m);
  assert.match(out, new RegExp(`^${name} +durable +3 +0 +\\d+s$`, 'm'));
  assert.equal((await cli.ask(`channel show ${name}`)).offset, 3);
  assert.deepEqual((await cli.ask(`channel history ${name} --reverse --limit 2`)).events.map(({ offset }) => offset), [3, 2]);
  const { next_cursor } = await cli.ask(`channel history ${name} --reverse --limit 2`);
  assert.deepEqual((await cli.ask(`channel history ${name} --reverse --limit 2 --cursor ${next_cursor}`)).events.map(({ offset }) => offset), [1]);
  const watch = cli.start(`channel show ${name} --watch --query offset`);
  await until(() => watch.out.includes('3\n'), { what: 'the channel as it is' });
  await hub.post('/api/v1/events', { events: [{ channel: name, event: 'x', data: 1 }] });
  await until(() => watch.out.includes('4\n'), { what: 'the channel as it has become' });
  watch.child.kill('SIGTERM');
  await watch.end;
});

withHub('a list that nothing tells of is looked at now and then', async (hub, cli) => {
  const watch = cli.start('namespace ls --watch -o id');
  await until(() => watch.out.includes('agents'), { what: 'the namespaces' });
  const name = fresh('ns');
  await hub.put(`/api/v1/namespaces/${name}`, { latest: true });
  await until(() => watch.out.includes(name), { what: 'the new one' });
  watch.child.kill('SIGTERM');
  await watch.end;
});

story('backup create --follow ends when the backup is whole, and says how it went', async () => {
  const own = await startHub();
  const cli = new Cli(own);
  const made = await cli.ask('backup create waited --follow');
  assert.deepEqual([made.name, made.status], ['waited', 'completed']);
  assert.equal((await new Cli(null).ask(`backup verify ${made.path}`)).whole, true);
  assert.equal((await cli.run('backup create waited --follow')).code, 1, 'there is one of that name');
  assert.equal((await cli.ask('backup ls')).backups[0].status, 'failed');
  assert.equal((await own.get('/api/v1/admin/backups')).body.progress, null);
  await own.stop();
});

story('a backup that is being made has no folder yet, and whoever reads others does it no harm', async () => {
  const own = await startHub();
  const cli = new Cli(own);
  await Promise.all(numbers(200).map(() => own.post('/api/v1/events', { events: numbers(500).map(() => ({ channel: 'c', event: 'x', data: 'y'.repeat(200) })) })));
  const folders = join(own.dir, 'data/backups');
  const all = () => own.get('/api/v1/admin/backups').then(({ body }) => body);
  const phases = new Set();
  for (const name of ['b-1', 'b-2', 'b-3']) {
    await cli.ask(`backup create ${name}`);
    for (let list = await all(); list.running; list = await all()) {
      if (list.progress) {
        assert.equal(list.progress.name, name);
        assert.ok(list.progress.bytes <= list.progress.bytes_total);
        phases.add(list.progress.phase);
      }
      if (!existsSync(join(folders, name))) continue; // with its name it is whole, and the hub has let go of it
      assert.ok(existsSync(join(folders, name, 'manifest.json')));
      assert.equal((await runBinary(['--verify', join(folders, name)])).code, 0);
    }
    assert.equal((await all()).backups[0].status, 'completed', (await all()).backups[0].error);
  }
  assert.ok(phases.has('checking') || phases.has('copying'), 'seen while it was made');
  assert.deepEqual(readdirSync(folders).sort(), ['b-1', 'b-2', 'b-3']);
  await own.stop();
});

story('what a hub left that was killed while it made a backup is cleared away by the next', async () => {
  const own = await startHub();
  const cli = new Cli(own);
  const left = join(own.dir, 'data/backups/.making');
  mkdirSync(join(left, 'keys'), { recursive: true });
  for (const name of ['data.mdb', 'lock', 'lock.mdb', 'manifest.json', 'keys/server.secret']) writeFileSync(join(left, name), 'half');
  assert.equal((await cli.ask('backup create after --follow')).status, 'completed');
  assert.ok(!existsSync(left));
  await own.stop();
});

story('a backup is checked and put back where it lies', async () => {
  const own = await startHub();
  const cli = new Cli(own);
  await register(own, 'kept');
  const { name } = await cli.ask('backup create before');
  const made = () => cli.ask('backup ls').then(({ backups }) => backups.find((one) => one.name === name));
  await until(async () => (await made())?.status === 'completed', { what: 'the backup' });
  const { path } = await made();
  const folder = join(own.dir, 'restored');
  const offline = new Cli(null);
  assert.equal((await offline.ask(`backup verify ${path}`)).whole, true);
  assert.equal((await offline.ask(`backup restore ${path} ${folder} --dry-run`)).whole, true);
  assert.ok(!existsSync(folder), 'a dry run writes nothing');
  assert.equal((await offline.run(`backup restore ${path} ${folder} --yes`)).code, 0);
  assert.equal((await offline.run(`backup restore ${path} ${folder} --yes`)).code, 1, 'not over what is there');
  assert.equal((await offline.run(`backup verify ${join(own.dir, 'nowhere')}`)).code, 1);
  assert.equal((await offline.ask(`backup verify ${folder}`)).whole, true);
  await own.stop();
});

withHub('call reaches any operation by its name', async (hub, cli) => {
  await register(hub, 'called');
  assert.equal((await cli.ask('call agents.get agent_id=called')).agent.agent_id, 'called');
  assert.equal((await cli.ask("call agents.discover --json '{\"capabilities\":[\"none\"]}'")).count, 0);
  const unknown = await cli.run('call no.such');
  assert.equal(unknown.code, 3);
  assert.match(unknown.err, /no\.such/);
});

withHub('monitor prints what happens anywhere, filtered and sampled', async (hub, cli) => {
  const run = cli.start(['monitor', 'orders', 'agent.*', '--filter', 'channel=orders', '--sample', '2', '-n', '3', '-o', 'json']);
  await until(async () => / [1-9]/.test(/^waggle_handshakes_total.*$/m.exec((await hub.get('/metrics')).text)[0]), { what: 'the connection' });
  const warm = cli.start(['monitor', '-n', '1', '-o', 'id']);
  await until(async () => {
    await hub.post('/api/v1/channels/warm/events', { event: 'probe', data: null });
    return warm.out !== '';
  }, { what: 'a subscription that came after', every: 50 });
  warm.child.kill('SIGTERM');
  await warm.end;
  for (let n = 0; n < 3; n++) await register(hub, fresh('bee'));
  for (let n = 0; n < 6; n++) await hub.post('/api/v1/channels/orders/events', { event: 'made', data: n });
  const { code, lines } = await run.end;
  assert.equal(code, 0);
  assert.deepEqual(lines.map((line) => JSON.parse(line).data), [0, 2, 4]);
});

withHub('doctor finds nothing wrong with a hub that is well, and says what is wrong otherwise', async (hub, cli) => {
  const well = await cli.ask('doctor');
  assert.deepEqual(well.filter(({ status }) => status === 'failed'), []);
  for (const check of ['hub', 'version', 'clock', 'credential', 'websocket', 'store', 'agents']) assert.ok(well.some((one) => one.check === check), check);
  const nobody = await new Cli(null).run('doctor --url http://127.0.0.1:1 -o json');
  assert.equal(nobody.code, 7);
  assert.match(nobody.json[0].remedy, /Start the hub/);
  const stranger = await new Cli(hub, { key: 'wrong' }).run('doctor -o json');
  assert.equal(stranger.code, 5);
  assert.equal(stranger.json.find(({ check }) => check === 'credential').status, 'failed');
  assert.ok(!stranger.json.some(({ check }) => check === 'websocket'), 'what cannot be looked at is left out');
});

story('errors knows words, statuses and close codes, and the hub says the same', async () => {
  const cli = new Cli(null);
  assert.match((await cli.run('errors conflict')).out, /conflict +409 +4 /);
  assert.match((await cli.run('errors 4009')).out, /unauthorised +4009 +5 /);
  assert.equal((await cli.run('errors nothing')).code, 3);
  const own = await cli.ask('errors');
  for (const { code, status } of (await hub.get('/api/v1/errors')).body.errors) {
    assert.ok(own.some((one) => one.code === code && one.status === status), code);
  }
});

story('every example of the cheat sheet is a command that exists', async () => {
  const cli = new Cli(null);
  const examples = (await cli.run('cheat')).lines.filter((line) => !line.startsWith('#'));
  assert.ok(examples.length > 10);
  const page = readFileSync(join(dirname(program), 'waggle.1'), 'utf8');
  const commands = new Set([...page.matchAll(/^\.SS "waggle ([a-z ]+)/gm)].map(([, name]) => name.trim()));
  for (const example of examples) {
    const own = example.replace(/^source <\(|\)$/g, '').split('waggle ')[1].split(/ [|>] /)[0];
    const verbs = own.split(' ').filter((word) => /^[a-z]+$/.test(word));
    assert.ok([1, 2, 3].some((n) => commands.has(verbs.slice(0, n).join(' '))), example);
  }
});

story('the manual page is made by the build and names every command', async () => {
  const page = join(dirname(program), 'waggle.1');
  assert.ok(existsSync(page), page);
  const text = readFileSync(page, 'utf8');
  for (const command of ['publish', 'tail', 'agent drain', 'doctor', 'namespace set']) assert.ok(text.includes(`.SS "waggle ${command}`), command);
  assert.ok(!text.includes('__complete'));
  const man = spawnSync('man', ['--warnings', '-l', page], { encoding: 'utf8', env: { ...process.env, MANPAGER: 'cat', LC_ALL: 'C.UTF-8' } });
  if (!man.error) assert.equal(man.stderr, '');
});

withHub('completion offers the ids that the hub knows', async (hub, cli) => {
  await register(hub, 'ant-1');
  await register(hub, 'ant-2');
  const offered = async (...line) => (await cli.run(['__complete', '--', ...line])).lines;
  assert.deepEqual(await offered('agent', 'show', 'ant'), ['ant-2\tactive', 'ant-1\tactive']);
  assert.deepEqual(await offered('agent', 'show', 'wasp'), []);
  assert.deepEqual(await offered('queue', 'pause', 'ur'), ['urgent\t']);
  assert.deepEqual(await offered('top', 'ta'), ['tasks\t']);
  assert.deepEqual(await offered('backup', 'verify', ''), [':files']);
  const words = async (...line) => (await offered(...line)).map((one) => one.split('\t')[0]);
  assert.deepEqual(await words('errors', 'lease'), ['lease_lost']);
  assert.ok((await words('peer', 'add', 'x', '')).length > 0, 'a peer is an agent');
  assert.deepEqual(await words('agent', 'status', 'x', ''), [], 'a status is none');
  assert.deepEqual(await new Cli(null).run(['__complete', '--url', 'http://127.0.0.1:1', '--', 'agent', 'show', '']).then(({ lines }) => lines), []);
});

withHub('bash completes with the script as it is printed', async (hub, cli) => {
  await register(hub, 'fly-1');
  const probe = 'source <("$0" completion bash); complete_for() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _waggle; printf "%s\\n" "${COMPREPLY[@]}"; }; complete_for "$0" agent show fl';
  const { stdout } = spawnSync('bash', ['-c', probe, program], { encoding: 'utf8', env: cli.env, timeout: 20_000 });
  assert.equal(stdout, 'fly-1\n');
});

withHub('bench measures publishing, fan-out and heartbeats, and takes its agents away', async (_, cli) => {
  for (const load of ['publish', 'fanout', 'agents']) {
    const end = await cli.ask(`bench ${load} --for 300ms --connections 3 --outstanding 4`);
    assert.ok(end.count > 0 && end.refused === 0, JSON.stringify(end));
    const { p50, p99, max } = end.latency_ms;
    assert.ok(p50 > 0 && p50 <= p99 && p99 <= max, JSON.stringify(end));
  }
  assert.deepEqual((await cli.run('agent ls -o id')).lines.filter((id) => id.startsWith('bench')), []);
});
