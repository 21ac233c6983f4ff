/**
 * Numbers of the DNS protocol, under the names that IANA's registry gives them. Layer: DNS, knows nothing else.
 * https://www.iana.org/assignments/dns-parameters
 */

export const headerLength = 12;

/** RFC 1035 §4.2.1: what every client takes over UDP when it has not said more with EDNS. */
export const plainUdpSize = 512;
/** What we say and send over UDP: never fragmented on any usual link (dnsflagday.net/2020, RFC 9715). */
export const ednsUdpSize = 1232;
export const maxMessageLength = 65535;
export const maxNameLength = 255;
export const maxLabelLength = 63;

export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  SVCB: 64,
  HTTPS: 65,
  CAA: 257,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
} as const;

export const classes = { IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const;

export const rcodes = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  /** RFC 6891 §9: needs the extended bits in OPT. */
  BADVERS: 16,
} as const;

export const opcodes = { QUERY: 0 } as const;

/** Bits of the header's third and fourth byte. */
export const flagQr = 0x80;
export const flagAa = 0x04;
export const flagTc = 0x02;
export const flagRd = 0x01;
export const flagRa = 0x80;
export const flagAd = 0x20;
export const flagCd = 0x10;

const typeNames = new Map<number, string>(Object.entries(types).map(([name, code]) => [code, name]));
const rcodeNames = new Map<number, string>(Object.entries(rcodes).map(([name, code]) => [code, name]));

/** `A`, or `TYPE65280` where there is no name (RFC 3597 §5). */
export function typeName(code: number): string {
  return typeNames.get(code) ?? `TYPE${code}`;
}

export function rcodeName(code: number): string {
  return rcodeNames.get(code) ?? `RCODE${code}`;
}

/** The number of `A`, `aaaa` or `TYPE65280`; undefined when it is no type. */
export function findType(name: string): number | undefined {
  const upper = name.toUpperCase();
  if (Object.hasOwn(types, upper)) return types[upper as keyof typeof types];
  const number = /^TYPE(\d{1,5})$/.exec(upper)?.[1];
  return number !== undefined && Number(number) < 65536 ? Number(number) : undefined;
}
