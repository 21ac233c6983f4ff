/**
 * What ISC's EDNS compliance tester asks a server (https://ednscomp.isc.org), over UDP and TCP, and the same server seen by drill, a
 * resolver client with a DNS library of its own (ldns).
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openNetns } from '../../plugins/linux/netns.ts';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';
import { type Container, createLab, type Lab } from './bridge-lab.ts';
import { exchange } from './dns-load.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:dig', 'program:drill');

let lab: Lab;
let web: Container;
const server = '10.71.0.1';

test.before(async () => {
  lab = await createLab({ daemon: { config: { engines: [] } } });
  const red = await lab.network({
    pools: ['10.71.0.0/24', 'fd71::/64'],
    options: {
      'cleat.dns': 'gateway',
      'cleat.dns.domain': 'shop.internal',
      'cleat.dns.record.info': 'TXT hello',
      'cleat.dns.record.many': Array.from({ length: 100 }, (_, i) => `192.0.2.${i}`).join('; '),
    },
  });
  web = await lab.container(red, {
    address: '10.71.0.2/24',
    address6: 'fd71::2/64',
    options: { 'cleat.name': 'web', 'cleat.alias': 'www' },
  });
  await eventually('the server answers', async () => (await ask('dig', `@${server} web`)).includes('NOERROR'));
});

test.after(() => lab.close());

const ask = (program: string, args: string): Promise<string> => web.sh(`${program} ${args} || true`);

interface Seen {
  readonly status: string;
  /** Of the header: `qr aa rd ra`. */
  readonly flags: string;
  /** `version: 0, flags: do; udp: 1232`; empty without an OPT record. */
  readonly edns: string;
  readonly answers: number;
  readonly text: string;
}

async function seen(args: string): Promise<Seen> {
  const text = await ask('dig', `@${server} +tries=1 +time=2 +qr ${args}`);
  // With +qr the question is printed first, as it was sent.
  const reply = text.slice(text.indexOf('Got answer'));
  return {
    status: /status: (\w+)/.exec(reply)?.[1] ?? 'no answer',
    flags: /;; flags: ([^;]*);/.exec(reply)?.[1] ?? '',
    edns: /EDNS: (version: .*)/.exec(reply)?.[1] ?? '',
    answers: Number(/ANSWER: (\d+)/.exec(reply)?.[1] ?? -1),
    text: reply,
  };
}

const ours = 'version: 0, flags:; udp: 1232';

/** Name of the tester's probe, arguments of dig, rcode, OPT of the reply. */
const probes = [
  ['dns', '+noedns +noad +norec', 'NOERROR', ''],
  ['aa', '+noedns +noad +norec +aaflag', 'NOERROR', ''],
  ['ad', '+noedns +norec +ad', 'NOERROR', ''],
  ['cd', '+noedns +noad +norec +cd', 'NOERROR', ''],
  ['ra', '+noedns +noad +norec +raflag', 'NOERROR', ''],
  ['rd', '+noedns +noad +rec', 'NOERROR', ''],
  ['tc', '+noedns +noad +norec +tcflag', 'NOERROR', ''],
  ['zflag', '+noedns +noad +norec +zflag', 'NOERROR', ''],
  ['opcode', '+noedns +noad +norec +header-only +opcode=15', 'NOTIMP', ''],
  ['opcodeflg', '+noedns +rec +tcflag +zflag +aaflag +header-only +opcode=15', 'NOTIMP', ''],
  ['type666', '+noedns +noad +norec -t TYPE666', 'NOERROR', ''],
  ['edns', '+edns=0 +noad +norec', 'NOERROR', ours],
  ['edns1', '+edns=1 +noednsneg +noad +norec', 'BADVERS', ours],
  ['edns@512', '+edns=0 +noad +norec +bufsize=512', 'NOERROR', ours],
  ['ednsopt', '+edns=0 +noad +norec +ednsopt=100', 'NOERROR', ours],
  ['edns1opt', '+edns=1 +noednsneg +noad +norec +ednsopt=100', 'BADVERS', ours],
  ['do', '+edns=0 +noad +norec +dnssec', 'NOERROR', 'version: 0, flags: do; udp: 1232'],
  ['edns1do', '+edns=1 +noednsneg +noad +norec +dnssec', 'BADVERS', 'version: 0, flags: do; udp: 1232'],
  ['ednsflags', '+edns=0 +noad +norec +ednsflags=0x80', 'NOERROR', ours],
  ['edns1flags', '+edns=1 +noednsneg +noad +norec +ednsflags=0x80', 'BADVERS', ours],
  ['optlist', '+edns=0 +noad +norec +nsid +subnet=0.0.0.0/0 +expire +cookie', 'NOERROR', ours],
  ['ednsnsid', '+edns=0 +noad +norec +nsid', 'NOERROR', ours],
  ['edns1nsid', '+edns=1 +noednsneg +noad +norec +nsid', 'BADVERS', ours],
  ['ednscookie', '+edns=0 +noad +norec +cookie', 'NOERROR', ours],
  ['edns1cookie', '+edns=1 +noednsneg +noad +norec +cookie', 'BADVERS', ours],
  ['ednsexpire', '+edns=0 +noad +norec +expire', 'NOERROR', ours],
  ['ednssubnet', '+edns=0 +noad +norec +subnet=192.0.2.0/24', 'NOERROR', ours],
  ['edns1subnet', '+edns=1 +noednsneg +noad +norec +subnet=192.0.2.0/24', 'BADVERS', ours],
  ['ednspadding', '+edns=0 +noad +norec +padding=64', 'NOERROR', ours],
  ['edns1padding', '+edns=1 +noednsneg +noad +norec +padding=64', 'BADVERS', ours],
  ['keepalive', '+edns=0 +noad +norec +keepalive', 'NOERROR', ours],
  ['signed', '+edns=0 +noad +norec +dnssec', 'NOERROR', 'version: 0, flags: do; udp: 1232'],
  ['edns100', '+edns=100 +noednsneg +noad +norec', 'BADVERS', ours],
] as const;

