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
  constructor(cli, args = '', { columns = 80, rows = 24, env = {} } = {}) {
    this.name = `t${++terminals}`;
    const settings = Object.entries({ ...cli.env, LANG: 'C.UTF-8', ...env }).flatMap(([key, value]) => ['-e', `${key}=${value}`]);
    // What is printed after the program has ended shows that the terminal is itself again.
    this.tmux('-f', '/dev/null', 'new-session', '-d', '-s', this.name, '-x', String(columns), '-y', String(rows), ...settings,
      `exec sh -c '"${program}" top ${args}; echo "ended with $?"; stty -a | grep -o " -*echo " ; exec sleep 60'`);
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

function withTop(claim, args, fn, options) {
  story(claim, async () => {
    const hub = await startHub();
    await register(hub, 'bee-1', { capabilities: ['resize'] });
    const terminal = new Terminal(new Cli(hub), args, options);
    await terminal.shows(/bee-1/);
    await fn(terminal, hub);
    terminal.end();
    await hub.abandon(); // how a hub ends is told elsewhere
  }, { skip: hasTmux ? false : 'tmux is not here' });
}

withTop('top shows what is there and what comes, and gives the terminal back', '', async (top, hub) => {
  assert.match(top.screen, /waggle top .*http:.*\(admin\)/);
  assert.match(top.screen, /1 Agents +1 │Agents \(1 of 1\)/);
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

withTop('an agent is drained from the list after a yes, and not with a no', '', async (top, hub) => {
  top.keys('D');
  await top.shows(/drain bee-1\? y\/n/);
  top.keys('n');
  await top.shows(/not done/);
  assert.equal((await hub.get('/agents/bee-1')).body.agent.status, 'active');
  top.keys('D', 'y');
  await top.shows(/bee-1 +draini/);
  assert.equal((await hub.get('/agents/bee-1')).body.agent.status, 'draining');
});

withTop('tasks, queues and rounds have views of their own, and a task is cancelled from its', '', async (top, hub) => {
  const { task_id } = (await hub.post('/tasks/submit', { task_data: {}, priority: 'low', requirements: { capabilities: ['nobody-has-this'] } })).body;
  await hub.post('/api/v1/consensus', { question: 'Ship it?', electorate: ['a', 'b'] });
  top.keys(':', 't', 'a', 'Enter');
  await top.shows(/Tasks \(1 of 1\)/);
  assert.match(top.screen, new RegExp(`${task_id.slice(0, 8)}.* pending`));
  top.keys('2');
  await top.shows(/low +1/);
  top.keys('6');
  await top.shows(/open +majori/);
  top.keys('3', 'c');
  await top.shows(new RegExp(`cancel ${task_id}\\? y/n`));
  top.keys('y');
  await until(async () => (await hub.get(`/tasks/${task_id}`)).body.task.status === 'cancelled', { what: 'the cancellation' });
  await top.shows(/ canc/);
});

withTop('--readonly changes nothing', '--readonly', async (top) => {
  assert.match(top.screen, /read only/);
  top.keys('D');
  await top.shows(/nothing can be changed/);
});

withTop('top outlives the hub, with what it knew, and is live again when the hub is', '', async (top, hub) => {
  await hub.kill9();
  await top.shows(/The hub is away/);
  assert.match(top.screen, /bee-1/);
  await hub.restart();
  await register(hub, 'bee-2');
  await top.shows(/bee-2 +active/);
  assert.doesNotMatch(top.screen, /The hub is away/);
});

withTop('top follows the size of its terminal', '', async (top) => {
  for (const [columns, rows] of [[40, 10], [200, 50], [20, 4], [80, 24]]) {
    top.resize(columns, rows);
    await until(() => top.screen.split('\n').length - 1 === rows, { what: `${rows} rows` });
    await top.shows(columns >= 60 ? /│Agents \(1 of 1\)/ : /^Agents \(1 of/m);
  }
});

withTop('without UTF-8 there is nothing but ASCII', '', async (top) => {
  assert.match(top.screen, /1 Agents +1 \|Agents/);
  assert.doesNotMatch(top.screen, /[^\x00-\x7f]/);
}, { env: { LANG: 'C' } });

withTop('a signal ends top, which gives the terminal back and says by what it ended', '', async (top) => {
  process.kill(top.pid, 'SIGTERM');
  await top.shows(/ended with 143/);
  await top.shows(/^ echo$/m, 'a terminal that echoes');
});

withTop('top does not outlive its terminal', '', async (top) => {
  const { pid } = top;
  top.end();
  await until(() => !isRunning(pid), { what: 'the end of top' });
});

story('top without a terminal says so, and bad credentials end it with 5', async () => {
  const { code, err } = await new Cli(null).run('top');
  assert.equal(code, 2);
  assert.match(err, /wants a terminal/);
  if (!hasTmux) return;
  const hub = await startHub();
  const top = new Terminal(new Cli(hub, { key: 'wrong' }));
  await top.shows(/ended with 5/);
  await hub.stop();
});
