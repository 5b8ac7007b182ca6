// What the panels say when there is nothing to show.
import { command, shot, visit } from './browser.mjs';

await visit('lab', async page => {
  await command(page, 'jupyter-gpu-ext:open-gpu');
  await command(page, 'jupyter-gpu-ext:open-storage');
  const gpu = page.locator('#jupyter-gpu-ext-gpu');
  const storage = page.locator('#jupyter-gpu-ext-storage');
  await gpu.getByText(process.env.GPU_SAYS).first().waitFor();
  await storage.getByText(process.env.STORAGE_SAYS).first().waitFor();
  await page.waitForTimeout(500);
  await shot(page, 'states');
  return {
    gpu: await gpu.innerText(),
    storage: await storage.innerText(),
    status: await page.locator('#jp-bottom-panel').innerText()
  };
});
