// What the table says of requests holds for every operation: each field's presence, type and bounds, the key that
// makes a POST safe to repeat, and the pages of every list.

import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startHub, until } from './lib/hub.mjs';
import { operations } from './lib/operations.mjs';
import { fresh, numbers, story } from './lib/story.mjs';

let hub, ops;
before(async () => {
  hub = await startHub();
  ops = await operations(hub);
});
after(() => hub?.stop());

const short = (answer) => `${answer.status} ${answer.text.slice(0, 200)}`;

async function walk(chosen, each) {
  const wrong = [];
  for (const op of chosen) wrong.push(...((await each(op)) ?? []));
  assert.equal(wrong.join('\n'), '');
}

// --- fields ------------------------------------------------------------------------------------

const typesOf = (schema) => [schema.type ?? []].flat();

/** A value that fits. */
function sample(schema) {
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return sample(schema.anyOf[0]);
  switch (typesOf(schema)[0]) {
    case 'string': return schema.format === 'uuid' ? '01890000-0000-7000-8000-000000000000' : 'x'.repeat(schema.minLength || 1);
    case 'integer': case 'number': return schema.minimum ?? 1;
    case 'boolean': return true;
    case 'array': return numbers(schema.minItems ?? 0).map(() => sample(schema.items));
    case 'object': return Object.fromEntries((schema.required ?? []).map((name) => [name, sample(schema.properties[name])]));
    default: return 1;
  }
}

/** Values that do not fit, each with its reason. In a query all is text: there only what stays wrong as text. */
function misfits(schema, inQuery) {
  const found = [];
  const types = typesOf(schema);
  const text = types.includes('string');
  if (!inQuery && types.length) {
    const wrong = { string: 'x', number: 1.5, object: { a: 1 }, array: [1], boolean: true };
    for (const [type, value] of Object.entries(wrong)) if (!types.includes(type)) found.push([`a ${type}`, value]);
    if (!types.includes('null')) found.push(['null', null]);
  }
  if (inQuery && ['integer', 'number', 'boolean'].some((type) => types.includes(type)) && !text) found.push(['words', 'some words']);
  if (schema.enum && !schema.enum.some((one) => typeof one !== 'string' && one !== null)) found.push(['no enumerator', 'emperor']);
  if (schema.minimum !== undefined) found.push(['below the least', schema.minimum - 1]);
  if (schema.exclusiveMinimum !== undefined) found.push(['the bound itself', schema.exclusiveMinimum]);
  if (schema.maximum !== undefined) found.push(['above the most', schema.maximum + 1]);
  if (schema.minLength) found.push(['too short', 'x'.repeat(schema.minLength - 1)]);
  if (schema.maxLength) found.push(['too long', 'x'.repeat(schema.maxLength + 1)]);
  if (schema.pattern && text) found.push(['out of pattern', '/ /']);
  if (schema.format && text) found.push(['out of format', 'no such format']);
  if (!inQuery && schema.minItems) found.push(['too few', numbers(schema.minItems - 1).map(() => sample(schema.items))]);
  if (!inQuery && schema.maxItems) found.push(['too many', numbers(schema.maxItems + 1).map((i) => (schema.items.type === 'string' ? `x${i}` : sample(schema.items)))]);
  if (!inQuery && typesOf(schema.items ?? {}).join() === 'string') found.push(['with a number in it', [1]]);
  return found;
}

const base = (op) => Object.fromEntries(op.required.map((name) => [name, sample(op.properties[name])]));

/** What is wrong with an answer that should be 422 and name the field where it was sent. */
function unnamed(op, name, why, answer) {
  const place = op.place(name);
  const named = Array.isArray(answer.body?.detail) && answer.body.detail.some(
    (one) => one.loc[0] === place && one.loc[1] === name && one.msg.length > 0 && one.type.length > 0);
  return answer.status === 422 && named ? [] : [`${op}: ${name} ${why}: ${short(answer)}`];
}

story('each required field that is missing is 422 and named', async () => {
  let asked = 0;
  await walk(ops, async (op) => {
    const wrong = [];
    for (const name of op.required.filter((one) => op.place(one) !== 'path')) {
      const { [name]: _, ...rest } = base(op);
      asked++;
      wrong.push(...unnamed(op, name, 'is missing', await op.rest(hub, rest)));
    }
    return wrong;
  });
  assert.ok(asked > 40, `${asked} fields`);
});

