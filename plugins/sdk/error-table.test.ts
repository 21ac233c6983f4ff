import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errorCodes } from './error-codes.ts';
import { errorDocument, listedCodes, withErrorTable } from './error-table.ts';

const document = readFileSync(errorDocument, 'utf8');
const MEND = 'run: bin/node plugins/sdk/error-table.ts';

test('every code is in the README, and the README has no other', () => {
  const listed = new Set(listedCodes(document));
  const codes = new Set<string>(Object.keys(errorCodes));
  assert.equal(
    [...codes].filter((code) => !listed.has(code)),
    [],
    `missing in README.md; ${MEND}`,
  );
  assert.equal(
    [...listed].filter((code) => !codes.has(code)),
    [],
    `only in README.md; ${MEND}`,
  );
});

test('cause and cure are those of the table', () => {
  // The formatter may pad the columns.
  const plain = (text: string) => text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
  assert.ok(
    plain(withErrorTable(document)) === plain(document),
    `README.md has other words than error-codes.ts; ${MEND}`,
  );
});

test('codes have a prefix of a subsystem, and a cause and a cure without a final stop', () => {
  for (const [code, { cause, cure }] of Object.entries(errorCodes)) {
    assert.match(code, /^(PROTO|NET|IPAM|DHCP|DNS|VOL|LOG|STORE|SHIM)_[A-Z0-9_]+$/);
    for (const text of [cause, cure]) assert.not.match(text, /(^\s*$|\.$)/, code);
  }
});

test.run();
