// Values from those who mean no good: JSON, tokens and names. One answer whatever is wrong, at every door
// the same; nothing that goes on costing after it was answered; nothing to be learnt from how long it took.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { after, before } from 'node:test';
import { sleep, startHub } from './lib/hub.mjs';
import { answersOf, cpuMs, joined, Raw, seeded } from './lib/raw.mjs';
import { fresh, numbers, refused, story } from './lib/story.mjs';

const SEED = Number(process.env.WAGGLE_SEED ?? Date.now() % 1_000_000_007);
const random = seeded(SEED);
const seconds = () => Math.floor(Date.now() / 1000);

const theirs = generateKeyPairSync('ed25519');
const KID = 'their-key-1';
const jwkOf = (key, kid, more = {}) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig', ...more });

/** The points of small order, as they may be written: whoever signs with one of these signs for anybody. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000', '0000000000000000000000000000000000000000000000000000000000000000', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa', '0100000000000000000000000000000000000000000000000000000000000080',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map((hex) => Buffer.from(hex, 'hex'));
const OTHERS = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }), ES256K: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }), RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }), Ed448: generateKeyPairSync('ed448'), X25519: generateKeyPairSync('x25519'),
};

let hub;
before(async () => {
  const keys = [
    jwkOf(theirs.publicKey, KID, { alg: 'EdDSA' }),
    ...Object.entries(OTHERS).map(([name, pair]) => jwkOf(pair.publicKey, name)),
    ...SMALL_ORDER.map((point, i) => ({ kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url'), kid: `small-${i}` })),
    { kty: 'oct', k: randomBytes(32).toString('base64url'), kid: 'shared', alg: 'HS256' },
  ];
  hub = await startHub({ trustJwks: { keys }, config: { rates: { address_per_minute: 0 } } });
});
after(async () => {
  console.log(`seed ${SEED}`);
  await hub?.stop();
});

/** When all is answered, nothing works on. */
async function settles() {
  await sleep(100);
  const start = cpuMs(hub);
  await sleep(1_000);
  const used = cpuMs(hub) - start;
  assert.ok(used < 200, `${used} ms of CPU in a second without a request`);
}

// --- tokens --------------------------------------------------------------------------------------

const b64 = (value) => (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))).toString('base64url');
const HEADER = { alg: 'EdDSA', typ: 'JWT', kid: KID };
const claims = (more = {}) => ({ sub: 'their-bee', aud: 'waggle', role: 'agent', app: 'main', iat: seconds(), exp: seconds() + 300, ...more });
const eddsa = (text, key = theirs.privateKey) => sign(null, Buffer.from(text), key);
/** header and payload may be objects or the very text; signer makes the signature of the first two parts. */
function token(header = HEADER, payload = claims(), signer = eddsa) {
  const text = `${b64(header)}.${b64(payload)}`;
  return `${text}.${b64(signer(text))}`;
}

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const little = (bytes) => [...bytes].reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
const bytesOf = (value) => Buffer.from(numbers(32).map((i) => Number((value >> BigInt(8 * i)) & 255n)));

