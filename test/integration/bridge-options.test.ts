/** Every option of cleat-bridge by its effect in the kernel and by traffic; isolation; refusals. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { requires } from '../support/requires.ts';
import { ask, type Container, createLab, type Lab, type NetworkOptions, needsFirewall, serve } from './bridge-lab.ts';

requires('root', 'bridge', 'veth', needsFirewall);

const bridgeOption = (name: string) => `com.docker.network.bridge.${name}`;
let lab: Lab;
let subnets = 0;

test.before(async () => {
  lab = await createLab({ mtu: 1420 });
});
test.after(() => lab?.close());

/** A network on subnets of its own, and `count` containers with a server on port 80. */
async function scene(options: Partial<NetworkOptions> = {}, count = 1, ports: readonly string[] = []) {
  subnets += 1;
  const [four, six] = [`10.77.${subnets}`, `2001:db8:${100 + subnets}:`];
  const pools = options.pools ?? [`${four}.0/24`, `${six}:/64`];
  const networkId = await lab.network({ ...options, pools });
  const containers: Container[] = [];
  for (let index = 0; index < count; index++) {
    const address6 = pools.some((pool) => pool.includes(':')) ? { address6: `${six}:${index + 2}/64` } : {};
    const container = await lab.container(networkId, {
      address: `${four}.${index + 2}/24`,
      ...address6,
      ports: index === 0 ? ports : [],
    });
    await serve(container, lab.host, `s${index}`);
    containers.push(container);
  }
  const first = containers[0] as Container;
  return {
    networkId,
    containers,
    first,
    second: (containers[1] ?? first) as Container,
    four,
    six,
    bridge: `cl-${networkId.slice(0, 12)}`,
  };
}

const link = async (name: string) => JSON.parse(await lab.host.sh(`ip -d -j link show ${name}`))[0];
const refused = async (options: NetworkOptions, words: RegExp) => {
  const before = `${await lab.rules()}${await lab.host.sh('ip -br link')}`;
  try {
    await lab.network(options);
  } catch (error) {
    assert.match((error as Error).message, words);
    assert.is(`${await lab.rules()}${await lab.host.sh('ip -br link')}`, before, 'a refusal leaves nothing');
    return;
  }
  assert.unreachable('was not refused');
};

test('a plain network: names, addresses, MTU of the underlay, way out with the address of the host', async () => {
  const { first, second, bridge, four, six } = await scene({}, 2);
  assert.is((await link(bridge)).mtu, 1420);
  const hostEnd = await link(`cv${first.endpointId.slice(0, 10)}`);
  assert.equal([hostEnd.mtu, hostEnd.master, hostEnd.ifalias], [1420, bridge, `cleat endpoint ${first.endpointId}`]);
  assert.match(await first.sh('ip link show eth0'), /mtu 1420/);
  assert.match(await ask(first, `${four}.3`, 80), /^s1 /);
  assert.match(await ask(first, `${six}:3`, 80), /^s1 /);
  lab.outside.start('socat', ['TCP6-LISTEN:81,reuseaddr,fork,ipv6only=0', 'SYSTEM:echo out $SOCAT_PEERADDR']);
  await lab.outside.sh('for i in $(seq 100); do ss -Hltn | grep -q ":81 " && exit 0; sleep 0.05; done');
  assert.is(await ask(second, '198.51.100.9', 81), 'out [0000:0000:0000:0000:0000:ffff:c633:6401]');
  assert.is(await ask(second, '2001:db8:51::9', 81), 'out [2001:0db8:0051:0000:0000:0000:0000:0001]');
});

test('networks are isolated; a host with a route to our subnets reaches nothing that is not published', async () => {
  const one = await scene({}, 1, ['7001:80']);
  const two = await scene();
  assert.is(await ask(one.first, `${two.four}.2`, 80), '');
  assert.is(await ask(one.first, `${two.six}:2`, 80), '');
  await lab.outside.sh(
    `ip route add ${one.four}.0/24 via 198.51.100.1; ip -6 route add ${one.six}:/64 via 2001:db8:51::1`,
  );
  assert.is(await ask(lab.outside, `${one.four}.2`, 80), '', 'also the published port only by the address of the host');
  assert.is(await ask(lab.outside, `${one.six}:2`, 80), '');
  assert.match(await ask(lab.outside, '198.51.100.1', 7001), /^s0 /);
  assert.match(await ask(lab.host, `${one.four}.2`, 80), /^s0 /, 'the host itself does');
});

