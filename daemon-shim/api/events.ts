/** `/events`: kept events, then new ones as they come, one JSON object a line. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Engine } from '../engine.ts';
import type { EngineEvent } from '../events.ts';
import { badRequest } from './api-error.ts';
import { type Filters, matchesLabels, parseFilters } from './filters.ts';
import { queryOf } from './query.ts';
import { startStream } from './stream.ts';
import { parseUntil } from './until.ts';

const filterNames = [
  'config',
  'container',
  'daemon',
  'event',
  'image',
  'label',
  'network',
  'node',
  'plugin',
  'scope',
  'secret',
  'service',
  'type',
  'volume',
];
/** A client that does not read is given up when so much waits for it. */
const maxWaitingBytes = 8 << 20;
const maxTimerMs = 2 ** 31 - 1;

export function eventRoutes(app: FastifyInstance, engine: Engine): void {
  app.get('/events', (request, reply) => sendEvents(engine, request, reply));
}

async function sendEvents(engine: Engine, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const query = queryOf(request);
  const filters = parseFilters(query['filters'], filterNames);
  const since = timeOf(query['since']);
  const until = timeOf(query['until']);
  if (since !== undefined && until !== undefined && since > until) {
    throw badRequest(
      `\`since\` parameter (${query['since']}) cannot be later than \`until\` parameter (${query['until']})`,
    );
  }
  startStream(reply, 'application/json');
  const { raw } = reply;
  const send = (event: EngineEvent) => {
    if (!matches(event, filters) || raw.destroyed) return;
    raw.write(`${JSON.stringify(encodeEvent(event))}\n`);
    if (raw.writableLength > maxWaitingBytes) raw.destroy();
  };
  if (since !== undefined) {
    for (const event of engine.events.kept) {
      if (event.at >= since && (until === undefined || event.at <= until)) send(event);
    }
  }
  const waitMs = until === undefined ? undefined : Number((until - BigInt(Date.now()) * 1_000_000n) / 1_000_000n);
  if (waitMs !== undefined && waitMs <= 0) {
    raw.end();
    return;
  }
  const stop = engine.events.listen(send, () => raw.end());
  const timer = waitMs === undefined ? undefined : setTimeout(() => raw.end(), Math.min(waitMs, maxTimerMs));
  raw.on('close', () => {
    stop();
    clearTimeout(timer);
  });
}

/** Nanoseconds since 1970 from `SECONDS.NANOSECONDS`, which docker sends, or any other spelling of a time. */
function timeOf(text: string | undefined): bigint | undefined {
  if (text === undefined || text === '') return undefined;
  const [, seconds, fraction = ''] = /^([0-9]+)(?:\.([0-9]{1,9}))?$/.exec(text) ?? [];
  if (seconds !== undefined) return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  return BigInt(Math.round(parseUntil(text) * 1000)) * 1000n;
}

/** Containers and images have the fields of API 1.21 besides those that replaced them. */
function encodeEvent({ Type, Action, Actor, at }: EngineEvent): object {
  const legacy = {
    ...(Type === 'container' || Type === 'image' ? { status: Action, id: Actor.ID } : {}),
    ...(Type === 'container' && Actor.Attributes['image'] !== undefined ? { from: Actor.Attributes['image'] } : {}),
  };
  return {
    ...legacy,
    Type,
    Action,
    Actor,
    scope: 'local',
    time: Number(at / 1_000_000_000n),
    // A number with more digits than JSON.stringify can write exactly: see `exactNumber`.
    timeNano: rawNumber(at),
  };
}

/** JSON.rawJSON: nanoseconds since 1970 need 61 bits, a double has 53. */
function rawNumber(value: bigint): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(value));
}

function matches(event: EngineEvent, filters: Filters): boolean {
  const any = (name: string, test: (value: string) => boolean) => filters.get(name)?.some(test) ?? true;
  const { Type, Action, Actor } = event;
  const isActor = (type: string) => (value: string) =>
    Type === type && (Actor.ID.startsWith(value) || Actor.Attributes['name'] === value);
  return (
    any('type', (type) => type === Type) &&
    any('scope', (scope) => scope === 'local') &&
    // `exec_create: sh -c …` and `health_status: healthy` are found by their first word, too.
    any('event', (action) => action === Action || Action.startsWith(`${action}: `)) &&
    ['container', 'daemon', 'network', 'plugin', 'volume'].every((type) => any(type, isActor(type))) &&
    ['config', 'node', 'secret', 'service'].every((type) => any(type, () => false)) &&
    any('image', (image) => matchesImage(event, image)) &&
    matchesLabels(filters.get('label'), Actor.Attributes)
  );
}

/** Events of the image itself, and of containers made from it; with or without its tag. */
function matchesImage({ Type, Actor }: EngineEvent, image: string): boolean {
  if (Type !== 'image' && Type !== 'container') return false;
  const name = (Type === 'container' ? Actor.Attributes['image'] : Actor.Attributes['name']) ?? '';
  const withoutTag = name.replace(/:[^/:]*$/, '');
  return name === image || withoutTag === image || (Type === 'image' && Actor.ID === image);
}
