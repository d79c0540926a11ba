// `waggle top` on a terminal of its own: tmux gives it one and says what stands on it.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { Cli, program } from './lib/cli.mjs';
import { story } from './lib/story.mjs';

const server = `waggle-${process.pid}`;
const hasTmux = spawnSync('tmux', ['-V']).status === 0;
let terminals = 0;

class Terminal {
  constructor(cli, args = '', { columns = 80, rows = 24, env = {}, term = '' } = {}) {
    this.name = `t${++terminals}`;
    const settings = Object.entries({ ...cli.env, LANG: 'C.UTF-8', ...env }).flatMap(([key, value]) => ['-e', `${key}=${value}`]);
    // What is printed after the program has ended shows that the terminal is itself again.
    this.tmux('-f', '/dev/null', 'new-session', '-d', '-s', this.name, '-x', String(columns), '-y', String(rows), ...settings,
      `exec sh -c '${term && `TERM=${term}`} "${program}" top ${args}; echo "ended with $?"; stty -a | grep -o " -*echo " ; exec sleep 60'`);
  }

  tmux(...args) {
    return execFileSync('tmux', ['-L', server, ...args], { encoding: 'utf8' });
  }

  get screen() {
    return this.tmux('capture-pane', '-p', '-t', this.name);
  }

  get pid() {
    return Number(execFileSync('pgrep', ['-P', this.tmux('display', '-p', '-t', this.name, '#{pane_pid}').trim()], { encoding: 'utf8' }));
  }

  keys(...keys) {
    this.tmux('send-keys', '-t', this.name, ...keys);
  }

  /** A click of the left button as a terminal reports it, or a turn of the wheel (64 up, 65 down), on text that stands there. */
  click(pattern, button = 0) {
    const rows = this.screen.split('\n');
    const row = rows.findIndex((line) => pattern.test(line));
    assert.notEqual(row, -1, `${pattern} on\n${rows.join('\n')}`);
    const column = rows[row].search(pattern);
    const report = (what) => [27, 91, 77, 32 + what, 33 + column, 33 + row].map((code) => code.toString(16));
    this.keys('-H', ...report(button), ...(button === 0 ? report(3) : []));
  }

  end() {
    spawnSync('tmux', ['-L', server, 'kill-session', '-t', this.name]); // it may have ended already
  }

  resize(columns, rows) {
    this.tmux('resize-window', '-t', this.name, '-x', String(columns), '-y', String(rows));
  }

  shows(pattern, what = String(pattern)) {
    return until(() => pattern.test(this.screen), { what: `${what} on the screen`, timeout: 15_000, every: 50 })
      .catch((error) => { throw new Error(`${error.message}\n${this.screen}`); });
  }
}

