import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HubEvent } from '@waggle/sdk';
import { ago, bytes, duration, figure, label, number } from '../src/format';
import { Agents, Figures, describe, flatten, loadOf, whatIsWrong, type Agent } from '../src/live';
import { selected } from '../src/pages/agents';
import { parseRoute, routeText, type Route } from '../src/route';

(globalThis as any).requestAnimationFrame = (draw: () => void) => setTimeout(draw, 0);

const turn = (ms = 5) => new Promise((done) => setTimeout(done, ms));

function agent(agent_id: string, more: Partial<Agent> = {}): Agent {
  return {
    agent_id, agent_type: 'worker', status: 'active', capabilities: [], services: [], endpoints: {}, metadata: {},
    last_heartbeat: '2026-01-01T00:00:00.000Z', registration_time: '', load_metrics: {}, health_score: 1, version: '', tags: [], ...more,
  };
}

/** A hub of which only the answers count. */
function fakeHub(pages: { agents: Agent[]; next_cursor?: string | null }[]) {
  const handlers = new Map<string, any>();
  const calls: [string, any][] = [];
  const hub = {
    handlers,
    calls,
    gate: Promise.resolve() as Promise<unknown>,
    subscribe(channel: string, given: any) {
      handlers.set(channel, typeof given === 'function' ? { onEvent: given } : given);
      return { unsubscribe() {} };
    },
    async call(method: string, params: any) {
      calls.push([method, params]);
      await hub.gate;
      if (method === 'agents.get') return { agent: agent(params.agent_id, { status: 'busy' }) };
      return pages[params.cursor ? Number(params.cursor) : 0];
    },
    async history() {
      return { events: [], next: null };
    },
  };
  return hub;
}

const change = (event: string, data: unknown, time = '2026-01-01T00:00:01.000Z'): HubEvent<any> => ({ type: 'event', channel: 'agents', event, data, time, offset: 1 });

test('agents are read in pages once the subscription stands', async () => {
  const hub = fakeHub([{ agents: [agent('a')], next_cursor: '1' }, { agents: [agent('b')], next_cursor: null }]);
  const agents = new Agents(hub as any);
  assert.equal(hub.calls.length, 0);
  hub.handlers.get('agents').onSubscribed({});
  await turn();
  assert.deepEqual([...agents.all.value.keys()], ['a', 'b']);
  assert.equal(agents.loaded.value, true);
});

test('a change that comes while they are read is not lost under the older answer', async () => {
  const hub = fakeHub([{ agents: [agent('a', { status: 'active' })], next_cursor: null }]);
  let open = () => {};
  hub.gate = new Promise<void>((done) => (open = done));
  const agents = new Agents(hub as any);
  hub.handlers.get('agents').onSubscribed({});
  hub.handlers.get('agents').onEvent(change('stale', agent('a', { status: 'stale' })));
  open();
  await turn();
  assert.equal(agents.all.value.get('a')?.status, 'stale');
});

test('events change and remove; who registers is read, as the event says less than all', async () => {
  const hub = fakeHub([{ agents: [], next_cursor: null }]);
  const agents = new Agents(hub as any);
  const { onEvent, onSubscribed } = hub.handlers.get('agents');
  onSubscribed({});
  await turn();
  onEvent(change('registered', { agent_id: 'x', agent_type: 'worker', status: 'active' }));
  await turn(80);
  assert.equal(agents.all.value.get('x')?.status, 'busy', 'as agents.get told');
  onEvent(change('status', { agent_id: 'x', status: 'draining', reason: 'operator' }));
  assert.equal(agents.all.value.get('x')?.status, 'draining');
  assert.ok(!('reason' in agents.all.value.get('x')!));
  assert.equal(hub.calls.filter(([method]) => method === 'agents.get').length, 1);
  onEvent(change('deregistered', { agent_id: 'x' }));
  assert.equal(agents.all.value.size, 0);
  assert.deepEqual(agents.incidents.value.map((one) => one.what), ['deregistered', 'status → draining', 'registered → active']);
});

test('many registrations at once are one reading', async () => {
  const hub = fakeHub([{ agents: [agent('a')], next_cursor: null }]);
  const agents = new Agents(hub as any);
  hub.handlers.get('agents').onSubscribed({});
  await turn();
  for (let i = 0; i < 500; i++) hub.handlers.get('agents').onEvent(change('registered', { agent_id: `b${i}`, status: 'active' }));
  await turn(80);
  assert.equal(hub.calls.filter(([method]) => method === 'agents.get').length, 0);
  assert.equal(hub.calls.filter(([method]) => method === 'agents.list').length, 2);
  assert.deepEqual([...agents.all.value.keys()], ['a']);
});

test('a beat moves the last heartbeat and the load, and is kept for the strip', async () => {
  const hub = fakeHub([{ agents: [agent('a')], next_cursor: null }]);
  const agents = new Agents(hub as any);
  hub.handlers.get('agents').onSubscribed({});
  await turn();
  for (let i = 0; i < 300; i++) {
    hub.handlers.get('pulse.*').onEvent({ channel: 'pulse.a', time: new Date(1e12 + i).toISOString(), data: { agent_id: 'a', load_metrics: { cpu: 0.5 } } });
  }
  assert.equal(agents.all.value.get('a')?.last_heartbeat, new Date(1e12 + 299).toISOString());
  assert.deepEqual(agents.all.value.get('a')?.load_metrics, { cpu: 0.5 });
  const beats = agents.beats.value.get('a')!;
  assert.equal(beats.length, 240);
  assert.deepEqual(beats[beats.length - 1], { time: 1e12 + 299, load: 0.5 });
});

