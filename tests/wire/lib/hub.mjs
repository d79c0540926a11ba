// tests/wire/lib/hub.mjs: the real hub, started for a story.
//
//     const hub = await startHub({ config: { agents: { heartbeat_timeout_ms: 900 } } });
//     const bee = await hub.connect();                      // native WebSocket, welcome already read
//     const answer = await hub.get('/agents');              // { status, headers, body, text }
//     await hub.kill9(); await hub.restart();               // same port, same directory
//     await hub.stop();                                     // SIGTERM; throws unless it exits 0
//
// Every hub has a directory of its own under the system's temporary one, removed at stop(). The
// binary is build/release/waggled, or what WAGGLED names. Hubs that a story forgot are killed by
// pid when its process ends.

import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent, request } from 'undici';
import { Native } from './native.mjs';

const here = dirname(fileURLToPath(import.meta.url));
export const binary = resolve(process.env.WAGGLED ?? join(here, '../../../build/release/waggled'));
export const ADMIN_KEY = 'wire-test-admin-key-0123456789abcdef';

/** Deadlines here only say when a story gives up. On a machine that others share all goes well and
 * takes longer, so they are long: whoever claims a time measures it. */
const PATIENCE = 3;
export const patient = (ms) => ms * PATIENCE;

const READY_MS = patient(15_000);
const STOP_MS = patient(15_000);
const LOG_LINES_MAX = 2_000;

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A port to ask for. Not one of those that the system gives to whoever connects: while a hub is
 * down between two lives, a client that tries to reach it could be given the hub's own port, and even
 * connect to itself. */
const EPHEMERAL_FROM = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0]);
const PORTS_FROM = 10_240;
const PORT_TRIES = 20;
const somePort = () => (EPHEMERAL_FROM > PORTS_FROM ? PORTS_FROM + randomInt(EPHEMERAL_FROM - PORTS_FROM) : 0);

/** Hubs that nobody has stopped yet. */
export const open = new Set();

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls until `probe` returns something truthy, and returns that. */
export async function until(probe, { timeout = 10_000, every = 20, what = 'the condition' } = {}) {
  const deadline = Date.now() + patient(timeout);
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${patient(timeout)} ms for ${what}`);
    await sleep(every);
  }
}

/** Sections of keys as the config file has them; a list is its key again and again. */
export function configText(sections) {
  return Object.entries(sections)
    .map(([section, keys]) => {
      const lines = Object.entries(keys).flatMap(([key, value]) => [value].flat().map((one) => `${key} = ${one}`));
      return `[${section}]\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

/** The environment without settings of a hub, which would come between a story and its config. */
function environment(more) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('WAGGLE'));
  return { ...Object.fromEntries(own), ...more };
}

/** Runs waggled to its end, for stories about its command line. */
export async function runBinary(args, { env = {}, timeout = 10_000 } = {}) {
  needBinary();
  const child = spawn(binary, args, { env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes) => (stdout += bytes));
  child.stderr.on('data', (bytes) => (stderr += bytes));
  const timer = setTimeout(() => child.kill('SIGKILL'), patient(timeout));
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  running.delete(child);
  return { code, signal, stdout, stderr };
}

function needBinary() {
  if (!existsSync(binary)) {
    throw new Error(`${binary} is not there; build it: cmake --preset release && cmake --build --preset release`);
  }
}

export async function startHub(options = {}) {
  needBinary();
  const hub = new Hub(options);
  open.add(hub);
  try {
    await hub.start();
  } catch (error) {
    await hub.abandon();
    throw error;
  }
  return hub;
}

class Hub {
  #options;
  #child = null;
  #exit = null;
  #log = [];
  #stdout = '';
  #agent = null;
  #clients = new Set();
  #asked = false; // somebody asked this life to end

  constructor(options) {
    this.#options = { adminKey: ADMIN_KEY, args: [], env: {}, config: null, ...options };
    this.ownsDir = !options.dir;
    this.dir = options.dir ?? mkdtempSync(join(tmpdir(), 'waggle-wire-'));
    this.data = join(this.dir, 'data');
    this.listen = options.listen ?? null; // null: a port of our choice, the same in all its lives
  }

  get pid() {
    return this.#child?.pid;
  }

  get adminKey() {
    return this.#options.adminKey;
  }

  /** What the hub wrote to stderr, over all its lives. */
  get logs() {
    return this.#log.join('\n');
  }

  /** What it wrote to stdout in this life. */
  get stdout() {
    return this.#stdout;
  }

  get ws() {
    return `${this.url.replace(/^http/, 'ws')}/ws/v1/events`;
  }

  async start() {
    if (this.listen !== null) return this.#live();
    for (let tries = 1; ; tries++) {
      this.listen = `127.0.0.1:${somePort()}`;
      try {
        return await this.#live();
      } catch (error) {
        if (tries === PORT_TRIES || !this.logs.includes(`--listen ${this.listen}: Address already in use`)) throw error;
      }
    }
  }

  async #live() {
    const { adminKey, args, env, config, trustJwks, anonymousRole, within = [] } = this.#options;
    const argv = ['--listen', this.listen, '--data', this.data];
    if (adminKey) argv.push('--admin-key', adminKey);
    if (anonymousRole) argv.push('--anonymous-role', anonymousRole);
    if (trustJwks) {
      const file = join(this.dir, 'trusted-jwks.json');
      writeFileSync(file, JSON.stringify(trustJwks));
      argv.push('--trust-jwks', file);
    }
    if (config) {
      this.configFile = join(this.dir, 'waggled.conf');
      if (!existsSync(this.configFile)) this.writeConfig(config);
      argv.push('--config', this.configFile);
    }
    if (config?.hub?.drain === undefined) argv.push('--hub-drain', '200ms'); // stories end often
    // Only root may look into a hub that does not allow it, and stories count descriptors and memory.
    if (process.getuid() !== 0) argv.push('--process-inspectable', 'yes');
    // A round of all stories with several I/O threads, whatever the machine has (deploy/test.sh).
    const threads = process.env.WAGGLE_IO_THREADS;
    if (threads && config?.hub?.threads === undefined) argv.push('--threads', threads);
    argv.push(...args);

