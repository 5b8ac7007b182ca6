import type { ServerConnection } from '@jupyterlab/services';

import { json, request } from '../request';
import type {
  ExportedJob,
  JobProof,
  JobRequest,
  JobRun,
  ProofRequest,
  RunRequest
} from './contract';

/** The endpoints of jobs; they come with the dialog, not with the page. */
export class ExportApi {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  job(body: JobRequest, signal?: AbortSignal): Promise<ExportedJob> {
    const init = { ...json('POST', body), signal };
    return request(this._settings, 'export/job', {}, init);
  }

  run(body: RunRequest): Promise<JobRun> {
    return request(this._settings, 'export/run', {}, json('POST', body));
  }

  runs(): Promise<{ runs: readonly JobRun[] }> {
    return request(this._settings, 'export/runs');
  }

  stop(id: string): Promise<object> {
    const init = { method: 'DELETE' };
    return request(this._settings, `export/runs/${id}`, {}, init);
  }

  prove(body: ProofRequest): Promise<JobProof> {
    return request(this._settings, 'export/proof', {}, json('POST', body));
  }

  proofs(): Promise<{ proofs: readonly JobProof[] }> {
    return request(this._settings, 'export/proofs');
  }

  stopProof(id: string): Promise<object> {
    const init = { method: 'DELETE' };
    return request(this._settings, `export/proofs/${id}`, {}, init);
  }
}
