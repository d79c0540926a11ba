// HTTP from those who mean no good (RFC 9110, RFC 9112): bytes that no client library would send. Each
// is refused or served as its framing says, by everyone who reads it alike, and the hub goes on.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { sleep, startHub, until } from './lib/hub.mjs';
import { answersOf, descriptors, exchange, joined, latin1, Raw, residentBytes, seeded } from './lib/raw.mjs';
import { fresh, includesKeys, LONG, numbers, story } from './lib/story.mjs';

const HEAD_BYTES = 16 << 10; // limits.head_bytes
const DEADLINE_MS = 2_500; // for a head and for a body
const TIMES = LONG ? 20 : 1; // rounds of what is random
const SEED = Number(process.env.WAGGLE_SEED ?? Date.now() % 1_000_000_007);

let hub;
let quiet; // open descriptors before anything happened
let connections = 0;
before(async () => {
  hub = await startHub({
    config: { limits: { head_ms: DEADLINE_MS, body_ms: DEADLINE_MS, body_bytes: '64KiB' }, rates: { address_per_minute: 0 } },
  });
  await exchange(hub, LAST);
  quiet = descriptors(hub);
});
after(async () => {
  console.log(`${connections} hostile connections, seed ${SEED}`);
  await hub?.stop();
});

/** A story that ends with proof: others are served, and no descriptor is left behind. */
function survived(claim, fn, options) {
  story(claim, async () => {
    await fn();
    const { answers } = await exchange(hub, LAST);
    assert.equal(answers[0].status, 200, 'a well-behaved client is served');
    await until(() => descriptors(hub) <= quiet, { what: `descriptors to go back to ${quiet} from ${descriptors(hub)}`, timeout: 10_000 });
  }, options);
}

const HOST = 'Host: hub';
const request = (first, ...lines) => `${[first, ...lines].join('\r\n')}\r\n\r\n`;
const get = (path, ...lines) => request(`GET ${path} HTTP/1.1`, HOST, ...lines);
/** The last of a stream: asks for its end, and can be told from all others. */
const LAST = get('/health', 'Request-Id: the-last', 'Connection: close');

/** Errors of the coordinator's routes say "error" where the others say the number (rest-contract.md sections 1 and 3). */
function isShaped(answer, coordinator, what) {
  assert.equal(answer.headers['content-type'], coordinator ? 'application/json' : 'application/problem+json', what);
  assert.equal(answer.body.status, coordinator ? 'error' : answer.status, what);
}

/** One refusal, shaped as the contract says, then the end. */
function isRefusal(answers, status, what) {
  assert.deepEqual(answers.map((one) => one.status), [status].flat(), what);
  const answer = answers.at(-1);
  assert.equal(answer.headers.connection, 'close', what);
  includesKeys(answer.body, ['type', 'title', 'status', 'detail', 'message', 'timestamp'], what);
  isShaped(answer, answer.body.status === 'error', what);
  assert.ok(answer.headers['request-id'] !== 'the-last', `${what}: nothing of what follows was read as a request`);
}

/** Sends whole and byte by byte; `judge` looks at both. */
async function everyCut(bytes, judge) {
  const long = bytes.length > 2_000;
  for (const step of long ? [0, 977] : [0, 1]) {
    connections++;
    const { answers } = await exchange(hub, bytes, { step });
    judge(answers, step);
  }
}

const named = (what, step) => `${JSON.stringify(String(what).slice(0, 160))}${step ? `, ${step} at a time` : ''}`;

/** Each must be refused with its status; what follows in the stream must not be served. */
async function refusedEach(table) {
  for (const [what, status] of table) {
    const bytes = Buffer.isBuffer(what) ? what : latin1(what);
    await everyCut(joined(bytes, LAST), (answers, step) => isRefusal(answers, status, named(bytes.toString('latin1'), step)));
  }
}

/** Each must be served with its statuses, and the last request after it. */
async function servedEach(table) {
  for (const [bytes, ...statuses] of table) {
    await everyCut(joined(bytes, LAST), (answers, step) => {
      assert.deepEqual(answers.map((one) => one.status), [...statuses, 200], named(bytes, step));
      assert.equal(answers.at(-1).headers['request-id'], 'the-last', named(bytes, step));
    });
  }
}

// --- where a request ends ------------------------------------------------------------------------

