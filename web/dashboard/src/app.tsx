// The frame around the pages: navigation, the state of the connection, keys.

import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Agents, Figures } from './live';
import { AgentPage } from './pages/agent';
import { AgentsPage } from './pages/agents';
import { ChannelsPage } from './pages/channels';
import { Login, Logo } from './pages/login';
import { Overview } from './pages/overview';
import { go, routeText, useRoute } from './route';
import { keptKey, login, type Session } from './session';
import { Store, useStore, useTick } from './store';
import { Dialog } from './ui';

/** What every page may look at. */
export interface World {
  session: Session;
  agents: Agents;
  figures: Figures;
  paused: Store<boolean>;
}

const PAGES = [
  { page: 'overview', title: 'Overview', key: 'o', icon: 'M3 13h8V3H3zm0 8h8v-6H3zm10 0h8V11h-8zm0-18v6h8V3z' },
  { page: 'agents', title: 'Agents', key: 'a', icon: 'M12 2 20.5 7v10L12 22 3.5 17V7z' },
  { page: 'channels', title: 'Channels', key: 'c', icon: 'M4 6h16v2H4zm0 5h16v2H4zm0 5h10v2H4z' },
] as const;

const KEYS: [string, string][] = [
  ['?', 'this list'],
  ['g o', 'overview'],
  ['g a', 'agents'],
  ['g c', 'channels'],
  ['/', 'to the filter'],
  ['Ctrl K', 'find an agent, channel or page'],
  ['p', 'pause or resume live updates'],
  ['t', 'light, dark or as the system'],
  ['Esc', 'leave a field or close a dialog'],
];

export function App() {
  const [session, setSession] = useState<Session | undefined>();
  const [note, setNote] = useState('');
  const [trying, setTrying] = useState(keptKey() !== null);

  useEffect(() => {
    const key = keptKey();
    if (!key) return;
    login(key).then(setSession, (error) => setNote(error.message)).finally(() => setTrying(false));
  }, []);

  if (trying) return <main class="login"><p class="faint">Connecting…</p></main>;
  if (!session) return <Login enter={setSession} note={note} />;
  return (
    <Frame
      session={session}
      leave={(why) => {
        session.end();
        setNote(why);
        setSession(undefined);
      }}
    />
  );
}

