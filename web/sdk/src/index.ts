// @waggle/sdk: a client of Waggle's native protocol.
//
//     const hub = new Waggle({ url: 'http://localhost:8000', token });
//     await hub.connect();
//     hub.subscribe('news.today', (event) => console.log(event.data));
//     await hub.publish('news.today', 'bloom', { flower: 'clover' });
//
// docs/sdk.md says more.

export { Waggle, matches } from './client';
export type { CallOptions, Options, PublishOptions, SocketConstructor, SocketLike, State } from './client';
export { ConnectionLost, HubError, TimedOut } from './errors';
export { CLOSE } from './protocol';
export type {
  Gap,
  HistoryPage,
  HubEvent,
  Json,
  Member,
  Position,
  PresenceChange,
  Published,
  SubscribedChannel,
  Welcome,
} from './protocol';
export { Subscription } from './subscription';
export type { Handlers, SubscribeOptions, SubscriptionState } from './subscription';
