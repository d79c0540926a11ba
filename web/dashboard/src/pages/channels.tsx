import type { Gap, HubEvent, Member } from '@waggle/sdk';
import { useEffect, useState } from 'preact/hooks';
import type { World } from '../app';
import { clock } from '../format';
import { routeText, setQuery, go, type Route } from '../route';
import { useStore } from '../store';
import { Action, Empty, JsonView, Panel } from '../ui';
import { explain } from '../session';

interface ChannelRow {
  channel: string;
  offset?: number;
  subscribers?: number;
  delivery?: string;
}

const byName = new Intl.Collator('en', { numeric: true });
const LINES_KEPT = 500;

export function ChannelsPage({ world, route }: { world: World; route: Route }) {
  const [rows, setRows] = useState<ChannelRow[]>([]);
  const [error, setError] = useState('');
  const filter = route.query.q ?? '';

  useEffect(() => {
    let ended = false;
    const read = async () => {
      try {
        const { channels } = await world.session.rest<{ channels: ChannelRow[] }>('GET', '/api/v1/channels?limit=1000');
        if (!ended) setRows(channels);
        if (!ended) setError('');
      } catch (failure) {
        if (!ended) setError(explain(failure));
      }
    };
    void read();
    const timer = setInterval(read, 3_000);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, [world]);

  const shown = rows.filter((row) => row.channel.includes(filter)).sort((a, b) => byName.compare(a.channel, b.channel));
  const open = (event: Event) => {
    event.preventDefault();
    if (filter) go({ page: 'channels', id: filter });
  };

  return (
    <div class="page split">
      <aside class="side">
        <form class="toolbar" onSubmit={open}>
          <input id="filter" type="search" placeholder="Find or open a channel  ( / )" value={filter} aria-label="Channel"
            onInput={(event) => setQuery(route, { q: event.currentTarget.value })} />
        </form>
        {error && <p class="error-text">{error}</p>}
        {shown.length === 0 && <Empty>{rows.length === 0 ? 'No channel has stored an event yet.' : 'Press Enter to open a channel of that name.'}</Empty>}
        <ul class="list side-list">
          {shown.map((row) => (
            <li key={row.channel} class={row.channel === route.id ? 'here' : ''}>
              <a href={routeText({ page: 'channels', id: row.channel, query: filter ? { q: filter } : {} })}>
                <span class="clip">{row.channel}</span>
                <span class="faint">{row.subscribers ? `${row.subscribers} ● ` : ''}{row.offset ?? ''}</span>
              </a>
            </li>
          ))}
        </ul>
      </aside>
      {route.id === undefined
        ? <Empty>Choose a channel, or type the name of a new one and press Enter. Patterns work too: <code>agent.*</code></Empty>
        : <Channel key={route.id} world={world} channel={route.id} />}
    </div>
  );
}

interface Line {
  key: string;
  event?: HubEvent<any>;
  gap?: Gap;
}

function Channel({ world, channel }: { world: World; channel: string }) {
  const [lines, setLines] = useState<Line[]>([]);
  const [members, setMembers] = useState<Member[] | undefined>();
  const [info, setInfo] = useState<ChannelRow | undefined>();
  const [error, setError] = useState('');
  const paused = useStore(world.paused);
  const pattern = channel.split('.').some((segment) => segment === '*' || segment === '>');

  useEffect(() => {
    let count = 0;
    const add = (line: Omit<Line, 'key'>) => {
      if (world.paused.value) return;
      setLines((before) => [{ ...line, key: String(++count) }, ...before].slice(0, LINES_KEPT));
    };
    const subscription = world.session.hub.subscribe<any>(
      channel,
      {
        onEvent: (event) => add({ event }),
        onGap: (gap) => add({ gap }),
        onSubscribed: (answer) => setInfo({ channel, ...(answer.offset !== undefined && { offset: answer.offset }) }),
        onPresence: () => setMembers([...subscription.members.values()]),
        onRefused: (refusal) => setError(explain(refusal)),
      },
      pattern ? {} : { rewind: 50 },
    );
    if (!pattern) {
      world.session.hub.members(channel).then((list) => {
        for (const member of list) subscription.members.set(member.id, member);
        setMembers(list);
      }, () => setMembers(undefined));
    }
    return () => subscription.unsubscribe();
  }, [world, channel, pattern]);

  const oldest = [...lines].reverse().find((line) => line.event?.offset !== undefined)?.event?.offset;
  const older = async () => {
    const page = await world.session.hub.history(channel, { ...(oldest !== undefined && { before: oldest }), limit: 50, reverse: true });
    setLines((before) => [...before, ...page.events.map((event) => ({ key: `h${event.offset}`, event }))]);
  };

  return (
    <div class="main">
      <div class="toolbar">
        <h1 class="clip">{channel}</h1>
        {info?.offset !== undefined && <span class="faint">at {lines.find((line) => line.event)?.event?.offset ?? info.offset}</span>}
        {paused && <span class="badge is-stale">paused</span>}
      </div>
      {error && <p class="error-text" role="alert">{error}</p>}
      {!pattern && <Publish world={world} channel={channel} />}
      {members && members.length > 0 && (
        <Panel title={`Members (${members.length})`}>
          <p>{members.slice(0, 200).map((one) => <span key={one.id} class="chip" title={JSON.stringify(one.info)}>{one.id}</span>)}</p>
        </Panel>
      )}
      <Panel title="Events" wide extra={<span class="faint">newest first</span>}>
        {lines.length === 0 ? <Empty>Waiting for the first event…</Empty> : (
          <ul class="list events" data-testid="events">
            {lines.map(({ key, event, gap }) => event ? (
              <li key={key}>
                <span class="faint offset">{event.offset ?? 'live'}</span> <time class="faint">{clock(event.time)}</time>{' '}
                {pattern && <code>{event.channel} </code>}<strong>{event.event}</strong>{' '}
                {event.from && <span class="faint">from {event.from}</span>}
                <code class="data clip">{JSON.stringify(event.data)}</code>
                <details><summary class="faint">all of it</summary><JsonView value={event} /></details>
              </li>
            ) : (
              <li key={key} class="gap">{gap!.count} events ({gap!.from}–{gap!.to}) {gap!.reason === 'trimmed' ? 'are no longer kept' : 'were dropped'}</li>
            ))}
          </ul>
        )}
        {!pattern && oldest !== undefined && oldest > 1 && <Action run={older}>Older</Action>}
      </Panel>
    </div>
  );
}

function Publish({ world, channel }: { world: World; channel: string }) {
  const [event, setEvent] = useState('message');
  const [data, setData] = useState('{}');
  const [told, setTold] = useState('');
  let problem = '';
  try {
    JSON.parse(data);
  } catch (error) {
    problem = explain(error);
  }
  return (
    <Panel title="Publish">
      <div class="publish">
        <input value={event} aria-label="Event name" onInput={(input) => setEvent(input.currentTarget.value)} />
        <textarea rows={2} value={data} aria-label="Data (JSON)" spellcheck={false} class={problem ? 'invalid' : ''}
          onInput={(input) => setData(input.currentTarget.value)} />
        <Action run={async () => {
          if (problem) throw new Error(problem);
          const { offset } = await world.session.hub.publish(channel, event, JSON.parse(data));
          setTold(offset === undefined ? 'sent' : `stored at offset ${offset}`);
        }}>Publish</Action>
        <span class="faint">{told}</span>
      </div>
    </Panel>
  );
}
