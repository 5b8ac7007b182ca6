// The GPU panel on a real kernel: whose memory it is, giving it back rung by rung, the dashboard, the doctor.
import { command, idle, shot, theme, visit } from './browser.mjs';

const SETTINGS = 'jupyter-gpu-ext:gpu';

await visit('lab/tree/train.ipynb', async page => {
  const asked = [];
  page.on('request', request => asked.push(new URL(request.url()).pathname.split('/api/gpu/')[1]));
  await set(page, 'pollInterval', 1);
  await command(page, 'jupyter-gpu-ext:open-gpu');
  const panel = page.locator('#jupyter-gpu-ext-gpu');
  const card = panel.getByRole('region', { name: /^GPU 0 · Simulated L4/ });
  await card.waitFor();
  const before = await card.innerText();

  await idle(page);
  // It resolves when all have run.
  const ran = command(page, 'notebook:run-all-cells');
  const stream = panel.getByRole('region', { name: 'Streams' });
  await stream.getByText('samples/s').waitFor({ timeout: 60000 });
  const streams = await stream.innerText();
  await shot(page, 'gpu-stream');
  await page.evaluate(() =>
    window.jupyterapp.serviceManager.contents.save('seen.txt', { type: 'file', format: 'text', content: '' })
  );
  await ran;
  await stream.waitFor({ state: 'detached', timeout: 60000 });
  const row = card.locator('[data-kernel]');
  await row.getByText('train.ipynb').waitFor({ timeout: 60000 });
  await page.locator('.jp-Notebook .jp-OutputArea-output', { hasText: 'ValueError' }).first().waitFor();
  const badge = page.locator('.jp-gpuext-Badge button');
  await badge.waitFor();
  const seen = { before, streams, row: await row.innerText(), badge: await badge.innerText() };

  await card.getByText('Details').click();
  const details = await card.getByRole('definition').allInnerTexts();
  const rungs = await release(page, card);
  await shot(page, 'gpu-panel');
  const end = await restart(page, card, row);
  await badge.waitFor({ state: 'hidden' });

  const dashboard = await walkDashboard(page);
  const doctor = await walkDoctor(page, panel);
  const hidden = await hide(page, asked);
  return { ...seen, details, rungs, end, dashboard, doctor, hidden };
});

function set(page, id, value) {
  return page.evaluate(
    ([plugin, name, to]) =>
      window.jupyterapp.serviceManager.settings
        .fetch(plugin)
        .then(({ raw }) => raw)
        .then(() => window.jupyterapp.serviceManager.settings.save(plugin, JSON.stringify({ [name]: to }))),
    [SETTINGS, id, value]
  );
}

/** With the keyboard alone: open the ladder, take the rungs that the kernel takes itself. */
async function release(page, card) {
  const button = card.getByRole('button', { name: 'Release memory of train.ipynb…' });
  await button.focus();
  await page.keyboard.press('Enter');
  const form = card.getByRole('group', { name: 'Release from train.ipynb' });
  const radios = form.getByRole('radio');
  await radios.first().waitFor();
  const offered = await form.locator('label').allInnerTexts();
  const said = {};
  for (const rung of ['cache', 'traceback', 'outputs']) {
    await form.getByRole('radio', { name: rung }).focus();
    await page.keyboard.press('Space');
    await form.getByRole('button', { name: 'Go' }).focus();
    const replied = page.waitForResponse(reply => reply.request().method() === 'POST' && reply.url().includes('/release'));
    await page.keyboard.press('Enter');
    said[rung] = (await (await replied).json()).message;
    await form.getByRole('status').filter({ hasText: said[rung] }).waitFor();
  }
  await page.keyboard.press('Escape');
  await form.waitFor({ state: 'detached' });
  const focus = await button.evaluate(node => node === document.activeElement);
  return { offered, said, focus };
}

