/**
 * Attribute tables: each group of settings (a bridge's, a port's, a VXLAN's) is one table from field name to attribute, and
 * the same table writes and reads it. Attributes that a table does not name are skipped when reading.
 */
import { ipBytes, ipText, macBytes, macText } from './address-bytes.ts';
import { type MessageWriter, readText } from './message.ts';

type Found = ReadonlyMap<number, Buffer>;

export interface Field<T> {
  write(writer: MessageWriter, value: T): void;
  read(found: Found): T | undefined;
}

export type FieldTable<T> = { readonly [K in keyof T]-?: Field<NonNullable<T[K]>> };

/** Writes the fields that are given; undefined ones are left as the kernel has them. */
export function writeFields<T extends object>(writer: MessageWriter, table: FieldTable<T>, values: T): void {
  for (const name in values) {
    const value = values[name];
    if (value !== undefined && Object.hasOwn(table, name))
      table[name].write(writer, value as NonNullable<T[typeof name]>);
  }
}

/** Reads the fields that are there. */
export function readFields<T extends object>(table: FieldTable<T>, found: Found): Partial<T> {
  const values: Partial<T> = {};
  for (const name in table) {
    const value = table[name].read(found);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function field<T>(type: number, size: number, write: Field<T>['write'], read: (bytes: Buffer) => T): Field<T> {
  return {
    write,
    read: (found) => {
      const bytes = found.get(type);
      return bytes === undefined || bytes.length < size ? undefined : read(bytes);
    },
  };
}

export function u8(type: number): Field<number> {
  return field(
    type,
    1,
    (writer, value) => writer.attributeU8(type, value),
    (bytes) => bytes.readUInt8(),
  );
}

export function u16(type: number): Field<number> {
  return field(
    type,
    2,
    (writer, value) => writer.attributeU16(type, value),
    (bytes) => bytes.readUInt16LE(),
  );
}

/** In network byte order: port numbers and protocols. */
export function u16be(type: number): Field<number> {
  return field(
    type,
    2,
    (writer, value) => writer.attributeU16be(type, value),
    (bytes) => bytes.readUInt16BE(),
  );
}

export function u32(type: number): Field<number> {
  return field(
    type,
    4,
    (writer, value) => writer.attributeU32(type, value),
    (bytes) => bytes.readUInt32LE(),
  );
}

/** One byte, 0 or 1. */
export function bool(type: number): Field<boolean> {
  return field(
    type,
    1,
    (writer, value) => writer.attributeU8(type, value ? 1 : 0),
    (bytes) => bytes.readUInt8() !== 0,
  );
}

/** There or not there, without a value; false is not written. */
export function flag(type: number): Field<boolean> {
  return {
    write: (writer, value) => {
      if (value) writer.attribute(type, Buffer.alloc(0));
    },
    read: (found) => (found.has(type) ? true : undefined),
  };
}

export function text(type: number): Field<string> {
  return field(type, 0, (writer, value) => writer.attributeText(type, value), readText);
}

export function mac(type: number): Field<string> {
  return field(type, 6, (writer, value) => writer.attribute(type, macBytes(value)), macText);
}

/** An address whose attribute depends on its family. */
export function ip(type4: number, type6: number): Field<string> {
  return {
    write: (writer, value) => {
      const bytes = ipBytes(value);
      writer.attribute(bytes.length === 4 ? type4 : type6, bytes);
    },
    read: (found) => {
      const bytes = found.get(type4) ?? found.get(type6);
      return bytes && (bytes.length === 4 || bytes.length === 16) ? ipText(bytes) : undefined;
    },
  };
}

/** A word for a number: `{ private: 1, vepa: 2 }`. A number that has no word is not read. */
export function oneOf<W extends string>(number: Field<number>, words: Readonly<Record<W, number>>): Field<W> {
  return {
    write: (writer, value) => number.write(writer, words[value]),
    read: (found) => {
      const given = number.read(found);
      for (const word in words) if (words[word] === given) return word;
      return undefined;
    },
  };
}
