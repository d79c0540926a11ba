// What a browser sees: a plain page, the API pages, the dashboard.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startHub, until } from '../wire/lib/hub.mjs';
import { fresh, story } from '../wire/lib/story.mjs';
import { openBrowser, openPage } from './browser.mjs';

const web = join(dirname(fileURLToPath(import.meta.url)), '../../build/web');

let hub;
let browser;
let plain; // a web server of somebody else, with an empty page
before(async () => {
  assert.ok(existsSync(join(web, 'dashboard/index.html')), 'build/web is not built: sh deploy/web.sh');
  plain = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>plain</title>');
  }).listen(0);
  await new Promise((listening) => plain.once('listening', listening));
  hub = await startHub({
    config: {
      hub: { origins: [`http://127.0.0.1:${plain.address().port}`] },
      agents: { heartbeat_interval_ms: 500, suspect_intervals: 3, heartbeat_timeout_ms: 60_000 },
    },
  });
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  plain?.close();
  await hub?.stop();
});

/** The empty page, seen under this name: the hub knows the origin of 127.0.0.1 and not of localhost. */
async function pageOf(host) {
  const page = await openPage(browser, null);
  await page.goto(`http://${host}:${plain.address().port}/`);
  return page;
}

const ofHub = (page) => page.complaints.filter((text) => !/favicon/.test(text));

story('a plain page subscribes with a plain WebSocket and receives', async () => {
  const page = await pageOf('127.0.0.1');
  const channel = fresh('plain');
  const event = await page.evaluate(
    ([address, key, name]) =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`${address}?token=${key}`);
        socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', channels: [name] }));
        socket.onerror = () => reject(new Error('the socket failed'));
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data);
          if (frame.type === 'subscribed') socket.send(JSON.stringify({ type: 'publish', channel: name, event: 'hello', data: { from: 'a page' } }));
          if (frame.type === 'event') resolve(frame);
        };
      }),
    [hub.ws, hub.adminKey, channel],
  );
  assert.equal(event.channel, channel);
  assert.deepEqual(event.data, { from: 'a page' });
  await page.context().close();
});