function Frame({ session, leave }: { session: Session; leave: (why: string) => void }) {
  const world = useMemo<World>(
    () => ({ session, agents: new Agents(session.hub), figures: new Figures(session.hub), paused: new Store(false) }),
    [session],
  );
  const route = useRoute();
  const [dialog, setDialog] = useState<'none' | 'keys' | 'find'>('none');
  const [theme, nextTheme] = useTheme();
  const connection = useStore(session.connection);
  const paused = useStore(world.paused);

  const pause = () => {
    const held = !world.paused.value;
    world.paused.set(held);
    for (const store of [world.agents.all, world.agents.beats, world.agents.incidents, world.figures.now]) store.hold(held);
  };

  useEffect(() => () => {
    world.agents.end();
    world.figures.end();
  }, [world]);
  useEffect(() => {
    if (connection.state === 'failed') leave(connection.reason || 'the hub ended the session');
  }, [connection.state]);
  useKeys({ keys: () => setDialog('keys'), find: () => setDialog('find'), pause, theme: nextTheme });

  let content: ComponentChildren;
  if (route.page === 'agents') content = route.id === undefined ? <AgentsPage world={world} route={route} /> : <AgentPage world={world} id={route.id} />;
  else if (route.page === 'channels') content = <ChannelsPage world={world} route={route} />;
  else content = <Overview world={world} />;

  return (
    <div class="frame">
      <nav class="nav" aria-label="Pages">
        <a class="brand" href="#/overview"><Logo /><span>Waggle</span></a>
        {PAGES.map(({ page, title, icon }) => (
          <a key={page} href={routeText({ page })} class={route.page === page ? 'here' : ''} aria-current={route.page === page ? 'page' : undefined}>
            <svg viewBox="0 0 24 24" aria-hidden="true"><path d={icon} fill="currentColor" /></svg><span>{title}</span>
          </a>
        ))}
        <span class="nav-space" />
        <a href="/docs"><svg viewBox="0 0 24 24" aria-hidden="true"><path fill="currentColor" d="M6 2h9l5 5v15H6zm8 1.5V8h4.5z" /></svg><span>API</span></a>
      </nav>
      <header class="top">
        <ConnectionState session={session} />
        <button class="find" onClick={() => setDialog('find')}>Find… <kbd>Ctrl K</kbd></button>
        <button onClick={pause} aria-pressed={paused}>{paused ? 'Resume' : 'Pause'}</button>
        <button onClick={nextTheme} title="Theme">{theme}</button>
        <button onClick={() => setDialog('keys')} aria-label="Keyboard">?</button>
        <button onClick={() => leave('')}>Leave</button>
      </header>
      <main class="content">{content}</main>
      {dialog === 'keys' && (
        <Dialog title="Keyboard" close={() => setDialog('none')}>
          <dl class="keys">{KEYS.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
        </Dialog>
      )}
      {dialog === 'find' && <Finder world={world} close={() => setDialog('none')} />}
    </div>
  );
}

function ConnectionState({ session }: { session: Session }) {
  const { state, reason, retryAt, latencyMs, skewMs, hubVersion } = useStore(session.connection);
  const now = useTick(1_000);
  const words = {
    idle: 'not connected', connecting: 'connecting…', open: 'live', failed: 'ended',
    waiting: `reconnecting in ${Math.max(0, Math.ceil((retryAt - now) / 1000))} s`,
  };
  return (
    <div class="connection" role="status" title={reason} data-state={state}>
      <span class={`dot ${state}`} /> <strong>{words[state]}</strong>
      {state === 'open' && latencyMs !== undefined && <span class="faint">{latencyMs} ms</span>}
      {state === 'open' && skewMs !== undefined && Math.abs(skewMs) > 1_000 && (
        <span class="warn-text">clocks differ by {(Math.abs(skewMs) / 1000).toFixed(1)} s</span>
      )}
      {state === 'waiting' && reason && <span class="faint">{reason}</span>}
      {hubVersion && <span class="faint version">waggled {hubVersion}</span>}
    </div>
  );
}

interface Found {
  text: string;
  kind: string;
  open: () => void;
}

function Finder({ world, close }: { world: World; close: () => void }) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const wanted = text.trim().toLowerCase();
  const all: Found[] = [
    ...PAGES.map(({ page, title }) => ({ text: title, kind: 'page', open: () => go({ page }) })),
    ...[...world.agents.all.value.keys()].map((id) => ({ text: id, kind: 'agent', open: () => go({ page: 'agents', id }) })),
  ];
  const found = all.filter((one) => one.text.toLowerCase().includes(wanted)).slice(0, 12);
  if (/^[\w\-=@,.;*>]{1,164}$/.test(text.trim())) {
    found.push({ text: text.trim(), kind: 'open channel', open: () => go({ page: 'channels', id: text.trim() }) });
  }
  const choose = (one: Found | undefined) => {
    if (!one) return;
    one.open();
    close();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt(Math.min(at + 1, found.length - 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(at - 1, 0));
    else if (event.key === 'Enter') choose(found[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Find" close={close}>
      <input autofocus value={text} aria-label="Find" placeholder="Agent, channel, page…" onKeyDown={press}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }} />
      <ul class="list found">
        {found.map((one, i) => (
          <li key={one.kind + one.text} class={i === at ? 'here' : ''}>
            <button class="link" onClick={() => choose(one)}>{one.text}</button> <span class="faint">{one.kind}</span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

const THEMES = ['auto', 'light', 'dark'] as const;

function useTheme(): [string, () => void] {
  const [theme, setTheme] = useState<string>(() => localStorage.getItem('waggle.theme') ?? 'auto');
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem('waggle.theme', theme);
  }, [theme]);
  return [theme, () => setTheme((now) => THEMES[(THEMES.indexOf(now as (typeof THEMES)[number]) + 1) % THEMES.length]!)];
}

function useKeys(actions: { keys: () => void; find: () => void; pause: () => void; theme: () => void }): void {
  const leader = useRef(0); // when `g` was pressed; outlives the renders that come in between
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
        event.preventDefault();
        actions.find();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const field = event.target as HTMLElement;
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(field.tagName)) {
        if (event.key === 'Escape') field.blur();
        return;
      }
      if (Date.now() - leader.current < 1_000) {
        leader.current = 0;
        const page = PAGES.find(({ key }) => key === event.key);
        if (page) go({ page: page.page });
        return;
      }
      if (event.key === 'g') leader.current = Date.now();
      else if (event.key === '?') actions.keys();
      else if (event.key === 'p') actions.pause();
      else if (event.key === 't') actions.theme();
      else if (event.key === '/') {
        event.preventDefault();
        document.getElementById('filter')?.focus();
      }
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  });
}
