/**
 * Every stable error code, with its cause and its cure. Callers match on the code, never on the text.
 * A test holds this table and the one in the SDK's README together: `bin/node plugins/sdk/error-table.ts` writes the latter.
 * Keep each prefix's codes sorted.
 */
export interface ErrorMeaning {
  readonly cause: string;
  readonly cure: string;
}

export const errorCodes = {
  // LOG_: logs
  LOG_DRIVER: {
    cause: 'a log driver is named that this daemon does not have',
    cure: 'use cleat-json-file, cleat-syslog or cleat-gelf',
  },
  LOG_FIFO: {
    cause: 'the FIFO that the engine named for a log session cannot be opened',
    cure: 'check that the daemon sees the same /run/docker/logging as the engine and may read there',
  },
  LOG_NOT_KEPT: {
    cause: 'a log was asked for that is not kept for reading, because of cache-disabled=true',
    cure: 'read it where it is sent to, or leave cache-disabled out',
  },
  LOG_UNKNOWN: {
    cause: 'no container of that name or id has a log here',
    cure: 'look at the names that `cleat log ls` shows',
  },

  // PROTO_: the request itself
  PROTO_ADDRESS_IN_USE: {
    cause: 'a socket that the daemon wants to make is served by a living process, or its path is no socket',
    cure: 'stop the other daemon, or give this one its own --plugin-dir and --run-dir',
  },
  PROTO_BODY: {
    cause: 'the request body is missing, is no JSON object or lacks a field',
    cure: 'send the body the protocol page shows; a repeat after a lost connection has none: run the command again',
  },
  PROTO_DEADLINE: {
    cause: 'a handler reached its deadline before its work was done',
    cure: 'look at the daemon log for what it waited for, then repeat the command',
  },
  PROTO_INTERNAL: {
    cause: 'a defect: the driver threw something that is no PluginError',
    cure: 'report it with the daemon log',
  },
  PROTO_METHOD: {
    cause: 'the method is unknown or not one of this plugin',
    cure: 'check the driver name and the kind of driver asked for',
  },
  PROTO_OPTION: {
    cause: 'an option has a value that is not allowed',
    cure: 'use one of the values that the message lists',
  },
  PROTO_OPTION_UNKNOWN: {
    cause: 'an option name is not known to the driver',
    cure: 'use the nearest known option that the message names',
  },
  PROTO_PLUGIN_NOT_FOUND: {
    cause: 'no socket and no spec file of that plugin appeared in the plugin directories',
    cure: 'start the plugin, or correct the name: it is the file name without its extension, and case counts',
  },
  PROTO_REMOTE: {
    cause: 'a plugin answered a call with an error, whose text the message repeats',
    cure: 'see the manual of that plugin, and its log',
  },
  PROTO_REPLY: {
    cause: 'a defect: the driver answered something that the engine would misread',
    cure: 'report it with the daemon log',
  },
  PROTO_SPEC: {
    cause: 'a spec file of a plugin cannot be understood',
    cure: 'write one address with a scheme, or the JSON form that the SDK manual shows',
  },
  PROTO_UNREACHABLE: {
    cause: 'a plugin did not answer: nobody listens, the connection broke, or its time was over',
    cure: 'see whether the plugin runs, and its log',
  },
  PROTO_UNSUPPORTED: { cause: 'the driver does not offer this', cure: 'see the manual page of the driver' },

  // NET_: networks and addresses
  NET_ADDRESS_DUPLICATE: {
    cause: 'another host of the LAN answers for the address, or this one has it',
    cure: 'use another address, or take the other host off it; cleat.duplicate-probe=off skips the question',
  },
  NET_ADDRESS_INVALID: {
    cause: 'a text is no IP address, prefix or MAC address',
    cure: 'write it as the message shows',
  },
  NET_BRIDGE_INVALID: {
    cause: 'the name given for the bridge is that of a link that is no bridge',
    cure: 'choose another com.docker.network.bridge.name',
  },
  NET_BRIDGE_TAKEN: {
    cause: 'another network of ours uses the bridge',
    cure: 'choose another com.docker.network.bridge.name',
  },
  NET_ENDPOINT_EXISTS: {
    cause: 'the engine creates an endpoint that exists already, with another address',
    cure: 'start the container again: it then gets a new endpoint',
  },
  NET_ENDPOINT_UNKNOWN: {
    cause: 'the engine names an endpoint that the driver has no record of, or gave up because it was never joined',
    cure: 'start the container again: it then gets a new endpoint',
  },
  NET_FIREWALL: {
    cause: 'the kernel refused a change of the table `inet cleat`',
    cure: "read the kernel's words in the message; `cleat doctor` tells what this host lacks",
  },
  NET_HOST_ACCESS: {
    cause: 'cleat.host-access cannot be had on this parent',
    cure: 'give the parent an address in the subnet, or name one with cleat.host-access=ADDRESS',
  },
  NET_KERNEL: {
    cause: 'the kernel lacks something that the network needs',
    cure: 'load the module that the hint names, or use another driver',
  },
  NET_LINK: {
    cause: 'the kernel refused to make or change a link',
    cure: "read the kernel's words in the message; `cleat doctor` tells what this host lacks",
  },
  NET_NETWORK_UNKNOWN: {
    cause:
      'the engine names a network that the driver has no record of, for instance because the state folder was lost',
    cure: 'remove the network in the engine and create it again',
  },
  NET_NO_SUBNET: {
    cause: 'the network has no subnet',
    cure: 'give --subnet, or use an IPAM driver that chooses one',
  },
  NET_OVERLAY_CONFIG: {
    cause: 'the part "overlay" of the configuration is wrong or has no secret, or its port cannot be had',
    cure: 'correct the value that the message names; every host needs the same secret of at least 16 characters',
  },
  NET_OVERLAY_DIFFERS: {
    cause: 'the store has the network, or its VNI, with other options or subnets',
    cure: 'give the same options, --subnet and --gateway on every host, or another cleat.network or cleat.vni',
  },
  NET_OVERLAY_PEERS: {
    cause: 'none of the peers of the network is this host',
    cure: 'give the same list on every host, with the address that this host is reached by in it',
  },
  NET_OVERLAY_SHARE: {
    cause: "an address belongs to another host's share of the subnet, or the subnet is too small to be shared",
    cure: 'use the --ip-range that the message names, or a larger --subnet',
  },
  NET_OVERLAY_STORE: {
    cause: 'etcd does not answer, or this host could not renew the claim of its addresses for too long',
    cure: 'see `cleat overlay store`, and mend the way to etcd; what runs goes on without it',
  },
  NET_OVERLAY_TUNNEL: {
    cause: 'the encrypted way between the hosts cannot be set up, or its keys cannot change now',
    cure: 'load the kernel module wireguard or install wireguard-go; the message says what is wrong',
  },
  NET_OVERLAY_VNI: {
    cause: 'the VNI or the name among the hosts is already used on this host',
    cure: 'choose another cleat.vni or cleat.network, the same on every host',
  },
  NET_PARENT_NOT_FOUND: {
    cause: 'the parent interface does not exist',
    cure: 'create it, or pass -o parent=INTERFACE with one that exists',
  },
  NET_PARENT_TAKEN: {
    cause: 'the parent serves links of another kind or mode already, or is the port of a bridge',
    cure: 'use the same driver on it, or another parent, such as the bridge',
  },
  NET_PORTS_EXHAUSTED: {
    cause: 'no host port of those that may be used is free',
    cure: 'give a wider range, or widen net.ipv4.ip_local_port_range',
  },
  NET_PORTS_UNSUPPORTED: {
    cause: 'ports were published on a network where that cannot mean anything',
    cure: 'leave -p away: containers of the network are reached at their own addresses',
  },
  NET_PORT_ADDRESS: {
    cause: 'the host address of a published port is no address of this host',
    cure: 'use one that `ip address` shows, or none for all of them',
  },
  NET_PORT_TAKEN: {
    cause: 'the host port is published by another endpoint or used by a process of the host',
    cure: 'stop the holder that the message names, or publish another port',
  },
  NET_SUBNET_OVERLAP: {
    cause: 'the subnet is, or overlaps, that of another network or of an interface of the host',
    cure: 'choose another --subnet',
  },

  // STORE_: the records on disk
  STORE_CORRUPT: {
    cause: 'the record file is damaged or is no database',
    cure: 'move the file that the message names away and start again: what the kernel still shows is adopted where possible',
  },
  STORE_FULL: { cause: 'the disk of the state folder is full', cure: 'make room on it and repeat the command' },
  STORE_IO: {
    cause: 'the record file cannot be created, read or written',
    cure: 'check the state folder and its mount: it must be writable for the daemon',
  },
  STORE_LOCKED: {
    cause: 'another process has the record file open',
    cure: 'stop the other daemon or give this one its own --state-dir',
  },
  STORE_NEWER: {
    cause: 'the records were written by a newer version of the daemon',
    cure: 'run that version again, or move the record file away',
  },
  STORE_USE: {
    cause: 'a defect: the record store was used in a way it does not allow',
    cure: 'report it with the daemon log',
  },

  // VOL_: volumes
  VOL_BACKUP: {
    cause: 'a backup is damaged, incomplete or was not made by cleat, or a restore met a volume that is not empty',
    cure: 'use another backup, or give --force to restore over what is there',
  },
  VOL_CREDENTIALS: {
    cause: 'the credentials file of a volume cannot be read, or has no username',
    cure: 'put username=, password= and, where needed, domain= lines into a file that root can read, and give its path',
  },
  VOL_DEVICE: {
    cause: 'the device, folder or sub-folder that a volume stands for does not exist or is not usable',
    cure: 'correct the path, or give create=true to have a missing folder made',
  },
  VOL_IN_USE: {
    cause: 'a volume is held by a container or process, or something is mounted in it',
    cure: 'stop and remove the holders, which the message and `cleat volume holders` name',
  },
  VOL_MOUNT_FAILED: {
    cause: 'the kernel or the server refused the mount',
    cure: 'read the reason in the message; check type, device and mount options, and the export on the server',
  },
  VOL_MOUNT_TIMEOUT: {
    cause: 'a mount was not done in time: the server is down, or cannot be reached',
    cure: 'bring the server back, or give a longer mount-timeout; other volumes are not affected',
  },
  VOL_NAME: {
    cause: 'a volume name has characters, a beginning or a length that is not allowed',
    cure: 'use 2 to 255 of a-z A-Z 0-9 _ . - and begin with a letter or digit',
  },
  VOL_NOT_FOUND: {
    cause: 'the driver knows no volume of that name',
    cure: 'create it, or look at the names that `docker volume ls` shows',
  },
  VOL_OPTIONS_DIFFER: {
    cause: 'a volume exists already with other options',
    cure: 'use the same options, remove the volume, or give on-change=update while nobody holds it',
  },
  VOL_QUOTA: {
    cause: 'a size or inode limit cannot be set in the way that was asked for',
    cure: 'give quota=image, which works on every file system, or mount the state folder with prjquota',
  },
  VOL_SERVER: {
    cause: 'no server of an NFS volume answers, or its name cannot be resolved',
    cure: 'check the server names, the network and that the NFS service runs',
  },

  // DHCP_: leases of the LAN
  DHCP_NO_SERVER: {
    cause: 'no DHCP server answered on the parent interface, or it named no router',
    cure: 'check the interface and the server, then repeat the command',
  },
  DHCP_REFUSED: {
    cause: 'the DHCP server gives another address than the one asked for, or takes it back',
    cure: 'reserve the address at the server, or let it choose',
  },

  // DNS_: names and the server that answers them
  DNS_CONFIG: {
    cause: 'the part "dns" of the configuration file has a wrong value',
    cure: 'correct what the message names',
  },
  DNS_NAME_INVALID: {
    cause: 'an alias, a domain or a record has a name that is no domain name',
    cure: 'use labels of 1 to 63 bytes with dots between them, 255 bytes in all',
  },
  DNS_NETWORK_NOT_FOUND: {
    cause: 'no network of ours has this name or id',
    cure: 'use one of those that the message lists',
  },
  DNS_RECORD_INVALID: {
    cause: 'a cleat.dns.record option holds something that is no record',
    cure: 'write it as the message shows, several with a semicolon between them',
  },
  DNS_SERVER_INVALID: {
    cause: 'an upstream server is no address',
    cure: 'give an IP address, with a port where it is not 53',
  },
  // IPAM_: pools and addresses
  IPAM_ADDRESS_IN_USE: {
    cause: 'the address asked for is allocated already, or is the gateway',
    cure: 'choose another one, or none to get a free one; the message says who has it',
  },
  IPAM_ADDRESS_OUTSIDE: {
    cause: 'the address asked for is not in the subnet of the network',
    cure: 'choose one from the range that the message gives',
  },
  IPAM_ADDRESS_RESERVED: {
    cause: 'the address asked for is the network, broadcast or subnet-router anycast address of its subnet',
    cure: 'choose one from the range that the message gives',
  },
  IPAM_ADDRESS_SPACE: {
    cause: 'the request names an address space that the driver has not',
    cure: 'remove the network and create it again: the engine stored it under another IPAM driver',
  },
  IPAM_CONFIG: {
    cause: 'the configuration file of the daemon has a wrong "ipam" section',
    cure: 'correct the key that the message names',
  },
  IPAM_HOST: {
    cause: "the host's routes and addresses could not be read from the kernel, so no pool can be checked",
    cure: 'repeat the command; the message has the call that failed',
  },
  IPAM_POOLS_EXHAUSTED: {
    cause: 'every default pool is used by a network or overlaps a route or address of the host',
    cure: 'give --subnet, remove networks that are not needed, or add ranges to default-address-pools',
  },
  IPAM_POOL_FULL: {
    cause: 'all addresses of the subnet, or of its --ip-range, are in use',
    cure: 'remove containers, or create the network with a larger --subnet or --ip-range',
  },
  IPAM_POOL_INVALID: {
    cause: 'the subnet or IP range cannot be used for a network',
    cure: 'give a unicast subnet, and an IP range inside it',
  },
  IPAM_POOL_OVERLAP: {
    cause: 'the subnet overlaps the one of another network',
    cure: 'choose another --subnet, or none to get a free one',
  },
  IPAM_POOL_UNKNOWN: {
    cause: 'the engine asks for an address of a pool that the driver has no record of',
    cure: 'wait for the engine watcher to report the network, or create the network again',
  },
} as const satisfies Record<string, ErrorMeaning>;

export type ErrorCode = keyof typeof errorCodes;
