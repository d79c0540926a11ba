// What is typed and what is sent: each verb's request, as --dry-run prints it. No hub is needed.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { Cli } from './lib/cli.mjs';
import { story } from './lib/story.mjs';

const cli = new Cli(null, { env: { WAGGLE_URL: 'http://hub' } });
const dir = mkdtempSync(join(tmpdir(), 'waggle-verbs-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const file = join(dir, 'task.json');
writeFileSync(file, '{"from":"a file"}\n');
const nonce = join(dir, 'nonce');
writeFileSync(nonce, 'of my own, in a file\n', { mode: 0o600 });
chmodSync(file, 0o644);

const typed = [
  // As the programs that came before type them.
  ["agent network create --name test-network --agents 'agent1,agent2'", 'POST /agents/networks', { name: 'test-network', agents: ['agent1', 'agent2'] }],
  [`agent network execute n1 --task ${file}`, 'POST /agents/networks/n1/execute', { task: { from: 'a file' } }],
  ['swarm join --role load-balancer --capability gpu-processing', 'POST /swarm/join', { role: 'load-balancer', capability: 'gpu-processing' }],
  ['swarm coordinate --task-id task123 --strategy map-reduce', 'POST /swarm/coordinate', { task_id: 'task123', strategy: 'map-reduce' }],
  ['swarm consensus --task-id task123', 'POST /swarm/consensus', { task_id: 'task123' }],
  ['swarm leave --swarm-id swarm123', 'POST /swarm/leave', { swarm_id: 'swarm123' }],
  // The others.
  ['network create --name n --agents a --agents b,c --strategy round-robin', 'POST /agents/networks', { name: 'n', agents: ['a', 'b', 'c'], coordination_strategy: 'round-robin' }],
  ['agent create --id bee-1 --capability a,b --ttl 90s', 'POST http://hub/v1/agents', { agent_id: 'bee-1', capabilities: ['a', 'b'], ttl_s: 90 }],
  ['network rm n/1', 'DELETE /agents/networks/n%2F1', null],
  ['swarm consensus --task-id t --options yes,no --wait', 'POST /swarm/consensus', { task_id: 't', options: ['yes', 'no'], wait: true }],
  ["swarm coordinate --task 'sum up' --collaborators 3", 'POST /swarm/coordinate', { task: 'sum up', collaborators: 3 }],
  ["task submit '{\"n\":1.10}' -p high --capability x,y --agent-type worker --min-health 0.5 --delay 90s", 'POST /tasks/submit',
    { task_data: { n: 1.1 }, priority: 'high', requirements: { agent_type: 'worker', capabilities: ['x', 'y'], min_health_score: 0.5 }, delay_seconds: 90 }],
  [`task submit @${file}`, 'POST /tasks/submit', { task_data: { from: 'a file' } }],
  ['task cancel t1', 'POST /tasks/t1/cancel', {}],
  ['task retry t1', 'POST /tasks/t1/replay', null],
  ['task extend t1 --lease l1', 'POST /tasks/t1/renew', { lease_id: 'l1' }],
  ['task input t1 yes', 'POST /tasks/t1/input', { input: 'yes' }],
  ['task input t1 3', 'POST /tasks/t1/input', { input: 3 }],
  ['task dlq replay --stop-reason poison --limit 5', 'POST /tasks/dead-letters/replay', { stop_reason: 'poison', limit: 5 }],
  ["task dlq purge --stop-reason poison --reason old", 'POST /tasks/dead-letters/purge', { stop_reason: 'poison', reason: 'old' }],
  ["queue pause low --reason 'disk full'", 'POST /tasks/queues/low/pause', { reason: 'disk full' }],
  ['queue resume all', 'POST /tasks/queues/all/resume', {}],
  ["swarm cancel t1 --reason 'too late'", 'POST /swarm/tasks/t1/cancel', { reason: 'too late' }],
  ['key revoke k1 --reason lost', 'DELETE /auth/keys/k1?reason=lost', null],
  ['key rotate --reason yearly', 'POST /auth/signing-keys/rotate', { reason: 'yearly' }],
  ["token revoke --sub bee-7 --reason 'laptop lost'", 'POST /auth/tokens/revoke', { sub: 'bee-7', reason: 'laptop lost' }],
  ['app disable shop --reason unpaid', 'PATCH /apps/shop', { enabled: false, reason: 'unpaid' }],
  ["task cancel t1 --reason 'not needed'", 'POST /tasks/t1/cancel', { reason: 'not needed' }],
  ['agent rm bee-1 --reason gone', 'DELETE /agents/bee-1?reason=gone', null],
  ['agent drain bee-1 --reason repair', 'PUT /agents/bee-1/status', { status: 'draining', reason: 'repair' }],
  ['network rm n1 --reason old', 'DELETE /agents/networks/n1?reason=old', null],
  ['swarm leave --swarm-id s1 --reason late', 'POST /swarm/leave', { swarm_id: 's1', reason: 'late' }],
  ['swarm leave --swarm-id s1 --leases return', 'POST /swarm/leave', { swarm_id: 's1', leases: 'return' }],
  ['queue clear low', 'POST /tasks/queues/low/clear', {}],
  ['lb strategy round_robin', 'PUT /load-balancer/strategy?strategy=round_robin', null],
  ["consensus open 'Ship it?' --electorate a,b,c --rule supermajority --threshold 3/4 --quorum 0.6 --revote --for 10m", 'POST /consensus',
    { question: 'Ship it?', electorate: ['a', 'b', 'c'], rule: 'supermajority', threshold: '3/4', quorum: 0.6, revote: true, timeout_seconds: 600 }],
  ['consensus vote r1 yes --confidence 0.9 --voter a', 'POST /consensus/r1/votes', { choice: 'yes', voter: 'a', confidence: 0.9 }],
  ['consensus vote r1 --ranking b,a', 'POST /consensus/r1/votes', { ranking: ['b', 'a'] }],
  ["consensus open 'Ship it?' --electorate a --commit-for 2m --for 5m", 'POST /consensus', { question: 'Ship it?', electorate: ['a'], timeout_seconds: 300, commit_seconds: 120 }],
  [`consensus commit r1 ${'0a'.repeat(32)} --voter a`, 'POST /consensus/r1/commitments', { commitment: '0a'.repeat(32), voter: 'a' }],
  ['consensus vote r1 yes --nonce 0123456789abcdef', 'POST /consensus/r1/votes', { choice: 'yes', nonce: '0123456789abcdef' }],
  [`consensus vote r1 yes --nonce-file ${nonce}`, 'POST /consensus/r1/votes', { choice: 'yes', nonce: 'of my own, in a file' }],
  ['consensus cancel r1', 'POST /consensus/r1/cancel', {}],
  ["msg send bee-2 '{\"a\":1}'", 'POST /messages/send', { receiver_id: 'bee-2', payload: { a: 1 }, message_type: 'direct' }],
  ["msg send bee-2 '{}' --type discovery --ttl 2m --from bee-1 --ack none", 'POST /messages/send',
    { receiver_id: 'bee-2', payload: {}, message_type: 'discovery', ttl: 120, sender_id: 'bee-1', ack: 'none' }],
  ["msg broadcast '{}' --agent-type worker --capability x", 'POST /messages/broadcast', { payload: {}, message_type: 'broadcast', agent_type: 'worker', capabilities: ['x'] }],
  ['msg nack m1 --delay 5 --agent b', 'POST /messages/m1/nack', { agent_id: 'b', delay: 5 }],
  ['msg progress m1 --agent b', 'POST /messages/m1/progress', { agent_id: 'b' }],
  ["msg term m1 --agent b --reason 'no such file'", 'POST /messages/m1/term', { agent_id: 'b', reason: 'no such file' }],
  ["schema validate '{\"type\":\"object\"}' '[1]' --formats", 'POST /schemas/validate', { schema: { type: 'object' }, instance: [1], assert_formats: true }],
  ['channel forget orders c1 --reason done', 'DELETE /channels/orders/cursors/c1?reason=done', null],
  ['namespace reset orders --reason moved', 'DELETE /namespaces/orders?reason=moved', null],
  ['peer rm bee-1 bee-2 --reason left', 'POST /peers/remove?agent_id=bee-1&peer_id=bee-2&reason=left', null],
  ['peer unmaster bee-1 bee-2 --reason left', 'POST /hierarchy/remove?master_id=bee-1&sub_id=bee-2&reason=left', null],
  ['backup create before', 'POST /admin/backups', { name: 'before' }],
  ['agent status bee-1 maintenance --cpu 0.5 --reason disk', 'PUT /agents/bee-1/status', { status: 'maintenance', reason: 'disk', load_metrics: { cpu: 0.5 } }],
  ['app enable shop --reason paid', 'PATCH /apps/shop', { enabled: true, reason: 'paid' }],
  ['app set shop --name Shop --reason renamed', 'PATCH /apps/shop', { name: 'Shop', reason: 'renamed' }],
  ['token mint --sub bee-7 --role agent --ttl 90s', 'POST /auth/tokens', { sub: 'bee-7', role: 'agent', ttl_s: 90 }],
  ["publish orders '{\"id\":7}' --event created", 'POST /channels/orders/events', { event: 'created', data: { id: 7 } }],
  ["peer add bee-1 'bee 2'", 'POST /peers/add?agent_id=bee-1&peer_id=bee%202', null],
];

for (const [line, request, body] of typed) {
  story(`waggle ${line}`, async () => {
    const sent = await cli.ask(`${line} --dry-run`);
    assert.equal(`${sent.method} ${sent.url.replace('http://hub/api/v1', '')}`, request);
    assert.deepEqual(sent.body, body);
  });
}

for (const [line, says] of [
  ['swarm join --role king --capability x', /is one of load-balancer/],
  ["task submit '{\"n\":'", /DATA is not well-formed JSON at byte/],
  ['task submit @/nowhere/file', /cannot read \/nowhere\/file/],
  ['network create --name n', /--agents A,B is missing/],
  ['task dlq replay --stop-reason timeout', /is one of non_retryable, .* start_to_close_timeout, /],
  ["msg send bee-2 '{}' --ttl soon", /wants a time/],
  ['consensus commit r1 --voter a', /a commitment, or a ballot and --nonce-file, is missing/],
  ['consensus commit r1 yes --confidence 1', /--confidence goes with --nonce-file/],
  [`consensus commit r1 yes --abstain --nonce-file ${nonce}`, /a ballot says one thing/],
  [`consensus commit r1 yes --nonce-file ${file}`, /may be read by others/],
  ['consensus vote r1 yes --nonce-file /nowhere/file', /cannot be read/],
  [`consensus vote r1 yes --nonce 0123456789abcdef --nonce-file ${nonce}`, /one nonce/],
]) {
  story(`waggle ${line} is refused here, with 2`, async () => {
    const { code, err } = await cli.run(line);
    assert.equal(code, 2);
    assert.match(err, says);
  });
}

// --- what every verb has ------------------------------------------------------------------------

/** All verbs, each with the options of its own, as its page of help has them. */
let known;
const verbs = () => (known ??= readVerbs());
async function readVerbs() {
  const help = async (words) => (await cli.run([...words, '--help'])).out.split('Options of every command')[0];
  const found = new Map();
  for (const [, noun] of (await help([])).matchAll(/^ {2}([a-z]+) /gm)) {
    const under = [...(await help([noun])).matchAll(new RegExp(`^  (${noun}(?: [a-z-]+)+)(?:  |$)`, 'gm'))].map((one) => one[1]);
    const pages = await Promise.all((under.length ? under : [noun]).map(async (verb) => [verb, await help(verb.split(' '))]));
    for (const [verb, page] of pages) found.set(verb, [...page.matchAll(/--([a-z-]+)/g)].map((one) => one[1]));
  }
  return found;
}
const lastWord = (verb) => verb.split(' ').at(-1);
const ends = (words) => (verb) => words.includes(lastWord(verb));
const destroys = ends(['rm', 'cancel', 'clear', 'purge', 'revoke', 'rotate', 'disable', 'forget', 'reset', 'term', 'leave', 'unmaster']);
const lists = ends(['ls', 'list', 'discover', 'members', 'presence', 'history', 'cursors', 'executions', 'revoked', 'tree']);
const shows = ends(['show', 'stats', 'status', 'execution', 'bottlenecks']);
/** These look, wait, or are about this side alone. */
const looks = (verb) => lists(verb) || shows(verb) || verb === 'swarm task' || /^(bench|context|cheat|completion|doctor|errors|health|help|monitor|tail|top|trace|tui|verify|version|whoami) ?/.test(verb)
  || ends(['run', 'watch', 'tail', 'sub', 'optimize', 'certificate', 'verify'])(verb);

story('every verb that does away with something asks first, can be tried, and takes a reason', async () => {
  const own = ['context rm']; // nobody else hears of it
  for (const [verb, options] of await verbs()) {
    if (!destroys(verb)) continue;
    for (const option of ['yes', 'dry-run', ...(own.includes(verb) ? [] : ['reason'])]) assert.ok(options.includes(option), `${verb} --${option}`);
  }
});

story('every list pages and can be watched, everything that is shown can be watched', async () => {
  const few = ['queue ls', 'context ls']; // five, and a file of one's own
  const still = ['context ls', 'token show']; // nothing tells of these: what is in one's hand
  const changes = ['agent status']; // sets it
  for (const [verb, options] of await verbs()) {
    if (lists(verb) && !few.includes(verb)) assert.deepEqual(['limit', 'cursor'].filter((one) => !options.includes(one)), [], verb);
    if ((lists(verb) || shows(verb)) && !still.includes(verb) && !changes.includes(verb)) assert.ok(options.includes('watch'), `${verb} --watch`);
  }
});

story('everything that changes something can be tried first', async () => {
  for (const [verb, options] of await verbs()) {
    if (!looks(verb) || ['agent status', 'context rm'].includes(verb)) assert.ok(options.includes('dry-run'), `${verb} --dry-run`);
  }
});

story('a frame that is tried is printed, and several events are not', async () => {
  assert.deepEqual((await cli.ask('call agents.get agent_id=bee-1 --dry-run')).params, { agent_id: 'bee-1' });
  assert.equal((await cli.run("publish orders '{}' --count 3 --dry-run")).code, 2);
});
