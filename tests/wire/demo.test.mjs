// The swarm of `deploy/run.sh --demo` at the work that README shows: its very commands, typed into a shell. Then again,
// with the hub and agents killed in the midst.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startHub, until } from './lib/hub.mjs';
import { Cli, program } from './lib/cli.mjs';
import { story } from './lib/story.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const section = readme.split(/^## /m).find((text) => text.startsWith('A swarm at work'));
const shown = section.split('\n').filter((line) => line.startsWith('    ')).map((line) => line.trim());
const commands = shown.filter((line) => /^(waggle|for|round=)/.test(line));
/** What README shows of the answers, but for what differs from run to run. */
const answers = shown.filter((line) => /^(results\.output|result|winner|verdict|signed_ballots) /.test(line));
const MEMBERS = ['bee-1', 'bee-2', 'bee-3', 'scout-1', 'guard-1'];

/** The demo's agents on a fresh hub, and a shell that gets one command after another. */
async function withDemo({ pause = 0, config = {} }, tell) {
  const dir = mkdtempSync(join(tmpdir(), 'waggle-demo-'));
  const hub = await startHub({ config });
  const env = { HOME: dir, PATH: `${dirname(program)}:${process.env.PATH}`, WAGGLE_URL: hub.url, WAGGLE_API_KEY: hub.adminKey };
  const swarm = spawn('sh', [join(root, 'deploy/demo.sh'), program, join(dir, 'keys')], { env: { ...env, WAGGLE_DEMO_PAUSE: `${pause}` }, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  swarm.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const left = once(swarm, 'exit');
  const shell = spawn('sh', ['-s'], { cwd: dir, env, stdio: ['pipe', 'pipe', 'pipe'] });
  const typed = { out: '', err: '' };
  for (const [name, stream] of [['out', shell.stdout], ['err', shell.stderr]]) stream.setEncoding('utf8').on('data', (text) => (typed[name] += text));
  const type = async (line, meanwhile = async () => {}) => {
    typed.out = typed.err = '';
    shell.stdin.write(`${line}\necho "== $?"\n`);
    await meanwhile(typed);
    const [, out, code] = await until(() => /^([^]*)^== (\d+)$/m.exec(typed.out), { timeout: 60_000, what: `the end of ${line}\n${typed.out}${typed.err}` });
    assert.equal(code, '0', `${line}\n${out}${typed.err}`);
    return out;
  };
  try {
    await until(() => MEMBERS.every((id) => log.includes(`agent ${id}: beating`)), { timeout: 30_000, what: 'five agents that beat' });
    const end = () => swarm.kill('SIGTERM') && left;
    await tell({ hub, type, cli: new Cli(hub), log: () => log, end });
  } finally {
    shell.stdin.end();
    swarm.kill('SIGTERM');
    await left;
    await hub.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

const squeezed = (text) => text.split('\n').map((line) => line.trim().replace(/ +/g, ' '));

function told(answersGiven) {
  const lines = answersGiven.flatMap(squeezed);
  for (const answer of squeezed(answers.join('\n'))) assert.ok(lines.includes(answer), `README says "${answer}"; the hub said\n${lines.join('\n')}`);
}

story('README shows a network, a map-reduce, a signed round and its certificate, and all of it works as pasted', async () => {
  assert.equal(commands.length, 8, commands.join('\n'));
  assert.deepEqual(answers.map((line) => line.split(' ')[0]), ['results.output', 'result', 'winner', 'verdict', 'signed_ballots']);
  await withDemo({}, async ({ hub, type, end }) => {
    const given = [];
    for (const command of commands) given.push(await type(command));
    told(given);
    assert.deepEqual(await end(), [0, null]);
    assert.equal((await hub.get('/agents')).body.agents.length, 0, 'the agents have taken their leave');
  });
});

story('kill -9 of the hub and of agents in the midst changes nothing but the time', async () => {
  const config = { tasks: { lease: '2s' } };
  await withDemo({ pause: 3, config }, async ({ hub, cli, type, log }) => {
    const pid = async (id) => (await cli.ask(`agent show ${id}`)).agent.metadata.pid;
    const hubDies = async (typed) => {
      assert.doesNotMatch(typed.out, /"status":"(completed|decided)"/, 'it was in the midst');
      await hub.kill9();
      await hub.restart();
    };
    const meanwhile = {
      'network execute': async (typed) => {
        await until(() => /mapping/.test(typed.out), { timeout: 30_000, what: 'work that has begun' });
        await until(() => (log().match(/taken/g) ?? []).length >= 3, { timeout: 30_000, what: 'three pieces taken' });
        process.kill(await pid('bee-2'), 'SIGKILL');
        await hubDies(typed);
      },
      'swarm coordinate': async (typed) => {
        await until(() => /mapping/.test(typed.out), { timeout: 30_000, what: 'work that has begun' });
        await hubDies(typed);
        process.kill(await pid('bee-3'), 'SIGKILL');
      },
      'consensus watch': async (typed) => {
        await until(() => /"voted":4/.test(typed.out), { timeout: 30_000, what: 'four ballots' });
        await hubDies(typed);
        process.kill(guard, 'SIGKILL');
      },
    };
    let guard;
    const given = [];
    for (const command of commands) {
      if (command.startsWith('round=')) process.kill((guard = await pid('guard-1')), 'SIGSTOP');
      const [, verb] = /^waggle (\w+ \w+)/.exec(command) ?? [];
      given.push(await type(command, meanwhile[verb]));
    }
    told(given);
  });
}, { timeout: 180_000 });
