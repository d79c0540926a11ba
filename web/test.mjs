// web/test.mjs: bundles the unit tests (Node 18 reads no TypeScript) and runs them with node's runner.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'waggle-web-test-'));
const tests = ['sdk/test', 'dashboard/test'].flatMap((folder) => {
  try {
    return readdirSync(join(here, folder)).filter((name) => name.endsWith('.test.ts')).map((name) => join(here, folder, name));
  } catch {
    return [];
  }
});

let status = 1;
try {
  await build({
    entryPoints: tests,
    outdir: out,
    outbase: here,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node18',
    sourcemap: 'inline',
    logLevel: 'warning',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    alias: { '@waggle/sdk': join(here, 'sdk/src/index.ts') },
  });
  const files = readdirSync(out, { recursive: true }).map(String).filter((name) => name.endsWith('.test.mjs'));
  ({ status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', '--test-reporter=spec', ...files.map((name) => join(out, name))], { stdio: 'inherit' }));
} finally {
  rmSync(out, { recursive: true, force: true });
}
process.exit(status ?? 1);
