/** `--user`: names and numbers looked up in the container's own /etc/passwd and /etc/group. */

import { badRequest } from '../api/api-error.ts';
import { readInRoot } from './root-file.ts';

export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Home folder from passwd, `/` when there is none. */
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** Throws 400 `unable to find user x: no matching entries in passwd file`. */
export function findUser(root: string, wanted: string, groupAdd: readonly string[]): ProcessUser {
  const passwd = parsePasswd(readInRoot(root, '/etc/passwd'));
  const groups = parseGroup(readInRoot(root, '/etc/group'));
  const [userPart = '', groupPart] = wanted.split(':', 2);
  const user = userPart === '' ? '0' : userPart;
  const entry =
    passwd.find((candidate) => candidate.name === user) ?? passwd.find((candidate) => String(candidate.uid) === user);
  if (entry === undefined && !/^[0-9]+$/.test(user)) {
    throw badRequest(`unable to find user ${user}: no matching entries in passwd file`);
  }
  const uid = entry?.uid ?? Number(user);
  const gid = groupPart ? findGroup(groups, groupPart) : (entry?.gid ?? 0);
  // An explicit group replaces the supplementary ones of the user.
  const own =
    groupPart || entry === undefined
      ? []
      : groups.filter((group) => group.members.includes(entry.name)).map((group) => group.gid);
  const added = groupAdd.map((group) => findGroup(groups, group));
  // The group itself is among them, as engines since 23 have it: a process cannot drop it to get past a file's mode.
  return { uid, gid, additionalGids: [...new Set([gid, ...own, ...added])], home: entry?.home || '/' };
}

function findGroup(groups: readonly GroupEntry[], wanted: string): number {
  const found = groups.find((group) => group.name === wanted);
  if (found !== undefined) return found.gid;
  if (/^[0-9]+$/.test(wanted)) return Number(wanted);
  throw badRequest(`unable to find group ${wanted}: no matching entries in group file`);
}

function parsePasswd(text: string): PasswdEntry[] {
  return lines(text, 6).map(([name = '', , uid, gid, , home = '']) => ({
    name,
    uid: Number(uid),
    gid: Number(gid),
    home,
  }));
}

function parseGroup(text: string): GroupEntry[] {
  return lines(text, 3).map(([name = '', , gid, members = '']) => ({
    name,
    gid: Number(gid),
    members: members.split(',').filter(Boolean),
  }));
}

function lines(text: string, fields: number): string[][] {
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((parts) => parts.length >= fields);
}
