// The image of deploy/Dockerfile: built and run as an engine would, by Debian's buildah and the
// kernel's namespaces, so that no engine is needed. Its base is made here from Debian's packages and
// has the name that the Dockerfile gives it. For root, with buildah and debootstrap (they are not among
// what the tests install: 300 MB and some minutes); elsewhere the reason is printed.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { story } from '../wire/lib/story.mjs';

const house = fileURLToPath(new URL('../../', import.meta.url));
const work = join(house, 'build/image');
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'; // a proxy's among them, where there is one
const BASE = 'docker.io/library/debian:12-slim', IMAGE = 'localhost/waggle-test';
const STORE = ['--root', join(work, 'store'), '--runroot', join(work, 'run')];

const here = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const missing = ['buildah', 'debootstrap', 'unshare', 'ip'].filter((program) => !here(program));
const skip = process.getuid() !== 0 ? 'building an image without an engine is for root'
  : missing.length ? `${missing.join(', ')} is not here (Debian: buildah, debootstrap, util-linux, iproute2)` : false;
if (skip) console.log(`image: skipped: ${skip}`);

/** Runs it to its end; its output, or an error with the last of it. */
async function run(command, args, options = {}) {
  const child = spawn(command, args, { cwd: house, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let said = '', all = '';
  child.stdout.on('data', (text) => ((said += text), (all += text)));
  child.stderr.on('data', (text) => (all += text));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `${command} ${args.at(-1)} ended with ${code}:\n${all.slice(-4_000)}`);
  return said.trim();
}
const buildah = (...args) => run('buildah', [...STORE, ...args]);

/** Debian as small as it installs, under the name of the Dockerfile's base; kept for the next run. */
async function makeBase() {
  const root = join(work, 'base');
  rmSync(root, { recursive: true, force: true });
  await run('debootstrap', ['--variant=minbase', 'bookworm', root]);
  const container = await buildah('from', 'scratch');
  await buildah('add', '--quiet', container, root, '/');
  await buildah('copy', '--quiet', container, CERTIFICATES, '/etc/ssl/machine.crt');
  await buildah('config', '--env', 'NODE_EXTRA_CA_CERTS=/etc/ssl/machine.crt', container);
  await buildah('commit', '--quiet', '--rm', container, BASE);
  rmSync(root, { recursive: true, force: true });
}

const has = (image) => spawnSync('buildah', [...STORE, 'inspect', '--type', 'image', image]).status === 0;

let container, data;
after(async () => {
  if (container) await buildah('rm', container);
  if (data) rmSync(data, { recursive: true, force: true });
});

story('deploy/Dockerfile builds, with no network but for its packages and no file that .dockerignore leaves out', async () => {
  mkdirSync(work, { recursive: true });
  if (!has(BASE)) await makeBase();
  await buildah('bud', '--isolation', 'chroot', '--pull-never', '--layers', '--format', 'docker', '--file', 'deploy/Dockerfile', '--tag', IMAGE, '.');
}, { skip, timeout: 45 * 60_000 });

// In namespaces of its own, what an engine does: root read-only, a volume at /data, no capability, and
// no network but loopback. What is found is said, a line each.
const inside = `
set -eu
root=$1 volume=$2 user=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$volume" "$root/data"
mount -o remount,bind,ro "$root"
ip link set lo up
within() { exec setpriv --no-new-privs chroot --userspec="$user" "$root" "$@"; }
! (within touch /file /usr/file /tmp/file) 2>/dev/null || echo writes=yes
(within /usr/bin/env $environment $entrypoint) >&2 &
pid=$!
for i in $(seq 60); do
    ! (within /usr/bin/env $environment $health) >/dev/null 2>&1 || break
    sleep 0.5
done
(within /usr/bin/env $environment $health) >/dev/null 2>&1 && echo health=good
sed -n 's/^\\(Uid\\|CapEff\\|NoNewPrivs\\):[^0-9a-f]*\\([0-9a-f]*\\).*/\\1=\\2/p' "/proc/$pid/status"
node -e "fetch('http://127.0.0.1:8000/dashboard/').then((answer) => console.log('dashboard=' + answer.status))"
kill -s "$stop" $pid
wait $pid && echo exit=0
`;

story('it runs as nobody in particular on a root that is read only, is healthy, stops when told, and starts again from its volume', async () => {
  const { config } = JSON.parse(await buildah('inspect', '--type', 'image', IMAGE)).Docker;
  container = await buildah('from', IMAGE);
  const root = await buildah('mount', container);
  data = mkdtempSync(join(tmpdir(), 'waggle-image-'));
  const volume = join(data, 'volume');
  execFileSync('cp', ['-a', join(root, 'data'), volume]); // as an engine fills a new volume
  assert.deepEqual(Object.keys(config.Volumes), ['/data']);
  assert.equal(config.Healthcheck.Test[0], 'CMD');
  const env = {
    PATH: process.env.PATH,
    environment: config.Env.join(' '),
    entrypoint: config.Entrypoint.join(' '),
    health: config.Healthcheck.Test.slice(1).join(' '),
    stop: config.StopSignal.replace(/^SIG/, ''),
  };
  for (const life of ['first', 'second']) {
    const said = await run('unshare', ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', inside, 'sh', root, volume, config.User], { env });
    const found = Object.fromEntries(said.split('\n').map((line) => line.split('=')));
    assert.deepEqual(found, { health: 'good', Uid: '10001', CapEff: '0000000000000000', NoNewPrivs: '1', dashboard: '200', exit: '0' }, `the ${life} life`);
  }
  assert.ok(existsSync(join(volume, 'admin.key')));
  const bytes = Number(execFileSync('du', ['-sb', root], { encoding: 'utf8' }).split('\t')[0]);
  console.log(`image: ${Math.round(bytes / 1e6)} MB, made by buildah, healthy as uid 10001 on a read-only root, twice`);
}, { skip, timeout: 5 * 60_000 });
