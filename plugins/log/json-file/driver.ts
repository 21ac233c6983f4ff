/** cleat-json-file: Docker's json-file format, options and file names, in the daemon's own state folder. */
import { join } from 'node:path';
import type { LogInfo } from '../../sdk/log-plugin.ts';
import { text } from '../../sdk/option-kinds.ts';
import { parseOptions } from '../../sdk/options.ts';
import { findAttributes } from '../attributes.ts';
import type { DriverSpec, LogPlace, OpenedLog, PreparedLog } from '../driver-spec.ts';
import { engineOptions } from '../engine-options.ts';
import { type LogFiles, logFilesAt } from '../files/log-files.ts';
import { goJsonMap } from '../go-json.ts';
import { multilineOptions, multilineRule } from '../multiline.ts';
import { rotationLimits, rotationOptions, rotationSettings } from '../rotation-options.ts';
import { renderTag } from '../tag.ts';
import { JoiningWriter } from './joining-writer.ts';
import { JsonFileScanner } from './parse.ts';
import { JsonFileWriter } from './writer.ts';

const name = 'cleat-json-file';

const schema = {
  ...engineOptions,
  ...rotationOptions,
  tag: text('tag', { empty: true }),
  labels: text('labels', { empty: true }),
  labelsRegex: text('labels-regex', { empty: true }),
  env: text('env', { empty: true }),
  envRegex: text('env-regex', { empty: true }),
  ...multilineOptions,
};

export const jsonFileDriver: DriverSpec = {
  name,
  prepare(info: LogInfo, knownTag?: string): PreparedLog {
    const options = parseOptions(schema, info.config, { driver: name });
    const limits = rotationLimits(options, name);
    const rule = multilineRule(options, name);
    const attributes = findAttributes(info, name);
    // Docker's json-file has no tag unless one is asked for.
    const tag = knownTag ?? renderTag(info, '', name);
    if (tag !== '') attributes['tag'] = tag;
    const attributeText = Object.keys(attributes).length === 0 ? '' : goJsonMap(attributes);
    const files = (place: LogPlace): LogFiles =>
      logFilesAt({ kind: 'chain', path: join(place.folder, `${info.containerId}-json.log`) });
    return {
      tag,
      maxAgeMs: options.maxAge,
      readable: true,
      settings: { ...rotationSettings(limits, options.maxAge), attributes: attributeText || 'none' },
      files,
      recordScanner: () => new JsonFileScanner(),
      open: (place): OpenedLog => {
        const writer = new JsonFileWriter(files(place), limits, attributeText, (error) =>
          place.onError(error, 'a rotated file cannot be compressed'),
        );
        return { writer: rule === undefined ? writer : new JoiningWriter(writer, rule) };
      },
    };
  },
};
