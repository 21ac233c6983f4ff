/** The failure matrix for cleat-syslog over tcp. */
import { test } from 'uvu';
import { failureMatrix } from '../support/log-failures.ts';
import { requires } from '../support/requires.ts';

requires('root');

failureMatrix('cleat-syslog', 'syslog-address', 5200);

test.run();
