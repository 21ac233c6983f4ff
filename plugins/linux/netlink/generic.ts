/** Generic netlink, <linux/genetlink.h>: families have names, and numbers that the kernel gives at run time. */
import type { Netns } from '../netns.ts';
import { type MessageWriter, NetlinkFormatError, readAttributes } from './message.ts';
import { NetlinkSocket, type Request } from './socket.ts';

const NETLINK_GENERIC = 16;
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
/** struct genlmsghdr: cmd:8 version:8 reserved:16 */
export const genlmsghdrSize = 4;

export interface GenericRequest {
  /** `WG_CMD_SET_DEVICE` */
  readonly call: string;
  readonly describe: () => string;
  readonly command: number;
  readonly version: number;
  readonly write: (writer: MessageWriter) => void;
}

/** For one family, in the given namespace or that of the caller. Throws ENOENT when the kernel has no such family. */
export class GenericSocket extends NetlinkSocket {
  readonly #family: number;

  constructor(family: string, netns?: Netns) {
    super(NETLINK_GENERIC, netns);
    try {
      this.#family = this.#find(family);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  request({ call, describe, command, version, write }: GenericRequest): Request {
    return {
      call,
      describe,
      type: this.#family,
      flags: 0,
      write: (writer) => {
        writeHeader(writer, command, version);
        write(writer);
      },
    };
  }

  #find(name: string): number {
    const body = this.get({
      call: 'CTRL_CMD_GETFAMILY',
      describe: () => name,
      type: GENL_ID_CTRL,
      flags: 0,
      write: (writer) => {
        writeHeader(writer, CTRL_CMD_GETFAMILY, 1);
        writer.attributeText(CTRL_ATTR_FAMILY_NAME, name);
      },
    });
    const id = readAttributes(body, genlmsghdrSize).get(CTRL_ATTR_FAMILY_ID);
    if (!id) throw new NetlinkFormatError(`the family ${name} has no number`);
    return id.readUInt16LE();
  }
}

function writeHeader(writer: MessageWriter, command: number, version: number): void {
  writer.u8(command);
  writer.u8(version);
  writer.u16(0);
}
