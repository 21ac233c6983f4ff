/** Where the shim's calls differ from Docker's on purpose. Each is explained in daemon-shim/README.md under the same title. */
import type { Shown } from './compare-traffic.ts';

export interface StepTraffic {
  readonly scenario: string;
  readonly during: string;
  ours: Shown[];
  theirs: Shown[];
}

export interface Difference {
  /** As in the manual page. */
  readonly title: string;
  /** Takes the difference out of the traffic. */
  apply(traffic: StepTraffic): void;
  /** How often it was there. */
  seen(): number;
}

type Fields = Readonly<Record<string, unknown>>;

/** `find` changes the traffic and tells how many times the difference was in it. */
function difference(title: string, find: (traffic: StepTraffic) => number): Difference {
  let count = 0;
  return {
    title,
    apply(traffic) {
      count += find(traffic);
    },
    seen: () => count,
  };
}

/** Each call as `edit` gives it; counts those that it changes. */
function edited(calls: readonly Shown[], edit: (call: Shown) => Shown): { calls: Shown[]; changed: number } {
  const result = calls.map(edit);
  const changed = result.filter((call, index) => JSON.stringify(call) !== JSON.stringify(calls[index])).length;
  return { calls: result, changed };
}

const fieldsOf = ({ request }: Shown): Fields => (request ?? {}) as Fields;

/** Without those of its options; an object that gets empty is gone, as in `meaning`. */
function withoutOptions(call: Shown, drop: (name: string) => boolean): Shown {
  const fields = fieldsOf(call);
  const options = fields['Options'];
  if (typeof options !== 'object' || options === null) return call;
  const rest = Object.entries(options).filter(([name]) => !drop(name));
  const { Options: _given, ...others } = fields;
  return { ...call, request: rest.length === 0 ? others : { ...fields, Options: Object.fromEntries(rest) } };
}

/** Left out of both: what one side asks more often than the other, without content. */
function leftOut(title: string, isIt: (call: Shown, traffic: StepTraffic) => boolean): Difference {
  return difference(title, (traffic) => {
    const before = [traffic.ours, traffic.theirs].map((calls) => calls.filter((call) => isIt(call, traffic)).length);
    traffic.ours = traffic.ours.filter((call) => !isIt(call, traffic));
    traffic.theirs = traffic.theirs.filter((call) => !isIt(call, traffic));
    return before[0] === before[1] ? 0 : 1;
  });
}

