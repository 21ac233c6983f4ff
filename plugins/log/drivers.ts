/** The log drivers that there are. */
import type { DriverSpec } from './driver-spec.ts';
import { gelfDriver } from './gelf/driver.ts';
import { jsonFileDriver } from './json-file/driver.ts';
import { syslogDriver } from './syslog/driver.ts';

export const logDrivers: readonly DriverSpec[] = [jsonFileDriver, syslogDriver, gelfDriver];
