// Messages and peers from the command line.

import assert from 'node:assert/strict';
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

const register = (agent_id) => hub.post('/agents/register', { agent_id, agent_type: 'worker' });

story('a message is sent, shown, acknowledged and found again', async () => {
  const [from, to] = [fresh('from'), fresh('to')];
  await register(from);
  await register(to);
  const { message_id } = await cli.ask(`msg send ${to} {"text":"hello"} --from ${from} --priority high --ttl 10m --correlation-id talk/${from}`);
  const { message } = await cli.ask(`msg show ${message_id}`);
  assert.deepEqual(message.payload, { text: 'hello' });
  assert.equal(message.message_type, 'direct');
  assert.equal(message.priority, 'high');
  assert.deepEqual((await cli.run(`msg history --to ${to} -o id`)).lines, [message_id]);
  assert.deepEqual((await cli.run(`msg history --from ${from} -o id`)).lines, [message_id]);
  assert.deepEqual((await cli.run(`msg history --correlation-id talk/${from} -o id`)).lines, [message_id]);
  assert.deepEqual((await cli.run(`msg history --correlation-id talk/${from} --from ${to} -o id`)).lines, []);
  assert.equal((await cli.run(`msg ack ${message_id} --agent ${to}`)).code, 0);
  assert.equal((await cli.run('msg show no-such-message')).code, 3);
  assert.equal((await cli.run(`trace ${message_id}`)).code, 0);
});

story('a master and its subordinates are a tree', async () => {
  const [master, sub] = [fresh('master'), fresh('sub')];
  await register(master);
  await register(sub);
  assert.equal((await cli.run(`peer master ${master} ${sub}`)).code, 0);
  assert.deepEqual((await cli.ask(`peer tree ${master}`)).subs, [sub]);
  assert.equal((await cli.run(`peer unmaster ${master} ${sub}`)).code, 0);
  assert.deepEqual((await cli.ask(`peer tree ${master}`)).subs, []);
});

story('messages are seen as they are sent', async () => {
  const to = fresh('to');
  const run = cli.start(['msg', 'tail', '--filter', `data.receiver_id=${to}`, '-n', '1', '-o', 'json']);
  await until(async () => {
    await cli.run(`msg send ${to} {}`);
    return run.out !== '';
  }, { what: 'an event' });
  assert.equal(JSON.parse((await run.end).out).data.receiver_id, to);
});

story('a broadcast says who gets it', async () => {
  const to = fresh('all');
  await register(to);
  assert.ok((await cli.ask("msg broadcast '{}'")).recipients.includes(to));
});

story('the same message id is the same message', async () => {
  const to = fresh('to');
  const line = `msg send ${to} {} --message-id ${fresh('id')}`;
  assert.equal((await cli.ask(line)).message_id, (await cli.ask(line)).message_id);
  assert.equal((await cli.run(`msg history --to ${to} -o id`)).lines.length, 1);
});

story('peers are linked, listed and parted', async () => {
  const [a, b] = [fresh('a'), fresh('b')];
  await register(a);
  await register(b);
  assert.equal((await cli.ask(`peer add ${a} ${b}`)).peer_id, b);
  assert.deepEqual((await cli.ask(`peer ls ${a}`)).peers, [b]);
  assert.deepEqual((await cli.ask(`peer ls ${b}`)).peers, [], 'one direction');
  assert.deepEqual((await cli.ask('peer ls')).connections[a], [b]);
  assert.equal((await cli.run(`peer rm ${a} ${b}`)).code, 0);
  assert.deepEqual((await cli.ask(`peer ls ${a}`)).peers, []);
});

story('bench measures messages', async () => {
  for (const load of ['msg']) {
    const end = await cli.ask(`bench ${load} --for 300ms --connections 3 --outstanding 4`);
    assert.ok(end.count > 0 && end.refused === 0, JSON.stringify(end));
    const { p50, p99, max } = end.latency_ms;
    assert.ok(p50 > 0 && p50 <= p99 && p99 <= max, JSON.stringify(end));
  }
});