story('each field of a wrong type or out of its bounds is 422 and named', async () => {
  let asked = 0;
  await walk(ops, async (op) => {
    const wrong = [];
    for (const [name, schema] of Object.entries(op.properties)) {
      const place = op.place(name);
      for (const [why, value] of misfits(schema, place !== 'body')) {
        if (place === 'path' && value === '') continue; // another path
        asked++;
        wrong.push(...unnamed(op, name, `is ${why}`, await op.rest(hub, { ...base(op), [name]: value })));
      }
    }
    return wrong;
  });
  assert.ok(asked > 400, `${asked} values`);
});

story('a body that is no JSON object is 422 on every operation that takes one', async () => {
  await walk(ops.filter((op) => op.body), async (op) => {
    const wrong = [];
    for (const body of ['{', '[1]', '"x"', '{"a":1,"a":2}', '{"a":\xff}']) {
      const answer = await hub.http(op.method, op.url(base(op)), { body: Buffer.from(body, 'latin1') });
      if (answer.status !== 422) wrong.push(`${op}: ${JSON.stringify(body)}: ${short(answer)}`);
    }
    return wrong;
  });
});

// --- keys --------------------------------------------------------------------------------------

/** What each creating operation needs to succeed, made anew for each attempt. */
const making = {
  'auth.keys.create': () => ({ name: fresh('key') }),
  'apps.create': () => ({ id: fresh('app') }),
  'channels.publish': () => ({ channel: fresh('channel'), event: 'made', data: 1 }),
  'channels.publish_batch': () => ({ events: [{ channel: fresh('channel'), event: 'made', data: 1 }] }),
  'agents.register': () => ({ agent_id: fresh('bee'), agent_type: 'worker' }),
  'agents.create': () => ({ agent_id: fresh('bee') }),
  'tasks.submit': () => ({ task_data: { n: 1 } }),
  'tasks.create': () => ({ task_data: { n: 1 } }),
  'tasks.replay': async () => ({ task_id: (await deadTask()).task_id }),
  'tasks.replay_many': () => ({ limit: 1 }),
  'networks.create': async () => ({ name: fresh('net'), agents: [await agent()] }),
  'networks.execute': async () => ({ network_id: (await network()).id, task: { n: 1 } }),
  'swarm.join': async () => ({ role: 'monitor', capability: fresh('skill'), agent_id: await agent() }),
  'swarm.coordinate': async () => ({ task_id: fresh('work'), strategy: 'broadcast', swarm_id: (await member()).swarm_id }),
  'swarm.consensus': async () => ({ task_id: (await work()).task_id, options: ['a', 'b'] }),
  'swarm.task_consensus': async () => ({ task_id: (await work()).task_id, consensus_threshold: 0.6, options: ['a', 'b'] }),
  'consensus.open': async () => ({ question: 'which?', options: ['a', 'b'], electorate: [await agent()] }),
  'messages.send': async () => ({ receiver_id: await agent(), message_type: 'direct', payload: {} }),
  'messages.broadcast': () => ({ message_type: 'broadcast', payload: {} }),
};
/** How the same request is made another one. */
const otherwise = {
  'auth.keys.create': { name: 'another' }, 'apps.create': { name: 'another' }, 'channels.publish': { data: 2 },
  'channels.publish_batch': { events: [{ channel: 'another', event: 'made', data: 2 }] },
  'agents.register': { region: 'another' }, 'agents.create': { region: 'another' }, 'tasks.submit': { task_data: { n: 2 } }, 'tasks.create': { task_data: { n: 2 } },
  'tasks.replay_many': { limit: 2 }, 'networks.create': { name: 'another' },
  'networks.execute': { task: { n: 2 } }, 'swarm.join': { region: 'another' }, 'swarm.coordinate': { parameters: { n: 2 } },
  'swarm.consensus': { options: ['a', 'c'] }, 'swarm.task_consensus': { options: ['a', 'c'] },
  'consensus.open': { question: 'what?' }, 'messages.send': { payload: { n: 2 } }, 'messages.broadcast': { payload: { n: 2 } },
};
/** Answers 201 or 202 and yet takes no key, for a reason. */
const keyless = {
  'auth.mint': 'nothing is stored, and a token is not shown twice',
  'backups.create': 'its name is its key: a folder is made once',
};

