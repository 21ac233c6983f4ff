/** What a link's driver does for the kernel, ethtool(8) -K: <linux/ethtool_netlink.h>. Kernel 5.7 or newer. */
import { GenericSocket, genlmsghdrSize } from './netlink/generic.ts';
import { listAttributes, readAttributes, readText } from './netlink/message.ts';

const ETHTOOL_MSG_FEATURES_GET = 11;
const ETHTOOL_MSG_FEATURES_SET = 12;
const ETHTOOL_A_FEATURES_HEADER = 1;
const ETHTOOL_A_FEATURES_WANTED = 3;
const ETHTOOL_A_FEATURES_ACTIVE = 4;
const ETHTOOL_A_HEADER_DEV_NAME = 2;
const ETHTOOL_A_BITSET_BITS = 3;
const ETHTOOL_A_BITSET_BITS_BIT = 1;
const ETHTOOL_A_BITSET_BIT_NAME = 2;
const ETHTOOL_A_BITSET_BIT_VALUE = 3;
const version = 1;

/** Of those that exist, the ones that matter here; the kernel's names. */
export type LinkFeature = 'tx-checksum-ip-generic';

/** Names of the features that are on. Throws ENODEV, and ENOENT from kernels without this interface. */
export function activeFeatures(link: string): ReadonlySet<string> {
  using socket = new GenericSocket('ethtool');
  const body = socket.get(
    socket.request({
      call: 'ETHTOOL_MSG_FEATURES_GET',
      describe: () => link,
      command: ETHTOOL_MSG_FEATURES_GET,
      version,
      write: (writer) =>
        writer.nest(ETHTOOL_A_FEATURES_HEADER, () => writer.attributeText(ETHTOOL_A_HEADER_DEV_NAME, link)),
    }),
  );
  const set = readAttributes(body, genlmsghdrSize).get(ETHTOOL_A_FEATURES_ACTIVE) ?? Buffer.alloc(0);
  const bits = readAttributes(set).get(ETHTOOL_A_BITSET_BITS) ?? Buffer.alloc(0);
  return new Set(
    listAttributes(bits).map(([, bit]) =>
      readText(readAttributes(bit).get(ETHTOOL_A_BITSET_BIT_NAME) ?? Buffer.alloc(0)),
    ),
  );
}

/** Asks for it; what the link cannot do stays off without an error. */
export function setFeature(link: string, feature: LinkFeature, on: boolean): void {
  using socket = new GenericSocket('ethtool');
  socket.apply(
    socket.request({
      call: 'ETHTOOL_MSG_FEATURES_SET',
      describe: () => `${link} ${feature} ${on ? 'on' : 'off'}`,
      command: ETHTOOL_MSG_FEATURES_SET,
      version,
      write: (writer) => {
        writer.nest(ETHTOOL_A_FEATURES_HEADER, () => writer.attributeText(ETHTOOL_A_HEADER_DEV_NAME, link));
        writer.nest(ETHTOOL_A_FEATURES_WANTED, () =>
          writer.nest(ETHTOOL_A_BITSET_BITS, () =>
            writer.nest(ETHTOOL_A_BITSET_BITS_BIT, () => {
              writer.attributeText(ETHTOOL_A_BITSET_BIT_NAME, feature);
              if (on) writer.attribute(ETHTOOL_A_BITSET_BIT_VALUE, Buffer.alloc(0));
            }),
          ),
        );
      },
    }),
  );
}
