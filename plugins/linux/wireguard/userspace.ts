/**
 * wireguard-go: WireGuard as a process, for kernels without it. It is spoken to over a socket in lines of `name=value`,
 * <https://www.wireguard.com/xplatform/>, with keys in hexadecimal.
 */
import { connect, isIPv6 } from 'node:net';
import { CommandError, runCommand } from '../command.ts';
import { KernelError } from '../errors.ts';
import { keyFromText } from './keys.ts';
import { type DeviceChange, NoWireguardError, type WireguardDevice, type WireguardPeer } from './model.ts';

const folder = '/var/run/wireguard';
const answerMs = 1500;
const startMs = 3000;
/** A peer takes about 300 bytes. */
const largestAnswer = 16 << 20;

/** Resolves when the device is there; the process has left ours by then. */
export async function startUserDevice(name: string): Promise<void> {
  try {
    // With a level from our environment it would write to the pipes that we read, and die of it when we have closed them.
    await runCommand('wireguard-go', [name], { timeoutMs: startMs, env: { LOG_LEVEL: '' } });
  } catch (error) {
    const missing = error instanceof CommandError && error.reason === 'spawn';
    if (!missing) throw error;
    throw new NoWireguardError('the kernel has no WireGuard, and wireguard-go is not installed', { cause: error });
  }
}

export async function readUserDevice(name: string): Promise<WireguardDevice> {
  return parseDevice(await talk(name, 'get=1\n\n'));
}

export async function changeUserDevice(name: string, change: DeviceChange): Promise<void> {
  const answer = await talk(name, changeText(change));
  const errno = Number(/^errno=(-?\d+)$/m.exec(answer)?.[1] ?? Number.NaN);
  if (errno === 0) return;
  throw new KernelError({ errno: Math.abs(errno) || 5, call: 'set', args: `wireguard-go ${name}` });
}

/** Exported for its test. */
export function changeText({ privateKey, listenPort, peers = [] }: DeviceChange): string {
  const lines = ['set=1'];
  if (privateKey !== undefined) lines.push(`private_key=${hex(privateKey)}`);
  if (listenPort !== undefined) lines.push(`listen_port=${listenPort}`);
  for (const peer of peers) {
    lines.push(`public_key=${hex(peer.publicKey)}`);
    if (peer.remove) {
      lines.push('remove=true');
      continue;
    }
    const { endpoint, keepaliveSeconds, allowedIps } = peer;
    if (endpoint) lines.push(`endpoint=${endpointText(endpoint)}`);
    if (allowedIps) lines.push('replace_allowed_ips=true', ...allowedIps.map((cidr) => `allowed_ip=${cidr}`));
    // Behind the addresses: it sends the first packet at once.
    if (keepaliveSeconds !== undefined) lines.push(`persistent_keepalive_interval=${keepaliveSeconds}`);
  }
  return `${lines.join('\n')}\n\n`;
}

/** Exported for its test. The private key, which the process says too, is passed over. */
export function parseDevice(answer: string): WireguardDevice {
  let listenPort = 0;
  const peers: WireguardPeer[] = [];
  for (const line of answer.split('\n')) {
    const at = line.indexOf('=');
    const [key, value] = [line.slice(0, at), line.slice(at + 1)];
    if (key === 'public_key') {
      const publicKey = Buffer.from(value, 'hex').toString('base64');
      const nothing = { endpoint: undefined, handshakeAt: undefined, receivedBytes: 0, sentBytes: 0 };
      peers.push({ publicKey, ...nothing, allowedIps: [] });
      continue;
    }
    if (key === 'listen_port') listenPort = Number(value);
    const last = peers.at(-1);
    if (!last) continue;
    const field = key === 'allowed_ip' ? { allowedIps: [...last.allowedIps, value] } : peerField(key, value);
    peers.splice(-1, 1, { ...last, ...field });
  }
  return { publicKey: undefined, listenPort, peers };
}

function peerField(key: string, value: string): Partial<WireguardPeer> {
  switch (key) {
    case 'endpoint':
      return { endpoint: value };
    case 'last_handshake_time_sec':
      return value === '0' ? {} : { handshakeAt: Number(value) * 1000 };
    case 'rx_bytes':
      return { receivedBytes: Number(value) };
    case 'tx_bytes':
      return { sentBytes: Number(value) };
    default:
      return {};
  }
}

function endpointText({ address, port }: { readonly address: string; readonly port: number }): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

function hex(key: string): string {
  return keyFromText(key).toString('hex');
}

/** One question, one answer, which ends with an empty line. */
function talk(name: string, question: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(`${folder}/${name}.sock`);
  const chunks: string[] = [];
  let length = 0;
  socket.setEncoding('utf8');
  socket.setTimeout(answerMs, () => socket.destroy(new Error(`wireguard-go ${name} does not answer`)));
  socket.on('data', (chunk: string) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length > largestAnswer) socket.destroy(new Error(`wireguard-go ${name} says too much`));
    else if (chunk.endsWith('\n\n') || (chunk === '\n' && chunks.at(-2)?.endsWith('\n'))) {
      resolve(chunks.join(''));
      socket.destroy();
    }
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error(`wireguard-go ${name} closed its socket`)));
  socket.write(question);
  return promise;
}
