// What is on its way: a job of the server and an upload, each with its progress and Cancel.
import { openPanel, shot, visit } from './browser.mjs';

await visit('lab', async page => {
  const { panel, row } = await openPanel(page);
  await page.evaluate(async token => {
    const { baseUrl } = window.jupyterapp.serviceManager.serverSettings;
    await fetch(`${baseUrl}jupyter-gpu-ext/api/storage/deletions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `token ${token}` },
      body: JSON.stringify({ connection: 'silent', prefix: 'old/' })
    });
  }, process.env.LAB_TOKEN);
  await panel.getByRole('button', { name: 'Refresh', exact: true }).click();
  const transfers = panel.getByRole('region', { name: 'Transfers' });
  const job = transfers.getByRole('listitem').filter({ hasText: 'silent://old/' });
  await job.getByRole('progressbar').waitFor();
  const running = await job.innerText();

  // The first block arrives, the second is held on its way.
  await page.route(/storage\/uploads\/[^/]+\/1\?/, () => undefined);
  const chooser = page.waitForEvent('filechooser');
  await row('weights').click({ button: 'right' });
  await page.locator('.lm-Menu-itemLabel', { hasText: 'Upload here' }).click();
  const buffer = Buffer.alloc(12e6);
  await (await chooser).setFiles({ name: 'step.bin', mimeType: 'application/octet-stream', buffer });
  const upload = transfers.getByRole('listitem').filter({ hasText: 'step.bin' });
  await upload.filter({ hasText: / MB · / }).waitFor();
  const percent = Number(await upload.getByRole('progressbar').getAttribute('aria-valuenow'));
  await shot(page, 'running');

  await upload.getByRole('button', { name: 'Cancel' }).click();
  await upload.waitFor({ state: 'detached' });
  await job.getByRole('button', { name: 'Cancel' }).click();
  await panel.locator('.jp-gpuext-Transfer[data-state="cancelled"]').waitFor();
  await shot(page, 'cancelled');
  await job.getByRole('button', { name: 'Dismiss' }).click();
  await transfers.waitFor({ state: 'detached' });
  return { running, percent };
});