/** Every token that must not count, by what is wrong with it. */
function badTokens() {
  const good = token();
  const [header, payload, signature] = good.split('.');
  const raw = Buffer.from(signature, 'base64url');
  const flipped = (bytes, at, mask) => Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ mask : byte)));
  const withHeader = (more) => token({ ...HEADER, ...more });
  const without = (name) => token({ ...HEADER, [name]: undefined });
  const publicDer = theirs.publicKey.export({ format: 'der', type: 'spki' });
  const publicRaw = Buffer.from(theirs.publicKey.export({ format: 'jwk' }).x, 'base64url');
  const hmac = (secret) => (text) => createHmac('sha256', secret).update(text).digest();
  const mine = generateKeyPairSync('ed25519');
  const table = {
    'alg none, unsigned': `${b64({ ...HEADER, alg: 'none' })}.${payload}.`, 'alg None': `${b64({ ...HEADER, alg: 'None' })}.${payload}.`, 'alg none, signed': withHeader({ alg: 'none' }), 'no alg': without('alg'), 'alg null': withHeader({ alg: null }), 'alg a list': withHeader({ alg: ['EdDSA'] }),
    'alg eddsa': withHeader({ alg: 'eddsa' }), 'alg Ed25519ph': withHeader({ alg: 'Ed25519ph' }), 'alg with a NUL': withHeader({ alg: 'EdDSA\u0000' }), 'alg twice': token(`{"alg":"none","alg":"EdDSA","kid":"${KID}"}`),
    'HS256 with the public key': token({ ...HEADER, alg: 'HS256' }, claims(), hmac(publicRaw)), 'HS256 with its DER': token({ ...HEADER, alg: 'HS256' }, claims(), hmac(publicDer)), 'HS256 with its JWK': token({ ...HEADER, alg: 'HS256' }, claims(), hmac(JSON.stringify(theirs.publicKey.export({ format: 'jwk' })))),
    'HS256 with the shared key': token({ alg: 'HS256', kid: 'shared' }, claims(), hmac('x')), 'HS256 said to be EdDSA': token(HEADER, claims(), hmac(publicRaw)),
    ES256: token({ alg: 'ES256', kid: 'ES256' }, claims(), (text) => sign('sha256', Buffer.from(text), { key: OTHERS.ES256.privateKey, dsaEncoding: 'ieee-p1363' })), 'ES256 said to be EdDSA': token({ alg: 'EdDSA', kid: 'ES256' }, claims(), (text) => sign('sha256', Buffer.from(text), { key: OTHERS.ES256.privateKey, dsaEncoding: 'ieee-p1363' })),
    ES256K: token({ alg: 'ES256K', kid: 'ES256K' }, claims(), (text) => sign('sha256', Buffer.from(text), { key: OTHERS.ES256K.privateKey, dsaEncoding: 'ieee-p1363' })), RS256: token({ alg: 'RS256', kid: 'RS256' }, claims(), (text) => sign('sha256', Buffer.from(text), OTHERS.RS256.privateKey)),
    Ed448: token({ alg: 'EdDSA', kid: 'Ed448' }, claims(), (text) => eddsa(text, OTHERS.Ed448.privateKey)), X25519: token({ alg: 'EdDSA', kid: 'X25519' }), 'another Ed25519 key': token(HEADER, claims(), (text) => eddsa(text, mine.privateKey)),
    'no kid': without('kid'), 'kid empty': withHeader({ kid: '' }), 'kid null': withHeader({ kid: null }), 'kid a number': withHeader({ kid: 1 }), 'kid a list': withHeader({ kid: [KID] }), 'kid in another case': withHeader({ kid: KID.toUpperCase() }), 'kid with a space': withHeader({ kid: `${KID} ` }), 'kid cut': withHeader({ kid: KID.slice(0, -1) }),
    'kid a path': withHeader({ kid: '../../../../dev/null' }), 'kid of SQL': withHeader({ kid: `x' UNION SELECT '${KID}` }), 'kid of a shell': withHeader({ kid: `${KID}|id` }), 'kid with a NUL': withHeader({ kid: `${KID}\u0000` }), 'kid of 900 bytes': withHeader({ kid: 'k'.repeat(900) }), 'kid twice': token(`{"alg":"EdDSA","kid":"x","kid":"${KID}"}`),
    'its own key as jwk': token({ alg: 'EdDSA', jwk: mine.publicKey.export({ format: 'jwk' }) }, claims(), (text) => eddsa(text, mine.privateKey)), 'its own key under a known kid': token({ ...HEADER, jwk: mine.publicKey.export({ format: 'jwk' }) }, claims(), (text) => eddsa(text, mine.privateKey)),
    'its own key by jku': token({ alg: 'EdDSA', kid: 'evil', jku: 'http://127.0.0.1:1/jwks.json' }, claims(), (text) => eddsa(text, mine.privateKey)), 'its own key by x5u': token({ alg: 'EdDSA', kid: 'evil', x5u: 'file:///etc/passwd' }, claims(), (text) => eddsa(text, mine.privateKey)),
    'crit of what is not known': withHeader({ crit: ['exp'], exp: 1 }), 'crit empty': withHeader({ crit: [] }), 'crit of b64': withHeader({ crit: ['b64'], b64: false }), 'typ of something else': withHeader({ typ: 'dpop+jwt' }), 'typ a number': withHeader({ typ: 1 }),
    expired: token(HEADER, claims({ exp: seconds() - 60 })), 'expired long ago': token(HEADER, claims({ exp: 1 })), 'no exp': token(HEADER, claims({ exp: undefined })), 'exp null': token(HEADER, claims({ exp: null })), 'exp a text': token(HEADER, claims({ exp: String(seconds() + 300) })), 'exp negative': token(HEADER, claims({ exp: -1 })),
    'exp past all calendars': token(HEADER, claims({ exp: 1e15 })), 'exp that overflows': token(HEADER, JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":18446744073709551617')), 'exp 1e999': token(HEADER, JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999')), 'exp twice': token(HEADER, `${JSON.stringify(claims({ exp: 1 })).slice(0, -1)},"exp":${seconds() + 300}}`),
    'not yet': token(HEADER, claims({ nbf: seconds() + 120 })), 'issued tomorrow': token(HEADER, claims({ iat: seconds() + 86_400 })), 'nbf a text': token(HEADER, claims({ nbf: 'now' })),
    'another audience': token(HEADER, claims({ aud: 'hive' })), 'no audience': token(HEADER, claims({ aud: undefined })), 'audience in another case': token(HEADER, claims({ aud: 'Waggle' })), 'an audience within': token(HEADER, claims({ aud: { a: 'waggle' } })), 'an empty list of audiences': token(HEADER, claims({ aud: [] })),
    'no subject': token(HEADER, claims({ sub: undefined })), 'an empty subject': token(HEADER, claims({ sub: '' })), 'a subject of 129 bytes': token(HEADER, claims({ sub: 's'.repeat(129) })), 'a subject with a line end': token(HEADER, claims({ sub: 'a\nb' })), 'a subject with a NUL': token(HEADER, claims({ sub: 'a\u0000b' })),
    'a role that is none': token(HEADER, claims({ role: 'root' })), 'role a list': token(HEADER, claims({ role: ['admin'] })), 'role none': token(HEADER, claims({ role: 'none' })), 'another app': token(HEADER, claims({ app: 'nowhere' })), 'cap a list': token(HEADER, claims({ cap: ['*'] })), 'cap of no right': token(HEADER, claims({ cap: { a: ['fly'] } })),
    'cap of a bad pattern': token(HEADER, claims({ cap: { 'a.>.b': ['publish'] } })), 'too many caps': token(HEADER, claims({ cap: Object.fromEntries(numbers(65).map((i) => [`c${i}`, ['publish']])) })), 'payload nested deeply': token(HEADER, `{"a":${'['.repeat(60)}${']'.repeat(60)},${JSON.stringify(claims()).slice(1)}`),
    'header no object': token('"EdDSA"'), 'header empty': token(''), 'header no JSON': token('{alg:EdDSA}'), 'header with a tail': token(`${JSON.stringify(HEADER)}x`), 'payload no object': token(HEADER, '[]'), 'payload empty': token(HEADER, ''), 'payload no JSON': token(HEADER, 'sub=bee'), 'payload not UTF-8': token(HEADER, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])),
    'padding': `${header}=.${payload}.${signature}`, 'padding at the end': `${good}==`, 'the other alphabet': token(HEADER, claims(), () => Buffer.alloc(64, 0xfb)).replace(/[-_]/g, (c) => (c === '-' ? '+' : '/')), 'a space within': `${header}.${payload} .${signature}`, 'spare bits set': `${header}.${payload}.${signature.slice(0, -1)}${signature.at(-1) === 'A' ? 'B' : String.fromCharCode(signature.charCodeAt(signature.length - 1) + 1)}`,
    'two parts': `${header}.${payload}`, 'one part': header, 'four parts': `${good}.${signature}`, 'five parts': `${header}.${b64('key')}.${b64('iv')}.${payload}.${signature}`, 'an empty signature': `${header}.${payload}.`, 'an empty payload': `${header}..${signature}`, 'an empty header': `.${payload}.${signature}`, 'dots': '..',
    'a signature of 63 bytes': `${header}.${payload}.${b64(raw.subarray(0, 63))}`, 'a signature of 65 bytes': `${header}.${payload}.${b64(Buffer.concat([raw, Buffer.alloc(1)]))}`, 'a signature of zeros': `${header}.${payload}.${b64(Buffer.alloc(64))}`, 'parts changed round': `${payload}.${header}.${signature}`,
    'another payload under the signature': `${header}.${b64(claims({ role: 'admin' }))}.${signature}`, 'S and the order': `${header}.${payload}.${b64(Buffer.concat([raw.subarray(0, 32), bytesOf(little(raw.subarray(32)) + ORDER)]))}`, 'S negated': `${header}.${payload}.${b64(Buffer.concat([raw.subarray(0, 32), bytesOf(ORDER - little(raw.subarray(32)))]))}`,
    'S with its top bit': `${header}.${payload}.${b64(flipped(raw, 63, 0x80))}`, 'R with its top bit': `${header}.${payload}.${b64(flipped(raw, 31, 0x80))}`, 'the first bit': `${header}.${payload}.${b64(flipped(raw, 0, 1))}`,
    'nothing of 8 KiB': 'x'.repeat(8_192), 'dots of 8 KiB': '.'.repeat(8_192), 'a token of 9 KiB': token(HEADER, claims({ more: 'x'.repeat(6_800) })),
  };
  for (const [i, point] of SMALL_ORDER.entries()) {
    table[`R of small order ${i}`] = `${header}.${payload}.${b64(Buffer.concat([point, Buffer.alloc(32)]))}`;
    // With such a key, R = the neutral element and S = 0 fit any text, or one in eight.
    for (const n of numbers(8)) {
      const text = `${b64({ alg: 'EdDSA', kid: `small-${i}` })}.${b64(claims({ jti: `try-${n}` }))}`;
      table[`a key of small order ${i}, try ${n}`] = `${text}.${b64(Buffer.concat([SMALL_ORDER[0], Buffer.alloc(32)]))}`;
    }
  }
  for (let cut = 1; cut < good.length; cut += 7) table[`cut after ${cut}`] = good.slice(0, cut);
  for (let n = 0; n < 40; n++) {
    const at = random(good.length);
    const other = String.fromCharCode(good.charCodeAt(at) ^ (1 + random(3)));
    if (/[\w.-]/.test(other)) table[`changed at ${at}`] = good.slice(0, at) + other + good.slice(at + 1);
  }
  return table;
}

