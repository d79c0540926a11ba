import { useMemo } from 'preact/hooks';
import type { World } from '../app';
import { ago } from '../format';
import { loadOf, type Agent } from '../live';
import { routeText, setQuery, type Route } from '../route';
import { useStore, useTick } from '../store';
import { Badge, Bar, VirtualRows } from '../ui';

const COLUMNS = '6.5rem minmax(8rem, 2fr) 6.5rem 5.5rem 5.5rem 2.5rem minmax(8rem, 3fr) 5rem 5.5rem';

/** bee-2 before bee-10. */
const { compare } = new Intl.Collator('en', { numeric: true });

type SortKey = 'agent_id' | 'agent_type' | 'status' | 'health_score' | 'last_heartbeat' | 'region';

/** What the filters of the address let through, in the order they ask for. */
export function selected(agents: Iterable<Agent>, query: Record<string, string>): Agent[] {
  const words = (query.q ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  const list = [...agents].filter((agent) => {
    if (query.status && agent.status !== query.status) return false;
    if (query.type && agent.agent_type !== query.type) return false;
    const text = [agent.agent_id, agent.agent_type, agent.region ?? '', ...agent.capabilities, ...agent.services, ...agent.tags].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const [key, direction] = (query.sort ?? 'agent_id').split(':') as [SortKey, string | undefined];
  const sign = direction === 'desc' ? -1 : 1;
  return list.sort((a, b) => {
    const [x, y] = [a[key] ?? '', b[key] ?? ''];
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : compare(String(x), String(y));
    return order * sign || compare(a.agent_id, b.agent_id);
  });
}

export function AgentsPage({ world, route }: { world: World; route: Route }) {
  const agents = useStore(world.agents.all);
  const loaded = useStore(world.agents.loaded);
  const now = useTick(1_000);
  const shown = selected(agents.values(), route.query);
  const statuses = useMemo(() => [...new Set([...agents.values()].map((one) => one.status))].sort(), [agents.size, now]);
  const types = useMemo(() => [...new Set([...agents.values()].map((one) => one.agent_type))].sort(), [agents.size, now]);

  const sortBy = (key: SortKey) => () =>
    setQuery(route, { sort: route.query.sort === key ? `${key}:desc` : key });
  const Head = ({ sort, children }: { sort?: SortKey; children: string }) => {
    const mark = sort && route.query.sort?.startsWith(sort) ? (route.query.sort.endsWith(':desc') ? ' ↓' : ' ↑') : '';
    return (
      <div role="columnheader">
        {sort ? <button class="link" onClick={sortBy(sort)}>{children}{mark}</button> : children}
      </div>
    );
  };

  return (
    <div class="page">
      <div class="toolbar">
        <h1>Agents</h1>
        <input id="filter" type="search" placeholder="Filter: id, capability, tag…  ( / )" value={route.query.q ?? ''}
          onInput={(event) => setQuery(route, { q: event.currentTarget.value })} aria-label="Filter" />
        <Select label="Status" value={route.query.status} options={statuses} choose={(status) => setQuery(route, { status })} />
        <Select label="Type" value={route.query.type} options={types} choose={(type) => setQuery(route, { type })} />
        <span class="faint">{shown.length} of {agents.size}</span>
      </div>
      <VirtualRows
        items={shown}
        rowHeight={38}
        height="calc(100vh - 11rem)"
        columns={COLUMNS}
        empty={!loaded ? 'Reading…' : agents.size === 0 ? 'No agent has registered yet. Try: waggle agent run --id bee-1 --type worker' : 'No agent fits the filter.'}
        head={<>
          <Head sort="status">Status</Head><Head sort="agent_id">Agent</Head><Head sort="agent_type">Type</Head>
          <Head sort="health_score">Health</Head><Head>Load</Head><Head>Slots</Head><Head>Capabilities</Head>
          <Head sort="region">Region</Head><Head sort="last_heartbeat">Last beat</Head>
        </>}
        row={(agent) => (
          <a key={agent.agent_id} class="row" role="row" data-agent={agent.agent_id} style={{ gridTemplateColumns: COLUMNS }}
            href={routeText({ page: 'agents', id: agent.agent_id })}>
            <div role="cell"><Badge status={agent.status} /></div>
            <div role="cell" class="strong clip">{agent.agent_id}</div>
            <div role="cell">{agent.agent_type}</div>
            <div role="cell"><Bar share={agent.health_score} tone="good-high" /></div>
            <div role="cell"><Bar share={loadOf(agent.load_metrics)} tone="bad-high" /></div>
            <div role="cell">{agent.slots ?? '–'}</div>
            <div role="cell" class="clip">{agent.capabilities.map((one) => <span key={one} class="chip">{one}</span>)}</div>
            <div role="cell" class="clip">{agent.region ?? '–'}</div>
            <div role="cell" class="faint">{ago(agent.last_heartbeat, now)}</div>
          </a>
        )}
      />
    </div>
  );
}

function Select(props: { label: string; value: string | undefined; options: string[]; choose: (value: string) => void }) {
  return (
    <select value={props.value ?? ''} aria-label={props.label} onChange={(event) => props.choose(event.currentTarget.value)}>
      <option value="">{props.label}: all</option>
      {props.options.map((one) => <option key={one} value={one}>{one}</option>)}
      {props.value && !props.options.includes(props.value) && <option value={props.value}>{props.value}</option>}
    </select>
  );
}
