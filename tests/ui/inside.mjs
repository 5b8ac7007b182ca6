// What's inside: a checkpoint's table to a load of a part, a Zarr array's typed part to its plan and chunk map.
import { command, idle, openPanel, shot, theme, visit } from './browser.mjs';

await visit('lab/tree/train.ipynb', async page => {
  await idle(page);
  const { row } = await openPanel(page);
  await row('weights').click();
  const table = await walkTable(page, row);
  const array = await walkArray(page, row);
  return { table, array };
});

/** Open what a row's menu calls "What's inside". */
async function inside(page, row, name) {
  await row(name).click({ button: 'right' });
  await page.locator('.lm-Menu-itemLabel', { hasText: "What's inside" }).click();
  const view = page.locator('.jp-gpuext-Contents:visible');
  const grid = view.getByRole('grid', { name: 'Tensors' });
  await grid.waitFor({ timeout: 60000 });
  return { view, grid };
}

async function walkTable(page, row) {
  const { view, grid } = await inside(page, row, 'llama');
  const rows = await grid.getAttribute('aria-rowcount');
  const drawn = await grid.locator('.jp-gpuext-GridRow').count();
  await grid.getByRole('columnheader', { name: 'Size' }).getByRole('button').click();
  const largest = await grid.locator('.jp-gpuext-GridRow').first().getAttribute('data-name');
  const filter = view.getByRole('searchbox', { name: 'Filter' });
  await filter.fill('model.layers.1.*');
  await page.waitForFunction(node => node.ariaRowCount === '4', await grid.elementHandle());
  const filtered = await grid.getAttribute('aria-rowcount');
  // With the keyboard alone: into the table, all of what is shown.
  await filter.press('ArrowDown');
  await page.keyboard.press('Space');
  await page.keyboard.press('Shift+End');
  const foot = view.locator('.jp-gpuext-Foot');
  await foot.getByText('3 of 120').waitFor();
  const cost = foot.locator('.jp-gpuext-Foot-cost', { hasText: 'free' });
  await cost.waitFor({ timeout: 30000 });
  await shot(page, 'inside-table');
  await filter.fill('');
  await theme(page, 'Dark');
  await shot(page, 'inside-table-dark');
  await theme(page, 'Light');
  const words = await cost.innerText();
  await foot.getByRole('button', { name: 'Insert load' }).click();
  const cells = page.locator('.jp-Notebook .jp-CodeCell');
  const line = await lineOf(cells, '--keys');
  await command(page, 'notebook:run-all-cells');
  const receipt = page.locator('.jp-Notebook .jp-OutputArea-output', { hasText: 'tensors on' });
  await receipt.waitFor({ timeout: 90000 });
  return { rows, drawn, largest, filtered, cost: words, line, receipt: await receipt.innerText() };
}

async function walkArray(page, row) {
  const { view, grid } = await inside(page, row, 't2m.zarr');
  await grid.locator('[data-name="t2m"]').click();
  const side = view.getByRole('region', { name: 't2m', exact: true });
  const facts = await side.locator('.jp-gpuext-Pairs').first().innerText();
  const part = side.getByRole('textbox', { name: 'Part' });
  const cost = side.locator('.jp-gpuext-Cost[data-stale="false"]');
  const canvas = side.locator('.jp-gpuext-Map[data-stale="false"] canvas');
  const touched = async (text, count) => {
    await part.fill(text);
    await canvas.and(page.locator(`[data-touched="${count}"]`)).waitFor({ timeout: 30000 });
    const { cells, stored, missing, touched: all, touchedMissing } = await canvas.evaluate(node => ({ ...node.dataset }));
    return { cells, stored, missing, touched: all, touchedMissing };
  };
  const whole = await touched('', 216);
  const hole = await touched('46:, :, :', 9);
  await shot(page, 'inside-array-missing');
  const map = await touched('0, :, :', 9);
  await cost.filter({ hasText: '60 × 120 ·' }).waitFor({ timeout: 30000 });
  const words = await cost.innerText();
  const label = await canvas.getAttribute('aria-label');
  await shot(page, 'inside-array');
  await theme(page, 'Dark');
  await shot(page, 'inside-array-dark');
  await theme(page, 'Light');
  await page.setViewportSize({ width: 820, height: 860 });
  await page.waitForTimeout(300); // the layout follows
  await shot(page, 'inside-array-narrow');
  await page.setViewportSize({ width: 1440, height: 860 });
  await part.fill('0:x, :');
  const problem = side.locator('.jp-gpuext-Problem');
  await problem.waitFor({ timeout: 30000 });
  const wrong = await problem.innerText();
  await part.fill('latitude=60:50');
  await problem.waitFor({ state: 'detached', timeout: 30000 });
  const cells = page.locator('.jp-Notebook .jp-CodeCell');
  await side.getByRole('button', { name: 'Insert as load' }).click();
  const load = await lineOf(cells, '--select');
  await inside(page, row, 't2m.zarr');
  await side.getByRole('button', { name: 'Insert as xarray' }).click();
  const xarray = await lineOf(cells, 'open_zarr');
  const stream = await walkStream(page, row, side, part);
  const fromTree = await walkTree(page, row);
  return { facts, whole, hole, map, cost: words, label, wrong, load, xarray, stream, fromTree };
}