/** What an outsider sees of an answer. */
const seen = ({ status, headers, body }) => ({
  status,
  headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !['request-id', 'date', 'content-length'].includes(name) && !name.startsWith('ratelimit'))),
  body: { ...body, timestamp: null },
});

story('a good token counts, whatever else stands in it', async () => {
  for (const good of [token(), token({ alg: 'EdDSA', kid: KID }), token({ ...HEADER, typ: 'at+jwt' }), token({ ...HEADER, jku: 'http://127.0.0.1:1/', x5c: ['x'] }), token(HEADER, claims({ aud: ['hive', 'waggle'] })), token(HEADER, claims({ exp: seconds() + 0.5 + 300 })), token(HEADER, claims({ exp: seconds() - 15 })), token(HEADER, claims({ sub: 's'.repeat(128) })), token(HEADER, claims({ more: { of: ['anything'] } }))]) {
    assert.equal((await hub.get('/agents', { token: good })).status, 200, good);
  }
});

story('whatever is wrong with a token, the answer is one and the same', async () => {
  const wrong = seen(await hub.get('/agents', { token: 'no such key' }));
  assert.equal(wrong.status, 401);
  assert.equal(wrong.headers['www-authenticate'], 'Bearer');
  const table = badTokens();
  for (const [what, bad] of Object.entries(table)) {
    const answer = seen(await hub.get('/agents', { token: bad }));
    assert.deepEqual(answer, wrong, what);
  }
  console.log(`${Object.keys(table).length} tokens refused over REST`);
  await settles();
}, { timeout: 120_000 });