for (const transport of ['+notcp', '+tcp']) {
  test(`the probes of the EDNS compliance tester, ${transport}`, async () => {
    for (const [name, args, status, edns] of probes) {
      const what = `${name} ${transport}`;
      const { flags, ...got } = await seen(`web ${args} ${transport}`);
      assert.is(got.status, status, `${what}\n${got.text}`);
      if (!args.includes('+opcode')) assert.is(got.edns, edns, `${what}: the OPT record`);
      assert.is(got.answers, status === 'NOERROR' && name !== 'type666' ? 1 : 0, `${what}: answers`);
      const set = flags.split(' ');
      assert.ok(set.includes('qr'), what);
      assert.not(set.includes('tc'), `${what}: the bit of the question is not copied`);
      assert.not(set.includes('ad'), `${what}: nothing here is signed`);
      assert.is(set.includes('rd'), args.includes('+rec'), `${what}: RD is copied`);
      assert.not.match(got.text, /MBZ: 0x[0-9a-f]*[1-9a-f]/, `${what}: reserved bits are zero`);
      assert.not.match(
        got.text,
        /^; (OPT=|NSID|CLIENT-SUBNET|COOKIE|EXPIRE|PAD)/m,
        `${what}: options that are unknown are not echoed`,
      );
    }
  });
}

test('two OPT records, an OPT record with a name, and options that are cut off are malformed', async () => {
  using netns = openNetns(lab.host.path(web.netns));
  const question = '0001 0100 0001 0000 0000 %C 03776562 00 0001 0001';
  const opt = '00 0029 04d0 00000000 0000';
  for (const [what, count, tail, wanted] of [
    ['one', '0001', opt, 0],
    ['two', '0002', `${opt} ${opt}`, 1],
    ['named', '0001', `0161 ${opt}`, 1],
    ['cut', '0001', '00 0029 04d0 00000000 0008 0064 00ff', 1],
    ['unknown option with data', '0001', '00 0029 04d0 00000000 0008 0064 0004 61626364', 0],
  ] as const) {
    const message = Buffer.from(`${question.replace('%C', count)} ${tail}`.replaceAll(' ', ''), 'hex');
    const reply = await exchange(netns, server, message);
    assert.is(reply[3]! & 15, wanted, `${what}: ${reply.toString('hex')}`);
  }
});

test('drill: names, addresses, negative answers, truncation, TCP and IPv6', async () => {
  const status = async (args: string): Promise<string> =>
    /rcode: (\w+)/.exec(await ask('drill', args))?.[1] ?? 'no answer';
  const quiet = async (args: string): Promise<string> =>
    (await ask('drill', `-Q ${args}`)).trim().split('\n').sort().join(' ');
  for (const at of [`@${server}`, `-t @${server}`, '-6 @fd71::1', '-6 -t @fd71::1']) {
    assert.is(await quiet(`web ${at} A`), '10.71.0.2', at);
    assert.is(await quiet(`www.shop.internal ${at} AAAA`), 'fd71::2', at);
    assert.is(await quiet(`info ${at} TXT`), '"hello"', at);
    assert.is(await status(`nosuch.shop.internal ${at} A`), 'NXDOMAIN', at);
    assert.is(await status(`info ${at} A`), 'NOERROR', `${at}: NODATA`);
    const many = (await quiet(`many ${at} A`)).split(' ').length;
    if (at.includes('-t')) assert.is(many, 100, `${at}: all of them`);
    else assert.ok(many > 20 && many < 100, `${at}: ${many}, as many whole records as fit into 512 bytes`);
  }
  assert.is(await quiet(`-x 10.71.0.2 @${server}`), 'web.shop.internal.');
  assert.is(await quiet(`-x fd71::2 @${server}`), 'web.shop.internal.');
  assert.match(await ask('drill', `nosuch.shop.internal @${server} A`), /IN\s+SOA\s/, 'a negative answer has its SOA');
  assert.match(await ask('drill', `-D web @${server} A`), /EDNS: version 0; flags: do ; udp: 1232/);
  assert.match(await ask('drill', `many @${server} A`), /flags: qr aa tc/, 'and TC says that there are more');
  assert.match(await ask('drill', `-b 1232 -u many @${server} A`), /rcode: NOERROR/);
  for (const [name, rcode] of [
    ['web @10.71.0.1 ANY', 'NOERROR'],
    ['web @10.71.0.1 CH', 'REFUSED'],
    ['web @10.71.0.1 TYPE65280', 'NOERROR'],
  ] as const)
    assert.is(await status(name), rcode, name);
});

test.run();
