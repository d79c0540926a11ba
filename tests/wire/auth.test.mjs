// Identity: tokens that any JOSE library reads, keys that any JOSE library brings, and their end.

import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import * as jose from 'jose';
import { startHub, until } from './lib/hub.mjs';
import { fresh, refused, story } from './lib/story.mjs';

let hub;
let foreign; // the user's own identity service
before(async () => {
  const pair = await jose.generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const kid = 'their-key-1';
  foreign = { ...pair, kid, jwk: { ...(await jose.exportJWK(pair.publicKey)), kid, alg: 'EdDSA', use: 'sig' } };
  hub = await startHub({ trustJwks: { keys: [foreign.jwk] } });
});
after(() => hub?.stop());

const seconds = () => Math.floor(Date.now() / 1000);

function foreignToken(claims = {}, header = {}) {
  const jwt = new jose.SignJWT({ role: 'agent', app: 'main', ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid: foreign.kid, ...header })
    .setSubject(claims.sub ?? 'their-bee')
    .setAudience(claims.aud ?? 'waggle')
    .setIssuedAt(claims.iat);
  if (claims.exp !== null) jwt.setExpirationTime(claims.exp ?? seconds() + 300);
  return jwt;
}

const status = async (token) => (await hub.get('/agents', { token })).status;

story('the hub publishes its keys and jose verifies its tokens with them', async () => {
  const answer = await hub.get('/.well-known/jwks.json', { token: null });
  assert.equal(answer.status, 200);
  const [key] = answer.body.keys;
  assert.equal(key.kty, 'OKP');
  assert.equal(key.crv, 'Ed25519');
  assert.ok(key.kid);
  assert.equal(key.d, undefined, 'no private part');

  const { token } = await hub.mint({ sub: 'bee-1', role: 'agent', cap: { 'orders.>': ['subscribe'] } });
  const jwks = jose.createRemoteJWKSet(new URL(`${hub.url}/.well-known/jwks.json`));
  const { payload, protectedHeader } = await jose.jwtVerify(token, jwks, { audience: 'waggle', algorithms: ['EdDSA'] });
  assert.equal(protectedHeader.alg, 'EdDSA');
  assert.equal(payload.sub, 'bee-1');
  assert.equal(payload.role, 'agent');
  assert.equal(payload.app, 'main');
  assert.ok(payload.exp > seconds());
  assert.ok(payload.jti);
  assert.deepEqual(payload.cap, { 'orders.>': ['subscribe'] });
});

story('the first admin key is shown once and kept for its owner alone', async () => {
  const first = await startHub({ adminKey: null });
  try {
    assert.equal(statSync(join(first.data, 'admin.key')).mode & 0o777, 0o600);
    const key = readFileSync(join(first.data, 'admin.key'), 'utf8').trim();
    assert.ok(first.logs.includes(key), 'the key is shown once, at the first start');
    assert.equal((await first.get('/agents', { token: key })).status, 200);
    assert.equal(first.stdout.trim().split('\n').length, 1, 'stdout has the ready line and nothing else');
    const shownBefore = first.logs.split(key).length;
    await first.terminate();
    await first.restart();
    assert.equal((await first.get('/agents', { token: key })).status, 200, 'the key outlives a restart');
    assert.equal(first.logs.split(key).length, shownBefore, 'and is not shown again');
  } finally {
    await first.stop();
  }
});

story("a token signed by the user's own service counts like the hub's own", async () => {
  const token = await foreignToken().sign(foreign.privateKey);
  assert.equal(await status(token), 200);
  const bee = await hub.connect({ token });
  const channel = fresh('foreign');
  await bee.subscribe(channel);
  await bee.publish(channel, 'x', 1);
  assert.equal((await bee.next('event')).from, 'their-bee');
  await bee.close();
});

story('an audience in a list counts', async () => {
  assert.equal(await status(await foreignToken({ aud: ['other', 'waggle'] }).sign(foreign.privateKey)), 200);
});

