/** Speaks the volume protocol to one plugin socket as an engine does, and keeps the engine's words: `Err` comes back as text. */
import { request } from 'node:http';

export interface VolumeReply {
  readonly Err?: string;
  readonly Mountpoint?: string;
  readonly Volume?: WireVolume;
  readonly Volumes?: readonly WireVolume[];
}

export interface WireVolume {
  readonly Name: string;
  readonly Mountpoint: string;
  readonly CreatedAt?: string;
  readonly Status?: Readonly<Record<string, unknown>>;
}

export interface VolumeClient {
  /** The reply as it came; a failed call is a reply with Err. */
  call(method: string, body?: unknown): Promise<VolumeReply>;
  create(name: string, options?: Readonly<Record<string, string>>): Promise<void>;
  mount(name: string, id: string): Promise<string>;
  unmount(name: string, id: string): Promise<void>;
  remove(name: string): Promise<void>;
  get(name: string): Promise<WireVolume>;
  status(name: string): Promise<Readonly<Record<string, unknown>>>;
  names(): Promise<readonly string[]>;
  /** What an engine does when it starts. */
  activate(client?: 'docker' | 'podman'): Promise<void>;
}

export function volumeClient(socketPath: string): VolumeClient {
  const call: VolumeClient['call'] = (method, body) => exchange(socketPath, `/VolumeDriver.${method}`, body, docker);
  const succeed = async (method: string, body: unknown): Promise<VolumeReply> => {
    const reply = await call(method, body);
    if (reply.Err !== undefined && reply.Err !== '') throw new Error(reply.Err);
    return reply;
  };
  return {
    call,
    create: async (name, options) => void (await succeed('Create', { Name: name, Opts: options ?? null })),
    mount: async (name, id) => (await succeed('Mount', { Name: name, ID: id })).Mountpoint ?? '',
    unmount: async (name, id) => void (await succeed('Unmount', { Name: name, ID: id })),
    remove: async (name) => void (await succeed('Remove', { Name: name })),
    get: async (name) => (await succeed('Get', { Name: name })).Volume as WireVolume,
    status: async (name) => (await succeed('Get', { Name: name })).Volume?.Status ?? {},
    names: async () => ((await succeed('List', {})).Volumes ?? []).map(({ Name }) => Name),
    activate: async (client = 'docker') =>
      void (await exchange(socketPath, '/Plugin.Activate', undefined, client === 'docker' ? docker : podman)),
  };
}

const docker = { accept: 'application/vnd.docker.plugins.v1.2+json' };
const podman = { host: 'plugin', 'content-type': 'application/vnd.docker.plugins.v1.1+json' };

function exchange(
  socketPath: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<VolumeReply> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve(JSON.parse(text) as VolumeReply));
    });
    call.on('error', reject);
    call.end(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body));
  });
}
