/** The volumes of one driver: their records, with the options read. */
import { PluginError } from '../sdk/errors.ts';
import type { Backend, BackendVolume } from './backend.ts';
import type { CommonConfig } from './common-options.ts';
import type { VolumeRecord, VolumeRecords } from './records.ts';

export class VolumeSet<C extends CommonConfig> {
  readonly backend: Backend<C>;
  readonly records: VolumeRecords;
  readonly #configs = new WeakMap<VolumeRecord['options'], C>();

  constructor(backend: Backend<C>, records: VolumeRecords) {
    this.backend = backend;
    this.records = records;
  }

  /** Throws VOL_NOT_FOUND; a volume that is being made or removed is not found either. */
  require(name: string): VolumeRecord {
    const record = this.records.get(name);
    if (record?.state === 'ready') return record;
    throw new PluginError('VOL_NOT_FOUND', `${this.backend.driver} has no volume "${name}"`, {
      hint: 'create it first',
    });
  }

  ready(): readonly VolumeRecord[] {
    return this.records.all().filter(({ state }) => state === 'ready');
  }

  /** Throws PROTO_OPTION for a record whose options a newer version wrote. */
  volume(record: VolumeRecord): BackendVolume<C> {
    let config = this.#configs.get(record.options);
    if (config === undefined) {
      config = this.backend.parse(record.options);
      this.#configs.set(record.options, config);
    }
    return { name: record.name, config, details: record.details };
  }
}