story('over the socket too: one error frame, then 4009', async () => {
  const table = badTokens();
  let first;
  for (const [what, bad] of Object.entries(table)) {
    const bee = await hub.connect({ token: null });
    bee.send({ type: 'auth', id: 1, token: bad });
    const { raw, ...frame } = await bee.next('error');
    first ??= frame;
    assert.deepEqual(frame, first, what);
    const { code, reason } = await bee.closed;
    assert.deepEqual({ code, reason }, { code: 4009, reason: 'unauthorised' }, what);
  }
  assert.equal(first.code, 'unauthorised');
  assert.equal(first.status, 401);
  for (const bad of Object.values(table).slice(0, 20)) {
    const bee = await hub.connect({ token: bad, via: 'query', welcome: false });
    assert.equal((await bee.closed).code, 4009);
  }
  await settles();
}, { timeout: 120_000 });

story('a token of a megabyte is refused for its length, at every door, at once', async () => {
  const huge = `${b64(HEADER)}.${b64({ ...claims(), more: 'x'.repeat(760_000) })}.${b64(randomBytes(64))}`;
  assert.ok(huge.length > 1_000_000);
  const started = cpuMs(hub);
  const raw = new Raw(hub);
  await raw.send(`GET /agents HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer ${huge}\r\n\r\n`);
  await raw.until(() => false);
  assert.deepEqual(answersOf(raw.received).map((one) => one.status), [431]);
  await raw.destroy();
  for (const n of numbers(20)) {
    const bee = await hub.connect({ token: null });
    bee.send({ type: 'auth', id: n, token: huge });
    assert.equal((await bee.next('error')).code, 'unauthorised');
    assert.equal((await bee.closed).code, 4009);
  }
  const over = await hub.connect({ token: null });
  over.send({ type: 'auth', token: 'x'.repeat(1 << 20) });
  assert.equal((await over.closed).code, 1009);
  assert.ok(cpuMs(hub) - started < 3_000, `${cpuMs(hub) - started} ms of CPU`);
  await settles();
});

