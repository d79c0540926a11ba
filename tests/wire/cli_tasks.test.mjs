// Tasks from the command line: submitted, followed to their end, cancelled, tried again.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { Cli } from './lib/cli.mjs';
import { fresh, story } from './lib/story.mjs';

let hub;
let cli;
before(async () => {
  hub = await startHub();
  cli = new Cli(hub);
});
after(() => hub.stop());

/** A real agent process that runs a command for each task. */
async function startAgent(id, capability, exec) {
  const agent = cli.start(['agent', 'run', '--id', id, '--capability', capability, '--slots', '4', '--exec', exec]);
  await until(() => /beating/.test(agent.err), { what: 'the first beat' });
  return agent;
}

async function stopAgent(agent) {
  agent.child.kill('SIGTERM');
  await agent.end;
}

const events = (end) => end.lines.slice(0, -1).map((line) => JSON.parse(line).event);

story('a task is followed to its end, and the exit code tells which', async () => {
  const can = fresh('sum');
  const agent = await startAgent(fresh('bee'), can, `cat >/dev/null; echo '{"sum":6}'`);
  const done = await cli.run(['task', 'submit', '{"n":[1,2,3]}', '--capability', can, '--follow', '-o', 'ndjson']);
  assert.equal(done.code, 0, done.err);
  assert.deepEqual(events(done), ['submitted', 'leased', 'running', 'completed']);
  assert.deepEqual(JSON.parse(done.lines.at(-1)).task.result, { sum: 6 });
  await stopAgent(agent);

  const waiting = await cli.run(['task', 'submit', '{}', '--capability', fresh('nobody'), '--follow', '--within', '300ms']);
  assert.equal(waiting.code, 6);
  assert.match(waiting.err, /has not ended yet/);
  assert.equal((await cli.run('task watch task_ffffffffffffffff')).code, 3);
});

story('a command for tasks gets tasks alone, and another one whatever else comes', async () => {
  const [agent_id, can] = [fresh('bee'), fresh('sum')];
  const folder = mkdtempSync(join(tmpdir(), 'waggle-exec-'));
  const [worked, heard] = [join(folder, 'worked'), join(folder, 'heard')];
  const agent = cli.start(['agent', 'run', '--id', agent_id, '--capability', can, '--exec', `tee -a ${worked}`, '--on-event', `echo "$WAGGLE_EVENT" >> ${heard}`]);
  await until(() => /beating/.test(agent.err), { what: 'the first beat' });
  const done = await cli.run(['task', 'submit', '{"n":1}', '--capability', can, '--follow', '-o', 'id']);
  assert.equal(done.code, 0, done.err);
  await cli.ask(`msg send ${agent_id} {}`);
  await until(() => existsSync(heard) && readFileSync(heard, 'utf8').includes('message'), { what: 'the message' });
  assert.match(readFileSync(heard, 'utf8'), /^registered\n(.*\n)*message\n/);
  assert.doesNotMatch(readFileSync(heard, 'utf8'), /task_offered/);
  assert.equal(readFileSync(worked, 'utf8'), '{"n":1}\n');
  await stopAgent(agent);
  rmSync(folder, { recursive: true });
});

story('an id with dots is worked by, followed and traced as any', async () => {
  const [can, task_id] = [fresh('sum'), `${fresh('task')}.of.mine`];
  const agent = await startAgent(`${fresh('bee')}.north`, can, `cat >/dev/null; echo 1`);
  const done = await cli.run(['task', 'submit', JSON.stringify({ task_id }), '--capability', can, '--follow', '-o', 'ndjson']);
  assert.equal(done.code, 0, done.err);
  assert.deepEqual(events(done), ['submitted', 'leased', 'running', 'completed']);
  assert.deepEqual((await cli.run(`trace ${task_id} --query *.event`)).lines, events(done));
  await stopAgent(agent);
});

