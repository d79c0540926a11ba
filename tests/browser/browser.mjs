// tests/browser/browser.mjs: Debian's Chromium, and pages that keep account of themselves.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path));

export async function openBrowser() {
  if (!executablePath) throw new Error('no /usr/bin/chromium; sh deploy/deps.sh --tests installs it, CHROMIUM names another');
  return chromium.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** A page of its own context. `page.complaints` gathers what went wrong in it: script errors, refused
 * policies, failed requests, and requests to any other host than the hub. */
export async function openPage(browser, hub) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(`script: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^(https?|wss?):$/.test(url.protocol) && hub && url.host !== new URL(hub.url).host) page.complaints.push(`elsewhere: ${request.url()}`);
  });
  return page;
}
