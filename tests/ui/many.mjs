// A folder of a hundred thousand, page after page by the keyboard: few nodes, no frozen frame.
import { openPanel, shot, visit } from './browser.mjs';

const ROWS = Number(process.env.ROWS);
const REAL_PAGES = Number(process.env.REAL_PAGES);
const PAGE = 1000;
const name = index => `step-${String(index).padStart(6, '0')}.pt`;

await visit('lab', async page => {
  const requests = await answer(page);
  const { row, tree } = await openPanel(page);
  await row('many').click();
  await row(name(0)).waitFor();
  await watchFrames(page);
  await tree.focus();
  for (let shown = PAGE; shown < ROWS; shown += PAGE) {
    await page.keyboard.press('End');
    await tree.locator('[data-kind="more"]').waitFor();
    await page.keyboard.press('Enter');
    await row(name(shown)).waitFor();
  }
  await page.keyboard.press('End');
  const active = tree.locator('[data-active="true"]');
  await active.filter({ hasText: name(ROWS - 1) }).waitFor();
  const last = await active.getAttribute('data-name');
  const [position, count] = await tree
    .locator('[data-kind="object"]')
    .last()
    .evaluate(one => [one.ariaPosInSet, one.ariaSetSize]);
  await shot(page, 'end');
  const nodes = await tree.locator('.jp-gpuext-Row').count();
  await page.keyboard.press('Home');
  await row('weights').waitFor();
  const first = await active.getAttribute('data-name');
  const frozen = await page.evaluate(() => window.longest);
  return { last, first, position, count, nodes, frozen, requests: requests.length };
});

/** The server answers the first pages; the others, of the same form, are made here: it may take a second for each. */
async function answer(page) {
  const requests = [];
  await page.route(/\/storage\/list\?.*connection=many/, async route => {
    const start = PAGE * (requests.push(route.request().url()) - 1);
    if (start < PAGE * REAL_PAGES) {
      return route.continue();
    }
    const entries = Array.from({ length: PAGE }, (_, index) => ({
      kind: 'object',
      name: name(start + index),
      key: name(start + index),
      size_bytes: 1000,
      modified: '2026-12-03T14:02:00+00:00',
      etag: '0x8D1',
      tier: null,
      unreadable: null
    }));
    const next_token = start + PAGE < ROWS ? 'more' : null;
    return route.fulfill({ json: { connection: 'many', prefix: '', entries, next_token } });
  });
  return requests;
}

async function watchFrames(page) {
  await page.evaluate(() => {
    window.longest = 0;
    let before = performance.now();
    const frame = now => {
      window.longest = Math.max(window.longest, now - before);
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
}
