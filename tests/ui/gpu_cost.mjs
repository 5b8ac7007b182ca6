// What the GPU panel and the dashboard cost the tab: processor time of its main thread, as Chromium counts it.
import { command, visit } from './browser.mjs';

const SECONDS = Number(process.env.SECONDS ?? 30);

await visit('lab', async page => {
  const client = await page.context().newCDPSession(page);
  await client.send('Performance.enable', { timeDomain: 'threadTicks' });
  await page.evaluate(() =>
    window.jupyterapp.serviceManager.settings.save('jupyter-gpu-ext:gpu', JSON.stringify({ pollInterval: 1 }))
  );
  const share = async () => {
    await page.waitForTimeout(3000); // what opening costs is not meant
    const before = await metrics(client);
    await page.waitForTimeout(1000 * SECONDS);
    const after = await metrics(client);
    return Object.fromEntries(Object.keys(after).map(name => [name, (after[name] - before[name]) / SECONDS]));
  };
  await page.evaluate(() => window.jupyterapp.shell.collapseRight());
  const closed = await share();
  await command(page, 'jupyter-gpu-ext:open-gpu');
  await page.locator('.jp-gpuext-Card').nth(7).waitFor();
  const panel = await share();
  await command(page, 'jupyter-gpu-ext:open-gpu-dashboard');
  await page.locator('.jp-gpuext-Plot canvas').nth(3).waitFor();
  return { closed, panel, both: await share() };
});

async function metrics(client) {
  const { metrics: all } = await client.send('Performance.getMetrics');
  const wanted = ['TaskDuration', 'ScriptDuration', 'LayoutDuration', 'RecalcStyleDuration'];
  return Object.fromEntries(all.filter(({ name }) => wanted.includes(name)).map(({ name, value }) => [name, value]));
}
