// A load whose storage never answers: the bar shows, Cancel interrupts it, the notebook goes on.
import { command, idle, shot, visit } from './browser.mjs';

await visit('lab/tree/stalled.ipynb', async page => {
  await idle(page);
  const cells = page.locator('.jp-Notebook .jp-CodeCell');
  await cells.first().locator('.cm-content').click();
  command(page, 'notebook:run-all-cells').catch(() => undefined);
  const bar = cells.nth(1).locator('.jp-gpuext-Progress');
  await bar.waitFor({ timeout: 60000 });
  const running = await bar.innerText();
  await shot(page, 'running');
  await bar.getByRole('button', { name: 'Cancel' }).click();
  await cells.nth(1).locator('.jp-gpuext-Progress[data-state="cancelled"]').waitFor();
  const output = cells.nth(1).locator('.jp-OutputArea');
  await output.filter({ hasText: 'nothing was changed' }).waitFor();
  await command(page, 'notebook:move-cursor-down');
  await cells.nth(2).locator('.cm-content').click();
  command(page, 'notebook:run-cell').catch(() => undefined);
  const after = cells.nth(2).locator('.jp-OutputArea-output');
  await after.filter({ hasText: 'bound' }).waitFor();
  await shot(page, 'cancelled');
  return { running, output: await output.innerText(), after: await after.innerText() };
});
