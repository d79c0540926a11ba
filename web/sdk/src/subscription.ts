import type { HubError } from './errors';
import type { Gap, HubEvent, Json, Member, Position, PresenceChange, SubscribedChannel } from './protocol';

export interface SubscribeOptions {
  /** Replay what follows this position, then go on live. */
  since?: Position;
  /** Replay the last n events, then go on live. */
  rewind?: number;
  /** Begin with the newest event. */
  latest?: boolean;
  /** Be a member of the channel with this info, which others see. */
  presence?: Json;
}

export interface Handlers<T = Json> {
  onEvent?: (event: HubEvent<T>) => void;
  /** Events were lost to this subscriber; what the program keeps should be read anew. */
  onGap?: (gap: Gap) => void;
  /** After every (re)subscription. `recovered` false: events may have been missed. */
  onSubscribed?: (channel: SubscribedChannel) => void;
  onPresence?: (change: PresenceChange) => void;
  /** The hub refuses the subscription: it is over. */
  onRefused?: (error: HubError) => void;
}

export type SubscriptionState = 'pending' | 'subscribed' | 'refused' | 'ended';

/** Of how many channels a pattern remembers what it has seen. */
const SEEN_CHANNELS_MAX = 10_000;

/** One channel or pattern, kept over reconnections. Made by Waggle.subscribe(). */
export class Subscription<T = Json> {
  state: SubscriptionState = 'pending';
  /** Where it stands; undefined for a live channel, a pattern, or before the first answer. */
  position: Position | undefined;
  /** Of a channel that was subscribed with presence. */
  readonly members = new Map<string, Member>();
  /** Resolves with the first answer, rejects when the hub refuses. */
  readonly ready: Promise<SubscribedChannel>;

  private settleReady!: { resolve: (channel: SubscribedChannel) => void; reject: (error: Error) => void };

  constructor(
    readonly channel: string,
    private readonly options: SubscribeOptions,
    private readonly handlers: Handlers<T>,
    private readonly leave: (subscription: Subscription<T>) => void,
  ) {
    this.position = options.since;
    this.ready = new Promise((resolve, reject) => {
      this.settleReady = { resolve, reject };
    });
    this.ready.catch(() => {}); // whoever does not look must not crash
  }

  get isPattern(): boolean {
    return this.channel.split('.').some((segment) => segment === '*' || segment === '>');
  }

  unsubscribe(): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.leave(this);
  }

  /** What the subscribe frame asks for: the options at first, the position ever after. */
  request(): Record<string, unknown> {
    const { rewind, latest, presence } = this.options;
    return {
      channel: this.channel,
      ...(presence !== undefined && { presence }),
      ...(this.position
        ? { since: this.position }
        : { ...(rewind !== undefined && { rewind }), ...(latest && { latest }) }),
    };
  }

  accepted(answer: SubscribedChannel): void {
    if (answer.epoch !== undefined && answer.offset !== undefined) this.settlePosition(answer.epoch, answer.offset);
    if (answer.members) {
      this.members.clear();
      for (const member of answer.members) this.members.set(member.id, member);
    }
    this.state = 'subscribed';
    this.settleReady.resolve(answer);
    this.handlers.onSubscribed?.(answer);
  }

  private settlePosition(epoch: string, head: number): void {
    const resumed = this.position;
    if (resumed && (resumed.epoch !== epoch || resumed.offset > head)) {
      // Another life of the log: what the hub now replays is new to us, whatever its offsets.
      this.seen = 0;
      this.position = { epoch, offset: 0 };
    } else if (!resumed && (head === 0 || !(this.options.rewind || this.options.latest))) {
      this.position = { epoch, offset: head };
    }
    // Else what was asked for is still on its way, and the place to resume from is where we were.
    this.epoch = epoch;
  }

  refused(error: HubError): void {
    this.state = 'refused';
    this.settleReady.reject(error);
    this.handlers.onRefused?.(error);
  }

  event(event: HubEvent): void {
    if (event.offset !== undefined && !this.isNew(event.channel, event.offset)) return;
    this.handlers.onEvent?.(event as HubEvent<T>);
  }

  /** At most once per offset, whatever a reconnection or an overlapping pattern brings again. */
  private isNew(channel: string, offset: number): boolean {
    if (this.isPattern) {
      if (offset <= (this.seenOf.get(channel) ?? 0)) return false;
      if (this.seenOf.size >= SEEN_CHANNELS_MAX) this.seenOf.clear();
      this.seenOf.set(channel, offset);
      return true;
    }
    if (offset <= this.seen) return false;
    this.seen = offset;
    if (this.epoch !== undefined) this.position = { epoch: this.epoch, offset };
    return true;
  }

  gap(gap: Gap): void {
    if (this.epoch !== undefined && gap.reason === 'trimmed') {
      this.seen = Math.max(this.seen, gap.to);
      this.position = { epoch: this.epoch, offset: this.seen };
    }
    this.handlers.onGap?.(gap);
  }

  presence(change: PresenceChange): void {
    if (change.type === 'left') this.members.delete(change.member.id);
    else this.members.set(change.member.id, change.member);
    this.handlers.onPresence?.(change);
  }

  private epoch: string | undefined;
  private seen = 0;
  private readonly seenOf = new Map<string, number>();
}