story('whoever guesses is counted by address at every door, and told to wait', async () => {
  const counting = await startHub({ config: { rates: { address_per_minute: 30 } } }); // twenty at once, then one every two seconds
  const statuses = [];
  for (let n = 0; n < 16; n++) {
    statuses.push((await counting.get('/agents', { token: `guess ${n}` })).status);
    statuses.push(await counting.connect({ token: `guess ${n}`, welcome: false }).then((bee) => bee.opened).catch((error) => error.status));
    const bee = await counting.connect({ token: null });
    bee.send({ type: 'auth', token: `guess ${n}` });
    statuses.push((await bee.next('error')).status);
    assert.equal((await bee.closed).code, statuses.at(-1) === 429 ? 4301 : 4009);
  }
  assert.deepEqual(statuses.slice(0, 20), Array(20).fill(401));
  assert.ok(statuses.slice(20).includes(429), statuses.join(' '));
  const told = await counting.get('/agents', { token: 'one more guess' });
  if (told.status === 429) assert.ok(Number(told.headers['retry-after']) > 0);
  assert.equal((await counting.get('/agents')).status, 200, 'whoever has a key is served all the same');
  await counting.stop();
});

story('how long a refusal takes does not tell a wrong key from an unknown one', async () => {
  const made = (await hub.post('/api/v1/auth/keys', { name: fresh('key'), role: 'viewer' })).body;
  const key = made.key ?? made.api_key ?? made.text;
  assert.match(key, /^wg_main_[0-9a-f]+$/, JSON.stringify(made));
  const digit = (c) => (c === '0' ? '1' : '0');
  const good = token();
  const changed = (text, at) => text.slice(0, at) + digit(text[at]) + text.slice(at + 1);
  const signed = good.slice(0, good.lastIndexOf('.') + 1);
  const signature = Buffer.from(good.slice(signed.length), 'base64url');
  const flipped = (at) => signed + b64(Buffer.from(signature.map((byte, i) => (i === at ? byte ^ (1 + random(255)) : byte))));
  const kinds = {
    'a key that is nearly right': () => changed(key, key.length - 1 - random(key.length - 'wg_main_'.length)),
    'a key nobody has': () => `wg_main_${randomBytes((key.length - 8) / 2).toString('hex')}`,
    'a signature wrong at its start': () => flipped(random(8)),
    'a signature wrong at its end': () => flipped(32 + random(8)), // S, where it stays below the order
  };
  const ROUNDS = 1_500;
  const TRIES = 4; // what the hub tells by its time it tells each time; what the machine adds, hardly
  const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
  const measure = async () => {
    const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
    const raw = new Raw(hub);
    await raw.connected;
    for (let round = 0; round < ROUNDS; round++) {
      const names = Object.keys(kinds);
      for (let turn = random(names.length), n = 0; n < names.length; n++) { // each comes after each of the others
        const kind = names[(turn + n) % names.length];
        const asked = `GET /agents HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer ${kinds[kind]()}\r\n\r\n`;
        raw.received = Buffer.alloc(0);
        const start = process.hrtime.bigint();
        raw.write(asked);
        await raw.until((bytes) => bytes.includes('\r\n\r\n{') && bytes.at(-1) === 0x7d);
        times[kind].push(Number(process.hrtime.bigint() - start) / 1_000);
        assert.ok(raw.received.includes('HTTP/1.1 401 '), `${kind}: ${raw.received}`);
      }
    }
    await raw.destroy();
    const medians = Object.entries(times).map(([kind, list]) => [kind, median(list)]);
    console.log(`medians of ${ROUNDS}, µs: ${medians.map(([kind, us]) => `${kind} ${us.toFixed(1)}`).join(', ')}`);
    return Object.fromEntries(medians);
  };
  const told = Object.keys(kinds);
  for (const [one, other] of [told.slice(0, 2), told.slice(2)]) {
    for (let tries = 0; tries < TRIES; tries++) {
      const medians = await measure();
      const apart = medians[one] - medians[other];
      if (Math.abs(apart) < Math.max(25, 0.25 * Math.min(medians[one], medians[other]))) break;
      if (tries === TRIES - 1) assert.fail(`${one} and ${other} are ${apart} µs apart`);
    }
  }
}, { timeout: 120_000 });

