// Rounds of voting among real agents: their own Ed25519 keys, sealed ballots, a hub that is killed in the
// midst, and certificates that a third party checks.

import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { after, before } from 'node:test';
import { sleep, startHub, until } from './lib/hub.mjs';
import { fresh, isTime, numbers, refused, story } from './lib/story.mjs';

let hub;
before(async () => {
  hub = await startHub();
});
after(() => hub?.stop());

const netstring = (text) => `${Buffer.byteLength(text)}:${text},`;

/** What docs/certificates.md tells an agent to sign. */
function ballotMessage(round, voter, vote) {
  const words =
    vote.choice !== undefined ? ['choice', vote.choice]
    : vote.ranking ? ['ranking', ...vote.ranking]
    : vote.score !== undefined ? ['score', String(vote.score)]
    : ['abstain'];
  const confidence = vote.confidence === undefined ? '' : String(vote.confidence);
  return `waggle-ballot-1\n${[round.round_id, round.digest, voter, confidence, ...words].map(netstring).join('')}`;
}

/** An agent with a connection and a key of its own. */
async function voter(where = hub, id = fresh('voter')) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { token } = await where.mint({ sub: id, role: 'agent' });
  const me = { id, token, privateKey, public_key: publicKey.export({ format: 'jwk' }).x };
  me.connect = async () => {
    me.bee = await where.connect({ token });
    await me.bee.call('agents.register', { agent_id: id, agent_type: 'worker', public_key: me.public_key });
  };
  me.signed = (round, vote) => ({
    round_id: round.round_id,
    ...vote,
    signature: sign(null, Buffer.from(ballotMessage(round, id, vote)), privateKey).toString('base64url'),
  });
  me.vote = (round, vote) => me.bee.call('consensus.vote', me.signed(round, vote));
  await me.connect();
  return me;
}

const voters = (n, where) => Promise.all(numbers(n).map(() => voter(where)));