story('a page of an origin that is not allowed gets no socket', async () => {
  const page = await pageOf('localhost');
  const outcome = await page.evaluate(
    ([address, key]) =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${address}?token=${key}`);
        socket.onopen = () => resolve('open');
        socket.onclose = () => resolve('closed');
      }),
    [hub.ws, hub.adminKey],
  );
  assert.equal(outcome, 'closed');
  await page.context().close();
});

story('a page calls REST across origins when its origin is allowed', async () => {
  const page = await pageOf('127.0.0.1');
  const count = await page.evaluate(
    async ([url, key]) => (await (await fetch(`${url}/agents`, { headers: { 'X-API-Key': key } })).json()).count,
    [hub.url, hub.adminKey],
  );
  assert.equal(typeof count, 'number');
  await page.context().close();
});

story('/docs shows the operations, loads nothing from elsewhere and breaks no policy', async () => {
  const page = await openPage(browser, hub);
  const answer = await page.goto(`${hub.url}/docs`);
  assert.match(answer.headers()['content-security-policy'] ?? '', /default-src 'self'/);
  await page.waitForSelector('.opblock');
  assert.ok((await page.locator('.opblock').count()) >= 7);
  await page.getByText('/agents/register').first().waitFor();
  assert.deepEqual(ofHub(page), []);
  await page.context().close();
});

story('/redoc shows the operations, loads nothing from elsewhere and breaks no policy', async () => {
  const page = await openPage(browser, hub);
  await page.goto(`${hub.url}/redoc`);
  await page.getByText('/agents/register').filter({ visible: true }).first().waitFor();
  assert.deepEqual(ofHub(page), []);
  await page.context().close();
});

async function dashboard(hash = '', key = hub.adminKey) {
  const page = await openPage(browser, hub);
  await page.goto(`${hub.url}/dashboard/${hash}`);
  await page.getByLabel('API key or token').fill(key);
  await page.getByRole('button', { name: 'Connect' }).click();
  return page;
}

const live = (page) => page.locator('.connection[data-state="open"]').waitFor();
const row = (page, id) => page.locator(`[data-agent="${id}"]`);

story('/ leads a browser to the dashboard, which asks for a key and says when it is wrong', async () => {
  const page = await openPage(browser, hub);
  await page.goto(`${hub.url}/`);
  assert.match(page.url(), /\/dashboard\/$/);
  await page.getByLabel('API key or token').fill('wrong');
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.getByRole('alert').waitFor();
  await page.context().close();
});

story('the dashboard shows an agent that registers, its beats, and that it goes stale', async () => {
  const page = await dashboard('#/agents');
  await live(page);
  const id = fresh('bee');
  const bee = await hub.connect({ token: (await hub.mint({ sub: id, role: 'agent' })).token });
  await bee.call('agents.register', { agent_id: id, agent_type: 'worker', capabilities: ['forage'] });
  await row(page, id).getByText('active').waitFor();
  await row(page, id).getByText('forage').waitFor();
  await bee.call('agents.heartbeat', { agent_id: id, load_metrics: { cpu: 0.73 } });
  await row(page, id).getByText('73 %').waitFor();
  await row(page, id).getByText('stale').waitFor();
  await bee.call('agents.heartbeat', { agent_id: id });
  await row(page, id).getByText('active').waitFor();

  await row(page, id).click();
  await page.getByRole('heading', { name: id }).waitFor();
  await page.locator('.events').getByText(/stale/).first().waitFor();
  assert.deepEqual(ofHub(page), []);
  await bee.close();
  await page.context().close();
});

story('an agent is drained and deregistered from its page', async () => {
  const id = fresh('bee');
  await hub.post('/agents/register', { agent_id: id, agent_type: 'worker' });
  const page = await dashboard(`#/agents/${id}`);
  page.on('dialog', (dialog) => dialog.accept());
  await page.getByRole('button', { name: 'Drain' }).click();
  await until(async () => (await hub.get(`/agents/${id}`)).body.agent.status === 'inactive', { what: 'the end of the drain: it holds nothing' });
  await page.getByRole('button', { name: 'Deregister' }).click();
  await until(async () => (await hub.get(`/agents/${id}`)).status === 404, { what: 'the end of the agent' });
  await page.getByText(`There is no agent ${id} now`).waitFor();
  await page.context().close();
});

story('an address with filters shows what it says, in another tab too', async () => {
  for (const agent_type of ['monitor', 'gateway']) {
    await hub.post('/agents/register', { agent_id: `only-${agent_type}`, agent_type });
  }
  const page = await dashboard('#/agents?q=only-&type=monitor');
  await row(page, 'only-monitor').waitFor();
  assert.equal(await row(page, 'only-gateway').count(), 0);
  await page.getByLabel('Filter').fill('gateway');
  await page.waitForURL(/q=gateway/);
  await page.context().close();
});

story('a channel is tailed, published to and read back from the dashboard', async () => {
  const channel = fresh('news.dash');
  for (let i = 1; i <= 60; i++) await hub.post(`/api/v1/channels/${channel}/events`, { event: 'old', data: { i } });
  const page = await dashboard(`#/channels/${channel}`);
  const events = page.getByTestId('events');
  await events.getByText('{"i":60}').waitFor();
  await page.getByLabel('Event name').fill('bloom');
  await page.getByLabel('Data (JSON)').fill('{"flower":"clover"}');
  await page.getByRole('button', { name: 'Publish' }).click();
  await events.getByText('{"flower":"clover"}').waitFor();
  await page.getByText('stored at offset 61').waitFor();
  assert.equal(await events.getByText('{"i":3}', { exact: true }).count(), 0);
  await page.getByRole('button', { name: 'Older' }).click();
  await events.getByText('{"i":3}', { exact: true }).waitFor();
  await page.getByLabel('Data (JSON)').fill('{oops');
  await page.getByRole('button', { name: 'Publish' }).click();
  await page.getByRole('alert').waitFor();
  assert.deepEqual(ofHub(page), []);
  await page.context().close();
});

story('keys work: help, pages, find, theme', async () => {
  const page = await dashboard();
  await live(page);
  await page.keyboard.press('?');
  await page.getByRole('heading', { name: 'Keyboard' }).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await page.getByRole('heading', { name: 'Agents' }).waitFor();
  await page.keyboard.press('Control+k');
  await page.getByLabel('Find').fill('over');
  await page.keyboard.press('Enter');
  await page.getByText('What is wrong now').waitFor();
  for (const theme of ['light', 'dark', 'auto']) {
    await page.keyboard.press('t');
    await page.waitForFunction((wanted) => document.documentElement.dataset.theme === wanted, theme);
  }
  await page.context().close();
});

story('a dashboard outlives the hub: it says so, comes back, and shows what is', async () => {
  const own = await startHub();
  try {
    await own.post('/agents/register', { agent_id: 'before', agent_type: 'worker' });
    const page = await openPage(browser, own);
    await page.goto(`${own.url}/dashboard/#/agents`);
    await page.getByLabel('API key or token').fill(own.adminKey);
    await page.getByRole('button', { name: 'Connect' }).click();
    await row(page, 'before').waitFor();
    await own.kill9();
    await page.locator('.connection[data-state="waiting"]').waitFor();
    await own.restart();
    await own.post('/agents/register', { agent_id: 'after', agent_type: 'worker' });
    await live(page);
    await row(page, 'after').waitFor();
    await row(page, 'before').waitFor();
    await page.context().close();
  } finally {
    await own.stop();
  }
});

story('the key is kept in the tab alone', async () => {
  const page = await dashboard();
  await live(page);
  assert.equal(await page.evaluate(() => Object.values(localStorage).join(' ').includes('wire-test-admin-key')), false);
  await page.reload();
  await live(page);
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.getByLabel('API key or token').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.context().close();
});