export const differences: readonly Difference[] = [
  difference('endpoint options `cleat.name`, `cleat.container-id`, `cleat.alias`', (traffic) => {
    const { calls, changed } = edited(traffic.ours, (call) =>
      call.method === 'NetworkDriver.CreateEndpoint'
        ? withoutOptions(call, (name) => ['cleat.name', 'cleat.container-id', 'cleat.alias'].includes(name))
        : call,
    );
    traffic.ours = calls;
    return changed;
  }),
  difference('option `com.docker.network.endpoint.name` of RequestAddress', (traffic) => {
    const { calls, changed } = edited(traffic.ours, (call) =>
      call.method === 'IpamDriver.RequestAddress'
        ? withoutOptions(call, (name) => name === 'com.docker.network.endpoint.name')
        : call,
    );
    traffic.ours = calls;
    return changed;
  }),
  difference('the address space of networks without an IPAM driver of their own', (traffic) => {
    const edit = (call: Shown): Shown => ({
      ...call,
      request: JSON.parse(
        (JSON.stringify(call.request) ?? 'null').replaceAll(
          /"AddressSpace":"(LocalDefault|GlobalDefault|cleat-local)"/g,
          '"AddressSpace":"default"',
        ),
      ) as unknown,
    });
    const [ours, theirs] = [edited(traffic.ours, edit), edited(traffic.theirs, edit)];
    traffic.ours = ours.calls;
    traffic.theirs = theirs.calls;
    return ours.changed;
  }),
  difference('`SandboxKey` stays the same over restarts', (traffic) => {
    let count = 0;
    const edit = (call: Shown): Shown => {
      const { SandboxKey: key, ...rest } = fieldsOf(call);
      if (key !== undefined) count += 1;
      return key === undefined ? call : { ...call, request: rest };
    };
    traffic.ours = traffic.ours.map(edit);
    traffic.theirs = traffic.theirs.map(edit);
    return count;
  }),
  leftOut(
    'GetDefaultAddressSpaces once for each pool',
    ({ method }) => method === 'IpamDriver.GetDefaultAddressSpaces',
  ),
  leftOut('EndpointOperInfo once after each change', ({ method }) => method === 'NetworkDriver.EndpointOperInfo'),
  difference('a call whose connection broke is repeated with its body', (traffic) => {
    const at = traffic.theirs.findIndex(
      ({ method, request }) => method === 'NetworkDriver.CreateNetwork' && (request ?? null) === null,
    );
    const before = traffic.theirs[at - 1];
    if (before === undefined) return 0;
    traffic.theirs[at] = before;
    return 1;
  }),
  difference('host ports that the user left open', (traffic) => {
    if (traffic.scenario !== 'network-endpoint-options') return 0;
    const edit = (call: Shown): Shown =>
      changeText(call, [
        [/,?"HostPort(?:End)?":\d+/g, ''],
        [/\{,/g, '{'],
      ]);
    const same = JSON.stringify(traffic.ours) === JSON.stringify(traffic.theirs);
    traffic.ours = traffic.ours.map(edit);
    traffic.theirs = traffic.theirs.map(edit);
    return same ? 0 : 1;
  }),
  difference('several networks: joined as given, one gateway until the end', (traffic) => {
    if (traffic.scenario !== 'network-endpoint-options' || !/ t1/.test(traffic.during)) return 0;
    const isLeaving = traffic.during.startsWith('docker rm');
    const edit = (calls: readonly Shown[]): Shown[] =>
      calls
        // At the end, Docker moves the gateway to each network that is left.
        .filter(({ method }) => !isLeaving || !/ExternalConnectivity$/.test(method))
        .map((call) => ({
          ...call,
          request: { ...fieldsOf(call), EndpointID: 'endpoint', NetworkID: networkOf(call) },
        }))
        .sort((a, b) => (networkOf(a) < networkOf(b) ? -1 : networkOf(a) > networkOf(b) ? 1 : 0));
    const same = JSON.stringify(traffic.ours) === JSON.stringify(traffic.theirs);
    traffic.ours = edit(traffic.ours);
    traffic.theirs = edit(traffic.theirs);
    return same ? 0 : 1;
  }),
  difference('an empty gateway in the reply to RequestPool is none', (traffic) => {
    if (traffic.scenario !== 'ipam-capabilities') return 0;
    // Docker makes no network of it, so the others have other numbers.
    const edit = (calls: readonly Shown[]): Shown[] =>
      calls
        .map((call) => changeText(call, [[/"network \d+"/g, '"network"']]))
        .filter((call) => !/10\.99\.1\.0/.test(JSON.stringify(call)));
    const same = JSON.stringify(traffic.ours) === JSON.stringify(traffic.theirs);
    traffic.ours = edit(traffic.ours);
    traffic.theirs = edit(traffic.theirs);
    return same ? 0 : 1;
  }),
  difference('a gateway that is the container itself is taken as it is', (traffic) => {
    if (!/g5c/.test(traffic.during)) return 0;
    const isProgram = ({ method }: Shown) => /ExternalConnectivity$/.test(method);
    const count = traffic.ours.filter(isProgram).length;
    traffic.ours = traffic.ours.filter((call) => !isProgram(call));
    return count;
  }),
  difference('addresses that the default IPAM driver chooses', (traffic) => {
    const edit = (call: Shown): Shown => changeText(call, [[/"172\.\d+\.0\.\d+\/16"/g, '"172/16"']]);
    const same = JSON.stringify(traffic.ours) === JSON.stringify(traffic.theirs);
    traffic.ours = traffic.ours.map(edit);
    traffic.theirs = traffic.theirs.map(edit);
    return same ? 0 : 1;
  }),
  difference('containers that outlive a killed engine are adopted, also without live restore', (traffic) => {
    if (traffic.during !== '(engine started after SIGKILL)') return 0;
    const isPlain = ({ method }: Shown) => /Activate|Capabilities$|VolumeDriver\.Get$/.test(method);
    const isOf = (word: string) => traffic.ours.some(({ method }) => method.endsWith(word));
    if (!isOf('StartLogging') || isOf('.Leave') || isOf('.Mount')) return 0;
    traffic.ours = traffic.ours.filter(isPlain);
    traffic.theirs = traffic.theirs.filter(isPlain);
    return 1;
  }),
  difference('a log session whose engine was killed is ended by the next one', (traffic) => {
    if (!/started/.test(traffic.during)) return 0;
    const isEnd = ({ method }: Shown) => method === 'LogDriver.StopLogging';
    const count = traffic.ours.filter(isEnd).length - traffic.theirs.filter(isEnd).length;
    traffic.ours = traffic.ours.filter((call) => !isEnd(call));
    traffic.theirs = traffic.theirs.filter((call) => !isEnd(call));
    return count;
  }),
  difference('cp of a running container asks no volume driver', (traffic) => {
    if (!/^docker cp .*(m2|r2)/.test(traffic.during) || traffic.ours.length > 0) return 0;
    const count = traffic.theirs.length;
    traffic.theirs = [];
    return count;
  }),
  difference('a question is asked once, not twice in a row', (traffic) => {
    const before = [traffic.ours.length, traffic.theirs.length];
    traffic.ours = withoutRepeats(traffic.ours, traffic);
    traffic.theirs = withoutRepeats(traffic.theirs, traffic);
    return before[0] !== traffic.ours.length || before[1] !== traffic.theirs.length ? 1 : 0;
  }),
];

function networkOf(call: Shown): string {
  return String(fieldsOf(call)['NetworkID']);
}

function changeText(call: Shown, changes: readonly (readonly [RegExp, string])[]): Shown {
  const text = changes.reduce(
    (changed, [pattern, by]) => changed.replaceAll(pattern, by),
    JSON.stringify(call.request) ?? 'null',
  );
  return { ...call, request: JSON.parse(text) as unknown };
}

/** Without what is the same question to the same plugin again, before anything was changed there. */
function withoutRepeats(calls: readonly Shown[], { during }: StepTraffic): Shown[] {
  // There, Docker asks once for each container that has the volume, whatever was done in between.
  const isStart = /^\(engine/.test(during);
  const isQuestion = ({ method }: Shown) => /^VolumeDriver\.(Get|List)$|^LogDriver\.Capabilities$/.test(method);
  const changesNothing = ({ method }: Shown) => /Activate$|Capabilities$/.test(method);
  const asked = new Set<string>();
  return calls.filter((call) => {
    const text = JSON.stringify(call);
    const again = isQuestion(call) && asked.has(text);
    if (isQuestion(call)) asked.add(text);
    else if (!changesNothing(call) && !isStart)
      for (const other of asked) if (other.startsWith(`{"plugin":"${call.plugin}"`)) asked.delete(other);
    return !again;
  });
}