/** Asked first; Cancel keeps the kernel, the other button restarts it. */
async function restart(page, card, row) {
  await card.getByRole('button', { name: 'Release memory of train.ipynb…' }).click();
  const dialog = page.getByRole('dialog');
  await card.getByRole('radio', { name: 'restart' }).check();
  await card.getByRole('button', { name: 'Go' }).click();
  const question = await dialog.innerText();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  const kept = await row.count();
  await card.getByRole('button', { name: 'Go' }).click();
  await dialog.getByRole('button', { name: 'Restart' }).click();
  await row.waitFor({ state: 'detached', timeout: 30000 });
  const notice = page.locator('.Toastify__toast', { hasText: 'train.ipynb' });
  await notice.waitFor();
  return { question, kept, notice: await notice.innerText() };
}

async function walkDashboard(page) {
  const openings = page.getByRole('button', { name: 'Open the GPU dashboard' });
  // Twice is once: its code is on its way.
  await openings.dblclick();
  const dashboard = page.locator('.jp-gpuext-Dashboard');
  const over = dashboard.locator('[data-chart="memory_used_bytes"] .u-over');
  await over.waitFor();
  const count = await dashboard.count();
  const titles = await dashboard.locator('figure h3').allInnerTexts();
  const legend = await dashboard.locator('[data-chart="memory_used_bytes"] li').allInnerTexts();
  const box = await over.boundingBox();
  const drag = async () => {
    await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 40, { steps: 5 });
    await page.mouse.up();
  };
  const reset = dashboard.getByRole('button', { name: 'Reset zoom' });
  await drag();
  await reset.waitFor();
  const crosshair = await dashboard.locator('[data-chart="power_watts"] figcaption').innerText();
  await over.dblclick();
  await reset.waitFor({ state: 'detached' });
  const light = await inkOf(dashboard);
  await theme(page, 'Dark');
  const dark = await inkOf(dashboard);
  await shot(page, 'gpu-dashboard-dark');
  await theme(page, 'Light');
  await dashboard.getByRole('button', { name: '24 h' }).click();
  await dashboard.locator('canvas').or(dashboard.getByText('Nothing was recorded yet')).first().waitFor();
  await shot(page, 'gpu-dashboard-day');
  return { count, titles, legend, crosshair, light, dark };
}

/** The most frequent colour of a canvas that is not clear: the axes' and the lines' own. */
function inkOf(dashboard) {
  return dashboard.locator('[data-chart="memory_used_bytes"] canvas').evaluate(canvas => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const counts = new Map();
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] === 255) {
        const color = `${data[at]},${data[at + 1]},${data[at + 2]}`;
        counts.set(color, (counts.get(color) ?? 0) + 1);
      }
    }
    return [...counts].sort((one, other) => other[1] - one[1]).map(([color]) => color)[0];
  });
}

async function walkDoctor(page, panel) {
  await panel.getByRole('button', { name: 'Run doctor' }).click();
  const view = page.locator('.jp-gpuext-Doctor');
  const verdict = view.locator('.jp-gpuext-Verdict');
  await verdict.waitFor({ timeout: 30000 });
  await view.getByRole('button', { name: 'Copy report' }).click();
  const report = await page.evaluate(() => navigator.clipboard.readText());
  await shot(page, 'gpu-doctor');
  await page.route('**/gpu/doctor*', () => undefined); // a doctor that takes its time
  await view.getByRole('button', { name: 'Run again' }).click();
  await view.getByRole('button', { name: 'Cancel' }).click();
  await view.getByRole('button', { name: 'Run again' }).waitFor();
  return {
    verdict: await verdict.innerText(),
    report,
    line: await panel.locator('.jp-gpuext-Footer').innerText()
  };
}

/** How often the server is asked while another tab of the browser is in front. */
async function hide(page, asked) {
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  // What was on its way, and the one more that a poll lingers for, however slow the machine is.
  for (let seen = -1; seen !== asked.length; ) {
    seen = asked.length;
    await page.waitForTimeout(3000);
  }
  asked.length = 0;
  await page.waitForTimeout(3500); // three intervals
  return asked.filter(path => path !== undefined);
}
