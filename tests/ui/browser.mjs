// What every browser script shares: Chromium, the page of a running JupyterLab, and the way to report.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const OUTPUT = process.env.OUTPUT;
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
];
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Open JupyterLab on a path, hand the page to `walk`, write what it returns. */
export async function visit(path, walk) {
  const executablePath = PLACES.find(place => existsSync(place));
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const context = await browser.newContext({
    viewport: { width: 1440, height: 860 },
    acceptDownloads: true,
    permissions: ['clipboard-read', 'clipboard-write']
  });
  const page = await context.newPage();
  const problems = [];
  page.on('console', message => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', error => problems.push(String(error)));
  const bodies = [];
  page.on('response', async response => {
    if (response.url().includes('/jupyter-gpu-ext/')) {
      bodies.push(await response.text().catch(() => ''));
    }
  });
  try {
    await page.goto(`${process.env.LAB_URL}${path}?token=${process.env.LAB_TOKEN}`);
    await page.locator('#jupyterlab-splash').waitFor({ state: 'detached', timeout: 60000 });
    await page.waitForFunction(
      () => window.jupyterapp?.commands.hasCommand('jupyter-gpu-ext:open-gpu'),
      undefined,
      { timeout: 60000 }
    );
    await page.evaluate(() => window.jupyterapp.restored.then(() => undefined));
    if (path === 'lab') {
      // It opens last, and takes the keyboard from whoever has it.
      await page.waitForFunction(() => document.activeElement?.closest('.jp-Launcher'), undefined, { timeout: 60000 });
    }
    const found = await walk(page);
    writeFileSync(join(OUTPUT, 'found.json'), JSON.stringify({ ...found, problems, bodies }));
  } catch (error) {
    await page.screenshot({ path: join(OUTPUT, 'failed.png') }).catch(() => undefined);
    console.error(problems.join('\n'));
    throw error;
  } finally {
    await browser.close();
  }
}

export const shot = (page, name) => page.screenshot({ path: join(OUTPUT, `${name}.png`) });

/** Choose JupyterLab's light or dark theme. */
export async function theme(page, name) {
  await page.evaluate(
    wanted => window.jupyterapp.commands.execute('apputils:change-theme', { theme: wanted }),
    `JupyterLab ${name}`
  );
  await page.locator(`body[data-jp-theme-name="JupyterLab ${name}"]`).waitFor({ state: 'attached' });
  await page.waitForTimeout(500); // the colours of both panels fade in
}

export const command = (page, id, args = {}) =>
  page.evaluate(([name, values]) => window.jupyterapp.commands.execute(name, values), [id, args]);

/** Wait until the open notebook's kernel is there and has nothing to do. */
export const idle = page =>
  page.waitForFunction(
    () => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle',
    undefined,
    { timeout: 60000 }
  );

/** Open the storage panel and find one's way in it. */
export async function openPanel(page) {
  await command(page, 'jupyter-gpu-ext:open-storage');
  const panel = page.locator('#jupyter-gpu-ext-storage');
  const tree = panel.getByRole('tree', { name: 'Storage' });
  await tree.waitFor();
  const row = name => tree.locator(`.jp-gpuext-Row[data-name="${name}"]`);
  return { panel, tree, row, box: panel.locator('.jp-gpuext-Box-input') };
}
