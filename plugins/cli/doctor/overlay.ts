/** Whether the networks over hosts have their store: as the running daemon has it. */
import type { StoreStatus } from '../../network/overlay/control-plane.ts';
import { callControl, runningDaemons } from '../control.ts';
import { type Check, type Finding, ok, warn } from './check.ts';

export function overlayChecks(runDir: string): Check[] {
  return [{ driver: 'cleat-overlay', subject: 'store', look: () => lookAtStore(runDir) }];
}

async function lookAtStore(runDir: string): Promise<Finding> {
  if (!(await runningDaemons(runDir)).includes('networkd')) return ok('cleat-networkd is not running');
  const [store] = await callControl<StoreStatus[]>(runDir, 'networkd', 'GET', '/overlay/store');
  if (!store) return ok('none configured');
  if (store.state !== 'connected')
    return warn(
      `etcd: ${store.state}; what runs goes on, new networks cannot be made`,
      `etcdctl --endpoints=${store.endpoints.join(',')} endpoint health`,
    );
  return ok(`etcd ${store.version} at ${store.endpoint}, ${store.rttMs?.toFixed(1)} ms`);
}