    // within: a command that becomes the hub, as `ip netns exec NAME` does: its pid is the hub's.
    const [command, ...before] = [...within, binary];
    const child = spawn(command, [...before, ...argv], { env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#asked = false;
    this.#stdout = '';
    running.add(child);
    child.stderr.setEncoding('utf8');
    child.stdout.setEncoding('utf8');
    let rest = '';
    child.stderr.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      this.#log.push(...lines);
      if (this.#log.length > LOG_LINES_MAX) this.#log.splice(0, this.#log.length - LOG_LINES_MAX);
    });
    this.#exit = once(child, 'close').then(([code, signal]) => {
      running.delete(child);
      if (rest) this.#log.push(rest);
      return { code, signal };
    });

    this.url = await new Promise((ready, failed) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        failed(new Error(`no ready line within ${READY_MS} ms\n${this.logs}`));
      }, READY_MS);
      child.stdout.on('data', (text) => {
        this.#stdout += text;
        const found = /^ready (http\S+)\n/m.exec(this.#stdout);
        if (found) {
          clearTimeout(timer);
          ready(found[1]);
        }
      });
      this.#exit.then(({ code, signal }) => {
        clearTimeout(timer);
        failed(new Error(`waggled ended before it was ready (exit ${code ?? signal})\n${this.logs}`));
      });
    });
    this.listen = new URL(this.url).host; // a restart comes back on the same port
    this.#agent = new Agent({ connections: 64, keepAliveTimeout: 10_000 });
    return this;
  }

  writeConfig(sections) {
    writeFileSync(this.configFile ?? join(this.dir, 'waggled.conf'), configText(sections));
  }

  signal(name) {
    this.#asked ||= name !== 'SIGHUP';
    this.#child.kill(name);
  }

  /** Resolves with { code, signal } when the process has ended. */
  exited() {
    return this.#exit;
  }

  async #closeHttp() {
    const agent = this.#agent;
    this.#agent = null;
    if (agent) await agent.destroy();
  }

  async kill9() {
    this.#asked = true;
    this.#child.kill('SIGKILL');
    const end = await this.#exit;
    await this.#closeHttp();
    return end;
  }

  async restart() {
    return this.start();
  }

  /** SIGTERM and the end of it: { code, signal }. Leaves the directory. */
  async terminate() {
    this.#asked = true;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    const end = await this.#exit;
    clearTimeout(timer);
    await this.#closeHttp();
    return end;
  }

  /** Ends the hub and removes its directory. Sanitizers and asserts speak through the exit status. */
  async stop() {
    try {
      for (const client of this.#clients) client.terminate();
      if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) {
        const { code, signal } = await this.terminate();
        if (code !== 0) throw new Error(`waggled ended with ${code ?? signal} after SIGTERM\n${this.logs}`);
      } else {
        await this.#closeHttp();
        const { code, signal } = await this.#exit;
        if (!this.#asked) throw new Error(`waggled ended by itself with ${code ?? signal}\n${this.logs}`);
      }
    } finally {
      this.#forget();
    }
  }

  /** The end of a hub whose story failed: no questions asked. */
  async abandon() {
    for (const client of this.#clients) client.terminate();
    this.#child?.kill('SIGKILL');
    await this.#exit?.catch(() => {});
    await this.#closeHttp();
    this.#forget();
  }

  #forget() {
    open.delete(this);
    if (this.ownsDir) rmSync(this.dir, { recursive: true, force: true });
  }

  /** A native connection. options: token (default the admin key; null for none), via, query, headers. */
  async connect(options = {}) {
    const client = new Native(options.url ?? this.ws, { token: this.adminKey, ...options });
    this.#clients.add(client);
    client.closed.then(() => this.#clients.delete(client));
    if (options.welcome !== false) await client.ready();
    return client;
  }

  /** One HTTP request. options: body (JSON unless a string or Buffer), token (null for none), headers. */
  async http(method, path, options = {}) {
    const { body, token = this.adminKey, headers = {}, type = 'application/json' } = options;
    const sent = { ...headers };
    if (token) sent.authorization = `Bearer ${token}`;
    let payload;
    if (body !== undefined) {
      payload = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
      if (type) sent['content-type'] = type;
    }
    const answer = await request(this.url + path, {
      method, headers: sent, body: payload, dispatcher: this.#agent, headersTimeout: 40_000, bodyTimeout: 40_000,
    });
    const text = await answer.body.text();
    let parsed;
    if (/json/.test(answer.headers['content-type'] ?? '') && text !== '') parsed = JSON.parse(text);
    return { status: answer.statusCode, headers: answer.headers, text, body: parsed };
  }

  get(path, options) {
    return this.http('GET', path, options);
  }

  post(path, body, options) {
    return this.http('POST', path, { body, ...options });
  }

  put(path, body, options) {
    return this.http('PUT', path, { body, ...options });
  }

  delete(path, options) {
    return this.http('DELETE', path, options);
  }

  /** A token of the hub's own: mint({ sub, role, cap, expires_in }). */
  async mint(claims) {
    const answer = await this.post('/api/v1/auth/tokens', claims);
    if (answer.status !== 200 && answer.status !== 201) {
      throw new Error(`minting answered ${answer.status}: ${answer.text}`);
    }
    return answer.body;
  }
}
