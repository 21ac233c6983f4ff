/** A client that asks one question without pause from inside a namespace and remembers every answer with its times. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { decode, encode } from 'dns-packet';
import { openUdp } from '../../plugins/linux/datagram.ts';
import { inNetns, type Netns } from '../../plugins/linux/netns.ts';

export interface Answered {
  readonly sentAt: number;
  readonly receivedAt: number;
  readonly addresses: readonly string[];
}

export interface Load {
  readonly answers: Answered[];
  /** Queries that had no answer in a second. */
  lost(): number;
  stop(): Promise<void>;
}

const lossMs = 1000;

/** Keeps `window` questions under way until stopped. Times are performance.now(). */
export function startLoad(netns: Netns, server: string, name: string, window: number): Load {
  const fd = inNetns(netns, () => openUdp({ port: 0 }));
  const socket = createSocket('udp4');
  // An adopted descriptor is bound already: "listening" comes before bind() returns.
  socket.bind({ fd });
  const answers: Answered[] = [];
  const waiting = new Map<number, number>();
  let id = 0;
  let lost = 0;
  let stopped = false;
  const ask = (): void => {
    if (stopped) return;
    id = (id + 1) & 0xffff;
    waiting.set(id, performance.now());
    socket.send(encode({ type: 'query', id, flags: 0x100, questions: [{ type: 'A', name }] }), 53, server);
  };
  socket.on('message', (message) => {
    const reply = decode(message);
    const sentAt = waiting.get(reply.id ?? -1);
    if (sentAt === undefined) return;
    waiting.delete(reply.id ?? -1);
    const addresses = (reply.answers ?? []).flatMap((one) => (one.type === 'A' ? one.data : []));
    answers.push({ sentAt, receivedAt: performance.now(), addresses });
    setImmediate(ask);
  });
  const timer = setInterval(() => {
    for (const [one, sentAt] of waiting) {
      if (performance.now() - sentAt < lossMs) continue;
      waiting.delete(one);
      lost++;
      ask();
    }
  }, 100);
  for (let i = 0; i < window; i++) ask();
  return {
    answers,
    lost: () => lost,
    async stop() {
      stopped = true;
      const until = performance.now() + lossMs;
      while (waiting.size > 0 && performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
      lost += waiting.size;
      clearInterval(timer);
      socket.close();
    },
  };
}

/** One datagram there, and the first that comes back. */
export async function exchange(netns: Netns, server: string, message: Uint8Array): Promise<Buffer> {
  const fd = inNetns(netns, () => openUdp({ port: 0 }));
  const socket = createSocket('udp4');
  socket.bind({ fd });
  try {
    const reply = once(socket, 'message', { signal: AbortSignal.timeout(2000) });
    socket.send(message, 53, server);
    return ((await reply) as [Buffer])[0];
  } finally {
    socket.close();
  }
}

/** Sends real questions with bytes changed, added and cut; counts what comes back, and names what no DNS library can read. */
export async function sendMutants(
  netns: Netns,
  server: string,
  count: number,
): Promise<{ replies: number; malformed: string[] }> {
  const fd = inNetns(netns, () => openUdp({ port: 0, receiveBufferBytes: 4 << 20 }));
  const socket = createSocket('udp4');
  socket.bind({ fd });
  const malformed: string[] = [];
  let replies = 0;
  socket.on('message', (message) => {
    replies++;
    try {
      decode(message);
    } catch {
      malformed.push(message.toString('hex'));
    }
  });
  const seeds = (['A', 'AAAA', 'SRV', 'TXT', 'PTR'] as const).flatMap((type) =>
    ['web', 'nosuch', 'any.thing.app', 'WeB'].map((name) =>
      encode({ type: 'query', id: 7, flags: 0x100, questions: [{ type, name }] }),
    ),
  );
  for (let i = 0; i < count; i++) {
    const seed = seeds[i % seeds.length] as Buffer;
    const message = Buffer.concat([seed, Buffer.alloc(i % 7 === 0 ? i % 40 : 0, i)]);
    for (let change = 0; change < i % 5; change++) message[randomInt(message.length)] = randomInt(256);
    const length = i % 3 === 0 ? randomInt(1, message.length + 1) : message.length;
    socket.send(message.subarray(0, length), 53, server);
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  // Replies are over when none has come for a while.
  for (let before = -1; before !== replies; ) {
    before = replies;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  socket.close();
  return { replies, malformed };
}
