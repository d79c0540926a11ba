// tests/wire/lib/worker.mjs: an agent that does tasks over the one connection it holds.
//
//     const bee = await startWorker(hub, 'bee-1', { make: (data) => data.items.length });
//     await bee.call('swarm.join', { role: 'worker', capability: 'count' });
//     bee.done                                            // ids of tasks it completed
//     bee.vanish()                                        // as a killed process does
//
// It registers under its own token, takes what it is offered on `agent.<id>` and answers with what
// `make(data, offer)` returns; what that throws is the task's failure. It comes back by itself after the hub did.

import { open, sleep } from './hub.mjs';

export async function startWorker(hub, id, options = {}) {
  const worker = new Worker(hub, id, options);
  await worker.start();
  return worker;
}

class Worker {
  #hub;
  #options;
  #over = false;
  #busy = new Set();

  constructor(hub, id, { make = () => null, slots = 4, ...more }) {
    this.#hub = hub;
    this.id = id;
    this.#options = { make, slots, more };
    this.done = [];
    this.lost = []; // reports that came too late
  }

  async start() {
    this.token ??= (await this.#hub.mint({ sub: this.id, role: 'agent' })).token;
    this.client = await this.#hub.connect({ token: this.token });
    await this.client.subscribe(`agent.${this.id}`);
    const { slots, more } = this.#options;
    await this.call('agents.register', { agent_id: this.id, agent_type: 'worker', slots, ...more });
    this.#listen(this.client);
    this.#beat(this.client);
  }

  call(method, params) {
    return this.client.call(method, params);
  }

  /** Its hub's end is its own too: a story that failed leaves its workers behind. */
  #isOver() {
    return this.#over || !open.has(this.#hub);
  }

  async #listen(client) {
    try {
      for (;;) {
        const offer = await client.next((frame) => frame.type === 'event' && frame.event === 'task_offered', { timeout: 600_000 });
        this.#take(client, offer.data);
      }
    } catch {
      if (!this.#over) await this.#comeBack();
    }
  }

  async #beat(client) {
    for (;;) {
      await sleep(1_000);
      if (this.#isOver() || this.client !== client) return;
      await this.call('agents.heartbeat', {}).catch(() => {});
    }
  }

  async #comeBack() {
    for (;;) {
      await sleep(100);
      if (this.#isOver()) return;
      try {
        await this.start();
        return;
      } catch {
        // not there yet
      }
    }
  }

  async #take(client, { task_id, lease_id }) {
    const key = `${task_id} ${lease_id}`;
    if (this.#busy.has(key)) return;
    this.#busy.add(key);
    try {
      const { task_data } = await client.call('tasks.accept', { task_id, lease_id });
      let result;
      try {
        result = await this.#options.make(task_data, { task_id, lease_id });
      } catch (error) {
        await client.call('tasks.fail', { task_id, lease_id, error: String(error.message), non_retryable: true });
        return;
      }
      await client.call('tasks.complete', { task_id, lease_id, result });
      this.done.push(task_id);
    } catch (error) {
      this.lost.push(`${task_id}: ${error.message}`);
    } finally {
      this.#busy.delete(key);
    }
  }

  /** Leaves in good order. */
  async stop() {
    this.#over = true;
    await this.client.close();
  }

  /** The process is gone: no goodbye. */
  vanish() {
    this.#over = true;
    this.client.terminate();
  }
}
