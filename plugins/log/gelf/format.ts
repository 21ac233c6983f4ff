/**
 * GELF 1.1 as Docker's driver sends it: the same fields in the same order, escaped as Go escapes them.
 * https://go2docs.graylog.org/current/getting_in_log_data/gelf.html, moby daemon/logger/gelf, Graylog2/go-gelf.
 *
 * ```
 * {"version":"1.1","host":…,"short_message":…,"full_message":…,"timestamp":1795198543.241,"level":6,"_command":…,…}
 * ```
 */
import { randomFillSync } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import type { Message, MessageFormat, WireBatch } from '../delivery/message.ts';
import { escapeGrowth, goEscapes, goJsonMap, goJsonString, writeEscaped } from '../go-json.ts';
import { toMillis } from '../nano-time.ts';

export type Compression = 'gzip' | 'zlib' | 'none';

export type GelfTransport =
  | { readonly kind: 'udp'; readonly compression: Compression; readonly level: number }
  /** Null-terminated, never compressed. */
  | { readonly kind: 'stream' };

export interface GelfFormatOptions {
  readonly transport: GelfTransport;
  readonly hostname: string;
  /** Names with their underscore. */
  readonly extra: Readonly<Record<string, string>>;
  readonly severity: (message: Message) => number;
}

/** GELF over UDP: magic, message id, number, count; at most 128 chunks. 1420 bytes fit into any path, as go-gelf has it. */
const chunkBytes = 1420;
const chunkHeaderBytes = 12;
const chunkDataBytes = chunkBytes - chunkHeaderBytes;
const maxChunks = 128;
const newline = 0x0a;

export class GelfFormat implements MessageFormat {
  readonly #options: GelfFormatOptions;
  readonly #head: Buffer;
  readonly #tail: Buffer;

  constructor(options: GelfFormatOptions) {
    this.#options = options;
    this.#head = Buffer.from(`{"version":"1.1","host":${goJsonString(options.hostname)},"short_message":"`);
    // The map's own opening brace makes way for the comma.
    this.#tail = Buffer.from(`${goJsonMap(options.extra).slice(1)}`);
  }

  add(message: Message, batch: WireBatch): void {
    // An empty short_message is not allowed; Docker's driver leaves empty lines out too.
    if (message.line.length === 0) return;
    if (this.#options.transport.kind === 'stream') this.#addToStream(message, batch);
    else this.#addDatagrams(message, this.#options.transport, batch);
  }

  #addToStream(message: Message, batch: WireBatch): void {
    const out = batch.reserve(this.#bound(message) + 1);
    const end = this.#write(out, batch.length, message, '');
    out[end] = 0;
    batch.end(end + 1);
  }

  #addDatagrams(message: Message, transport: Extract<GelfTransport, { kind: 'udp' }>, batch: WireBatch): void {
    let payload = this.#payload(message, transport, '');
    let line = message.line;
    while (payload.length > maxChunks * chunkDataBytes && line.length > 0) {
      // Too large for any number of chunks: cut, and say so.
      const share = (maxChunks * chunkDataBytes) / payload.length;
      line = line.subarray(0, Math.floor(line.length * share * 0.95));
      const mark = `"_truncated":true,"_original_length":${message.line.length},`;
      payload = this.#payload({ ...message, line }, transport, mark);
    }
    if (payload.length <= chunkBytes) this.#addDatagram(payload, batch);
    else this.#addChunks(payload, batch);
  }

  #payload(message: Message, transport: Extract<GelfTransport, { kind: 'udp' }>, marks: string): Buffer {
    const out = Buffer.allocUnsafe(this.#bound(message) + marks.length);
    const json = out.subarray(0, this.#write(out, 0, message, marks));
    if (transport.compression === 'none') return json;
    const compress = transport.compression === 'gzip' ? gzipSync : deflateSync;
    return compress(json, { level: transport.level });
  }

  #addDatagram(payload: Buffer, batch: WireBatch): void {
    const out = batch.reserve(payload.length);
    batch.end(batch.length + payload.copy(out, batch.length));
  }

  #addChunks(payload: Buffer, batch: WireBatch): void {
    const count = Math.ceil(payload.length / chunkDataBytes);
    const out = batch.reserve(payload.length + count * chunkHeaderBytes);
    const id = randomFillSync(Buffer.alloc(8));
    for (let number = 0; number < count; number++) {
      const start = batch.length;
      out[start] = 0x1e;
      out[start + 1] = 0x0f;
      id.copy(out, start + 2);
      out[start + 10] = number;
      out[start + 11] = count;
      const from = number * chunkDataBytes;
      const bytes = payload.copy(out, start + chunkHeaderBytes, from, Math.min(from + chunkDataBytes, payload.length));
      batch.end(start + chunkHeaderBytes + bytes);
    }
  }

  #bound(message: Message): number {
    return this.#head.length + this.#tail.length + 2 * message.line.length * escapeGrowth + 400;
  }

  #write(out: Buffer, from: number, message: Message, marks: string): number {
    const { line } = message;
    let at = from + this.#head.copy(out, from);
    const lineBreak = line.indexOf(newline);
    at = writeEscaped(out, at, line, 0, lineBreak === -1 ? line.length : lineBreak, goEscapes);
    if (lineBreak !== -1) {
      at += out.write('","full_message":"', at, 'latin1');
      at = writeEscaped(out, at, line, 0, line.length, goEscapes);
    }
    // Milliseconds, as Docker's driver has them.
    const timestamp = toMillis(message.timeHigh, message.timeLow) / 1000;
    at += out.write(`","timestamp":${timestamp},"level":${this.#options.severity(message)},`, at, 'latin1');
    at += out.write(marks + partMarks(message), at);
    return at + this.#tail.copy(out, at);
  }
}

/** The names that Docker's fluentd and journald drivers have for the same. */
function partMarks({ part }: Message): string {
  if (part === undefined) return '';
  const id = part.id === '' ? '' : `"_partial_id":${goJsonString(part.id)},`;
  return `"_partial_message":true,${id}"_partial_ordinal":${part.ordinal},"_partial_last":${part.last},`;
}
