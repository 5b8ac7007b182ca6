// A link has ended, another ends while one looks: the row says so, and takes the new link.
import { command, openPanel, shot, visit } from './browser.mjs';

await visit('lab', async page => {
  const { panel, row, tree, box } = await openPanel(page);
  await row('soon').click();
  await tree.locator('[data-name="runs"]').waitFor();

  const said = await row('gone').innerText();
  await shot(page, 'row');
  await row('gone').locator('.jp-gpuext-Name').click();
  const note = tree.locator('[data-kind="failed"]');
  await note.waitFor();
  const words = await note.innerText();
  await shot(page, 'note');
  await box.fill('gone://runs/');
  await box.press('Enter');
  await row('gone').click({ button: 'right' });
  await page.locator('.lm-Menu-itemLabel', { hasText: /^Pin$/ }).click();

  await note.getByRole('button', { name: 'Paste new link' }).click();
  const bound = panel.getByRole('textbox', { name: 'paste the new link for gone' });
  await bound.fill(process.env.WRONG);
  await bound.press('Enter');
  const refusal = panel.locator('.jp-gpuext-Notice[data-tone="error"]');
  await refusal.waitFor();
  const refused = await refusal.innerText();
  await shot(page, 'refused');
  await bound.fill(process.env.GOOD);
  await bound.press('Enter');
  await row('gone').filter({ hasText: 'expires in' }).waitFor();
  await note.waitFor({ state: 'detached' });
  const kept = !(await page.content()).includes(encodeURIComponent(process.env.SECRET));
  const renewed = await row('gone').innerText();
  await shot(page, 'renewed');

  const button = row('soon').getByRole('button');
  await button.waitFor({ timeout: 30000 });
  await shot(page, 'ended');
  const listed = await row('runs').count();
  const label = await button.getAttribute('aria-label');
  await button.click();
  await panel.getByRole('textbox', { name: 'paste the new link for soon' }).press('Escape');
  const left = await page.evaluate(() => document.activeElement.getAttribute('role'));
  const pinned = await panel
    .locator('li:has(.jp-gpuext-Chip-close) .jp-gpuext-Chip')
    .evaluateAll(chips => chips.map(one => one.dataset.url));
  return {
    row: said,
    note: words,
    refused,
    renewed,
    kept,
    pinned,
    ended: { listed, button: label, left }
  };
});