test('icc off: containers reach neither each other nor by way of the gateway, but published ports', async () => {
  const { first, second, four, six } = await scene({ options: { [bridgeOption('enable_icc')]: 'false' } }, 2, [
    '7002:80',
  ]);
  assert.is((await link(`cv${first.endpointId.slice(0, 10)}`)).linkinfo.info_slave_data.isolated, true);
  assert.is(await ask(second, `${four}.2`, 80), '');
  assert.is(await ask(second, `${six}:2`, 80), '');
  await second.sh(`ip route add ${four}.2/32 via ${four}.1`);
  assert.is(await ask(second, `${four}.2`, 80), '');
  assert.match(await ask(lab.outside, '198.51.100.1', 7002), /^s0 /);
});

test('internal: no gateway, no way out or in, containers among themselves', async () => {
  const { first, second, four } = await scene({ internal: true }, 2);
  assert.equal(
    [first.reply.gateway, first.reply.gatewayIPv6, first.reply.disableGatewayService],
    [undefined, undefined, true],
  );
  assert.match(await ask(second, `${four}.2`, 80), /^s0 /);
  await first.sh(`ip route add default via ${four}.1`);
  assert.is(await ask(first, '198.51.100.9', 81), '');
});

test('no masquerade, and a chosen source address', async () => {
  const plain = await scene({ options: { [bridgeOption('enable_ip_masquerade')]: 'false' } });
  await lab.outside.sh(`ip route add ${plain.four}.0/24 via 198.51.100.1`);
  assert.match(await ask(plain.first, '198.51.100.9', 81), new RegExp(`out .*${hex(plain.four)}`));
  await lab.host.sh('ip addr add 198.51.100.77/24 dev eth0');
  const chosen = await scene({ options: { 'com.docker.network.host_ipv4': '198.51.100.77' } });
  assert.match(await ask(chosen.first, '198.51.100.9', 81), /c633:644d/);
});

test('gateway mode routed: published ports by the address of the container, and nothing else', async () => {
  const options = { [bridgeOption('gateway_mode_ipv4')]: 'routed', [bridgeOption('gateway_mode_ipv6')]: 'routed' };
  const { first, four, six } = await scene({ options }, 1, ['9999:80']);
  await serve(first, lab.host, 'closed', 'TCP6-LISTEN:90');
  await lab.outside.sh(`ip route add ${four}.0/24 via 198.51.100.1; ip -6 route add ${six}:/64 via 2001:db8:51::1`);
  for (const address of [`${four}.2`, `${six}:2`]) {
    assert.match(await ask(lab.outside, address, 80), /^s0 /);
    assert.is(await ask(lab.outside, address, 90), '');
  }
  assert.is(await ask(lab.outside, '198.51.100.1', 9999), '', 'no port of the host');
  assert.match(await ask(first, '198.51.100.9', 81), new RegExp(hex(four)), 'not masqueraded');
});

test('gateway mode nat-unprotected: everything by the address of the container', async () => {
  const { four } = await scene({ options: { [bridgeOption('gateway_mode_ipv4')]: 'nat-unprotected' } });
  await lab.outside.sh(`ip route add ${four}.0/24 via 198.51.100.1`);
  assert.match(await ask(lab.outside, `${four}.2`, 80), /^s0 /);
});

test('gateway mode isolated: the host has no address on an internal network', async () => {
  const options = { [bridgeOption('gateway_mode_ipv4')]: 'isolated', [bridgeOption('gateway_mode_ipv6')]: 'isolated' };
  const { bridge } = await scene({ options, internal: true }, 1);
  assert.is(await lab.host.sh(`ip -br addr show ${bridge} | awk '{ print $3 }'`), '');
  await refused({ options, pools: ['10.88.0.0/24'] }, /gateway_mode_ipv4=isolated is for internal networks only/);
});

test('trusted interfaces of the host reach containers directly', async () => {
  const { four } = await scene({ options: { [bridgeOption('trusted_host_interfaces')]: 'eth0' } });
  await lab.outside.sh(`ip route add ${four}.0/24 via 198.51.100.1`);
  assert.match(await ask(lab.outside, `${four}.2`, 80), /^s0 /);
});

