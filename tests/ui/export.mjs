// A notebook's way to a job: the script by the menu, the dialog, the folder, its proof, a run whose tab is closed
// meanwhile.
import { command, idle, shot, theme, visit } from './browser.mjs';

await visit('lab/tree/train.ipynb', async page => {
  await idle(page);
  const script = await download(page);
  let panel = await openDialog(page);
  const exported = await walkExport(page, panel);
  const proven = await walkProof(page, panel);
  panel = await reopen(page, panel);
  await proofOf(panel, 'holds').waitFor({ timeout: 30000 });
  await panel.getByRole('textbox', { name: 'lr' }).fill('1e-3');
  const running = await startHere(page, panel);
  // Neither the dialog nor the page is there any more.
  await page.goto('about:blank');
  await page.goto(`${process.env.LAB_URL}lab/tree/bad.ipynb?token=${process.env.LAB_TOKEN}&reset`);
  await page.waitForFunction(() => window.jupyterapp?.commands.hasCommand('jupyter-gpu-ext:export-job'), undefined, {
    timeout: 60000
  });
  await idle(page);
  const refused = await walkRefusal(page);
  await openNotebook(page, 'train.ipynb');
  panel = await openDialog(page);
  const state = panel.locator('.jp-gpuext-Export-run[data-state="ended"] h3');
  await state.waitFor({ timeout: 60000 });
  await state.scrollIntoViewIfNeeded();
  await shot(page, 'export-done');
  const done = await state.innerText();
  const differs = await walkUnproven(page, 'tried/shaky.ipynb', 'differs');
  const fails = await walkUnproven(page, 'tried/fails.ipynb', 'failed');
  await fails.proof.getByRole('button', { name: 'Show cell 2' }).click();
  const failing = { said: fails.said, active: await activeCell(page) };
  return { script, ...exported, proven, running, refused, done, differs: differs.said, failing };
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

async function openNotebook(page, path) {
  await page.evaluate(
    // The widget that it gives is no message.
    name => window.jupyterapp.commands.execute('docmanager:open', { path: name }).then(() => undefined),
    path
  );
  await idle(page);
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

function proofOf(panel, state) {
  return panel.locator(`.jp-gpuext-Export-proof[data-state="${state}"]`);
}

/** Tick, shorten and start the proof with the keyboard alone. */
async function walkProof(page, panel) {
  const tick = panel.getByRole('checkbox', { name: 'prove it here' });
  await tick.focus();
  await page.keyboard.press('Space');
  await settled(panel);
  const short = panel.getByRole('textbox', { name: 'with' });
  const suggested = await short.inputValue();
  await page.keyboard.press('Tab');
  await page.keyboard.type('step=1');
  const button = panel.getByRole('button', { name: 'Export + prove' });
  const problem = await panel.locator('small[data-tone="error"]').innerText();
  await panel.getByRole('checkbox', { name: /replace/ }).check();
  await settled(panel);
  const blocked = await button.isDisabled();
  await shot(page, 'prove-wrong');
  await short.fill('steps=2');
  await settled(panel);
  await shot(page, 'prove');
  await panel.getByRole('checkbox', { name: /replace/ }).focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  const running = proofOf(panel, 'running');
  await running.waitFor({ timeout: 60000 });
  await running.getByRole('status').filter({ hasText: 'Running' }).waitFor({ timeout: 60000 });
  const phase = await running.getByRole('status').innerText();
  await running.scrollIntoViewIfNeeded();
  await shot(page, 'prove-running');
  const holds = proofOf(panel, 'holds');
  await holds.waitFor({ timeout: 90000 });
  await holds.scrollIntoViewIfNeeded();
  await shot(page, 'prove-holds');
  await theme(page, 'Dark');
  await shot(page, 'prove-holds-dark');
  await theme(page, 'Light');
  await page.setViewportSize({ width: 760, height: 860 });
  await page.waitForTimeout(300); // the layout follows
  await tick.scrollIntoViewIfNeeded();
  await shot(page, 'prove-narrow');
  await page.setViewportSize({ width: 1440, height: 860 });
  return { suggested, problem, blocked, phase, title: await holds.locator('h3').innerText() };
}

function closeDialogs(page) {
  return page.evaluate(() => {
    const open = [...window.jupyterapp.shell.widgets('main')];
    open.filter(one => one.id.startsWith('jupyter-gpu-ext-export-')).forEach(one => one.close());
  });
}

/** Close the dialog and open it again: it finds what is known of its folder. */
async function reopen(page, panel) {
  await panel.getByRole('button', { name: 'Open report' }).click();
  await page.locator('.jp-MarkdownViewer:visible h1', { hasText: 'Proof' }).waitFor({ timeout: 30000 });
  await command(page, 'application:close');
  await closeDialogs(page);
  await openNotebook(page, 'train.ipynb');
  return openDialog(page);
}

/** Prove a notebook that is not to be proven. */
async function walkUnproven(page, path, state) {
  await closeDialogs(page);
  await openNotebook(page, path);
  const panel = await openDialog(page);
  await panel.getByRole('checkbox', { name: 'prove it here' }).check();
  await settled(panel);
  await panel.getByRole('button', { name: 'Export + prove' }).click();
  const proof = proofOf(panel, state);
  await proof.waitFor({ timeout: 90000 });
  await proof.scrollIntoViewIfNeeded();
  await shot(page, `prove-${state}`);
  await theme(page, 'Dark');
  await shot(page, `prove-${state}-dark`);
  await theme(page, 'Light');
  return { proof, said: await proof.innerText() };
}

async function startHere(page, panel) {
  await panel.getByRole('radio', { name: 'here', exact: true }).check();
  const prove = panel.getByRole('checkbox', { name: 'prove it here' });
  await prove.check();
  const run = panel.getByRole('button', { name: 'Export + run' });
  const title = await run.getAttribute('title');
  if (!(await run.isDisabled()) || !title.includes('untick')) {
    throw new Error(`a run before its proof: ${title}`);
  }
  await prove.uncheck();
  await panel.getByRole('textbox', { name: 'Log' }).fill('run7://logs/train.log');
  await panel.getByRole('checkbox', { name: /replace/ }).check();
  await settled(panel);
  await run.click();
  const runs = panel.locator('.jp-gpuext-Export-run[data-state="running"]');
  await runs.waitFor({ timeout: 60000 });
  await runs.scrollIntoViewIfNeeded();
  await shot(page, 'export-running');
  await page.setViewportSize({ width: 760, height: 860 });
  await page.waitForTimeout(300); // the layout follows
  await panel.locator('h2').scrollIntoViewIfNeeded();
  await shot(page, 'export-narrow');
  await page.setViewportSize({ width: 1440, height: 860 });
  return runs.locator('h3').innerText();
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
