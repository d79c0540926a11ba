// The frames of the native protocol (docs/protocol), as types. Nothing here runs.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Where a subscriber stands in a channel's log. Offsets of two epochs are never compared. */
export interface Position {
  epoch: string;
  offset: number;
}

export interface Welcome {
  type: 'welcome';
  connection: string;
  hub: string;
  version: string;
  time: string;
  limits: { message_bytes: number; channels: number };
  heartbeat_s: number;
}

export interface HubEvent<T = Json> {
  type: 'event';
  channel: string;
  event: string;
  data: T;
  /** Absent on a live channel. */
  offset?: number;
  time: string;
  from?: string;
  headers?: Record<string, string>;
}

/** Events from..to are not to be had any more. */
export interface Gap {
  type: 'gap';
  channel: string;
  from: number;
  to: number;
  reason: 'trimmed' | 'dropped';
  count: number;
}

export interface Member<T = Json> {
  id: string;
  info: T;
}

export interface PresenceChange {
  type: 'joined' | 'left' | 'updated';
  channel: string;
  member: Member;
  offset: number;
}

export interface SubscribedChannel {
  channel: string;
  epoch?: string;
  offset?: number;
  /** True when `since` could be honoured without a gap. */
  recovered?: boolean;
  members?: Member[];
}

export interface ErrorFrame {
  type: 'error';
  id?: string | number;
  code: string;
  status?: number;
  message: string;
  channel?: string;
}

export interface Published {
  channel: string;
  /** Absent for a live channel. */
  offset?: number;
  epoch?: string;
}

export interface HistoryPage {
  events: HubEvent[];
  next: unknown;
}

/** Close codes of native-protocol section 3 that a client treats each in its own way. */
export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  tlsRequired: 4000,
  unauthorised: 4009,
  superseded: 4010,
  overCapacity: 4100,
  tooSlow: 4101,
  noPong: 4201,
  rate: 4301,
} as const;