/** What has ended and is not yet waited for runs no more. */
function isRunning(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

after(() => spawnSync('tmux', ['-L', server, 'kill-server']));

const register = (hub, agent_id, more = {}) => hub.post('/agents/register', { agent_id, agent_type: 'worker', ...more });

function withTop(claim, args, fn, { first = /bee-1/, ...options } = {}) {
  story(claim, async () => {
    const hub = await startHub();
    await register(hub, 'bee-1', { capabilities: ['resize'] });
    const terminal = new Terminal(new Cli(hub), args, options);
    await terminal.shows(first);
    await fn(terminal, hub);
    terminal.end();
    await hub.abandon(); // how a hub ends is told elsewhere
  }, { skip: hasTmux ? false : 'tmux is not here' });
}

withTop('top shows what is there and what comes, and gives the terminal back', 'agents', async (top, hub) => {
  assert.match(top.screen, /waggle top .*http:.*\(admin\)/);
  assert.match(top.screen, /2 Agents +1 │|│Agents \(1 of 1\)/);
  await register(hub, 'bee-2');
  await top.shows(/bee-2 +active/);
  top.keys(':', 'l', 'o', 'Tab', 'Enter');
  await top.shows(/Log \(/);
  await top.shows(/agents +\d+ .*bee-2/, 'the event of the registration');
  top.keys('Escape', '/', '2', 'Enter');
  await top.shows(/Agents \(1 of 2\) +\/2/);
  top.keys('y');
  await top.shows(/"agent_id": "bee-2"/);
  top.keys('Escape', 'Escape', '?');
  await top.shows(/D +drain/);
  top.keys('q', 'q');
  await top.shows(/ended with 0/);
  await top.shows(/^ echo$/m, 'a terminal that echoes');
  assert.doesNotMatch(top.screen, /Agents \(/);
});

withTop('an agent is drained from the list after a yes, and not with a no', 'agents', async (top, hub) => {
  top.keys('D');
  await top.shows(/drain bee-1\? y\/n/);
  top.keys('n');
  await top.shows(/not done/);
  assert.equal((await hub.get('/agents/bee-1')).body.agent.status, 'active');
  top.keys('D', 'y');
  await top.shows(/why\?/);
  top.keys('Enter');
  await top.shows(/bee-1 +inacti/);
  const { events } = (await hub.get('/api/v1/channels/agents/history?reverse=true&limit=2')).body;
  assert.deepEqual(events.map(({ data }) => data.status), ['inactive', 'draining'], 'it held nothing');
});

withTop('tasks, queues and rounds have views of their own, and a task is cancelled from its', 'agents', async (top, hub) => {
  const { task_id } = (await hub.post('/tasks/submit', { task_data: {}, priority: 'low', requirements: { capabilities: ['nobody-has-this'] } })).body;
  await hub.post('/api/v1/consensus', { question: 'Ship it?', electorate: ['a', 'b'] });
  top.keys(':', 't', 'a', 'Enter');
  await top.shows(/Tasks \(1 of 1\)/);
  assert.match(top.screen, new RegExp(`${task_id.slice(0, 6)}.*${task_id.slice(-6)} +pending`));
  top.keys('3');
  await top.shows(/low +open +1/);
  top.keys('8');
  await top.shows(/open +maj/);
  top.keys('4', 'c');
  await top.shows(new RegExp(`cancel ${task_id}\\? y/n`));
  top.keys('y', 'Enter');
  await until(async () => (await hub.get(`/tasks/${task_id}`)).body.task.status === 'cancelled', { what: 'the cancellation' });
  await top.shows(/ canc/);
});

withTop('what is marked is done to all with one yes, and the reason is told', 'agents', async (top, hub) => {
  await register(hub, 'bee-2');
  await register(hub, 'bee-3');
  await top.shows(/Agents \(3 of 3\)/);
  const watcher = await hub.connect();
  await watcher.subscribe({ channel: 'agents' });
  top.keys('g', 'Space', 'Space');
  await top.shows(/2 marked/);
  assert.match(top.screen, /^.*│\*bee-3/m);
  top.keys('D');
  await top.shows(/drain all 2 marked\? y\/n/);
  top.keys('y');
  await top.shows(/why\?/);
  top.keys('-l', 'new wings');
  await top.shows(/new wings_/);
  top.keys('Enter');
  await top.shows(/drain: 2 done/);
  const told = [];
  while (told.length < 2) {
    const { data } = await watcher.next((frame) => frame.event === 'status_changed' && frame.data.status === 'draining');
    assert.equal(data.reason, 'new wings');
    told.push(data.agent_id);
  }
  assert.deepEqual(told.sort(), ['bee-2', 'bee-3']);
  assert.equal((await hub.get('/agents/bee-1')).body.agent.status, 'active');
  await watcher.close();
});

withTop('a queue is paused and resumed from its view', 'queues', async (top) => {
  top.keys('p');
  await top.shows(/pause urgent\? y\/n/);
  top.keys('y', 'Enter');
  await top.shows(/urgent +paused/);
  top.keys('z');
  await top.shows(/Queues \(1 of 5\) +faults only/);
  top.keys('P', 'y', 'Enter');
  await top.shows(/Queues \(0 of 5\)/);
}, { first: /urgent +open/ });

withTop('pulses show what the hub does, second by second', '', async (top, hub) => {
  await top.shows(/connections +[1-9]/);
  for (let n = 0; n < 5; n++) await hub.post('/tasks/submit', { task_data: {}, requirements: { capabilities: ['nobody-has-this'] } });
  await top.shows(/tasks waiting +5 +5 +[\u2800-\u28ff]*[\u2801-\u28ff]/);
  await top.shows(/tasks in \/s +[\d.]+ +([1-9]|0\.\d)[\d.]* /);
}, { first: /Pulses \(/ });

withTop('a network shows as a tree of executions, tasks and agents', 'networks', async (top, hub) => {
  const { id } = (await hub.post('/api/v1/agents/networks', { name: 'choir', agents: ['bee-1'] })).body;
  const { execution_id } = (await hub.post(`/api/v1/agents/networks/${id}/execute`, { task: { items: [1, 2] } })).body;
  await top.shows(/choir/);
  top.keys('x');
  await top.shows(new RegExp(`└─ execution  ${execution_id}  running`));
  await top.shows(/ {3}├─ task {2}task_/);
  top.keys('Escape');
  await top.shows(/Networks \(1 of 1\)/);
}, { first: /nothing to show/ });

/** Takes the task that is offered to the agent, and does it. */
async function done(hub, task_id) {
  const { task } = (await hub.get(`/tasks/${task_id}`)).body;
  for (const what of ['accept', 'complete']) await hub.post(`/tasks/${task_id}/${what}`, { lease_id: task.lease_id });
}

withTop('an open tree follows what happens', 'tasks', async (top, hub) => {
  const { task_id } = (await hub.post('/tasks/submit', { task_data: {}, requirements: { capabilities: ['sing'] } })).body;
  await top.shows(/Tasks \(1 of 1\)/);
  top.keys('x');
  await top.shows(new RegExp(`task {2}${task_id} {2}pending`));
  await top.shows(/nothing hangs on it/);
  await register(hub, 'bee-9', { capabilities: ['sing'] });
  await top.shows(/└─ agent {2}bee-9/);
  await top.shows(new RegExp(`task {2}${task_id} {2}running`));
  await done(hub, task_id);
  await top.shows(new RegExp(`task {2}${task_id} {2}completed`));
  await hub.kill9();
  await top.shows(/The hub is away/);
  assert.match(top.screen, new RegExp(`task {2}${task_id} {2}completed`));
  await hub.restart();
  await top.shows(/task {2}[^]*completed/);
  top.keys('Escape');
  await top.shows(/Tasks \(1 of 1\)/);
}, { first: /nothing to show/ });

withTop('the tree of a swarm grows with its work', 'swarms', async (top, hub) => {
  const { swarm_id } = (await hub.post('/swarm/join', { role: 'worker', capability: 'sing', agent_id: 'bee-1' })).body;
  await top.shows(/Swarms \(1 of 1\)/);
  top.keys('x');
  await top.shows(new RegExp(`swarm {2}${swarm_id}`));
  await hub.post('/swarm/coordinate', { task_id: 'song-1', strategy: 'broadcast', swarm_id });
  await top.shows(/└─ work {2}song-1 {2}broadcast {2}running/);
  await hub.post('/swarm/coordinate', { task_id: 'song-2', strategy: 'broadcast', swarm_id });
  await top.shows(/├─ work {2}song-2[^]*└─ work {2}song-1/);
  await hub.post('/swarm/tasks/song-2/cancel', {});
  await top.shows(/song-2 {2}broadcast {2}cancelled/);
}, { first: /nothing to show/ });

withTop('what is wide moves aside under the first column', 'agents', async (top) => {
  top.keys('w');
  await top.shows(/AGENT +STATUS +TYPE/);
  assert.doesNotMatch(top.screen, /REGISTERED/);
  top.keys('Right', 'Right', 'Right', 'Right', 'Right');
  await top.shows(/AGENT +SLOTS +BEAT.*REGISTERED/);
  assert.match(top.screen, /bee-1 +1 /);
  top.keys('Left', 'Left', 'Left', 'Left', 'Left', 'Left');
  await top.shows(/AGENT +STATUS +TYPE/);
});

withTop('a page is as wide as the screen, whatever it says', 'agents', async (top, hub) => {
  await register(hub, 'bee-2', { metadata: { story: `${'once upon a time '.repeat(9)}the end` } });
  await top.shows(/bee-2/);
  top.keys('/', '2', 'Enter', 'd');
  await top.shows(/once upon a time[^]*the end/);
  top.keys('Escape', '?');
  await top.shows(/Order +s: sort by the next column; S: the other way round/);
  assert.doesNotMatch(top.screen, /…\n.*│In /);
});

withTop('the mouse selects, describes, sorts and goes to views', 'agents', async (top, hub) => {
  await register(hub, 'ant-1');
  await top.shows(/Agents \(2 of 2\)/);
  top.keys('g');
  top.click(/AGENT/);
  await top.shows(/\^ AGENT/);
  await top.shows(/ant-1[^]*bee-1/);
  top.click(/ant-1/, 65);
  top.click(/ant-1/);
  top.click(/bee-1/);
  assert.doesNotMatch(top.screen, /Agents > /);
  top.click(/bee-1/);
  await top.shows(/Agents > bee-1/);
  top.click(/4 Tasks/);
  await top.shows(/Tasks \(0 of 0\) +< Agents/);
  top.click(/0 Log/);
  await top.shows(/Log \(\d/);
});

withTop('--readonly changes nothing', 'agents --readonly', async (top) => {
  assert.match(top.screen, /read only/);
  top.keys('D');
  await top.shows(/nothing can be changed/);
});

withTop('top outlives the hub, with what it knew, and is live again when the hub is', 'agents', async (top, hub) => {
  await hub.kill9();
  await top.shows(/The hub is away/);
  assert.match(top.screen, /bee-1/);
  await hub.restart();
  await register(hub, 'bee-2');
  await top.shows(/bee-2 +active/);
  assert.doesNotMatch(top.screen, /The hub is away|connect/);
});

withTop('top follows the size of its terminal', 'agents', async (top) => {
  for (const [columns, rows] of [[40, 10], [200, 50], [20, 4], [80, 24]]) {
    top.resize(columns, rows);
    await until(() => top.screen.split('\n').length - 1 === rows, { what: `${rows} rows` });
    await top.shows(columns >= 60 ? /│Agents \(1 of 1\)/ : /^Agents \(1 of/m);
  }
});

for (const [why, env] of [['without UTF-8', { LANG: 'C' }], ['with NO_UNICODE', { NO_UNICODE: '1' }]]) {
  withTop(`${why} there is nothing but ASCII`, '', async (top, hub) => {
    await hub.post('/tasks/submit', { task_data: {}, requirements: { capabilities: ['nobody-has-this'] } });
    await top.shows(/tasks waiting +1 +1 .*#/);
    assert.doesNotMatch(top.screen, /[^\x00-\x7f]/);
  }, { env, first: /1 Pulses +\|Pulses/ });
}

withTop('a signal ends top, which gives the terminal back and says by what it ended', 'agents', async (top) => {
  process.kill(top.pid, 'SIGTERM');
  await top.shows(/ended with 143/);
  await top.shows(/^ echo$/m, 'a terminal that echoes');
});

withTop('top does not outlive its terminal', 'agents', async (top) => {
  const { pid } = top;
  top.end();
  await until(() => !isRunning(pid), { what: 'the end of top' });
});

story('who may not hear the hub is told why there are no pulses', async () => {
  const hub = await startHub();
  const { token } = await hub.mint({ sub: 'bee-1', role: 'agent' });
  const top = new Terminal(new Cli(hub, { key: null, env: { WAGGLE_TOKEN: token } }), '', { columns: 120 });
  await top.shows(/bee-1 \(agent\)/);
  await top.shows(/Pulses \(0 of 0\)[^]*no figures yet: .* channel hub/);
  top.end();
  await hub.abandon();
}, { skip: hasTmux ? false : 'tmux is not here' });

story('top without a terminal says so, and bad credentials end it with 5', async () => {
  const { code, err } = await new Cli(null).run('top');
  assert.equal(code, 2);
  assert.match(err, /wants a terminal/);
  if (!hasTmux) return;
  for (const term of ['dumb', 'no-such-terminal']) {
    const bare = new Terminal(new Cli(null), '', { columns: 120, term });
    await bare.shows(new RegExp(`TERM=${term} names no terminal[^]*ended with 2`));
    bare.end();
  }
  const hub = await startHub();
  const top = new Terminal(new Cli(hub, { key: 'wrong' }));
  await top.shows(/ended with 5/);
  await hub.stop();
});
