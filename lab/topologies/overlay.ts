import { startDaemon } from '../../test/support/daemon.ts';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import { createHost, type Host } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Topology } from './topology.ts';

const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
const create = [
  ...['network', 'create', '-d', 'cleat-overlay', '-o', 'cleat.network=prod', '--subnet', '10.90.0.0/24'],
  ...['--gateway', '10.90.0.1', '--ipam-driver', 'cleat-ipam', '--ipam-opt', 'cleat.network=prod', 'prod'],
];

export const topology: Topology = {
  about: 'three hosts with an engine each and one overlay network: containers web-a, web-b, web-c, all called web',
  drawing: `
    a eth0 192.0.2.1/24 web-a ──┐
    b eth0 192.0.2.2/24 web-b ──┼── switch
    c eth0 192.0.2.3/24 web-c ──┘`,
  async build() {
    const segment = await createSegment();
    const hosts: Record<string, Host> = {};
    const engines: Engine[] = [];
    const start = async (name: string, index: number) => {
      const host = await createHost({ name });
      hosts[name] = host;
      await segment.attach(host, { addresses: [`${peers[index]}/24`] });
      await startDaemon('networkd', host, { config: { overlay: { secret: 'only for this lab', lease: '5s', peers } } });
      const engine = await startEngine({ version: '20.10', host });
      engines.push(engine);
      await engine.docker(...create);
      const page = `mkdir /www; echo ${name} >/www/index.html; httpd -f -h /www`;
      const named = ['--name', `web-${name}`, '--network', 'prod', '--network-alias', 'web'];
      await engine.docker('run', '-d', ...named, 'busybox', 'sh', '-c', page);
    };
    await Promise.all(['a', 'b', 'c'].map(start));
    const close = async () => {
      for (const engine of engines) await engine.close();
      await Promise.all([segment, ...Object.values(hosts)].map((part) => part.close()));
    };
    return { hosts: { ...hosts, switch: segment.host }, close };
  },
};
