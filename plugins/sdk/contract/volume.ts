/** Conformance of a volume plugin. Makes volumes with names of its own and removes them. */
import { randomBytes } from 'node:crypto';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { RemoteError } from '../client.ts';
import { type ContractReport, ContractRun, expect, NotApplicable } from './report.ts';
import { Subject, type SubjectOptions } from './subject.ts';
import { checkAlive, checkTransport } from './transport-checks.ts';

export interface VolumeSuiteOptions extends SubjectOptions {
  /** `Opts` of Create, where the driver needs some. */
  readonly options?: Readonly<Record<string, string>>;
  /** What is written is gone after the last unmount, as with tmpfs. */
  readonly volatile?: boolean;
  /** false: mountpoints are not visible here, such as those of a managed plugin. */
  readonly visible?: boolean;
}

const CASES = {
  bodyless: 'VolumeDriver.List',
  needsBody: ['Create', 'Get', 'Mount', 'Unmount', 'Path', 'Remove'].map((method) => `VolumeDriver.${method}`),
  wrongTypes: [
    ['VolumeDriver.Create', { Name: 5 }],
    ['VolumeDriver.Create', { Name: ['a'] }],
    ['VolumeDriver.Create', { Name: 'cleat-contract-types', Opts: 'size=1' }],
    ['VolumeDriver.Create', { Name: 'cleat-contract-types', Opts: { size: {} } }],
    ['VolumeDriver.Get', { Name: {} }],
    ['VolumeDriver.Mount', { Name: 7, ID: 'x' }],
  ],
} as const;

/** Tests the plugin behind the socket; the report has the reason for each failure. */
export async function testVolumePlugin(options: VolumeSuiteOptions): Promise<ContractReport> {
  const subject = new Subject('volume', options);
  const run = new ContractRun('volume', options.socket, options.onResult);
  try {
    await checkTransport(run, subject, CASES);
    await new VolumeSuite(run, subject, options).run();
    await checkAlive(run, subject, CASES.bodyless);
  } finally {
    subject.close();
  }
  return run.report;
}

class VolumeSuite {
  readonly #run: ContractRun;
  readonly #subject: Subject;
  readonly #options: VolumeSuiteOptions;

  constructor(run: ContractRun, subject: Subject, options: VolumeSuiteOptions) {
    this.#run = run;
    this.#subject = subject;
    this.#options = options;
  }