for (const [what, make] of [
  ['signed by a key nobody trusts', async () => {
    const { privateKey } = await jose.generateKeyPair('EdDSA', { crv: 'Ed25519' });
    return foreignToken().sign(privateKey);
  }],
  ['with a kid nobody knows', () => foreignToken({}, { kid: 'no-such-key' }).sign(foreign.privateKey)],
  ['without a kid', () => foreignToken({}, { kid: undefined }).sign(foreign.privateKey)],
  ['for another audience', () => foreignToken({ aud: 'elsewhere' }).sign(foreign.privateKey)],
  ['that has expired', () => foreignToken({ exp: seconds() - 120 }).sign(foreign.privateKey)],
  ['without expiry', () => foreignToken({ exp: null }).sign(foreign.privateKey)],
  ['issued in the future', () => foreignToken({ iat: seconds() + 3600, exp: seconds() + 7200 }).sign(foreign.privateKey)],
  ['of an unknown role', () => foreignToken({ role: 'emperor' }).sign(foreign.privateKey)],
  ['of an unknown app', () => foreignToken({ app: 'nowhere' }).sign(foreign.privateKey)],
  ['with crit', () => foreignToken({}, { crit: ['exp'], exp: 1 }).sign(foreign.privateKey).catch(() => 'a.b.c')],
  ['with alg none', async () => new jose.UnsecuredJWT({ role: 'admin', app: 'main' }).setSubject('x').setAudience('waggle').setExpirationTime('5m').encode()],
  ['with HS256 over the public key', async () => {
    const { body } = await hub.get('/.well-known/jwks.json', { token: null });
    const secret = jose.base64url.decode(body.keys[0].x);
    return new jose.SignJWT({ role: 'admin', app: 'main' }).setProtectedHeader({ alg: 'HS256', kid: body.keys[0].kid })
      .setSubject('x').setAudience('waggle').setExpirationTime('5m').sign(secret);
  }],
  ['with its key inside (jwk)', async () => {
    const pair = await jose.generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
    return foreignToken({}, { jwk: await jose.exportJWK(pair.publicKey) }).sign(pair.privateKey);
  }],
  ['with a bit turned', async () => {
    const token = await foreignToken().sign(foreign.privateKey);
    const at = token.length - 10;
    return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
  }],
  ['with its claims exchanged', async () => {
    const [head, , signature] = (await foreignToken().sign(foreign.privateKey)).split('.');
    const claims = jose.base64url.encode(JSON.stringify({ role: 'admin', app: 'main', sub: 'x', aud: 'waggle', exp: seconds() + 300 }));
    return `${head}.${claims}.${signature}`;
  }],
  ['of three dots', async () => `${await foreignToken().sign(foreign.privateKey)}.x`],
  ['of 20 KB', async () => foreignToken({ pad: 'x'.repeat(15_000) }).sign(foreign.privateKey)],
]) {
  story(`a token ${what} is refused`, async () => {
    const answer = await hub.get('/agents', { token: await make() });
    assert.equal(answer.status === 431 ? 401 : answer.status, 401);
  });
}

story('the same answer for every bad token: nobody learns why', async () => {
  const say = async (token) => {
    const { body } = await hub.get('/agents', { token });
    return `${body.message} ${body.detail} ${body.title}`;
  };
  const texts = new Set([
    await say(await foreignToken({ exp: seconds() - 120 }).sign(foreign.privateKey)),
    await say(await foreignToken({}, { kid: 'no-such-key' }).sign(foreign.privateKey)),
    await say('nonsense'),
    await say('a.b.c'),
  ]);
  assert.equal(texts.size, 1, [...texts].join(' | '));
});

story('when a token expires its connection is told before and closed with 4009', async () => {
  const bee = await hub.connect({ token: await foreignToken({ exp: seconds() + 4 }).sign(foreign.privateKey) });
  const started = Date.now();
  const warning = await bee.next('token_expiring');
  assert.ok(Date.parse(warning.at) > started);
  const { code } = await bee.closed;
  assert.equal(code, 4009);
  const lived = Date.now() - started;
  // At its time, or as much later as other clocks may be off (30 s), and a second to notice.
  assert.ok(lived > 2_000 && lived < 36_000, `closed after ${lived} ms`);
});

story('a new token in place keeps the connection past the old one', async () => {
  const bee = await hub.connect({ token: await foreignToken({ exp: seconds() + 3 }).sign(foreign.privateKey) });
  const channel = fresh('refresh');
  await bee.subscribe(channel);
  const answer = await bee.request({ type: 'auth', token: await foreignToken().sign(foreign.privateKey) });
  assert.notEqual(answer.type, 'error');
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  await bee.publish(channel, 'x', 1);
  assert.equal((await bee.next('event')).data, 1);
  await bee.close();
});

story('a bad new token closes; rights that a new token lacks end their subscriptions', async () => {
  const bee = await hub.connect({ token: await foreignToken().sign(foreign.privateKey) });
  bee.send({ type: 'auth', id: 'a', token: 'nonsense' });
  assert.equal((await bee.closed).code, 4009);

  const channel = `private-${fresh('p')}`;
  const wide = await hub.connect({ token: await foreignToken({ cap: { [channel]: ['subscribe'] } }).sign(foreign.privateKey) });
  await wide.subscribe(channel);
  await wide.request({ type: 'auth', token: await foreignToken({ cap: {} }).sign(foreign.privateKey) });
  const admin = await hub.connect();
  await admin.publish(channel, 'x', 1);
  await wide.barrier().catch(() => {});
  assert.deepEqual(wide.drain('event'), []);
  await admin.close();
  wide.terminate();
});

for (const by of ['jti', 'sub']) {
  story(`revocation by ${by} closes live connections within a second`, async () => {
    const sub = fresh('revoked');
    const minted = await hub.mint({ sub, role: 'agent' });
    const jti = minted.jti ?? jose.decodeJwt(minted.token).jti;
    const bee = await hub.connect({ token: minted.token });
    const other = await hub.connect({ token: (await hub.mint({ sub: fresh('spared'), role: 'agent' })).token });
    const answer = await hub.post('/api/v1/auth/tokens/revoke', { [by]: by === 'jti' ? jti : sub });
    assert.ok([200, 201, 204].includes(answer.status), answer.text);
    const started = Date.now();
    assert.equal((await bee.closed).code, 4009);
    assert.ok(Date.now() - started < 1_000, `closed after ${Date.now() - started} ms`);
    assert.equal(await status(minted.token), 401);
    await other.barrier();
    await other.close();
  }, { stall: 300, on: () => hub });
}