test('name of the bridge, MTU, prefix in the container, MAC, routes, binding address', async () => {
  const { first } = await scene(
    {
      options: {
        [bridgeOption('name')]: 'mybr0',
        'com.docker.network.driver.mtu': '1300',
        'com.docker.network.container_iface_prefix': 'net',
        'cleat.route': '203.0.113.0/24 via 10.95.11.9, 203.0.114.0/24',
        [bridgeOption('host_binding_ipv4')]: '127.0.0.1',
      },
      pools: ['10.95.11.0/24'],
    },
    0,
  ).then(async ({ networkId }) => ({
    first: await lab.container(networkId, { address: '10.95.11.2/24', mac: '02:00:5e:00:53:01', ports: ['7003:80'] }),
  }));
  await serve(first, lab.host, 'named');
  assert.equal([(await link('mybr0')).mtu, (await link('mybr0')).ifalias], [1300, `cleat network ${first.networkId}`]);
  assert.match(await first.sh('ip link show net0'), /mtu 1300[\s\S]*02:00:5e:00:53:01/);
  assert.match(await first.sh('ip route'), /203\.0\.113\.0\/24 via 10\.95\.11\.9[\s\S]*203\.0\.114\.0\/24 dev net0/);
  assert.match(await ask(lab.host, '127.0.0.1', 7003), /^named /);
  assert.is(await ask(lab.outside, '198.51.100.1', 7003), '');
  await first.remove();
  await lab.client.network.deleteNetwork({ networkId: first.networkId });
  assert.is(await lab.host.sh('ip link show mybr0 2>/dev/null || true'), '');
});

test('a MAC that follows from the address, and one that the bridge keeps', async () => {
  const { first, bridge, networkId, four } = await scene();
  const mac = (await link(bridge)).address;
  assert.match(await first.sh('ip link show eth0'), /02:42:0a:4d/);
  await lab.container(networkId, { address: `${four}.9/24`, mac: '00:00:5e:00:53:09' });
  assert.is((await link(bridge)).address, mac);
});

test('several subnets, each with its gateway; another gateway by aux address; no address of the host', async () => {
  const networkId = await lab.network({ pools: ['10.90.1.0/24', '10.90.2.0/24'] });
  const one = await lab.container(networkId, { address: '10.90.1.5/24' });
  const two = await lab.container(networkId, { address: '10.90.2.5/24' });
  assert.equal([one.reply.gateway, two.reply.gateway], ['10.90.1.1', '10.90.2.1']);
  await serve(two, lab.host, 'two');
  assert.match(await ask(one, '10.90.2.5', 80), /^two /);
  const aux = await lab.network({
    pools: ['10.90.3.0/24'],
    aux: { DefaultGatewayIPv4: '10.90.3.254/24' },
    options: { [bridgeOption('inhibit_ipv4')]: 'true' },
  });
  const endpointId = 'e'.repeat(64);
  const ports = { exposedPorts: [], portBindings: [] };
  await lab.client.network.createEndpoint({
    networkId: aux,
    endpointId,
    interface: { address: '10.90.3.5/24' },
    options: {},
    ...ports,
  });
  const reply = await lab.client.network.join({
    networkId: aux,
    endpointId,
    sandboxKey: '/run/netns/none',
    options: {},
    ...ports,
  });
  assert.is(reply.gateway, '10.90.3.254');
  assert.is(await lab.host.sh(`ip -4 -br addr show cl-${aux.slice(0, 12)} | awk '{ print $3 }'`), '');
  await lab.client.network.deleteEndpoint({ networkId: aux, endpointId });
});

test('IPv6 only', async () => {
  const networkId = await lab.network({ pools: ['2001:db8:900::/64'] });
  const one = await lab.container(networkId, { address6: '2001:db8:900::2/64', ports: ['7004:80'] });
  await serve(one, lab.host, 'six');
  assert.match(await ask(lab.outside, '2001:db8:51::1', 7004), /^six /);
  assert.match(await ask(lab.host, '::1', 7004), /^six /);
  assert.is(await ask(lab.outside, '198.51.100.1', 7004), '');
  assert.is(await one.sh("ip -4 -br addr show eth0 | awk '{ print $3 }'"), '');
});