async function openRound(members, terms = {}, where = hub) {
  const answer = await where.post('/api/v1/consensus', {
    question: 'Which way?', options: ['left', 'right'], electorate: members.map((one) => one.id), ...terms,
  });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

const show = async (round, where = hub) => (await where.get(`/api/v1/consensus/${round.round_id}`)).body;
const close = (all) => Promise.all(all.map((one) => one.bee.close()));

story('agents vote over their connections, and all who listen hear how it came out', async () => {
  const all = await voters(3);
  const watcher = await hub.connect({ token: all[0].token });
  const round = await openRound(all);
  assert.equal(round.status, 'open');
  isTime(round.opened_at);
  await watcher.subscribe(`consensus.${round.round_id}`);
  for (const [i, one] of all.entries()) {
    const answer = await one.vote(round, { choice: i ? 'right' : 'left' });
    assert.equal(answer.ballot, 'taken');
  }
  const closed = await watcher.next((frame) => frame.event === 'closed');
  assert.equal(closed.data.outcome.winner, 'right');
  assert.equal(closed.data.status, 'decided');
  const ballots = watcher.drain((frame) => frame.event === 'ballot');
  assert.ok(ballots.every((frame) => frame.data.choice === undefined), 'sealed ballots tell no choice');
  await watcher.close();
  await close(all);
});

story('whoever waits is answered when the round closes, not before', async () => {
  const all = await voters(3);
  const round = await openRound(all);
  let answered = false;
  const waiting = hub.get(`/api/v1/consensus/${round.round_id}?wait=30`).then((answer) => {
    answered = true;
    return answer;
  });
  await all[0].vote(round, { choice: 'left' });
  await all[1].vote(round, { choice: 'left' });
  await sleep(300);
  assert.equal(answered, false);
  await all[2].vote(round, { choice: 'left' });
  const { status, body } = await waiting;
  assert.equal(status, 200);
  assert.equal(body.status, 'decided');
  assert.equal(body.outcome.confidence_score, 1);
  await close(all);
});

story('whoever opens a round may wait for its outcome in the same request', async () => {
  const all = await voters(2);
  const watcher = await hub.connect();
  await watcher.subscribe('consensus');
  const reference = fresh('task');
  const waiting = openRound(all, { wait: true, reference, timeout_seconds: 30 });
  const { data } = await watcher.next((frame) => frame.event === 'opened' && frame.data.reference === reference);
  const round = await show(data);
  for (const one of all) await one.vote(round, { choice: 'left' });
  assert.equal((await waiting).status, 'decided');
  assert.equal((await openRound(all, { wait: true, timeout_seconds: 1 })).status, 'no_quorum');
  await watcher.close();
  await close(all);
});

story('waiting ends when its time is up, with the round as it stands', async () => {
  const [one, other] = await voters(2);
  const round = await openRound([one, other]);
  const begun = Date.now();
  const { body } = await hub.get(`/api/v1/consensus/${round.round_id}?wait=1`);
  assert.ok(Date.now() - begun >= 950);
  assert.equal(body.status, 'open');
  // The connection goes on.
  assert.equal((await show(round)).status, 'open');
  await close([one, other]);
});

story('the deadline decides with the ballots there are', async () => {
  const all = await voters(3);
  const round = await openRound(all, { timeout_seconds: 1 });
  await all[0].vote(round, { choice: 'left' });
  await all[1].vote(round, { choice: 'left' });
  const { body } = await hub.get(`/api/v1/consensus/${round.round_id}?wait=20`);
  assert.equal(body.status, 'decided');
  assert.equal(body.stop_reason, 'deadline');
  assert.equal(body.outcome.turnout.ballots, 2);
  await refused(all[2].vote(round, { choice: 'left' }), 'round_closed', 410);
  await close(all);
});

story('a signature of another ballot, voter or round is refused', async () => {
  const [one, other] = await voters(2);
  const round = await openRound([one, other], { signed: true });
  const next = await openRound([one, other], { signed: true });
  const good = one.signed(round, { choice: 'left' });
  await refused(one.bee.call('consensus.vote', { ...good, choice: 'right' }), 'invalid', 422);
  await refused(one.bee.call('consensus.vote', { ...good, round_id: next.round_id }), 'invalid', 422);
  await refused(other.bee.call('consensus.vote', good), 'invalid', 422);
  await refused(one.bee.call('consensus.vote', { round_id: round.round_id, choice: 'left' }), 'invalid', 422);
  assert.equal((await one.bee.call('consensus.vote', good)).ballot, 'taken');
  assert.equal((await one.bee.call('consensus.vote', good)).ballot, 'unchanged');
  await refused(one.vote(round, { choice: 'right' }), 'already_voted', 409);
  await close([one, other]);
});

story('bft decides with four of five and shows who voted twice', async () => {
  const all = await voters(5);
  const round = await openRound(all, { rule: 'bft' });
  await all[4].vote(round, { choice: 'right' });
  const twice = await all[4].vote(round, { choice: 'left' });
  assert.equal(twice.equivocation, true);
  for (const one of all.slice(0, 4)) await one.vote(round, { choice: 'left' });
  const body = await show(round);
  assert.equal(body.status, 'decided');
  assert.equal(body.winner, 'left');
  assert.deepEqual(body.ballots.filter((one) => one.status === 'voided').map((one) => one.voter), [all[4].id, all[4].id]);
  await close(all);
});

story('a certificate can be checked in another language, from the bytes it came as', async () => {
  const all = await voters(3);
  const round = await openRound(all, { rule: 'irv', options: ['a', 'b', 'c'], signed: true });
  await all[0].vote(round, { ranking: ['a', 'b'] });
  await all[1].vote(round, { ranking: ['b', 'a', 'c'], confidence: 0.75 });
  await all[2].vote(round, { ranking: ['c', 'b'] });
  const { text, body } = await hub.get(`/api/v1/consensus/${round.round_id}/certificate`);
  const { keys } = (await hub.get('/.well-known/jwks.json')).body;
  const jwk = keys.find((key) => key.kid === body.kid);
  assert.equal(jwk.x, body.public_key);
  const signed = text.slice('{"certificate":'.length, text.lastIndexOf(',"kid":'));
  const hubKey = createPublicKey({ key: jwk, format: 'jwk' });
  const bytes = Buffer.from(`waggle-certificate-1\n${signed}`);
  assert.ok(verify(null, bytes, hubKey, Buffer.from(body.signature, 'base64url')));

  const { certificate } = body;
  const { rule } = certificate;
  const digest = createHash('sha256').update(
    ['waggle-round-1', certificate.round_id, certificate.question, String(certificate.options.length), ...certificate.options,
     String(certificate.electorate.length), ...certificate.electorate.flatMap((seat) => [seat.id, String(seat.weight), seat.public_key ?? '']),
     rule.name, rule.of, rule.threshold, rule.quorum, rule.tie, rule.chair ?? '', rule.revote ? 'revote' : '', rule.early_close ? 'early_close' : '',
     rule.visibility, rule.signed_only ? 'signed' : '', String(certificate.opened_ms), String(certificate.deadline_ms), certificate.runoff_of ?? '']
      .map(netstring).join('')).digest('hex');
  assert.equal(digest, certificate.digest);
  assert.equal(digest, round.digest);
  for (const ballot of certificate.ballots) {
    const { public_key: x } = certificate.electorate.find((seat) => seat.id === ballot.voter);
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    const message = Buffer.from(ballotMessage(certificate, ballot.voter, ballot));
    assert.ok(verify(null, message, key, Buffer.from(ballot.signature, 'base64url')), ballot.voter);
  }
  await close(all);
});

story('a member computes the digest of an open round from what it is shown, chair included', async () => {
  const all = await voters(3);
  const { round_id } = await openRound(all, { tie: 'chair', chair: all[1].id, quorum: '1/2', threshold: '3/4', revote: true });
  const round = await all[0].bee.call('consensus.get', { round_id });
  assert.equal(round.chair, all[1].id);
  const digest = createHash('sha256').update(
    ['waggle-round-1', round.round_id, round.question, String(round.options.length), ...round.options,
     String(round.electorate.length), ...round.electorate.flatMap((seat) => [seat.id, String(seat.weight), seat.public_key ?? '']),
     round.rule, round.of, round.threshold, round.quorum, round.tie, round.chair ?? '', round.revote ? 'revote' : '', round.early_close ? 'early_close' : '',
     round.visibility, round.signed ? 'signed' : '', String(Date.parse(round.opened_at)), String(Date.parse(round.deadline)), round.runoff_of ?? '']
      .map(netstring).join('')).digest('hex');
  assert.equal(digest, round.digest);
  await close(all);
});

story('over a call, wait answers when the round is closed, and the connection goes on meanwhile', async () => {
  const all = await voters(3);
  const boss = await hub.connect();
  const reference = fresh('way');
  const electorate = all.map((one) => one.id);
  const opened = boss.call('consensus.open', { question: 'Which way?', options: ['left', 'right'], reference, electorate, wait: true, timeout_seconds: 60 });
  const round = await until(async () => (await boss.call('consensus.list', { reference })).rounds[0], { what: 'the round' });
  const shown = await show(round);
  const [got, bounded] = [boss.call('consensus.get', { round_id: round.round_id, wait: 60 }), boss.call('consensus.get', { round_id: round.round_id, wait: 0.5 })];
  assert.equal((await bounded).status, 'open'); // its time was up, the others' is not
  for (const one of all.slice(0, 2)) await one.vote(shown, { choice: 'left' });
  assert.equal((await boss.call('consensus.get', { round_id: round.round_id })).status, 'open');
  await all[2].vote(shown, { choice: 'left' });
  for (const answer of [await opened, await got]) assert.deepEqual([answer.status, answer.winner], ['decided', 'left']);
  await close([...all, { bee: boss }]);
});

story('a bounded number of calls wait on a connection; they end with it, or with the hub', async () => {
  const own = await startHub();
  const boss = await own.connect();
  const { round_id } = await boss.call('consensus.open', { question: 'When?', electorate: ['nobody-yet'], timeout_seconds: 60 });
  const waits = numbers(64).map(() => boss.call('consensus.get', { round_id, wait: 60 }));
  await refused(boss.call('consensus.get', { round_id, wait: 60 }), 'limit', 429);
  const gone = await own.connect();
  gone.call('consensus.get', { round_id, wait: 60 }).catch(() => {});
  gone.call('channels.poll', { channel: fresh('quiet'), since: 0, wait: 60 }).catch(() => {});
  await gone.call('consensus.get', { round_id }); // the hub has heard of both
  gone.terminate();
  const polled = (await own.connect()).call('channels.poll', { channel: 'soon', since: 0, wait: 60 });
  await own.post('/api/v1/channels/soon/events', { event: 'x', data: 1 });
  assert.equal((await polled).events.length, 1);
  const ended = own.terminate();
  for (const wait of waits) assert.equal((await wait).status, 'open');
  assert.equal((await ended).code, 0);
});

story('commitments outlive kill -9; who does not show its ballot is named, in the certificate too', async () => {
  const own = await startHub();
  const all = await voters(4, own);
  const round = await openRound(all, { commit_seconds: 12, timeout_seconds: 15, signed: true }, own);
  const nonces = all.map(() => randomBytes(16).toString('hex'));
  const vote = { choice: 'left' };
  const hash = (one, nonce) => createHash('sha256')
    .update(ballotMessage(round, one.id, vote).replace('waggle-ballot-1', 'waggle-commit-1') + netstring(nonce)).digest('hex');
  const commit = (one, nonce) => one.bee.call('consensus.commit', { round_id: round.round_id, commitment: hash(one, nonce) });
  const show = (one, nonce) => one.bee.call('consensus.vote', { ...one.signed(round, vote), nonce });
  await refused(show(all[0], nonces[0]), 'conflict', 409);
  for (const i of [0, 1]) await commit(all[i], nonces[i]);
  await own.kill9();
  await own.restart();
  for (const one of all) await one.connect();
  assert.equal((await commit(all[0], nonces[0])).commitment, 'unchanged');
  await refused(commit(all[0], nonces[1]), 'already_voted', 409);
  for (const i of [2, 3]) await commit(all[i], nonces[i]); // all have: nobody waits for the rest of the time
  await refused(show(all[0], nonces[1]), 'invalid', 422);
  for (const i of [0, 1, 2]) await show(all[i], nonces[i]);
  const closed = await all[0].bee.call('consensus.get', { round_id: round.round_id, wait: 90 }, { timeout: 80_000 });
  assert.deepEqual([closed.status, closed.winner, closed.outcome.unrevealed], ['decided', 'left', [all[3].id]]);
  const { certificate } = (await own.get(`/api/v1/consensus/${round.round_id}/certificate`)).body;
  for (const [i, { commitment }] of certificate.commitments.entries()) assert.equal(commitment, hash(all[i], nonces[i]));
  assert.deepEqual(certificate.ballots.map((one) => one.nonce), nonces.slice(0, 3));
  await own.stop();
}, { timeout: 120_000 });

story('a round outlives kill -9: every acknowledged ballot is counted, once', async () => {
  const own = await startHub();
  const all = await voters(7, own);
  const round = await openRound(all, { options: ['a', 'b'], timeout_seconds: 120 }, own);
  for (const one of all.slice(0, 3)) await one.vote(round, { choice: 'a' });
  await own.kill9();
  await own.restart();
  assert.equal((await show(round, own)).voted, 3);
  for (const one of all) await one.connect();
  // Who is not sure whether its vote arrived votes again.
  for (const one of all.slice(0, 3)) assert.equal((await one.vote(round, { choice: 'a' })).ballot, 'unchanged');
  for (const one of all.slice(3)) await one.vote(round, { choice: 'b' });
  const before = await show(round, own);
  assert.equal(before.winner, 'b');
  assert.equal(before.outcome.turnout.ballots, 7);
  await own.kill9();
  await own.restart();
  assert.deepEqual(await show(round, own), before);
  await own.stop();
});

story('a deadline that passed while the hub was down is counted when it starts', async () => {
  const own = await startHub();
  const all = await voters(3, own);
  const round = await openRound(all, { timeout_seconds: 1 }, own);
  await all[0].vote(round, { choice: 'left' });
  await all[1].vote(round, { choice: 'left' });
  await own.kill9();
  await sleep(1_200);
  await own.restart();
  const body = await until(async () => {
    const now = await show(round, own);
    return now.status !== 'open' && now;
  }, { what: 'the count' });
  assert.equal(body.status, 'decided');
  assert.equal(body.stop_reason, 'deadline');
  assert.equal(body.winner, 'left');
  await own.stop();
});

story('a hundred members are decided within 50 ms of the last ballot', async () => {
  const ids = numbers(100).map(() => fresh('seat'));
  const took = [];
  for (let again = 0; again < 5; again++) {
    const round = await openRound(ids.map((id) => ({ id })));
    const vote = (id) => hub.post(`/api/v1/consensus/${round.round_id}/votes`, { voter: id, choice: 'left' });
    await Promise.all(ids.slice(1).map(vote));
    const watcher = await hub.connect();
    await watcher.subscribe(`consensus.${round.round_id}`);
    const begun = performance.now();
    const last = vote(ids[0]);
    await watcher.next((frame) => frame.event === 'closed');
    took.push(performance.now() - begun);
    assert.equal((await last).body.round_status, 'decided');
    await watcher.close();
  }
  const best = Math.min(...took);
  console.log(`# decided after ${took.map((ms) => ms.toFixed(1)).join(', ')} ms`);
  assert.ok(best < 50, `${best} ms`);
});
