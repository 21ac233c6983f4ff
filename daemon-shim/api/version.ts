/** Versions of the Engine API: which are spoken, and which one a request asks for. */
import type { FastifyRequest } from 'fastify';
import { badRequest } from './api-error.ts';

export const apiVersion = '1.51';
export const minApiVersion = '1.24';

export const versionPrefix: RegExp = /^\/v([0-9]+)\.([0-9]+)(?=\/)/;

/** A hook: throws Docker's 400 for a client that is too old or too new. */
export async function checkVersion(request: FastifyRequest): Promise<void> {
  const [, major = '', minor = ''] = versionPrefix.exec(request.originalUrl) ?? [];
  if (major === '') return;
  const [wanted, lowest, highest] = [`${major}.${minor}`, minApiVersion, apiVersion].map(versionNumber) as [
    number,
    number,
    number,
  ];
  if (wanted < lowest) {
    throw badRequest(
      `client version ${major}.${minor} is too old. Minimum supported API version is ${minApiVersion}, please upgrade your client to a newer version`,
    );
  }
  if (wanted > highest) {
    throw badRequest(`client version ${major}.${minor} is too new. Maximum supported API version is ${apiVersion}`);
  }
}

function versionNumber(text: string): number {
  const [major = 0, minor = 0] = text.split('.').map(Number);
  return major * 1000 + minor;
}

/** The version that the client speaks; without a prefix, ours. */
export function requestVersion(request: FastifyRequest): number {
  const [, major, minor] = versionPrefix.exec(request.originalUrl) ?? [];
  return versionNumber(major === undefined ? apiVersion : `${major}.${minor}`);
}

/** On every answer: clients look at them before they look at anything else. */
export const commonHeaders: Readonly<Record<string, string>> = {
  'Api-Version': apiVersion,
  'Docker-Experimental': 'false',
  Ostype: 'linux',
  Server: 'cleat',
};