async function made(method, path, body) {
  const answer = await hub.http(method, path, { body });
  assert.ok(answer.status < 300, `${path}: ${short(answer)}`);
  return answer.body;
}
const agent = async (id = fresh('bee')) => (await made('POST', '/agents/register', { agent_id: id, agent_type: 'worker' })).agent_id;
const network = async () => made('POST', '/api/v1/agents/networks', { name: fresh('net'), agents: [await agent()] });
const member = async () => made('POST', '/swarm/join', { role: 'monitor', capability: fresh('skill'), agent_id: await agent() });
const work = async () => made('POST', '/swarm/coordinate', { task_id: fresh('work'), strategy: 'broadcast', swarm_id: (await member()).swarm_id });
async function deadTask() {
  const requirements = { capabilities: [fresh('nobody')] };
  const { task_id } = await made('POST', '/tasks/submit', { task_data: {}, requirements, total_seconds: 0.02 });
  await until(async () => (await hub.get(`/tasks/${task_id}`)).body.task.dead_letter, { what: 'the task to expire' });
  return { task_id };
}

story('a POST that creates answers the same key and body with the first result, another body with 409', async () => {
  const posts = ops.filter((op) => op.method === 'POST' && op.creates);
  assert.deepEqual(posts.filter((op) => !making[op.name]).map(String), [], 'operations that nobody tried');
  await walk(posts, async (op) => {
    const params = await making[op.name]();
    const headers = { 'idempotency-key': fresh('key') };
    const first = await op.rest(hub, params, { headers });
    const again = await op.rest(hub, params, { headers });
    const more = otherwise[op.name] ?? (await making[op.name]());
    const other = await op.rest(hub, { ...params, ...more }, { headers });
    const wrong = [];
    if (first.status >= 300) wrong.push(`${op}: ${short(first)}`);
    if (first.headers['idempotency-replayed']) wrong.push(`${op}: the first is no replay`);
    const { deduplicated, ...same } = again.body; // what the answer to a task adds when it comes again
    if (again.status !== first.status || JSON.stringify(same) !== JSON.stringify(first.body) || again.headers['idempotency-replayed'] !== 'true') {
      wrong.push(`${op}: first ${short(first)}\n  again ${again.headers['idempotency-replayed']} ${short(again)}`);
    }
    if (other.status !== 409) wrong.push(`${op}: other ${short(other)}`);
    return wrong;
  });
});

story('every POST that answers with something new takes a key', async () => {
  const { body } = await hub.get('/openapi.json');
  const fails = ops.filter((op) => op.method === 'POST' && !op.creates && !keyless[op.name]
    && ['201', '202'].some((status) => body.paths[op.path].post.responses[status]));
  assert.deepEqual(fails.map(String), []);
});

// --- lists -------------------------------------------------------------------------------------

/** Makes some of what a list lists, and says how it is asked for. */
const some = (make, n = 5) => Promise.all(numbers(n).map(make));
const listed = {
  'auth.revocations': async () => { await some(() => made('POST', '/api/v1/auth/tokens/revoke', { jti: fresh('jti') })); },
  'auth.keys.list': async () => { await some(() => made('POST', '/api/v1/auth/keys', { name: fresh('key') })); },
  'apps.list': async () => { await some(() => made('POST', '/api/v1/apps', { id: fresh('app') })); },
  'backups.list': () => {},
  'channels.list': async () => { await some(() => publish(fresh('chan'))); },
  'channels.members': () => ({ channel: fresh('presence') }),
  'channels.history': async () => { const channel = fresh('chan'); await some(() => publish(channel)); return { channel }; },
  'channels.poll': async () => { const channel = fresh('chan'); await some(() => publish(channel)); return { channel, since: 0 }; },
  'channels.cursors': async () => {
    const channel = fresh('chan');
    const bee = await hub.connect();
    await publish(channel);
    for (const n of numbers(5)) await bee.subscribe({ channel, cursor: `c${n}`, since: 0 });
    return { channel };
  },
  'namespaces.list': () => {},
  'agents.list': async () => { await some(() => agent()); },
  'agents.discover': async () => { await some(() => agent()); },
  'agents.by_service': async () => ({ service: (await skilled()).service }),
  'agents.by_capability': async () => ({ capability: (await skilled()).capability }),
  'tasks.list': async () => { await some(() => made('POST', '/tasks/submit', { task_data: {} })); },
  'tasks.dead_letters': async () => { await some(() => deadTask()); },
  'networks.list': async () => { await some(() => network()); },
  'networks.executions': async () => {
    const { id } = await network();
    await some(() => made('POST', `/api/v1/agents/networks/${id}/execute`, { task: {} }));
    return { network_id: id };
  },
  'swarm.list': async () => { await some(() => member()); },
  'swarm.status': async () => { await some(() => member()); },
  'consensus.list': async () => { await some(async () => made('POST', '/api/v1/consensus', await making['consensus.open']())); },
  'messages.history': async () => {
    const id = await agent();
    await some(() => made('POST', '/messages/send', { receiver_id: id, message_type: 'direct', payload: {} }));
    return { receiver_id: id };
  },
  'peers.list': async () => { await linked('peers', 'agent_id', 'peer_id'); },
  'peers.get': async () => ({ agent_id: await linked('peers', 'agent_id', 'peer_id') }),
  'hierarchy.get': async () => ({ agent_id: await linked('hierarchy', 'master_id', 'sub_id') }),
};
const publish = (channel) => made('POST', `/api/v1/channels/${channel}/events`, { event: 'x', data: 1 });
async function skilled() {
  const [service, capability] = [fresh('service'), fresh('skill')];
  await some(() => made('POST', '/agents/register', {
    agent_id: fresh('bee'), agent_type: 'worker', services: [service], capabilities: [capability],
  }));
  return { service, capability };
}
async function linked(kind, from, to) {
  const id = fresh('hub');
  for (const n of numbers(5)) await made('POST', `/${kind}/add`, { [from]: id, [to]: `${id}-${n}` });
  return id;
}

