// A notebook's way to a job: the script by the menu, the dialog, the folder, a run whose tab is closed meanwhile.
import { command, idle, shot, theme, visit } from './browser.mjs';

await visit('lab/tree/train.ipynb', async page => {
  await idle(page);
  const script = await download(page);
  let panel = await openDialog(page);
  const exported = await walkExport(page, panel);
  const running = await startHere(page, panel);
  // Neither the dialog nor the page is there any more.
  await page.goto('about:blank');
  await page.goto(`${process.env.LAB_URL}lab/tree/bad.ipynb?token=${process.env.LAB_TOKEN}&reset`);
  await page.waitForFunction(() => window.jupyterapp?.commands.hasCommand('jupyter-gpu-ext:export-job'), undefined, {
    timeout: 60000
  });
  await idle(page);
  const refused = await walkRefusal(page);
  await command(page, 'docmanager:open', { path: 'train.ipynb' });
  await idle(page);
  panel = await openDialog(page);
  const state = panel.locator('.jp-gpuext-Export-run h3');
  await panel.locator('.jp-gpuext-Export-run[data-state="ended"]').waitFor({ timeout: 60000 });
  await state.scrollIntoViewIfNeeded();
  await shot(page, 'export-done');
  return { script, ...exported, running, refused, done: await state.innerText() };
});

function menu(page, name) {
  return page.locator('.lm-Menu-item:visible', { hasText: name });
}

async function openMenu(page) {
  await page.locator('#jp-MainMenu .lm-MenuBar-itemLabel', { hasText: /^File$/ }).click();
}

async function closeMenu(page) {
  while (await page.locator('.lm-Menu:visible').count()) {
    await page.keyboard.press('Escape');
  }
}

/** The script, as Save and Export Notebook As gives it. */
async function download(page) {
  // JupyterLab asks for the formats when the first notebook is there.
  const formats = () => window.jupyterapp.commands.listCommands().includes('notebook:export-to-format');
  await page.waitForFunction(formats);
  for (let tries = 0; ; tries += 1) {
    await openMenu(page);
    await menu(page, 'Save and Export Notebook As').hover();
    try {
      await menu(page, 'Trainscript').waitFor({ timeout: 4000 });
      break;
    } catch (error) {
      if (tries === 5) {
        throw error;
      }
      await closeMenu(page);
    }
  }
  await closeMenu(page);
  // What the entry opens in a tab of its own.
  const address = `${process.env.LAB_URL}nbconvert/trainscript/train.ipynb?download=true`;
  const headers = { Authorization: `token ${process.env.LAB_TOKEN}` };
  return (await page.request.get(address, { headers })).text();
}

async function openDialog(page) {
  await openMenu(page);
  await menu(page, 'Export Training Job…').click();
  await save(page);
  const panel = page.locator('.jp-gpuext-Export:visible');
  await panel.getByRole('form', { name: 'Export training job' }).waitFor({ timeout: 60000 });
  await panel.locator('form[aria-busy="false"]').waitFor({ timeout: 60000 });
  return panel;
}

/** Agree where the notebook has changes, as one has that was just opened and got its kernel's name. */
async function save(page) {
  const question = page.locator('.jp-Dialog');
  await question.or(page.locator('.jp-gpuext-Export:visible')).first().waitFor({ timeout: 60000 });
  if (await question.isVisible()) {
    await question.getByRole('button', { name: 'Save' }).click();
  }
}

function settled(panel) {
  return panel.locator('form[aria-busy="false"]').waitFor({ timeout: 30000 });
}

async function walkExport(page, panel) {
  const lr = panel.getByRole('textbox', { name: 'lr' });
  await lr.fill('fast');
  const refusal = panel.locator('.jp-gpuext-Notice[data-tone="error"]');
  await refusal.waitFor({ timeout: 30000 });
  const wrong = await refusal.innerText();
  await lr.fill('1e-3');
  await refusal.waitFor({ state: 'detached', timeout: 30000 });
  await settled(panel);
  await shot(page, 'export');
  await theme(page, 'Dark');
  await shot(page, 'export-dark');
  await theme(page, 'Light');
  const remark = panel.locator('.jp-gpuext-Export-remarks li').first();
  await remark.getByRole('button', { name: 'Show' }).click();
  const shown = await activeCell(page);
  // With the keyboard alone, from the folder to the button.
  await panel.getByRole('textbox', { name: 'Folder' }).focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  const code = panel.locator('.jp-gpuext-Export-command code');
  await code.waitFor({ timeout: 60000 });
  await settled(panel);
  await code.scrollIntoViewIfNeeded();
  await shot(page, 'export-written');
  return { wrong, shown, remark: await remark.innerText(), command: await code.innerText() };
}

/** The active cell of the notebook that is seen, counted from 0. */
function activeCell(page) {
  return page.evaluate(() => {
    const seen = [...window.jupyterapp.shell.widgets('main')].filter(one => one.isVisible);
    return seen.find(one => one.content?.activeCellIndex !== undefined).content.activeCellIndex;
  });
}

async function startHere(page, panel) {
  await panel.getByRole('radio', { name: 'here' }).check();
  await panel.getByRole('textbox', { name: 'Log' }).fill('run7://logs/train.log');
  await panel.getByRole('checkbox', { name: /replace/ }).check();
  await settled(panel);
  await panel.getByRole('button', { name: 'Export + run' }).click();
  const run = panel.locator('.jp-gpuext-Export-run[data-state="running"]');
  await run.waitFor({ timeout: 60000 });
  await run.scrollIntoViewIfNeeded();
  await shot(page, 'export-running');
  await page.setViewportSize({ width: 760, height: 860 });
  await page.waitForTimeout(300); // the layout follows
  await panel.locator('h2').scrollIntoViewIfNeeded();
  await shot(page, 'export-narrow');
  await page.setViewportSize({ width: 1440, height: 860 });
  return run.locator('h3').innerText();
}

async function walkRefusal(page) {
  await openMenu(page);
  await menu(page, 'Export Training Job…').click();
  await save(page);
  const notice = page.locator('.jp-gpuext-Export:visible .jp-gpuext-Notice[data-tone="error"]');
  await notice.waitFor({ timeout: 60000 });
  await shot(page, 'export-refused');
  await notice.getByRole('button', { name: 'Show cell 2' }).click();
  return { message: await notice.innerText(), active: await activeCell(page) };
}
