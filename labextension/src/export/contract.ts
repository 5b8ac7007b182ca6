// What the server says of jobs; mirrors server/openapi.yaml, name by name.

export interface Parameter {
  readonly name: string;
  /** As Python writes it. */
  readonly default: string;
  readonly annotation: string;
  readonly help: string;
}

export interface UsedConnection {
  readonly name: string;
  readonly root: string;
  readonly reads: boolean;
  readonly writes: boolean;
  /** The environment variable of its secret; '' for none. */
  readonly secret: string;
  readonly note: string;
  readonly kubernetes_secret: string;
}

export interface Remark {
  readonly cell: number;
  readonly line: number;
  readonly text: string;
}

/** What would be written, or was. */
export interface ExportedJob {
  readonly name: string;
  readonly image: string;
  readonly installs: boolean;
  readonly files: readonly {
    readonly name: string;
    readonly size_bytes: number;
  }[];
  readonly remarks: readonly Remark[];
  readonly notes: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly connections: readonly UsedConnection[];
  readonly peak_bytes: number | null;
  readonly gpu_memory_bytes: number | null;
  readonly folder: string;
  readonly exists: boolean;
  readonly written: boolean;
  readonly kept: readonly string[];
  readonly commands: {
    readonly kubernetes: string;
    readonly slurm: string;
    readonly here: string;
  };
}

export interface JobOptions {
  readonly image?: string;
  readonly code: 'configmap' | 'image';
  readonly gpus: number;
  readonly arguments: Readonly<Record<string, string>>;
  readonly service_account?: string;
  readonly secrets: Readonly<Record<string, string>>;
}

export interface JobRequest {
  readonly path: string;
  readonly kernel: string;
  readonly folder: string;
  readonly options: JobOptions;
  readonly write?: boolean;
  readonly overwrite?: boolean;
}

export interface RunRequest {
  readonly path: string;
  readonly kernel: string;
  readonly folder: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly log: string;
  readonly gpus: number;
}

export interface JobRun {
  readonly id: string;
  readonly folder: string;
  /** lost: killed before it could say how it ended. */
  readonly state: 'running' | 'ended' | 'lost';
  readonly exit_code: number | null;
  /** Seconds since the epoch. */
  readonly started_at: number | null;
  readonly ended_at: number | null;
  readonly log: string;
  /** The end of its output. */
  readonly tail: string;
}

export interface ProofRequest {
  readonly path: string;
  readonly kernel: string;
  readonly folder: string;
  readonly values: Readonly<Record<string, string>>;
}

/** The last proof of a folder. */
export interface JobProof {
  readonly id: string;
  readonly folder: string;
  readonly state: 'running' | 'holds' | 'differs' | 'failed' | 'stopped';
  readonly phase:
    'starting' | 'running the notebook' | 'running the script' | 'comparing';
  /** Seconds since the epoch. */
  readonly started_at: number;
  readonly ended_at: number | null;
  readonly title: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly differs: readonly {
    readonly kind: 'variable' | 'output' | 'file';
    readonly name: string;
    readonly detail: string;
  }[];
  readonly report: string;
}