const itemsOf = (body) => (Array.isArray(body) ? body : Object.values(body).find(Array.isArray)) ?? [];

/** Lists of another kind, and what they have instead. */
const unpaged = {
  'apps.list': 'few', 'backups.list': 'those since the start', 'namespaces.list': 'few',
  'channels.history': 'since and before', 'channels.poll': 'since', 'messages.history': 'limit and offset, as callers send them',
  'agents.discover': 'the best, as many as limit says', 'agents.by_service': 'the best', 'agents.by_capability': 'the best',
  'peers.list': 'whole', 'peers.get': 'whole', 'hierarchy.get': 'whole',
  'swarm.status': 'a bare array has no place for next_cursor; swarm_id names one',
  'channels.members': 'next_cursor only while there is more',
};

story('every list pages to its end without repeats or holes', async () => {
  const { body } = await hub.get('/openapi.json');
  const lists = ops.filter((op) => {
    const { schema } = Object.values(body.paths[op.path][op.method.toLowerCase()].responses['200']?.content ?? {})[0] ?? {};
    return (op.method === 'GET' || op.name === 'agents.discover') && (op.properties.limit || op.properties.cursor || schema?.type === 'array' || listed[op.name]);
  });
  assert.deepEqual(lists.filter((op) => !listed[op.name]).map(String), [], 'lists that nobody walked');
  await walk(lists, async (op) => {
    const params = (await listed[op.name]()) ?? {};
    if (unpaged[op.name]) return [];
    if (!op.properties.limit || !op.properties.cursor) return [`${op} has no limit and cursor`];
    const whole = itemsOf((await op.rest(hub, { ...params, limit: 1000 })).body);
    const seen = [];
    let cursor, pages = 0;
    do {
      const page = await op.rest(hub, { ...params, limit: 2, ...(cursor && { cursor }) });
      if (page.status !== 200) return [`${op}: ${short(page)}`];
      const items = itemsOf(page.body);
      if (items.length > 2) return [`${op}: ${items.length} items in a page of 2`];
      seen.push(...items);
      cursor = Array.isArray(page.body) ? page.headers['next-cursor'] : page.body.next_cursor;
      if (cursor === undefined) return [`${op} says no next_cursor`];
    } while (cursor !== null && cursor !== '' && ++pages < 1000);
    const name = (one) => JSON.stringify(Object.entries(one.constructor === Object ? one : { one }).filter(([key]) => /id$|^name$|^channel$|^one$|^jti$|cursor/.test(key)));
    const [all, walked] = [whole.map(name), seen.map(name)];
    const wrong = JSON.stringify(all) === JSON.stringify(walked) ? [] : [`${op}: ${walked.length} of ${all.length} items, ${new Set(walked).size} of them different`];
    if (all.length < 5) wrong.push(`${op}: only ${all.length} items`);
    return wrong;
  });
});