// --- JSON ----------------------------------------------------------------------------------------

const nested = (n, open = '[', close = ']') => open.repeat(n) + close.repeat(n);

story('what is no JSON is refused at every door, and what is comes out as it went in', async () => {
  const bee = await hub.connect();
  const channel = fresh('values');
  await bee.subscribe(channel);
  const bad = [
    nested(32), nested(1_000), nested(100_000), '{"a":'.repeat(40) + '1' + '}'.repeat(40), '['.repeat(200_000), '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00"', '"\\ud800\\ud800"', '"\\udc00\\ud800"', '"\\ud800x"', '"\\ud83d\\u0041"', '"\\uD8"',
    '"\u0000"', '"\u001f"', '"\\x41"', '"\\u12"', "'a'", '01', '-', '+1', '.5', '1.', '1e', '1e+', '0x10', '1_000', 'NaN', 'Infinity', '-Infinity', 'undefined', 'True', 'nul', '[1,]', '{"a":1,}', '{"a" 1}', '{a:1}', '[1 2]', '// x', '/* */ 1', '"', '\ufeff1', '',
  ];
  for (const value of bad) {
    bee.send(`{"type":"publish","channel":"${channel}","event":"x","data":${value}}`);
    const error = await bee.next('error');
    assert.ok(['bad_request', 'invalid'].includes(error.code), `${value.slice(0, 60)}: ${error.code}`);
    for (const path of ['/agents/register', `/api/v1/channels/${channel}/events`, '/api/v1/schemas/validate']) {
      const answer = await hub.post(path, `{"agent_id":"a","agent_type":"worker","event":"x","schema":true,"instance":${value},"metadata":${value},"data":${value}}`);
      assert.equal(answer.status, 422, `${path} ${value.slice(0, 60)}: ${answer.text}`);
    }
  }
  const good = [
    nested(31), '"\\ud83d\\ude00"', '"\\u0001"', '1E400', '-1e-400', '123456789012345678901234567890123456789', '0.1000000000000000055511151231257827021181583404541015625', '-0', '1e5', `"${'x'.repeat(60_000)}"`, '{"a":1,"a":2}', '[1 , 2]', '{"":{"":""}}', '"\u007f\ud83d\ude00\ufffe"', 'null',
  ];
  for (const [i, value] of good.entries()) {
    bee.send(`{"type":"publish","id":${i},"channel":"${channel}","event":"x","data":${value}}`);
    const { raw } = await bee.next('event');
    assert.ok(raw.includes(`"data":${value}`), `${value.slice(0, 60)} comes out as ${raw.slice(0, 160)}`);
    await bee.next('published');
  }
  assert.equal((await hub.get(`/api/v1/channels/${channel}`)).body.offset, good.length, 'nothing that was refused was kept');
  await settles();
  await bee.close();
}, { timeout: 120_000 });