  get #volume() {
    return this.#subject.client.volume;
  }

  async run(): Promise<void> {
    await this.#lifecycle();
    await this.#mounting();
    await this.#unknown();
    await this.#names();
    await this.#concurrency();
  }

  /** A volume that exists while the body runs. */
  async #withVolume(body: (name: string) => Promise<void>): Promise<void> {
    const name = `cleat-contract-${randomBytes(6).toString('hex')}`;
    await this.#volume.create({ name, options: this.#options.options ?? {} });
    try {
      await body(name);
    } finally {
      await this.#volume.remove({ name });
    }
  }

  async #lifecycle(): Promise<void> {
    await this.#run.check('Capabilities names a scope', async () => {
      const reply = await this.#subject.send({ method: 'VolumeDriver.Capabilities', body: '{}' });
      if (reply.status === 404) throw new NotApplicable('not offered: engines take the scope for local');
      const scope = (reply.body?.['Capabilities'] as { Scope?: unknown } | undefined)?.Scope;
      const known = typeof scope === 'string' && ['local', 'global'].includes(scope.toLowerCase());
      expect(known, `"Capabilities.Scope" is ${JSON.stringify(scope)}, not "local" or "global"`);
    });
    await this.#run.check('Create, Get, List and Remove agree', () =>
      this.#withVolume(async (name) => {
        const volume = await this.#volume.get({ name });
        expect(volume?.name === name, `Get answered the name "${volume?.name}" for "${name}"`);
        const listed = await this.#volume.list();
        expect(
          listed.some((one) => one.name === name),
          `List does not show "${name}", which was created`,
        );
        await this.#volume.remove({ name });
        await this.#expectAbsent(name, 'after Remove');
      }),
    );
    await this.#run.check('Create is repeatable with the same options', () =>
      this.#withVolume(async (name) => {
        await this.#volume.create({ name, options: this.#options.options ?? {} });
        const listed = (await this.#volume.list()).filter((one) => one.name === name);
        expect(listed.length === 1, `List shows "${name}" ${listed.length} times after a second Create`);
      }),
    );
    await this.#run.check('null, missing and empty options mean the same', async () => {
      if (this.#options.options !== undefined) throw new NotApplicable('the driver needs options');
      for (const options of ['"Opts":null', '"Opts":{}', '"Labels":null']) {
        const name = `cleat-contract-${randomBytes(6).toString('hex')}`;
        const reply = await this.#subject.send({
          method: 'VolumeDriver.Create',
          body: `{"Name":"${name}",${options}}`,
        });
        expect(this.#subject.errorIn(reply) === undefined, `Create with ${options} was refused: ${reply.text}`);
        await this.#volume.remove({ name });
      }
    });
  }

  async #mounting(): Promise<void> {
    const id = () => randomBytes(32).toString('hex');
    await this.#run.check('Mount answers an absolute path, and Path and Get the same one', () =>
      this.#withVolume(async (name) => {
        const mount = id();
        const mountpoint = await this.#volume.mount({ name, id: mount });
        this.#expectUsable(mountpoint);
        const path = await this.#volume.path({ name });
        expect(path === mountpoint, `Path answered "${path}" while mounted at "${mountpoint}"`);
        await this.#volume.unmount({ name, id: mount });
      }),
    );
    await this.#run.check('two containers share a volume; the first to leave does not unmount it', () =>
      this.#withVolume(async (name) => {
        const [first, second] = [id(), id()];
        const mountpoint = await this.#volume.mount({ name, id: first });
        const again = await this.#volume.mount({ name, id: second });
        expect(again === mountpoint, `the second Mount answered "${again}", the first "${mountpoint}"`);
        this.#write(mountpoint);
        await this.#volume.unmount({ name, id: first });
        this.#expectWritten(mountpoint, 'after the first of two users left');
        await this.#volume.unmount({ name, id: second });
      }),
    );
    await this.#run.check('docker cp: a second Mount and Unmount with the same ID do not unmount the first', () =>
      this.#withVolume(async (name) => {
        const mount = id();
        const mountpoint = await this.#volume.mount({ name, id: mount });
        this.#write(mountpoint);
        await this.#volume.mount({ name, id: mount });
        await this.#volume.unmount({ name, id: mount });
        this.#expectWritten(mountpoint, 'after Mount, Mount, Unmount with one ID: the ID must be counted');
        await this.#volume.unmount({ name, id: mount });
      }),
    );
    await this.#run.check('what was written is there after an unmount and a mount', () =>
      this.#withVolume(async (name) => {
        if (this.#options.volatile) throw new NotApplicable('the volume is volatile');
        const mount = id();
        this.#write(await this.#volume.mount({ name, id: mount }));
        await this.#volume.unmount({ name, id: mount });
        const mountpoint = await this.#volume.mount({ name, id: mount });
        this.#expectWritten(mountpoint, 'in the next mount');
        await this.#volume.unmount({ name, id: mount });
      }),
    );
    await this.#run.check('Unmount succeeds for an ID that is not mounted, also twice', () =>
      this.#withVolume(async (name) => {
        await this.#volume.unmount({ name, id: id() });
        await this.#volume.unmount({ name, id: id() });
      }),
    );
  }

  async #unknown(): Promise<void> {
    const name = `cleat-contract-missing-${randomBytes(6).toString('hex')}`;
    await this.#run.check('Get of an unknown volume is an error, which engines read as "not found"', () =>
      this.#expectAbsent(name, 'that was never created'),
    );
    await this.#run.check('Mount of an unknown volume is an error', async () => {
      const mount = () => this.#volume.mount({ name, id: '0'.repeat(64) });
      await this.#subject.expectError(mount, 'Mount of a volume that does not exist');
    });
    await this.#run.check('Unmount and Remove of an unknown volume succeed: it may be the second try', async () => {
      await this.#volume.unmount({ name, id: '0'.repeat(64) });
      await this.#volume.remove({ name });
    });
  }

  async #names(): Promise<void> {
    await this.#run.check('names that are paths lead nowhere: engines pass every name on', async () => {
      for (const name of ['..', '../../cleat-contract-evil', 'a/b', '/etc', 'x\0y', '.', 'a'.repeat(300)]) {
        try {
          await this.#volume.create({ name, options: this.#options.options ?? {} });
        } catch (error) {
          if (error instanceof RemoteError) continue;
          throw error;
        }
        const mountpoint = (await this.#volume.get({ name }))?.mountpoint ?? '';
        await this.#volume.remove({ name });
        const shown = JSON.stringify(name.slice(0, 40));
        expect(
          !mountpoint.split('/').includes('..') && normalize(mountpoint) !== '/etc',
          `${shown} led to ${mountpoint}`,
        );
        const contained = !name.includes('/') && !name.includes('\0') && !/^\.+$/.test(name);
        expect(contained, `a volume named ${shown} was made; refuse names that are no plain words`);
      }
    });
  }

  async #concurrency(): Promise<void> {
    await this.#run.check('six volumes are made, mounted and removed at the same time', async () => {
      await Promise.all(
        Array.from({ length: 6 }, () =>
          this.#withVolume(async (name) => {
            const mountpoint = await this.#volume.mount({ name, id: name });
            this.#expectUsable(mountpoint);
            await this.#volume.unmount({ name, id: name });
          }),
        ),
      );
    });
    await this.#run.check('one volume is mounted for eight containers at the same time', () =>
      this.#withVolume(async (name) => {
        const ids = Array.from({ length: 8 }, () => randomBytes(32).toString('hex'));
        const paths = new Set(await Promise.all(ids.map((id) => this.#volume.mount({ name, id }))));
        expect(paths.size === 1, `the mounts of one volume answered ${paths.size} paths`);
        await Promise.all(ids.map((id) => this.#volume.unmount({ name, id })));
      }),
    );
  }

  async #expectAbsent(name: string, when: string): Promise<void> {
    try {
      const volume = await this.#volume.get({ name });
      expect(volume === undefined, `Get found a volume ${when}`);
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
    }
  }

  #expectUsable(mountpoint: string): void {
    if (this.#options.visible === false) return;
    expect(existsSync(mountpoint), `the mountpoint ${mountpoint} does not exist`);
    expect(statSync(mountpoint).isDirectory(), `the mountpoint ${mountpoint} is no directory`);
  }

  #write(mountpoint: string): void {
    this.#expectUsable(mountpoint);
    if (this.#options.visible !== false) writeFileSync(join(mountpoint, 'cleat-contract'), 'written');
  }

  #expectWritten(mountpoint: string, when: string): void {
    if (this.#options.visible === false) return;
    expect(existsSync(join(mountpoint, 'cleat-contract')), `a file in ${mountpoint} is gone ${when}`);
  }
}
