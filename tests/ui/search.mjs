// Find by the first letters: the storage itself narrows the folder while one types.
import { openPanel, shot, visit } from './browser.mjs';

await visit('lab', async page => {
  const { panel, row, tree, box } = await openPanel(page);
  const names = () => tree.locator('[aria-level="3"][data-name]:not([data-name=""])').evaluateAll(
    rows => rows.map(one => one.dataset.name)
  );
  await row('weights').click();
  await row('runs').click();
  await row('notes.txt').waitFor();
  const before = await names();

  await row('runs').click({ button: 'right' });
  await page.locator('.lm-Menu-itemLabel', { hasText: 'Find by first letters' }).click();
  const prefix = await box.inputValue();
  await box.pressSequentially('anna');
  await panel.getByText('Names that begin with “anna”').waitFor();
  await row('notes.txt').waitFor({ state: 'detached' });
  const narrowed = await names();
  await shot(page, 'narrowed');

  await box.pressSequentially('s');
  await panel.getByText('Nothing begins with').waitFor();
  const none = await tree.innerText();
  await shot(page, 'none');
  await box.press('Escape');
  const focus = await page.evaluate(() => document.activeElement.getAttribute('role'));
  await panel.getByRole('button', { name: 'Show all' }).click();
  await row('notes.txt').waitFor();
  const all = await names();

  await box.fill('weights://runs/anna2.pt');
  await box.press('Enter');
  const reached = tree.locator('[aria-selected="true"][data-kind="object"]');
  await reached.waitFor();
  return {
    box: prefix,
    before,
    narrowed,
    none,
    focus,
    all,
    reached: await reached.getAttribute('data-name')
  };
});