story('a task with a short lease of its own is kept by an agent that is at it for longer', async () => {
  const [agent_id, can] = [fresh('bee'), fresh('slow')];
  const agent = await startAgent(agent_id, can, 'cat >/dev/null; sleep 5; echo 1');
  const done = await cli.run(['task', 'submit', '{}', '--capability', can, '--lease', '3s', '--follow', '-o', 'ndjson']);
  assert.equal(done.code, 0, done.out);
  assert.deepEqual(events(done), ['submitted', 'leased', 'running', 'completed'], 'its lease was never lost');
  await stopAgent(agent);
});

story('an agent whose report comes too late says so', async () => {
  const [agent_id, can] = [fresh('bee'), fresh('slow')];
  const agent = await startAgent(agent_id, can, 'cat >/dev/null; sleep 1; echo 1');
  const { task_id } = await cli.ask(`task submit {} --capability ${can} --lease 300ms`);
  await until(() => /taken/.test(agent.err), { what: 'the task to be taken' });
  agent.child.kill('SIGSTOP');
  const lost = async () => (await cli.ask(`task show ${task_id}`)).task.redeliveries > 0;
  await until(lost, { what: 'the lease to lapse' });
  await new Promise((wait) => setTimeout(wait, 1500)); // its command ends meanwhile
  agent.child.kill('SIGCONT');
  await until(() => /came too late|lost/.test(agent.err), { what: 'the agent to say that it was too late' });
  assert.doesNotMatch(agent.err.slice(0, agent.err.search(/came too late|lost/)), /completed/, 'what the hub did not take is not completed');
  await stopAgent(agent);
});

story('a cancelled task ends its followers with 1', async () => {
  const { task_id } = await cli.ask(`task submit {} --capability ${fresh('nobody')}`);
  const run = cli.start(['task', 'watch', task_id]);
  await until(() => /submitted/.test(run.out), { what: 'the first event' });
  assert.equal((await cli.run(`task cancel ${task_id} --yes`)).code, 0);
  const end = await run.end;
  assert.equal(end.code, 1);
  assert.match(end.out, / cancelled /);
  assert.equal((await cli.run(`task cancel ${task_id}`)).code, 0, 'once more changes nothing');
});

story('following goes on over a hub that is killed and comes back, without a word', async () => {
  const can = fresh('slow');
  const { task_id } = await cli.ask(`task submit {} --capability ${can}`);
  const run = cli.start(['task', 'watch', task_id, '-o', 'ndjson']);
  await until(() => run.lines.length === 1, { what: 'the first event' });
  await hub.kill9();
  await hub.restart();
  const agent = await startAgent(fresh('bee'), can, 'cat >/dev/null; echo {}');
  const end = await run.end;
  assert.equal(end.code, 0, end.err);
  assert.deepEqual(events(end), ['submitted', 'leased', 'running', 'completed'], 'each event once');
  assert.equal(end.err, '');
  await stopAgent(agent);
});

story('lists, figures and queues say what there is', async () => {
  const can = fresh('nobody');
  const ids = [];
  for (let n = 0; n < 3; n++) ids.push((await cli.ask(`task submit {"n":${n}} -p low --capability ${can}`)).task_id);
  const listed = (await cli.run('task ls --status pending --priority low -o id')).lines;
  for (const id of ids) assert.ok(listed.includes(id));
  assert.ok((await cli.ask('queue ls')).queue_sizes.low >= 3);
  assert.equal((await cli.run('queue pause low --reason quiet')).code, 0);
  assert.match((await cli.run('queue ls')).out, /^low +paused +\d+$/m);
  assert.match((await cli.run('queue ls')).out, /^high +open +\d+$/m);
  assert.equal((await cli.run('queue resume low')).code, 0);
  assert.equal((await cli.ask(`task show ${ids[1]}`)).task.task_data.n, 1);
  assert.match((await cli.run('task ls --limit 1')).err, /There is more: --cursor/);
  assert.ok((await cli.ask('queue clear low --yes')).cleared_count >= 3);
  assert.equal((await cli.ask(`task show ${ids[0]}`)).task.status, 'cancelled');
  assert.equal((await cli.ask('queue ls')).queue_sizes.low, 0);
});

