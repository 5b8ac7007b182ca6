import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Entry, UploadRequest } from '../src/api';
import { ApiError } from '../src/request';
import { Pace } from '../src/storage/pace';
import { jobLine, uploadLine } from '../src/storage/transferlines';
import type { UploadApi } from '../src/storage/upload';
import { Upload } from '../src/storage/upload';
import type { Answer } from '../src/storage/uploads';
import { Uploads } from '../src/storage/uploads';
import { entry, trans } from './helpers';

const PATH = { connection: 'run7', key: 'runs/x.bin' };
const FAILED = new ApiError(502, 'unreachable', 'No answer.', '');
const EXISTS = new ApiError(409, 'exists', 'It is there.', '');

/** The server's side of an upload, in memory, by the same rules. */
class Server implements UploadApi {
  readonly objects = new Map<string, string>();
  readonly puts: number[] = [];
  aborted = 0;
  opened: UploadRequest[] = [];
  /** What becomes of a block; throws to refuse it. */
  onPut: (index: number) => void | Promise<void> = () => undefined;

  async openUpload(body: UploadRequest) {
    this.opened.push(body);
    if (this.objects.has(body.key) && !body.overwrite) {
      throw EXISTS;
    }
    const id = body.resume_id ?? `u${this.opened.length}`;
    const blocks = this._blocks.get(id) ?? new Map<number, string>();
    this._blocks.set(id, blocks);
    this._keys.set(id, body.key);
    return { id, block_bytes: 4, received: [...blocks.keys()] };
  }

  async putBlock(id: string, index: number, body: Blob, signal: AbortSignal) {
    signal.throwIfAborted();
    await this.onPut(index);
    this.puts.push(index);
    const blocks = this._blocks.get(id) ?? new Map<number, string>();
    blocks.set(index, await body.text());
    return { received: [...blocks.keys()] };
  }

  async commitUpload(id: string): Promise<Entry> {
    const blocks = [...(this._blocks.get(id) ?? [])].sort(([a], [b]) => a - b);
    const key = this._keys.get(id) ?? '';
    this.objects.set(key, blocks.map(([, text]) => text).join(''));
    return entry(key);
  }

  async abortUpload() {
    this.aborted += 1;
    return {};
  }

  private readonly _blocks = new Map<string, Map<number, string>>();
  private readonly _keys = new Map<string, string>();
}

const start = (server: Server, text: string, waits: number[] = []) =>
  new Upload(server, PATH, new Blob([text]), waits);

test('a file arrives block by block, the last one shorter', async () => {
  for (const text of ['', 'a', 'abcd', 'abcde', 'abcdefghijklmnopqrstu']) {
    const server = new Server();
    const upload = start(server, text);
    assert.equal((await upload.run())?.key, PATH.key);
    assert.equal(upload.state, 'done');
    assert.equal(upload.doneBytes, text.length);
    assert.equal(server.objects.get(PATH.key), text);
    assert.equal(server.puts.length, Math.ceil(text.length / 4));
  }
});

test('a block that fails once is sent again', async () => {
  const server = new Server();
  let failures = 2;
  server.onPut = () => {
    if (failures > 0) {
      failures -= 1;
      throw FAILED;
    }
  };
  const upload = start(server, 'abcdefgh', [0, 0]);
  await upload.run();
  assert.equal(server.objects.get(PATH.key), 'abcdefgh');
});

test('an upload that was interrupted sends only what is missing', async () => {
  const server = new Server();
  server.onPut = index => {
    if (index > 1) {
      throw FAILED;
    }
  };
  const upload = start(server, 'aaaabbbbccccdd');
  assert.equal(await upload.run(), null);
  assert.equal(upload.state, 'interrupted');
  assert.equal(upload.problem, FAILED);
  assert.equal(upload.doneBytes, 8);
  server.onPut = () => undefined;
  upload.again();
  await upload.run();
  assert.deepEqual(
    server.puts.toSorted((a, b) => a - b),
    [0, 1, 2, 3]
  );
  assert.equal(server.opened[1]?.resume_id, 'u1');
  assert.equal(server.objects.get(PATH.key), 'aaaabbbbccccdd');
});

test('a refusal is final, and no other block is begun', async () => {
  const server = new Server();
  server.onPut = () => {
    throw new ApiError(424, 'denied', 'No.', '');
  };
  const upload = start(server, 'x'.repeat(400), [0, 0]);
  await upload.run();
  assert.equal(upload.state, 'failed');
  assert.equal(server.puts.length, 0);
  assert.equal(server.objects.size, 0);
});