const LENGTHS = [
  // what stands in the head, its value if it is sound
  [[], 0], [['Content-Length: 0'], 0], [['Content-Length: 5'], 5], [['content-length:5'], 5], [['Content-Length:  5\t '], 5],
  [['Content-Length: 05'], 5], [['Content-Length: 0000000000000000005'], 5],
  [['Content-Length: +5'], null], [['Content-Length: -5'], null], [['Content-Length: 5,5'], null], [['Content-Length: 5, 5'], null],
  [['Content-Length: 5 5'], null], [['Content-Length: 0x5'], null], [['Content-Length: 5.0'], null], [['Content-Length: 5e0'], null],
  [['Content-Length: "5"'], null], [['Content-Length:'], null], [['Content-Length: five'], null], [['Content-Length: \xb2'], null],
  [['Content-Length: 18446744073709551621'], null], [['Content-Length: 99999999999999999999999999999999'], null],
  [['Content-Length: 5', 'Content-Length: 5'], null], [['Content-Length: 5', 'Content-Length: 6'], null],
  [['Content-Length: 0', 'CONTENT-LENGTH: 5'], null],
];
const CODINGS = [
  // … and the status that refuses it by itself; 0: sound
  [[], 0, false], [['Transfer-Encoding: chunked'], 0, true], [['transfer-encoding: CHUNKED'], 0, true], [['Transfer-Encoding:\t chunked \t'], 0, true],
  [['Transfer-Encoding: chunked, chunked'], 400], [['Transfer-Encoding: gzip'], 501], [['Transfer-Encoding: gzip, chunked'], 501],
  [['Transfer-Encoding: chunked, gzip'], 400], [['Transfer-Encoding: identity'], 501], [['Transfer-Encoding: xchunked'], 501],
  [['Transfer-Encoding: "chunked"'], 501], [['Transfer-Encoding: chunked;q=1'], 501], [['Transfer-Encoding: chunked\x0b'], 400],
  [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 400], [['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], 400],
  [['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], 400],
  [['Transfer-Encoding : chunked'], 400], [['Transfer-Encoding\x00: chunked'], 400], [[' Transfer-Encoding: chunked'], 400],
  [['X: 1\nTransfer-Encoding: chunked'], 400], [['X: 1\rTransfer-Encoding: chunked'], 400], [['Transfer-Encoding', ': chunked'], 400],
];

survived('every pair of lengths and codings is read in one way only, or refused', async () => {
  for (const [length, value] of LENGTHS) {
    for (const [coding, fault, chunked] of CODINGS) {
      const head = request('POST /no/such/path HTTP/1.1', HOST, ...length, ...coding);
      const what = `${[...length, ...coding].join(' + ')}`;
      const unsound = fault || value === null || (length.length && coding.length);
      const body = chunked ? '5\r\nhello\r\n0\r\n\r\n' : value ? 'hello' : '';
      await everyCut(joined(head, unsound ? 'hello' : body, LAST), (answers, step) => {
        if (!unsound) {
          assert.deepEqual(answers.map((one) => one.status), [404, 200], named(what, step));
          return;
        }
        const status = answers[0]?.status;
        assert.ok(status === 400 || (status === 501 && fault === 501 && length.length === 0), `${named(what, step)}: ${status}`);
        isRefusal(answers, status, named(what, step));
      });
    }
  }
}, { timeout: 180_000 });

survived('HTTP/1.0 has no chunks', async () => {
  await refusedEach([[request('POST /agents HTTP/1.0', HOST, 'Transfer-Encoding: chunked') + '0\r\n\r\n', 400]]);
});

const POST_CHUNKED = request('POST /no/such/path HTTP/1.1', HOST, 'Transfer-Encoding: chunked');
survived('chunks are undone strictly', async () => {
  await servedEach([
    `${POST_CHUNKED}0\r\n\r\n`, `${POST_CHUNKED}00000\r\n\r\n`, `${POST_CHUNKED}5\r\nhello\r\n0\r\n\r\n`, `${POST_CHUNKED}A;x=y\r\n0123456789\r\n0\r\n\r\n`,
    `${POST_CHUNKED}5 ;x\r\nhello\r\n0\r\nTrailer: value\r\nOther:\r\n\r\n`, `${POST_CHUNKED}1\r\n\n\r\n1\r\n\r\r\n0\r\n\r\n`,
  ].map((bytes) => [bytes, 404]));
  await refusedEach([
    `5\nhello\r\n0\r\n\r\n`, `5\r\nhello\n0\r\n\r\n`, `5\r\nhello\r\n0\n\r\n`, `5\r\nhello\r\n0\r\n\n`, `5\rhello\r\n0\r\n\r\n`, `5\r\nhello0\r\n\r\n`,
    `5\r\nhell\r\n0\r\n\r\n`, `5\r\nhelloo\r\n0\r\n\r\n`, `\r\nhello`, `x\r\n`, `-1\r\n`, `+5\r\nhello\r\n`, `0x5\r\nhello\r\n`, ` 5\r\nhello\r\n`, `5 \r\nhello\r\n`,
    `5 5\r\nhello\r\n`, `10000000000000000\r\n`, `00000000000000000000005\r\nhello\r\n`, `0\r\nno colon\r\n\r\n`, `0\r\n folded: 1\r\n\r\n`, `0\r\nA: \x00\r\n\r\n`,
    `0\r\nA: 1\nB: 2\r\n\r\n`, `5;x=\x01\r\nhello\r\n`, `5;x\nhello\r\n`,
  ].map((body) => [POST_CHUNKED + body, 400]));
  await refusedEach([
    [`${POST_CHUNKED}ffffffffffffffff\r\n`, 413], [`${POST_CHUNKED}10001\r\n`, 413], [`${POST_CHUNKED}fffe\r\n${'x'.repeat(0xfffe)}\r\n3\r\nxxx\r\n`, 413],
    [`${POST_CHUNKED}1;${'x'.repeat(9_000)}\r\n`, 400], [`${POST_CHUNKED}0\r\nA: ${'x'.repeat(9_000)}\r\n`, 431],
  ]);
});

survived('a length past the limit is refused before the body, and nobody is told to send it', async () => {
  await refusedEach([
    [request('POST /agents HTTP/1.1', HOST, 'Content-Length: 65537'), 413],
    [request('POST /agents HTTP/1.1', HOST, 'Content-Length: 9223372036854775807'), 413],
    [request('POST /agents HTTP/1.1', HOST, 'Content-Length: 65537', 'Expect: 100-continue'), 413],
  ]);
});

survived('whoever expects 100 is told to go on, once; nothing else can be expected', async () => {
  const { answers } = await exchange(hub, joined(request('POST /no/such HTTP/1.1', HOST, 'Content-Length: 2', 'Expect: 100-Continue'), '{}', LAST));
  assert.deepEqual(answers.map((one) => one.status), [100, 404, 200]);
  await servedEach([
    [request('POST /no/such HTTP/1.1', HOST, 'Expect: 100-continue'), 404],
    [request('POST /no/such HTTP/1.0', HOST, 'Connection: keep-alive', 'Content-Length: 2', 'Expect: 100-continue') + '{}', 404],
  ]);
  await refusedEach([[request('GET /health HTTP/1.1', HOST, 'Expect: a-miracle'), 417]]);
});

// --- lines ---------------------------------------------------------------------------------------

survived('lines end in CR LF and nothing else', async () => {
  await refusedEach([
    ['GET /health HTTP/1.1\nHost: hub\r\n\r\n', 400], ['GET /health HTTP/1.1\r\nHost: hub\n\r\n', 400], ['GET /health HTTP/1.1\r\nHost: hub\r\n\n', 400],
    ['GET /health HTTP/1.1\r\nHost: hub\n\n', 400], ['GET /health HTTP/1.1\rHost: hub\r\n\r\n', 400], ['GET /health HTTP/1.1\r\nHost: hub\rX: y\r\n\r\n', 400],
    ['GET /health HTTP/1.1\r\r\nHost: hub\r\n\r\n', 400], ['GET /health HTTP/1.1\r\nHost: hub\r\r\n\r\n', 400], ['\nGET /health HTTP/1.1\r\nHost: hub\r\n\r\n', 400],
    ['\rGET /health HTTP/1.1\r\nHost: hub\r\n\r\n', 400], ['\r\n\r\n\r\nGET /health HTTP/1.1\r\nHost: hub\r\n\r\n', 400],
  ]);
  await servedEach([[`\r\n${get('/health')}`, 200], [`\r\n\r\n${get('/health')}\r\n`, 200]]);
});

survived('folded lines, stray bytes and lines that are no header are refused', async () => {
  const head = (line) => `GET /health HTTP/1.1\r\nHost: hub\r\n${line}\r\n\r\n`;
  await refusedEach([
    'X: 1\r\n folded', 'X: 1\r\n\tfolded', ' X: 1', '\tX: 1', 'X', ': 1', 'X : 1', 'X\t: 1', 'X Y: 1', 'X\x00: 1', 'X: \x00', 'X: \x01', 'X: \x7f', 'X: a\x0bb', 'X: a\x1bb', 'X(: 1', '"X": 1', 'X\xff: 1',
    '=\x80: 1',
  ].map((line) => [head(line), 400]));
  await refusedEach([['GET /health HTTP/1.1\r\n Host: hub\r\n\r\n', 400]]);
  await servedEach([[head('X: \xff\xfe'), 200], [head('X:'), 200], [head('X: a\tb'), 200], [head("!#$%&'*+.^_`|~: 1"), 200]]);
});

survived('every byte at every place of a head is either refused or harmless', async () => {
  const random = seeded(SEED);
  const model = latin1('GET /health?a=b HTTP/1.1\r\nHost: hub\r\nX: y\r\nContent-Length: 0\r\n\r\n');
  for (let round = 0; round < 400 * TIMES; round++) {
    const bytes = Buffer.from(model);
    for (let n = 1 + random(2); n; n--) bytes[random(bytes.length)] = random(256);
    connections++;
    const raw = new Raw(hub);
    await raw.send(bytes);
    raw.end(); // some of these are cut: a length that promises more, a head without its end
    await raw.until(() => false, { what: `the end after ${JSON.stringify(bytes.toString('latin1'))}` });
    for (const one of answersOf(raw.received, bytes.subarray(0, 5).toString() === 'HEAD ' ? [0] : [])) {
      assert.ok([200, 400, 404, 405, 408, 411, 414, 501, 505].includes(one.status), `${one.status} to ${JSON.stringify(bytes.toString('latin1'))}`);
    }
    await raw.destroy();
  }
});

survived('what is too long or too many is refused where the limit is, not later', async () => {
  const filler = (n) => 'x'.repeat(n);
  const headOf = (n) => {
    const rest = get('/health', 'X: ');
    return get('/health', `X: ${filler(n - rest.length)}`);
  };
  await servedEach([
    [headOf(HEAD_BYTES), 200],
    [get('/health', ...numbers(99).map((i) => `X-${i}: 1`)), 200],
    [get(`/health?${filler(HEAD_BYTES / 2 - 8)}`), 200],
    [request(`${filler(24)} /health HTTP/1.1`, HOST), 501],
  ]);
  await refusedEach([
    [headOf(HEAD_BYTES + 1), 431], [get('/health', ...numbers(100).map((i) => `X-${i}: 1`)), 431], [get('/health', ...numbers(4_000).map((i) => `X: ${i}`)), 431],
    [get(`/health?${filler(HEAD_BYTES / 2 - 7)}`), 414], [request(`${filler(25)} /health HTTP/1.1`, HOST), 501],
    [`GET /${filler(HEAD_BYTES)}`, 414], [`GET /health HTTP/1.1\r\nX: ${filler(2 * HEAD_BYTES)}`, 431], [filler(100_000), 414],
  ]);
});

survived('what is refused before it is whole has the shape of its path, once that has come', async () => {
  const big = 'Content-Length: 65537', chunked = 'Transfer-Encoding: chunked';
  const long = 'x'.repeat(HEAD_BYTES / 2);
  const whole = [
    // the head up to its path, what makes it wrong, the status
    ...[[big, 413], [chunked, 413, '10001\r\n'], [chunked, 400, 'x\r\n'], [chunked, 431, `0\r\nA: ${'x'.repeat(9_000)}\r\n`], [`X: ${long}${long}`, 431],
      ['no header', 400], ['Expect: more', 417], ['Transfer-Encoding: gzip', 501]].map(([line, status, body = '']) => [(path) => request(`POST ${path} HTTP/1.1`, HOST, line) + body, status]),
    [(path) => request(`GET ${path}?${long} HTTP/1.1`, HOST), 414],
    [(path) => request(`GET ${path} HTTP/2.0`, HOST), 505],
  ];
  for (const [path, coordinator] of [['/agents/register', true], ['/api/v1/agents/register', true], ['/tasks/a%2Fb', true], ['http://hub/agents', true], ['/api/v1/consensus', false], ['/run-graph', false], ['/no/such/path', false]]) {
    for (const [make, status] of whole) {
      await everyCut(joined(make(path), LAST), (answers, step) => {
        isRefusal(answers, status, named(make(path), step));
        isShaped(answers[0], coordinator, named(make(path), step));
        assert.equal(answers[0].body.instance, decodeURIComponent(path.replace('http://hub', '')));
      });
    }
  }
  await everyCut(joined(request('BREW /agents HTTP/1.1', HOST), LAST), (answers, step) => isShaped(answers[0], true, named('BREW', step)));
  await everyCut(latin1(`GET /agents/${long}${long}`), (answers, step) => isShaped(answers[0], false, named('no end of a path', step)));
});

survived('a head or a body that drips is cut at its deadline, and silence too', async () => {
  const drip = async (first, more, statuses, coordinator = false) => {
    connections++;
    const raw = new Raw(hub);
    const started = Date.now();
    await raw.send(first);
    for (let i = 0; !raw.ended && Date.now() - started < 10_000; i++) {
      raw.write(more(i));
      await sleep(50);
    }
    const took = Date.now() - started;
    assert.ok(raw.ended, 'the hub has ended it');
    assert.ok(took >= DEADLINE_MS - 100 && took < DEADLINE_MS + 4_000, `after ${took} ms`);
    assert.deepEqual(answersOf(raw.received).map((one) => one.status), statuses);
    for (const answer of answersOf(raw.received)) isShaped(answer, coordinator, named(first));
    await raw.destroy();
  };
  await Promise.all([
    drip('GET /health HTTP/1.1\r\n', (i) => (i % 5 ? 'x' : `${i ? '\r\n' : ''}X: y`), [408], true),
    drip('G', () => 'E', [408]),
    drip('GET /agents', () => 'x', [408]),
    drip(request('POST /agents/register HTTP/1.1', HOST, 'Content-Length: 50000'), () => ' ', [408], true),
    drip(request('POST /api/v1/consensus HTTP/1.1', HOST, 'Content-Length: 50000'), () => ' ', [408]),
    drip(`${POST_CHUNKED}ffff\r\n`, () => ' ', [408]),
    drip(`${POST_CHUNKED}0\r\nA: `, () => 'b', [408]),
    drip('', () => '', []),
    drip('\r\n', () => '', []),
  ]);
});

// --- the request line ----------------------------------------------------------------------------

survived('a path has one spelling that counts; tricks are refused', async () => {
  await refusedEach([
    'health', 'hub:80', '*', '\\health', '/health#top', '/"', '/<', '/>', '/health\xc3\xa9', '/health\x00', '/he\x7falth', 'ftp://hub/health', 'javascript://hub/', 'http:/health', 'http://', 'http:///health',
    'http://user@hub/health', 'http://hub:99999/health', 'http://hub:x/health', 'http://h\xc3\xbcb/health', 'https://user:pw@hub/',
  ].map((target) => [get(target), 400]));
  await refusedEach([[request('GET  /health HTTP/1.1', HOST), 400], [request('GET /health  HTTP/1.1', HOST), 400], [request('GET /he alth HTTP/1.1', HOST), 400],
    [request('GET /health', HOST), 400], [request('GET', HOST), 400], [request(' GET /health HTTP/1.1', HOST), 400], [request('GET\t/health HTTP/1.1', HOST), 400],
    [request('GET /health HTTP/1.1 ', HOST), 400]]);
  // The framing of these is sound, so the connection goes on.
  await servedEach([
    '/..', '/../health', '/./health', '/health/.', '/health/..', '/%2e%2e/health', '/%2e/health', '/.%2e/health', '/%2E%2E/%2E%2E/etc/passwd', '/dashboard/../health',
    '/dashboard/%2e%2e/%2e%2e/%2e%2e/etc/passwd', '//health', '/health//', '/dashboard//index.html', '/%2f//health', '/health%2f..', '/agents/a%2f..%2fb', '/agents/..%2fb', '/agents/%2e%2f', '/%5c..%5c', '/\\..\\', '/health%00', '/health%00.html', '/agents/a%2f%00', '/agents/a%2f%0a', '/agents/a%2f%ff', '/agents/a%2f%c0%af', '/%0d%0aX:%20y', '/%', '/%2',
    '/%zz', '/%c0%ae%c0%ae/health', '/%ff', '/%ed%a0%80', '/%u0041', '/health?%', '/health?a=%zz', '/health?a=%c0%ae',
  ].map((target) => [get(target), 400]));
  await servedEach([['/health?', 200], ['/%68ealth', 200], ['/health?../..', 200], ['http://hub/health', 200], ['HTTP://elsewhere:1/health', 200], ['https://hub', 200], ['http://hub?x', 200],
    ['/health/', 404], ['/Health', 404], ['/health;x', 404], ['/health%20', 404], ['/...', 404], ['/dashboard.', 404],
    ['/%2fhealth', 404], ['/health%2f', 404], ['/agents%2fregister', 404], ['/dashboard%2f', 404], ['/dashboard%2findex.html', 404], ['/%2Fdashboard/', 404], ['/ws%2fv1%2fevents', 404]].map(([target, status]) => [get(target), status]));
});

survived('no path leads out of the pages that are served', async () => {
  const leaks = /root:|WAGGLE|\[package\]|"lockfileVersion"/;
  for (const base of ['/', '/dashboard/', '/docs/', '/redoc/']) {
    for (const up of ['../', '..%2f', '%2e%2e/', '%2e%2e%2f', '..\\', '..%5c', '....//', '%252e%252e/', '.%00./']) {
      for (const goal of ['etc/passwd', 'package-lock.json', 'data/data.mdb']) {
        connections++;
        const { answers } = await exchange(hub, joined(get(base + up.repeat(6) + goal), LAST));
        assert.ok([400, 404].includes(answers[0].status), `${base}${up}… answers ${answers[0].status}`);
        assert.doesNotMatch(answers[0].text, leaks);
      }
    }
  }
});

survived('methods are known, or 501; for a path that does not answer one, 405 names those that do', async () => {
  await servedEach(['BREW', 'get', 'Get', 'TRACE', 'TRACK', 'PROPFIND', 'GETT', 'GE', 'PRI', 'PURGE', '!'].map((method) => [request(`${method} /health HTTP/1.1`, HOST), 501]));
  await refusedEach([[request('CONNECT hub:80 HTTP/1.1', HOST), 501], ['(GET) / HTTP/1.1\r\n', 400], ['G\xcbT / HTTP/1.1\r\n', 400]]);
});

/** The routes of /openapi.json: path with its parameters filled in, methods in upper case. */
async function routes() {
  const document = (await exchange(hub, get('/openapi.json', 'Connection: close'))).answers[0].body;
  return Object.entries(document.paths).map(([path, item]) => ({
    path: path.replace(/\{\w+\}/g, 'nobody'),
    methods: Object.keys(item).filter((key) => ['get', 'put', 'post', 'patch', 'delete'].includes(key)).map((key) => key.toUpperCase()),
  }));
}
const ADMIN = () => `Authorization: Bearer ${hub.adminKey}`;
const allowed = (answer) => answer.headers.allow.split(', ').sort();

survived('every route answers OPTIONS, HEAD where it answers GET, and 405 to the rest', async () => {
  const all = await routes();
  assert.ok(all.length > 30, `${all.length} paths`);
  for (const { path, methods } of all) {
    const can = (method) => methods.includes(method);
    const expected = [...methods, 'OPTIONS', ...(can('GET') ? ['HEAD'] : [])].sort();
    const none = ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'].filter((method) => !can(method));
    const asked = [
      ['OPTIONS'], ...none.map((method) => [method]), ...(can('GET') ? [] : [['HEAD']]),
    ].map(([method]) => request(`${method} ${path} HTTP/1.1`, HOST, ADMIN(), 'Content-Length: 0'));
    connections++;
    const { answers } = await exchange(hub, joined(...asked, LAST), { heads: can('GET') ? [] : [asked.length - 1] });
    assert.equal(answers.length, asked.length + 1, path);
    assert.equal(answers[0].status, 204, `OPTIONS ${path}`);
    for (const answer of answers.slice(0, -1)) assert.deepEqual(allowed(answer), expected, `Allow of ${path}`);
    for (const answer of answers.slice(1, -1)) assert.equal(answer.status, 405, `${path} ${answer.text}`);
    for (const [i, method] of none.entries()) {
      assert.equal(answers[i + 1].body.message, `${method} is not allowed for ${path}: it answers ${answers[i + 1].headers.allow}`);
    }
  }
}, { timeout: 120_000 });

survived('HEAD is GET without the body: the same status, type and length', async () => {
  for (const { path, methods } of await routes()) {
    if (!methods.includes('GET')) continue;
    const ask = (method) => request(`${method} ${path} HTTP/1.1`, HOST, ADMIN());
    connections++;
    const { answers, bytes } = await exchange(hub, joined(ask('GET'), ask('HEAD'), ask('GET'), LAST), { heads: [1] });
    const [first, head, again] = answers;
    assert.equal(answers.length, 4, path);
    assert.equal(head.status, first.status, path);
    assert.equal(head.headers['content-type'], first.headers['content-type'], path);
    if (first.text.length === again.text.length) assert.equal(head.headers['content-length'], first.headers['content-length'], path);
    assert.ok(bytes.length > 0);
  }
}, { timeout: 120_000 });

survived('OPTIONS * speaks for the hub', async () => {
  await servedEach([[request('OPTIONS * HTTP/1.1', HOST), 204]]);
});

// --- who is meant --------------------------------------------------------------------------------

survived('Host stands once and is a host', async () => {
  const with_ = (...lines) => request('GET /health HTTP/1.1', ...lines);
  await refusedEach([
    [], ['X: y'], [HOST, HOST], ['Host: a', 'Host: b'], [HOST, 'host: hub'], ['Host:'], ['Host: a b'], ['Host: a,b'], ['Host: a/b'], ['Host: user@hub'], ['Host: hub:'.concat('9'.repeat(6))], ['Host: hub:x'], ['Host: [::1'],
    ['Host: [::1]x'], ['Host: []'], ['Host: h\xfcb'], ['Host: <script>'], ['Host: hub:80:80'], ['Host: \x00'],
  ].map((lines) => [with_(...lines), 400]));
  await refusedEach([[request('GET http://hub/health HTTP/1.1'), 400], [request('GET http://hub/health HTTP/1.1', 'Host: a', 'Host: b'), 400]]);
  await servedEach([['Host: hub'], ['Host: hub:65535'], ['Host: [::1]:8000'], ['Host: 127.0.0.1:8000'], ['HOST:hub'], ['Host: a.b-c_d~e']].map((lines) => [with_(...lines), 200]));
});

survived('HTTP/1.0 is served, and closes unless it asks to stay', async () => {
  const { answers } = await exchange(hub, joined(request('GET /health HTTP/1.0'), LAST));
  assert.deepEqual(answers.map((one) => [one.status, one.headers.connection]), [[200, 'close']]);
  const kept = await exchange(hub, joined(request('GET /health HTTP/1.0', 'Connection: Keep-Alive'), request('OPTIONS /health HTTP/1.0', 'Connection: keep-alive'), LAST));
  assert.deepEqual(kept.answers.map((one) => [one.status, one.headers.connection]), [[200, 'keep-alive'], [204, 'keep-alive'], [200, 'close']]);
  const closed = await exchange(hub, joined(get('/health', 'Connection: keep-alive, close'), LAST));
  assert.deepEqual(closed.answers.map((one) => one.status), [200]);
});

survived('other versions: a higher minor is served, another major is not', async () => {
  await servedEach([[request('GET /health HTTP/1.9', HOST), 200]]);
  await refusedEach([
    ['GET /health\r\n\r\n', 400], [request('GET /health HTTP/0.9', HOST), 505], [request('GET /health HTTP/2.0', HOST), 505], [request('GET /health HTTP/3.0', HOST), 505], [request('GET /health HTTP/1', HOST), 400],
    [request('GET /health HTTP/1.10', HOST), 400], [request('GET /health http/1.1', HOST), 400], [request('GET /health HTTPS/1.1', HOST), 400], [request('GET /health HTTP/01.1', HOST), 400], [request('GET /health HTTP/+1.1', HOST), 400],
  ]);
});

survived('other protocols on the plain port are told so once, and closed', async () => {
  const random = seeded(SEED);
  const hello = joined(Buffer.from([0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3]), Buffer.from(numbers(157).map(() => random(256))));
  await refusedEach([
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00', 505], [hello, 400], ['EHLO mail.example\r\n', 400], ['*1\r\n$4\r\nPING\r\n', 400], ['\x05\x01\x00', 400], ['\x04\x01\x00\x50\x7f\x00\x00\x01\x00', 400],
    ['SSH-2.0-OpenSSH_9.2\r\n', 400], ['DESCRIBE rtsp://hub/x RTSP/1.0\r\n\r\n', 400], ['USER anonymous\r\n', 400], ['\x00\x00\x00\x2f\xffSMB', 400], ['\xff\xfb\x1f', 400], ['\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c', 400],
    ['PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n', 400], ['\r\n\r\n\x00\r\nQUIT\n!', 400],
  ]);
  for (let round = 0; round < 200 * TIMES; round++) {
    const bytes = Buffer.from(numbers(1 + random(300)).map(() => random(256)));
    if (/^(\r\n|\r)?[!#-'*+.^`|~\w-]/.test(bytes.toString('latin1'))) bytes[0] = 0x80; // would be the start of a method
    if (bytes[0] === 0x0d) continue;
    connections++;
    const { answers } = await exchange(hub, bytes);
    isRefusal(answers, 400, bytes.toString('hex'));
  }
});

// --- many at once --------------------------------------------------------------------------------

survived('pipelined requests with and without bodies are answered in order, however they are cut', async () => {
  const random = seeded(SEED + 1);
  const ids = numbers(24).map(() => fresh('bee'));
  const asked = [];
  const expected = [];
  const heads = [];
  for (const [i, id] of ids.entries()) {
    const body = JSON.stringify({ agent_id: id, agent_type: 'worker' });
    const post = (path, ...lines) => request(`POST ${path} HTTP/1.1`, HOST, ADMIN(), `Request-Id: r${asked.length}`, ...lines);
    asked.push(i % 3 === 0
      ? joined(post('/agents/register', 'Transfer-Encoding: chunked'), `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
      : joined(post('/agents/register', `Content-Length: ${body.length}`), body));
    expected.push(200);
    asked.push(post(`/agents/${id}/heartbeat`)); // no length: no body
    expected.push(200);
    asked.push(post(`/agents/${id}/heartbeat`, 'Content-Length: 0'));
    expected.push(200);
    heads.push(asked.length);
    asked.push(request(`HEAD /agents/${id} HTTP/1.1`, HOST, ADMIN(), `Request-Id: r${asked.length}`));
    expected.push(200);
    asked.push(post('/agents/register', 'Content-Length: 2') + '[]');
    expected.push(422);
  }
  const stream = joined(...asked, LAST);
  for (const cut of ['whole', 'bytes', 'random']) {
    connections++;
    const raw = new Raw(hub);
    if (cut === 'random') {
      await raw.connected;
      for (let at = 0; at < stream.length;) {
        const n = 1 + random(900);
        raw.write(stream.subarray(at, at + n));
        at += n;
        await sleep(random(2));
      }
    } else {
      await raw.send(stream, { step: cut === 'bytes' ? 1 : 0 });
    }
    await raw.until(() => false);
    const answers = answersOf(raw.received, heads);
    assert.deepEqual(answers.map((one) => one.status), [...expected, 200], cut);
    assert.deepEqual(answers.slice(0, -1).map((one) => one.headers['request-id']), asked.map((_, i) => `r${i}`), cut);
    assert.deepEqual(answers.filter((_, i) => i % 5 === 0).slice(0, -1).map((one) => one.body.agent_id), ids, cut);
    await raw.destroy();
  }
});

survived('ten thousand requests in one go are answered one by one, in bounded memory', async () => {
  const count = 10_000;
  const raw = new Raw(hub);
  connections++;
  const rest = residentBytes(hub);
  let grown = 0;
  await raw.send(get('/health').repeat(count) + LAST);
  const watch = setInterval(() => (grown = Math.max(grown, residentBytes(hub) - rest)), 5);
  await raw.until(() => false, { timeout: 40_000 });
  clearInterval(watch);
  assert.equal(answersOf(raw.received).length, count + 1);
  const bound = /asan|tsan/.test(process.env.WAGGLED ?? '') ? 256 << 20 : 16 << 20; // sanitizers keep what was freed
  assert.ok(grown < bound, `${grown} bytes`);
  await raw.destroy();
});

survived('a peer that leaves at any byte, politely or not, leaves nothing behind', async () => {
  const body = JSON.stringify({ agent_id: fresh('bee'), agent_type: 'worker' });
  const stream = joined(request('POST /agents/register HTTP/1.1', HOST, ADMIN(), `Content-Length: ${body.length}`), body, get('/openapi.json'), get('/health'));
  for (let cut = 0; cut <= stream.length; cut += 3) {
    for (const how of ['end', 'reset', 'destroy']) {
      connections++;
      const raw = new Raw(hub);
      await raw.send(stream.subarray(0, cut));
      raw[how]();
      if (how === 'end') await raw.until(() => false, { what: `the end after ${cut} bytes` });
      await raw.destroy();
    }
  }
}, { timeout: 120_000 });

survived('a peer that asks and reads nothing is given up, and costs no memory', async () => {
  const slow = new Raw(hub);
  connections++;
  await slow.connected;
  slow.socket.pause();
  const rest = residentBytes(hub);
  slow.write(get('/openapi.json').repeat(400)); // some 60 MB of answers
  await sleep(DEADLINE_MS * 2);
  const bound = /asan|tsan/.test(process.env.WAGGLED ?? '') ? 256 << 20 : 16 << 20;
  assert.ok(residentBytes(hub) - rest < bound, `${residentBytes(hub) - rest} bytes`);
  await until(() => descriptors(hub) <= quiet, { timeout: 10_000, what: 'the connection to be given up' });
  await slow.destroy();
});

survived('a range is one range of bytes; what is none is answered whole, what lies outside with 416', async () => {
  const { answers: [whole] } = await exchange(hub, get('/docs/', 'Connection: close'));
  assert.equal(whole.status, 200, 'the web part is built: sh deploy/web.sh');
  const size = Number(whole.headers['content-length']);
  const most = '18446744073709551616';
  for (const [range, status, length = size] of [
    ['bytes=0-0', 206, 1], ['bytes=1-', 206, size - 1], ['bytes=-1', 206, 1], [`bytes=1-${most}`, 206, size - 1], ['bytes=0-', 200], [`bytes=-${most}`, 200], [`bytes=-${size}`, 200], ['bytes=0-0,2-2', 200], ['bytes=2-1', 200], ['bytes=-', 200], ['bytes=-0', 200],
    ['bytes=', 200], ['bytes', 200], ['items=0-0', 200], ['bytes=+1-2', 200], ['bytes=--1', 200], ['bytes= 1-2', 200], ['bytes=1-2x', 200], ['bytes=0x1-2', 200], [`bytes=${'1'.repeat(5_000)}`, 200],
    [`bytes=${size}-`, 416, null], [`bytes=${most}-`, 416, null], [`bytes=${'9'.repeat(1_000)}-`, 416, null],
  ]) {
    connections++;
    const { answers: [answer, last] } = await exchange(hub, joined(get('/docs/', `Range: ${range}`), LAST));
    assert.equal(answer.status, status, range.slice(0, 60));
    if (length !== null) assert.equal(Number(answer.headers['content-length']), length, range.slice(0, 60));
    assert.equal(last.headers['request-id'], 'the-last');
  }
});

// --- upgrades ------------------------------------------------------------------------------------

survived('an upgrade to anything but WebSocket is not taken', async () => {
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
  await servedEach(['h2c', 'TLS/1.0', 'HTTP/2.0', 'websocket', 'IRC/6.9, RTA/x11', 'foo'].map((to) => [
    get('/health', `Upgrade: ${to}`, 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQAAP__', 'Sec-WebSocket-Version: 13', key), 200]));
  await servedEach([
    [get('/ws/v1/events'), 426], [get('/ws/v1/events', 'Upgrade: h2c', 'Connection: Upgrade', 'HTTP2-Settings: AAMAAABkAAQAAP__'), 426],
    [get('/ws/v1/events', 'Upgrade: websocket13', 'Connection: Upgrade'), 426],
    [request('POST /ws/v1/events HTTP/1.1', HOST, 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', key), 405],
    [request('OPTIONS /ws/v1/events HTTP/1.1', HOST), 204],
  ]);
});
