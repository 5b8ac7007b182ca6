// The main job: see the GPU, browse, click a checkpoint, insert the load, run it, export the notebook.
import { join } from 'node:path';
import { OUTPUT, command, idle, shot, theme, visit } from './browser.mjs';

await visit('lab/tree/train.ipynb', async page => {
  await idle(page);
  const cells = page.locator('.jp-Notebook .jp-CodeCell');
  await cells.first().locator('.cm-content').click();

  await command(page, 'jupyter-gpu-ext:open-gpu');
  const gpu = page.getByRole('region', { name: /Simulated A100/ });
  await gpu.waitFor();
  await page.getByText('simulated, numbers are made up').waitFor();

  await command(page, 'jupyter-gpu-ext:open-storage');
  const tree = page.getByRole('tree', { name: 'Storage' });
  await open(tree, 'weights');
  await open(tree, 'runs');
  await tree.locator('[data-name="step 100 #best.pt"]').click();
  const inside = page.getByRole('region', { name: "What's inside" });
  await inside.getByText('model.0.weight').waitFor();
  const listed = await inside.getByRole('listitem').count();

  await inside.getByRole('button', { name: 'Insert load' }).click();
  const inserted = cells.nth(1).locator('.cm-content');
  await inserted.filter({ hasText: '%load_blob' }).waitFor();
  const line = await inserted.innerText();

  await command(page, 'notebook:run-all-cells');
  const receipt = cells.nth(1).locator('.jp-OutputArea-output');
  await receipt.filter({ hasText: 'tensors on' }).waitFor({ timeout: 60000 });
  const printed = cells.nth(2).locator('.jp-OutputArea-output');
  await printed.filter({ hasText: 'checksum' }).waitFor({ timeout: 60000 });
  await gpu.getByText('train.ipynb').first().waitFor();
  await page.waitForTimeout(Number(process.env.PICTURE_SECONDS ?? 0) * 1000); // for a sparkline worth a picture

  await shot(page, 'lab-light');
  await theme(page, 'Dark');
  await shot(page, 'lab-dark');
  await theme(page, 'Light');

  await command(page, 'docmanager:save');
  const download = await exported(page);
  await download.saveAs(join(OUTPUT, 'train.py'));
  return {
    line,
    listed,
    receipt: await receipt.innerText(),
    printed: await printed.innerText(),
    status: await page.locator('#jp-bottom-panel').innerText()
  };
});

async function open(tree, name) {
  const row = tree.locator(`[data-name="${name}"]`);
  await row.waitFor();
  if ((await row.getAttribute('aria-expanded')) !== 'true') {
    await row.click();
  }
}

async function exported(page) {
  await page.getByRole('menuitem', { name: 'File', exact: true }).click();
  const entry = text => page.locator('.lm-Menu-itemLabel', { hasText: text });
  await entry('Save and Export Notebook As').hover();
  // The script opens in a tab of its own, which closes when it turns out to be a download.
  const download = new Promise(resolve => {
    page.on('download', resolve);
    page.context().on('page', tab => tab.on('download', resolve));
  });
  await entry('Trainscript').click();
  return download;
}
