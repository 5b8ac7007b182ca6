// Storage by hand: paste a link, keep the connection, upload, look, download, delete.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OUTPUT, command, shot, theme, visit } from './browser.mjs';

await visit('lab', async page => {
  await command(page, 'jupyter-gpu-ext:open-storage');
  const panel = page.locator('#jupyter-gpu-ext-storage');
  const box = panel.locator('.jp-gpuext-Box-input');
  await box.fill(process.env.LINK);
  await box.press('Enter');
  const form = panel.locator('form.jp-gpuext-Connect');
  await form.waitFor({ timeout: 60000 });
  const offer = await form.innerText();
  await shot(page, 'offer');
  await form.getByRole('checkbox').uncheck();
  await form.getByRole('button', { name: 'Connect', exact: true }).click();
  const row = name => panel.locator(`.jp-gpuext-Row[data-name="${name}"]`);
  const connection = panel.locator('.jp-gpuext-Row[data-kind="connection"]');
  await connection.waitFor();
  const kept = !(await page.content()).includes(process.env.SECRET);

  await row('runs').click();
  await row('notes.csv').click();
  const preview = panel.locator('.jp-gpuext-Inside[data-state="preview"]');
  await preview.waitFor();
  const table = await preview.innerText();

  // A Zarr store under an ordinary name is seen to be one, and can be viewed.
  await row('era').locator('.jp-gpuext-Kind').waitFor();
  const numpy = await row('net.bin').locator('.jp-gpuext-Kind').innerText();
  const named = await panel.getByRole('treeitem', { name: 'era zarr', exact: true }).count();
  const plain = await row('plain').innerText();
  await row('era').click({ button: 'right' });
  const offered = await page.locator('.lm-Menu-itemLabel:visible').allInnerTexts();
  await shot(page, 'kinds-menu');
  await page.keyboard.press('Escape');

  const menu = async (name, entry) => {
    await row(name).click({ button: 'right' });
    await page.locator('.lm-Menu-itemLabel', { hasText: entry }).click();
  };
  const chooser = page.waitForEvent('filechooser');
  await menu('runs', 'Upload here');
  await (await chooser).setFiles(process.env.FILE);
  await row('9 MB é#.bin').waitFor({ timeout: 60000 });
  await shot(page, 'uploaded');
  await theme(page, 'Dark');
  await shot(page, 'uploaded-dark');
  await theme(page, 'Light');

  const download = page.waitForEvent('download');
  await menu('9 MB é#.bin', 'Download');
  const file = join(OUTPUT, 'downloaded');
  await (await download).saveAs(file);
  const same = readFileSync(file).equals(readFileSync(process.env.FILE));

  await menu('9 MB é#.bin', 'Delete');
  const dialog = page.locator('.jp-Dialog');
  const question = await dialog.innerText();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await row('9 MB é#.bin').waitFor({ state: 'detached' });
  return { offer, kept, table, named, numpy, plain, offered, same, question, connection: await connection.innerText() };
});
