// What the pages show, kept current by the hub's own channels.

import type { HubEvent, Subscription, Waggle } from '@waggle/sdk';
import { Store } from './store';

export interface Agent {
  agent_id: string;
  agent_type: string;
  status: string;
  capabilities: string[];
  services: string[];
  endpoints: Record<string, string>;
  metadata: Record<string, unknown>;
  last_heartbeat: string;
  registration_time: string;
  load_metrics: Record<string, number>;
  health_score: number;
  version: string;
  tags: string[];
  region?: string | null;
  slots?: number | null;
  [more: string]: unknown;
}

export interface Beat {
  time: number;
  load: number | undefined;
}

export interface Incident {
  time: string;
  agentId: string;
  what: string;
}

const BEATS_KEPT = 240;
const INCIDENTS_KEPT = 100;
const PAGE = 500;
const REFRESH_MS = 50;
const REFRESH_MAX = 50;

type Hub = Pick<Waggle, 'call' | 'subscribe' | 'history'>;

/** All agents of the app: read once after every (re)connection, then changed event by event. */
export class Agents {
  readonly all = new Store(new Map<string, Agent>());
  readonly beats = new Store(new Map<string, Beat[]>());
  readonly incidents = new Store<Incident[]>([]);
  readonly loaded = new Store(false);

  private readonly subscriptions: Subscription<any>[];
  private readonly unread = new Set<string>();
  private reading = 0;
  private during: HubEvent<any>[] | undefined;

  constructor(private readonly hub: Hub) {
    this.subscriptions = [
      hub.subscribe<any>('agents', {
        onEvent: (event) => this.changed(event),
        // The list is read after the subscription stands, so no change falls between the two.
        onSubscribed: () => {
          void this.read();
          void this.lookBack();
        },
      }),
      hub.subscribe<any>('pulse.*', (event) => this.beat(event)),
    ];
  }

  end(): void {
    this.reading++;
    for (const one of this.subscriptions) one.unsubscribe();
  }

  private async read(): Promise<void> {
    const round = ++this.reading;
    this.during = [];
    const found = new Map<string, Agent>();
    try {
      let cursor: string | undefined;
      do {
        const page: { agents: Agent[]; next_cursor?: string | null } = await this.hub.call(
          'agents.list', { limit: PAGE, ...(cursor && { cursor }) }, { idempotent: true },
        );
        if (round !== this.reading) return;
        for (const agent of page.agents) found.set(agent.agent_id, agent);
        cursor = page.next_cursor ?? undefined;
      } while (cursor);
    } catch {
      if (round === this.reading) this.during = undefined;
      return; // the connection is gone; the next one reads again
    }
    this.all.set(found);
    this.loaded.set(true);
    const held = this.during ?? [];
    this.during = undefined;
    for (const event of held) this.apply(event);
  }

  /** What happened before this page was opened, for the list of changes alone. */
  private async lookBack(): Promise<void> {
    if (this.incidents.value.length > 0) return;
    try {
      const { events } = await this.hub.history('agents', { limit: 30, reverse: true });
      const told = events.map((event) => incidentOf(event)).filter((one) => one !== undefined);
      if (this.incidents.value.length === 0) this.incidents.set(told);
    } catch {
      // no right to the past, or none there: the list begins now
    }
  }

  private changed(event: HubEvent<any>): void {
    const incident = incidentOf(event);
    if (!incident) return;
    this.incidents.set([incident, ...this.incidents.value].slice(0, INCIDENTS_KEPT));
    if (this.during) this.during.push(event);
    else this.apply(event);
  }

  private apply(event: HubEvent<any>): void {
    const data = event.data?.agent ?? event.data;
    const id: string = data.agent_id;
    const agents = this.all.value;
    const known = agents.get(id);
    if (/deregister/.test(event.event)) {
      agents.delete(id);
      this.beats.value.delete(id);
    } else if (Array.isArray(data.capabilities)) {
      agents.set(id, { ...EMPTY, ...known, ...data }); // it says all
    } else {
      const status = data.status ?? data.new_status;
      if (known && typeof status === 'string') agents.set(id, { ...known, status });
      if (!known || /regist/.test(event.event)) this.readSoon(id);
    }
    this.all.touch();
  }

  /** An event that says less than all: what it concerns is read, one by one or, where many have
   * changed at once, all anew. */
  private readSoon(id: string): void {
    this.unread.add(id);
    if (this.unread.size > 1) return;
    setTimeout(() => {
      const ids = [...this.unread];
      this.unread.clear();
      if (ids.length > REFRESH_MAX) void this.read();
      else for (const one of ids) void this.refresh(one);
    }, REFRESH_MS);
  }

  private async refresh(id: string): Promise<void> {
    try {
      const { agent } = await this.hub.call<{ agent: Agent }>('agents.get', { agent_id: id }, { idempotent: true });
      this.all.value.set(id, { ...EMPTY, ...agent });
      this.all.touch();
    } catch {
      // gone again, or not ours: the next event or reading says which
    }
  }

  private beat(event: HubEvent<any>): void {
    const id: string = event.data?.agent_id ?? event.channel.slice('pulse.'.length);
    const load = loadOf(event.data?.load_metrics ?? {});
    const beats = this.beats.value.get(id) ?? [];
    beats.push({ time: Date.parse(event.time), load });
    if (beats.length > BEATS_KEPT) beats.splice(0, beats.length - BEATS_KEPT);
    this.beats.value.set(id, beats);
    this.beats.touch();
    const agent = this.all.value.get(id);
    if (agent) {
      this.all.value.set(id, {
        ...agent,
        last_heartbeat: event.time,
        load_metrics: { ...agent.load_metrics, ...event.data?.load_metrics },
        ...(typeof event.data?.status === 'string' && { status: event.data.status }),
        ...(typeof event.data?.health_score === 'number' && { health_score: event.data.health_score }),
      });
      this.all.touch();
    }
  }
}

