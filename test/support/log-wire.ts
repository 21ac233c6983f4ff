/** What arrives at a server from a container, with Docker's own log driver and with ours, made comparable. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, inflateSync } from 'node:zlib';
import { eventually } from './deadline.ts';
import type { Engine } from './engine.ts';
import type { Host } from './host.ts';
import { logReceiver } from './log-receiver.ts';

export interface WireCase {
  readonly name: string;
  /** `udp:5514`, or the path of a unix datagram socket. */
  readonly place: string;
  readonly options: readonly string[];
  /** What the container runs; default: lines with what a format could trip over. Its last line is `end`. */
  readonly script?: string;
}

export interface Wire {
  /** The messages of one container with this log driver, normalised and sorted. */
  send(driver: string, one: WireCase): Promise<string[]>;
}

/** Lines apart in time, so that stdout and stderr come in one order. */
const defaultScript = [
  'echo out1; sleep 0.05; echo err1 >&2; sleep 0.05',
  `printf 'a<b>&"c\\\\d\\ttab\\001\\n'; printf '\\377\\376 bad \\342\\200\\250\\n'; echo; echo '  sp  '`,
  'sleep 0.05; printf end',
].join('; ');

/** `places` for log-receiver.ts, `datagrams` are paths of unix sockets, for which Node has nothing. */
export async function openWire(
  host: Host,
  engine: Engine,
  places: readonly string[],
  datagrams: readonly string[],
): Promise<Wire> {
  const receiver = logReceiver(host);
  await receiver.start(...places);
  const files = new Map(datagrams.map((path, index) => [path, join(host.dir, `datagrams-${index}`)]));
  for (const [path, file] of files) host.start('socat', ['-u', `UNIX-RECV:${path}`, `OPEN:${file},creat,append`]);
  await eventually('all sockets are there', () => datagrams.every((path) => existsSync(host.path(path))));

  const arrived = (place: string): readonly Buffer[] => {
    const file = files.get(place);
    if (file !== undefined) return existsSync(file) ? [...readFileSync(file)].map((byte) => Buffer.from([byte])) : [];
    return receiver
      .arrivals()
      .filter(({ at }) => at === place)
      .map(({ data }) => data);
  };
  const joined = (place: string, data: readonly Buffer[]): Buffer =>
    Buffer.concat(place.startsWith('udp') ? withoutChunks(data).map(unpacked) : data);
  return {
    async send(driver, { place, options, script = defaultScript }) {
      const before = arrived(place).length;
      const id = await engine.docker(
        ...['run', '-d', '--net', 'none', '-e', 'EV=é<1>', '-e', 'EX=2', '--label', 'lab=v', '--label', '_under=w'],
        ...['--log-driver', driver, ...options.flatMap((option) => ['--log-opt', option])],
        ...['busybox', 'sh', '-c', script],
      );
      const name = (await engine.docker('inspect', '-f', '{{.Name}}', id)).slice(1);
      const text = (): string =>
        normalised(joined(place, arrived(place).slice(before)), id, host.name).replaceAll(name, 'NAME');
      await eventually(`${driver} has sent its last line`, () => /"short_message":"end".*\}|end\n/.test(text()));
      return messages(text());
    },
  };
}

/** What differs from run to run: times, process number, container id. */
function normalised(data: Buffer, id: string, hostname: string): string {
  return data
    .toString('latin1')
    .replaceAll(id, 'ID')
    .replaceAll(id.slice(0, 12), 'ID12')
    .replaceAll(/\[\d+\]: /g, '[PID]: ')
    .replaceAll(/ (\S+) \d+ (\S+) - /g, ' $1 PID $2 - ')
    .replaceAll(/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d/g, 'STAMP')
    .replaceAll(
      new RegExp(`\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{6})?Z (?=${hostname})`, 'g'),
      (_, micros?: string) => (micros ? 'MICROS ' : 'SECONDS '),
    )
    .replaceAll(/"_created":"[^"]*"/g, '"_created":"TIME"')
    .replaceAll(/"timestamp":\d+(\.\d+)?,/g, '"timestamp":TIME,');
}

/** One by one, so that a difference is shown alone; sorted, since an engine may read stderr before stdout on a busy machine. */
function messages(text: string): string[] {
  return text.split(/(?<=\n)|(?<=\}\0?)(?=\{"version)/).sort();
}

function unpacked(data: Buffer): Buffer {
  if (data[0] === 0x1f && data[1] === 0x8b) return gunzipSync(data);
  if (data[0] === 0x78) return inflateSync(data);
  return data;
}

const chunkBytes = 1420;
const chunkHeaderBytes = 12;

/** GELF: chunks are put together; how a message is cut is part of what is compared, as a text before it. */
function withoutChunks(datagrams: readonly Buffer[]): Buffer[] {
  const chunks = datagrams.filter((data) => data[0] === 0x1e && data[1] === 0x0f);
  const whole = Map.groupBy(chunks, (chunk) => chunk.toString('hex', 2, 10));
  const joined = [...whole.values()]
    .filter((parts) => parts.length === parts[0]?.[11])
    .map((parts) => {
      const sorted = parts.toSorted((a, b) => (a[10] ?? 0) - (b[10] ?? 0));
      if (sorted.slice(0, -1).some(({ length }) => length !== chunkBytes)) throw new Error('a chunk is not full');
      return Buffer.concat(sorted.map((part) => part.subarray(chunkHeaderBytes)));
    });
  return [...datagrams.filter((data) => !chunks.includes(data)), ...joined];
}