story('the same idempotency key is the same task', async () => {
  const line = `task submit {"x":1} --key ${fresh('key')} --capability ${fresh('nobody')}`;
  assert.equal((await cli.ask(line)).task_id, (await cli.ask(line)).task_id);
});

story('a dead letter is listed, and tried again as a new task', async () => {
  const can = fresh('fails');
  const agent = await startAgent(fresh('bee'), can, 'exit 1');
  const end = await cli.run(['task', 'submit', '{}', '--capability', can, '--max-attempts', '1', '--follow', '-o', 'ndjson']);
  assert.equal(end.code, 1, end.err);
  const { task_id } = JSON.parse(end.lines.at(-1)).task;
  await stopAgent(agent);
  assert.ok((await cli.run('task dlq ls -o id')).lines.includes(task_id));
  const again = await cli.ask(`task retry ${task_id}`);
  assert.notEqual(again.task_id, task_id);
  assert.equal((await cli.ask(`task show ${again.task_id}`)).task.replay_of, task_id);
  assert.ok(!(await cli.run('task dlq ls -o id')).lines.includes(task_id));
  assert.equal((await cli.ask('task dlq replay --limit 10')).replayed_count, 0);
});

story('a dead letter that was purged is listed no more and never tried again', async () => {
  const { task_id } = await cli.ask(`task submit {} --capability ${fresh('nobody')} --priority urgent --start-within 50ms`);
  await until(async () => (await cli.run('task dlq ls -p urgent -o id')).lines.includes(task_id), { what: 'the dead letter' });
  const purged = await cli.ask("task dlq purge -p urgent --reason 'too late' --yes");
  assert.equal(purged.purged_count, 1);
  assert.deepEqual((await cli.run('task dlq ls -p urgent -o id')).lines, []);
  const retry = await cli.run(`task retry ${task_id}`);
  assert.equal(retry.code, 4);
  assert.match(retry.err, /was purged/);
  assert.equal((await cli.ask(`task show ${task_id}`)).task.status, 'failed');
  const last = (await cli.ask(`trace ${task_id}`)).at(-1);
  assert.deepEqual([last.event, last.data.reason], ['purged', 'too late']);
  assert.equal((await cli.ask('task dlq purge -p urgent')).purged_count, 0);
});

story('a trace says what happened, in order, with the time between', async () => {
  const { task_id } = await cli.ask(`task submit {} --capability ${fresh('nobody')}`);
  await cli.run(`task cancel ${task_id} --yes`);
  const trace = await cli.ask(`trace ${task_id}`);
  assert.deepEqual(trace.map(({ event }) => event), ['submitted', 'cancelled']);
  assert.ok(trace[1].seconds >= 0 && trace[1].seconds < 60);
  assert.equal((await cli.run('trace task_ffffffffffffffff')).code, 3);
});

story('completion offers the tasks that there are', async () => {
  const { task_id } = await cli.ask(`task submit {} --capability ${fresh('nobody')}`);
  const { lines } = await cli.run(['__complete', '--', 'task', 'cancel', task_id.slice(0, 8)]);
  assert.ok(lines.includes(`${task_id}\tpending`));
});

story('bench measures tasks from the submit to the offer and to the end', async () => {
  for (const load of ['dispatch', 'task']) {
    const end = await cli.ask(`bench ${load} --for 300ms --connections 3 --outstanding 4`);
    assert.ok(end.count > 0 && end.refused === 0, JSON.stringify(end));
    const { p50, p99, max } = end.latency_ms;
    assert.ok(p50 > 0 && p50 <= p99 && p99 <= max, JSON.stringify(end));
  }
});
