/** Pauses between attempts to connect: doubling, with full jitter, so that a thousand clients of one
 * hub do not come back in step. */
export class Backoff {
  private attempt = 0;

  constructor(
    private readonly minMs: number,
    private readonly maxMs: number,
    private readonly random: () => number,
  ) {}

  /** The next pause. Never zero, so that a hub that accepts and closes is not hammered. */
  next(): number {
    const ceiling = Math.min(this.maxMs, this.minMs * 2 ** this.attempt);
    this.attempt++;
    return Math.max(this.minMs / 2, this.random() * ceiling);
  }

  reset(): void {
    this.attempt = 0;
  }
}
