// web/build.mjs: everything that the hub serves to browsers, into build/web:
//
//     dashboard/   the dashboard
//     docs/        Swagger UI over /openapi.json
//     redoc/       ReDoc over /openapi.json
//     sdk/         the SDK as one ES module, for Node.js and the tests
//
// Nothing is loaded from elsewhere, nothing is inline: the pages stand under a policy of
// `default-src 'self'`. Text files get their .gz and .br beside them, so the hub compresses nothing
// while it serves.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const web = dirname(fileURLToPath(import.meta.url));
const target = join(web, '../build/web');
const fresh = `${target}.new`;
const modules = join(web, 'node_modules');

const COMPRESSED = new Set(['.html', '.js', '.css', '.svg', '.json', '.map']);
const COMPRESS_FROM_BYTES = 1024;

rmSync(fresh, { recursive: true, force: true });

function put(path, bytes) {
  const file = join(fresh, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
}

/** Writes under a name that changes with the content, and returns its address. */
function putHashed(folder, name, bytes) {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 10);
  const extension = extname(name);
  const path = `${folder}/${name.slice(0, -extension.length)}-${hash}${extension}`;
  put(path, bytes);
  return `/${path}`;
}

function page(path, template, values) {
  const text = readFileSync(join(web, template), 'utf8');
  put(path, text.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]));
}

async function bundle(entry, options) {
  const result = await build({
    entryPoints: [join(web, entry)],
    bundle: true,
    write: false,
    minify: true,
    target: ['es2021'],
    format: 'esm',
    legalComments: 'none',
    logLevel: 'warning',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    alias: { '@waggle/sdk': join(web, 'sdk/src/index.ts') },
    outdir: fresh,
    ...options,
  });
  return Object.fromEntries(result.outputFiles.map((file) => [extname(file.path), file.contents]));
}

const icon = putHashed('dashboard', 'icon.svg', readFileSync(join(web, 'dashboard/icon.svg')));

async function buildDashboard() {
  const files = await bundle('dashboard/src/main.tsx', { define: { 'process.env.NODE_ENV': '"production"' } });
  page('dashboard/index.html', 'dashboard/index.html', {
    script: putHashed('dashboard', 'app.js', files['.js']),
    style: putHashed('dashboard', 'app.css', files['.css']),
    icon,
  });
}

async function buildDocs() {
  const from = (name) => readFileSync(join(modules, 'swagger-ui-dist', name));
  page('docs/index.html', 'api/docs.html', {
    library: putHashed('docs', 'swagger-ui-bundle.js', from('swagger-ui-bundle.js')),
    libraryStyle: putHashed('docs', 'swagger-ui.css', from('swagger-ui.css')),
    icon,
    script: putHashed('docs', 'docs.js', (await bundle('api/docs.ts', { format: 'iife' }))['.js']),
    style: putHashed('docs', 'docs.css', readFileSync(join(web, 'api/docs.css'))),
  });
}

async function buildRedoc() {
  // ReDoc's footer shows a picture from its makers' server; here nothing is loaded from elsewhere.
  const library = readFileSync(join(modules, 'redoc/bundles/redoc.standalone.js'), 'utf8').replace(
    /https:\/\/cdn\.redoc\.ly\/redoc\/logo-mini\.svg/g,
    'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E',
  );
  page('redoc/index.html', 'api/redoc.html', {
    library: putHashed('redoc', 'redoc.standalone.js', library),
    icon,
    script: putHashed('redoc', 'redoc.js', (await bundle('api/redoc.ts', { format: 'iife' }))['.js']),
    style: putHashed('redoc', 'redoc.css', readFileSync(join(web, 'api/redoc.css'))),
  });
}

async function buildSdk() {
  put('sdk/index.js', (await bundle('sdk/src/index.ts', { minify: false }))['.js']);
}

function* filesUnder(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* filesUnder(path);
    else yield path;
  }
}

function compressAll() {
  for (const file of [...filesUnder(fresh)]) {
    const bytes = readFileSync(file);
    if (!COMPRESSED.has(extname(file)) || bytes.length < COMPRESS_FROM_BYTES) continue;
    writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
    writeFileSync(
      `${file}.br`,
      brotliCompressSync(bytes, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 10, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
      }),
    );
  }
}

await Promise.all([buildDashboard(), buildDocs(), buildRedoc(), buildSdk()]);
compressAll();
// The old build serves until the new one is whole.
const old = `${target}.old`;
rmSync(old, { recursive: true, force: true });
try {
  renameSync(target, old);
} catch (error) {
  if (error.code !== 'ENOENT') throw error;
}
renameSync(fresh, target);
rmSync(old, { recursive: true, force: true });
for (const file of filesUnder(target)) {
  if (!/\.(gz|br)$/.test(file)) console.log(`${String(statSync(file).size).padStart(9)}  ${relative(target, file)}`);
}
