// Arrays by hand: from a row's menu or a cell to a slice, both themes, a question first, a read cancelled.
import { command, idle, openPanel, shot, theme, visit } from "./browser.mjs";

const VIEW = "jupyter-gpu-ext:tensors-view";

await visit("lab/tree/view.ipynb", async (page) => {
  await idle(page);
  const { row } = await openPanel(page);
  await row("era5").click();
  await page.keyboard.press("ArrowRight");
  await row("t2m.zarr").click({ button: "right" });
  await page.locator(".lm-Menu-itemLabel", { hasText: /^View$/ }).click();
  const viewer = page.locator(".jp-gpuext-Viewer:visible");
  await viewer.locator(".jp-gpuext-Viewer-child").first().waitFor();
  const group = await viewer
    .locator(".jp-gpuext-Viewer-childName")
    .allInnerTexts();
  await shot(page, "group");
  await viewer.locator(".jp-gpuext-Viewer-child", { hasText: "t2m" }).click();

  let maps = 0;
  const count = (request) => (maps += request.url().includes("/tensors/chunks"));
  page.on("request", count);
  const places = viewer.locator(".jp-gpuext-Viewer-places");
  const canvas = viewer.locator("canvas").first();
  await places.filter({ hasText: "time[0] = 2020-01-01" }).waitFor();
  await command(page, "application:toggle-left-area");
  const first = await picture(page, canvas);
  await shot(page, "light");
  await viewer
    .locator('[role="slider"][aria-orientation="vertical"]')
    .first()
    .focus();
  await page.keyboard.press("ArrowUp");
  await places.filter({ hasText: "2020-01-01 06:00" }).waitFor();
  const second = await picture(page, canvas);
  const where = await places.innerText();
  await theme(page, "Dark");
  const night = await picture(page, canvas);
  const plan = viewer.locator('.jp-gpuext-Viewer-cost[data-stale="false"]');
  await plan.filter({ hasText: "reads" }).waitFor();
  const cost = await plan.innerText();
  await shot(page, "dark");
  const load = await inserted(page, viewer, "Insert load");
  const xarray = await inserted(page, viewer, "Insert xarray");
  const sample = await inserted(page, viewer, "Insert sample");

  const select = viewer.getByRole("textbox", { name: "select" });
  await select.fill("latitude=60:30");
  await select.press("Enter");
  const part = viewer.locator(".jp-gpuext-Viewer-part");
  await part.waitFor();
  const said = (await part.innerText())
    .split("\n")[0]
    .replace(" Show all", "")
    .trim();
  await plan.filter({ hasText: "what you use" }).waitFor();
  const partCost = await plan.innerText();
  await picture(page, canvas);
  await shot(page, "part-dark");
  const stream = await inserted(page, viewer, "Insert ZarrStream");
  const told = await walkAbout(page, viewer);
  await viewer.getByRole("tab", { name: "Line" }).click();
  await page.waitForTimeout(800);
  await shot(page, "line-dark");
  await viewer.getByRole("tab", { name: "Heatmap" }).click();
  await theme(page, "Light");

  await viewer.getByRole("combobox", { name: "Array" }).selectOption("/sheet");
  const ask = viewer.getByRole("dialog");
  await ask.waitFor();
  const question = await ask.innerText();
  await shot(page, "question");
  await ask.getByRole("button", { name: "Overview" }).click();
  await part.waitFor();
  const overview = await part.innerText();
  await canvas.waitFor();
  await cellsOf(viewer, 36);
  await shot(page, "overview");
  await select.fill("0:1000, :");
  await select.press("Enter");
  const hole = await cellsOf(viewer, 6);
  await viewer.getByRole("button", { name: "Chunks" }).click();
  page.off("request", count);

  await command(page, VIEW, {
    connection: "era5",
    key: "picture.npy",
    path: "",
    select: "",
  });
  await viewer.getByRole("button", { name: "By index" }).click();
  await viewer.getByRole("tab", { name: "RGB" }).waitFor();
  const tabs = await viewer.getByRole("tab").allInnerTexts();
  await picture(page, canvas);
  await shot(page, "rgb");
  await viewer.getByRole("tab", { name: "Matrix" }).click();
  await page.waitForTimeout(500);
  await shot(page, "matrix");

  await command(page, VIEW, {
    connection: "slow",
    key: "t2m.zarr/",
    path: "/t2m",
    select: "",
  });
  await viewer.getByRole("button", { name: "Cancel?" }).click();
  const cancelled = viewer.getByText("Request cancelled");
  await cancelled.waitFor();
  await shot(page, "cancelled");
  const words = await cancelled.innerText();

  const opened = await fromCell(page);
  await part.waitFor();
  const again = (await part.innerText()).split('\n')[0].replace(' Show all', '').trim();
  await runSample(page);
  const batch = await runStream(page);
  return {
    ...{ group, load, xarray, sample, stream, batch, question, overview, tabs, opened, again },
    ...{ cost, partCost, hole, maps, ...told },
    places: where,
    part: said,
    cancelled: words,
    colours: new Set(first.map(String)).size,
    moved: distance(first, second),
    dark: distance(second, night),
  };
});

