/**
 * `--link`: the other container's name, address and environment for this one. On the default network as Docker does since its
 * first days (variables, and a line in /etc/hosts); on other networks a name that only this container knows.
 */
import type { ExposedPort } from '../../plugins/sdk/index.ts';
import { badRequest, conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { bareIp } from '../network/pools.ts';
import { parsePortKey } from '../sandbox/ports.ts';
import type { ContainerRecord } from './record.ts';
import type { Container } from './registry.ts';

interface Link {
  readonly target: Container;
  readonly alias: string;
  /** The name of the network that both are on. */
  readonly network: string;
}

/** `NAME[:ALIAS]`; older clients write `/NAME:/THIS/ALIAS`. Throws 400. */
export function parseLink(text: string): { readonly name: string; readonly alias: string } {
  const parts = text.split(':');
  const [name = '', given] = parts;
  if (name === '' || parts.length > 2) throw badRequest(`bad format for links: ${text}`);
  const alias = given === undefined || given === '' ? name : given;
  return { name: name.replace(/^\//, ''), alias: alias.slice(alias.lastIndexOf('/') + 1) };
}

/** Checked when the container is made: the others exist, and have addresses of their own. */
export function checkLinks(engine: Engine, links: readonly string[]): void {
  for (const text of links) {
    const { name } = parseLink(text);
    const target = engine.containers.find(name);
    if (target === undefined) throw badRequest(`could not get container for ${name}: No such container: ${name}`);
    if (target.record.hostConfig.NetworkMode === 'host')
      throw badRequest(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
  }
}

/**
 * Links of a container. When it starts, throws in Docker's words for one on the default network that is not running; one that
 * has ended since has no address, and so no line.
 */
export function resolveLinks(engine: Engine, { hostConfig, endpoints }: ContainerRecord, isStarting = true): Link[] {
  const legacy = (hostConfig.NetworkMode === 'bridge' ? (hostConfig.Links ?? []) : []).flatMap((text) => {
    const { name, alias } = parseLink(text);
    const target = isStarting ? engine.containers.get(name) : engine.containers.find(name);
    if (isStarting && target !== undefined) checkTarget(target, alias);
    return target === undefined ? [] : [{ target, alias, network: 'bridge' }];
  });
  const named = Object.entries(endpoints).flatMap(([network, { config }]) =>
    network === 'bridge'
      ? []
      : (config.Links ?? []).flatMap((text) => {
          const { name, alias } = parseLink(text);
          const target = engine.containers.find(name);
          return target === undefined ? [] : [{ target, alias, network }];
        }),
  );
  return [...legacy, ...named];
}

function checkTarget(target: Container, alias: string): void {
  if (!target.isRunning) throw conflict(`Cannot link to a non running container: /${target.record.name} AS /${alias}`);
  if (target.record.endpoints['bridge'] === undefined)
    throw conflict(`Cannot link to /${target.record.name}, as it does not belong to the default network`);
}

/** What the driver of the default network keeps open for this container when it keeps containers apart: `ADDRESS:PORT/PROTOCOL`. */
export function linkedPorts(engine: Engine, record: ContainerRecord): string[] {
  return resolveLinks(engine, record)
    .filter(({ network }) => network === 'bridge')
    .flatMap(({ target, network }) => {
      const address = addressOn(target.record, network);
      return address === undefined
        ? []
        : exposedPorts(target.record).map(({ port, protocol }) => `${address}:${port}/${protocol}`);
    });
}

/** Lines of /etc/hosts. */
export function linkHosts(links: readonly Link[]): string {
  return links
    .map(({ target, alias, network }) => {
      const { record } = target;
      const address = addressOn(record, network);
      const own = network === 'bridge' ? [record.config.Hostname, ...(alias === record.name ? [] : [record.name])] : [];
      return address === undefined ? '' : `${address}\t${[alias, ...own].join(' ')}\n`;
    })
    .join('');
}

/** Docker's variables: `DB_PORT_5432_TCP_ADDR=…`; only on the default network. */
export function linkEnvironment(containerName: string, links: readonly Link[]): string[] {
  return links.filter(({ network }) => network === 'bridge').flatMap((link) => variablesOf(containerName, link));
}

function variablesOf(containerName: string, { target, alias, network }: Link): string[] {
  const { record } = target;
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const address = addressOn(record, network) ?? '';
  const ports = exposedPorts(record);
  const url = ({ port, protocol }: { port: number; protocol: string }) => `${protocol}://${address}:${port}`;
  const [first] = ports;
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${url(first)}`]),
    ...ports.flatMap((entry) => {
      const start = `${prefix}_PORT_${entry.port}_${entry.protocol.toUpperCase()}`;
      return [
        `${start}=${url(entry)}`,
        `${start}_ADDR=${address}`,
        `${start}_PORT=${entry.port}`,
        `${start}_PROTO=${entry.protocol}`,
      ];
    }),
    `${prefix}_NAME=/${containerName}/${alias}`,
    ...record.config.Env.filter((entry) => entry.includes('=') && !/^(HOME|PATH)=/.test(entry)).map(
      (entry) => `${prefix}_ENV_${entry}`,
    ),
  ];
}

function exposedPorts(record: ContainerRecord): ExposedPort[] {
  const keys = [...Object.keys(record.config.ExposedPorts ?? {}), ...Object.keys(record.hostConfig.PortBindings)];
  return [...new Set(keys)].map(parsePortKey).sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1));
}

function addressOn(record: ContainerRecord, network: string): string | undefined {
  const address = record.endpoints[network]?.address;
  return address === undefined ? undefined : bareIp(address);
}

/** Containers that run and name this one in a link: their hosts files are written anew when it has started. */
export function linkedFrom(engine: Engine, container: Container): Container[] {
  const names = (links: readonly string[] | null | undefined) =>
    (links ?? []).some((text) => engine.containers.find(parseLink(text).name) === container);
  return engine.containers
    .list()
    .filter(
      (other) =>
        other.isRunning &&
        other !== container &&
        (names(other.record.hostConfig.Links) ||
          Object.values(other.record.endpoints).some(({ config }) => names(config.Links))),
    );
}
