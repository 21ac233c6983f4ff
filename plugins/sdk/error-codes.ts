/**
 * Every stable error code, with its cause and its cure. Callers match on the code, never on the text.
 * A test holds this table and the one in the SDK's README together. Keep each prefix's codes sorted.
 */
export interface ErrorMeaning {
  readonly cause: string;
  readonly cure: string;
}

export const errorCodes = {
  // PROTO_: the request itself
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
  PROTO_UNSUPPORTED: { cause: 'the driver does not offer this', cure: 'see the manual page of the driver' },

  // NET_: networks and addresses
  NET_ADDRESS_INVALID: {
    cause: 'a text is no IP address, prefix or MAC address',
    cure: 'write it as the message shows',
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
} as const satisfies Record<string, ErrorMeaning>;

export type ErrorCode = keyof typeof errorCodes;