test('load is the cpu, in parts or per cent, else the largest share', () => {
  assert.equal(loadOf({ cpu: 0.4, memory: 0.9 }), 0.4);
  assert.equal(loadOf({ cpu_percent: 55 }), 0.55);
  assert.equal(loadOf({ memory: 0.9, disk: 0.1 }), 0.9);
  assert.equal(loadOf({ connections: 17 }), undefined);
  assert.equal(loadOf({ cpu: 250 }), 1);
});

test('what is wrong names the worst first and leaves out what is well', () => {
  const now = Date.parse('2026-01-01T00:01:00.000Z');
  const wrong = whatIsWrong([agent('ok'), agent('s', { status: 'stale' }), agent('i', { status: 'inactive' }), agent('w', { health_score: 0.2 })], now);
  assert.deepEqual(wrong.map((one) => one.agentId), ['i', 's', 'w']);
  assert.match(wrong[0]!.text, /silent for 60 s/);
});

test('filters of the address select and sort', () => {
  const all = [
    agent('bee-10', { health_score: 0.1 }), agent('bee-2', { status: 'stale', tags: ['blue'] }), agent('guard', { agent_type: 'monitor', capabilities: ['inspect'] }),
  ];
  const ids = (query: Record<string, string>) => selected(all, query).map((one) => one.agent_id);
  assert.deepEqual(ids({}), ['bee-2', 'bee-10', 'guard']);
  assert.deepEqual(ids({ q: 'bee' }), ['bee-2', 'bee-10']);
  assert.deepEqual(ids({ q: 'BEE blue' }), ['bee-2']);
  assert.deepEqual(ids({ status: 'stale' }), ['bee-2']);
  assert.deepEqual(ids({ type: 'monitor' }), ['guard']);
  assert.deepEqual(ids({ q: 'inspect' }), ['guard']);
  assert.deepEqual(ids({ sort: 'agent_id:desc' }), ['guard', 'bee-10', 'bee-2']);
  assert.equal(ids({ sort: 'health_score' })[0], 'bee-10');
});

test('a route and its text are one', () => {
  const routes: Route[] = [
    { page: 'agents', id: undefined, query: {} },
    { page: 'agents', id: 'bee/1 ü', query: {} },
    { page: 'agents', id: undefined, query: { q: 'a b&c', status: 'stale' } },
    { page: 'channels', id: 'agent.*', query: { q: 'x' } },
  ];
  for (const route of routes) {
    assert.deepEqual(parseRoute(routeText(route)), route);
  }
  assert.deepEqual(parseRoute(''), { page: 'overview', id: undefined, query: {} });
  assert.equal(parseRoute('#/channels/%zz').id, '%zz');
});

test('figures are flattened, and only numbers', () => {
  assert.deepEqual([...flatten({ a: 1, b: { c: 2, d: 'x' }, e: [1] })], [['a', 1], ['b.c', 2]]);
});

test('what only grows is shown as a rate, and a hub started anew as none', () => {
  const hub = fakeHub([]);
  const figures = new Figures(hub as any);
  const tell = (second: number, data: object) =>
    hub.handlers.get('hub').onEvent({ channel: 'hub', time: new Date(1e12 + second * 1000).toISOString(), data });
  tell(0, { connections: 3, messages_in: 100, bytes_out: 0 });
  assert.deepEqual([...figures.now.value], [['connections', 3]]);
  tell(2, { connections: 4, messages_in: 150, bytes_out: 4096 });
  assert.deepEqual([...figures.now.value], [['connections', 4], ['messages_in /s', 25], ['bytes_out /s', 2048]]);
  tell(3, { connections: 1, messages_in: 5, bytes_out: 10 });
  assert.equal(figures.now.value.get('messages_in /s'), 0);
  assert.deepEqual(figures.past.get('connections'), [3, 4, 1]);
});

test('events are told in words', () => {
  assert.equal(describe(change('agent.status_changed', { agent_id: 'a', status: 'stale' })), 'status changed → stale');
  assert.equal(describe(change('stale', { status: 'stale' })), 'stale');
});

test('numbers, bytes and times are short', () => {
  assert.deepEqual([0, 7, 1234, 12_345, 4_560_000, 0.1234, 3.14159].map(number), ['0', '7', '1,234', '12.3 k', '4.56 M', '0.12', '3.1']);
  assert.equal(bytes(1536), '1.5 KiB');
  assert.deepEqual([figure('bytes_out /s', 2048), figure('commit_us', 1500), figure('uptime_seconds', 61), figure('agents', 3)],
    ['2.0 KiB/s', '1.5 ms', '1 min 1 s', '3']);
  assert.equal(duration(3_725), '1 h 2 min');
  assert.equal(ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:42Z')), '42 s ago');
  assert.equal(ago(undefined, 0), 'never');
  assert.equal(label('waggle_commit_p99.ms'), 'commit p99 ms');
});
