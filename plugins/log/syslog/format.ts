/**
 * Syslog messages as Docker's driver sends them, byte for byte except for the time, which is the line's own and not that of
 * sending, and the process number. moby daemon/logger/syslog, RackSec/srslog.
 *
 * ```
 * (none)        <30>Nov 20 18:15:38 376c0d739f79[32]: text
 * rfc3164       <30>Nov 20 18:15:39 host 376c0d739f79[32]: text
 * rfc5424       <30>1 2026-11-20T18:15:39Z host 376c0d739f79 32 376c0d739f79 - text
 * rfc5424micro  <30>1 2026-11-20T18:15:40.100285Z host 376c0d739f79 32 376c0d739f79 - text
 * ```
 */
import type { Message, MessageFormat, WireBatch } from '../delivery/message.ts';
import { nanosOf, secondsOf } from '../nano-time.ts';

export const syslogFormats = ['rfc3164', 'rfc5424', 'rfc5424micro'] as const;
export type SyslogFormatName = (typeof syslogFormats)[number] | '';

/** RFC 6587: octet counting or a newline at the end; datagrams need neither, but Docker puts the newline there too. */
export type Framing = 'newline' | 'octet-counting' | 'datagram';

export interface SyslogFormatOptions {
  readonly format: SyslogFormatName;
  readonly framing: Framing;
  /** 0 to 23. */
  readonly facility: number;
  readonly hostname: string;
  readonly tag: string;
  readonly processId: number;
  /** RFC 5424 §6.3: one element with its brackets, or `-`. */
  readonly structuredData: string;
  readonly severity: (message: Message) => number;
  /** Longer messages are cut here; a datagram cannot be larger than 65507 bytes. */
  readonly maxBytes: number;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const newline = 0x0a;
/** How rsyslog writes a control character inside a line; a raw newline would end the message. RFC 6587 §3.4.2 */
const newlineEscape = Buffer.from('#012', 'latin1');
const longestHeader = 16;

export class SyslogFormat implements MessageFormat {
  readonly #options: SyslogFormatOptions;
  readonly #heads = new Map<number, Buffer>();
  #headSecond = Number.NaN;

  constructor(options: SyslogFormatOptions) {
    this.#options = options;
  }

  add(message: Message, batch: WireBatch): void {
    // Docker's driver sends no empty lines.
    if (message.line.length === 0) return;
    const { framing, maxBytes } = this.#options;
    const head = this.#head(message);
    const body = framing === 'newline' ? escapeNewlines(message.line) : message.line;
    const bodyBytes = Math.min(body.length, maxBytes - head.length - 1);
    const messageBytes = head.length + bodyBytes + 1;
    const out = batch.reserve(messageBytes + longestHeader);
    let at = batch.length;
    if (framing === 'octet-counting') at += out.write(`${messageBytes} `, at, 'latin1');
    at += head.copy(out, at);
    at += body.copy(out, at, 0, bodyBytes);
    out[at++] = newline;
    batch.end(at);
  }

  /** Everything before the text. Lines of one second share it, except for the microseconds. */
  #head(message: Message): Buffer {
    const { facility, severity, format } = this.#options;
    const second = secondsOf(message.timeHigh, message.timeLow);
    const priority = facility * 8 + severity(message);
    if (format === 'rfc5424micro') {
      const micros = Math.floor(nanosOf(message.timeHigh, message.timeLow) / 1000);
      return Buffer.from(this.#text(priority, second, micros));
    }
    if (second !== this.#headSecond) {
      this.#heads.clear();
      this.#headSecond = second;
    }
    let head = this.#heads.get(priority);
    if (head === undefined) {
      head = Buffer.from(this.#text(priority, second, undefined));
      this.#heads.set(priority, head);
    }
    return head;
  }

  #text(priority: number, second: number, micros: number | undefined): string {
    const { format, hostname, tag, processId, structuredData } = this.#options;
    const date = new Date(second * 1000);
    if (format === '') return `<${priority}>${stamp(date)} ${tag}[${processId}]: `;
    if (format === 'rfc3164') return `<${priority}>${stamp(date)} ${hostname} ${tag}[${processId}]: `;
    return `<${priority}>1 ${rfc3339(date, micros)} ${hostname} ${tag} ${processId} ${tag} ${structuredData} `;
  }
}

/** Go's time.Stamp, in local time. */
function stamp(date: Date): string {
  const day = String(date.getDate()).padStart(2, ' ');
  return `${months[date.getMonth()]} ${day} ${clock(date)}`;
}

function clock(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
}

/** Go's time.RFC3339 in local time: `Z` where that is UTC. */
function rfc3339(date: Date, micros: number | undefined): string {
  const day = `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const fraction = micros === undefined ? '' : `.${String(micros).padStart(6, '0')}`;
  return `${day}T${clock(date)}${fraction}${zone(-date.getTimezoneOffset())}`;
}

function zone(minutes: number): string {
  if (minutes === 0) return 'Z';
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function escapeNewlines(line: Buffer): Buffer {
  if (!line.includes(newline)) return line;
  const parts: Buffer[] = [];
  let start = 0;
  for (let at = line.indexOf(newline); at !== -1; at = line.indexOf(newline, start)) {
    parts.push(line.subarray(start, at), newlineEscape);
    start = at + 1;
  }
  return Buffer.concat([...parts, line.subarray(start)]);
}

/** RFC 5424 §6.3: one element of names and values; `-` for none. */
export function structuredElement(id: string, attributes: Readonly<Record<string, string>>): string {
  const names = Object.keys(attributes).sort();
  const parameters = names.map((name) => {
    // SD-NAME: at most 32 printable ASCII characters without =, blank, ] and ".
    const safe = name.replaceAll(/[^!#-<>-\\^-~]/g, '_').slice(0, 32);
    return ` ${safe}="${(attributes[name] ?? '').replaceAll(/["\\\]]/g, (character) => `\\${character}`)}"`;
  });
  return `[${id}${parameters.join('')}]`;
}