story('a revocation outlives kill -9', async () => {
  const own = await startHub();
  try {
    const { token } = await own.mint({ sub: 'gone', role: 'agent' });
    assert.equal((await own.get('/agents', { token })).status, 200);
    await own.post('/api/v1/auth/tokens/revoke', { sub: 'gone' });
    await own.kill9();
    await own.restart();
    assert.equal((await own.get('/agents', { token })).status, 401);
  } finally {
    await own.stop();
  }
});

story('nobody hands out more than they have', async () => {
  const { token: operator } = await hub.mint({ sub: 'op', role: 'operator' });
  const { token: agent } = await hub.mint({ sub: 'ag', role: 'agent' });
  const ask = (token, body) => hub.post('/api/v1/auth/tokens', body, { token });
  assert.equal((await ask(operator, { sub: 'x', role: 'admin' })).status, 403);
  assert.equal((await ask(agent, { sub: 'x', role: 'admin' })).status, 403);
  assert.equal((await ask(null, { sub: 'x', role: 'viewer' })).status, 401);
  assert.equal((await ask(hub.adminKey, { sub: 'x', role: 'emperor' })).status, 422);
  assert.equal((await ask(hub.adminKey, { role: 'viewer' })).status, 422);
  assert.equal((await ask(hub.adminKey, { sub: 'x', role: 'viewer', cap: { 'a b': ['subscribe'] } })).status, 422);
  assert.equal((await ask(hub.adminKey, { sub: 'x', role: 'viewer', cap: { a: ['fly'] } })).status, 422);
});

story('each role may do what its row says', async () => {
  const channel = fresh('roles');
  const as = async (role) => hub.connect({ token: (await hub.mint({ sub: `r-${role}`, role })).token });
  const viewer = await as('viewer');
  const agent = await as('agent');
  const operator = await as('operator');
  await viewer.subscribe(channel);
  await refused(viewer.publish(channel, 'x', 1), 'forbidden', 403);
  await agent.publish(channel, 'x', 1);
  await refused(agent.subscribe(`private-${channel}`), 'forbidden', 403);
  await operator.subscribe(`private-${channel}`);
  await refused(viewer.call('agents.register', { agent_id: fresh('a'), agent_type: 'worker' }), 'forbidden', 403);
  await agent.call('agents.register', { agent_id: fresh('a'), agent_type: 'worker' });
  for (const client of [viewer, agent, operator]) await client.close();
});

story('capabilities decide alone where a token carries them', async () => {
  const [mine, theirs] = [fresh('cap'), fresh('cap')];
  const { token } = await hub.mint({ sub: 'capped', role: 'agent', cap: { [`${mine}.*`]: ['subscribe', 'publish', 'history'] } });
  const bee = await hub.connect({ token });
  await bee.subscribe(`${mine}.a`);
  await bee.publish(`${mine}.a`, 'x', 1);
  await refused(bee.subscribe(theirs), 'forbidden', 403);
  await refused(bee.publish(theirs, 'x', 1), 'forbidden', 403);
  await refused(bee.history(theirs), 'forbidden', 403);
  await bee.close();
});

story('an app is a tenant: nothing of one is seen by another', async () => {
  const own = await startHub({ args: ['--app', 'other:other-key:other-secret'], trustJwks: { keys: [foreign.jwk] } });
  try {
    const channel = fresh('tenant');
    const ours = await own.connect();
    const theirs = await own.connect({ token: await foreignToken({ sub: 'them', role: 'admin', app: 'other' }).sign(foreign.privateKey) });
    await ours.subscribe(channel);
    await theirs.subscribe(channel);
    assert.equal((await ours.publish(channel, 'x', 'ours')).offset, 1);
    assert.equal((await theirs.publish(channel, 'x', 'theirs')).offset, 1);
    assert.deepEqual((await ours.next('event')).data, 'ours');
    assert.deepEqual((await theirs.next('event')).data, 'theirs');
    await ours.call('agents.register', { agent_id: 'bee', agent_type: 'worker' });
    await refused(theirs.call('agents.get', { agent_id: 'bee' }), 'not_found', 404);
    await ours.close();
    await theirs.close();
  } finally {
    await own.stop();
  }
});

story('no credential appears in the log', async () => {
  const { token } = await hub.mint({ sub: 'secretive', role: 'agent' });
  await hub.get('/agents', { token });
  await hub.get(`/agents?token=${token}`, { token: null });
  const bee = await hub.connect({ token, via: 'query' });
  await bee.close();
  await until(async () => (await hub.get('/health')).status === 200);
  assert.ok(!hub.logs.includes(token));
  assert.ok(!hub.logs.includes(hub.adminKey));
});