/** The pixels of the canvas as it is seen, 24 by 24, once they stand still. */
async function picture(page, canvas) {
  await canvas.waitFor();
  let before = "";
  for (let i = 0; i < 40; i += 1) {
    const now = (await canvas.screenshot()).toString("base64");
    if (now === before) {
      break;
    }
    before = now;
    await page.waitForTimeout(150);
  }
  return page.evaluate(async (base64) => {
    const blob = await (await fetch(`data:image/png;base64,${base64}`)).blob();
    const paper = new OffscreenCanvas(24, 24).getContext("2d");
    paper.drawImage(await createImageBitmap(blob), 0, 0, 24, 24);
    const { data } = paper.getImageData(0, 0, 24, 24);
    return Array.from({ length: 24 * 24 }, (_, i) => [
      ...data.slice(4 * i, 4 * i + 3),
    ]);
  }, before);
}

/** With the keyboard: the chunks and the attributes beside the picture, in both themes, and below it. */
async function walkAbout(page, viewer) {
  for (const name of ["Chunks", "Attributes"]) {
    await viewer.getByRole("button", { name }).focus();
    await page.keyboard.press("Enter");
  }
  const chunks = await cellsOf(viewer, 1);
  const side = viewer.getByRole("complementary");
  const names = side.locator(".jp-gpuext-Pairs dt");
  await names.first().waitFor();
  const texts = await side.locator(".jp-gpuext-Pairs dd").allInnerTexts();
  const attributes = Object.fromEntries(
    (await names.allInnerTexts()).map((name, i) => [name, texts[i]]),
  );
  await shot(page, "about-dark");
  await theme(page, "Light");
  await shot(page, "about-light");
  await page.setViewportSize({ width: 640, height: 860 });
  await page.waitForTimeout(300); // the layout follows
  await shot(page, "about-narrow");
  await page.setViewportSize({ width: 1440, height: 860 });
  await theme(page, "Dark");
  await side.getByRole("button", { name: "more" }).focus();
  await page.keyboard.press("Enter");
  const less = side.getByRole("button", { name: "less" });
  const history = await less.locator("..").innerText();
  await viewer.getByRole("button", { name: "Attributes" }).click();
  return { chunks, attributes, history };
}

/** What the map of chunks counts, once so many of them are touched. */
async function cellsOf(viewer, touchedCount) {
  const map = viewer.locator('.jp-gpuext-Map[data-stale="false"]');
  const canvas = map.locator(`canvas[data-touched="${touchedCount}"]`);
  await canvas.waitFor();
  const { cells, stored, missing, touched, touchedMissing } =
    await canvas.evaluate((node) => ({ ...node.dataset }));
  return { cells, stored, missing, touched, touchedMissing };
}

/** The sample's cell writes it, now that the cell above it was run. */
async function runSample(page) {
  await page.locator(".lm-TabBar-tab", { hasText: "view.ipynb" }).click();
  const cell = page.locator(".jp-Notebook .jp-CodeCell", {
    hasText: "%blob sample",
  });
  await cell.locator(".cm-content").click();
  await command(page, "notebook:run-cell");
  await cell
    .locator(".jp-OutputArea-output", { hasText: "arrays" })
    .waitFor({ timeout: 60000 });
  await shot(page, "sampled");
}

/** The stream's cell prints the shapes of its first batch. */
async function runStream(page) {
  const cell = page.locator(".jp-Notebook .jp-CodeCell", {
    hasText: "ZarrStream",
  });
  await cell.locator(".cm-content").click();
  await command(page, "notebook:run-cell");
  const output = cell.locator(".jp-OutputArea-output");
  await output.waitFor({ timeout: 60000 });
  await shot(page, "streamed");
  return output.innerText();
}

/** How far two pictures are apart in their middle, where nothing but data is. */
function distance(a, b) {
  const isMiddle = (i) =>
    Math.abs((i % 24) - 12) < 6 && Math.abs(Math.floor(i / 24) - 12) < 6;
  const [one, other] = [a, b].map((all) =>
    all.filter((_, i) => isMiddle(i)).flat(),
  );
  const differences = one.map((value, i) => Math.abs(value - other[i]));
  return (
    differences.reduce((sum, value) => sum + value, 0) / differences.length
  );
}

async function inserted(page, viewer, name) {
  await viewer.getByRole("button", { name }).click();
  const source = await page.evaluate(() => {
    const { activeCell } = window.jupyterapp.shell.currentWidget.content;
    return activeCell.model.sharedModel.getSource();
  });
  await page.locator(".lm-TabBar-tab", { hasText: "t2m.zarr" }).first().click();
  return source;
}

/** A cell that is run opens the viewer by itself; once it is closed, the button does. */
async function fromCell(page) {
  const close = () =>
    page.evaluate(() => {
      for (const widget of [...window.jupyterapp.shell.widgets("main")]) {
        if (widget.id.startsWith("jupyter-gpu-ext-view-")) {
          widget.close();
        }
      }
    });
  const viewers = () => page.locator(".jp-gpuext-Viewer").count();
  await close();
  await page.locator(".lm-TabBar-tab", { hasText: "view.ipynb" }).click();
  const cell = page.locator(".jp-Notebook .jp-CodeCell").first();
  await cell.locator(".cm-content").click();
  await command(page, "notebook:run-cell");
  await page.locator(".jp-gpuext-Viewer").waitFor();
  const once = await viewers();
  await close();
  await page.locator(".lm-TabBar-tab", { hasText: "view.ipynb" }).click();
  await cell.getByRole("button", { name: "Open viewer" }).click();
  await page.locator(".jp-gpuext-Viewer:visible").waitFor();
  return once + (await viewers());
}
