import { useEffect, useState } from 'preact/hooks';
import { clock, duration, figure, label } from '../format';
import { whatIsWrong } from '../live';
import { routeText } from '../route';
import type { World } from '../app';
import { useStore, useTick } from '../store';
import { Badge, Empty, Panel, Tile } from '../ui';

interface Health {
  status: string;
  version: string;
  uptime_seconds: number;
}

export function Overview({ world }: { world: World }) {
  const agents = useStore(world.agents.all);
  const incidents = useStore(world.agents.incidents);
  const figures = useStore(world.figures.now);
  const now = useTick(1_000);
  const [health, setHealth] = useState<Health | undefined>();

  useEffect(() => {
    let ended = false;
    const ask = () =>
      world.session.rest<Health>('GET', '/health').then(
        (value) => !ended && setHealth(value),
        () => !ended && setHealth(undefined),
      );
    void ask();
    const timer = setInterval(ask, 5_000);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, [world]);

  const states = new Map<string, number>();
  for (const agent of agents.values()) states.set(agent.status, (states.get(agent.status) ?? 0) + 1);
  const wrong = whatIsWrong(agents.values(), now);
  const count = (status: string) => states.get(status) ?? 0;

  return (
    <div class="page">
      <div class="tiles">
        <Tile title="Agents" value={agents.size} href={routeText({ page: 'agents' })} />
        <Tile title="Active" value={count('active') + count('busy')} tone="good" href={routeText({ page: 'agents', query: { status: 'active' } })} />
        <Tile title="Stale" value={count('stale')} tone={count('stale') ? 'warn' : ''} href={routeText({ page: 'agents', query: { status: 'stale' } })} />
        <Tile title="Inactive" value={count('inactive')} tone={count('inactive') ? 'bad' : ''} href={routeText({ page: 'agents', query: { status: 'inactive' } })} />
        <Tile title="Hub" value={health?.status ?? '–'} tone={health?.status === 'healthy' ? 'good' : 'bad'}
          note={health ? `up ${duration(health.uptime_seconds)}, version ${health.version}` : 'no answer'} />
      </div>
      <div class="columns">
        <Panel title="What is wrong now" extra={<span class="faint">{wrong.length || 'nothing'}</span>}>
          {wrong.length === 0 ? (
            <Empty>Nothing is wrong.</Empty>
          ) : (
            <ul class="list">
              {wrong.slice(0, 50).map((one) => (
                <li key={one.text} class={`wrong ${one.level}`}>
                  {one.agentId ? <a href={routeText({ page: 'agents', id: one.agentId })}>{one.text}</a> : one.text}
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title="Recent changes">
          {incidents.length === 0 ? (
            <Empty>No agent has changed since this page was opened.</Empty>
          ) : (
            <ul class="list">
              {incidents.slice(0, 50).map((one, i) => (
                <li key={`${one.time}${one.agentId}${i}`}>
                  <time class="faint">{clock(one.time)}</time>{' '}
                  <a href={routeText({ page: 'agents', id: one.agentId })}>{one.agentId}</a> {one.what}
                </li>
              ))}
            </ul>
          )}
        </Panel>
      </div>
      <Panel title="The hub’s own figures" wide extra={<span class="faint">channel <code>hub</code>, once a second</span>}>
        {figures.size === 0 ? (
          <Empty>No figures have come yet.</Empty>
        ) : (
          <div class="tiles small">
            {[...figures].map(([key, value]) => (
              <Tile key={key} title={label(key)} value={figure(key, value)} past={world.figures.past.get(key)} />
            ))}
          </div>
        )}
      </Panel>
      <p class="faint states">
        {[...states].map(([status, n]) => (
          <span key={status}><Badge status={status} /> {n} </span>
        ))}
      </p>
    </div>
  );
}