story('where the hub reads JSON itself, keys stand once and numbers fit', async () => {
  const body = (text) => hub.post('/agents/register', text);
  for (const text of [
    '{"agent_id":"a","agent_id":"b","agent_type":"worker"}', '{"agent_id":"a","agent_type":"worker","metadata":{"x":1,"x":2}}', '{"agent_id":"a","agent_type":"worker","metadata":{"x":1,"\\u0078":2}}', '{"agent_id":"a","agent_type":"worker","metadata":{"x":1e999}}',
    '{"agent_id":"a","agent_type":"worker","metadata":{"x":123456789012345678901234567890}}', '{"agent_id":"a","agent_type":"worker","slots":-1}', '{"agent_id":"a","agent_type":"worker","slots":1e100}', '{"agent_id":"a","agent_type":"worker","slots":9223372036854775808}',
    '{"agent_id":"a","agent_type":"worker"}{}', '{"agent_id":"a","agent_type":"worker"} x', '{"agent_id":"a\\u0000","agent_type":"worker"}',
  ]) assert.equal((await body(text)).status, 422, text);
  for (const bad of [Buffer.from('7b226167656e745f6964223a22ff227d', 'hex'), Buffer.from('7b226167656e745f6964223a22c0af227d', 'hex'), Buffer.from('7b226167656e745f6964223a22eda080227d', 'hex'), Buffer.from('\ufeff{"agent_id":"a","agent_type":"worker"}'), Buffer.from('7b00', 'hex')]) {
    assert.equal((await body(bad)).status, 422, bad.toString('hex'));
  }
  const bee = await hub.connect();
  const channel = fresh('numbers');
  for (const value of ['18446744073709551616', '-1', '1.5', '1e99', 'null', '[]', '1e-1']) {
    for (const frame of [`"type":"history","channel":"${channel}","since":${value}`, `"type":"history","channel":"${channel}","limit":${value}`, `"type":"publish","channel":"${channel}","event":"x","data":1,"expect":${value}`, `"type":"publish","channel":"${channel}","event":"x","data":1,"ttl":${value}`]) {
      bee.send(`{${frame},"id":7}`);
      const answer = await bee.next((one) => one.id === 7);
      assert.ok(answer.type === 'error' && answer.code === 'invalid' || (value === '1e-1' && answer.type === 'error'), `${frame}: ${answer.raw}`);
    }
  }
  for (const limit of ['0', '-1', '1001', '99999999999999999999', '1e3', '0x10', '', 'ten']) assert.equal((await hub.get(`/agents?limit=${limit}`)).status, 422, `limit=${limit}`);
  await bee.close();
});

story('twenty thousand keys cost twenty thousand times one, however alike they are', async () => {
  // The hashes are seeded anew at each start, so nobody can prepare keys that collide; what can be
  // prepared are keys that differ in a bit, a length or their end, and those must not be worse than others.
  const families = {
    'at random': (i) => `${randomBytes(12).toString('hex')}${i}`, 'numbers': (i) => String(i), 'by length': (i) => 'a'.repeat(i % 150) + i, 'by their last byte': (i) => `${'k'.repeat(40)}${String(i).padStart(6, '0')}`,
    'by their first': (i) => `${String(i).padStart(6, '0').split('').reverse().join('')}${'k'.repeat(40)}`, 'two letters alone': (i) => (i + 65_536).toString(2).replace(/0/g, 'Aa').replace(/1/g, 'BB'), // alike for Java's hash
  };
  const cost = {};
  const bee = await hub.connect();
  const count = 20_000;
  for (const [name, keyOf] of Object.entries(families)) {
    const object = `{${numbers(count).map((i) => `"${keyOf(i)}":${i}`).join(',')}}`;
    const before_ = cpuMs(hub);
    for (const n of numbers(3)) {
      const question = `{"schema":{"type":"object","maxProperties":${count}},"instance":${object}}`;
      const answer = await hub.post('/api/v1/schemas/validate', question);
      assert.equal(answer.status, 200, answer.text.slice(0, 200));
      assert.equal(answer.body.valid, true);
      if (question.length < 1_000_000) {
        bee.send(`{"type":"call","id":${n},"method":"schemas.validate","params":${question}}`);
        assert.equal((await bee.next('result', { timeout: 20_000 })).result.valid, true);
      }
    }
    cost[name] = cpuMs(hub) - before_;
  }
  console.log(`CPU for three objects of ${count} keys, ms: ${Object.entries(cost).map(([name, ms]) => `${name} ${ms}`).join(', ')}`);
  const usual = Math.max(cost['at random'], 20);
  for (const [name, ms] of Object.entries(cost)) assert.ok(ms < 5 * usual + 100, `${name}: ${ms} ms, others ${usual} ms`);
  await bee.close();
  await settles();
}, { timeout: 120_000 });

// --- names ---------------------------------------------------------------------------------------

const NAME_BYTES = 164;
const ALPHABET = /^[A-Za-z0-9_\-=@,.;]$/;

