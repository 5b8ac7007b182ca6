import assert from 'node:assert/strict';
import { test } from 'node:test';

import manifest from '../package.json';
import { VERSION } from '../src/version';

test('the version said to people is the package version', () => {
  assert.equal(VERSION, manifest.version);
});
