import type { ErrorFrame } from './protocol';

/** The hub said no. `code` is a stable word; `waggle errors` lists them. */
export class HubError extends Error {
  readonly code: string;
  readonly status: number | undefined;
  readonly channel: string | undefined;

  constructor(frame: ErrorFrame) {
    super(frame.message || frame.code);
    this.name = 'HubError';
    this.code = frame.code;
    this.status = frame.status;
    this.channel = frame.channel;
  }
}

/** The connection ended before the answer came; whether the hub did it is not known. */
export class ConnectionLost extends Error {
  constructor(message = 'the connection ended before the answer came') {
    super(message);
    this.name = 'ConnectionLost';
  }
}

/** No answer in time. */
export class TimedOut extends Error {
  constructor(what: string, ms: number) {
    super(`no answer to ${what} within ${ms} ms`);
    this.name = 'TimedOut';
  }
}