test('an existing bridge stays as it was, before, during and after', async () => {
  await lab.host.sh(
    'ip link add br7 type bridge; ip link set br7 addrgenmode none; ip addr add 10.91.0.1/24 dev br7; ip link set br7 up mtu 1400; ip netns add vm; ip link add vm0 type veth peer name eth0 netns vm; ip link set vm0 master br7 up; ip -n vm link set eth0 up; ip -n vm addr add 10.92.0.2/24 dev eth0; ip addr add 10.92.0.1/24 dev br7; ip -n vm route add default via 10.92.0.1',
  );
  const before = await lab.host.sh('ip -d addr show br7; grep -r . /proc/sys/net/ipv4/conf/br7');
  const networkId = await lab.network({ pools: ['10.91.0.0/24'], options: { [bridgeOption('name')]: 'br7' } });
  const one = await lab.container(networkId, { address: '10.91.0.5/24', ports: ['7005:80'] });
  await serve(one, lab.host, 'guest');
  assert.match(await ask(lab.outside, '198.51.100.1', 7005), /^guest /);
  assert.is((await link(`cv${one.endpointId.slice(0, 10)}`)).mtu, 1400);
  lab.host.start('nsenter', ['--net=/run/netns/vm', 'socat', 'TCP4-LISTEN:80,reuseaddr,fork', 'SYSTEM:echo vm']);
  await lab.outside.sh('ip route add 10.92.0.0/24 via 198.51.100.1; ip route add 10.91.0.0/24 via 198.51.100.1');
  await lab.host.sh(
    'for i in $(seq 100); do nsenter --net=/run/netns/vm ss -Hltn | grep -q ":80 " && exit 0; sleep 0.05; done',
  );
  assert.is(await ask(lab.outside, '10.92.0.2', 80), 'vm', 'what else is on the bridge is reached as before');
  assert.is(await ask(lab.outside, '10.91.0.5', 80), '', 'and our container is not');
  await one.remove();
  await lab.client.network.deleteNetwork({ networkId });
  const strip = (text: string) =>
    text.replaceAll(
      /(hello_timer|tcn_timer|topology_change_timer|gc_timer|valid_lft|root_port|topology_change|bridge_id|designated_root|link\/ether) +\S+|state \w+|<\S+>/g,
      '',
    );
  assert.is(strip(await lab.host.sh('ip -d addr show br7; grep -r . /proc/sys/net/ipv4/conf/br7')), strip(before));
  await lab.host.sh('ip link del br7; ip netns del vm');
});

test('what cannot be is refused by name, and leaves nothing', async () => {
  const pools = ['10.93.0.0/24'];
  await refused(
    { pools, options: { [bridgeOption('enable_ic')]: 'true' } },
    /no option "com\.docker\.network\.bridge\.enable_ic".*did you mean "com\.docker\.network\.bridge\.enable_icc".*PROTO_OPTION_UNKNOWN/,
  );
  await refused({ pools, options: { 'com.docker.network.driver.mtu': '20' } }, /driver\.mtu=20.*from 68 to 65535/);
  await refused({ pools, options: { [bridgeOption('name')]: 'a"; drop' } }, /interface name/);
  await refused(
    { pools, options: { [bridgeOption('name')]: 'eth0' } },
    /eth0 is a veth link and no bridge.*NET_BRIDGE_INVALID/,
  );
  await refused({ pools, options: { 'cleat.route': '10.0.0.0/8 via 192.0.2.1' } }, /192\.0\.2\.1 is in no subnet/);
  await refused(
    { pools: ['198.51.100.0/24'] },
    /198\.51\.100\.0\/24 is the one of this host's interface eth0.*NET_SUBNET_OVERLAP/,
  );
  const first = await lab.network({ pools, options: { [bridgeOption('name')]: 'br93' } });
  await refused(
    { pools: ['10.93.0.128/25'] },
    new RegExp(`10\\.93\\.0\\.128/25 overlaps 10\\.93\\.0\\.0/24 of the network ${first.slice(0, 12)} on bridge br93`),
  );
  await refused(
    { pools: ['10.94.0.0/24'], options: { [bridgeOption('name')]: 'br93' } },
    /bridge br93 already belongs to the network.*NET_BRIDGE_TAKEN/,
  );
  await lab.client.network.deleteNetwork({ networkId: first });
});

test('every verb may be repeated', async () => {
  const { networkId, first, four, six } = await scene({}, 1, ['7006:80']);
  const { network } = lab.client;
  const before = await lab.rules();
  const [where, ports] = [
    { networkId, endpointId: first.endpointId },
    { exposedPorts: [], portBindings: [] },
  ];
  const again = { ...where, interface: { address: `${four}.2/24`, addressIPv6: `${six}:2/64` }, options: {}, ...ports };
  assert.ok((await network.createEndpoint(again)).macAddress);
  const binding = {
    protocol: 'tcp',
    hostIp: '',
    hostPort: 7006,
    hostPortEnd: 7006,
    containerPort: 80,
    containerIp: '',
  } as const;
  await network.programExternalConnectivity({
    ...where,
    exposedPorts: [],
    portBindings: [binding],
    noProxy6To4: false,
  });
  assert.is(await lab.rules(), before);
  for (const verb of ['revokeExternalConnectivity', 'leave', 'deleteEndpoint'] as const) {
    await network[verb](where);
    await network[verb](where);
  }
  await network.deleteNetwork({ networkId });
  await network.deleteNetwork({ networkId });
  assert.is(await lab.host.sh(`ip -br link show cl-${networkId.slice(0, 12)} 2>/dev/null || true`), '');
});

function hex(four: string): string {
  const [a, b, c] = four.split('.').map(Number) as [number, number, number];
  const pair = (high: number, low: number) => ((high << 8) | low).toString(16).padStart(4, '0');
  return `${pair(a, b)}:${pair(c, 2)}`;
}

test.run();