story('a channel name is of its alphabet and length, at every door', async () => {
  const bee = await hub.connect();
  const doors = (name) => [
    bee.request({ type: 'subscribe', channels: [name] }), bee.request({ type: 'publish', channel: name, event: 'x', data: 1 }), bee.request({ type: 'history', channel: name }), bee.call('channels.get', { channel: name }),
  ];
  const longest = `${fresh('n')}${'n'.repeat(NAME_BYTES)}`.slice(0, NAME_BYTES);
  assert.equal((await bee.subscribe(longest))[0].channel, longest);
  assert.equal((await bee.publish(longest, 'x', 1)).type, 'published');
  assert.equal((await hub.get(`/api/v1/channels/${longest}`)).status, 200);
  const bad = ['', `${longest}n`, 'n'.repeat(100_000), ...numbers(128, 1).map((code) => String.fromCharCode(code)).filter((c) => !ALPHABET.test(c)).map((c) => `a${c}b`), 'ä', 'a\u2028b', 'a\u200bb', '\ud83d\ude00', 'a.*x', '*a', 'a>', '>.a', 'a.>.b', '**', 'a b', ' a', 'a '];
  for (const name of bad) {
    for (const [door, asked] of doors(name).entries()) {
      const error = await asked.then((answer) => assert.fail(`door ${door} takes ${JSON.stringify(name.slice(0, 60))}: ${JSON.stringify(answer).slice(0, 200)}`), (one) => one);
      assert.ok(['invalid_name', 'invalid', 'not_found'].includes(error.code), `door ${door}, ${JSON.stringify(name.slice(0, 60))}: ${error.message}`);
    }
    if (name === '' || name.length > 200) continue;
    const answer = await hub.post(`/api/v1/channels/${encodeURIComponent(name)}/events`, { event: 'x', data: 1 });
    assert.ok([400, 404, 405, 422].includes(answer.status), `REST ${JSON.stringify(name)}: ${answer.status}`);
  }
  for (const name of [1, null, true, [], {}, ['a']]) {
    await refused(bee.request({ type: 'publish', channel: name, event: 'x', data: 1 }), 'invalid', 422);
  }
  for (const c of numbers(127, 1).map((code) => String.fromCharCode(code)).filter((one) => ALPHABET.test(one))) {
    assert.equal((await bee.publish(`${fresh('a')}${c}b`, 'x', 1)).type, 'published', c);
  }
  await bee.close();
}, { timeout: 120_000 });

story('names of events, keys and headers end where their limits are', async () => {
  const bee = await hub.connect();
  const channel = fresh('limits');
  await bee.publish(channel, 'e'.repeat(200), 1, { key: 'k'.repeat(256), headers: { h: 'v'.repeat(1_000) } });
  for (const [event, more] of [['e'.repeat(201), {}], ['', {}], [1, {}], [null, {}], ['x', { key: 'k'.repeat(257) }], ['x', { key: 1 }], ['x', { headers: [] }], ['x', { headers: 'a' }], ['x', { conflate: 'c'.repeat(300) }], ['x', { conflate: 1 }]]) {
    await refused(bee.request({ type: 'publish', channel, event, data: 1, ...more }), 'invalid', 422);
  }
  assert.equal((await hub.get(`/api/v1/channels/${channel}`)).body.offset, 1);
  await bee.close();
});

story('patterns are well formed, as many as allowed, and so are subscriptions', async () => {
  const bee = await hub.connect();
  for (const pattern of ['*', '>', 'a.*', '*.a', '*.*.*', 'a.>', '*.>', `${'a.'.repeat(81)}>`, `${'*.'.repeat(81)}*`]) await bee.subscribe(pattern);
  await bee.close();
  const next = await hub.connect();
  for (const pattern of ['a.>.b', '>.>', '>.*', 'a*', 'a.b*', '*b.c', '**', '>>', 'a.**', '.>x', `${'a.'.repeat(82)}>`, 'a .*']) {
    await refused(next.request({ type: 'subscribe', channels: [pattern] }), 'invalid_name', 400);
  }
  for (const i of numbers(16)) await next.subscribe(`p${i}.*`);
  await refused(next.request({ type: 'subscribe', channels: ['p16.*'] }), 'limit', 429);
  await next.unsubscribe('p0.*');
  await next.subscribe('p16.*');
  const prefix = fresh('many');
  await next.subscribe(...numbers(1_000 - 16).map((i) => `${prefix}.${i}`));
  const rest = await next.request({ type: 'subscribe', channels: numbers(20).map((i) => `${prefix}.more.${i}`) }).then((frame) => frame.channels.length, (error) => error.code);
  assert.ok(rest === 'limit' || rest <= 16, `past the limit of channels: ${rest}`);
  await refused(next.request({ type: 'subscribe', channels: numbers(1_001).map((i) => `x${i}`) }), 'invalid', 422);
  await next.barrier();
  await next.close();
  await settles();
});