function incidentOf(event: HubEvent<any>): Incident | undefined {
  const agentId = event.data?.agent_id ?? event.data?.agent?.agent_id;
  return typeof agentId === 'string' ? { time: event.time, agentId, what: describe(event) } : undefined;
}

const EMPTY: Omit<Agent, 'agent_id'> = {
  agent_type: '', status: '', capabilities: [], services: [], endpoints: {}, metadata: {}, last_heartbeat: '',
  registration_time: '', load_metrics: {}, health_score: 0, version: '', tags: [],
};

/** One figure for a bar: the CPU if it is told, else the largest share between 0 and 1. */
export function loadOf(metrics: Record<string, unknown>): number | undefined {
  for (const key of ['cpu', 'cpu_usage', 'cpu_percent', 'load']) {
    const value = metrics[key];
    if (typeof value === 'number') return Math.min(1, Math.max(0, value > 1 ? value / 100 : value));
  }
  const shares = Object.values(metrics).filter((value): value is number => typeof value === 'number' && value >= 0 && value <= 1);
  return shares.length ? Math.max(...shares) : undefined;
}

export function describe(event: HubEvent<any>): string {
  const status = event.data?.new_status ?? event.data?.status ?? event.data?.agent?.status;
  const word = event.event.replace(/^agent[._]/, '').replace(/[._]/g, ' ');
  return typeof status === 'string' && status !== word ? `${word} → ${status}` : word;
}

/** Figures that only grow: what they say is how fast. */
const COUNTER = /(^|\.)(messages|bytes|events|commits|drops)(_(in|out))?$|_total$/;

/** The hub's own figures, once a second, and the last minutes of each. */
export class Figures {
  readonly now = new Store(new Map<string, number>());
  readonly past = new Map<string, number[]>();
  private readonly subscription: Subscription<any>;
  private before: { figures: Map<string, number>; time: number } | undefined;
  static readonly KEPT = 120;

  constructor(hub: Pick<Hub, 'subscribe'>) {
    this.subscription = hub.subscribe<any>('hub', (event) => this.take(flatten(event.data), Date.parse(event.time)));
  }

  end(): void {
    this.subscription.unsubscribe();
  }

  private take(figures: Map<string, number>, time: number): void {
    const shown = new Map<string, number>();
    const { before } = this;
    const seconds = before ? (time - before.time) / 1000 : 0;
    for (const [key, value] of figures) {
      if (key === 'commit_us') this.commitTime(shown, figures);
      else if (!COUNTER.test(key)) shown.set(key, value);
      else if (before?.figures.has(key) && seconds > 0) {
        // A hub that was started anew counts from nothing.
        shown.set(`${key} /s`, Math.max(0, value - before.figures.get(key)!) / seconds);
      }
    }
    this.before = { figures, time };
    for (const [key, value] of shown) {
      const past = this.past.get(key) ?? [];
      past.push(value);
      if (past.length > Figures.KEPT) past.shift();
      this.past.set(key, past);
    }
    this.now.set(shown);
  }

  /** `commit_us` is the sum over all `commits`: shown is what one of the last second took. */
  private commitTime(shown: Map<string, number>, figures: Map<string, number>): void {
    const grown = (key: string) => (figures.get(key) ?? 0) - (this.before?.figures.get(key) ?? 0);
    const commits = grown('commits');
    if (this.before && commits > 0) shown.set('commit_us', Math.max(0, grown('commit_us')) / commits);
    else if (this.now.value.has('commit_us')) shown.set('commit_us', this.now.value.get('commit_us')!);
  }
}

/** {"a":{"b":1}} → a.b = 1; only numbers. */
export function flatten(value: unknown, prefix = '', into = new Map<string, number>()): Map<string, number> {
  if (typeof value === 'number') into.set(prefix, value);
  else if (value && typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, prefix ? `${prefix}.${key}` : key, into);
  }
  return into;
}

/** What an operator should look at first. */
export function whatIsWrong(agents: Iterable<Agent>, now: number): { level: 'bad' | 'warn'; text: string; agentId?: string }[] {
  const found: { level: 'bad' | 'warn'; text: string; agentId?: string }[] = [];
  for (const agent of agents) {
    const silent = Math.floor((now - Date.parse(agent.last_heartbeat)) / 1000);
    const since = Number.isFinite(silent) && silent > 0 ? `, silent for ${silent} s` : '';
    if (agent.status === 'error') found.push({ level: 'bad', text: `${agent.agent_id} reports an error`, agentId: agent.agent_id });
    else if (agent.status === 'inactive') found.push({ level: 'bad', text: `${agent.agent_id} is inactive${since}`, agentId: agent.agent_id });
    else if (agent.status === 'stale') found.push({ level: 'warn', text: `${agent.agent_id} is stale${since}`, agentId: agent.agent_id });
    else if (agent.status === 'active' && agent.health_score < 0.5) {
      found.push({ level: 'warn', text: `${agent.agent_id} is active with health ${agent.health_score.toFixed(2)}`, agentId: agent.agent_id });
    }
  }
  return found.sort((a, b) => (a.level === b.level ? 0 : a.level === 'bad' ? -1 : 1));
}
