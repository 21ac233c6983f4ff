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
} as const satisfies Record<string, ErrorMeaning>;

export type ErrorCode = keyof typeof errorCodes;
