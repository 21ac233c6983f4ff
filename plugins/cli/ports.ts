/** `cleat ports`: what is published, since `docker ps` cannot show the ports of plugin networks. */
import type { Command } from './command.ts';
import { callControl } from './control.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { GlobalOptions } from './global-options.ts';
import { print } from './table.ts';

interface PortsOptions extends GlobalOptions {
  readonly endpoint?: string;
}

/** What cleat-networkd answers to GET /ports. */
interface Port {
  readonly networkId: string;
  readonly endpointId: string;
  readonly container?: string;
  readonly network?: string;
  readonly protocol: string;
  readonly family: number;
  readonly hostAddress: string;
  readonly hostPort: string;
  readonly containerAddress: string;
  readonly containerPort: string;
  readonly via: string;
}

export const portsCommand: Command<PortsOptions> = {
  command: 'ports [endpoint]',
  describe: 'Show published ports and whose they are',
  build: (yargs) =>
    yargs
      .positional('endpoint', {
        type: 'string',
        describe: 'Only those of this container name, or of this beginning of an endpoint or network ID',
      })
      .example('$0 ports', 'all')
      .example('$0 ports web', 'those of the container web')
      .example('$0 ports 3f2a --json', 'those of one endpoint, for a program'),
  run: async (args) => {
    const all = await callControl<Port[]>(args.runDir, 'networkd', 'GET', '/ports');
    const wanted = args.endpoint;
    const ports = wanted === undefined ? all : all.filter((port) => belongsTo(port, wanted));
    if (wanted !== undefined && ports.length === 0) {
      throw new CommandFailure(`nothing is published by "${wanted}"`, exitCodes.failed);
    }
    print(args, ports, ['CONTAINER', 'PROTO', 'HOST', 'CONTAINER ADDRESS', 'NETWORK', 'VIA'], ports.map(row));
  },
};

function belongsTo(port: Port, wanted: string): boolean {
  return port.container === wanted || port.endpointId.startsWith(wanted) || port.networkId.startsWith(wanted);
}

function row(port: Port): string[] {
  const { endpointId, networkId, protocol, family, via } = port;
  const host = port.hostAddress === '*' ? (family === 4 ? '0.0.0.0' : '::') : port.hostAddress;
  return [
    port.container ?? endpointId.slice(0, 12),
    protocol,
    port.hostPort === '-' ? '-' : place(host, port.hostPort),
    place(port.containerAddress, port.containerPort),
    port.network ?? networkId.slice(0, 12),
    via,
  ];
}

function place(address: string, port: string): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}
