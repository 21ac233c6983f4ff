/** What another host says of its keys: a text among the attributes of its part of a network, checked here. Pure. */
import { isKey } from '../../../linux/wireguard/keys.ts';
import { count, items, object, RecordError, text } from '../shared-records.ts';
import type { SharedTunnel } from './rotation.ts';

/** undefined for what is none. */
export function readTunnel(said: string): SharedTunnel | undefined {
  try {
    const given = object(JSON.parse(said));
    const keys = items(given['keys'], 2).map(readKey);
    const epoch = count(given, 'epoch');
    // Counted on by everybody who hears it: one that leaves no room would end all changes.
    if (epoch > 2 ** 40) throw new RecordError('no epoch');
    return { epoch, settled: given['settled'] === true, keys };
  } catch {
    return undefined;
  }
}

function readKey(value: unknown): SharedTunnel['keys'][number] {
  const key = object(value);
  const [slot, port, publicKey] = [count(key, 'slot'), count(key, 'port'), text(key, 'publicKey', 44)];
  if ((slot !== 0 && slot !== 1) || port < 1 || port > 65_535 || !isKey(publicKey)) throw new RecordError('no key');
  return { slot, port, publicKey };
}
