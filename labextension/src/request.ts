import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

const ROOT = 'jupyter-gpu-ext/api';

/** What the server refuses with; `code` is empty when the reply was not ours. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string
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

export type Query = Readonly<Record<string, string | number>>;

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
  const response = await send(urlOf(settings, path, query), init, settings);
  const body = parse(await response.text());
  if (!response.ok) {
    throw refusal(response, body);
  }
  if (body === undefined) {
    throw new ApiError(response.status, '', '', '');
  }
  return body as T;
}

/** An endpoint's address, below the server's base URL. */
export function urlOf(
  settings: ServerConnection.ISettings,
  path: string,
  query: Query
): string {
  return (
    URLExt.join(settings.baseUrl, ROOT, path) +
    URLExt.objectToQueryString(textual(query))
  );
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

function textual(query: Query): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).map(([key, value]) => [key, String(value)])
  );
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
    text(fields.hint)
  );
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