/** The typed part as a stream, by the keyboard alone; one value is no samples. */
async function walkStream(page, row, side, part) {
  await inside(page, row, 't2m.zarr');
  const button = side.getByRole('button', { name: 'Insert as ZarrStream' });
  await part.fill('0, 0, 0');
  await side.getByText('one value').waitFor({ timeout: 30000 });
  const isOffered = await button.isEnabled();
  await part.fill('latitude=60:50, time=2020-01-01T00:2020-01-01T09');
  await side.locator('.jp-gpuext-Cost[data-stale="false"]', { hasText: '× 120' }).waitFor({ timeout: 30000 });
  const title = await button.getAttribute('title');
  await shot(page, 'inside-stream');
  await page.setViewportSize({ width: 720, height: 860 });
  await button.scrollIntoViewIfNeeded();
  await page.waitForTimeout(300); // the layout follows
  await shot(page, 'inside-stream-narrow');
  await page.setViewportSize({ width: 1440, height: 860 });
  await button.focus();
  await page.keyboard.press('Enter');
  return { isOffered, title, ...(await ran(page, 'latitude=60:50, time=2020-01-01T00:2020-01-01T09')) };
}

/** What the menu of a row inserts, of a group and of an array that stands alone. */
async function walkTree(page, row) {
  const pick = async (name, item) => {
    await row(name).click({ button: 'right' });
    await page.locator('.lm-Menu-itemLabel', { hasText: /^Insert as$/ }).click();
    await page.locator('.lm-Menu-itemLabel', { hasText: item }).last().click();
  };
  await pick('t2m.zarr', /^ZarrStream$/);
  const group = await ran(page, 'ZarrStream("weights://t2m.zarr", sample_axis="time")');
  const { view } = await inside(page, row, 't2m.zarr');
  await view.locator('[data-name="t2m"] .jp-gpuext-Check').click();
  await view.getByRole('button', { name: 'Insert ZarrStream' }).click();
  const chosen = await ran(page, 'ZarrStream("weights://t2m.zarr", arrays=["t2m"], sample_axis="time")');
  await pick('alone.zarr', /^ZarrStream$/);
  const alone = await ran(page, 'ZarrStream("weights://alone.zarr")');
  await pick('alone.zarr', /^xarray$/);
  const opened = await ran(page, 'zarr.open("weights://alone.zarr/", mode="r")', 'alone');
  await shot(page, 'inside-inserted');
  return { group: group.output, chosen: chosen.output, alone: alone.output, opened: opened.output };
}

/** The cell that was inserted last, and what it prints; `more` is a line at its end. */
async function ran(page, text, more = '') {
  const cell = page.locator('.jp-Notebook .jp-CodeCell', { hasText: text }).last();
  await cell.waitFor({ timeout: 30000 });
  const source = await cell.locator('.cm-content').innerText();
  if (more !== '') {
    await page.evaluate(line => {
      const { activeCell } = window.jupyterapp.shell.currentWidget.content;
      activeCell.model.sharedModel.updateSource(activeCell.model.sharedModel.getSource().length, undefined, `\n${line}`);
    }, more);
  }
  await command(page, 'notebook:run-cell');
  const output = cell.locator('.jp-OutputArea-output').last();
  await output.waitFor({ timeout: 90000 });
  return { source, output: await output.innerText() };
}

/** The inserted cell that has a text. */
async function lineOf(cells, text) {
  const cell = cells.locator('.cm-content', { hasText: text });
  await cell.waitFor({ timeout: 30000 });
  return cell.innerText();
}
