/** `cleat-networkd`: the daemon of the network and IPAM drivers. */
import { runDaemon } from '../sdk/daemon.ts';
import { networkDaemon } from './service.ts';

await runDaemon(networkDaemon);
