// The way down to a path: folder by folder, each opened on the way.

import type { StorageModel } from './model';
import { entryId, placeId } from './state';
import type { Path } from './target';
import { stepsTo } from './target';

/**
 * Open the folders down to a key and select it. A folder of which only a
 * part is listed is narrowed to the name, so a key is found among millions.
 */
export async function goTo(
  model: StorageModel,
  { connection, key }: Path
): Promise<void> {
  const root = { connection, prefix: '' };
  model.selectId(placeId(root));
  await model.open(root);
  for (const [prefix, next] of stepsTo(key)) {
    const found = await model.reveal({ connection, prefix }, next);
    if (!found) {
      return;
    }
    model.selectId(entryId(connection, found));
    if (found.kind === 'folder') {
      await model.open({ connection, prefix: found.key });
    }
  }
  model.look();
}
