// A WebSocket in memory, with the hub's end in the test's hand.

import type { SocketLike } from '../src/index';

export class FakeSocket implements SocketLike {
  static made: FakeSocket[] = [];

  readyState = 0;
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: { data: any }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  sent: any[] = [];
  closedWith: number | undefined;

  constructor(readonly url: string) {
    FakeSocket.made.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code = 1000): void {
    this.readyState = 3;
    this.closedWith = code;
  }

  // --- the hub's end ---

  accept(): void {
    this.readyState = 1;
    this.onopen?.({});
  }

  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** Opens, answers the auth frame and welcomes. */
  admit(): void {
    this.accept();
    this.say({ type: 'welcome', connection: 'c', hub: 'h', version: '1', time: new Date().toISOString(), limits: {}, heartbeat_s: 25 });
    const auth = this.take('auth');
    if (auth) this.say({ type: 'authenticated', id: auth.id });
  }

  drop(code = 1006, reason = ''): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** The newest frame of that type that the client sent, taken out. */
  take(type: string): any {
    const at = this.sent.map((frame) => frame.type).lastIndexOf(type);
    return at < 0 ? undefined : this.sent.splice(at, 1)[0];
  }

  static get last(): FakeSocket {
    return FakeSocket.made[FakeSocket.made.length - 1]!;
  }
}

export const turn = (ms = 0) => new Promise<void>((done) => setTimeout(done, ms));

export async function until(probe: () => unknown, what = 'the condition'): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (probe()) return;
    await turn(2);
  }
  throw new Error(`waited for ${what}`);
}
