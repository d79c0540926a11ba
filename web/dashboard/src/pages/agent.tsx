import type { Gap, HubEvent } from '@waggle/sdk';
import { useEffect, useState } from 'preact/hooks';
import type { World } from '../app';
import { ago, clock } from '../format';
import { describe, type Agent, type Beat } from '../live';
import { routeText } from '../route';
import { useStore, useTick } from '../store';
import { Action, Badge, Bar, Empty, JsonView, Panel } from '../ui';

const STRIP_MS = 180_000;

export function AgentPage({ world, id }: { world: World; id: string }) {
  const agents = useStore(world.agents.all);
  const beats = useStore(world.agents.beats);
  const now = useTick(500);
  const agent = agents.get(id);

  return (
    <div class="page">
      <div class="toolbar">
        <h1><a href={routeText({ page: 'agents' })} class="faint">Agents</a> / {id}</h1>
        {agent && <Badge status={agent.status} />}
        {agent && <Actions world={world} agent={agent} />}
      </div>
      {!agent ? (
        <Empty>There is no agent {id} now. Its past stands below, as far as the hub keeps it.</Empty>
      ) : (
        <>
          <Panel title="Heartbeats" wide extra={<span class="faint">last {STRIP_MS / 60_000} minutes · last beat {ago(agent.last_heartbeat, now)}</span>}>
            <Strip beats={beats.get(id) ?? []} now={now} />
          </Panel>
          <div class="columns">
            <Panel title="Card"><Card agent={agent} /></Panel>
            <Panel title="Load">
              {Object.keys(agent.load_metrics).length === 0 ? <Empty>The agent reports no load.</Empty> : (
                <dl class="facts">
                  {Object.entries(agent.load_metrics).map(([key, value]) => (
                    <div key={key}><dt>{key}</dt><dd>{value >= 0 && value <= 1 ? <Bar share={value} tone="bad-high" /> : value}</dd></div>
                  ))}
                </dl>
              )}
            </Panel>
          </div>
        </>
      )}
      <Events world={world} channel={`agent.${id}`} />
    </div>
  );
}

function Actions({ world, agent }: { world: World; agent: Agent }) {
  const set = (status: string) => () => world.session.hub.call('agents.status', { agent_id: agent.agent_id, status });
  return (
    <div class="actions">
      {agent.status === 'draining' || agent.status === 'maintenance'
        ? <Action run={set('active')}>Resume</Action>
        : <Action run={set('draining')}>Drain</Action>}
      <Action danger confirm={`Deregister ${agent.agent_id}?`}
        run={() => world.session.hub.call('agents.deregister', { agent_id: agent.agent_id })}>Deregister</Action>
    </div>
  );
}

function Card({ agent }: { agent: Agent }) {
  const shown = new Set(['agent_id', 'status', 'load_metrics', 'metadata', 'endpoints', 'health_score']);
  return (
    <dl class="facts">
      <div><dt>health</dt><dd><Bar share={agent.health_score} tone="good-high" /></dd></div>
      {Object.entries(agent).filter(([key]) => !shown.has(key)).map(([key, value]) => (
        <div key={key}>
          <dt>{key.replace(/_/g, ' ')}</dt>
          <dd>{Array.isArray(value)
            ? value.length ? value.map((one) => <span key={String(one)} class="chip">{String(one)}</span>) : <span class="faint">none</span>
            : value && typeof value === 'object' ? <JsonView value={value} /> : String(value ?? '–')}</dd>
        </div>
      ))}
      {Object.entries(agent.endpoints).map(([key, value]) => <div key={key}><dt>endpoint {key}</dt><dd>{value}</dd></div>)}
      {Object.keys(agent.metadata).length > 0 && <div><dt>metadata</dt><dd><JsonView value={agent.metadata} /></dd></div>}
    </dl>
  );
}

/** One tick a beat, as high as the load; what is missing between two ticks is the silence. */
function Strip({ beats, now }: { beats: Beat[]; now: number }) {
  const width = 900;
  const height = 64;
  const x = (time: number) => width - ((now - time) / STRIP_MS) * width;
  const recent = beats.filter((beat) => now - beat.time < STRIP_MS);
  return (
    <svg class="strip" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={`${recent.length} beats`}>
      {[0.25, 0.5, 0.75].map((part) => <line key={part} class="strip-grid" x1={width * part} x2={width * part} y1="0" y2={height} />)}
      {recent.map((beat) => {
        const tall = 14 + (beat.load ?? 0.4) * (height - 18);
        return <line key={beat.time} class={`strip-beat ${(beat.load ?? 0) > 0.85 ? 'hot' : ''}`} x1={x(beat.time)} x2={x(beat.time)} y1={height} y2={height - tall} />;
      })}
    </svg>
  );
}

interface Line {
  event?: HubEvent<any>;
  gap?: Gap;
}

/** The past and present of one channel, newest first. */
function Events({ world, channel }: { world: World; channel: string }) {
  const [lines, setLines] = useState<Line[]>([]);
  const [error, setError] = useState('');
  useEffect(() => {
    setLines([]);
    setError('');
    const add = (line: Line) => setLines((before) => [line, ...before].slice(0, 300));
    const subscription = world.session.hub.subscribe<any>(
      channel,
      { onEvent: (event) => add({ event }), onGap: (gap) => add({ gap }), onRefused: (refusal) => setError(refusal.message) },
      { rewind: 100 },
    );
    return () => subscription.unsubscribe();
  }, [world, channel]);

  return (
    <Panel title="Events" wide extra={<a class="faint" href={routeText({ page: 'channels', id: channel })}><code>{channel}</code></a>}>
      {error && <p class="error-text">{error}</p>}
      {lines.length === 0 && !error ? <Empty>Nothing has happened yet.</Empty> : (
        <ul class="list events">
          {lines.map(({ event, gap }) => event ? (
            <li key={event.offset}>
              <span class="faint offset">{event.offset}</span> <time class="faint">{clock(event.time)}</time>{' '}
              <strong>{describe(event)}</strong>
              <details><summary class="faint">data</summary><JsonView value={event.data} /></details>
            </li>
          ) : (
            <li key={`gap${gap!.from}`} class="gap">{gap!.count} earlier events are no longer kept</li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