test('what exists is asked about, not called a failure', async () => {
  const server = new Server();
  server.objects.set(PATH.key, 'old');
  const upload = start(server, 'abcdef');
  await upload.run();
  assert.equal(upload.state, 'asking');
  upload.replace();
  await upload.run();
  assert.equal(server.objects.get(PATH.key), 'abcdef');
});

test('cancel stops and tells the server to forget', async () => {
  const server = new Server();
  const upload = start(server, 'x'.repeat(400));
  server.onPut = async index => {
    if (index === 5) {
      await upload.cancel();
    }
  };
  assert.equal(await upload.run(), null);
  assert.equal(upload.state, 'cancelled');
  assert.equal(server.aborted, 1);
  assert.equal(server.objects.size, 0);
});

async function settled(uploads: Uploads): Promise<void> {
  while (uploads.isBusy) {
    await new Promise(resolve => setTimeout(resolve, 1));
  }
}

test('what exists is replaced only when a person says so', async () => {
  const table: [Answer[], string[]][] = [
    [
      ['skip', 'replace', 'skip'],
      ['old', 'new1', 'old']
    ],
    [['replace all'], ['new0', 'new1', 'new2']],
    [['skip all'], ['old', 'old', 'old']]
  ];
  for (const [answers, expected] of table) {
    const server = new Server();
    const made: string[] = [];
    const ask = async () => answers.shift() ?? assert.fail('asked too often');
    const onMade = ({ key }: { key: string }) => made.push(key);
    const uploads = new Uploads({ api: server, ask, onMade });
    const keys = expected.map((_, index) => `k${index}`);
    keys.forEach(key => server.objects.set(key, 'old'));
    keys.forEach((key, index) =>
      uploads.add({ connection: 'run7', key }, new Blob([`new${index}`]))
    );
    await settled(uploads);
    assert.deepEqual(
      keys.map(key => server.objects.get(key)),
      expected
    );
    assert.equal(made.length, expected.filter(text => text !== 'old').length);
  }
});

test('a few files are sent at once, the rest wait', async () => {
  const server = new Server();
  const uploads = new Uploads({
    api: server,
    ask: () => assert.fail('nothing exists'),
    onMade: () => undefined
  });
  let most = 0;
  uploads.changed.connect(() => {
    const running = uploads.all.filter(({ state }) => state === 'running');
    most = Math.max(most, running.length);
  });
  for (let index = 0; index < 9; index += 1) {
    uploads.add({ connection: 'run7', key: `k${index}` }, new Blob(['abcdef']));
  }
  await settled(uploads);
  assert.equal(server.objects.size, 9);
  assert.equal(most, 2);
});

test('the pace is that of the last seconds', () => {
  let now = 0;
  const pace = new Pace(() => now);
  pace.start(500);
  assert.equal(pace.perSecond, null);
  [now] = [1];
  pace.reached(600);
  assert.equal(pace.perSecond, 100);
  [now] = [20];
  pace.reached(700);
  [now] = [21];
  pace.reached(1700);
  assert.ok((pace.perSecond ?? 0) < 100 && (pace.perSecond ?? 0) > 50);
  [now] = [30];
  pace.reached(10_700);
  assert.equal(pace.perSecond, 1000);
});

test('a line says how far, how fast and how long', () => {
  const running = {
    state: 'running' as const,
    doneBytes: 9.4e9,
    sizeBytes: 26e9,
    bytesPerSecond: 310e6
  };
  assert.equal(
    uploadLine(running, trans).detail,
    '9.4 / 26.0 GB · 310 MB/s · 54 s left'
  );
  const early = { ...running, bytesPerSecond: null };
  assert.equal(uploadLine(early, trans).detail, '9.4 / 26.0 GB');
  const sent = { ...running, doneBytes: 26e9 };
  assert.equal(uploadLine(sent, trans).detail, '26.0 / 26.0 GB · finishing…');
  const empty = { ...early, doneBytes: 0, sizeBytes: 0 };
  assert.equal(uploadLine(empty, trans).ratio, 0);
  assert.equal(uploadLine({ ...empty, state: 'done' }, trans).ratio, 1);
});

test('a job says how many, and how many failed', () => {
  const job = {
    id: 'd',
    kind: 'deletion',
    title: 'Delete',
    done: 297,
    total: 300,
    state: 'failed' as const,
    failed: [{ key: 'a', code: 'denied', message: 'held' }]
  };
  assert.equal(jobLine(job, trans).detail, 'ended · 297 of 300 · 1 failed');
  const unknown = {
    ...job,
    state: 'running' as const,
    total: null,
    failed: []
  };
  assert.deepEqual(jobLine(unknown, trans), { ratio: null, detail: '297' });
  const begun = { ...unknown, done: 0, total: 0 };
  const detail = 'looking what is there…';
  assert.deepEqual(jobLine(begun, trans), { ratio: null, detail });
});
