/** A client that asks one question without pause from inside a namespace and remembers every answer with its times. */
import { createSocket } from 'node:dgram';
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
