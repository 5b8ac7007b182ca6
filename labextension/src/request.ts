import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

const ROOT = 'jupyter-gpu-ext/api';

/** What the server refuses with; `code` is empty when the reply was not ours. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string,
    /** What else the refusal says. */
    readonly details: Readonly<Record<string, unknown>> = {}
  ) {
    super(message);
  }
}

/** Whatever was thrown, as one of ours. */
export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError
    ? error
    : new ApiError(0, '', String(error), '');
}

/** What is asked by; a list is sent as one argument an entry. */
export type Query = Readonly<
  Record<string, string | number | boolean | readonly string[]>
>;

/**
 * Ask the server extension.
 *
 * @param path - The path below `jupyter-gpu-ext/api`.
 * @throws ApiError - Whatever went wrong; status 0 when no reply came.
 */
export async function request<T>(
  settings: ServerConnection.ISettings,
  path: string,
  query: Query = {},
  init: RequestInit = {}
): Promise<T> {
  const response = await open(settings, path, query, init);
  const body = parse(await response.text());
  if (body === undefined) {
    throw new ApiError(response.status, '', '', '');
  }
  return body as T;
}

/** Ask for what is no JSON; a refusal is thrown like any other. */
export async function open(
  settings: ServerConnection.ISettings,
  path: string,
  query: Query,
  init: RequestInit
): Promise<Response> {
  const response = await send(urlOf(settings, path, query), init, settings);
  if (!response.ok) {
    throw refusal(response, parse(await response.text()));
  }
  return response;
}

/** An endpoint's address, below the server's base URL. */
export function urlOf(
  settings: ServerConnection.ISettings,
  path: string,
  query: Query
): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map(one => `${name}=${encodeURIComponent(one)}`)
  );
  const asked = pairs.length > 0 ? `?${pairs.join('&')}` : '';
  return URLExt.join(settings.baseUrl, ROOT, path) + asked;
}

/** A request that carries JSON. */
export function json(method: string, body: object): RequestInit {
  const headers = { 'Content-Type': 'application/json' };
  return { method, headers, body: JSON.stringify(body) };
}

async function send(
  url: string,
  init: RequestInit,
  settings: ServerConnection.ISettings
): Promise<Response> {
  try {
    return await ServerConnection.makeRequest(url, init, settings);
  } catch (error) {
    throw new ApiError(0, 'no_reply', String(error), '');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function refusal(response: Response, body: unknown): ApiError {
  const fields: Record<string, unknown> =
    typeof body === 'object' && body !== null ? { ...body } : {};
  return new ApiError(
    response.status,
    text(fields.code),
    text(fields.message),
    text(fields.hint),
    fields
  );
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
