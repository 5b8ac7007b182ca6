// What the server says of the GPUs; mirrors server/openapi.yaml, name by name.

export interface Device {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly memory_total_bytes: number | null;
  /** The uuid of the card that a MIG slice is a part of. */
  readonly slice_of: string | null;
  /** The device has no memory of its own; the numbers are the system's. */
  readonly shares_memory: boolean;
  readonly now: Reading | null;
}

/** The newest reading of a device. */
export interface Reading {
  readonly memory_used_bytes: number | null;
  readonly memory_free_bytes: number | null;
  readonly memory_reserved_bytes: number | null;
  /** 0 to 1. */
  readonly utilization_ratio: number | null;
  readonly temperature_celsius: number | null;
  readonly power_watts: number | null;
  readonly power_limit_watts: number | null;
  readonly graphics_clock_hertz: number | null;
  readonly memory_clock_hertz: number | null;
  /** In words; empty when nothing slows the clocks. */
  readonly throttled_by: readonly string[] | null;
  readonly fan_ratio: number | null;
  readonly energy_joules: number | null;
  readonly ecc_corrected_count: number | null;
  readonly ecc_uncorrected_count: number | null;
  readonly remapped_rows_count: number | null;
  readonly needs_reset: boolean | null;
  readonly pcie_generation: number | null;
  readonly pcie_width: number | null;
  readonly pcie_received_bytes_per_second: number | null;
  readonly pcie_sent_bytes_per_second: number | null;
  /** Field name to the reason it is null. */
  readonly unavailable: Readonly<Record<string, string>>;
}

export interface DeviceSample {
  readonly uuid: string;
  readonly memory_used_bytes: number | null;
  readonly utilization_ratio: number | null;
  readonly temperature_celsius: number | null;
  readonly power_watts: number | null;
}

export interface Sample {
  readonly cursor: number;
  /** Seconds since the epoch. */
  readonly time: number;
  readonly storage_bytes_per_second: number | null;
  readonly devices: readonly DeviceSample[];
}

/** What a notebook holds on a device. */
export interface Use {
  readonly uuid: string | null;
  /** Torch's name in that notebook; null where only the driver tells. */
  readonly device: string | null;
  /** null: it uses the device, and nobody says how much. */
  readonly bytes: number | null;
  readonly peak_bytes: number | null;
  /** Of `bytes`, what torch keeps for reuse. */
  readonly cached_bytes: number | null;
  readonly how: 'pid' | 'namespace_pid' | 'nspid' | 'descriptors' | 'report';
}

export interface Load {
  readonly name: string;
  readonly url: string;
  readonly device: string;
  readonly bytes: number;
}

/** A stream that a notebook reads just now; ratios are of its time so far. */
export interface Stream {
  readonly url: string;
  readonly samples_per_second: number;
  readonly wait_ratio: number;
  readonly network_ratio: number;
  readonly decode_ratio: number;
  readonly copy_ratio: number;
  readonly function_ratio: number;
  readonly lost_samples: number;
  /** May be empty. */
  readonly advice: string;
}

export interface KernelUse {
  readonly id: string;
  readonly path: string;
  readonly linked: boolean;
  /** Jupyter's word: busy, idle, starting, dead, unknown. */
  readonly state: string;
  readonly idle_seconds: number | null;
  readonly uses: readonly Use[];
  readonly loads: readonly Load[];
  readonly streams: readonly Stream[];
}

export interface GpuStatus {
  readonly version: string;
  readonly state: 'starting' | 'ok' | 'no_gpu' | 'blocked' | 'broken';
  readonly reason: string;
  readonly hint: string;
  readonly simulated: boolean;
  readonly stale: boolean;
  readonly interval_seconds: number;
  readonly cursor: number;
  readonly devices: readonly Device[];
  readonly samples: readonly Sample[];
  readonly kernels: readonly KernelUse[];
}

/** The last day, a point a minute; null where nothing was read. */
export interface History {
  readonly interval_seconds: number;
  /** Seconds since the epoch. */
  readonly times: readonly number[];
  readonly storage_bytes_per_second: Column;
  readonly devices: readonly DeviceHistory[];
}

export type Column = readonly (number | null)[];

export interface DeviceHistory {
  readonly uuid: string;
  readonly name: string;
  readonly memory_total_bytes: number | null;
  readonly memory_used_bytes: Column;
  readonly utilization_ratio: Column;
  readonly temperature_celsius: Column;
  readonly power_watts: Column;
}

/** Ways to free a notebook's device memory, the cheapest first. */
export type RungName =
  'cache' | 'traceback' | 'outputs' | 'restart' | 'shutdown';

export interface Rung {
  readonly rung: RungName;
  /** null: nobody can say beforehand. */
  readonly bytes: number | null;
  /** What is lost, in words. */
  readonly price: string;
}

export interface Rungs {
  readonly rungs: readonly Rung[];
}

export interface Released {
  readonly rung: RungName;
  readonly freed_bytes: number | null;
  readonly message: string;
}

export type Level = 'ok' | 'note' | 'warning' | 'error';

export interface Finding {
  readonly id: string;
  readonly level: Level;
  readonly title: string;
  readonly evidence: string;
  readonly fix: string;
  /** Where this is documented; may be empty. */
  readonly source: string;
}

export interface DoctorReport {
  readonly verdict: 'ok' | 'warning' | 'error';
  readonly title: string;
  readonly findings: readonly Finding[];
  /** Markdown, to be handed on. */
  readonly report: string;
  readonly facts: Readonly<Record<string, unknown>>;
}
