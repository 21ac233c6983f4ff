/** Questions that we ask for ourselves (`cleat dns query`, the probe for loops): rare, so dns2 writes them. */
import dns2 from 'dns2';
import { ednsUdpSize, types } from './wire.ts';

const { Packet } = dns2;

/** A query for a name in text form, with RD and an OPT record. Its id is random. */
export function writeOwnQuery(name: string, type: number): Buffer {
  const packet = new Packet();
  packet.header.id = Packet.uuid();
  packet.header.rd = 1;
  packet.questions.push({ name, type, class: Packet.CLASS.IN } as never);
  packet.additionals.push({ name: '', type: types.OPT, class: ednsUdpSize, ttl: 0, rdata: [] } as never);
  return packet.toBuffer();
}
